"""Request heads: what is read of them, and that remembered names never change an answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Reason, Refused
from gateway.http.fields import RequestFieldUses
from gateway.http.heads import HTTP11
from gateway.http.requests import Request, RequestReader


def reader() -> RequestReader:
    uses = RequestFieldUses(token_field="Authorization", managed={"X-User-Id"})
    return RequestReader(uses=uses, max_fields=20)


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
        ([b"Content-Length: 1", b"content-length: 2"], Reason.BAD_FRAMING),
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


BAD_LINES = {
    "bare cr": b"X: a\rb",
    "bare lf": b"X: a\nY: b",
    "nul": b"X: \x00",
    "control": b"X: \x01",
    "del": b"X: \x7f",
    "vertical tab": b"X: \x0b",
    "no colon": b"X",
    "empty": b"",
    "no name": b": a",
    "blank before the colon": b"X : a",
    "tab before the colon": b"X\t: a",
    "blank in the name": b"X Y: a",
    "fold": b" folded: a",
    "tab fold": b"\tfolded: a",
    "name over 127": b"\xe9: a",
    "name in quotes": b'"X": a',
    "name with brackets": b"X[]: a",
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES.keys())
def test_s12_a_line_that_is_not_exactly_one_field_is_refused(line: bytes) -> None:
    once = reader()
    for _ in range(2):
        for lines in ([line], [b"X-A: a", line], [line, b"X-A: a"]):
            assert outcome(once, [b"GET / HTTP/1.1", *lines]) == "refused"
    assert once.read(b"GET / HTTP/1.1\r\nX: a\r\n\r\n").passed == [b"X: a"]


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
def test_s84_remembered_names_never_change_how_a_head_is_read(first: bytes, fields: list[bytes]) -> None:
    lines = [first, *fields]
    if any(not line or line[-1:] == b"\r" or line[:1] == b"\n" for line in lines):
        return  # such a head would have been cut elsewhere
    fresh = outcome(reader(), lines)
    assert outcome(_WARMED, lines) == fresh
    assert outcome(_WARMED, lines) == fresh


def test_s83_the_memory_of_names_is_bounded() -> None:
    uses = RequestFieldUses(token_field="Authorization", managed={"X-User-Id"})
    reading = RequestReader(uses=uses, max_fields=20)
    for number in range(5000):
        reading.read(b"GET / HTTP/1.1\r\nHost: a\r\nX-%d: a\r\nY-%b: a\r\n\r\n" % (number, b"y" * (number % 90)))
        assert len(uses.by_name) <= 1024
    assert max(map(len, uses.by_name)) <= 64
    assert reading.read(b"GET / HTTP/1.1\r\nHost: a\r\nX-User-Id: 7\r\nCookie: b\r\n\r\n").passed == [b"Cookie: b"]


def test_what_is_read_of_a_request() -> None:
    request = reader().read(
        b"PATCH /x HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\nExpect: 100-continue\r\nOrigin: https://b\r\n"
        b"Access-Control-Request-Method: GET\r\nX-Request-Id: r-1\r\nX-HTTP-Method: PUT\r\nUser-Agent: c\r\n"
        b"Authorization: Bearer one\r\nauthorization:Bearer two \r\nx-method-override: GET\r\n\r\n"
    )
    assert (request.method, request.version, request.host) == ("PATCH", HTTP11, b"a:80")
    assert (request.content_length, request.expect, request.origin) == (b"5", b"100-continue", b"https://b")
    assert (request.is_preflight, request.request_id, request.transfer_encoding) == (True, b"r-1", None)
    assert request.tokens == [b"Bearer one", b"Bearer two"]
    assert request.method_overrides == [b"X-HTTP-Method: PUT", b"x-method-override: GET"]
    assert request.passed == [b"Origin: https://b", b"Access-Control-Request-Method: GET", b"User-Agent: c"]
    assert reader().read(b"GET / HTTP/1.1\r\nTransfer-Encoding: a\r\n\r\n").transfer_encoding == b"a"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"Host: a", Reason.BAD_HOST),
        (b"Content-Length: 1", Reason.BAD_FRAMING),
        (b"Transfer-Encoding: chunked", Reason.BAD_FRAMING),
        (b"Expect: 100-continue", Reason.EXPECTATION_FAILED),
        (b"Origin: https://a", Reason.BAD_REQUEST),
        (b"Content-Type: a/b", Reason.BAD_REQUEST),
        (b"User-Agent: a", Reason.BAD_REQUEST),
    ],
)
def test_s11_s12_what_may_come_once_comes_once_in_any_case(line: bytes, reason: Reason) -> None:
    for second in (line, line.upper(), line.lower()):
        for between in ([], [b"X-A: b", b"Content-Range: c"]):
            with pytest.raises(Refused) as caught:
                reader().read(b"\r\n".join([b"GET / HTTP/1.1", line, *between, second]) + b"\r\n\r\n")
            assert caught.value.reason is reason
    assert isinstance(outcome(reader(), [b"GET / HTTP/1.1", b"Content-Range: x", line]), Request)


def test_of_two_request_ids_neither_counts() -> None:
    request = reader().read(b"GET / HTTP/1.1\r\nX-Request-Id: r-1\r\nX-Request-Id: r-1\r\n\r\n")
    assert request.request_id == b""


_TRACE = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_trace_that_a_request_belongs_to_is_kept_aside() -> None:
    states = [b"tracestate: a=1", b"TraceState:b=2"]
    request = reader().read(b"\r\n".join([b"GET / HTTP/1.1", states[0], _TRACE, states[1], b"", b""]))
    assert (request.traceparent, request.tracestate, request.passed) == (_TRACE[13:], states, [])


@pytest.mark.parametrize("lines", [[_TRACE, _TRACE], [_TRACE, b"TraceParent: x", _TRACE], [b"traceparent: x"], []])
def test_a_trace_that_is_none_or_comes_twice_is_none(lines: list[bytes]) -> None:
    request = reader().read(b"\r\n".join([b"GET / HTTP/1.1", *lines, b"", b""]))
    assert (request.traceparent, request.passed) == (None, [])


def test_s6_what_a_trusted_proxy_says_is_kept_aside() -> None:
    uses = RequestFieldUses(token_field="Authorization", managed={"X-User-Id"}, trusts_peer=True)
    head = b"GET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.1\r\nx-forwarded-FOR:192.0.2.2\r\nX_Forwarded_For: 3\r\n\r\n"
    request = RequestReader(uses=uses, max_fields=20).read(head)
    assert request.forwarded == [(b"x-forwarded-for", b"192.0.2.1"), (b"x-forwarded-for", b"192.0.2.2")]
    assert request.passed == []
    assert reader().read(head).forwarded is None


@pytest.mark.parametrize(
    ("version", "lines", "closes"),
    [
        (b"1.1", [], False),
        (b"1.1", [b"Connection: Close"], True),
        (b"1.1", [b"Connection: x-a", b"Connection:\tclose "], True),
        (b"1.1", [b"Connection: keep-alive"], False),
        (b"1.0", [], True),
        (b"1.0", [b"Connection: Keep-Alive"], False),
        (b"1.0", [b"Connection: keep-alive, close"], True),
    ],
)
def test_rfc9112_9_3_when_the_connection_ends(version: bytes, lines: list[bytes], closes: bool) -> None:
    request = outcome(reader(), [b"GET / HTTP/" + version, *lines])
    assert isinstance(request, Request)
    assert request.should_close is closes


def test_s5_too_many_connection_options_are_refused() -> None:
    for version in (b"1.1", b"1.0"):
        lines = [b"GET / HTTP/" + version, b"Connection: " + b"a," * 9, b"Connection: " + b"b," * 9]
        with pytest.raises(Refused) as caught:
            reader().read(b"\r\n".join(lines) + b"\r\n\r\n")
        assert caught.value.reason is Reason.BAD_REQUEST


@pytest.mark.parametrize("version", [b"2.0", b"1.2", b"9.9"])
def test_other_versions_are_told_apart(version: bytes) -> None:
    with pytest.raises(Refused) as caught:
        reader().read(b"GET / HTTP/" + version + b"\r\nHost: a\r\n\r\n")
    assert caught.value.reason is Reason.HTTP_VERSION_NOT_SUPPORTED
