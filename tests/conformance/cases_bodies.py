"""Obtain: what is read as a body, which fields are good, and what a log-in answers."""

import codecs
import io
import json
from collections.abc import Iterator
from typing import Final

from tests.conformance.case import (
    CRASH,
    NO_BODY,
    NO_NULLS,
    NOT_A_STRING,
    NOT_AN_OBJECT_NULL,
    NOT_BLANK,
    NOT_NULL,
    PAIR,
    REQUIRED,
    WRONG_CREDENTIALS,
    Case,
    Expected,
    detail,
    html,
    invalid_fields,
    not_an_object,
)
from tests.conformance.wire import post, post_json, request

OBTAIN: Final = b"/api/token/"
ALICE: Final = {"username": "alice", "password": "alice-pass-1"}
GOOD: Final = json.dumps(ALICE).encode()
BOTH_REQUIRED: Final = invalid_fields(username=REQUIRED, password=REQUIRED)
FORM: Final = b"application/x-www-form-urlencoded"
BOM: Final = "Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)"
TOO_MANY_DIGITS: Final = (
    "Exceeds the limit (4300 digits) for integer string conversion: value has 5000 digits; "
    "use sys.set_int_max_str_digits() to increase the limit"
)
TOO_LARGE: Final = 2_621_441  # one byte over Django's DATA_UPLOAD_MAX_MEMORY_SIZE


def _multipart(*parts: tuple[bytes, bytes]) -> bytes:
    return b"".join(b"--edge\r\n" + head + b"\r\n\r\n" + value + b"\r\n" for head, value in parts) + b"--edge--\r\n"


def _named(name: bytes, extra: bytes = b"") -> bytes:
    return b'Content-Disposition: form-data; name="' + name + b'"' + extra


ALICE_MULTIPART: Final = _multipart((_named(b"username"), b"alice"), (_named(b"password"), b"alice-pass-1"))


def _parse_error(text: str) -> Expected:
    return detail(400, f"JSON parse error - {text}")


def _undecodable(body: bytes, charset: str) -> Expected:
    """What is wrong with it is in the words of this Python's codec; 3.13 has other ones than 3.12."""
    try:
        codecs.getreader(charset)(io.BytesIO(body)).read()
    except UnicodeError as error:
        return _parse_error(str(error))
    raise AssertionError(f"this is {charset}: {body!r}")


def _not_utf8(position: int) -> str:
    return f"'utf-8' codec can't decode byte 0xff in position {position}: invalid start byte"


def _unsupported(media_type: str) -> Expected:
    return detail(415, f'Unsupported media type "{media_type}" in request.')


def _logins() -> Iterator[tuple[str, object, Expected]]:
    """JSON bodies that are objects: what a log-in answers."""
    yield "good", ALICE, PAIR
    yield "good-unicode", {"username": "jürgen", "password": "pässwörd-5 ☃"}, PAIR
    yield "good-blanks-inside", {"username": "bob", "password": "bob-pass-2 with blanks"}, PAIR
    yield "good-quotes", {"username": "quentin", "password": 'quote"back\\slash-10'}, PAIR
    yield "unknown-fields", {**ALICE, "remember": True, "next": "/", "is_staff": True, "user_id": 2}, PAIR
    yield "blanks-around-password", {**ALICE, "password": "  alice-pass-1\t"}, PAIR
    yield "blanks-around-username", {**ALICE, "username": "\n alice\u00a0"}, PAIR
    yield "numbers", {"username": 12345, "password": 67890123}, PAIR
    yield "float", {"username": 12345.0, "password": 67890123}, WRONG_CREDENTIALS
    yield "wrong-password", {**ALICE, "password": "wrong"}, WRONG_CREDENTIALS
    yield "password-case", {**ALICE, "password": "ALICE-PASS-1"}, WRONG_CREDENTIALS
    yield "username-case", {**ALICE, "username": "Alice"}, WRONG_CREDENTIALS
    yield "username-fullwidth", {**ALICE, "username": "ａlice"}, WRONG_CREDENTIALS
    yield "username-decomposed", {"username": "ju\u0308rgen", "password": "pässwörd-5 ☃"}, WRONG_CREDENTIALS
    yield "login-by-email", {**ALICE, "username": "alice@example.org"}, WRONG_CREDENTIALS
    yield "unknown-user", {"username": "nobody", "password": "x"}, WRONG_CREDENTIALS
    yield "inactive-user", {"username": "ivan", "password": "ivan-pass-3"}, WRONG_CREDENTIALS
    yield "inactive-user-wrong-password", {"username": "ivan", "password": "wrong"}, WRONG_CREDENTIALS
    yield "deleted-user", {"username": "gone", "password": "gone-pass-4"}, WRONG_CREDENTIALS
    yield "sql-in-username", {**ALICE, "username": "alice' OR '1'='1"}, WRONG_CREDENTIALS
    yield "long-username", {**ALICE, "username": "a" * 1000}, WRONG_CREDENTIALS
    yield "long-password", {**ALICE, "password": "x" * 5000}, WRONG_CREDENTIALS
    yield "control-characters", {**ALICE, "password": "alice\x01pass\x7f1"}, WRONG_CREDENTIALS


