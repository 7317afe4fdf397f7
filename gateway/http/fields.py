"""Field names: which are the gateway's business, which are dropped, which pass.

Names of requests are compared folded, because backends fold them: CGI, WSGI and PHP make `X_User-Id`, `x.user.id` and
`X-User-Id` one variable (CVE-2025-64484, GHSA-x677-9fxg-v5c5). Clients take names exactly, so responses are not folded.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache
from typing import Final

from gateway.http.heads import MalformedHeadError

CLIENT_ADDRESS_FIELD: Final = "X-Gateway-Client-Address"
"""The client's address on its way to the gateway's own endpoints; never taken from a client."""

REQUEST_ID_FIELD: Final = "X-Request-Id"

_FOLD: Final = bytes(byte if chr(byte).isascii() and chr(byte).isalnum() else ord("_") for byte in range(256)).upper()


def fold(name: bytes) -> bytes:
    """The name as a CGI-like backend sees it: `X-User.id` → `X_USER_ID`."""
    return name.translate(_FOLD)


# RFC 9110 §7.6.1, and what its precedents named. Proxy is no field of HTTP: CGI turns it into HTTP_PROXY (httpoxy).
HOP_BY_HOP: Final = frozenset(
    {
        b"CONNECTION",
        b"KEEP_ALIVE",
        b"PROXY_CONNECTION",
        b"PROXY_AUTHENTICATE",
        b"PROXY_AUTHORIZATION",
        b"TE",
        b"TRAILER",
        b"TRANSFER_ENCODING",
        b"UPGRADE",
        b"HTTP2_SETTINGS",
        b"PROXY",
    }
)

# What only a gateway may say about a client, and the fields by which some frameworks let a client name another path
# than the one that was decided on (Symfony, IIS).
FORWARDING: Final = frozenset(
    {
        b"FORWARDED",
        b"X_FORWARDED",
        b"X_REAL_IP",
        b"X_CLIENT_IP",
        b"X_CLUSTER_CLIENT_IP",
        b"TRUE_CLIENT_IP",
        b"X_ORIGINAL_FORWARDED_FOR",
        b"X_ORIGINAL_URL",
        b"X_ORIGINAL_URI",
        b"X_ORIGINAL_HOST",
        b"X_ORIGINAL_METHOD",
        b"X_ENVOY_ORIGINAL_PATH",
        b"X_REWRITE_URL",
        # Rack lets the proxy send the file that these lead to (CVE-2025-61780).
        b"X_SENDFILE_TYPE",
        b"X_ACCEL_MAPPING",
        fold(CLIENT_ADDRESS_FIELD.encode()),
    }
)
_PATH_OVERRIDES: Final = frozenset({b"X_ORIGINAL_URL", b"X_REWRITE_URL"})
# There are more of these than anybody can list: X-Forwarded-Client-Cert is Envoy's identity, X-Forwarded-Uri a path.
_FORWARDED_PREFIX: Final = b"X_FORWARDED_"


class Use(IntEnum):
    """What becomes of a field."""

    PASS = 0
    DROP = 1
    PASS_ONCE = 2
    HOST = 3
    CONTENT_LENGTH = 4
    TRANSFER_ENCODING = 5
    CONNECTION = 6
    EXPECT = 7
    TOKEN = 8
    ORIGIN = 9
    PREFLIGHT = 10
    REQUEST_ID = 11
    METHOD_OVERRIDE = 12
    FORWARDED = 13
    ACCESS_CONTROL = 14
    UPGRADE = 15
    TRACEPARENT = 16
    TRACESTATE = 17
    FORGERY = 18


# Bound once: up to Python 3.11 each look at a member through its class costs 100 ns, here several times a field line.
PASS: Final = Use.PASS
DROP: Final = Use.DROP
PASS_ONCE: Final = Use.PASS_ONCE
HOST: Final = Use.HOST
CONTENT_LENGTH: Final = Use.CONTENT_LENGTH
TRANSFER_ENCODING: Final = Use.TRANSFER_ENCODING
CONNECTION: Final = Use.CONNECTION
EXPECT: Final = Use.EXPECT
TOKEN: Final = Use.TOKEN
ORIGIN: Final = Use.ORIGIN
PREFLIGHT: Final = Use.PREFLIGHT
REQUEST_ID: Final = Use.REQUEST_ID
FORWARDED: Final = Use.FORWARDED
FORGERY: Final = Use.FORGERY
ACCESS_CONTROL: Final = Use.ACCESS_CONTROL
UPGRADE: Final = Use.UPGRADE
TRACEPARENT: Final = Use.TRACEPARENT
TRACESTATE: Final = Use.TRACESTATE


# Requests: these decide something and count in their one proper spelling only; other spellings of them are dropped.
_DECIDING: Final = {
    b"host": Use.HOST,
    b"content-length": Use.CONTENT_LENGTH,
    b"transfer-encoding": Use.TRANSFER_ENCODING,
    b"connection": Use.CONNECTION,
    b"expect": Use.EXPECT,
    b"upgrade": Use.UPGRADE,
    b"origin": Use.ORIGIN,
    b"access-control-request-method": Use.PREFLIGHT,
    b"x-request-id": Use.REQUEST_ID,
    b"traceparent": Use.TRACEPARENT,
    b"tracestate": Use.TRACESTATE,
    b"x-http-method-override": Use.METHOD_OVERRIDE,
    b"x-http-method": Use.METHOD_OVERRIDE,
    b"x-method-override": Use.METHOD_OVERRIDE,
}
_DECIDING_FOLDED: Final = frozenset(fold(name) for name in _DECIDING)

# Fields of which a backend takes the first or the last, nobody knows which; aiohttp's parser refuses two as well.
_SINGLETONS: Final = frozenset({b"content-type", b"content-location", b"content-range", b"user-agent", b"max-forwards"})

# What a trusted proxy may say, in its one proper spelling; from anybody else these are dropped with the rest.
_TRUSTED: Final = frozenset({b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port", b"x-forwarded-proto"})
# What one says besides that may ask what would become of a request (`http.questions`).
_ASKED_ABOUT: Final = frozenset({b"x-forwarded-method", b"x-forwarded-uri"})

_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 §5.6.2
_MAX_KNOWN_NAMES: Final = 1024
_MAX_KNOWN_NAME_BYTES: Final = 64


class _FieldUses(ABC):
    """What becomes of fields, by their names as sent: `by_name` remembers, `learn` decides once for a new name.

    Names are strangers' input, so the memory is bounded, at about 150 KiB: long ones are not kept, and when it is full
    it starts anew. A client that sends new names all the time costs others a microsecond for each name of theirs.
    """

    __slots__ = ("by_name",)

    def __init__(self) -> None:
        self.by_name: dict[bytes, Use] = {}

    @abstractmethod
    def use_of(self, name: bytes) -> Use:
        """Decide on a name, which is a token."""

    def learn(self, name: bytes) -> Use:
        """The use of a name that is not in `by_name`. Raises `MalformedHeadError` if it is no token.

        That is what refuses blanks before a colon and folded lines, which begin with one (RFC 9112 §5.1, §5.2).
        """
        if not _TOKEN.fullmatch(name):
            raise MalformedHeadError("A field name is not a token.")
        use = self.use_of(name)
        if len(name) <= _MAX_KNOWN_NAME_BYTES:
            if len(self.by_name) >= _MAX_KNOWN_NAMES:
                self.by_name.clear()  # not a new dictionary: readers hold on to this one
            self.by_name[name] = use
        return use


class RequestFieldUses(_FieldUses):
    """`token_field` carries the access token; `managed` are the identity fields, which only the gateway may set.

    With `trusts_peer` the X-Forwarded-* fields are kept aside to be judged, where they are dropped else. `told` are the
    identity fields that a proxy is told which may ask (None: it may not), and so takes out of what it passes on. Then
    the two fields by which it names a request are kept aside, too, and what it would not take out is a forgery.
    """

    __slots__ = ("_dropped", "_forgeries", "_forwarded", "_token_field", "_told")

    def __init__(
        self,
        *,
        token_field: str,
        managed: Iterable[str],
        trusts_peer: bool = False,
        told: Iterable[str] | None = None,
    ) -> None:
        super().__init__()
        managed_folded = frozenset(fold(name.encode()) for name in managed)
        self._forwarded = (_TRUSTED if trusts_peer else frozenset()) | (frozenset() if told is None else _ASKED_ABOUT)
        self._told = frozenset(name.lower().encode() for name in told or ())
        self._forgeries = frozenset() if told is None else managed_folded | _PATH_OVERRIDES
        self._token_field = token_field.lower().encode()
        self._dropped = HOP_BY_HOP | FORWARDING | _DECIDING_FOLDED | managed_folded | {fold(self._token_field)}

    def use_of(self, name: bytes) -> Use:
        lower = name.lower()
        if lower == self._token_field:
            return Use.TOKEN
        if lower in _DECIDING:
            return _DECIDING[lower]
        if lower in self._forwarded:
            return Use.FORWARDED
        folded = fold(name)
        if folded in self._forgeries and lower not in self._told:
            return Use.FORGERY
        if folded in self._dropped or folded.startswith(_FORWARDED_PREFIX):
            return Use.DROP
        return Use.PASS_ONCE if lower in _SINGLETONS else Use.PASS


_RESPONSE_FRAMING: Final = {
    b"content-length": Use.CONTENT_LENGTH,
    b"transfer-encoding": Use.TRANSFER_ENCODING,
    b"connection": Use.CONNECTION,
    b"upgrade": Use.UPGRADE,
}
# Hop-by-hop, and the backend's own X-Request-Id, for which ours stands.
_RESPONSE_DROPPED: Final = frozenset(
    {
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"te",
        b"trailer",
        b"x-request-id",
    }
)


class ResponseFieldUses(_FieldUses):
    """The backend's Access-Control-* fields are set apart: whether they pass is the route's affair."""

    __slots__ = ()

    def use_of(self, name: bytes) -> Use:
        lower = name.lower()
        if lower in _RESPONSE_FRAMING:
            return _RESPONSE_FRAMING[lower]
        if lower in _RESPONSE_DROPPED:
            return Use.DROP
        return Use.ACCESS_CONTROL if lower.startswith(b"access-control-") else Use.PASS


_NOMINATES_NOTHING: Final = frozenset({b"keep-alive", b"close", b""})
MAX_CONNECTION_OPTIONS: Final = 16


@lru_cache(maxsize=64)
def connection_options(value: bytes) -> frozenset[bytes]:
    """The options of Connection in lower case; raises ValueError for more than `MAX_CONNECTION_OPTIONS`."""
    options = value.lower().split(b",", MAX_CONNECTION_OPTIONS)
    # Counted before equal ones fall together: behind the bound, the rest is one piece that would name nothing.
    if len(options) > MAX_CONNECTION_OPTIONS:
        raise ValueError("Connection has too many options.")
    return frozenset(option.strip(b" \t") for option in options)


def without_nominated(passed: list[bytes], options: frozenset[bytes]) -> list[bytes]:
    """`passed` lines without the end-to-end fields that Connection nominates (RFC 9110 §7.6.1).

    Host, framing, token and the gateway's own fields are not in `passed`, so a client cannot nominate them away: ours
    are set after this, `Connection: x-user-id` or not.
    """
    if options <= _NOMINATES_NOTHING:
        return passed
    return [line for line in passed if line[: line.find(b":")].lower() not in options]
