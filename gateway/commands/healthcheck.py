"""`gateway healthcheck`: asks a running gateway's admin listener, where there is neither a shell nor curl.

It is run every few seconds for as long as a container lives, so it imports little and speaks HTTP over a bare socket:
65 ms of CPU time, 110 with a file to read. `http.client` would be another 10.
"""

import argparse
import os
import time
from pathlib import Path
from typing import Final

from gateway.commands.declaring import Commands, declare_command
from gateway.errors import ConfigError, GatewayError, printable

_DETAILS: Final = """\
Prints one line and exits with 0 when the gateway is ready, else with 1. With neither option it asks where a gateway
listens by default. A liveness probe asks with --url for /healthz, which does not fail while the gateway drains.

examples:
  gateway healthcheck
  gateway healthcheck --config gateway.yaml
  gateway healthcheck --url http://127.0.0.1:8081/healthz"""

_DEFAULT_URL: Final = "http://127.0.0.1:8081/readyz?verbose"
_SECONDS: Final = 3.0  # for all of it
_MAX_BYTES: Final = 16 * 1024
_SHOWN_CHARS: Final = 300


class _NoAnswerError(GatewayError):
    """The text is what goes into the one line."""


def declare(commands: Commands) -> None:
    parser = declare_command(
        commands, "healthcheck", summary="ask a running gateway whether it is ready", details=_DETAILS
    )
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--config", metavar="FILE", type=Path, help="ask the admin listener of this configuration")
    place.add_argument("--url", metavar="URL", type=_url, default=_DEFAULT_URL, help=f"else {_DEFAULT_URL}")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    try:
        url = arguments.url if arguments.config is None else _url_of(arguments.config)
        status, body = _ask(url)
    except (ConfigError, _NoAnswerError) as error:
        # 1 also where other commands exit with 78: to Docker anything else is no answer to this question.
        print(str(error).partition("\n")[0])
        return 1
    print(status, printable(body)[:_SHOWN_CHARS])
    return 0 if 200 <= status < 300 else 1


def _url(text: str) -> str:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        is_sound = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0 and parts.username is None
    except ValueError:
        is_sound = False
    if not is_sound or not text.isascii() or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no http:// URL, as {_DEFAULT_URL}")
    return text


def _url_of(config: Path) -> str:
    from gateway.config.load import load_admin

    admin = load_admin(config, os.environ)
    if not admin.enabled:
        raise _NoAnswerError(f"{config}: admin.enabled is false, so nobody can be asked")
    host = f"[{admin.address}]" if ":" in admin.address else admin.address
    return f"http://{host}:{admin.port}/readyz?verbose"


def _ask(url: str) -> tuple[int, str]:
    """Status and body. Raises `_NoAnswerError`."""
    import socket
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    deadline = time.monotonic() + _SECONDS
    answer = b""
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=_SECONDS) as connection:
            # HTTP/1.0, which no answer in chunks is sent to.
            connection.sendall(f"GET {target} HTTP/1.0\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
            while len(answer) < _MAX_BYTES:
                connection.settimeout(max(0.001, deadline - time.monotonic()))
                more = connection.recv(_MAX_BYTES)
                if not more:
                    break
                answer += more
    except TimeoutError:
        raise _NoAnswerError(f"{url}: no answer within {_SECONDS:g} s") from None
    except OSError as error:
        raise _NoAnswerError(f"{url}: {error.strerror or error}") from None
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise _NoAnswerError(f"{url}: what answers there does not speak HTTP")
    return int(words[1]), body.decode("utf-8", "replace")
