"""WebSocket handshakes (RFC 6455 §4), the only upgrade that is ever passed on.

The request is forwarded re-generated from what was checked here, and the client gets its 101 only for an answer of the
upstream that proves that it speaks WebSocket: an upstream that takes the request for something else, and the client for
a tunnel, would let the client write requests of its own past the gateway ("h2c smuggling" and its kin).

A browser cannot set Authorization on a WebSocket, so the token may also come as `Sec-WebSocket-Protocol: bearer, TOKEN`
or, where a route names one, in a query parameter. Both are taken out here and counted as the token field, so that what
follows is the admission of any other request.
"""

import re
from base64 import b64encode
from collections.abc import Collection
from dataclasses import replace
from hashlib import sha1
from typing import Final

from gateway.errors import Reason, Refused
from gateway.http.fields import fold
from gateway.http.requests import Request
from gateway.http.responses import Response
from gateway.http.targets import Target

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 §1.3
_VERSION: Final = b"13"
_BEARER: Final = b"bearer"

_FOLDED_PREFIX: Final = b"SEC_WEBSOCKET_"
# 16 bytes in base64 (RFC 6455 §4.1, 7); the bits of the last character that code nothing are zero.
_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")
_TCHARS: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # RFC 9110 §5.6.2
_TOKEN: Final = re.compile(_TCHARS)
# RFC 6455 §9.1, one extension with its parameters. A quoted value must be a token inside, so no comma hides in one.
_EXTENSION: Final = re.compile(
    rb"(%b)(?:[ \t]*;[ \t]*%b(?:[ \t]*=[ \t]*(?:%b|\"%b\"))?)*" % (_TCHARS, _TCHARS, _TCHARS, _TCHARS)
)


class Handshake:
    """One handshake. `lines` are its part of the upstream request; `answer` makes the client's 101 of the backend's.

    `request` and `target` are what is left of them: without the handshake's fields and the token's other places, with
    the token where it is looked for.
    """

    __slots__ = ("_accept", "_chooses_bearer", "_extensions", "_subprotocols", "lines", "request", "target")

    def __init__(
        self,
        *,
        request: Request,
        target: Target,
        key: bytes,
        subprotocols: list[bytes],
        extensions: list[bytes],
        chooses_bearer: bool,
    ) -> None:
        self.request = request
        self.target = target
        self._accept = b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
        self._subprotocols = subprotocols
        self._extensions = extensions
        self._chooses_bearer = chooses_bearer
        self.lines = [
            b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key
        ]
        if subprotocols:
            self.lines.append(b"Sec-WebSocket-Protocol: " + b", ".join(subprotocols))
        if extensions:
            self.lines.append(b"Sec-WebSocket-Extensions: " + b", ".join(extensions))

    def answer(self, response: Response) -> list[bytes]:
        """The lines of the 101 to the client.

        Raises `Refused(UPSTREAM_BROKEN)` for whatever makes a client fail the connection (RFC 6455 §4.1), and so never
        shows it a 101 that it must not believe.
        """
        if not response.is_upgrade or response.upgrade is None or response.upgrade.lower() != b"websocket":
            raise Refused(Reason.UPSTREAM_BROKEN)
        fields, passed = _take_fields(response.passed)
        if fields.pop(b"SEC_WEBSOCKET_ACCEPT", None) != [self._accept]:
            raise Refused(Reason.UPSTREAM_BROKEN)
        lines = [
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
            + self._accept,
            *passed,
        ]
        subprotocol = self._subprotocol(fields.get(b"SEC_WEBSOCKET_PROTOCOL"))
        if subprotocol is not None:
            lines.append(b"Sec-WebSocket-Protocol: " + subprotocol)
        chosen = _elements(fields.get(b"SEC_WEBSOCKET_EXTENSIONS"))
        if not _extension_names(chosen, Reason.UPSTREAM_BROKEN) <= _extension_names(
            self._extensions, Reason.UPSTREAM_BROKEN
        ):
            raise Refused(Reason.UPSTREAM_BROKEN)
        if chosen:
            lines.append(b"Sec-WebSocket-Extensions: " + b", ".join(chosen))
        return lines

    def _subprotocol(self, chosen: list[bytes] | None) -> bytes | None:
        if chosen is None:
            # A browser fails the connection when none of those that its script named is chosen.
            return _BEARER if self._chooses_bearer else None
        if len(chosen) != 1 or chosen[0] not in self._subprotocols:
            raise Refused(Reason.UPSTREAM_BROKEN)
        return chosen[0]


