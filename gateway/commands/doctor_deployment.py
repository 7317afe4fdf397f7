"""What the doctor knows of a deployment: from the command line, from a configuration, from tokens that it is given."""

import argparse
import ipaddress
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from gateway.commands.doctor_checks import Verdict, finding, skipped, sound
from gateway.commands.doctor_forgeries import part_of

if TYPE_CHECKING:
    from gateway.auth.keyring import Keyring
    from gateway.config.model import Config

_ADMIN_PORT: Final = 8081
_REFRESH_SECONDS: Final = 60  # of the refresh token that is signed here to be refused
_MOST_FREE: Final = 3
_KEYS: Final = "keys of the file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """One that is good, and two that must be refused for what they say themselves."""

    access: str | None = None
    expired: str | None = None
    refresh: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """`guarded` are further paths that need a token, `free` some that need none.

    `admin_port` None: there is no admin listener.
    `backends` are those that were asked for, `known_backends` those of the file that other machines could reach.

    `claims` are those of a token that the gateway would issue, as far as that is known; `kid` is what it names its key.
    `signed_here` is a token that has ended, signed with the key of the file. `verdicts` is what the file itself says.
    """

    identity_fields: tuple[str, ...] = ("X-User-Id",)
    token_field: str = "Authorization"
    scheme: str = "Bearer"
    type_claim: str = "token_type"
    login_path: str = "/api/token/"
    jwks_path: str = "/.well-known/jwks.json"
    admin_port: int | None = _ADMIN_PORT
    guarded: tuple[str, ...] = ()
    free: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()
    known_backends: tuple[str, ...] = ()
    tokens: Tokens = Tokens()
    claims: Mapping[str, Any] = field(default_factory=dict)
    kid: str | None = None
    signed_here: str | None = None
    verdicts: tuple[Verdict, ...] = ()

    def token_line(self, token: str) -> bytes:
        return f"{self.token_field}: {self.scheme} {token}".encode("latin-1", "replace")


def deployment_of(arguments: argparse.Namespace, environ: Mapping[str, str], given: Sequence[str]) -> Deployment:
    """What the command line says goes before what the file says; `given` are tokens. Raises `ConfigError`."""
    known = Deployment() if arguments.config is None else _of_file(arguments.config, environ)
    stated = {
        "identity_fields": arguments.identity_field and (arguments.identity_field,),
        "login_path": arguments.login_path,
        "admin_port": arguments.admin_port,
        "backends": arguments.backend and (arguments.backend,),
    }
    known = replace(known, **{name: value for name, value in stated.items() if value is not None})
    return _with_tokens(known, given)


def _with_tokens(known: Deployment, given: Sequence[str]) -> Deployment:
    if not given:
        return known
    tokens = sorted_tokens(given, known.type_claim, time.time())
    sample = tokens.access or tokens.expired or tokens.refresh or ""
    kid = (part_of(sample, 0) or {}).get("kid")
    return replace(
        known,
        tokens=Tokens(
            access=tokens.access,
            expired=tokens.expired or known.tokens.expired,
            refresh=tokens.refresh or known.tokens.refresh,
        ),
        claims={**known.claims, **(part_of(sample, 1) or {}), known.type_claim: "access"},
        kid=kid if isinstance(kid, str) else known.kid,
    )


def sorted_tokens(given: Iterable[str], type_claim: str, now: float) -> Tokens:
    """The first of each kind; what cannot be read is taken for an access token, which the deployment will judge."""
    kinds: dict[str, str] = {}
    for token in given:
        claims = part_of(token, 1) or {}
        end = claims.get("exp")
        kind = "refresh" if claims.get(type_claim) == "refresh" else "access"
        if isinstance(end, int | float) and end <= now:
            kind = "expired" if kind == "access" else ""
        kinds.setdefault(kind, token)
    return Tokens(access=kinds.get("access"), expired=kinds.get("expired"), refresh=kinds.get("refresh"))


def _of_file(path: Path, environ: Mapping[str, str]) -> Deployment:
    from gateway.auth.identity import USER_ID_FIELD, preset_fields
    from gateway.composition.tokens import keyring_of
    from gateway.config.load import load, load_to_compare
    from gateway.errors import ConfigError
    from gateway.types import Access

    config, has_secrets = load_to_compare(path, environ, by_name=False)
    names = config.tokens.claims
    preset = preset_fields(config.identity.preset, user_id_claim=names.user_id, roles_claim=names.roles)
    asked = [route for route in config.routes if route.methods is None or "GET" in route.methods]
    known = Deployment(
        identity_fields=tuple(dict.fromkeys((USER_ID_FIELD, *preset, *config.identity.fields))),
        token_field=config.bearer.field_name,
        scheme=config.bearer.schemes[0],
        type_claim=names.token_type,
        login_path=config.login.obtain_path,
        jwks_path=config.login.jwks_path,
        admin_port=config.admin.port if config.admin.enabled else None,
        guarded=tuple(route.path for route in asked if route.access is Access.REQUIRED),
        free=tuple(route.path for route in asked if route.access is Access.PUBLIC)[:_MOST_FREE],
        known_backends=tuple(
            server for upstream in config.upstreams.values() for server in upstream.servers if _is_elsewhere(server)
        ),
    )
    if not has_secrets:
        return replace(
            known, verdicts=(skipped(_KEYS, "its secrets cannot be read here: nothing is signed with them"),)
        )
    try:
        keyring = keyring_of(load(path, environ))
    except ConfigError as error:
        return replace(known, verdicts=(finding(_KEYS, str(error.problems[0])),))
    algorithms = ", ".join(dict.fromkeys(key.algorithm for key in keyring.keys))
    return replace(
        _with_own_tokens(known, config, keyring),
        verdicts=(sound(_KEYS, f"none is weak or well known ({algorithms})"),),
    )


def _is_elsewhere(server: str) -> bool:
    """Whether others than this machine could reach it at all."""
    parts = urlsplit(server)
    if parts.scheme == "unix" or parts.hostname in (None, "localhost"):
        return False
    try:
        return not ipaddress.ip_address(str(parts.hostname)).is_loopback
    except ValueError:
        return True


def _with_own_tokens(known: Deployment, config: "Config", keyring: "Keyring") -> Deployment:
    """With a token that has ended and one for refreshing, of a user who does not exist: no good one is ever made."""
    from gateway.auth.issuer import new_session_id, new_token_id
    from gateway.composition.tokens import build_issuer
    from gateway.types import User

    name = f"doctor-{secrets.token_hex(8)}"
    user = User(id=name, username=name, email=f"{name}@doctor.invalid", roles=(), is_active=True)
    issuer, now = build_issuer(config, keyring), time.time()
    ended = now - config.tokens.leeway - 3600

    def pair(ends_at: float) -> Any:
        return issuer.pair(
            user, session_id=new_session_id(), token_id=new_token_id(), now=ends_at - 60, ends_at=ends_at
        )

    expired = pair(ended).access
    return replace(
        known,
        tokens=Tokens(expired=expired, refresh=pair(now + _REFRESH_SECONDS).refresh),
        claims=part_of(expired, 1) or {},
        kid=keyring.active.kid,
        signed_here=expired,
    )
