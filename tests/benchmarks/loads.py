"""What is asked of the servers: lists of whole requests, sent in turn and over again, and the status of each answer."""

import http.client
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.peers import HELLO, MEBIBYTE, UPLOADED
from tests.conformance.forging import OTHER_KEY, sign, token

# More than the gateway remembers of tokens (10 000) or lines (4096): when one comes again, it is new again.
_NEVER_REMEMBERED = 30_000

_PATIENCE = 5.0

# What a browser's fetch() with a tracing library sends, less what it sends to https alone.
_FIELDS = (
    ("Host", "app.example.org"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "application/json, text/plain, */*"),
    ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
    ("Accept-Encoding", "gzip, deflate"),
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """`requests` makes the list; `status` and `body` are those of every answer, None for one that is not looked at.

    `base` names the load whose latency without any proxy this one is compared with.
    """

    title: str
    requests: Callable[[], list[bytes]]
    status: int = 200
    body: bytes | None = HELLO
    base: str = "one_token"


def _access_token() -> bytes:
    return token("access", user_id="1")


def _request(access: bytes, *, target: str = "/hello", fields: tuple[tuple[str, str], ...] = _FIELDS) -> bytes:
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join(lines).encode() + b"\r\nAuthorization: Bearer " + access + b"\r\n\r\n"


def _one_token() -> list[bytes]:
    return [_request(_access_token())]


def _distinct_tokens(count: int) -> list[bytes]:
    return [_request(_access_token()) for _ in range(count)]


def _forged_token() -> list[bytes]:
    header, payload = b'{"alg":"HS256","typ":"JWT"}', b'{"token_type":"access","user_id":"1","exp":9999999999}'
    return [_request(sign(header, payload, key=OTHER_KEY))]


def _distinct_targets() -> list[bytes]:
    access = _access_token()
    return [_request(access, target=f"/hello/{number}?page={number}") for number in range(_NEVER_REMEMBERED)]


def _distinct_trace_ids() -> list[bytes]:
    access = _access_token()
    return [
        _request(access, fields=(*_FIELDS[:-1], ("traceparent", f"00-{number:032x}-00f067aa0ba902b7-01")))
        for number in range(1, _NEVER_REMEMBERED + 1)
    ]


def _distinct_fields() -> list[bytes]:
    """Everything but the token differs; Host in its first label, as it would with a subdomain for each customer."""
    access = _access_token()

    def fields(number: int) -> tuple[tuple[str, str], ...]:
        host, *others = _FIELDS
        return (("Host", f"n{number}.{host[1]}"), *((name, f"{value};n={number}") for name, value in others))

    return [_request(access, fields=fields(number)) for number in range(_NEVER_REMEMBERED)]


def _download() -> list[bytes]:
    return [_request(_access_token(), target="/mebibyte")]


def _upload() -> list[bytes]:
    request = _request(_access_token(), target="/upload").replace(b"GET", b"POST", 1)
    return [request[:-2] + b"Content-Length: %d\r\n\r\n" % MEBIBYTE + b"x" * MEBIBYTE]


LOADS = {
    "one_token": Load(title="small GET", requests=_one_token),
    "tokens_64": Load(title="64 tokens", requests=lambda: _distinct_tokens(64)),
    "tokens_new": Load(title="every token new", requests=lambda: _distinct_tokens(_NEVER_REMEMBERED)),
    "token_bad": Load(title="bad token", requests=_forged_token, status=401, body=None),
    "target_new": Load(title="every target new", requests=_distinct_targets),
    "field_new": Load(title="one field new", requests=_distinct_trace_ids),
    "fields_new": Load(title="all fields new", requests=_distinct_fields),
    "download": Load(title="1 MiB response", requests=_download, body=b"x" * MEBIBYTE, base="download"),
    "upload": Load(title="1 MiB upload", requests=_upload, body=UPLOADED, base="upload"),
}


class WrongAnswerError(Exception):
    """A server did not answer as the load wants it."""


def write_requests(load: Load, folder: Path) -> Path:
    """The load's requests in a file, each behind a line with its size."""
    path = folder / f"{load.title.replace(' ', '-')}.requests"
    if not path.exists():
        path.write_bytes(b"".join(b"%d\n%b" % (len(request), request) for request in load.requests()))
    return path


def check_answer(load: Load, path: Path, port: int) -> None:
    """Ask with the first request until the answer is the load's: Traefik listens before it has read its routes.

    Raises `WrongAnswerError` when it is still another one after some seconds.
    """
    with path.open("rb") as file:
        request = file.read(int(file.readline()))
    deadline = time.monotonic() + _PATIENCE
    while True:
        status, body = ask(request, port)
        if status == load.status and load.body in (None, body):
            return
        if time.monotonic() > deadline:
            raise WrongAnswerError(f"{load.title}: {status} with {len(body)} bytes: {body[:200]!r}")
        time.sleep(0.05)


def ask(request: bytes, port: int) -> tuple[int, bytes]:
    """Status and body of the answer to one request on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(request)
        answer = http.client.HTTPResponse(client)
        answer.begin()
        return answer.status, answer.read()
