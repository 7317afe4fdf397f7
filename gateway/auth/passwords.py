"""Passwords are hashed with argon2id (RFC 9106), and checked in the same time whether the user exists or not."""

import secrets
from typing import Final

import argon2
from argon2.exceptions import HashingError, InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import error_to_str

from gateway.auth.pbkdf2 import Pbkdf2Hash, burn
from gateway.errors import GatewayError, Reason, Refused, UsageError

MAX_PASSWORD_BYTES: Final = 4096

# What argon2 says when the machine, not the password or the hash, is at fault: argon2.h's
# ARGON2_MEMORY_ALLOCATION_ERROR and ARGON2_THREAD_FAIL.
_EXHAUSTED: Final = frozenset({error_to_str(-22), error_to_str(-33)})


class PasswordHasher:
    """argon2id at one cost. Blocking (about 20 ms at the default cost) and thread-safe; the C code releases the GIL.

    `memory_cost` is in bytes, taken in whole KiB. `pbkdf2_iterations` is the most that a hash of Django's may have to
    be read, 0 for none: every failure costs as many as well, so that it tells nothing of what is stored of a user.
    Raises `GatewayError` when argon2 cannot hash at that cost.
    """

    def __init__(self, *, time_cost: int, memory_cost: int, parallelism: int, pbkdf2_iterations: int = 0) -> None:
        self._pbkdf2_iterations = pbkdf2_iterations
        self._argon2 = argon2.PasswordHasher(
            time_cost=time_cost, memory_cost=memory_cost // 1024, parallelism=parallelism
        )
        try:
            # Of a password that nobody has, at the cost of all others: the work for users who do not exist.
            self._dummy_hash = self._argon2.hash(secrets.token_bytes(32))
        except HashingError as error:
            raise GatewayError(
                f"argon2 cannot hash with time_cost {time_cost}, memory_cost {memory_cost} bytes and parallelism "
                f"{parallelism} ({error}); it needs at least 8 KiB of memory for each lane."
            ) from None

    def hash(self, password: str) -> str:
        """The encoded hash, with cost and salt in it.

        Raises `UsageError` for a password that `verify` would never accept: over `MAX_PASSWORD_BYTES` in UTF-8, or with
        an unpaired surrogate; `Refused` (OVERLOADED) when there is not enough memory now.
        """
        secret = _secret_bytes(password)
        if secret is None:
            raise UsageError(f"A password is Unicode text of at most {MAX_PASSWORD_BYTES} bytes in UTF-8.")
        try:
            return self._argon2.hash(secret)
        except HashingError:
            raise Refused(Reason.OVERLOADED) from None

    def verify(self, encoded: str | None, password: str) -> bool:
        """Whether `password` is the one that `encoded` was made of, exactly as received: not stripped, not cut.

        No hash (None: no such user) and one that cannot be read are False after the same work on a dummy. A password
        that `hash` refuses is False at once: that takes no notice of `encoded`, so it tells nothing about the user.
        Raises `Refused` (OVERLOADED) when there is not enough memory now: cannot tell is not False.
        """
        secret = _secret_bytes(password)
        if secret is None:
            return False
        pbkdf2 = None if encoded is None or not self._pbkdf2_iterations else Pbkdf2Hash.parse(encoded)
        if pbkdf2 is not None and pbkdf2.iterations <= self._pbkdf2_iterations:
            if pbkdf2.is_of(secret):
                return True
            self._burn(secret)
            burn(secret, self._pbkdf2_iterations - pbkdf2.iterations)
            return False
        is_right = self._verify_argon2(encoded, secret)
        if not is_right:
            burn(secret, self._pbkdf2_iterations)
        return is_right

    def _verify_argon2(self, encoded: str | None, secret: bytes) -> bool:
        if encoded is not None:
            try:
                return self._argon2.verify(encoded, secret)
            except VerifyMismatchError:
                return False
            except (InvalidHashError, UnicodeEncodeError):
                pass
            except VerificationError as error:
                if str(error) in _EXHAUSTED:
                    raise Refused(Reason.OVERLOADED) from None
        self._burn(secret)
        return False

    def needs_rehash(self, encoded: str) -> bool:
        """Whether `encoded` was not made at this cost; also when it cannot be read."""
        try:
            return self._argon2.check_needs_rehash(encoded)
        except InvalidHashError:
            return True

    def _burn(self, secret: bytes) -> None:
        try:
            self._argon2.verify(self._dummy_hash, secret)
        except VerifyMismatchError:
            return
        except VerificationError:
            raise Refused(Reason.OVERLOADED) from None


def _secret_bytes(password: str) -> bytes | None:
    """The password's UTF-8; None if it is too long or has none."""
    if len(password) > MAX_PASSWORD_BYTES:  # before a megabyte is encoded to be measured
        return None
    try:
        secret = password.encode("utf-8")
    except UnicodeEncodeError:
        return None
    return secret if len(secret) <= MAX_PASSWORD_BYTES else None
