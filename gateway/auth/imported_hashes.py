"""Password hashes that come from elsewhere → what is stored of them."""

from typing import Final

import argon2
from argon2.exceptions import InvalidHashError

from gateway.auth.pbkdf2 import Pbkdf2Hash
from gateway.errors import UsageError

UNUSABLE: Final = "!"
"""The hash of no password: whoever has it cannot log in."""

_MAX_MEMORY_KIB: Final = 1024 * 1024  # of one hash; every log-in of this user would take as much

_DJANGO_ARGON2: Final = "argon2$argon2"  # its own prefix before the encoded hash, whose first `$` is the one between


def stored_hash(encoded: str, *, pbkdf2_iterations: int) -> str:
    """Raises `UsageError` for a hash that no log-in could be checked against; nothing of it is in the sentence.

    Taken are argon2's own form, as `gateway user export` and most programs write it, that of Django's
    Argon2PasswordHasher, Django's PBKDF2 with SHA-256 of so many iterations at most, and its `!…` for no password.
    """
    if encoded.startswith(UNUSABLE):
        return UNUSABLE
    pbkdf2 = Pbkdf2Hash.parse(encoded)
    if pbkdf2 is not None:
        if pbkdf2.iterations > pbkdf2_iterations:
            raise UsageError(
                f"`password_hash` is PBKDF2 of {pbkdf2.iterations} iterations; set users.pbkdf2_iterations to the most "
                f"that there are, at least {pbkdf2.iterations}."
            )
        return encoded
    plain = encoded.removeprefix("argon2") if encoded.startswith(_DJANGO_ARGON2) else encoded
    try:
        parameters = argon2.extract_parameters(plain)
    except InvalidHashError:
        raise UsageError(
            "`password_hash` is neither argon2 nor Django's pbkdf2_sha256; others cannot be checked here."
        ) from None
    if parameters.memory_cost > _MAX_MEMORY_KIB:
        raise UsageError("`password_hash` needs more than 1 GiB of memory for each log-in.")
    return plain
