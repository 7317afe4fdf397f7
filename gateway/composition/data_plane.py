"""Configuration → the data plane: who may pass, how heads are read and written, what a client may take."""

from collections.abc import Mapping
from typing import Final

from gateway.auth.bearer import BearerReader
from gateway.auth.foreign_issuer import ForeignIssuers
from gateway.auth.identity import MANAGED_FIELDS, USER_ID_FIELD, IdentityRenderer, preset_fields
from gateway.auth.revocation import RevocationList
from gateway.auth.verifier import TokenVerifier
from gateway.config.model import Config
from gateway.config.sections.forward_auth import ForwardAuth, RequestIn
from gateway.config.sections.identity import UnsafeValue
from gateway.config.sections.limits import Limits
from gateway.http.addresses import Networks
from gateway.http.cors import CorsPolicy
from gateway.http.fields import RequestFieldUses
from gateway.http.forwarding import TrustedProxies
from gateway.http.questions import NamedIn, Questions
from gateway.http.replies import Replies, challenge
from gateway.http.requests import RequestReader
from gateway.http.routes import RouteTable
from gateway.interfaces import UserLookUp
from gateway.proxy.admission import Admission, AdmissionRules
from gateway.proxy.connection_caps import CapRules
from gateway.proxy.data_plane import PlaneRules
from gateway.proxy.plan import ClientLimits, RoutePlan
from gateway.proxy.preparation import Preparation

_CACHED_TOKENS: Final = 10_000  # about 1 KiB each


def build_admission(rules: AdmissionRules, *, revocations: RevocationList, directory: UserLookUp) -> Admission:
    """What tells who asks, and what the backend is told of them."""
    return Admission(rules=rules, revocations=revocations, directory=directory, max_tokens=_CACHED_TOKENS)


def build_admission_rules(
    config: Config, verifier: TokenVerifier, foreign: ForeignIssuers | None = None
) -> AdmissionRules:
    """By which an admission judges."""
    names = config.tokens.claims
    return AdmissionRules(
        bearer=BearerReader(schemes=config.bearer.schemes),
        verifier=verifier,
        foreign=foreign,
        identity=IdentityRenderer(
            fields=_identity_fields(config),
            refuses_unsafe=config.identity.unsafe_values is UnsafeValue.REFUSE,
        ),
        roles_claim=names.roles,
    )


def _identity_fields(config: Config) -> Mapping[str, str]:
    """Field → claim, of those beside X-User-Id."""
    names = config.tokens.claims
    preset = preset_fields(config.identity.preset, user_id_claim=names.user_id, roles_claim=names.roles)
    return {**preset, **config.identity.fields}


def build_rules(config: Config, *, routes: RouteTable[RoutePlan], cors: CorsPolicy | None) -> PlaneRules:
    """`cors` is for answers where no route was found; the routes have theirs."""
    proxies = Networks(config.listen.trusted_proxies)
    listed = [(proxies, _preparation(config, routes, trusts_peer=True))] if proxies else []
    if config.forward_auth is not None:
        asking = Networks(config.forward_auth.proxies)
        listed.insert(0, (asking, _preparation(config, routes, trusts_peer=True, may_ask=True)))
    return PlaneRules(
        preparation=_preparation(config, routes, trusts_peer=False),
        listed=tuple(listed),
        trusted_proxies=TrustedProxies(proxies) if proxies else None,
        replies=Replies(challenge=challenge(config.bearer.schemes[0], config.bearer.realm)),
        cors=cors,
        limits=_client_limits(config.limits),
        caps=CapRules(
            total=config.limits.connections.max, per_address=config.limits.connections.max_per_address, exempt=proxies
        ),
    )


def _preparation(
    config: Config, routes: RouteTable[RoutePlan], *, trusts_peer: bool, may_ask: bool = False
) -> Preparation:
    uses = RequestFieldUses(
        token_field=config.bearer.field_name,
        managed={*MANAGED_FIELDS, *config.identity.fields},
        trusts_peer=trusts_peer,
        told={USER_ID_FIELD, *_identity_fields(config)} if may_ask else None,
    )
    return Preparation(
        reader=RequestReader(uses=uses, max_fields=config.limits.max_fields),
        routes=routes,
        max_target_bytes=config.limits.max_target_bytes,
        token_field=config.bearer.field_name,
        questions=_questions(config.forward_auth, may_ask=may_ask),
    )


def _questions(forward_auth: ForwardAuth | None, *, may_ask: bool) -> Questions | None:
    if forward_auth is None:
        return None
    named_in = NamedIn.FIELDS if forward_auth.request_in is RequestIn.FIELDS else NamedIn.TARGET
    return Questions(path=forward_auth.path, named_in=named_in if may_ask else None)


def _client_limits(limits: Limits) -> ClientLimits:
    return ClientLimits(
        max_head_bytes=limits.max_head_bytes,
        head_timeout=limits.head_timeout,
        body_timeout=limits.body_timeout,
        idle_timeout=limits.connections.idle_timeout,
        min_rate=limits.min_rate,
        max_requests=limits.connections.max_requests,
    )
