"""Configuration → the control plane's application."""

import time

from aiohttp import web

from gateway.auth.issuer import TokenIssuer
from gateway.auth.keyring import Keyring, jwk_set
from gateway.auth.revocation import RevocationList
from gateway.auth.sessions import SessionRules
from gateway.auth.throttle import GuessingPolicy
from gateway.auth.verifier import TokenVerifier
from gateway.composition.state import State, build_hasher
from gateway.composition.tokens import lifetimes_of
from gateway.config.model import Config
from gateway.config.sections.guessing import Guessing
from gateway.config.sections.login import Compat
from gateway.endpoints.application import EndpointSettings, Surroundings, build_application
from gateway.endpoints.hashing import HashingPool
from gateway.http.addresses import Networks
from gateway.observability.audit import AuditLog
from gateway.observability.meters import Meters


def build_hashing(config: Config) -> HashingPool:
    """The threads that hash passwords; to be closed behind the application."""
    users = config.users
    return HashingPool(hasher=build_hasher(config), workers=users.hash_workers, queue=users.hash_queue)


def build_endpoints(
    config: Config,
    *,
    state: State,
    hashing: HashingPool,
    verifier: TokenVerifier,
    issuer: TokenIssuer,
    revocations: RevocationList,
    keyring: Keyring,
    meters: Meters,
) -> web.Application:
    """Log-in, refresh, verify and log-out, and the public keys."""
    parts = Surroundings(
        directory=state.directory,
        store=state.store,
        hashing=hashing,
        verifier=verifier,
        issuer=issuer,
        revocations=revocations,
        audit=AuditLog(clock=time.time, meter=meters.auth()),
        clock=time.time,
    )
    return build_application(parts, _settings(config, keyring))


def session_rules_of(config: Config) -> SessionRules:
    """When a session is over, and what becomes of its refresh tokens."""
    sessions = config.sessions
    return SessionRules(
        rotates=config.tokens.rotate_refresh_tokens,
        rotation_grace=sessions.rotation_grace,
        idle_timeout=sessions.idle_timeout,
        lifetime=sessions.lifetime,
    )


def _settings(config: Config, keyring: Keyring) -> EndpointSettings:
    login, tokens = config.login, config.tokens
    return EndpointSettings(
        obtain_path=login.obtain_path,
        refresh_path=login.refresh_path,
        verify_path=login.verify_path,
        blacklist_path=login.blacklist_path,
        jwks_path=login.jwks_path,
        sessions_path=login.sessions_path,
        token_field=config.bearer.field_name,
        jwks=jwk_set(keyring),
        guessing=_guessing(config.guessing),
        username_field=login.username_field,
        response_fields=login.response_fields,
        legacy_failure=login.compat is Compat.V3_3,
        sessions=session_rules_of(config),
        lifetimes=lifetimes_of(tokens),
        scheme=config.bearer.schemes[0],
        realm=config.bearer.realm,
        leeway=tokens.leeway,
        body_timeout=config.limits.body_timeout,
    )


def _guessing(guessing: Guessing) -> GuessingPolicy | None:
    if not guessing.enabled:
        return None
    return GuessingPolicy(
        attempts_per_user=guessing.attempts_per_user,
        attempts_per_address=guessing.attempts_per_address,
        first_wait=guessing.first_wait,
        longest_wait=guessing.longest_wait,
        forget_after=guessing.forget_after,
        address_lifetime=guessing.address_lifetime,
        exempt_addresses=Networks(guessing.exempt_addresses),
    )
