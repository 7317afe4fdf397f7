"""Contract §2, the table of field errors."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.endpoints.answers import RequestError
from gateway.endpoints.fields import UploadedFile, validate

REQUIRED = "This field is required."
NULL = "This field may not be null."
BLANK = "This field may not be blank."
INVALID = "Not a valid string."
NUL = "Null characters are not allowed."


@pytest.mark.parametrize(
    ("value", "faults"),
    [
        (None, [NULL]),
        ("", [BLANK]),
        (" \t\r\n", [BLANK]),
        ("\u3000\x1c", [BLANK]),
        ([], [INVALID]),
        (["a"], [INVALID]),
        ({}, [INVALID]),
        ({"a": 1}, [INVALID]),
        (True, [INVALID]),
        (False, [INVALID]),
        (UploadedFile("a.txt"), [INVALID]),
        (UploadedFile("  "), [BLANK]),
        ("a\0b", [NUL]),
        ("\ud800", ["Surrogate characters are not allowed: U+D800."]),
        ("a\udfff\udc00", ["Surrogate characters are not allowed: U+DFFF."]),
        ("\0\ud800", [NUL, "Surrogate characters are not allowed: U+D800."]),
    ],
)
def test_a_field_is_refused(value: object, faults: list[str]) -> None:
    with pytest.raises(RequestError) as refusal:
        validate({"token": value}, ("token",))
    assert (refusal.value.status, refusal.value.body) == (400, {"token": faults})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ("  alice-pass-1\t", "alice-pass-1"),
        ("a b", "a b"),
        ("\u3000é\n", "é"),
        (123, "123"),
        (0, "0"),
        (-1, "-1"),
        (123.0, "123.0"),
        (float("inf"), "inf"),
        ("\U0001f600", "\U0001f600"),
    ],
)
def test_a_field_is_taken(value: object, text: str) -> None:
    assert validate({"token": value}, ("token",)) == {"token": text}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, "No data provided"),
        ([], "Invalid data. Expected a dictionary, but got list."),
        ("", "Invalid data. Expected a dictionary, but got str."),
        (0, "Invalid data. Expected a dictionary, but got int."),
        (False, "Invalid data. Expected a dictionary, but got bool."),
        (0.5, "Invalid data. Expected a dictionary, but got float."),
    ],
)
def test_a_body_that_is_no_object(data: object, text: str) -> None:
    with pytest.raises(RequestError) as refusal:
        validate(data, ("token",))
    assert (refusal.value.status, refusal.value.body) == (400, {"non_field_errors": [text]})


def test_all_fields_at_once_and_in_their_order() -> None:
    with pytest.raises(RequestError) as refusal:
        validate({"password": None}, ("username", "password"))
    assert list(refusal.value.body.items()) == [("username", [REQUIRED]), ("password", [NULL])]


def test_s60_other_members_have_no_effect() -> None:
    assert validate({"token": "a", "is_staff": True, "user_id": 1}, ("token",)) == {"token": "a"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=50, deadline=None)
@given(JSON | st.dictionaries(st.sampled_from(["a", "b"]), JSON))
def test_s84_any_value_is_taken_or_refused(data: object) -> None:
    with suppress(RequestError):
        values = validate(data, ("a", "b"))
        assert all(text and text == text.strip() for text in values.values())
