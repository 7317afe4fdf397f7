"""Configuration → the issuers whose tokens pass beside our own, and what fetches their keys."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.auth.foreign_issuer import ForeignIssuer, ForeignIssuers, OwnNames, Translation
from gateway.composition.blueprint import Blueprint
from gateway.composition.credentials import ClientTls
from gateway.config.model import Config
from gateway.config.sections import foreign_issuers as sections
from gateway.config.sections.foreign_issuers import ForeignUsers
from gateway.config.sections.tokens import ClaimNames
from gateway.observability.meters import Meters
from gateway.server.issuer_keys import IssuerKeys
from gateway.tasks import spawn

_PATIENCE: Final = 3.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """What an issuer is made of: its section, what it is reached by, and the names that its claims are put into."""

    section: sections.ForeignIssuer
    tls: ClientTls
    names: ClaimNames
    leeway: float

    @property
    def source(self) -> tuple[object, ...]:
        """The same keys come from the same place by the same means."""
        return self.section.jwks_url, self.section.algorithms, self.tls


@dataclass(slots=True, kw_only=True)
class FollowedIssuer:
    """`terms` are what both were made of; `task` fetches the keys, and is None while nothing does yet."""

    terms: _Terms
    issuer: ForeignIssuer
    keys: IssuerKeys
    task: asyncio.Task[Any] | None = None


class Issuers:
    """The foreign issuers of a running gateway. Those whose terms stay keep their keys in a reload."""

    def __init__(self, *, meters: Meters, on_keys_gone: Callable[[], None]) -> None:
        self._meters = meters
        self._on_keys_gone = on_keys_gone
        self._followed: dict[int, FollowedIssuer] = {}
        self._by_name: Mapping[str, FollowedIssuer] = {}

    def draw(self, blueprint: Blueprint) -> Mapping[str, FollowedIssuer]:
        """By name; the new ones among them ask nobody yet."""
        drawn: dict[str, FollowedIssuer] = {}
        config = blueprint.config
        for name, issuer in build_foreign_issuers(config).items():
            terms = _Terms(
                section=config.foreign_issuers[name],
                tls=blueprint.credentials.issuers[name],
                names=config.tokens.claims,
                leeway=config.tokens.leeway,
            )
            before = self._by_name.get(name)
            if before is not None and before.terms == terms:
                drawn[name] = before
                continue
            keys = self._keys_of(name, issuer, terms)
            if before is not None and before.terms.source == terms.source:
                keys.resume(before.keys)
            drawn[name] = FollowedIssuer(terms=terms, issuer=issuer, keys=keys)
        return drawn

    def _keys_of(self, name: str, issuer: ForeignIssuer, terms: _Terms) -> IssuerKeys:
        return IssuerKeys(
            name=name,
            issuer=issuer,
            url=terms.section.jwks_url,
            tls=terms.tls.context,
            max_key_age=terms.section.max_key_age,
            on_keys_gone=self._on_keys_gone,
            meter=self._meters.issuer(name),
        )

    async def fetch(self, drawn: Mapping[str, FollowedIssuer]) -> None:
        """Begin with the new ones, and wait for those without keys: their tokens pass from the first request on.

        Not for long: an issuer that is away keeps nothing else waiting.
        """
        for followed in drawn.values():
            if followed.task is None:
                followed.task = spawn(followed.keys.follow(), name="issuer_keys")
                self._followed[id(followed)] = followed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                for followed in drawn.values():
                    if followed.issuer.keys is None:
                        await followed.keys.wait()

    def run(self, drawn: Mapping[str, FollowedIssuer]) -> None:
        """These alone from now on."""
        self._by_name = drawn
        kept = {id(followed) for followed in drawn.values()}
        for followed in tuple(self._followed.values()):
            if id(followed) not in kept and followed.task is not None:
                followed.task.cancel()
                del self._followed[id(followed)]

    @property
    def keys(self) -> list[IssuerKeys]:
        """Of what runs now."""
        return [followed.keys for followed in self._by_name.values()]

    def close(self) -> None:
        self.run({})


def foreign_of(issuers: Mapping[str, ForeignIssuer]) -> ForeignIssuers | None:
    """What admission asks; None when there are none, so that nobody pays for them."""
    return ForeignIssuers(issuers.values()) if issuers else None


def build_foreign_issuers(config: Config) -> Mapping[str, ForeignIssuer]:
    """By name, and without keys as yet."""
    return {name: _foreign_issuer(name, entry, config) for name, entry in config.foreign_issuers.items()}


def _foreign_issuer(name: str, entry: sections.ForeignIssuer, config: Config) -> ForeignIssuer:
    names, claims = config.tokens.claims, entry.claims
    taken = dict(claims.extra)
    if claims.roles is not None:
        taken[names.roles] = claims.roles
    # No name has a colon in it, so no two prefixes, and no two ids behind them, are ever the same.
    prefix = f"{name}:"
    return ForeignIssuer(
        issuer=entry.issuer,
        audience=entry.audience,
        algorithms=tuple(algorithm.value for algorithm in entry.algorithms),
        leeway=config.tokens.leeway,
        header_type=entry.header_type,
        translation=Translation(
            own=OwnNames(
                user_id=names.user_id, token_type=names.token_type, jti=names.jti, session_id=names.session_id
            ),
            user_id_claim=claims.user_id,
            user_id_prefix=prefix if entry.users is ForeignUsers.PREFIXED else "",
            id_prefix=prefix,
            taken=taken,
        ),
        is_local=entry.users is ForeignUsers.LOCAL,
    )
