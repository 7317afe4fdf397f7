"""The composition root: Config → Gateway. The only module that names concrete classes."""

import asyncio
import contextlib
import ssl
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from gateway.auth.bearer import BearerReader
from gateway.auth.identity import MANAGED_FIELDS, PRESET_CLAIMS, PRESETS, IdentityRenderer, preset_fields
from gateway.auth.issuer import IssuedClaims, TokenIssuer
from gateway.auth.keyring import KeyRefused, Keyring, build_keyring
from gateway.auth.passwords import PasswordHasher
from gateway.auth.policy import RoutePolicy
from gateway.auth.revocation import RevocationList
from gateway.auth.verifier import TokenVerifier
from gateway.config.load import Document
from gateway.config.model import Compat, Config, Cors, HostField, Route, RouteCors, UnsafeValue, WebSocket
from gateway.config.upstreams import Upstream
from gateway.endpoints.application import EndpointSettings, build_application
from gateway.endpoints.connection import require_c_parsers
from gateway.endpoints.hashing import HashingPool
from gateway.errors import ConfigError
from gateway.http.addresses import Networks
from gateway.http.cors import CorsPolicy
from gateway.http.fields import RequestFieldUses, ResponseFieldUses
from gateway.http.forwarding import TrustedProxies
from gateway.http.prefixes import PrefixReplacement
from gateway.http.replies import Replies, challenge
from gateway.http.requests import RequestReader
from gateway.http.responses import ResponseReader
from gateway.http.routes import RouteTable
from gateway.http.upgrades import HandshakeReader
from gateway.observability.access_log import AccessLog
from gateway.proxy.admission import Admission
from gateway.proxy.connection_caps import ConnectionCaps
from gateway.proxy.data_plane import DataPlane
from gateway.proxy.long_exchanges import LongExchanges
from gateway.proxy.plan import ClientLimits, RoutePlan, WebSocketPlan
from gateway.proxy.preparation import Preparation
from gateway.proxy.upstream_pool import UpstreamPool
from gateway.server.certificates import CertificateRefused, Certificates
from gateway.server.change_feed import ChangeFeed
from gateway.server.drain import drain
from gateway.server.listener import Listener
from gateway.server.sockets import Sockets, open_sockets
from gateway.sqlite_file import SqliteFile
from gateway.state.sqlite import SqliteStateStore
from gateway.tasks import spawn
from gateway.types import Access
from gateway.upstreams import build_checks, build_endpoints_pool, build_pool, client_contexts
from gateway.users.sqlite import SqliteUserDirectory

_CACHED_TOKENS: Final = 10_000  # about 1 KiB each


def build(document: Document) -> "Gateway":
    """Raises `ConfigError` for keys that are refused, `GatewayError` when the installation itself is not fit."""
    require_c_parsers()
    return Gateway(
        document.config, keyring_of(document), certificates_of(document), upstream_contexts=client_contexts(document)
    )


def keyring_of(document: Document) -> Keyring:
    """The configured keys. Raises `ConfigError` with the file and line of the key that is refused."""
    tokens = document.config.tokens
    try:
        return build_keyring(tokens.algorithm, tokens.signing_key, tokens.verifying_key)
    except KeyRefused as refusal:
        raise ConfigError([document.problem(f"tokens.{refusal.setting}", str(refusal))]) from None


def certificates_of(document: Document) -> Certificates | None:
    """The listener's certificate. Raises `ConfigError` with the file and line of the one that is not fit."""
    tls = document.config.listen.tls
    if tls is None:
        return None
    folder = Path(document.file).parent
    try:
        return Certificates(
            certificate=folder / tls.certificate,
            key=folder / tls.key,
            min_version=ssl.TLSVersion.TLSv1_3 if tls.min_version == "1.3" else ssl.TLSVersion.TLSv1_2,
        )
    except CertificateRefused as refusal:
        raise ConfigError([document.problem(f"listen.tls.{refusal.setting}", str(refusal))]) from None


def build_verifier(config: Config, keyring: Keyring) -> TokenVerifier:
    """What checks access and refresh tokens."""
    tokens = config.tokens
    return TokenVerifier(
        keyring=keyring,
        leeway=tokens.leeway,
        audience=tokens.audience,
        issuer=tokens.issuer,
        user_id_claim=tokens.claims.user_id,
        token_type_claim=tokens.claims.token_type,
        jti_claim=tokens.claims.jti,
    )


