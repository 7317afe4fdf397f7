"""Authorization field → token bytes, by SimpleJWT's rules (RFC 6750 §2.1; contract §7).

The scheme is compared with case, against RFC 9110 §11.1, because the library does and clients get the same answers.
"""

from collections.abc import Iterable

from gateway.errors import Reason, Refused


class BearerReader:
    """`schemes` are the accepted scheme words, as AUTH_HEADER_TYPES."""

    __slots__ = ("_schemes",)

    def __init__(self, *, schemes: Iterable[str]) -> None:
        self._schemes = frozenset(scheme.encode() for scheme in schemes)

    def read(self, values: list[bytes] | None) -> bytes | None:
        """The token, or None for an anonymous request: no field, an empty one, another scheme.

        Raises `Refused(BAD_AUTHORIZATION_HEADER)` for a known scheme without exactly one value, and for two fields:
        which of them a backend would take cannot be told (checklist 39).
        """
        if values is None:
            return None
        if len(values) > 1:
            raise Refused(Reason.BAD_AUTHORIZATION_HEADER)
        parts = values[0].split()
        if not parts or parts[0] not in self._schemes:
            return None
        if len(parts) != 2:
            raise Refused(Reason.BAD_AUTHORIZATION_HEADER)
        return parts[1]
