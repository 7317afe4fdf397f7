"""What the doctor tries, as tables of lines and bytes. Pure: nothing here sends."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request; `target` None is the path under examination, `token` None is none."""

    name: str
    lines: tuple[bytes, ...] = ()
    target: bytes | None = None
    method: bytes = b"GET"
    version: bytes = b"HTTP/1.1"
    body: bytes = b""
    token: str | None = None


def path_tricks(path: str, authority: str) -> Iterator[Attempt]:
    """Other spellings of `path` that some server takes for it."""
    rest = path[1:]
    tricks = {
        "//": f"//{rest}",
        "/./": f"/./{rest}",
        "/../": f"/doctor/../{rest}",
        "%2e": f"/%2e/{rest}",
        "%2e%2e": f"/doctor/%2e%2e/{rest}",
        "%252e": f"/doctor/%252e%252e/{rest}",
        "%2f": f"/%2f{rest}",
        "%5c": f"/%5c{rest}",
        "backslash": f"/\\{rest}",
        "semicolon": f"/;doctor/{rest}",
        "path parameter": f"{path};doctor=1",
        "escaped letter": f"/%{ord(rest[0]):02x}{rest[1:]}" if rest else "/%2e",
        "absolute form": f"http://{authority}{path}",
        "foreign absolute form": f"http://doctor.invalid{path}",
        "fragment": f"{path}#doctor",
        "%00": f"{path}%00",
        "NUL": f"{path}\0",
        "no slash": rest or "doctor",
    }
    for name, target in tricks.items():
        yield Attempt(name=name, target=target.encode("ascii"))


def identity_lines(names: tuple[str, ...], value: str) -> Iterator[Attempt]:
    """The spellings under which an identity field was smuggled past some proxy; the odd ones for the first name."""
    for name in names:
        spellings = (name, name.lower(), name.upper(), name.replace("-", "_"), name.replace("-", "."))
        for spelling in dict.fromkeys(spellings):
            yield Attempt(name=spelling, lines=(f"{spelling}: {value}".encode(),))
    name = names[0]
    line = f"{name}: {value}".encode()
    yield Attempt(name=f"{name} twice", lines=(line, line))
    yield Attempt(name=f"{name} with a blank", lines=(f"{name} : {value}".encode(),))
    yield Attempt(name=f"{name} named by Connection", lines=(f"Connection: {name}".encode(), line))
    yield Attempt(name=f"{name} folded", lines=(b"X-Doctor: 1", b" " + line))
    yield Attempt(name=f"{name} behind a bare LF", lines=(b"X-Doctor: 1\n" + line,))
    yield Attempt(name=f"{name} behind a bare CR", lines=(b"X-Doctor: 1\r" + line,))


