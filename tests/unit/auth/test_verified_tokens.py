"""The memory of verified tokens: bounded, whole tokens only, and nothing outlives a change of its user."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth.verified_tokens import VerifiedTokens
from gateway.types import Principal, User


def principal(user_id: str) -> Principal:
    return Principal(
        user_id=user_id, token_id="t", session_id=None, issued_at=0, expires_at=0.0, roles=frozenset(), identity=b""
    )


def keep(tokens: VerifiedTokens, token: bytes, user_id: str = "1") -> Principal:
    kept = principal(user_id)
    tokens.put(token, kept, epoch=tokens.epoch)
    return kept


def test_s43_a_token_is_found_by_its_whole_text_alone() -> None:
    tokens = VerifiedTokens(max_tokens=10)
    kept = keep(tokens, b"a.b.c")
    assert tokens.get(b"a.b.c") is kept
    assert tokens.misses == 0
    for other in (b"a.b.C", b"a.b.c ", b"a.b.", b""):
        assert tokens.get(other) is None
    assert tokens.misses == 4


@pytest.mark.parametrize("max_tokens", [0, 1, 2, 3, 10, 101])
def test_s83_the_memory_is_bounded(max_tokens: int) -> None:
    tokens = VerifiedTokens(max_tokens=max_tokens)
    for number in range(1000):
        keep(tokens, b"%d" % number)
        assert len(tokens) <= max(2, max_tokens)
        if number % 3 == 0:
            tokens.get(b"%d" % (number // 2))
            assert len(tokens) <= max(2, max_tokens)


def test_s83_a_token_in_use_outlives_a_flood_of_others() -> None:
    tokens = VerifiedTokens(max_tokens=20)
    used = keep(tokens, b"used")
    keep(tokens, b"unused")
    for number in range(200):
        keep(tokens, b"%d" % number)
        if number % 5 == 0:
            assert tokens.get(b"used") is used
    assert tokens.get(b"unused") is None


def test_s43_a_change_of_a_user_forgets_the_tokens_of_that_user_in_both_generations() -> None:
    tokens = VerifiedTokens(max_tokens=4)
    for number in range(4):
        keep(tokens, b"a%d" % number, user_id="alice" if number % 2 else "bob")
    assert len(tokens) == 4
    tokens.forget_users({"alice", "nobody"})
    assert [tokens.get(b"a%d" % number) is not None for number in range(4)] == [True, False, True, False]


def test_s43_a_change_of_keys_forgets_everything() -> None:
    tokens = VerifiedTokens(max_tokens=4)
    for number in range(4):
        keep(tokens, b"%d" % number)
    tokens.clear()
    assert len(tokens) == 0
    assert all(tokens.get(b"%d" % number) is None for number in range(4))


@pytest.mark.parametrize("change", [lambda tokens: tokens.forget_users({"bob"}), VerifiedTokens.clear])
def test_s43_what_was_looked_up_before_a_change_is_not_kept_after_it(change: object) -> None:
    tokens = VerifiedTokens(max_tokens=4)
    epoch = tokens.epoch
    change(tokens)  # type: ignore[operator]
    tokens.put(b"t", principal("alice"), epoch=epoch)
    assert tokens.get(b"t") is None
    tokens.put(b"t", principal("alice"), epoch=tokens.epoch)
    assert tokens.get(b"t") is not None


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "get", "forget", "clear"]), st.integers(0, 9), st.sampled_from("ab")),
    max_size=60,
)


@given(STEPS, st.integers(0, 12))
def test_s43_whatever_happens_only_what_stands_is_found(steps: list[tuple[str, int, str]], max_tokens: int) -> None:
    tokens = VerifiedTokens(max_tokens=max_tokens)
    standing: dict[bytes, Principal] = {}
    for step, number, user_id in steps:
        token = b"%d" % number
        if step == "put":
            standing[token] = keep(tokens, token, user_id)
        elif step == "get":
            assert tokens.get(token) in (None, standing.get(token))
        elif step == "forget":
            tokens.forget_users({user_id})
            standing = {each: kept for each, kept in standing.items() if kept.user_id != user_id}
        else:
            tokens.clear()
            standing.clear()
        assert len(tokens) <= max(2, max_tokens)


def user(user_id: str) -> User:
    return User(id=user_id, username="u", email="", roles=(), is_active=True)


def test_users_that_were_looked_up_are_known_until_they_change() -> None:
    tokens = VerifiedTokens(max_tokens=10)
    for user_id in ("1", "2"):
        tokens.learn(user(user_id), epoch=tokens.epoch)
    assert (tokens.user("1"), tokens.user("2"), tokens.user("3")) == (user("1"), user("2"), None)
    tokens.forget_users({"1"})
    assert (tokens.user("1"), tokens.user("2")) == (None, user("2"))
    tokens.clear()
    assert tokens.user("2") is None


def test_a_user_who_was_looked_up_before_a_change_is_not_known() -> None:
    tokens = VerifiedTokens(max_tokens=10)
    before = tokens.epoch
    tokens.forget_users({"2"})
    tokens.learn(user("1"), epoch=before)
    assert tokens.user("1") is None


def test_s83_the_memory_of_users_is_bounded() -> None:
    tokens = VerifiedTokens(max_tokens=10)
    for number in range(1000):
        tokens.learn(user(str(number)), epoch=tokens.epoch)
        assert tokens.user(str(number)) is not None
        assert sum(tokens.user(str(other)) is not None for other in range(number + 1)) <= 10