class HandshakeReader:
    """Reads the handshakes of one route.

    `allow_origins` are compared exactly, as browsers serialise them; `*` allows all. `token_query` is the query
    parameter that may carry the token, None for none. `scheme` is the word before a token in the token field.
    """

    __slots__ = ("_any_origin", "_origins", "_scheme", "_token_query")

    def __init__(self, *, allow_origins: Collection[str], token_query: str | None, scheme: str) -> None:
        self._any_origin = "*" in allow_origins
        self._origins = frozenset(origin.encode() for origin in allow_origins)
        self._token_query = token_query
        self._scheme = scheme.encode()

    def read(self, request: Request, target: Target) -> Handshake | None:
        """The handshake; None for another upgrade, which is not passed on: the request is an ordinary one.

        Raises `Refused`: BAD_HANDSHAKE, WEBSOCKET_VERSION, ORIGIN_NOT_ALLOWED.
        """
        if not _names_websocket(request):
            return None
        if request.method != "GET" or request.content_length is not None or request.transfer_encoding is not None:
            raise Refused(Reason.BAD_HANDSHAKE)
        fields, passed = _take_fields(request.passed)
        versions = fields.get(b"SEC_WEBSOCKET_VERSION", [])
        if len(versions) != 1:
            raise Refused(Reason.BAD_HANDSHAKE)
        if versions[0] != _VERSION:
            raise Refused(Reason.WEBSOCKET_VERSION)
        keys = fields.get(b"SEC_WEBSOCKET_KEY", [])
        if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
            raise Refused(Reason.BAD_HANDSHAKE)
        # Browsers send Origin with every handshake and scripts cannot change it. Who sends none is no browser, and so
        # nobody's page rides on somebody's session there (RFC 6455 §10.2).
        if request.origin is not None and not self._any_origin and request.origin not in self._origins:
            raise Refused(Reason.ORIGIN_NOT_ALLOWED)
        subprotocols = _elements(fields.get(b"SEC_WEBSOCKET_PROTOCOL"))
        if len(set(subprotocols)) != len(subprotocols) or not all(map(_TOKEN.fullmatch, subprotocols)):
            raise Refused(Reason.BAD_HANDSHAKE)
        extensions = _elements(fields.get(b"SEC_WEBSOCKET_EXTENSIONS"))
        _extension_names(extensions, Reason.BAD_HANDSHAKE)
        token = _take_bearer(subprotocols)
        target, parameter = self._take_parameter(target)
        return Handshake(
            request=replace(request, passed=passed, tokens=self._tokens(request.tokens, token, parameter)),
            target=target,
            key=keys[0],
            subprotocols=subprotocols,
            extensions=extensions,
            chooses_bearer=token is not None,
        )

    def _take_parameter(self, target: Target) -> tuple[Target, bytes | None]:
        """The token in the query, and the target without it: what is forwarded and logged does not hold it."""
        if self._token_query is None or not target.query:
            return target, None
        tokens: list[str] = []
        kept: list[str] = []
        for parameter in target.query[1:].split("&"):
            name, _, value = parameter.partition("=")
            if name == self._token_query:
                tokens.append(value)
            else:
                kept.append(parameter)
        if len(tokens) > 1:
            raise Refused(Reason.BAD_HANDSHAKE)
        if not tokens:
            return target, None
        return replace(target, query="?" + "&".join(kept) if kept else ""), tokens[0].encode() or None

    def _tokens(self, in_field: list[bytes] | None, *elsewhere: bytes | None) -> list[bytes] | None:
        """The values of the token field, as if the token had come there."""
        found = [token for token in elsewhere if token is not None]
        if not found:
            return in_field
        if len(found) > 1 or in_field is not None:
            # Two tokens in two places: whose tunnel it would be cannot be told (checklist 39).
            raise Refused(Reason.BAD_HANDSHAKE)
        return [b"%b %b" % (self._scheme, found[0])]


def _names_websocket(request: Request) -> bool:
    offered = (request.upgrade or b"").lower().split(b",")
    return any(protocol.strip(b" \t") == b"websocket" for protocol in offered)


def _take_fields(passed: list[bytes]) -> tuple[dict[bytes, list[bytes]], list[bytes]]:
    """The Sec-WebSocket-* values by folded name, and the lines without them; other spellings of a name go unread."""
    fields: dict[bytes, list[bytes]] = {}
    others: list[bytes] = []
    for line in passed:
        name, _, value = line.partition(b":")
        folded = fold(name)
        if not folded.startswith(_FOLDED_PREFIX):
            others.append(line)
        elif name.upper() == folded.replace(b"_", b"-"):
            fields.setdefault(folded, []).append(value.strip(b" \t"))
    return fields, others


def _elements(values: list[bytes] | None) -> list[bytes]:
    """The elements of a list field (RFC 9110 §5.6.1); empty ones are none."""
    elements = [element.strip(b" \t") for element in b",".join(values or ()).split(b",")]
    return [element for element in elements if element]


def _extension_names(extensions: list[bytes], otherwise: Reason) -> set[bytes]:
    names = set()
    for extension in extensions:
        matched = _EXTENSION.fullmatch(extension)
        if matched is None:
            raise Refused(otherwise)
        names.add(matched[1])
    return names


def _take_bearer(subprotocols: list[bytes]) -> bytes | None:
    """The token behind `bearer`, both taken out of the list."""
    if _BEARER not in subprotocols:
        return None
    position = subprotocols.index(_BEARER)
    if position + 1 == len(subprotocols):
        raise Refused(Reason.BAD_HANDSHAKE)
    token = subprotocols[position + 1]
    del subprotocols[position : position + 2]
    return token
