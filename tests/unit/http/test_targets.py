"""Targets: one canonical form, or a refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Refused
from gateway.http.targets import parse_target


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/", "/"),
        ("/a/b/", "/a/b/"),
        ("/%61%2d%7E", "/a-~"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a[0]|b", "/a%5B0%5D%7Cb"),
        ("/a.b/..c/...", "/a.b/..c/..."),
        ("http://h:80/x?y", "/x"),
        ("http://h?y", "/"),
    ],
)
def test_s20_canonical_paths(raw: str, path: str) -> None:
    assert parse_target(raw).path == path


@pytest.mark.parametrize(
    "raw",
    ["/../a", "/a/./b", "/a/..", "/%2e%2e/a", "/.%2E", "//a", "/a//b", "/a;b", "/a%3bb", "/a%2fb", "/a%5cb", "/a\\b",
     "/a%00", "/a%0a", "/a%", "/a%4", "/a%zz", "/%252e", "/a#b", "/a?b#c", "/a b", "/\u00e9", "*", "x", "ftp://h/"],
)  # fmt: skip
def test_s21_targets_with_two_readings_are_refused(raw: str) -> None:
    with pytest.raises(Refused):
        parse_target(raw)


@given(st.text(alphabet="/.%25eEfFcC;\\?a#~ ", max_size=12))
def test_s20_the_canonical_form_is_canonical(text: str) -> None:
    try:
        target = parse_target("/" + text)
    except Refused:
        return
    assert parse_target(target.encoded.decode()) == target
    assert not {".", ".."} & set(target.path.split("/"))
    assert "//" not in target.path
