"""What the gateway says in its own words on a head: generated from what was parsed, never copied (RFC 9112 §2.2)."""

import re
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final

from gateway.errors import Reason, Refused
from gateway.http.bodies import NO_BODY, Body
from gateway.http.heads import HTTP11
from gateway.http.requests import Request
from gateway.http.responses import Response
from gateway.http.targets import Target

# RFC 3986 §3.2.2 reg-name or IP literal, with a port; no user information, no escapes: backends build links from it.
# No empty label either, so no `..`: some make a directory's name of it.
_PORT: Final = rb"(?:6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[0-5]?[0-9]{1,4})"
_HOST: Final = re.compile(
    rb"(?:[A-Za-z0-9_~\-]+(?:\.[A-Za-z0-9_~\-]+)*\.?|\[([0-9A-Fa-f:.]+)\])(?::%b)?".replace(b"%b", _PORT)
)
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._\-]{8,64}")
_CONTINUE: Final = b"100-continue"


@lru_cache(maxsize=32)  # clients name one or a few; strangers can make 1 MiB of it
def is_valid_host(host: bytes) -> bool:
    """Whether this is a host with or without a port, as one and only one server can be meant by it."""
    match = _HOST.fullmatch(host)
    if match is None or match[1] is None:
        return match is not None
    try:
        IPv6Address(match[1].decode())
    except ValueError:
        return False
    return True


def client_host(request: Request, target: Target) -> bytes | None:
    """The valid Host of a request; None only for HTTP/1.0 without one. Raises `Refused(BAD_HOST)` (RFC 9112 §3.2)."""
    host = request.host
    if host is None:
        if request.version is HTTP11:
            raise Refused(Reason.BAD_HOST)
        return None
    if not is_valid_host(host):
        raise Refused(Reason.BAD_HOST)
    # A server that obeys §3.2.2 would take the authority, one that does not the Host: both must say the same.
    if target.authority is not None and target.authority.lower().encode() != host.lower():
        raise Refused(Reason.BAD_HOST)
    return host


def accepted_request_id(request: Request) -> bytes | None:
    """The client's request id, if it is one that may stand in logs."""
    request_id = request.request_id
    return request_id if request_id is not None and _REQUEST_ID.fullmatch(request_id) else None


def expects_continue(request: Request) -> bool:
    """Whether the client waits for 100 before it sends the body (RFC 9110 §10.1.1).

    Raises `Refused(EXPECTATION_FAILED)` for any other expectation.
    """
    if request.expect is None:
        return False
    if request.expect.lower() != _CONTINUE:
        raise Refused(Reason.EXPECTATION_FAILED)
    # A 1.0 client does not know interim responses and sends its body anyway.
    return request.version is HTTP11


def response_framing(body: Body, response: Response, *, to_http10: bool) -> bytes:
    """The one framing field towards the client, with its line end; empty when the body ends with the connection.

    A length beside no body (HEAD, 304) describes the body that a GET would have had and passes.
    """
    if body is not NO_BODY:
        return b"" if to_http10 and body.is_chunked else body.framing
    # RFC 9110 §8.6: a 204 must not have one.
    if response.content_length is not None and response.status != 204:
        return b"Content-Length: %b\r\n" % response.content_length
    return b""


def response_head(
    response: Response, body: Body, *, request_id: bytes, cors_fields: bytes | None, to_http10: bool, close: bool
) -> bytes:
    """The head for the client, to its empty line. `cors_fields` are ready lines; None leaves CORS to the backend."""
    passed = response.passed
    if cors_fields is None:
        cors_fields = b""
        if response.access_control:
            passed = [*passed, *response.access_control]
    connection = b"Connection: close\r\n" if close else b"Connection: keep-alive\r\n" if to_http10 else b""
    return b"%b\r\nX-Request-Id: %b\r\n%b%b%b\r\n" % (
        b"\r\n".join((response.line, *passed)),
        request_id,
        cors_fields,
        response_framing(body, response, to_http10=to_http10),
        connection,
    )


def upstream_lines(
    request: Request, target: bytes, host: bytes, *, token_field: bytes | None, keeps_overrides: bool
) -> list[bytes]:
    """The upstream head as lines, as far as the client has a say in it.

    `target` is the upstream's. `token_field` is the name of the token's field where it is passed on, else None.
    `keeps_overrides` is false where the method decides: a backend must not be told another one (checklist 24).
    """
    lines = [b"%b %b HTTP/1.1\r\nHost: %b" % (request.method.encode(), target, host), *request.passed]
    if token_field is not None and request.tokens is not None:
        lines += [b"%b: %b" % (token_field, value) for value in request.tokens]
    if request.tracestate is not None and request.traceparent is not None:
        lines += request.tracestate
    if keeps_overrides and request.method_overrides is not None:
        lines += request.method_overrides
    return lines
