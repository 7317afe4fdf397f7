"""The Authorization field by SimpleJWT's rules (contract §7)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.bearer import BearerReader
from gateway.errors import Reason, Refused

READER = BearerReader(schemes=("Bearer", "JWT"))


def refusal(values: list[bytes]) -> Reason:
    with pytest.raises(Refused) as caught:
        READER.read(values)
    return caught.value.reason


@pytest.mark.parametrize(
    ("value", "token"),
    [
        (b"Bearer a.b.c", b"a.b.c"),
        (b"JWT a.b.c", b"a.b.c"),
        (b"Bearer   a.b.c", b"a.b.c"),
        (b"Bearer\ta.b.c", b"a.b.c"),
        (b" Bearer a.b.c ", b"a.b.c"),
        (b"Bearer a,b", b"a,b"),
        (b"Bearer \xff", b"\xff"),
        (b"Bearer Bearer", b"Bearer"),
    ],
)
def test_the_token_is_the_one_word_behind_a_known_scheme(value: bytes, token: bytes) -> None:
    assert READER.read([value]) == token


@pytest.mark.parametrize(
    "values",
    [
        None,
        [b""],
        [b" \t"],
        [b"Basic YTpi"],
        [b"bearer a.b.c"],
        [b"BEARER a.b.c"],
        [b"Bearer,JWT a.b.c"],
        [b"Bearera.b.c"],
        [b"a.b.c"],
        [b"Token Bearer a.b.c"],
        [b"Bearer\xa0a.b.c"],
    ],
)
def test_anything_else_is_anonymous_as_in_the_library(values: list[bytes] | None) -> None:
    assert READER.read(values) is None


@pytest.mark.parametrize("value", [b"Bearer", b"Bearer ", b"JWT", b"Bearer a b", b"Bearer a.b.c, Bearer d.e.f"])
def test_a_known_scheme_without_exactly_one_value_is_refused(value: bytes) -> None:
    assert refusal([value]) is Reason.BAD_AUTHORIZATION_HEADER


@pytest.mark.parametrize(
    "values",
    [
        [b"Bearer a", b"Bearer b"],
        [b"Bearer a", b"Bearer a"],
        [b"Basic a", b"Bearer b"],
        [b"Bearer a", b"Basic b"],
        [b"", b"Bearer b"],
        [b"Basic a", b"Basic b", b"Basic c"],
    ],
)
def test_s39_two_fields_are_refused_whatever_they_say(values: list[bytes]) -> None:
    assert refusal(values) is Reason.BAD_AUTHORIZATION_HEADER


def test_a_scheme_counts_only_where_it_is_configured() -> None:
    assert BearerReader(schemes=("JWT",)).read([b"Bearer a"]) is None
    assert BearerReader(schemes=()).read([b"Bearer a"]) is None


@given(st.lists(st.binary(max_size=12) | st.sampled_from([b"Bearer ", b"JWT a", b"Bearer a b"]), max_size=3))
def test_s84_no_bytes_bring_anything_but_a_word_nobody_or_the_refusal(values: list[bytes]) -> None:
    try:
        token = READER.read(values or None)
    except Refused as refused:
        assert refused.reason is Reason.BAD_AUTHORIZATION_HEADER
        return
    if token is not None:
        assert len(values) == 1
        assert token == values[0].split()[1]