def misleading_fields(free_paths: Iterable[str]) -> Iterator[Attempt]:
    """Fields that some gateway decided by in the place of the request itself; `free_paths` may need no token."""
    for path in free_paths:
        for name in ("X-Original-URL", "X-Original-URI", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Forwarded-Path"):
            yield Attempt(name=f"{name}: {path}", lines=(f"{name}: {path}".encode(),))
        both = (f"X-Forwarded-Uri: {path}".encode(), b"X-Forwarded-Method: GET")
        yield Attempt(name=f"X-Forwarded-Uri: {path} with its method", lines=both)
    for name in ("X-Forwarded-Method", "X-Original-Method", "X-HTTP-Method-Override", "X-Method-Override"):
        yield Attempt(name=name, lines=(f"{name}: OPTIONS".encode(),))
    for name in ("X-Forwarded-For", "X-Real-IP", "X-Client-IP", "True-Client-IP"):
        yield Attempt(name=name, lines=(f"{name}: 127.0.0.1".encode(),))
    yield Attempt(name="Forwarded", lines=(b"Forwarded: for=127.0.0.1",))
    yield Attempt(name="X-Forwarded-Host", lines=(b"X-Forwarded-Host: localhost",))
    for agent in ("kube-probe/1.32", "GoogleHC/1.0", "ELB-HealthChecker/2.0"):
        yield Attempt(name=f"User-Agent {agent}", lines=(f"User-Agent: {agent}".encode(),))


OTHER_METHODS: Final = (
    Attempt(name="TRACE", method=b"TRACE"),
    Attempt(name="CONNECT", method=b"CONNECT", target=b"doctor.invalid:443"),
    Attempt(name="an unknown method", method=b"DOCTOR"),
    Attempt(name="get in lower case", method=b"get"),
)

_UPGRADE: Final = b"Connection: Upgrade"
_WEBSOCKET_KEY: Final = b"Sec-WebSocket-Key: ZG9jdG9yLWRvY3Rvci0xMg=="
UPGRADES: Final = (
    Attempt(
        name="WebSocket",
        lines=(_UPGRADE, b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", _WEBSOCKET_KEY),
    ),
    Attempt(
        name="h2c",
        lines=(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
    ),
    Attempt(name="an unknown protocol", lines=(_UPGRADE, b"Upgrade: doctor")),
)


def forwarded_hosts(marker: str) -> Iterator[Attempt]:
    """`marker` is a host name; whoever shows it again builds links from what a stranger says."""
    for name in ("X-Forwarded-Host", "X-Forwarded-Server", "X-Original-Host"):
        yield Attempt(name=name, lines=(f"{name}: {marker}".encode(),))
    yield Attempt(name="Forwarded", lines=(f"Forwarded: host={marker}".encode(),))


def tokens_out_of_place(token: str, path: str) -> Iterator[Attempt]:
    """A token that is good, where the gateway does not look for one (checklist 39, 40), and twice where it does."""
    separator = "&" if "?" in path else "?"
    for name in ("access_token", "token", "jwt", "authorization"):
        yield Attempt(name=f"?{name}=", target=f"{path}{separator}{name}={token}".encode("latin-1"))
    for name in ("access_token", "access", "token", "jwt"):
        yield Attempt(name=f"cookie {name}", lines=(f"Cookie: {name}={token}".encode("latin-1"),))
    for name in ("Proxy-Authorization", "X-Authorization", "X-Forwarded-Authorization"):
        yield Attempt(name=name, lines=(f"{name}: Bearer {token}".encode("latin-1"),))
    yield Attempt(name="X-Access-Token", lines=(f"X-Access-Token: {token}".encode("latin-1"),))


_LAST_CHUNK: Final = b"0\r\n\r\n"


def _coded(name: str, *lines: bytes, version: bytes = b"HTTP/1.1") -> Attempt:
    """With a length that says the same as the last chunk: whichever counts, nothing is left of the body."""
    return Attempt(name=name, lines=(b"Content-Length: 5", *lines), body=_LAST_CHUNK, version=version)


# Harmless however they are read, also behind a proxy that shares its connections: in each reading it is one request
# with nothing left behind it, or an empty line, which whoever reads the next request skips (RFC 9112 §2.2).
SMUGGLING: Final = (
    _coded("Content-Length and Transfer-Encoding", b"Transfer-Encoding: chunked"),
    _coded("Transfer-Encoding of HTTP/1.0", b"Transfer-Encoding: chunked", version=b"HTTP/1.0"),
    _coded("an unknown coding", b"Transfer-Encoding: chunked, doctor"),
    _coded("a coding of another name", b"Transfer-Encoding: xchunked"),
    _coded("a coding in quotes", b'Transfer-Encoding: "chunked"'),
    _coded("chunked twice", b"Transfer-Encoding: chunked, chunked"),
    _coded("two Transfer-Encodings", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
    _coded("a vertical tab before the coding", b"Transfer-Encoding: \x0bchunked"),
    _coded("a blank before the colon", b"Transfer-Encoding : chunked"),
    _coded("a folded field", b"Transfer-Encoding:", b" chunked"),
    _coded("a coding behind a bare CR", b"X-Doctor: 1\rTransfer-Encoding: chunked"),
    Attempt(name="two lengths", lines=(b"Content-Length: 0", b"Content-Length: 2"), body=b"\r\n"),
    Attempt(name="a list of lengths", lines=(b"Content-Length: 0, 2",), body=b"\r\n"),
    Attempt(name="a signed length", lines=(b"Content-Length: +0",)),
    Attempt(name="a length in base 16", lines=(b"Content-Length: 0x0",)),
    Attempt(name="a length with _", lines=(b"Content-Length: 0_0",)),
    Attempt(name="a chunk of 0x0", lines=(b"Transfer-Encoding: chunked",), body=b"0x0\r\n\r\n"),
    Attempt(name="a signed chunk", lines=(b"Transfer-Encoding: chunked",), body=b"+0\r\n\r\n"),
    Attempt(name="a folded first field", lines=(b" X-Doctor: 1",)),
    Attempt(name="a NUL in a field", lines=(b"X-Doctor: \0",)),
    Attempt(name="two Hosts", lines=(b"Host: doctor.invalid",)),
)
