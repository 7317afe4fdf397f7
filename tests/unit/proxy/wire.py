"""Requests as clients write them, responses as backends do, and answers as clients read them."""

import dataclasses
import functools
import itertools
import json

import jwt

from gateway.auth.keys import generate_key
from tests.unit.proxy.transports import Peer

EPOCH = 1_800_000_000  # Unix time when the loop's is 0
ALICE, BOB = "7", "8"  # Bob is inactive
KEY = generate_key("HS256")
ORIGIN = b"https://app.example"

# What backends send.
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BIG_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000  # more than may be held back
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nhello"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"

# What clients say.
ID = b"X-Request-Id: 0123456789"  # so that what is forwarded is the same each time
EXPECT = b"Expect: 100-continue"
ORIGIN_LINE = b"Origin: " + ORIGIN
FRAME = b"\x81\x82\x00\x00\x00\x00hi"


@functools.cache
def token(user_id: str = ALICE, token_id: str = "t1") -> bytes:
    claims = {"token_type": "access", "exp": EPOCH + 10_000, "jti": token_id, "user_id": user_id}
    return jwt.encode(claims, KEY, "HS256").encode()


def bearer(user_id: str = ALICE, token_id: str = "t1") -> bytes:
    return b"Authorization: Bearer " + token(user_id, token_id)


_ids = itertools.count()


def fresh_bearer(user_id: str = ALICE) -> bytes:
    """A token that nobody has seen, so that its user is looked up if nobody knows that one, either."""
    return bearer(user_id, f"fresh{next(_ids)}")


def request(target: bytes, *lines: bytes, method: bytes = b"GET", version: bytes = b"1.1", body: bytes = b"") -> bytes:
    return b"\r\n".join((b"%b %b HTTP/%b" % (method, target, version), b"Host: a.example", *lines, b"", body))


def post(target: bytes, body: bytes, *lines: bytes, length: int | None = None) -> bytes:
    """With the length of `body`, or with another one."""
    announced = b"Content-Length: %d" % (len(body) if length is None else length)
    return request(target, announced, *lines, method=b"POST", body=body)


def chunked(target: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    """`body` is in chunks already."""
    return request(target, b"Transfer-Encoding: chunked", *lines, method=b"POST", body=body)


GET = request(b"/open/x")
NOWHERE = request(b"/nowhere")

# RFC 6455 §1.3's example.
HANDSHAKE = request(
    b"/ws",
    bearer(),
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


@dataclasses.dataclass
class Answer:
    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        return self.fields.get("connection") == "close"

    @property
    def code(self) -> str:
        """Of a refusal."""
        code: str = json.loads(self.body)["code"]
        return code


def answers(raw: bytes) -> list[Answer]:
    """Whole answers one behind the other, each with a length or without a body."""
    found = []
    while raw:
        head, end, raw = raw.partition(b"\r\n\r\n")
        assert end
        first, *lines = head.decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines)
        assert len(fields) == len(lines)
        size = int(fields.get("content-length", "0"))
        assert len(raw) >= size
        found.append(Answer(int(first.split()[1]), fields, raw[:size]))
        raw = raw[size:]
    return found


def answer(client: Peer) -> Answer:
    """The one answer that a client got since it last looked."""
    (found,) = answers(client.read())
    return found
