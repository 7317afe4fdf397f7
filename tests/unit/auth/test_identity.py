"""Claims → field lines: visible ASCII, one line a field, nothing where there is nothing to say."""

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.identity import MANAGED_FIELDS, PRESETS, USER_ID_FIELD, IdentityRenderer, preset_fields
from gateway.errors import Reason, Refused
from gateway.http.fields import fold


def rendered(value: Any, *, refuses_unsafe: bool = False) -> str | None:
    """The line of a claim with this value, or None where there is none."""
    lines = IdentityRenderer(fields={"X-Claim": "claim"}, refuses_unsafe=refuses_unsafe).render({"claim": value}, "7")
    first, *others = lines.decode("ascii").split("\r\n")
    assert first == "X-User-Id: 7"
    assert len(others) <= 1
    return others[0].removeprefix("X-Claim: ") if others else None


def test_s3_the_user_id_is_always_there_and_once() -> None:
    assert IdentityRenderer(fields={}, refuses_unsafe=False).render({}, "alice@example.org") == (
        b"X-User-Id: alice@example.org"
    )


def test_further_fields_come_in_the_configured_order() -> None:
    renderer = IdentityRenderer(
        fields={"X-Tenant": "tenant", "X-Gone": "gone", "X-Roles": "roles"}, refuses_unsafe=False
    )
    claims = {"roles": ["a", "b"], "tenant": "north", "other": "x"}
    assert renderer.render(claims, "1") == b"X-User-Id: 1\r\nX-Tenant: north\r\nX-Roles: a,b"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("north", "north"),
        ("", None),
        (None, None),
        ({}, None),
        ({"a": 1}, None),
        ([], None),
        (12, "12"),
        (-1, "-1"),
        (0, "0"),
        (1.5, "1.5"),
        (True, "true"),
        (False, "false"),
        (["a", "b"], "a,b"),
        (["a", 1, True], "a,1,true"),
        (["a,b", "c"], "a%2Cb,c"),
        ("a,b", "a,b"),
        ("50%", "50%25"),
        ("%41", "%2541"),
        ("a b", "a%20b"),
        ("jürgen", "j%C3%BCrgen"),
        ("x\r\nX-User-Id: 8", "x%0D%0AX-User-Id:%208"),
        ("\x00\x7f", "%00%7F"),
        ("\ud800", "%3F"),
        ("😀", "%F0%9F%98%80"),
    ],
)
def test_s8_a_value_is_visible_ascii(value: Any, text: str | None) -> None:
    assert rendered(value) == text


@pytest.mark.parametrize("value", ["a b", "é", "50%", "\r\n", "\x00", ["a", "b c"], ["a,b"], "\ud800"])
def test_s8_unsafe_values_can_refuse_the_token_instead(value: Any) -> None:
    with pytest.raises(Refused) as caught:
        rendered(value, refuses_unsafe=True)
    assert caught.value.reason is Reason.TOKEN_INVALID


@pytest.mark.parametrize("value", ["north", "a,b", ["a", "b"], 1, True, None, {}])
def test_safe_values_pass_where_unsafe_ones_refuse(value: Any) -> None:
    assert rendered(value, refuses_unsafe=True) == rendered(value)


@given(st.text())
def test_s8_decoding_gives_the_value_back(value: str) -> None:
    assert unquote(rendered(value) or "", errors="strict") == value


@given(st.lists(st.text(min_size=1), min_size=1))
def test_s38_items_of_a_list_stay_apart(items: list[str]) -> None:
    assert [unquote(item) for item in (rendered(items) or "").split(",")] == items


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=6,
)


@given(JSON_VALUES)
def test_s84_no_claim_makes_more_than_one_line_of_visible_ascii(value: Any) -> None:
    text = rendered(value)
    assert text is None or (text and all("\x21" <= char <= "\x7e" for char in text))


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_name_the_configured_claims(preset: str) -> None:
    fields = preset_fields(preset, user_id_claim="uid", roles_claim="groups")
    assert fields.keys() == PRESETS[preset].keys()
    assert set(fields.values()) <= {"uid", "groups", "username", "email"}


def test_s1_every_field_of_every_preset_is_managed() -> None:
    managed = {fold(name.encode()) for name in MANAGED_FIELDS}
    assert fold(USER_ID_FIELD.encode()) in managed
    for preset in PRESETS.values():
        assert {fold(name.encode()) for name in preset} <= managed
