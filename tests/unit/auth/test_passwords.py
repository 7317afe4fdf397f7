import statistics
import time

import argon2
import pytest
from argon2.exceptions import HashingError, VerificationError
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth.passwords import MAX_PASSWORD_BYTES, PasswordHasher
from gateway.errors import GatewayError, Reason, Refused, UsageError

MIB = 1024 * 1024
CHEAP = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1)

MALFORMED = [
    "",
    "!",
    "gibberish",
    "$argon2id$",
    "$argon2id$v=19$m=8,t=1,p=1$$",
    "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$",
    "$argon2id$v=19$m=1,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
    "$argon2id$v=19$m=x,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
    "$2b$12$abcdefghijklmnopqrstuv",
    "pbkdf2_sha256$600000$salt$hash",
    "$argon2id$v=19$m=8,t=1,p=1$sälz$häsh",
    "\ud800",
]


def test_a_password_verifies_against_its_own_hash_only() -> None:
    encoded = CHEAP.hash("alice-pass-1")

    assert CHEAP.verify(encoded, "alice-pass-1")
    assert not CHEAP.verify(encoded, "alice-pass-2")
    assert "alice" not in encoded


def test_hashes_are_argon2id_at_the_configured_cost_and_salted() -> None:
    hasher = PasswordHasher(time_cost=3, memory_cost=MIB, parallelism=2)
    first, second = hasher.hash("x"), hasher.hash("x")

    assert first.startswith("$argon2id$v=19$m=1024,t=3,p=2$")
    assert first != second


def test_hashes_of_another_cost_and_variant_verify() -> None:
    other = argon2.PasswordHasher(time_cost=2, memory_cost=16, parallelism=2, type=argon2.Type.I)

    assert CHEAP.verify(other.hash("x"), "x")


@pytest.mark.parametrize("pair", [("pw", "pw\0"), ("pw", " pw"), ("pw", "pw "), ("pw", "PW"), ("é", "e\u0301")])
def test_s48_a_password_is_compared_exactly_as_received(pair: tuple[str, str]) -> None:
    for stored, given_password in (pair, pair[::-1]):
        assert not CHEAP.verify(CHEAP.hash(stored), given_password)


