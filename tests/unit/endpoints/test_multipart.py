"""Django's readings of multipart bodies; each expected value was compared with Django 5.2.19 itself."""

import pytest

from gateway.endpoints import multipart
from gateway.endpoints.answers import RequestError
from gateway.endpoints.fields import UploadedFile

TYPE = "multipart/form-data; boundary=b"


def form(*parts: bytes) -> bytes:
    return b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


def part(name: bytes, content: bytes, *, filename: bytes | None = None, encoding: bytes | None = None) -> bytes:
    head = b'Content-Disposition: form-data; name="' + name + b'"'
    if filename is not None:
        head += b'; filename="' + filename + b'"'
    if encoding is not None:
        head += b"\r\nContent-Transfer-Encoding: " + encoding
    return head + b"\r\n\r\n" + content


def parsed(body: bytes, content_type: str = TYPE, charset: str = "utf_8") -> dict[str, str]:
    """Files are shown as `file:<name>`."""
    found = multipart.parse(body, content_type, charset)
    return {name: f"file:{v.name}" if isinstance(v, UploadedFile) else v for name, v in found.items()}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (form(part(b"username", b"alice"), part(b"password", b"p w")), {"username": "alice", "password": "p w"}),
        (form(part(b"a", b"1"), part(b"a", b"2")), {"a": "2"}),
        (form(part(b"a", b"")), {"a": ""}),
        (form(part(b" a ", b"1")), {"a": "1"}),
        (form(part(b"a", b"1\r\n2\r\n")), {"a": "1\r\n2\r\n"}),
        (form(part(b"a", b"\xc3\xa9")), {"a": "é"}),
        (form(part(b"a", b"\xff")), {"a": "\ufffd"}),
        (form(part(b"a", b"x", filename=b"f.txt")), {"a": "file:f.txt"}),
        (form(part(b"a", b"x", filename=b"C:\\dir\\f.txt")), {"a": "file:f.txt"}),
        (form(part(b"a", b"x", filename=b"../..")), {}),
        (form(part(b"a", b"x", filename=b"&#47;")), {}),
        (form(part(b"a", b"x", filename=b"")), {"a": "x"}),
        (form(part(b"a", b"x", filename=b"f"), part(b"a", b"1")), {"a": "file:f"}),
        (form(part(b"a", b"YWJj", encoding=b"base64")), {"a": "abc"}),
        (form(part(b"a", b"YWJ", encoding=b"BASE64")), {"a": "YWJ"}),
        (form(part(b"a", b"YWJj", filename=b"f", encoding=b"base64")), {"a": "file:f"}),
        (form(b"X: y\r\n\r\n1"), {}),
        (form(b"Content-Disposition: form-data\r\n\r\n1"), {}),
        (form(b"Content-Disposition : form-data; name=a\r\n\r\n1"), {}),
        (form(b"Content-Disposition: form-data; name=\xff\r\n\r\n1"), {}),
        (form(b"Content-Disposition: form-data; name=a\r\nContent-Disposition: x; name=b\r\n\r\n1"), {"b": "1"}),
        (form(b"Content-Disposition: form-data; name=a\r\nContent-Disposition: x; name=\xff\r\n\r\n1"), {"a": "1"}),
        (form(b"Content-Disposition: form-data; name*=nope''b\r\n\r\n1"), {}),
        (b"no delimiter at all", {}),
        (b"preamble\r\n" + form(part(b"a", b"1")), {"a": "1"}),
        (b"--b\r\n" + part(b"a", b"1") + b"\r\n--b", {"a": "1"}),
        (b"--b\r\n" + part(b"a", b"1"), {"a": "1"}),
        (b"--b\r\n" + part(b"a", b"1", filename=b"f"), {}),
        (b"--b\r\n" + part(b"a", b"1", filename=b"f") + b"\r\n--b", {}),
        (b"--b\n" + part(b"a", b"1") + b"\n--b--", {"a": "1"}),
        (b"--b--", {}),
    ],
)
def test_forms(body: bytes, expected: dict[str, str]) -> None:
    assert parsed(body) == expected


def test_the_charset_of_the_request_decides_about_texts_and_names() -> None:
    assert parsed(form(part("é".encode(), b"\xe9")), charset="latin_1") == {"Ã©": "é"}


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        ("multipart/form-data", b"x", "Invalid boundary in multipart: None"),
        ("multipart/form-data; boundary=", b"x", "Invalid boundary in multipart: "),
        ('multipart/form-data; boundary="a "', b"x", "Invalid boundary in multipart: a "),
        ("Multipart/form-data; boundary=b", b"x", "Invalid Content-Type: Multipart/form-data; boundary=b"),
        (
            "multipart/form-data; boundary=é",
            b"x",
            "Invalid non-ASCII Content-Type in multipart: multipart/form-data; boundary=é",
        ),
        (TYPE, form(b"x" * 1024), "Request max total header size exceeded."),
        (TYPE, form(part(b"a", b"YWJ", filename=b"f", encoding=b"base64")), "Could not decode base64 data."),
        (TYPE, form(part(b"a", b"Y===", filename=b"f", encoding=b"base64")), "Could not decode base64 data."),
        (TYPE, form(*[part(b"a", b"1")] * (multipart.MAX_PARTS + 1)), "Too many parts."),
    ],
)
def test_broken_forms(content_type: str, body: bytes, text: str) -> None:
    with pytest.raises(RequestError) as refusal:
        multipart.parse(body, content_type, "utf_8")
    assert (refusal.value.status, refusal.value.body) == (400, {"detail": f"Multipart form parse error - {text}"})


def test_as_many_parts_as_allowed() -> None:
    assert parsed(form(*[part(b"a", b"1")] * multipart.MAX_PARTS)) == {"a": "1"}