def build_issuer(config: Config, keyring: Keyring) -> TokenIssuer:
    """What makes tokens, with the claims that the chosen identity preset reads."""
    tokens = config.tokens
    names = tokens.claims
    extra = {
        claim.format(roles=names.roles): PRESET_CLAIMS[claim]
        for claim in PRESETS[config.identity.preset].values()
        if claim in PRESET_CLAIMS
    }
    return TokenIssuer(
        keyring=keyring,
        access_lifetime=tokens.access_lifetime,
        refresh_lifetime=tokens.refresh_lifetime,
        audience=tokens.audience,
        issuer=tokens.issuer,
        names=IssuedClaims(
            user_id=names.user_id,
            token_type=names.token_type,
            jti=names.jti,
            session_id=names.session_id,
            extra={**extra, **names.extra},
            numeric_user_id=config.login.compat is Compat.V3_3,
        ),
    )


def build_hasher(config: Config) -> PasswordHasher:
    """What hashes and checks passwords."""
    argon2 = config.users.argon2
    return PasswordHasher(time_cost=argon2.time_cost, memory_cost=argon2.memory_cost, parallelism=argon2.parallelism)


def open_users(config: Config) -> SqliteUserDirectory:
    """The user directory on a connection of its own; `await prepare()` before use, `await close()` after."""
    return _users_in(SqliteFile.open(config.users.sqlite), config)


def _users_in(file: SqliteFile, config: Config) -> SqliteUserDirectory:
    by_email = config.login.username_field == "email"
    return SqliteUserDirectory(file, login_attribute="email" if by_email else "username")


def _cors_policy(cors: Cors) -> CorsPolicy:
    return CorsPolicy(
        allow_origins=cors.allow_origins,
        allow_methods=cors.allow_methods,
        allow_headers=cors.allow_headers,
        expose_headers=cors.expose_headers,
        allow_credentials=cors.allow_credentials,
        max_age=cors.max_age,
    )


