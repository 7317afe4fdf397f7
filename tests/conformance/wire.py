"""Exact bytes out, one answer back: no client library that would tidy a request up."""

import contextlib
import dataclasses
import http.client
import json
import socket
from typing import Any

TIMEOUT = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer as a client sees it; `fields` are (lower-case name, value) in their order."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

    def field(self, name: str) -> str | None:
        """The value of a field, several joined as RFC 9110 §5.3 has it; None when absent."""
        values = [value for other, value in self.fields if other == name]
        return ", ".join(values) if values else None

    def json(self) -> Any:
        return json.loads(self.body)


def exchange(port: int, request: bytes) -> Reply:
    """Send `request` on a connection of its own and read the whole answer."""
    method = request.split(b" ", 1)[0].decode("ascii")
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        with contextlib.suppress(ConnectionError):
            # A server that refuses a large body answers and closes before it has all of it; the answer is there.
            connection.sendall(request)
        response = http.client.HTTPResponse(connection, method=method)
        try:
            response.begin()
            body = response.read()
        finally:
            response.close()
    fields = tuple((name.lower(), value) for name, value in response.getheaders())
    return Reply(status=response.status, fields=fields, body=body)


def request(
    method: bytes, target: bytes, *fields: bytes, body: bytes | None = None, version: bytes = b"HTTP/1.1"
) -> bytes:
    """A request head of the given field lines, and the body with its length if there is one."""
    lines = [method + b" " + target + b" " + version, b"Host: api.example.org", b"Connection: close", *fields]
    if body is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*lines, b"", body or b""])


def post(target: bytes, body: bytes, *fields: bytes, content_type: bytes | None = b"application/json") -> bytes:
    """A POST with a body; `content_type` None leaves that field out."""
    type_field = () if content_type is None else (b"Content-Type: " + content_type,)
    return request(b"POST", target, *type_field, *fields, body=body)


def post_json(target: bytes, value: object, *fields: bytes) -> bytes:
    return post(target, json.dumps(value).encode(), *fields)
