"""Which names the operator may give to the field of the token and to identity fields.

Names are compared as back ends fold them: upper case, `_` for what is neither letter nor digit.
"""

import re
from typing import Final

from gateway.config.model import Config
from gateway.config.tree import Findings, below, show

_FRAMING_FIELDS: Final = frozenset(
    {
        "CONNECTION",
        "CONTENT_ENCODING",
        "CONTENT_LENGTH",
        "CONTENT_TYPE",
        "COOKIE",
        "EXPECT",
        "HOST",
        "HTTP2_SETTINGS",
        "KEEP_ALIVE",
        "PROXY",
        "PROXY_AUTHENTICATE",
        "PROXY_AUTHENTICATION_INFO",
        "PROXY_AUTHORIZATION",
        "PROXY_CONNECTION",
        "SET_COOKIE",
        "TE",
        "TRAILER",
        "TRANSFER_ENCODING",
        "UPGRADE",
    }
)
_GATEWAY_FIELDS: Final = frozenset({"X_GATEWAY_CLIENT_ADDRESS", "X_REQUEST_ID", "X_USER_ID"})
# With all of X-Forwarded-*. The tests hold these and the framing fields against those that the data plane drops.
_FORWARDING_FIELDS: Final = frozenset(
    {
        "FORWARDED",
        "TRUE_CLIENT_IP",
        "X_ACCEL_MAPPING",
        "X_CLIENT_IP",
        "X_CLUSTER_CLIENT_IP",
        "X_ENVOY_ORIGINAL_PATH",
        "X_FORWARDED",
        "X_ORIGINAL_FORWARDED_FOR",
        "X_ORIGINAL_HOST",
        "X_ORIGINAL_METHOD",
        "X_ORIGINAL_URI",
        "X_ORIGINAL_URL",
        "X_REAL_IP",
        "X_REWRITE_URL",
        "X_SENDFILE_TYPE",
    }
)


def check_fields(config: Config, findings: Findings) -> None:
    """Notes which configured field names have another meaning."""
    _check_bearer(config, findings)
    _check_identity(config, findings)


def _check_bearer(config: Config, findings: Findings) -> None:
    name = config.bearer.field_name
    if not findings.is_sound("bearer.field_name"):
        return
    folded = _fold(name)
    if folded in _FRAMING_FIELDS | _GATEWAY_FIELDS or _is_forwarding(folded):
        findings.add(
            "bearer.field_name", f"cannot be `{show(name)}`, which has a meaning of its own; use Authorization"
        )


def _check_identity(config: Config, findings: Findings) -> None:
    """Rows 1, 3 and 89: one field for one meaning, and none that decides how the request is read."""
    taken = {"AUTHORIZATION": "is where the token is", _fold(config.bearer.field_name or ""): "is where the token is"}
    for name in config.identity.fields:
        path = below("identity.fields", name)
        if not findings.is_sound(path):
            continue
        folded = _fold(name)
        if folded in _FRAMING_FIELDS:
            findings.add(path, f"`{show(name)}` decides how the request itself is read; choose another field name")
        elif folded in _GATEWAY_FIELDS:
            findings.add(path, f"`{show(name)}` is set by the gateway itself; choose another field name")
        elif _is_forwarding(folded):
            findings.add(
                path, f"`{show(name)}` tells backends of the connection or the path; choose another field name"
            )
        elif folded in taken:
            findings.add(path, f"`{show(name)}` {taken[folded]}; choose another field name")
        taken.setdefault(folded, f"is the same as `{show(name)}` to back ends that read `-` and `_` alike")


def _fold(name: str) -> str:
    """The one name that all spellings have for some back end: CGI makes `_` of `-`, others of every such character."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def _is_forwarding(folded: str) -> bool:
    return folded in _FORWARDING_FIELDS or folded.startswith("X_FORWARDED_")
