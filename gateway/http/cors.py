"""Cross-origin access as the Fetch standard asks for it (https://fetch.spec.whatwg.org/#http-cors-protocol).

A browser shows a script nothing of an answer without these fields: a 401 without them is a "network error", and the
client never refreshes. So they are on every answer, refusals included, and a preflight, which never carries a token, is
answered before admission.
"""

from collections.abc import Sequence
from typing import Final

VARY: Final = b"Vary: Origin\r\n"


class CorsPolicy:
    """`allow_origins` are compared exactly, as browsers serialise them; `*` allows all, then without credentials."""

    __slots__ = ("_any_origin", "_common", "_origins", "_preflight")

    def __init__(
        self,
        *,
        allow_origins: Sequence[str],
        allow_methods: Sequence[str],
        allow_headers: Sequence[str],
        expose_headers: Sequence[str],
        allow_credentials: bool,
        max_age: float,
    ) -> None:
        self._any_origin = "*" in allow_origins
        self._origins = frozenset(origin.encode() for origin in allow_origins)
        credentials = "Access-Control-Allow-Credentials: true\r\n" if allow_credentials else ""
        exposed = f"Access-Control-Expose-Headers: {', '.join(expose_headers)}\r\n" if expose_headers else ""
        self._common = (credentials + exposed).encode()
        self._preflight = (
            f"{credentials}"
            f"Access-Control-Allow-Methods: {', '.join(allow_methods)}\r\n"
            f"Access-Control-Allow-Headers: {', '.join(allow_headers)}\r\n"
            f"Access-Control-Max-Age: {max_age:.0f}\r\n"
        ).encode()

    def _allow_origin(self, origin: bytes | None) -> bytes | None:
        """The line that admits `origin`, or None. It names one origin, so caches must know that it varies."""
        if self._any_origin:
            return b"Access-Control-Allow-Origin: *\r\n"
        if origin in self._origins:
            return b"Access-Control-Allow-Origin: %b\r\n" % origin
        return None

    def fields(self, origin: bytes | None) -> bytes:
        """Lines for an answer to a request with this Origin (None: it had none)."""
        allowed = self._allow_origin(origin)
        if allowed is None:
            return VARY
        return allowed + self._common if self._any_origin else allowed + self._common + VARY

    def preflight_fields(self, origin: bytes | None) -> bytes:
        """Lines for the answer to a preflight; an origin that is not allowed gets none of the permissions."""
        allowed = self._allow_origin(origin)
        return VARY if allowed is None else allowed + self._preflight + VARY
