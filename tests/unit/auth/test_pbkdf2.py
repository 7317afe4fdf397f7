"""Django's default hashes, made by Django."""

import base64

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from gateway.auth.pbkdf2 import Pbkdf2Hash

DIGEST = base64.b64encode(b"x" * 32).decode()


@pytest.mark.parametrize("password", ["secret", "", "Größe", "x" * 200, " blanks "])
@pytest.mark.parametrize("salt", ["abcdefghijklmnopqrstuv", "sälz", "a"])
def test_djangos_hash_is_of_its_password_and_of_no_other(password: str, salt: str) -> None:
    parsed = Pbkdf2Hash.parse(PBKDF2PasswordHasher().encode(password, salt, 10))
    assert parsed is not None
    assert parsed.iterations == 10
    assert parsed.is_of(password.encode())
    assert not parsed.is_of(password.encode() + b"x")


@pytest.mark.parametrize(
    "encoded",
    [
        "",
        f"pbkdf2_sha1$10$salt${DIGEST}",
        f"pbkdf2_sha256$0$salt${DIGEST}",
        f"pbkdf2_sha256$010$salt${DIGEST}",
        f"pbkdf2_sha256$1_0$salt${DIGEST}",
        f"pbkdf2_sha256$-1$salt${DIGEST}",
        f"pbkdf2_sha256$1000000000$salt${DIGEST}",
        f"pbkdf2_sha256$10$${DIGEST}",
        f"pbkdf2_sha256$10$salt${DIGEST}\n",
        f"pbkdf2_sha256$10$salt${DIGEST[:-1]}",
        f"pbkdf2_sha256$10$salt${DIGEST}$more",
        "pbkdf2_sha256$10$salt$hash",
        f"pbkdf2_sha256$10$\ud800${DIGEST}",
    ],
)
def test_what_is_not_of_this_form(encoded: str) -> None:
    assert Pbkdf2Hash.parse(encoded) is None
