"""Request heads: what is read of them, and that the memo never changes an answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Reason, Refused
from gateway.http.fields import RequestFieldUses
from gateway.http.requests import Request, RequestReader


def reader() -> RequestReader:
    uses = RequestFieldUses(token_field="Authorization", managed={"X-User-Id"})
    return RequestReader(uses=uses, max_head_bytes=8192, max_fields=20)


def outcome(of: RequestReader, lines: list[bytes]) -> Request | str:
    try:
        return of.read(b"\r\n".join(lines) + b"\r\n\r\n")
    except Refused:
        return "refused"


def test_s4_only_end_to_end_fields_pass() -> None:
    request = reader().read(
        b"GET /x?y HTTP/1.1\r\nHost: a\r\nX-User_Id: 7\r\nx.user.id: 7\r\nConnection: X-Foo\r\nX-Foo: 1\r\n"
        b"Cookie: a=b\r\nAuthorization: Bearer t\r\nX-Forwarded-For: 1.2.3.4\r\nTE: trailers\r\n\r\n"
    )
    assert request.passed == [b"Cookie: a=b"]
    assert (request.method, request.target, request.host) == ("GET", "/x?y", b"a")
    assert request.tokens == [b"Bearer t"]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([b"Host: a", b"Host: b"], Reason.BAD_HOST),
        ([b"Content-Length: 1", b"content-length: 2"], Reason.BAD_REQUEST),
        ([b"Host : a"], Reason.BAD_REQUEST),
        ([b"X: y", b" z"], Reason.BAD_REQUEST),
        ([b"X: y\rz"], Reason.BAD_REQUEST),
        ([b"X: y\nZ: z"], Reason.BAD_REQUEST),
        ([b"X: y\x00"], Reason.BAD_REQUEST),
        ([b"X: y"] * 21, Reason.HEAD_TOO_LARGE),
    ],
)
def test_s12_fields_with_two_readings_are_refused(lines: list[bytes], reason: Reason) -> None:
    with pytest.raises(Refused) as caught:
        reader().read(b"\r\n".join([b"GET / HTTP/1.1", *lines]) + b"\r\n\r\n")
    assert caught.value.reason is reason


_WARMED = reader()
_LINES = st.sampled_from(
    [
        b"Host: a",
        b"Host: b",
        b"Host : a",
        b" folded",
        b"\tfolded",
        b"X: y",
        b"X: y\rz",
        b"X: y\nz",
        b"X: \x00",
        b": y",
        b"no colon",
        b"Content-Length: 1",
        b"Content-Length: 2",
        b"Content-Length: +1",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip",
        b"User-Agent: a",
        b"User-Agent: b",
        b"user-agent: a",
        b"Connection: close",
        b"Connection: keep-alive, x",
        b"Authorization: Bearer a",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Expect: 100-continue",
        b"X-User-Id: 1",
    ]
)
_REQUEST_LINES = st.sampled_from(
    [b"GET / HTTP/1.1", b"POST /x HTTP/1.1", b"GET / HTTP/1.0", b"GET /", b"GET  / HTTP/1.1", b"get / HTTP/1.1"]
)


@settings(max_examples=400, deadline=None)
@given(_REQUEST_LINES, st.lists(_LINES | st.binary(max_size=12).filter(lambda line: b"\r\n" not in line), max_size=6))
def test_s84_the_memo_never_changes_whether_a_head_is_taken(first: bytes, fields: list[bytes]) -> None:
    lines = [first, *fields]
    if any(not line or line[-1:] == b"\r" or line[:1] == b"\n" for line in lines):
        return  # such a head would have been cut elsewhere
    fresh = outcome(reader(), lines)
    # A length beside a coding is refused by the parser when both are new, by `http.bodies` when they are known.
    if {line.partition(b":")[0] for line in fields} >= {b"Content-Length", b"Transfer-Encoding"}:
        return
    assert outcome(_WARMED, lines) == fresh
    assert outcome(_WARMED, lines) == fresh