@pytest.mark.parametrize("password", ["x" * MAX_PASSWORD_BYTES, "é" * (MAX_PASSWORD_BYTES // 2), "", "\0"])
def test_s49_up_to_the_bound_every_byte_counts(password: str) -> None:
    encoded = CHEAP.hash(password)

    assert CHEAP.verify(encoded, password)
    assert not CHEAP.verify(encoded, password[:-1] + "y")


UNUSABLE = ["x" * (MAX_PASSWORD_BYTES + 1), "é" * (MAX_PASSWORD_BYTES // 2) + "e", "\ud800", "x" * 1_000_000]


@pytest.mark.parametrize("password", UNUSABLE, ids=["one byte", "one byte in utf-8", "surrogate", "a megabyte"])
def test_s49_a_password_out_of_bounds_is_refused_before_hashing(password: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = CHEAP.hash("x")

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("hashed")

    monkeypatch.setattr(argon2.PasswordHasher, "hash", fail)
    monkeypatch.setattr(argon2.PasswordHasher, "verify", fail)
    assert not CHEAP.verify(encoded, password)
    assert not CHEAP.verify(None, password)  # the same, so it tells nothing about the user
    with pytest.raises(UsageError, match="at most 4096 bytes in UTF-8"):
        CHEAP.hash(password)


@pytest.mark.parametrize("encoded", MALFORMED)
def test_an_unreadable_hash_is_never_valid(encoded: str) -> None:
    assert not CHEAP.verify(encoded, "x")
    assert not CHEAP.verify(encoded, "")


@pytest.mark.parametrize("encoded", [None, *MALFORMED])
def test_s47_no_user_and_an_unreadable_hash_cost_one_dummy_verification(
    encoded: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1)
    verify = argon2.PasswordHasher.verify
    seen: list[str] = []

    def spy(self: argon2.PasswordHasher, encoded: str, password: bytes) -> bool:
        seen.append(encoded)
        return verify(self, encoded, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", spy)
    assert not hasher.verify(encoded, "x")

    dummies = [encoded for encoded in seen if encoded.startswith("$argon2id$v=19$m=8,t=1,p=1$") and len(encoded) > 80]
    assert len(dummies) == 1


def test_s47_unknown_users_take_as_long_as_wrong_passwords() -> None:
    hasher = PasswordHasher(time_cost=1, memory_cost=4 * MIB, parallelism=1)
    encoded = hasher.hash("right")

    samples: dict[str | None, list[float]] = {encoded: [], None: [], "!": []}
    for _ in range(15):
        for stored, times in samples.items():
            started = time.thread_time()
            hasher.verify(stored, "wrong")
            times.append(time.thread_time() - started)
    medians = [statistics.median(times) for times in samples.values()]
    assert max(medians) < 1.6 * min(medians)


def test_s48_djangos_hashes_verify_up_to_the_configured_iterations() -> None:
    hasher = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1, pbkdf2_iterations=1000)
    fits, exceeds = (PBKDF2PasswordHasher().encode("secret", "salt", iterations) for iterations in (1000, 1001))
    assert hasher.verify(fits, "secret")
    assert not hasher.verify(fits, "Secret")
    assert not hasher.verify(fits, "secret\0")
    assert not hasher.verify(exceeds, "secret")
    assert not CHEAP.verify(fits, "secret")
    assert hasher.needs_rehash(fits)
    assert hasher.verify(hasher.hash("secret"), "secret")


def test_s47_every_failure_takes_as_long_whatever_hash_a_user_has() -> None:
    most = 20_000
    hasher = PasswordHasher(time_cost=1, memory_cost=4 * MIB, parallelism=1, pbkdf2_iterations=most)
    django = [PBKDF2PasswordHasher().encode("right", "salt", iterations) for iterations in (most, most // 10, most + 1)]
    samples: dict[str | None, list[float]] = {encoded: [] for encoded in (hasher.hash("right"), None, "!", *django)}
    for _ in range(15):
        for stored, times in samples.items():
            started = time.thread_time()
            hasher.verify(stored, "wrong")
            times.append(time.thread_time() - started)
    medians = [statistics.median(times) for times in samples.values()]
    assert max(medians) < 1.6 * min(medians)


def test_the_dummy_hash_differs_from_process_to_process() -> None:
    others = [PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1) for _ in range(2)]

    assert others[0]._dummy_hash != others[1]._dummy_hash


def test_needs_rehash_compares_the_cost() -> None:
    assert not CHEAP.needs_rehash(CHEAP.hash("x"))
    assert PasswordHasher(time_cost=2, memory_cost=8 * 1024, parallelism=1).needs_rehash(CHEAP.hash("x"))
    assert CHEAP.needs_rehash("gibberish")


def test_a_cost_that_argon2_cannot_do_is_refused_at_construction() -> None:
    with pytest.raises(GatewayError, match="8 KiB of memory for each lane"):
        PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=2)


def raising(error: Exception) -> object:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("encoded", ["a hash", None])
@pytest.mark.parametrize("text", ["Memory allocation error", "Threading failure"])
def test_lack_of_memory_is_cannot_tell_and_not_a_wrong_password(
    encoded: str | None, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(argon2.PasswordHasher, "verify", raising(VerificationError(text)))
    with pytest.raises(Refused) as refusal:
        CHEAP.verify(encoded, "x")
    assert refusal.value.reason is Reason.OVERLOADED


def test_lack_of_memory_for_a_costlier_hash_is_not_a_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    verify = argon2.PasswordHasher.verify

    def fail_for_the_costly(self: argon2.PasswordHasher, encoded: str, password: bytes) -> bool:
        if encoded == "a costly hash":
            raise VerificationError("Memory allocation error")
        return verify(self, encoded, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", fail_for_the_costly)
    with pytest.raises(Refused) as refusal:
        CHEAP.verify("a costly hash", "x")
    assert refusal.value.reason is Reason.OVERLOADED


def test_lack_of_memory_for_a_new_hash_is_overload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(argon2.PasswordHasher, "hash", raising(HashingError("Memory allocation error")))
    with pytest.raises(Refused) as refusal:
        CHEAP.hash("x")
    assert refusal.value.reason is Reason.OVERLOADED


@settings(max_examples=200, deadline=None)
@given(encoded=st.text(max_size=120) | st.none(), password=st.text(max_size=50, alphabet=st.characters(codec=None)))
def test_no_text_makes_verify_raise(encoded: str | None, password: str) -> None:
    assert CHEAP.verify(encoded, password) is False
