"""Django's default password hashes, `pbkdf2_sha256$ITERATIONS$SALT$DIGEST`: read, never made."""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final, Self

_ENCODED: Final = re.compile(r"pbkdf2_sha256\$([1-9][0-9]{0,8})\$([^$]+)\$([A-Za-z0-9+/]{43}=)")

_DUMMY_SALT: Final = b"0" * 22  # as long as Django's


@dataclass(frozen=True, slots=True, kw_only=True)
class Pbkdf2Hash:
    """One that could be read."""

    iterations: int
    salt: bytes
    digest: bytes

    @classmethod
    def parse(cls, encoded: str) -> Self | None:
        """None for any other form."""
        found = _ENCODED.fullmatch(encoded)
        if found is None:
            return None
        iterations, salt, digest = found.groups()
        try:
            return cls(iterations=int(iterations), salt=salt.encode(), digest=base64.b64decode(digest, validate=True))
        except (UnicodeEncodeError, binascii.Error):
            return None

    def is_of(self, secret: bytes) -> bool:
        """Whether it was made of this password. Takes as long for every password."""
        derived = hashlib.pbkdf2_hmac("sha256", secret, self.salt, self.iterations)
        # HMAC fills keys up with zeros, so `pw` and `pw\0` are one to it; who sets a password cannot use NUL.
        return hmac.compare_digest(derived, self.digest) and b"\0" not in secret


def burn(secret: bytes, iterations: int) -> None:
    """As many iterations for nothing."""
    if iterations > 0:
        hashlib.pbkdf2_hmac("sha256", secret, _DUMMY_SALT, iterations)
