"""One exchange of exact bytes with a server under examination, on a connection of its own.

An HTTP client would mend what is being tried (`/../`, a blank before a colon, two lengths), so the request is bytes.
"""

import asyncio
import contextlib
import ssl
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway.errors import GatewayError

_SECONDS: Final = 5.0  # for one exchange, its connection included
_LINGER_SECONDS: Final = 0.5  # how long a server may take to close what it will not go on with
_MAX_BYTES: Final = 256 * 1024


class UnreachableError(GatewayError):
    """No connection, or no TLS on it; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a server listens, and what it is asked for."""

    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'http' if self.tls is None else 'https'}://{self.authority}{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back. `status` 0: no HTTP, an empty one included."""

    status: int = 0
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    is_closed: bool = False  # by the server
    certificate_end: float | None = None  # seconds since the epoch

    def field(self, name: str) -> str:
        """The first field of that name (in lower case), else an empty text."""
        return next((value for known, value in self.fields if known == name), "")


def parse_place(url: str, ca: Path | None) -> Place:
    """Raises `ValueError` for what is no http or https URL; `OSError` when the file `ca` cannot be used."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError(f"{url!r} is no http:// or https:// URL")
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url or parts.fragment:
        raise ValueError(f"{url!r} is no URL as it is sent")
    tls = ssl.create_default_context(cafile=ca) if parts.scheme == "https" else None
    port = parts.port or (80 if tls is None else 443)
    return Place(host=parts.hostname, port=port, path=parts.path or "/", tls=tls)


async def exchange(place: Place, request: bytes, *, awaits_close: bool = False) -> Reply:
    """Send `request` and read one answer, with `awaits_close` what comes behind it. Raises `UnreachableError`."""
    deadline = time.monotonic() + _SECONDS
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(place.host, place.port, ssl=place.tls)
    except TimeoutError:
        raise UnreachableError(f"{place.url}: no connection within {_SECONDS:g} s") from None
    except ssl.SSLError as error:
        raise UnreachableError(f"{place.url}: {error.reason or error}") from None
    except OSError as error:
        raise UnreachableError(f"{place.url}: {error.strerror or error}") from None
    try:
        certificate = writer.get_extra_info("peercert") or {}
        ends = ssl.cert_time_to_seconds(certificate["notAfter"]) if "notAfter" in certificate else None
        writer.write(request)
        received, is_closed = await _receive(reader, deadline, awaits_close=awaits_close)
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await writer.wait_closed()
    status, fields, body = parse_reply(received)
    return Reply(status=status, fields=fields, body=body, is_closed=is_closed, certificate_end=ends)


async def _receive(reader: asyncio.StreamReader, deadline: float, *, awaits_close: bool) -> tuple[bytes, bool]:
    received = b""
    while len(received) < _MAX_BYTES:
        left = deadline - time.monotonic()
        if is_whole(received):
            if not awaits_close:
                break
            left = _LINGER_SECONDS
        try:
            async with asyncio.timeout(max(0.0, left)):
                more = await reader.read(65536)
        except TimeoutError:
            return received, False
        except OSError:
            return received, True
        if not more:
            return received, True
        received += more
    return received, False


def is_whole(received: bytes) -> bool:
    """Whether these bytes hold an answer to its end, as far as it tells its end."""
    head, blank, body = received.partition(b"\r\n\r\n")
    if not blank:
        return False
    lowered = head.lower()
    if b"\r\ntransfer-encoding:" in lowered:
        return body.endswith(b"0\r\n\r\n")
    _, named, rest = lowered.partition(b"\r\ncontent-length:")
    length = rest.partition(b"\r\n")[0].strip()
    return bool(named) and length.isdigit() and len(body) >= int(length)


def parse_reply(received: bytes) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    """Status, fields with names in lower case, body as it stands on the wire; 0 and nothing for what is no HTTP/1."""
    head, _, body = received.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    words = line.split(" ")
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
        return 0, (), b""
    fields = (text.partition(":") for text in lines)
    return int(words[1]), tuple((name.lower(), value.strip()) for name, _, value in fields), body


def unverified(place: Place) -> Place:
    """The same place, whatever certificate it shows: a server with a bad one can be reached all the same."""
    return place if place.tls is None else replace(place, tls=_lenient_context())


def _lenient_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent over it that matters
    return context


def outdated_tls(place: Place) -> Place:
    """The same place, spoken to with TLS 1.1 at most; for asking whether it would."""
    import warnings

    context = _lenient_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # outdated is what is asked about
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return replace(place, tls=context)
