"""Body framing: whole, byte by byte and at every split; what is announced, and what cannot be told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Reason, Refused
from gateway.http.bodies import (
    LAST_CHUNK,
    NO_BODY,
    UNTOLD_BODY,
    Body,
    ChunkedBody,
    CloseBody,
    FramingError,
    LengthBody,
    encode_chunk,
    request_body,
    response_body,
)
from gateway.http.heads import HTTP10, HTTP11, Version
from gateway.http.requests import Request
from gateway.http.responses import Response
from tests.unit.http.pieces import cuts


def read(body: Body, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """The payload, and what came behind the body's end."""
    payload = b""
    for number, piece in enumerate(pieces):
        payload += body.feed(piece)
        if body.is_complete:
            return payload, body.rest + b"".join(pieces[number + 1 :])
    return payload, b""


GOOD = {
    b"5\r\nhello\r\n0\r\n\r\nrest": b"hello",
    b"1\r\na\r\n1;x=y\r\nb\r\n0\r\nX-T: v\r\n\r\nrest": b"ab",
    b"1 \t;x\r\na\r\n0\r\n\r\nrest": b"a",
    b"0\r\n\r\nrest": b"",
    b"0\r\nX-T:\r\nY: \ta\xff\r\n\r\nrest": b"",
    b"00a\r\n0123456789\r\n0\r\n\r\nrest": b"0123456789",
    b"B\r\n\r\n0\r\n\r\n\r\nab\r\n0\r\n\r\nrest": b"\r\n0\r\n\r\n\r\nab",
}
LONG_TRAILER = b"X: " + b"y" * 4000 + b"\r\n"
BAD = {
    "0x": b"0x5\r\nhello\r\n",
    "plus": b"+5\r\nhello\r\n",
    "minus": b"-5\r\nhello\r\n",
    "underscore": b"5_0\r\n",
    "blank before": b" 5\r\n",
    "blank behind": b"5 \r\n",
    "tab behind": b"5\t\r\n",
    "blank only": b" ;x\r\n",
    "lf behind the size": b"5\nhello\r\n",
    "cr cr lf": b"5\r\r\nhello\r\n",
    "longer than its size": b"5\r\nhello!\r\n",
    "longer, with cr": b"5\r\nhello\r!",
    "lf behind the chunk": b"5\r\nhello\n0\r\n\r\n",
    "empty line": b"\r\n",
    "no digit": b"g\r\n",
    "arabic digit": b"\xd9\xa5\r\n",
    "nul": b"5\x00\r\n",
    "overflow": b"f" * 16 + b"\r\n",
    "endless digits": b"0" * 300,
    "endless extension": b"5;" + b"x" * 300 + b"\r\n",
    "nul in an extension": b"5;x=\x00\r\nhello\r\n",
    "cr in an extension": b"5;x\ry\r\nhello\r\n",
    "byte over 127 in an extension": b"5;\xff\r\nhello\r\n",
    "trailer without colon": b"0\r\nno colon\r\n\r\n",
    "trailer without name": b"0\r\n: x\r\n\r\n",
    "trailer with a blank in its name": b"0\r\nX : x\r\n\r\n",
    "folded trailer": b"0\r\nX: x\r\n y\r\n\r\n",
    "trailer with nul": b"0\r\nX: \x00\r\n\r\n",
    "trailer with del": b"0\r\nX: \x7f\r\n\r\n",
    "trailer with cr": b"0\r\nX: a\rb\r\n\r\n",
    "lf behind a trailer": b"0\r\nX: x\n\r\n",
    "lf at the end": b"0\r\n\n",
    "one endless trailer": b"0\r\nX: " + b"y" * 9000,
    "endless trailers": b"0\r\n" + LONG_TRAILER * 3,
}


@pytest.mark.parametrize(("raw", "payload"), GOOD.items())
def test_s13_good_chunks_however_they_are_cut(raw: bytes, payload: bytes) -> None:
    for pieces in cuts(raw):
        body = ChunkedBody()
        assert read(body, pieces) == (payload, b"rest")
        assert body.is_complete
        body.end()


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD.keys())
def test_s13_bad_chunks_are_refused_however_they_are_cut(raw: bytes) -> None:
    for pieces in cuts(raw) if len(raw) < 400 else ([raw], [raw[at : at + 1] for at in range(len(raw))]):
        with pytest.raises(FramingError):
            read(ChunkedBody(), pieces)


