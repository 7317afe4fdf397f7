"""Where requests end by the letter of RFC 9112 and nothing but it: two readers that share no line with the gateway.

`read_strictly` works on a whole stream with one regular expression for each rule, `read_with_h11` is another project's
parser. Whatever the gateway forwards must be what both cut out.
"""

import dataclasses
import re
from typing import Final

import h11

# RFC 9110 §5.6.2, §5.5; RFC 9112 §3, §5. No obs-fold, no bare CR or LF, single blanks.
TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
HEAD: Final = re.compile(
    rb"(?P<method>[A-Z_-]+) (?P<target>[\x21-\x7e]+) HTTP/1\.(?P<minor>[01])\r\n"
    rb"(?P<fields>(?:" + TOKEN + rb":[\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n"
)
# RFC 9112 §7.1: a size, perhaps extensions, CRLF; the trailers are field lines.
SIZE_LINE: Final = re.compile(rb"(?P<size>[0-9A-Fa-f]+)(?:[ \t]*;[\t\x20-\x7e]*)?\r\n")
TRAILERS: Final = re.compile(rb"(?:" + TOKEN + rb":[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n")


@dataclasses.dataclass(frozen=True)
class Cut:
    """One request: what stands in its request line, and its payload."""

    method: str
    target: str
    body: bytes


class Malformed(Exception):
    """There is no request here that everybody would cut in one way."""


class Unfinished(Exception):
    """There may be one, but its end has not come."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """`requests` in their order and what stopped the reading: `end`, `unfinished`, `malformed`, or `close` when the
    last of them ends the connection."""

    requests: tuple[Cut, ...]
    ending: str


def read_strictly(stream: bytes) -> Reading:
    requests: list[Cut] = []
    position = 0
    while position < len(stream):
        if stream.startswith(b"\r\n", position):
            position += 2  # RFC 9112 §2.2: one empty line before a request is ignored
        try:
            cut, position, closes = _read_request(stream, position)
        except Malformed:
            return Reading(tuple(requests), "malformed")
        except Unfinished:
            return Reading(tuple(requests), "unfinished")
        requests.append(cut)
        if closes:
            return Reading(tuple(requests), "close")
    return Reading(tuple(requests), "end")


def _read_request(stream: bytes, start: int) -> tuple[Cut, int, bool]:
    if b"\r\n\r\n" not in stream[start:]:
        raise Unfinished
    head = HEAD.match(stream, start)
    if head is None:
        raise Malformed
    fields: dict[bytes, list[bytes]] = {}
    for line in head["fields"].split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        fields.setdefault(name.lower(), []).append(value.strip(b" \t"))
    if len(fields.get(b"host", ())) != 1 and (head["minor"] == b"1" or b"host" in fields):
        raise Malformed  # RFC 9112 §3.2
    body, end = _read_body(stream, head.end(), fields, is_10=head["minor"] == b"0")
    options = b",".join(fields.get(b"connection", ())).lower().replace(b" ", b"").replace(b"\t", b"").split(b",")
    closes = b"close" in options or (head["minor"] == b"0" and b"keep-alive" not in options)
    return Cut(head["method"].decode(), head["target"].decode(), body), end, closes


def _read_body(stream: bytes, start: int, fields: dict[bytes, list[bytes]], *, is_10: bool) -> tuple[bytes, int]:
    lengths, codings = fields.get(b"content-length", []), fields.get(b"transfer-encoding", [])
    if codings:
        if lengths or is_10 or len(codings) > 1 or codings[0].lower() != b"chunked":
            raise Malformed  # RFC 9112 §6.1
        return _read_chunks(stream, start)
    if not lengths:
        return b"", start
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]{1,18}", lengths[0]):
        raise Malformed
    end = start + int(lengths[0])
    if end > len(stream):
        raise Unfinished
    return stream[start:end], end


def _read_chunks(stream: bytes, position: int) -> tuple[bytes, int]:
    body = b""
    while True:
        line = SIZE_LINE.match(stream, position)
        if line is None:
            raise Malformed if b"\n" in stream[position:] else Unfinished
        size, position = int(line["size"], 16), line.end()
        if size == 0:
            break
        if len(stream) < position + size + 2:
            raise Unfinished
        body += stream[position : position + size]
        position += size + 2
        if stream[position - 2 : position] != b"\r\n":
            raise Malformed
    trailers = TRAILERS.match(stream, position)
    if trailers is None:
        raise Malformed if b"\r\n\r\n" in stream[position - 2 :] else Unfinished
    return body, trailers.end()


def read_with_h11(stream: bytes) -> Reading:
    """As h11's server side cuts it. It refuses an empty line before a request, which RFC 9112 §2.2 would have ignored."""
    requests: list[Cut] = []
    while stream:
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(stream.removeprefix(b"\r\n"))
        try:
            cut = _next_from(connection)
        except h11.RemoteProtocolError:
            return Reading(tuple(requests), "malformed")
        if cut is None:
            return Reading(tuple(requests), "unfinished")
        requests.append(cut)
        if connection.their_state is not h11.DONE:
            return Reading(tuple(requests), "close")
        stream = connection.trailing_data[0]
    return Reading(tuple(requests), "end")


def _next_from(connection: h11.Connection) -> Cut | None:
    request, body = None, b""
    while True:
        match connection.next_event():
            case h11.Request() as request:
                pass
            case h11.Data(data=data):
                body += bytes(data)
            case h11.EndOfMessage() if request is not None:
                return Cut(request.method.decode(), request.target.decode(), body)
            case _:
                return None


def answer_with_h11(stream: bytes, *, method: str, closes: bool) -> tuple[int, bytes] | None:
    """Status and body as h11's client side reads them; None where it refuses or waits for more."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    status, body = 0, b""
    try:
        connection.receive_data(stream)
        if closes:
            connection.receive_data(b"")
        while True:
            match connection.next_event():
                case h11.InformationalResponse(status_code=code) if code != 101:
                    pass
                case h11.Response(status_code=status):
                    pass
                case h11.Data(data=data):
                    body += bytes(data)
                case h11.EndOfMessage():
                    return status, body
                case _:
                    return None
    except h11.RemoteProtocolError:
        return None
