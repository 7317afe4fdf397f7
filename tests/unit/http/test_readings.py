"""Everything that a backend may take an odd path for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.readings import other_readings


@pytest.mark.parametrize(
    ("path", "readings"),
    [
        ("/a/b", set()),
        ("/a%3Ab", {"/a:b"}),
        ("/caf%C3%A9", {"/caf\xc3\xa9"}),
        ("/a//b", {"/a/b"}),
        ("/a///b", {"/a/b"}),
        ("/a//", {"/a/"}),
        ("//a/b", {"/a/b", "/b"}),
        ("//a", {"/a", "/"}),
        ("/a;x=1/b", {"/a/b", "/a"}),
        ("/;a/b", {"//b", "/b", "/"}),
        ("/a%2Fb", {"/a/b"}),
        ("/a%2F%2Fb", {"/a//b", "/a/b"}),
        ("/a;x%2Fy/b", {"/a/b", "/a", "/a;x/y/b", "/a/y/b"}),
        ("/a%3Bx/b", {"/a;x/b", "/a/b", "/a"}),
        ("/a%3Fb", {"/a?b", "/a"}),
        ("/a%23b/c", {"/a#b/c", "/a"}),
        ("/%2525x", {"/%25x", "/%x"}),
        ("/a..;/b", {"/a../b", "/a.."}),
    ],
)  # fmt: skip
def test_s20_each_reading_is_found(path: str, readings: set[str]) -> None:
    assert other_readings(path) == readings


@given(st.text(alphabet="/;%23FfBbA?#a.\xe9", max_size=40))
def test_s83_readings_are_few_and_shorter(text: str) -> None:
    path = "/" + text
    readings = other_readings(path)
    assert len(readings) < 64
    assert all(len(reading) <= len(path) and reading.startswith("/") for reading in readings)


@pytest.mark.parametrize("piece", ["/", "//a", "/%2Fa", "/a;b%2F", "//a;b%2Fc%3Fx%3B", ";/", "%3B//", "/%C3%A9"])
def test_s83_a_long_path_has_no_more_readings_than_a_short_one(piece: str) -> None:
    assert len(other_readings("/" + piece * 400)) < 64
