"""Another path for the upstream: a route's prefix taken off or replaced, after everything was decided."""

from typing import Final

from gateway.errors import Reason, Refused
from gateway.http.targets import Target


class PrefixReplacement:
    """Puts `replacement` in the place of a route's `prefix`, which every path given to it has: `/app/x` → `/x`.

    `lines` tell the backend what was taken off, for the links that it makes.
    """

    __slots__ = ("_cut", "_replacement", "lines")

    def __init__(self, *, prefix: str, replacement: str) -> None:
        bare = prefix.rstrip("/")
        self._cut = len(bare)
        self._replacement = replacement.rstrip("/")
        self.lines: Final = (b"X-Forwarded-Prefix: %b" % bare.encode(),) if bare else ()

    def apply(self, target: Target) -> bytes:
        """The target for the upstream; the query stays as it is.

        Raises `Refused(BAD_TARGET)` where the rest of a path alone would name an authority: `/app//host/x`, RFC 3986
        §4.2.
        """
        path = self._replacement + target.path[self._cut :] or "/"
        if path.startswith("//"):
            raise Refused(Reason.BAD_TARGET)
        return (path + target.query).encode()