@pytest.mark.parametrize("raw", GOOD)
def test_s13_a_chunked_body_that_is_cut_short_never_ends_properly(raw: bytes) -> None:
    whole = raw.removesuffix(b"rest")
    for length in range(len(whole)):
        body = ChunkedBody()
        body.feed(whole[:length])
        assert not body.is_complete
        with pytest.raises(FramingError):
            body.end()


def test_big_chunks_pass_without_a_copy() -> None:
    body = ChunkedBody()
    body.feed(b"5\r\n")
    piece = b"he"
    assert body.feed(piece) is piece
    assert body.feed(b"") == b""
    assert body.feed(b"llo") == b"llo"
    assert body.feed(b"\r\n0\r\n\r\n") == b""
    assert body.is_complete


@given(st.lists(st.binary(max_size=40), max_size=5), st.binary(max_size=5), st.data())
def test_what_is_encoded_as_chunks_is_read_again(payloads: list[bytes], rest: bytes, data: st.DataObject) -> None:
    raw = b"".join(map(encode_chunk, payloads)) + LAST_CHUNK + rest
    at = data.draw(st.integers(0, len(raw)))
    assert read(ChunkedBody(), [raw[:at], raw[at:]]) == (b"".join(payloads), rest)


def test_an_empty_payload_is_no_chunk_for_it_would_end_the_body() -> None:
    assert encode_chunk(b"") == b""
    assert encode_chunk(b"x" * 16) == b"10\r\n" + b"x" * 16 + b"\r\n"


@given(st.binary(max_size=30) | st.text(alphabet="0159aF;xX: \t\r\n", max_size=30).map(str.encode))
def test_s84_no_bytes_make_a_chunked_body_raise_anything_else_or_depend_on_their_cut(raw: bytes) -> None:
    def outcome(pieces: list[bytes]) -> object:
        body = ChunkedBody()
        try:
            return *read(body, pieces), body.is_complete
        except FramingError:
            return "refused"

    whole, *others = (outcome(pieces) for pieces in cuts(raw))
    assert all(other == whole for other in others)


def test_s72_a_body_with_a_length_is_cut_at_its_end() -> None:
    for pieces in cuts(b"abcrest"):
        body = LengthBody(3)
        assert read(body, pieces) == (b"abc", b"rest")
        assert (body.is_complete, body.length, body.remaining) == (True, 3, 0)
        body.end()
    assert LengthBody(0).is_complete


def test_s72_a_body_that_is_shorter_than_its_length_is_no_body() -> None:
    body = LengthBody(3)
    assert body.feed(b"ab") == b"ab"
    assert (body.is_complete, body.remaining) == (False, 1)
    with pytest.raises(FramingError):
        body.end()


def test_a_body_that_ends_with_its_connection_ends_with_it() -> None:
    body = CloseBody()
    assert (body.feed(b"ab"), body.feed(b"c"), body.is_complete) == (b"ab", b"c", False)
    body.end()
    assert (body.is_complete, body.rest) == (True, b"")


def test_no_body_takes_nothing() -> None:
    assert (NO_BODY.is_complete, NO_BODY.rest) == (True, b"")
    NO_BODY.end()
    with pytest.raises(FramingError):
        NO_BODY.feed(b"a")


def test_a_body_of_which_nothing_is_known_never_ends() -> None:
    UNTOLD_BODY.end()
    assert (UNTOLD_BODY.is_complete, UNTOLD_BODY.framing, UNTOLD_BODY.announced) == (False, b"", 0)
    with pytest.raises(FramingError):
        UNTOLD_BODY.feed(b"a")


def test_s14_each_body_announces_itself_in_one_field_of_ours() -> None:
    assert LengthBody(7).framing == b"Content-Length: 7\r\n"
    assert ChunkedBody().framing == CloseBody().framing == b"Transfer-Encoding: chunked\r\n"
    assert NO_BODY.framing == b""


def request(*, length: bytes | None = None, coding: bytes | None = None, version: Version = HTTP11) -> Request:
    return Request("POST", "/", version, content_length=length, transfer_encoding=coding)


def response(
    status: int = 200, *, length: bytes | None = None, coding: bytes | None = None, version: Version = HTTP11
) -> Response:
    return Response(status, b"", version, content_length=length, transfer_encoding=coding)


