"""Hashes from elsewhere: what is stored of them is what a log-in can be checked against."""

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher, PBKDF2PasswordHasher

from gateway.auth.imported_hashes import UNUSABLE, stored_hash
from gateway.auth.passwords import PasswordHasher
from gateway.errors import UsageError

HASHER = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1)


def test_our_own_are_taken_as_they_are() -> None:
    encoded = HASHER.hash("secret")
    assert stored_hash(encoded, pbkdf2_iterations=0) == encoded


def test_djangos_argon2_loses_its_prefix_and_checks_the_same_password() -> None:
    encoded = Argon2PasswordHasher().encode("secret", "saltsaltsalt")
    assert encoded.startswith("argon2$argon2id$")
    stored = stored_hash(encoded, pbkdf2_iterations=0)
    assert HASHER.verify(stored, "secret")
    assert not HASHER.verify(stored, "Secret")


def test_djangos_default_is_taken_up_to_the_configured_iterations() -> None:
    encoded = PBKDF2PasswordHasher().encode("secret", "salt", 720_000)
    assert stored_hash(encoded, pbkdf2_iterations=720_000) == encoded
    for iterations in (0, 719_999):
        with pytest.raises(
            UsageError, match=r"720000 iterations; set users\.pbkdf2_iterations to .* at least 720000\.$"
        ):
            stored_hash(encoded, pbkdf2_iterations=iterations)


def test_no_password_is_none() -> None:
    assert stored_hash("!vkMzBXPJk6bUXKjZ2yAtJ2KZAEP3D9eIDdGBT4nG", pbkdf2_iterations=0) == UNUSABLE
    assert not HASHER.verify(UNUSABLE, "secret")


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        "secret",
        "pbkdf2_sha256$600000$salt$hash",
        "bcrypt_sha256$$2b$12$xxx",
        "argon2",
        "argon2$argon2id$v=19$m=8,t=1,p=1$short",
        "argon2argon2$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2g",
        "$argon2id$v=19$m=x,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2g",
    ],
)
def test_what_cannot_be_checked_is_refused_and_not_shown(encoded: str) -> None:
    with pytest.raises(UsageError, match=r"^`password_hash` is neither argon2 nor Django's pbkdf2_sha256; "):
        stored_hash(encoded, pbkdf2_iterations=1_000_000)


def test_what_would_take_the_machines_memory_is_refused() -> None:
    with pytest.raises(UsageError, match="more than 1 GiB"):
        stored_hash(
            "$argon2id$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
            pbkdf2_iterations=0,
        )
