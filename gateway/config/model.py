"""The configuration as values: what `parse` makes of the YAML and `app` takes apart again.

Each field carries its documentation, its default and its bounds: the parser, the JSON Schema and the reference are
driven by this file, `config.example.yaml` is held against it. Durations are seconds, sizes bytes. Nothing below `app`
takes one of these objects: constructors get the plain values that they use.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Literal

from gateway.config.forms import Form
from gateway.config.metadata import doc, timeout
from gateway.config.upstreams import Upstream
from gateway.types import Access, Oddity, Secret


@unique
class Compat(StrEnum):
    """Which SimpleJWT release the clients were written for."""

    V5 = "5"
    V3_3 = "3.3"  # wrong credentials are 400 with non_field_errors; numeric user ids stay numbers in tokens


@unique
class HostField(StrEnum):
    """Which Host the backend sees."""

    CLIENT = "client"
    UPSTREAM = "upstream"


@unique
class RouteCors(StrEnum):
    """Who answers for cross-origin access on a route that has no section of its own for it."""

    INHERIT = "inherit"
    UPSTREAM = "upstream"


@unique
class UnsafeValue(StrEnum):
    """What becomes of a claim that is not plain visible ASCII on its way into a field."""

    PERCENT_ENCODE = "percent-encode"
    REFUSE = "refuse"


@unique
class Algorithm(StrEnum):
    """Signature algorithms (RFC 7518 §3.1, RFC 8037 §3.1)."""

    HS256 = "HS256"
    HS384 = "HS384"
    HS512 = "HS512"
    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"
    ES256 = "ES256"
    ES384 = "ES384"
    ES512 = "ES512"
    EDDSA = "EdDSA"


@unique
class IdentityPreset(StrEnum):
    """Ready-made sets of identity fields."""

    X_USER_ID = "x-user-id"
    X_FORWARDED_USER = "x-forwarded-user"
    REMOTE_USER = "remote-user"
    X_AUTH_REQUEST = "x-auth-request"


@unique
class UserAttribute(StrEnum):
    """What of a user can be put into a claim or into the log-in answer: names of fields of `types.User`."""

    ID = "id"
    USERNAME = "username"
    EMAIL = "email"
    ROLES = "roles"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """TLS for clients. Changed files are taken up without a restart; bad ones leave the last good pair in use."""

    certificate: str = field(
        metadata=doc("PEM file, the listener's own certificate first, then the chain; relative to this file.")
    )
    key: str = field(metadata=doc("PEM file of its private key, without a password, closed to others."))
    min_version: Literal["1.2", "1.3"] = field(default="1.2", metadata=doc("Oldest version that is spoken."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """Where clients connect."""

    address: str = field(
        default="127.0.0.1", metadata=doc("Address to bind; 0.0.0.0 or '::' inside a container.", form=Form.ADDRESS)
    )
    port: int = field(default=8080, metadata=doc("TCP port; 0 takes any free one.", minimum=0, maximum=65535))
    access_log: bool = field(default=True, metadata=doc("One JSON line a request on standard output."))
    tls: Tls | None = field(default=None, metadata=doc("TLS for clients; plain HTTP when absent."))
    trusted_proxies: tuple[str, ...] = field(
        default=(), metadata=doc("Networks of proxies whose X-Forwarded-* fields count.", form=Form.NETWORK)
    )
    proxy_protocol_from: tuple[str, ...] = field(
        default=(),
        metadata=doc(
            "Networks of balancers; their connections must begin with a PROXY protocol head (v1 or v2).",
            form=Form.NETWORK,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """Cross-origin access for browsers, answered by the gateway."""

    allow_origins: tuple[str, ...] = field(
        metadata=doc(
            "Origins as the browser sends them (https://app.example.org); '*' for all, without credentials.",
            form=Form.ORIGIN,
            minimum=1,
        )
    )
    allow_methods: tuple[str, ...] = field(
        default=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
        metadata=doc("Methods scripts may use.", form=Form.METHOD),
    )
    allow_headers: tuple[str, ...] = field(
        default=("authorization", "content-type", "x-request-id"),
        metadata=doc("Request fields scripts may set.", form=Form.TOKEN),
    )
    expose_headers: tuple[str, ...] = field(
        default=("x-request-id",), metadata=doc("Response fields scripts may read.", form=Form.TOKEN)
    )
    allow_credentials: bool = field(default=False, metadata=doc("Allow cookies and HTTP authentication."))
    max_age: float = field(
        default=600.0, metadata=doc("How long a browser may keep a preflight's answer.", maximum=86400)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocket:
    """WebSocket on a route: the same admission as for every request, then a tunnel."""

    allow_origins: tuple[str, ...] = field(
        metadata=doc(
            "Origins whose pages may connect, as the browser sends them; '*' for all. Without Origin: no browser, may.",
            form=Form.ORIGIN,
        )
    )
    token_query: str | None = field(
        default=None,
        metadata=doc("Query parameter that may carry the token; removed before forwarding.", form=Form.NAME),
    )
    idle_timeout: float = field(
        default=300.0, metadata=timeout("How long nothing may pass in either direction; then close code 4408.")
    )
    max_per_user: int = field(
        default=100,
        metadata=doc("Open WebSockets of one user on this route; more are 429.", minimum=1, maximum=1_000_000),
    )
    max_message_bytes: int = field(
        default=16 * 1024 * 1024,
        metadata=doc("Message of a client; more is close code 1009.", size=True, minimum=125, maximum=4 * 1024**3),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A rule: who may pass below a path, and where to. The longest matching prefix wins."""

    path: str = field(metadata=doc("Path prefix of whole segments, starting with '/'.", form=Form.PATH))
    upstream: str = field(metadata=doc("Name of an entry of `upstreams`.", form=Form.NAME))
    access: Access = field(
        default=Access.REQUIRED,
        metadata=doc("required: a good token; optional: or none at all; public: nobody is asked."),
    )
    methods: frozenset[str] | None = field(
        default=None, metadata=doc("Methods that may pass; all when absent.", form=Form.METHOD, minimum=1)
    )
    roles: frozenset[str] | None = field(
        default=None, metadata=doc("The token must carry one of these roles; any user when absent.", minimum=1)
    )
    stateless: bool = field(
        default=False,
        metadata=doc("Only the token counts: the user is not looked up (JWTStatelessUserAuthentication)."),
    )
    keep_authorization: bool = field(
        default=False, metadata=doc("Pass the client's Authorization field on to the backend.")
    )
    host: HostField = field(
        default=HostField.CLIENT, metadata=doc("client: the client's Host; upstream: the backend's.")
    )
    upstream_path: str | None = field(
        default=None,
        metadata=doc(
            "What the backend gets in the place of `path`: `/` strips it. The same path when absent.", form=Form.PATH
        ),
    )
    allow_in_path: frozenset[Oddity] = field(
        default=frozenset(),
        metadata=doc("Unsafe: what old applications have in paths and backends read in several ways; else 400."),
    )
    max_body_bytes: int | None = field(
        default=None,
        metadata=doc(
            "Request body; more is 413. As in `limits` when absent.",
            size=True,
            may_be_unlimited=True,
            minimum=0,
            maximum=1024**4,
        ),
    )
    cors: RouteCors | Cors = field(
        default=RouteCors.INHERIT,
        metadata=doc(
            "inherit: the global `cors`; upstream: the backend answers; or a whole section like the global one."
        ),
    )
    websocket: WebSocket | None = field(default=None, metadata=doc("WebSocket; no upgrade is passed when absent."))
    outlive_token: bool = field(
        default=False,
        metadata=doc("WebSockets and event streams go on when their token expires or is revoked."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """How an access token arrives."""

    field_name: str = field(
        default="Authorization", metadata=doc("Name of the request field that carries the token.", form=Form.TOKEN)
    )
    schemes: tuple[str, ...] = field(
        default=("Bearer",),
        metadata=doc(
            "Accepted scheme words, case-sensitive; the first is announced in challenges.", form=Form.TOKEN, minimum=1
        ),
    )
    realm: str = field(default="api", metadata=doc("The realm of WWW-Authenticate.", form=Form.QUOTABLE))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimNames:
    """What the claims are called, and which further ones are issued."""

    user_id: str = field(default="user_id", metadata=doc("Claim that holds the user id (USER_ID_CLAIM)."))
    token_type: str = field(default="token_type", metadata=doc("Claim that holds the type (TOKEN_TYPE_CLAIM)."))
    jti: str = field(default="jti", metadata=doc("Claim that holds the token's id (JTI_CLAIM)."))
    session_id: str = field(default="sid", metadata=doc("Claim that holds the session id."))
    roles: str = field(default="roles", metadata=doc("Claim that route roles are compared with: a list of strings."))
    extra: Mapping[str, UserAttribute] = field(
        default_factory=dict,
        metadata=doc("Further claims to issue: claim name → user attribute."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Signing, checking and lifetime of tokens."""

    signing_key: Secret = field(metadata=doc("HMAC secret, or private key in PEM; never written into this file."))
    verifying_key: str | None = field(
        default=None,
        metadata=doc(
            "Public key in PEM for asymmetric algorithms; derived from signing_key when absent.", form=Form.BLOCK
        ),
    )
    algorithm: Algorithm = field(default=Algorithm.HS256, metadata=doc("What tokens are signed with; no other passes."))
    access_lifetime: float = field(default=300.0, metadata=doc("Life of an access token.", minimum=1))
    refresh_lifetime: float = field(default=86400.0, metadata=doc("Life of a refresh token.", minimum=1))
    rotate_refresh_tokens: bool = field(
        default=False, metadata=doc("A refresh gives a new refresh token and spends the old one.")
    )
    audience: tuple[str, ...] = field(
        default=(), metadata=doc("aud of issued tokens; a token must name one of them when set.")
    )
    issuer: str | None = field(default=None, metadata=doc("iss of issued tokens; demanded exactly when set."))
    leeway: float = field(default=0.0, metadata=doc("Clock difference forgiven on exp, iat and nbf.", maximum=60))
    claims: ClaimNames = field(default_factory=ClaimNames, metadata=doc("Names of the claims."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The token endpoints."""

    obtain_path: str = field(default="/api/token/", metadata=doc("Path of log-in.", form=Form.PATH))
    refresh_path: str = field(default="/api/token/refresh/", metadata=doc("Path of refresh.", form=Form.PATH))
    verify_path: str = field(default="/api/token/verify/", metadata=doc("Path of verify.", form=Form.PATH))
    blacklist_path: str = field(
        default="/api/token/blacklist/", metadata=doc("Path of blacklist (log-out).", form=Form.PATH)
    )
    username_field: Literal["username", "email"] = field(
        default="username",
        metadata=doc("Name of the first log-in field (USERNAME_FIELD): `username`, or `email` to log in by e-mail."),
    )
    response_fields: Mapping[str, UserAttribute | Mapping[str, UserAttribute]] = field(
        default_factory=dict,
        metadata=doc("Further members of the log-in answer: name → user attribute, or a mapping of such."),
    )
    compat: Compat = field(default=Compat.V5, metadata=doc("SimpleJWT release that the clients expect: 5 or 3.3."))
    logout_revokes_access: bool = field(
        default=False, metadata=doc("A log-out also ends the access tokens of its session; SimpleJWT lets them live.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the backend is told about the user. Each of these fields is removed from every client request."""

    preset: IdentityPreset = field(
        default=IdentityPreset.X_USER_ID,
        metadata=doc("A ready-made set of fields."),
    )
    fields: Mapping[str, str] = field(
        default_factory=dict,
        metadata=doc("Further fields: field name → claim of the access token.", key_form=Form.TOKEN),
    )
    unsafe_values: UnsafeValue = field(
        default=UnsafeValue.PERCENT_ENCODE,
        metadata=doc("A value that is not visible ASCII: percent-encode it (UTF-8) or refuse the request."),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Argon2:
    """Cost of one password hash. Defaults: OWASP's argon2id minimum, 19 MiB, about 20 ms of a core."""

    time_cost: int = field(default=2, metadata=doc("Passes.", minimum=1, maximum=100))
    memory_cost: int = field(
        default=19 * 1024 * 1024, metadata=doc("Memory.", size=True, minimum=8 * 1024, maximum=4 * 1024**3)
    )
    parallelism: int = field(default=1, metadata=doc("Lanes; each needs 8KiB of memory.", minimum=1, maximum=64))


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Where users live and how their passwords are hashed."""

    sqlite: str = field(metadata=doc("Path of the SQLite file with users and revocations; made when absent."))
    argon2: Argon2 = field(default_factory=Argon2, metadata=doc("Cost of a password hash."))
    hash_workers: int = field(
        default=2, metadata=doc("Password hashes computed at the same time.", minimum=1, maximum=256)
    )
    hash_queue: int = field(
        default=64, metadata=doc("Log-ins that may wait for one; more are answered 503.", minimum=0, maximum=100_000)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what a client may send and how long it may take."""

    max_target_bytes: int = field(
        default=8 * 1024, metadata=doc("Request target; more is 414.", size=True, minimum=512, maximum=64 * 1024)
    )
    max_head_bytes: int = field(
        default=32 * 1024,
        metadata=doc(
            "Whole request head; more is 431. A 4 KiB token plus cookies must fit.",
            size=True,
            minimum=1024,
            maximum=1024 * 1024,
        ),
    )
    max_fields: int = field(default=100, metadata=doc("Fields of a request; more is 431.", minimum=8, maximum=1000))
    max_body_bytes: int = field(
        default=1024**3,
        metadata=doc(
            "Request body, where a route says nothing else; more is 413.",
            size=True,
            may_be_unlimited=True,
            minimum=0,
            maximum=1024**4,
        ),
    )
    head_timeout: float = field(default=15.0, metadata=timeout("For the whole head, from its first byte; then 408."))
    body_timeout: float = field(default=30.0, metadata=timeout("Silence inside a request body or a stalled reader."))
    min_rate: int = field(
        default=240,
        metadata=doc(
            "Bytes a second that a client must send of a body or take of an answer, over each body_timeout.",
            size=True,
            minimum=0,
            maximum=1024 * 1024,
        ),
    )
    keepalive_timeout: float = field(default=60.0, metadata=timeout("Idle time between requests of a connection."))
    drain_delay: float = field(
        default=0.0,
        metadata=doc(
            "Told to stop, go on accepting for so long: load balancers need it to send clients elsewhere.", maximum=3600
        ),
    )
    drain_timeout: float = field(
        default=10.0, metadata=doc("After drain_delay, for requests in flight; what is left is cut.", maximum=86400)
    )
    max_connections: int = field(
        default=10_000,
        metadata=doc(
            "Client connections; then idle ones make room, or the new one ends.", minimum=1, maximum=1_000_000
        ),
    )
    max_connections_per_address: int | None = field(
        default=None,
        metadata=doc(
            "The same for one client address, or one /64 of IPv6; trusted proxies are exempt.",
            minimum=1,
            maximum=1_000_000,
        ),
    )
    max_requests_per_connection: int | None = field(
        default=None,
        metadata=doc("Then the connection ends; any number when absent.", minimum=1, maximum=1_000_000_000),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole file."""

    tokens: Tokens = field(metadata=doc("Signing, checking and lifetime of tokens."))
    upstreams: Mapping[str, Upstream] = field(metadata=doc("Backends by name.", key_form=Form.NAME, minimum=1))
    routes: tuple[Route, ...] = field(metadata=doc("Who may pass, and where to. No route, no pass.", minimum=1))
    users: Users = field(metadata=doc("Where users live."))
    listen: Listen = field(default_factory=Listen, metadata=doc("Where clients connect."))
    workers: int | Literal["auto"] = field(
        default=1,
        metadata=doc("Processes that serve; auto: one for each core that may be used.", minimum=1, maximum=256),
    )
    bearer: Bearer = field(default_factory=Bearer, metadata=doc("How an access token arrives."))
    login: Login = field(default_factory=Login, metadata=doc("The token endpoints."))
    identity: Identity = field(default_factory=Identity, metadata=doc("What the backend is told about the user."))
    cors: Cors | None = field(
        default=None, metadata=doc("Cross-origin access for browsers; the backends' own affair when absent.")
    )
    limits: Limits = field(default_factory=Limits, metadata=doc("Bounds on clients."))