LENGTHS = {b"0": 0, b"7": 7, b"007": 7, b"9223372036854775807": 2**63 - 1}
BAD_LENGTHS = [
    b"",
    b"+7",
    b"-7",
    b"7.0",
    b"0x7",
    b"7,7",
    b"7 7",
    b"1_0",
    b"\xb2",
    b"\xd9\xa5",
    b"9223372036854775808",
    b"00000000000000000007",
]


@pytest.mark.parametrize(("length", "size"), LENGTHS.items())
def test_s11_a_length_is_digits(length: bytes, size: int) -> None:
    for body in (request_body(request(length=length)), response_body(response(length=length), "GET")):
        assert isinstance(body, LengthBody)
        assert body.length == size


@pytest.mark.parametrize("length", BAD_LENGTHS)
def test_s11_any_other_length_is_refused(length: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        request_body(request(length=length))
    assert refusal.value.reason is Reason.BAD_FRAMING
    for method in ("GET", "HEAD"):
        with pytest.raises(Refused) as refusal:
            response_body(response(length=length), method)
        assert refusal.value.reason is Reason.UPSTREAM_BROKEN


def test_a_request_without_an_announcement_has_no_body() -> None:
    assert request_body(request()) is NO_BODY
    assert request_body(request(version=HTTP10)) is NO_BODY


@pytest.mark.parametrize("coding", [b"chunked", b"Chunked", b"CHUNKED"])
def test_the_chunked_coding_is_named_in_any_case(coding: bytes) -> None:
    assert isinstance(request_body(request(coding=coding)), ChunkedBody)
    assert isinstance(response_body(response(coding=coding), "GET"), ChunkedBody)


TWO_READINGS = {
    "length and coding": (b"7", b"chunked", HTTP11),
    "length zero and coding": (b"0", b"chunked", HTTP11),
    "coding in 1.0": (None, b"chunked", HTTP10),
    "identity": (None, b"identity", HTTP11),
    "gzip first": (None, b"gzip, chunked", HTTP11),
    "chunked first": (None, b"chunked, gzip", HTTP11),
    "twice": (None, b"chunked, chunked", HTTP11),
    "comma": (None, b"chunked,", HTTP11),
    "empty": (None, b"", HTTP11),
    "vertical tab": (None, b"\x0bchunked", HTTP11),
}


@pytest.mark.parametrize(("length", "coding", "version"), TWO_READINGS.values(), ids=TWO_READINGS.keys())
def test_s11_what_could_be_cut_in_two_ways_is_refused(length: bytes | None, coding: bytes, version: Version) -> None:
    with pytest.raises(Refused) as refusal:
        request_body(request(length=length, coding=coding, version=version))
    assert refusal.value.reason is Reason.BAD_FRAMING
    for method in ("GET", "HEAD"):
        with pytest.raises(Refused) as refusal:
            response_body(response(length=length, coding=coding, version=version), method)
        assert refusal.value.reason is Reason.UPSTREAM_BROKEN


@pytest.mark.parametrize(("status", "method"), [(200, "HEAD"), (204, "GET"), (304, "GET"), (404, "HEAD")])
@pytest.mark.parametrize(("length", "coding"), [(None, None), (b"7", None), (None, b"chunked")])
def test_rfc9112_6_3_answers_that_have_no_body_whatever_they_announce(
    status: int, method: str, length: bytes | None, coding: bytes | None
) -> None:
    assert response_body(response(status, length=length, coding=coding), method) is NO_BODY


@pytest.mark.parametrize("version", [HTTP10, HTTP11])
def test_an_answer_without_an_announcement_ends_with_its_connection(version: Version) -> None:
    assert isinstance(response_body(response(version=version), "POST"), CloseBody)


def test_what_is_announced_is_known_before_it_comes() -> None:
    assert (NO_BODY.announced, CloseBody().announced, LengthBody(7).announced) == (0, 0, 7)
    body = ChunkedBody()
    assert body.announced == 0
    body.feed(b"5\r\nhe")
    assert body.announced == 5
    body.feed(b"llo\r\nA;x\r\n")
    assert body.announced == 15
    body.feed(b"0123456789\r\n0\r\n\r\n")
    assert (body.announced, body.is_complete) == (15, True)
