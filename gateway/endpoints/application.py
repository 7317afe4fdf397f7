"""The control plane: an ordinary aiohttp application that answers as djangorestframework-simplejwt 5.5.1 does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.auth.issuer import Lifetimes, TokenIssuer
from gateway.auth.revocation import RevocationList
from gateway.auth.sessions import SessionRules
from gateway.auth.throttle import GuessingPolicy
from gateway.auth.verifier import TokenVerifier
from gateway.endpoints.answers import add_fixed_fields
from gateway.endpoints.blacklist import Blacklist
from gateway.endpoints.body import MAX_BODY_BYTES
from gateway.endpoints.gate import PasswordGate
from gateway.endpoints.hashing import HashingPool
from gateway.endpoints.jwks import PublicKeys
from gateway.endpoints.ledger import Ledger
from gateway.endpoints.obtain import Obtain
from gateway.endpoints.own_sessions import OwnSessions
from gateway.endpoints.refresh import Refresh
from gateway.endpoints.verify import Verify
from gateway.endpoints.view import Endpoint, View, last_resort, on_expect
from gateway.interfaces import StateStore, UserDirectory
from gateway.observability.audit import AuditLog


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSettings:
    """What an operator can choose about the endpoints; durations are seconds."""

    obtain_path: str
    refresh_path: str
    verify_path: str
    blacklist_path: str
    jwks_path: str = "/.well-known/jwks.json"
    sessions_path: str = "/api/token/sessions/"
    token_field: str = "Authorization"
    jwks: Mapping[str, Any] | None = None  # the JWK set; not served when there is none
    guessing: GuessingPolicy | None = None  # None: passwords may be guessed without end
    username_field: str = "username"
    response_fields: Mapping[str, Any] = field(default_factory=dict)
    legacy_failure: bool = False  # SimpleJWT 3.3: wrong credentials are 400 with non_field_errors
    sessions: SessionRules
    lifetimes: Lifetimes
    scheme: str = "Bearer"
    realm: str = "api"
    leeway: float = 0.0
    body_timeout: float = 30.0

    @property
    def challenge(self) -> str:
        """The value of WWW-Authenticate."""
        return f'{self.scheme} realm="{self.realm}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the endpoints work with and do not close. `clock` gives Unix seconds."""

    directory: UserDirectory
    store: StateStore
    hashing: HashingPool
    verifier: TokenVerifier
    issuer: TokenIssuer
    revocations: RevocationList
    audit: AuditLog
    clock: Callable[[], float]


def build_application(parts: Surroundings, settings: EndpointSettings) -> web.Application:
    """The endpoints, each with and without the trailing slash.

    Raises ValueError when `settings.response_fields` names an attribute that users do not have.
    """
    verifier, audit, clock = parts.verifier, parts.audit, parts.clock
    ledger = Ledger(
        store=parts.store,
        revocations=parts.revocations,
        rules=settings.sessions,
        lifetimes=settings.lifetimes,
        leeway=settings.leeway,
        audit=audit,
    )
    rotates = settings.sessions.rotates
    endpoints: dict[str, Endpoint] = {
        settings.obtain_path: _obtain(parts, ledger, settings),
        settings.refresh_path: Refresh(
            directory=parts.directory,
            verifier=verifier,
            issuer=parts.issuer,
            ledger=ledger,
            audit=audit,
            clock=clock,
            rotates=rotates,
        ),
        settings.verify_path: Verify(verifier=verifier, ledger=ledger, clock=clock, rotates=rotates),
        settings.blacklist_path: Blacklist(verifier=verifier, ledger=ledger, audit=audit, clock=clock),
    }
    own_sessions = OwnSessions(
        verifier=verifier,
        ledger=ledger,
        audit=audit,
        clock=clock,
        token_field=settings.token_field,
        challenge=settings.challenge,
    )
    return _serve(endpoints, own_sessions, settings)


def _obtain(parts: Surroundings, ledger: Ledger, settings: EndpointSettings) -> Obtain:
    gate = PasswordGate(
        directory=parts.directory,
        hashing=parts.hashing,
        store=parts.store,
        policy=settings.guessing,
        clock=parts.clock,
    )
    return Obtain(
        gate=gate,
        issuer=parts.issuer,
        ledger=ledger,
        audit=parts.audit,
        clock=parts.clock,
        username_field=settings.username_field,
        response_fields=settings.response_fields,
        legacy_failure=settings.legacy_failure,
    )


def _serve(endpoints: Mapping[str, Endpoint], own_sessions: OwnSessions, settings: EndpointSettings) -> web.Application:
    challenge = settings.challenge
    application = web.Application(middlewares=[last_resort(challenge)], client_max_size=MAX_BODY_BYTES)
    application.on_response_prepare.append(add_fixed_fields)
    handlers: dict[str, Handler] = {
        path: View(endpoint=endpoint, challenge=challenge, body_timeout=settings.body_timeout).handle
        for path, endpoint in endpoints.items()
    }
    handlers[settings.sessions_path] = own_sessions.handle_all
    handlers[settings.sessions_path.rstrip("/") + "/{session_id}"] = own_sessions.handle_one
    if settings.jwks is not None:
        handlers[settings.jwks_path] = PublicKeys(settings.jwks).handle
    for path, handle in handlers.items():
        bare = path.rstrip("/")
        for spelling in (bare, bare + "/") if bare else (path,):
            application.router.add_route("*", spelling, handle, expect_handler=on_expect)
    return application
