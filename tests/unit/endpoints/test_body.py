"""Contract §2: media types and what becomes of their bodies. Reading over a connection is in test_view.py."""

import asyncio
import json
from contextlib import suppress

import pytest
from aiohttp import StreamReader, web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.endpoints import body
from gateway.endpoints.answers import RequestError
from gateway.endpoints.fields import UploadedFile
from gateway.errors import Reason, Refused

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def refusal(content: bytes, content_type: str) -> tuple[int, object]:
    with pytest.raises(RequestError) as error:
        body.parse(content, content_type)
    return error.value.status, error.value.body.get("detail")


@pytest.mark.parametrize(
    "content_type", [JSON, "Application/JSON", "application/json;charset=utf-8", "application/json; x=y", "*/*"]
)
def test_json_types(content_type: str) -> None:
    assert body.parse(b'{"a":1}', content_type) == {"a": 1}


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "text/plain;charset=UTF-8",
        "text/json",
        "json",
        "application/vnd.api+json",
        "application/octet-stream",
        "application/json, application/json",
        'A/B;  x="y"',
        "application/json" + ";a=b" * 70,
        "application/json; charset*=nope''x",
    ],
)
def test_other_types_are_refused_and_echoed(content_type: str) -> None:
    assert refusal(b"{}", content_type) == (415, f'Unsupported media type "{content_type}" in request.')


@pytest.mark.parametrize("content_type", [JSON, FORM, "multipart/form-data", "text/plain", ""])
def test_an_empty_body_is_an_empty_object(content_type: str) -> None:
    assert body.parse(b"", content_type) == {}


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b" ", "Expecting value: line 1 column 2 (char 1)"),
        (b"{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b"{}x", "Extra data: line 1 column 3 (char 2)"),
        (b"{'a':1}", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b"\xef\xbb\xbf{}", "Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)"),
        (b"[NaN]", "Out of range float values are not JSON compliant: 'NaN'"),
        (b"-Infinity", "Out of range float values are not JSON compliant: '-Infinity'"),
        (b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b'"\x01"', "Invalid control character at: line 1 column 2 (char 1)"),
    ],
)
def test_s51_broken_json(content: bytes, text: str) -> None:
    assert refusal(content, JSON) == (400, f"JSON parse error - {text}")


def test_s51_an_integer_of_many_digits() -> None:
    status, text = refusal(b"1" * 5000, JSON)
    assert (status, str(text)[:37]) == (400, "JSON parse error - Exceeds the limit ")


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 60_000,
        b'{"a":' * 12_000,
        b"[" * 30_000 + b"]" * 30_000,
        b'"",' * 200 + b"[" * 601 + b'"' + b'\\"' * 30_000,
    ],
    ids=["arrays", "objects", "closed", "text_that_is_not_closed"],
)
def test_s51_deep_nesting(content: bytes) -> None:
    assert refusal(content, JSON) == (400, "JSON parse error - Too many levels of nesting")


def test_s51_the_deepest_nesting_that_passes_is_the_same_on_every_python() -> None:
    assert body.parse(b"[" * 600 + b"]" * 600, JSON)
    assert refusal(b"[" * 601 + b"]" * 601, JSON) == (400, "JSON parse error - Too many levels of nesting")


@pytest.mark.parametrize("password", ["[{" * 2000, '\\"[' * 1000, "[" * 600 + "\\\\"])
def test_brackets_in_a_text_are_no_nesting(password: str) -> None:
    content = f'{{"password": "{password}", "more": [{"[]," * 600}0]}}'
    assert body.parse(content.encode(), JSON) == json.loads(content)