class Gateway:
    """A running gateway: an async context manager that listens while it is entered and drains when it is left."""

    def __init__(
        self,
        config: Config,
        keyring: Keyring,
        certificates: Certificates | None,
        upstream_contexts: Mapping[str, ssl.SSLContext],
    ) -> None:
        self._config = config
        self._certificates = certificates
        self._upstream_contexts = upstream_contexts
        self._verifier = build_verifier(config, keyring)
        self._issuer = build_issuer(config, keyring)
        self._revocations = RevocationList()
        self._exit = contextlib.AsyncExitStack()
        self._responses = ResponseReader(uses=ResponseFieldUses())
        self._cors = None if config.cors is None else _cors_policy(config.cors)
        self._sockets: Sockets = ()
        self._port = 0

    def listen_on(self, sockets: Sockets) -> None:
        """Use these, which then belong to it, instead of opening the configured port itself."""
        self._sockets = sockets

    @property
    def url(self) -> str:
        """Where clients reach it, once started."""
        address = self._config.listen.address
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address, f"[{address}]" if ":" in address else address)
        return f"{'http' if self._certificates is None else 'https'}://{host}:{self._port}"

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exit.aclose()

    async def _start(self) -> None:
        """Things are pushed onto the exit stack in the order in which they start, so they end in the opposite one."""
        config, loop = self._config, asyncio.get_running_loop()
        sockets = self._take_sockets()
        file = SqliteFile.open(config.users.sqlite)
        self._exit.push_async_callback(file.close)
        directory, store = _users_in(file, config), SqliteStateStore(file)
        await directory.prepare()
        await store.prepare()
        admission = self._build_admission(directory)
        long_exchanges = LongExchanges(revocations=self._revocations, directory=directory, clock=time.time, loop=loop)
        self._exit.callback(long_exchanges.close)
        feed = ChangeFeed(
            directory=directory,
            store=store,
            known_users=admission.known_users,
            revocations=self._revocations,
            long_exchanges=long_exchanges,
            clock=time.time,
        )
        await feed.catch_up()
        self._exit.callback(spawn(feed.follow(), name="change_feed").cancel)
        runner = await self._start_endpoints(directory, store)
        plane = self._build_data_plane(admission, long_exchanges, runner, loop)
        if self._certificates is not None:
            self._exit.callback(spawn(self._certificates.follow(), name="certificates").cancel)
        listener = self._build_listener(sockets, plane)
        self._exit.push_async_callback(
            drain, plane, listener, delay=config.limits.drain_delay, patience=config.limits.drain_timeout
        )
        listener.start()

    def _take_sockets(self) -> Sockets:
        listen = self._config.listen
        sockets = self._sockets or open_sockets(listen.address, listen.port)[0]
        for sock in sockets:
            self._exit.callback(sock.close)
        self._port = sockets[0].getsockname()[1]
        return sockets

    def _build_listener(self, sockets: Sockets, plane: DataPlane) -> Listener:
        certificates = self._certificates
        return Listener(
            sockets=sockets,
            plane=plane,
            context=None if certificates is None else lambda: certificates.context,
            balancers=Networks(self._config.listen.proxy_protocol_from),
            opening_timeout=self._config.limits.head_timeout,
        )

    async def _start_endpoints(self, directory: SqliteUserDirectory, store: SqliteStateStore) -> web.AppRunner:
        config = self._config
        login, tokens = config.login, config.tokens
        hashing = HashingPool(
            hasher=build_hasher(config), workers=config.users.hash_workers, queue=config.users.hash_queue
        )
        self._exit.callback(hashing.close)
        application = build_application(
            directory=directory,
            store=store,
            hashing=hashing,
            verifier=self._verifier,
            issuer=self._issuer,
            revocations=self._revocations,
            settings=EndpointSettings(
                obtain_path=login.obtain_path,
                refresh_path=login.refresh_path,
                verify_path=login.verify_path,
                blacklist_path=login.blacklist_path,
                username_field=login.username_field,
                response_fields=login.response_fields,
                legacy_failure=login.compat is Compat.V3_3,
                rotate_refresh_tokens=tokens.rotate_refresh_tokens,
                logout_revokes_access=login.logout_revokes_access,
                session_claim=tokens.claims.session_id,
                scheme=config.bearer.schemes[0],
                realm=config.bearer.realm,
                session_lifetime=max(tokens.access_lifetime, tokens.refresh_lifetime),
                leeway=tokens.leeway,
                body_timeout=config.limits.body_timeout,
            ),
            clock=time.time,
        )
        runner = web.AppRunner(application, handle_signals=False)
        await runner.setup()
        self._exit.push_async_callback(runner.cleanup)
        return runner

    def _build_admission(self, directory: SqliteUserDirectory) -> Admission:
        config = self._config
        names = config.tokens.claims
        preset = preset_fields(config.identity.preset, user_id_claim=names.user_id, roles_claim=names.roles)
        return Admission(
            bearer=BearerReader(schemes=config.bearer.schemes),
            verifier=self._verifier,
            identity=IdentityRenderer(
                fields={**preset, **config.identity.fields},
                refuses_unsafe=config.identity.unsafe_values is UnsafeValue.REFUSE,
            ),
            revocations=self._revocations,
            directory=directory,
            leeway=config.tokens.leeway,
            claim_names=(names.session_id, names.roles),
            max_tokens=_CACHED_TOKENS,
        )

    def _build_data_plane(
        self,
        admission: Admission,
        long_exchanges: LongExchanges,
        runner: web.AppRunner,
        loop: asyncio.AbstractEventLoop,
    ) -> DataPlane:
        config = self._config
        limits = config.limits
        proxies = Networks(config.listen.trusted_proxies)
        routes = self._build_routes(runner)
        return DataPlane(
            admission=admission,
            preparation=self._preparation(routes, trusts_peer=False),
            trusted_preparation=self._preparation(routes, trusts_peer=True),
            trusted_proxies=TrustedProxies(proxies) if proxies else None,
            replies=Replies(challenge=challenge(config.bearer.schemes[0], config.bearer.realm)),
            cors=self._cors,
            limits=ClientLimits(
                max_head_bytes=limits.max_head_bytes,
                head_timeout=limits.head_timeout,
                body_timeout=limits.body_timeout,
                keepalive_timeout=limits.keepalive_timeout,
                min_rate=limits.min_rate,
                max_requests=limits.max_requests_per_connection,
            ),
            caps=ConnectionCaps(
                total=limits.max_connections, per_address=limits.max_connections_per_address, exempt=proxies
            ),
            access_log=self._open_access_log(loop),
            long_exchanges=long_exchanges,
            clock=time.time,
            loop=loop,
        )

    def _preparation(self, routes: RouteTable[RoutePlan], *, trusts_peer: bool) -> Preparation:
        config = self._config
        uses = RequestFieldUses(
            token_field=config.bearer.field_name,
            managed={*MANAGED_FIELDS, *config.identity.fields},
            trusts_peer=trusts_peer,
        )
        return Preparation(
            reader=RequestReader(uses=uses, max_fields=config.limits.max_fields),
            routes=routes,
            max_target_bytes=config.limits.max_target_bytes,
            token_field=config.bearer.field_name,
        )

    def _open_access_log(self, loop: asyncio.AbstractEventLoop) -> AccessLog | None:
        if not self._config.listen.access_log:
            return None
        access_log = AccessLog(stream=sys.stdout, clock=time.time, loop=loop)
        self._exit.callback(access_log.flush)
        return access_log

    def _build_routes(self, runner: web.AppRunner) -> RouteTable[RoutePlan]:
        config = self._config
        pools = {name: self._start_pool(name, upstream) for name, upstream in config.upstreams.items()}
        prefixes = {
            route.path: RoutePlan(
                policy=RoutePolicy(
                    access=route.access, methods=route.methods, roles=route.roles, is_stateless=route.stateless
                ),
                pool=pools[route.upstream],
                host=pools[route.upstream].host if route.host is HostField.UPSTREAM else None,
                keeps_token=route.keep_authorization,
                cors=self._cors_of(route),
                max_body_bytes=config.limits.max_body_bytes if route.max_body_bytes is None else route.max_body_bytes,
                allowed_oddities=route.allow_in_path,
                prefix_replacement=None
                if route.upstream_path is None
                else PrefixReplacement(prefix=route.path, replacement=route.upstream_path),
                websocket=None if route.websocket is None else self._websocket_plan(route.websocket),
                outlives_token=route.outlive_token,
            )
            for route in config.routes
        }
        endpoints = RoutePlan(
            policy=RoutePolicy(access=Access.PUBLIC),
            pool=self._start_endpoints_pool(runner),
            reaches_endpoints=True,
            cors=self._cors,
        )
        login = config.login
        exact: dict[str, RoutePlan] = {}
        for path in (login.obtain_path, login.refresh_path, login.verify_path, login.blacklist_path):
            bare = path.rstrip("/")
            exact |= {spelling: endpoints for spelling in (bare, bare + "/") if spelling}
        return RouteTable(exact=exact, prefixes=prefixes)

    def _cors_of(self, route: Route) -> CorsPolicy | None:
        if isinstance(route.cors, Cors):
            return _cors_policy(route.cors)
        return self._cors if route.cors is RouteCors.INHERIT else None

    def _websocket_plan(self, websocket: WebSocket) -> WebSocketPlan:
        return WebSocketPlan(
            handshakes=HandshakeReader(
                allow_origins=websocket.allow_origins,
                token_query=websocket.token_query,
                scheme=self._config.bearer.schemes[0],
            ),
            idle_timeout=websocket.idle_timeout,
            max_per_user=websocket.max_per_user,
            max_message_bytes=websocket.max_message_bytes,
        )

    def _start_pool(self, name: str, upstream: Upstream) -> UpstreamPool:
        pool = build_pool(name, upstream, tls=self._upstream_contexts.get(name), reader=self._responses)
        self._exit.callback(pool.close)
        checks = build_checks(pool, upstream, reader=self._responses)
        if checks is not None:
            self._exit.callback(spawn(checks.run(), name="health_checks").cancel)
        return pool

    def _start_endpoints_pool(self, runner: web.AppRunner) -> UpstreamPool:
        pool = build_endpoints_pool(runner, max_idle=self._config.users.hash_workers + 8, reader=self._responses)
        self._exit.callback(pool.close)
        return pool
