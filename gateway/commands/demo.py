"""`gateway demo`: everything that it takes to see the gateway work, in one process, on loopback, gone when it ends."""

import argparse
import contextlib
import errno
import json
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.commands.declaring import Commands, declare_command
from gateway.commands.demo_tour import ALICE, BOB, tour
from gateway.errors import UsageError

if TYPE_CHECKING:
    from gateway.config.model import Config

_LOOPBACK: Final = "127.0.0.1"
_PORT: Final = 8080
_BACKEND_PORT: Final = 8081
_KEY_VARIABLE: Final = "GATEWAY_SIGNING_KEY"

_DETAILS: Final = """\
Starts the gateway, a small legacy backend behind it and the users alice and bob, and prints commands to try them with.
It listens on 127.0.0.1 only; key, users and tokens are made for this run and end with it.

examples:
  gateway demo
  gateway demo --port 9000 --backend-port 9001"""

# What `gateway run` would read from a file. The access log stays off: it would run into the story on standard output.
_CONFIGURATION: Final = """\
listen: {{address: {address}, port: {port}}}
log: {{access: false}}
admin: {{enabled: false}}
tokens:
  signing_key: {{env: {key_variable}}}
  claims:
    extra: {{username: username, roles: roles}}
upstreams:
  legacy: {{servers: ["{backend_url}"]}}
routes:
  - {{path: /, upstream: legacy}}
  - {{path: /public, upstream: legacy, access: public}}
  - {{path: /staff, upstream: legacy, roles: [staff]}}
users: {{sqlite: {database}}}
identity:
  fields: {{X-User-Name: username}}
"""


def declare(commands: Commands) -> None:
    parser = declare_command(commands, "demo", summary="try the gateway, with a backend and users", details=_DETAILS)
    parser.add_argument("--port", metavar="N", type=_port, help=f"the gateway's port, else {_PORT} or a free one")
    parser.add_argument(
        "--backend-port", metavar="N", type=_port, help=f"the backend's port, else {_BACKEND_PORT} or a free one"
    )
    parser.set_defaults(execute=execute)


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdecimal() else -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 0 (any free one) to 65535")
    return port


def execute(arguments: argparse.Namespace) -> int:
    from gateway.observability.log_output import configure_logging
    from gateway.server.lifecycle import run_until_signalled

    configure_logging(form="text")
    code = run_until_signalled(lambda: _demonstration(arguments.port, arguments.backend_port))
    print("The demo has ended; nothing of it is left.")
    return code


@contextlib.asynccontextmanager
async def _demonstration(port: int | None, backend_port: int | None) -> AsyncIterator[None]:
    """The demo runs while this context lasts."""
    from gateway import app
    from gateway.auth.keys import generate_key
    from gateway.commands.demo_backend import serving
    from gateway.config import load

    with (
        tempfile.TemporaryDirectory(prefix="gateway-demo-") as folder,
        _bind(port, usual=_PORT, option="--port") as place,
        _bind(backend_port, usual=_BACKEND_PORT, option="--backend-port") as backend_socket,
    ):
        backend_url = f"http://{_LOOPBACK}:{backend_socket.getsockname()[1]}"
        place_port = place.getsockname()[1]
        configuration = _CONFIGURATION.format(
            address=_LOOPBACK,
            # One that the system chose may be somebody else's as soon as it is let go: the gateway gets another.
            port=place_port if place_port in (port, _PORT) else 0,
            key_variable=_KEY_VARIABLE,
            backend_url=backend_url,
            database=json.dumps(str(Path(folder, "gateway.sqlite3"))),  # which is a quoted scalar in YAML, too
        )
        place.close()  # held so far so that the backend could not take it
        document = load.loads(configuration, "demo.yaml", {_KEY_VARIABLE: generate_key("HS256")})
        await _add_users(document.config)
        async with serving(backend_socket), app.build(document) as gateway:
            print(tour(gateway_url=gateway.url, backend_url=backend_url), flush=True)
            yield


async def _add_users(config: "Config") -> None:
    from gateway.composition.state import build_hasher, open_users

    hasher = build_hasher(config)
    async with open_users(config) as directory:
        for user in (ALICE, BOB):
            await directory.add(
                username=user.username,
                email=f"{user.username}@example.org",
                roles=user.roles,
                password_hash=hasher.hash(user.password),
            )


def _bind(port: int | None, *, usual: int, option: str) -> socket.socket:
    """A socket on the port that was asked for, else on the usual one, else on any free one.

    Raises `UsageError` when the port that was asked for is in use.
    """
    try:
        return _bound_socket(usual if port is None else port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    if port is not None:
        raise UsageError(f"Port {port} is in use; give another one to {option}.")
    print(f"Port {usual} is in use, so this demo takes a free one; {option} chooses another.\n")
    return _bound_socket(0)


def _bound_socket(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Without it the port of a demo that has just ended would count as in use for a minute.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_LOOPBACK, port))
        listener.listen()  # SO_REUSEADDR would let others bind it as long as nobody listens
    except BaseException:
        listener.close()
        raise
    return listener
