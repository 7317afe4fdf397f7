"""What the gateway says on a head in its own words."""

import pytest

from gateway.errors import Reason, Refused
from gateway.http.bodies import NO_BODY, Body, ChunkedBody, CloseBody, LengthBody
from gateway.http.heads import HTTP10, HTTP11, Version
from gateway.http.requests import Request
from gateway.http.responses import Response
from gateway.http.rewriting import (
    accepted_request_id,
    client_host,
    expects_continue,
    response_framing,
    response_head,
    upstream_lines,
)
from gateway.http.targets import Target


def request(
    *,
    version: Version = HTTP11,
    host: bytes | None = b"a",
    expect: bytes | None = None,
    request_id: bytes | None = None,
) -> Request:
    return Request("GET", "/", version, [], host=host, expect=expect, request_id=request_id)


def response(status: int = 200, *, length: bytes | None = None) -> Response:
    return Response(status, b"HTTP/1.1 200 OK", HTTP11, content_length=length)


TARGET = Target("/", "")


@pytest.mark.parametrize(
    "host", [b"a", b"a.example.org:8080", b"192.0.2.7", b"[2001:db8::1]:443", b"[::1]", b"A-b_c~d", b"a.", b"a:0"]
)
def test_s12_a_valid_host_passes_as_it_is(host: bytes) -> None:
    assert client_host(request(host=host), TARGET) == host


@pytest.mark.parametrize(
    "host",
    [
        b"",
        b"a b",
        b"a,b",
        b"a/b",
        b"a@b",
        b"a:",
        b"a:b",
        b"a:123456",
        b"a:-1",
        b"a:80:80",
        b"[::1",
        b"::1",
        b"[v1.x]",
        b"[:]",
        b"[1::2::3]",
        b"[12345::]",
        b"a%20",
        b"a?",
        b"a#",
        b"a\\b",
        b"a\x00",
        b"a\n",
        b"\xc3\xa9",
        b'"a"',
    ],
)
def test_s12_any_other_host_is_refused(host: bytes) -> None:
    with pytest.raises(Refused) as caught:
        client_host(request(host=host), TARGET)
    assert caught.value.reason is Reason.BAD_HOST


def test_s12_a_request_needs_a_host_but_in_1_0() -> None:
    assert client_host(request(host=None, version=HTTP10), TARGET) is None
    with pytest.raises(Refused) as caught:
        client_host(request(host=None), TARGET)
    assert caught.value.reason is Reason.BAD_HOST


def test_s25_authority_and_host_say_the_same() -> None:
    assert client_host(request(host=b"A:80"), Target("/", "", authority="a:80")) == b"A:80"
    for authority in ("b", "a:81", "a", "a:80."):
        with pytest.raises(Refused) as caught:
            client_host(request(host=b"a:80"), Target("/", "", authority=authority))
        assert caught.value.reason is Reason.BAD_HOST


@pytest.mark.parametrize("request_id", [b"12345678", b"a" * 64, b"0190-7f.b_c-D"])
def test_a_request_id_of_plain_characters_is_taken(request_id: bytes) -> None:
    assert accepted_request_id(request(request_id=request_id)) == request_id


@pytest.mark.parametrize(
    "request_id", [None, b"", b"1234567", b"a" * 65, b"with blank", b'12345678"', b"12345678\n", b"\xff" * 9]
)
def test_s86_a_request_id_that_may_not_stand_in_a_log_is_not(request_id: bytes | None) -> None:
    assert accepted_request_id(request(request_id=request_id)) is None


@pytest.mark.parametrize(
    ("expect", "version", "waits"),
    [
        (None, HTTP11, False),
        (b"100-continue", HTTP11, True),
        (b"100-Continue", HTTP11, True),
        (b"100-continue", HTTP10, False),
    ],
)
def test_s17_who_waits_for_100(expect: bytes | None, version: Version, waits: bool) -> None:
    assert expects_continue(request(expect=expect, version=version)) is waits


@pytest.mark.parametrize("expect", [b"", b"200-ok", b"100-continue, x", b"100-continue;q=1", b"100 continue"])
@pytest.mark.parametrize("version", [HTTP10, HTTP11])
def test_s17_other_expectations_are_refused(expect: bytes, version: Version) -> None:
    with pytest.raises(Refused) as caught:
        expects_continue(request(expect=expect, version=version))
    assert caught.value.reason is Reason.EXPECTATION_FAILED


CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("body", "answer", "to_11", "to_10"),
    [
        (LengthBody(7), response(length=b"7"), b"Content-Length: 7\r\n", b"Content-Length: 7\r\n"),
        (LengthBody(7), response(length=b"007"), b"Content-Length: 7\r\n", b"Content-Length: 7\r\n"),
        (LengthBody(0), response(length=b"0"), b"Content-Length: 0\r\n", b"Content-Length: 0\r\n"),
        (ChunkedBody(), response(), CHUNKED, b""),
        (CloseBody(), response(), CHUNKED, b""),
        # A length beside no body: of HEAD and 304 it describes the GET's, RFC 9110 §8.6.
        (NO_BODY, response(length=b"7"), b"Content-Length: 7\r\n", b"Content-Length: 7\r\n"),
        (NO_BODY, response(304, length=b"7"), b"Content-Length: 7\r\n", b"Content-Length: 7\r\n"),
        (NO_BODY, response(204, length=b"7"), b"", b""),
        (NO_BODY, response(), b"", b""),
    ],
)
def test_s14_an_answer_has_one_framing(body: Body, answer: Response, to_11: bytes, to_10: bytes) -> None:
    assert response_framing(body, answer, to_http10=False) == to_11
    assert response_framing(body, answer, to_http10=True) == to_10


@pytest.mark.parametrize(
    ("to_http10", "close", "connection"),
    [
        (False, False, b""),
        (False, True, b"Connection: close\r\n"),
        (True, False, b"Connection: keep-alive\r\n"),
        (True, True, b"Connection: close\r\n"),
    ],
)
def test_the_connection_of_an_answer(to_http10: bool, close: bool, connection: bytes) -> None:
    head = response_head(
        response(), LengthBody(7), request_id=b"r-1", cors_fields=None, to_http10=to_http10, close=close
    )
    assert head.endswith(b"X-Request-Id: r-1\r\nContent-Length: 7\r\n" + connection + b"\r\n")


@pytest.mark.parametrize(
    ("cors_fields", "lines"),
    [
        (None, b"A: a\r\nAccess-Control-Allow-Origin: theirs\r\nX-Request-Id: r-1\r\n"),
        (b"Vary: Origin\r\n", b"A: a\r\nX-Request-Id: r-1\r\nVary: Origin\r\n"),
        (b"", b"A: a\r\nX-Request-Id: r-1\r\n"),
    ],
)
def test_whose_cross_origin_rules_an_answer_has(cors_fields: bytes | None, lines: bytes) -> None:
    answer = Response(200, b"HTTP/1.1 200 OK", passed=[b"A: a"])
    answer.access_control = (b"Access-Control-Allow-Origin: theirs",)
    head = response_head(answer, NO_BODY, request_id=b"r-1", cors_fields=cors_fields, to_http10=False, close=False)
    assert head == b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n"


def full_request() -> Request:
    return Request(
        "PUT",
        "/as-sent",
        HTTP11,
        [b"Cookie: a", b"X-A:b"],
        host=b"client.example",
        tokens=[b"Bearer one", b"Bearer two"],
        method_overrides=[b"X-HTTP-Method: DELETE"],
        content_length=b"7",
        expect=b"100-continue",
    )


def test_s14_s10_the_upstream_head_is_what_passes_and_nothing_of_the_rest() -> None:
    lines = upstream_lines(full_request(), b"/canonical?q", b"backend", token_field=None, keeps_overrides=False)
    assert lines == [b"PUT /canonical?q HTTP/1.1\r\nHost: backend", b"Cookie: a", b"X-A:b"]


def test_s10_s24_token_and_overrides_go_on_where_the_route_keeps_them() -> None:
    lines = upstream_lines(full_request(), b"/", b"a", token_field=b"Authorization", keeps_overrides=True)
    assert lines[3:] == [b"Authorization: Bearer one", b"Authorization: Bearer two", b"X-HTTP-Method: DELETE"]
    nothing = upstream_lines(request(), b"/", b"a", token_field=b"Authorization", keeps_overrides=True)
    assert nothing == [b"GET / HTTP/1.1\r\nHost: a"]


@pytest.mark.parametrize(("traceparent", "kept"), [(b"00-1-2-01", [b"tracestate: a=1"]), (None, [])])
def test_tracestate_goes_where_its_traceparent_goes(traceparent: bytes | None, kept: list[bytes]) -> None:
    traced = request()
    traced.traceparent, traced.tracestate = traceparent, [b"tracestate: a=1"]
    assert upstream_lines(traced, b"/", b"a", token_field=None, keeps_overrides=False)[1:] == kept