def _field_errors() -> Iterator[tuple[str, object, Expected]]:
    """JSON bodies that are objects whose fields are refused before anything is looked up."""
    surrogate = "Surrogate characters are not allowed: U+D800."
    yield "no-fields", {}, BOTH_REQUIRED
    yield "no-username", {"password": "x"}, invalid_fields(username=REQUIRED)
    yield "no-password", {"username": "alice"}, invalid_fields(password=REQUIRED)
    yield "email-instead", {"email": "a@b", "password": "x"}, invalid_fields(username=REQUIRED)
    yield "field-name-case", {"Username": "alice", "Password": "x"}, BOTH_REQUIRED
    yield "null-password", {**ALICE, "password": None}, invalid_fields(password=NOT_NULL)
    yield "null-both", {"username": None, "password": None}, invalid_fields(username=NOT_NULL, password=NOT_NULL)
    yield "empty-both", {"username": "", "password": ""}, invalid_fields(username=NOT_BLANK, password=NOT_BLANK)
    yield "blank-password", {**ALICE, "password": " \t\n"}, invalid_fields(password=NOT_BLANK)
    yield "blank-unicode", {**ALICE, "password": "\u2003\u00a0"}, invalid_fields(password=NOT_BLANK)
    yield "list-password", {**ALICE, "password": ["alice-pass-1"]}, invalid_fields(password=NOT_A_STRING)
    yield "object-username", {**ALICE, "username": {"a": 1}}, invalid_fields(username=NOT_A_STRING)
    yield "boolean-password", {**ALICE, "password": True}, invalid_fields(password=NOT_A_STRING)
    yield "mixed", {"username": False, "password": None}, invalid_fields(username=NOT_A_STRING, password=NOT_NULL)
    yield "nul-in-password", {**ALICE, "password": "alice-pass-1\x00"}, invalid_fields(password=NO_NULLS)
    yield "nul-in-username", {**ALICE, "username": "ali\x00ce"}, invalid_fields(username=NO_NULLS)
    yield "surrogate-password", {**ALICE, "password": "\ud800"}, invalid_fields(password=surrogate)
    yield "surrogate-username", {**ALICE, "username": "a\ud800"}, invalid_fields(username=surrogate)


