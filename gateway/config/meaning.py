"""What a change of a setting means for who may pass: by YAML path, the more exact paths first.

`Meaning.is_wider(before, after)` tells whether somebody gains by it; without one, or when it gives None, it is a change
that has to be looked at. Limits, time-outs, the price of a hash and the like say nothing of access.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """`text` says it for the newer value, whatever that is."""

    text: str
    is_wider: Callable[[Any, Any], bool | None] | None = None
    weight: int = 0


def _is_more(before: Any, after: Any) -> bool:
    return bool(after > before)


def _is_longer(before: Any, after: Any) -> bool:
    """Of a time that may be without end."""
    return after is None or (before is not None and bool(after > before))


def _is_on(_before: Any, after: Any) -> bool:
    return bool(after)


def _is_off(_before: Any, after: Any) -> bool:
    return not after


def _names_more(before: Any, after: Any) -> bool:
    return bool(set(after or ()) - set(before or ()))


def _is_added(before: Any, after: Any) -> bool | None:
    if before is None or after is None:
        return before is None
    return None


def _asks_less(before: Any, after: Any) -> bool:
    """Of what a token must name: nothing is for everybody, and one more to choose from is wider."""
    if not before or not after:
        return not after
    return bool(set(after) - set(before)) if isinstance(after, tuple) else False


def meaning_of(path: str) -> Meaning | None:
    """Of what stands at this YAML path; None for what says nothing of access."""
    for prefix, meaning in _MEANINGS.items():
        if path == prefix or path.startswith((f"{prefix}.", f"{prefix}[")):
            return meaning
    if path.startswith("upstreams."):
        return next((meaning for suffix, meaning in _OF_UPSTREAMS.items() if path.endswith(suffix)), None)
    return None if path.startswith(_SAYS_NOTHING) else _UNKNOWN


_UNKNOWN: Final = Meaning(text="to be looked at")  # rather than be silent about what nobody has thought of here
# What is told of routes and keys elsewhere stands here, too.
_SAYS_NOTHING: Final = (
    "routes",
    "upstreams",
    "cors",
    "tokens.signing_key",
    "tokens.verifying_key",
    "tokens.algorithm",
    "tokens.kid",
    "tokens.further_keys",
    "tokens.rotate_refresh_tokens",
    "bearer.realm",
    "users.argon2",
    "users.hash_",
    "users.pbkdf2_iterations",
    "admin.port",
    "limits",
    "drain",
    "reload",
    "workers",
    "log.",
    "state.max_connections",
)


_OF_UPSTREAMS: Final[Mapping[str, Meaning]] = {
    ".servers": Meaning(text="other backends", weight=5),
    ".tls.verify": Meaning(text="whether backends must prove who they are", is_wider=_is_off, weight=7),
    ".tls.ca": Meaning(text="who says which backend is the right one", weight=6),
    ".tls.server_name": Meaning(text="which backend is the right one", weight=6),
}

_MEANINGS: Final[Mapping[str, Meaning]] = {
    "tokens.audience": Meaning(text="which audience a token must name; none is any", is_wider=_asks_less, weight=8),
    "tokens.issuer": Meaning(text="which issuer a token must name; nothing is any", is_wider=_asks_less, weight=8),
    "tokens.leeway": Meaning(text="so long after its end does a token pass", is_wider=_is_more),
    "tokens.access_lifetime": Meaning(text="life of access tokens that are issued from now on", is_wider=_is_more),
    "tokens.refresh_lifetime": Meaning(text="life of refresh tokens that are issued from now on", is_wider=_is_more),
    "tokens.claims.extra": Meaning(text="other claims in new tokens; those of before have them not"),
    "tokens.claims": Meaning(text="tokens of before have it under the old name, and may be refused", weight=8),
    "bearer.schemes": Meaning(text="words that stand before a token", is_wider=_names_more, weight=7),
    "bearer.field_name": Meaning(text="tokens are looked for there alone", weight=7),
    "foreign_issuers": Meaning(
        text="another issuer whose tokens pass, or other conditions", is_wider=_is_added, weight=9
    ),
    "sessions": Meaning(text="how long a session lasts, or a spent refresh token", is_wider=_is_longer, weight=4),
    "state.url": Meaning(text="other sessions and revocations", weight=9),
    "state.namespace": Meaning(text="other sessions and revocations", weight=9),
    "state.max_staleness": Meaning(
        text="so long do tokens pass while nobody can tell what was revoked", is_wider=_is_longer, weight=5
    ),
    "users.sqlite": Meaning(text="other users; where state.url names no place, other revocations, too", weight=9),
    "users.url": Meaning(text="other users; where state.url names no place, other revocations, too", weight=9),
    "login.username_field": Meaning(text="by that do users log in", weight=6),
    "login.compat": Meaning(text="another form of ids in tokens and of refusals"),
    "login.obtain_path": Meaning(text="where users log in"),
    "login.refresh_path": Meaning(text="where tokens are refreshed"),
    "login.verify_path": Meaning(text="where tokens are verified"),
    "login.blacklist_path": Meaning(text="where users log out"),
    "login.jwks_path": Meaning(text="where the public keys are"),
    "login.response_fields": Meaning(text="what a log-in tells of the user"),
    "guessing.enabled": Meaning(text="whether guesses at passwords are counted", is_wider=_is_off, weight=8),
    "guessing.exempt_addresses": Meaning(text="who may guess without end", is_wider=_names_more, weight=7),
    "guessing": Meaning(text="how often passwords may be guessed", weight=3),
    "identity.unsafe_values": Meaning(text="what becomes of values that are no plain text"),
    "identity": Meaning(text="what the backend is told of the user", weight=8),
    "listen.tls": Meaning(text="how clients' tokens come here", weight=7),
    "listen.address": Meaning(text="from where the gateway can be reached", weight=6),
    "listen.port": Meaning(text="where clients connect", weight=2),
    "listen.trusted_proxies": Meaning(text="whose word on the client's address counts", is_wider=_names_more, weight=6),
    "listen.proxy_protocol_from": Meaning(
        text="whose word on the client's address counts", is_wider=_names_more, weight=6
    ),
    "forward_auth.proxies": Meaning(text="whose word on which request is meant counts", is_wider=_names_more, weight=6),
    "forward_auth": Meaning(text="who may ask what may pass, and where", is_wider=_is_added, weight=6),
    "admin.address": Meaning(text="from where probes and metrics can be reached", weight=5),
    "admin.enabled": Meaning(text="whether there are probes and metrics", is_wider=_is_on, weight=2),
}
