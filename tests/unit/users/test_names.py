"""What is asked of names before any directory is; the rest is asked of every directory."""

import pytest

from gateway.users.names import USER_ID, is_storable


@pytest.mark.parametrize("text", ["", "alice", "李小龍", "😀", "a\nb"])
def test_what_a_database_takes(text: str) -> None:
    assert is_storable(text)


@pytest.mark.parametrize("text", ["a\0", "\ud800", "a\udfffb"])
def test_what_no_database_takes(text: str) -> None:
    assert not is_storable(text)


@pytest.mark.parametrize("text", ["1", "42", "9" * 18])
def test_an_id_is_a_number_in_its_one_spelling(text: str) -> None:
    assert USER_ID.fullmatch(text)


@pytest.mark.parametrize("text", ["", "0", "01", "1" * 19, "١", "1\n", "-1", "+1"])
def test_what_is_no_id(text: str) -> None:
    assert not USER_ID.fullmatch(text)