def _json_texts() -> Iterator[tuple[str, bytes, Expected]]:
    """JSON bodies as text."""
    yield "empty-body", b"", BOTH_REQUIRED
    yield "blank-body", b"  \n", _parse_error("Expecting value: line 2 column 1 (char 3)")
    yield "json-null", b"null", NOT_AN_OBJECT_NULL
    yield "json-list", b"[1, 2]", not_an_object("list")
    yield "json-string", b'"alice"', not_an_object("str")
    yield "json-int", b"1", not_an_object("int")
    yield "json-float", b"1.5", not_an_object("float")
    yield "json-true", b"true", not_an_object("bool")
    yield "json-cut", b'{"username": "alice"', _parse_error("Expecting ',' delimiter: line 1 column 21 (char 20)")
    yield (
        "json-trailing-garbage",
        GOOD + b" x",
        _parse_error(f"Extra data: line 1 column {len(GOOD) + 2} (char {len(GOOD) + 1})"),
    )
    yield (
        "json-single-quotes",
        b"{'username': 'alice'}",
        _parse_error("Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    )
    yield (
        "json-nan",
        b'{"username": NaN, "password": 1}',
        _parse_error("Out of range float values are not JSON compliant: 'NaN'"),
    )
    yield (
        "json-infinity",
        b'{"username": "alice", "password": -Infinity}',
        _parse_error("Out of range float values are not JSON compliant: '-Infinity'"),
    )


def _json_readings() -> Iterator[tuple[str, bytes, Expected]]:
    """JSON texts that readers disagree on: encodings, doubled names, depth and size."""
    yield "json-overflowing-float", b'{"username": 1e400, "password": 1}', WRONG_CREDENTIALS
    yield "json-bom", b"\xef\xbb\xbf" + GOOD, _parse_error(BOM)
    yield "json-invalid-utf8", b'{"username": "\xff"}', _parse_error(_not_utf8(14))
    yield "json-utf16", GOOD.decode().encode("utf-16"), _parse_error(_not_utf8(0))
    yield (
        "json-raw-control",
        b'{"username": "a\x01"}',
        _parse_error("Invalid control character at: line 1 column 16 (char 15)"),
    )
    yield "json-duplicate-key", b'{"username": "nobody", "username": "alice", "password": "alice-pass-1"}', PAIR
    yield "json-duplicate-key-last-bad", GOOD[:-1] + b', "password": null}', invalid_fields(password=NOT_NULL)
    yield "json-blanks-around", b" \r\n\t" + GOOD + b"\n", PAIR
    yield "json-escapes", b'{"\\u0075sername": "\\u0061lice", "password": "alice-pass-\\u0031"}', PAIR
    yield "json-many-digits", b'{"username": ' + b"9" * 5000 + b', "password": 1}', _parse_error(TOO_MANY_DIGITS)
    yield "json-deep", b'{"username": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", CRASH
    yield "json-deep-unknown-field", GOOD[:-1] + b', "x": ' + b"[" * 500 + b"]" * 500 + b"}", PAIR
    yield "json-deep-unknown-field-20000", GOOD[:-1] + b', "x": ' + b"[" * 20_000 + b"]" * 20_000 + b"}", CRASH
    yield "65-kib", GOOD + b" " * (65 * 1024 - len(GOOD)), PAIR
    yield "too-large", GOOD + b" " * (TOO_LARGE - len(GOOD)), html(400)


def _json_types() -> Iterator[tuple[str, bytes | None, bytes, Expected]]:
    """JSON under every label that is taken for it."""
    latin = json.dumps({"username": "jürgen", "password": "pässwörd-5 ?"}, ensure_ascii=False).encode("latin-1")
    unicode_json = json.dumps({"username": "jürgen", "password": "pässwörd-5 ☃"}, ensure_ascii=False).encode()

    yield "type-json-charset", b"application/json; charset=utf-8", GOOD, PAIR
    yield "type-json-case", b"Application/JSON", GOOD, PAIR
    yield "type-json-parameter", b"application/json; indent=4", GOOD, PAIR
    yield "type-json-raw-utf8", b"application/json", unicode_json, PAIR
    yield "type-json-latin1-label", b"application/json; charset=latin-1", unicode_json, WRONG_CREDENTIALS
    yield (
        "type-json-latin1",
        b"application/json; charset=iso-8859-1",
        latin,
        WRONG_CREDENTIALS,
    )
    yield "type-json-utf16", b"application/json; charset=utf-16", GOOD.decode().encode("utf-16"), PAIR
    yield "type-json-unknown-charset", b"application/json; charset=klingon", GOOD, PAIR

    no_charset = detail(400, 'Unsupported charset "rot13" in request Content-Type header.')
    yield "type-json-rot13", b"application/json; charset=rot13", GOOD, no_charset
    yield "type-json-punycode", b"application/json; charset=punycode", GOOD + b"-", PAIR
    yield "type-json-empty-charset", b"application/json; charset=", GOOD, PAIR
    last_counts = _undecodable(GOOD, "utf-16")
    yield "type-json-two-charsets", b"application/json; charset=utf-8; charset=utf-16", GOOD, last_counts
    yield "type-json-semicolon", b"application/json;", GOOD, PAIR


def _other_types() -> Iterator[tuple[str, bytes | None, bytes, Expected]]:
    """Bodies that are not read, whatever they hold."""
    yield "type-text", b"text/plain", GOOD, _unsupported("text/plain")
    yield "type-fetch-default", b"text/plain;charset=UTF-8", GOOD, _unsupported("text/plain;charset=UTF-8")
    yield "type-text-json", b"text/json", GOOD, _unsupported("text/json")
    yield "type-json-api", b"application/vnd.api+json", GOOD, _unsupported("application/vnd.api+json")
    yield "type-octets", b"application/octet-stream", GOOD, _unsupported("application/octet-stream")
    yield "type-xml", b"application/xml; charset=utf-8", b"<a/>", _unsupported("application/xml; charset=utf-8")
    yield "type-no-slash", b"json", GOOD, _unsupported("json")
    yield "type-wildcard", b"*/*", GOOD, PAIR
    yield "type-quotes", b'text/"x"', GOOD, _unsupported('text/"x"')
    yield "type-absent", None, GOOD, _unsupported("")
    yield "type-empty", b"", GOOD, _unsupported("")
    yield "type-text-empty-body", b"text/plain", b"", BOTH_REQUIRED
    yield "type-absent-empty-body", None, b"", BOTH_REQUIRED


def _forms() -> Iterator[tuple[str, bytes | None, bytes, Expected]]:
    form = b"username=alice&password=alice-pass-1"
    yield "form-good", FORM, form, PAIR
    yield "form-charset", FORM + b"; charset=UTF-8", form, PAIR
    yield "form-encoded", FORM, b"username=%61lice&password=+alice%2Dpass-1+", PAIR
    yield "form-unicode", FORM, b"username=j%C3%BCrgen&password=p%C3%A4ssw%C3%B6rd-5+%E2%98%83", PAIR
    yield "form-repeated", FORM, b"username=nobody&username=alice&password=alice-pass-1", PAIR
    yield "form-unknown-fields", FORM, form + b"&csrfmiddlewaretoken=x&next=%2F", PAIR
    yield "form-missing", FORM, b"username=alice", invalid_fields(password=REQUIRED)
    yield "form-blank", FORM, b"username=alice&password=+", invalid_fields(password=NOT_BLANK)
    yield "form-empty-value", FORM, b"username=&password=", invalid_fields(username=NOT_BLANK, password=NOT_BLANK)
    yield "form-name-only", FORM, b"username&password=x", invalid_fields(username=NOT_BLANK)
    yield "form-semicolon", FORM, b"username=alice;password=alice-pass-1", invalid_fields(password=REQUIRED)
    yield "form-nul", FORM, b"username=alice&password=a%00b", invalid_fields(password=NO_NULLS)
    yield "form-broken-escape", FORM, b"username=alice&password=%zz%4", WRONG_CREDENTIALS
    yield "form-invalid-utf8", FORM, b"username=alice&password=%ff%fe", WRONG_CREDENTIALS
    yield "form-with-json", FORM, GOOD, BOTH_REQUIRED
    yield "form-too-many-fields", FORM, form + b"&a=b" * 1000, html(400)


def _multiparts() -> Iterator[tuple[str, bytes | None, bytes, Expected]]:
    multipart = b"multipart/form-data; boundary=edge"
    credentials = [(_named(b"username"), b"alice"), (_named(b"password"), b"alice-pass-1")]
    yield "multipart-good", multipart, ALICE_MULTIPART, PAIR
    yield "multipart-quoted-boundary", b'multipart/form-data; boundary="edge"', ALICE_MULTIPART, PAIR
    yield "multipart-preamble", multipart, b"ignore me\r\n" + ALICE_MULTIPART + b"and me", PAIR
    yield (
        "multipart-repeated",
        multipart,
        _multipart((_named(b"username"), b"nobody"), *credentials),
        PAIR,
    )
    yield (
        "multipart-file",
        multipart,
        _multipart(
            credentials[0],
            (_named(b"password", b'; filename="p.txt"') + b"\r\nContent-Type: text/plain", b"alice-pass-1"),
        ),
        invalid_fields(password=NOT_A_STRING),
    )
    other = b"multipart/form-data; boundary=other"
    yield "multipart-other-boundary", other, ALICE_MULTIPART, invalid_fields(password=REQUIRED)
    yield "multipart-no-part", other, b"alice", BOTH_REQUIRED
    no_boundary = detail(400, "Multipart form parse error - Invalid boundary in multipart: None")
    yield "multipart-no-boundary", b"multipart/form-data", ALICE_MULTIPART, no_boundary
    yield (
        "multipart-mixed",
        b"multipart/mixed; boundary=edge",
        ALICE_MULTIPART,
        _unsupported("multipart/mixed; boundary=edge"),
    )
    many = [(_named(b"x"), b"y")] * 60
    yield "multipart-62-parts", multipart, _multipart(*many, *credentials), PAIR
    yield "multipart-line-feeds-only", multipart, ALICE_MULTIPART.replace(b"\r\n", b"\n"), BOTH_REQUIRED
    base64_part = (_named(b"password") + b"\r\nContent-Transfer-Encoding: base64", b"YWxpY2UtcGFzcy0x")
    yield "multipart-base64", multipart, _multipart(credentials[0], base64_part), PAIR
    no_name = (b"Content-Type: text/plain", b"lost")
    yield "multipart-part-without-name", multipart, _multipart(no_name, *credentials), PAIR
    unnamed_file = (_named(b"password", b'; filename=""'), b"alice-pass-1")
    yield "multipart-empty-file-name", multipart, _multipart(credentials[0], unnamed_file), PAIR
    yield "multipart-empty-body", multipart, b"", BOTH_REQUIRED
    yield "multipart-cut", multipart, ALICE_MULTIPART[:-10], PAIR


MOVED: Final = Expected(status=301, body=NO_BODY)


def _surroundings() -> Iterator[Case]:
    """A log-in looks at nothing but its body."""
    stale = b"Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"
    yield Case(id="obtain-stale-bearer", request=post(OBTAIN, GOOD, stale), expected=PAIR)
    basic = b"Authorization: Basic YWxpY2U6d3Jvbmc="
    yield Case(id="obtain-basic", request=post(OBTAIN, GOOD, basic), expected=PAIR)
    cookies = b"Cookie: sessionid=abc; csrftoken=def"
    yield Case(id="obtain-cookies", request=post(OBTAIN, GOOD, cookies), expected=PAIR)
    evil = b"Origin: https://evil.example"
    yield Case(id="obtain-other-origin", request=post(OBTAIN, GOOD, evil), expected=PAIR)
    override = b"X-HTTP-Method-Override: DELETE"
    yield Case(id="obtain-method-override", request=post(OBTAIN, GOOD, override), expected=PAIR)
    yield Case(id="obtain-query", request=post(OBTAIN + b"?username=bob&next=/", GOOD), expected=PAIR)
    german = b"Accept-Language: de"
    wrong = post_json(OBTAIN, {**ALICE, "password": "wrong"}, german)
    yield Case(id="obtain-accept-language", request=wrong, expected=WRONG_CREDENTIALS)
    packed = b"Content-Encoding: gzip"
    yield Case(id="obtain-content-encoding", request=post(OBTAIN, GOOD, packed), expected=PAIR)
    chunked = request(
        b"POST", OBTAIN, b"Content-Type: application/json", b"Transfer-Encoding: chunked"
    ) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)
    yield Case(id="obtain-chunked", request=chunked, expected=BOTH_REQUIRED)
    old = request(b"POST", OBTAIN, b"Content-Type: application/json", body=GOOD, version=b"HTTP/1.0")
    yield Case(id="obtain-http10", request=old, expected=PAIR)
    yield Case(id="obtain-no-length", request=request(b"POST", OBTAIN), expected=BOTH_REQUIRED)
    yield Case(id="obtain-no-slash", request=post(OBTAIN.rstrip(b"/"), GOOD), expected=MOVED)
    no_match = post(OBTAIN.rstrip(b"/"), b"{}")
    yield Case(id="obtain-no-slash-bad-body", request=no_match, expected=MOVED)


def _cases() -> Iterator[Case]:
    for name, value, expected in [*_logins(), *_field_errors()]:
        yield Case(id=f"obtain-{name}", request=post_json(OBTAIN, value), expected=expected)
    for name, text, expected in [*_json_texts(), *_json_readings()]:
        yield Case(id=f"obtain-{name}", request=post(OBTAIN, text), expected=expected)
    for name, content_type, body, expected in [*_json_types(), *_other_types(), *_forms(), *_multiparts()]:
        yield Case(id=f"obtain-{name}", request=post(OBTAIN, body, content_type=content_type), expected=expected)
    yield from _surroundings()


CASES: Final = tuple(_cases())
