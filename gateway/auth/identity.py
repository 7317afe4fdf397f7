"""Verified claims → the field lines that tell a backend who is there."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.errors import Reason, Refused
from gateway.types import Claims

USER_ID_FIELD: Final = "X-User-Id"

# Field name → claim: what backends behind oauth2-proxy, Authelia and Apache's mod_auth_* already read. `{…}` is filled
# with the configured claim's name.
PRESETS: Final[Mapping[str, Mapping[str, str]]] = {
    "x-user-id": {},
    "x-forwarded-user": {
        "X-Forwarded-User": "{user_id}",
        "X-Forwarded-Preferred-Username": "username",
        "X-Forwarded-Email": "email",
        "X-Forwarded-Groups": "{roles}",
    },
    "remote-user": {
        "Remote-User": "username",
        "Remote-Email": "email",
        "Remote-Groups": "{roles}",
    },
    "x-auth-request": {
        "X-Auth-Request-User": "{user_id}",
        "X-Auth-Request-Preferred-Username": "username",
        "X-Auth-Request-Email": "email",
        "X-Auth-Request-Groups": "{roles}",
    },
}

# Claims that a preset reads and that are issued for its sake, with the user attribute behind them.
PRESET_CLAIMS: Final[Mapping[str, str]] = {"username": "username", "email": "email", "{roles}": "roles"}

# Every name of every preset is the gateway's, whichever is chosen: a backend may read one that nobody thought of.
MANAGED_FIELDS: Final = frozenset(
    {USER_ID_FIELD, "X-User", "X-Username", "X-User-Name", "X-User-Email", "X-User-Roles", "Remote-Name"}
    | {name for preset in PRESETS.values() for name in preset}
)

_VISIBLE: Final = frozenset(chr(code) for code in range(0x21, 0x7F)) - {"%"}


def preset_fields(preset: str, *, user_id_claim: str, roles_claim: str) -> dict[str, str]:
    """Field name → claim name of a preset."""
    return {name: claim.format(user_id=user_id_claim, roles=roles_claim) for name, claim in PRESETS[preset].items()}


class IdentityRenderer:
    """`fields` maps further field names to claims; X-User-Id is always there.

    With `refuses_unsafe` a value outside of visible ASCII refuses the token, else it is percent-encoded as UTF-8 (and
    `%` itself, so that decoding gives the value back).
    """

    __slots__ = ("_fields", "_refuses_unsafe")

    def __init__(self, *, fields: Mapping[str, str], refuses_unsafe: bool) -> None:
        self._fields = tuple((name, claim) for name, claim in fields.items())
        self._refuses_unsafe = refuses_unsafe

    def render(self, claims: Claims, user_id: str) -> bytes:
        """The lines, CRLF between them. An absent claim, null or an object gives none; lists are comma-joined.

        `user_id` has been checked to be visible ASCII. Raises `Refused(TOKEN_INVALID)` for an unsafe value, see above.
        """
        lines = [f"{USER_ID_FIELD}: {user_id}"]
        for name, claim in self._fields:
            value = self._value(claims.get(claim))
            if value:
                lines.append(f"{name}: {value}")
        return "\r\n".join(lines).encode("ascii")

    def _value(self, value: Any) -> str:
        if isinstance(value, list):
            # A comma inside an item would make two of one: a role "a,b" is not the roles a and b.
            return ",".join(self._text(item, and_escape=",") for item in value)
        return self._text(value)

    def _text(self, value: Any, and_escape: str = "") -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if not isinstance(value, str | int | float):
            return ""
        text = str(value)
        if _VISIBLE.issuperset(text) and not (and_escape and and_escape in text):
            return text
        if self._refuses_unsafe:
            raise Refused(Reason.TOKEN_INVALID)
        return "".join(
            char
            if char in _VISIBLE and char != and_escape
            else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "replace"))
            for char in text
        )
