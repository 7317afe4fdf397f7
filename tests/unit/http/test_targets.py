"""Targets: one canonical form, or a refusal."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import Refused
from gateway.http.targets import Doubt, parse_target
from gateway.types import Oddity


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
    ["/../a", "/a/./b", "/a/..", "/%2e%2e/a", "/.%2E", "/a%5cb", "/a\\b", "/a%00", "/a%0a", "/a%7f", "/a%", "/a%4",
     "/a%zz", "/%252e", "/%25%32%65", "/a%2525%34%31", "/a#b", "/a?b#c", "/a b", "/\u00e9", "*", "x", "?x", "ftp://h/",
     "/a//../b", "//../a", "/a;/../b"],
)  # fmt: skip
def test_s21_targets_with_two_readings_are_refused(raw: str) -> None:
    with pytest.raises(Refused):
        parse_target(raw)


@pytest.mark.parametrize(
    ("raw", "path", "oddities"),
    [
        ("/a;b", "/a;b", {Oddity.SEMICOLON}),
        ("/a%3bb", "/a%3Bb", {Oddity.SEMICOLON}),
        ("//a", "//a", {Oddity.DOUBLE_SLASH}),
        ("/a//", "/a//", {Oddity.DOUBLE_SLASH}),
        ("/a%2fb", "/a%2Fb", {Oddity.ENCODED_SLASH}),
        ("/a%2f%2f;", "/a%2F%2F;", {Oddity.ENCODED_SLASH, Oddity.SEMICOLON}),
        ("http://h//a", "//a", {Oddity.DOUBLE_SLASH}),
        ("/a%3ab", "/a%3Ab", set()),
    ],
)
def test_s21_what_a_route_may_allow_is_left_in_doubt(raw: str, path: str, oddities: set[Oddity]) -> None:
    target = parse_target(raw)
    assert target.path == path
    assert target.doubt is not None
    assert target.doubt.oddities == oddities
    assert target.doubt.path == path
    assert path not in target.doubt.readings()


@pytest.mark.parametrize(
    "raw",
    ["/a/..;/b", "/a/..;x=1", "/a/.;/b", "/a/%2e%2e%3b/b", "/a/..%2fb", "/a%2f..", "/a%2f%2e%2e%2fb", "/a/..%3fb",
     "/a/..%23", "/..;%2f"],
)  # fmt: skip
def test_s21_hidden_dot_segments_are_no_reading(raw: str) -> None:
    doubt = parse_target(raw).doubt
    assert doubt is not None
    with pytest.raises(Refused):
        doubt.readings()


@pytest.mark.parametrize("raw", ["/", "/a/b", "/a?b//;%2f", "/%61", "http://h/a"])
def test_s20_other_paths_are_beyond_doubt(raw: str) -> None:
    assert parse_target(raw).doubt is None


def test_s20_what_is_escaped_for_the_client_may_be_decoded_too() -> None:
    assert parse_target("/a[0").doubt == Doubt("/a%5B0", frozenset())
    assert Doubt("/a%5B0", frozenset()).readings() == {"/a[0"}


@given(st.text(alphabet="/.%25eEfFcC;\\?a#~ ", max_size=12))
@example("%25%32%65")
def test_s20_the_canonical_form_is_canonical(text: str) -> None:
    try:
        target = parse_target("/" + text)
    except Refused:
        return
    assert parse_target(target.encoded.decode()) == target
    assert not {".", ".."} & set(target.path.split("/"))
    assert target.doubt is not None or not any(odd in target.path for odd in ("//", ";", "%"))