@pytest.mark.parametrize(
    ("content", "content_type", "expected"),
    [
        (b'{"a":1,"a":2}', JSON, {"a": 2}),
        (b'{"a":1}\xe2', JSON, {"a": 1}),
        (b"null", JSON, None),
        (b'{"a":"\xc3\xa9"}', "application/json; charset=latin-1", {"a": "Ã©"}),
        (b'{"a":"\xe9"}', "application/json; charset=latin-1", {"a": "é"}),
        (b'{"a":"\xc3\xa9"}', "application/json; charset=nope", {"a": "é"}),
        (b'{"a":"\xc3\xa9"}', 'application/json; charset="UTF-8"', {"a": "é"}),
        (b"\xef\xbb\xbf{}", "application/json; charset=utf-8-sig", {}),
        ('{"a":1}'.encode("utf-16"), "application/json; charset=utf-16", {"a": 1}),
        (b"a=1&b=2", FORM, {"a": "1", "b": "2"}),
        (b"a=1&a=2", FORM, {"a": "2"}),
        (b"a=&b", FORM, {"a": "", "b": ""}),
        (b"a=%C3%A9+%26", FORM, {"a": "é &"}),
        (b"a=%FF", FORM, {"a": "\ufffd"}),
        (b"a=\xe9", FORM, {"a": "é"}),
        (b"a=%E9", f"{FORM}; charset=latin-1", {"a": "é"}),
        (b"a=1;b=2", FORM, {"a": "1;b=2"}),
        (b"%", FORM, {"%": ""}),
    ],
)
def test_good_bodies(content: bytes, content_type: str, expected: object) -> None:
    assert body.parse(content, content_type) == expected


@pytest.mark.parametrize("content_type", [JSON, FORM, "multipart/form-data; boundary=b"])
@pytest.mark.parametrize("charset", ["bz2", "punycode"])
def test_s49_a_charset_that_is_none(content_type: str, charset: str) -> None:
    detail = f'Unsupported charset "{charset}" in request Content-Type header.'
    assert refusal(b"x", f"{content_type}; charset={charset}") == (400, detail)


def test_s49_a_form_of_many_fields() -> None:
    assert body.parse(b"&".join([b"a=1"] * body.MAX_FORM_FIELDS), FORM) == {"a": "1"}
    assert refusal(b"&".join([b"a=1"] * (body.MAX_FORM_FIELDS + 1)), FORM)[0] == 400


def test_multipart_is_parsed() -> None:
    content = b'--b\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\nx\r\n--b--\r\n'
    parsed = body.parse(content, "multipart/form-data; boundary=b")
    assert isinstance(parsed, dict)
    assert isinstance(parsed["a"], UploadedFile)


def test_content_type_is_read_as_a_wsgi_server_does() -> None:
    request = make_mocked_request("POST", "/", headers=[("Content-Type", "a/bÿ"), ("Content-Type", "c")])
    assert body.content_type_of(request) == "a/b\xc3\xbf,c"
    assert body.content_type_of(make_mocked_request("POST", "/")) == ""


@pytest.mark.parametrize("fault", [web.RequestPayloadError("bad chunk"), ConnectionResetError()])
async def test_a_body_that_breaks_off(fault: Exception) -> None:
    payload = StreamReader(make_mocked_request("POST", "/").protocol, 2**16, loop=asyncio.get_running_loop())
    payload.feed_data(b"{")
    payload.set_exception(fault)
    with pytest.raises(Refused) as refused:
        await body.read(make_mocked_request("POST", "/", payload=payload), deadline=1)
    assert refused.value.reason is Reason.BAD_FRAMING


CONTENT = st.binary(max_size=200) | st.text().map(lambda text: json.dumps(text).encode())
PARTS = st.lists(
    st.sampled_from(
        [b"--b", b"\r\n", b"\n", b"--", b":", b";", b"=", b'"', b"Content-Disposition: form-data", b"name", b"filename"]
    )
    | st.binary(max_size=5)
).map(b"".join)
CHARSETS = st.sampled_from(["utf-8", "utf-7", "utf-16", "hz", "iso-2022-jp", "shift_jis", "cp037", "latin-1", "idna"])
TYPES = st.sampled_from([JSON, FORM, "multipart/form-data; boundary=b"])


@settings(max_examples=100, deadline=None)
@given(CONTENT | PARTS, st.builds("{}; charset={}".format, TYPES, CHARSETS) | TYPES | st.text(max_size=40))
def test_s84_any_body_is_parsed_or_refused(content: bytes, content_type: str) -> None:
    with suppress(RequestError):
        body.parse(content, content_type)
