"""Values that hold secrets hide them wherever a value is shown."""

import dataclasses
import traceback

import pytest

from gateway.types import Account, AttemptLimit, Secret, TokenPair, User

HIDDEN = "a very secret text"
USER = User(id="1", username="alice", email="", roles=(), is_active=True)
HOLDERS = [
    Secret(HIDDEN),
    Account(user=USER, password_hash=HIDDEN),
    TokenPair(access=HIDDEN, refresh=HIDDEN),
]


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
def test_s86_s88_a_secret_is_not_shown(holder: object) -> None:
    for shown in (repr(holder), str(holder), f"{holder}", f"{holder!r}", repr([holder]), str({"holder": holder})):
        assert HIDDEN not in shown
    try:
        raise ValueError(holder)
    except ValueError:
        assert HIDDEN not in traceback.format_exc()


def test_s88_a_secret_inside_a_value_is_not_shown_either() -> None:
    @dataclasses.dataclass
    class Holder:
        key: Secret

    assert repr(Holder(Secret(HIDDEN))).endswith("Holder(key=Secret(…))")


def test_a_secret_is_read_in_one_way() -> None:
    secret = Secret(HIDDEN)
    assert secret.reveal() == HIDDEN
    assert not hasattr(secret, "__dict__")


def test_secrets_compare_by_their_text_and_with_nothing_else() -> None:
    assert Secret("a") == Secret("a")
    assert hash(Secret("a")) == hash(Secret("a"))
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_an_account_shows_whose_it_is() -> None:
    assert repr(Account(user=USER, password_hash=HIDDEN)) == f"Account(user={USER!r}, password_hash=…)"


def test_what_failures_cost() -> None:
    limit = AttemptLimit(id=b"", free=2, waits=(1.0, 2.0, 9.0))
    assert [limit.wait_after(failures) for failures in (1, 2, 3, 4, 5, 6, 10**9)] == [0, 0, 1, 2, 9, 9, 9]
