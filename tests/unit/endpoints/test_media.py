import codecs

import pytest

from gateway.endpoints import media


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", ("", {})),
        (" Application/JSON ", ("application/json", {})),
        ("application/json;charset=UTF-8", ("application/json", {"charset": "UTF-8"})),
        ('multipart/form-data; boundary="a;b"', ("multipart/form-data", {"boundary": "a;b"})),
        ("text/plain;", ("text/plain", {})),
        ("text/plain; x", ("text/plain", {"x": ""})),
        ("form-data; name*=utf-8''p%C3%A4ss", ("form-data", {"name": "päss"})),
        ("form-data; name*0=pass; name*1=word", ("form-data", {"name": "password"})),
    ],
)
def test_type_and_parameters(line: str, expected: tuple[str, dict[str, str]]) -> None:
    assert media.parse(line) == expected


@pytest.mark.parametrize("line", ["form-data; name*=no-such-charset''x", "form-data; name*=punycode''x"])
def test_s83_an_rfc_2231_value_in_an_unknown_charset_is_refused_unseen_by_python(line: str) -> None:
    with pytest.raises(ValueError, match="charset"):
        media.parse(line)


def test_many_parameters_are_refused() -> None:
    assert media.parse("a/b" + ";x=1" * media.MAX_PARAMETERS)[0] == "a/b"
    with pytest.raises(ValueError, match="parameters"):
        media.parse("a/b" + ";x=1" * (media.MAX_PARAMETERS + 1))


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("utf-8", "utf-8"),
        ("UTF8", "utf-8"),
        ("latin-1", "iso8859-1"),
        ("ISO-8859-15", "iso8859-15"),
        ("windows-1252", "cp1252"),
        ("utf-8-sig", "utf-8-sig"),
        ("no-such-charset", "utf-8"),
        ("", "utf-8"),
        ("mbcs", "utf-8"),
        ("../utf-8", "utf-8"),
    ],
)
def test_charset(name: str, codec: str) -> None:
    assert codecs.lookup(media.charset(name)).name == codec


@pytest.mark.parametrize("name", ["bz2", "zlib", "base64", "rot13", "idna", "punycode", "unicode_escape", "undefined"])
def test_s49_codecs_that_unpack_or_are_no_charset_are_refused(name: str) -> None:
    with pytest.raises(LookupError):
        media.charset(name)


def test_every_charset_of_the_list_is_one_for_text() -> None:
    for name in media._CHARSETS:
        assert isinstance("".encode(media.charset(name)), bytes)


@pytest.mark.parametrize(
    ("theirs", "is_covered"),
    [
        ("application/json", True),
        ("*/*", True),
        ("application/*", True),
        ("*/json", True),
        ("application/xml", False),
        ("application/jsonp", False),
        ("text/json", False),
        ("application", False),
        ("json", False),
        ("*", False),
        ("", False),
    ],
)
def test_what_a_peer_calls_json(theirs: str, is_covered: bool) -> None:
    assert media.is_covered("application/json", theirs) is is_covered
