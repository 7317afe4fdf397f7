"""Meanings are of settings that there are, and those that decide who may pass all have one."""

import pytest

from gateway.config.meaning import _MEANINGS, _OF_UPSTREAMS, meaning_of
from tests.unit.config.reference_table import keys

PATHS = [path.replace("[]", "[0]") for path, _ in keys()]


@pytest.mark.parametrize("path", _MEANINGS)
def test_what_has_a_meaning_is_there(path: str) -> None:
    assert path in PATHS


@pytest.mark.parametrize("suffix", _OF_UPSTREAMS)
def test_so_is_what_has_one_in_each_upstream(suffix: str) -> None:
    assert f"upstreams.NAME{suffix}" in PATHS
    assert meaning_of(f"upstreams.app{suffix}") is _OF_UPSTREAMS[suffix]


def test_what_nobody_has_thought_of_is_to_be_looked_at() -> None:
    unknown = meaning_of("sections.that.will.come")
    assert unknown is not None
    assert unknown.text == "to be looked at"


@pytest.mark.parametrize(
    "path", ["limits.max_head_bytes", "workers", "tokens.further_keys", "upstreams.app.read_timeout"]
)
def test_what_says_nothing_of_access_has_none(path: str) -> None:
    assert meaning_of(path) is None
