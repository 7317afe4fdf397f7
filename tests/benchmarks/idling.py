"""What a connection that nothing happens on occupies: resident memory before and after many of them."""

import contextlib
import resource
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.costs import LOAD_CORE, pinned, resident_bytes
from tests.benchmarks.findings import Finding
from tests.benchmarks.fleet import Fleet
from tests.benchmarks.loads import LOADS, WrongAnswerError, check_answer, write_requests
from tests.benchmarks.peers import PEERS
from tests.integration.processes import free_port, running

_HANDSHAKE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"  # RFC 6455 §1.3
)
_FEW = 16  # opened first, so that what is only needed once is not counted


def measure_keep_alive(fleet: Fleet, *, count: int) -> list[Finding]:
    """Each connection has had one request answered and waits for the next.

    Peers are only shown, with half as many: HAProxy keeps a second descriptor in reserve for each.
    """
    _raise_descriptor_limit(count)
    (request,) = LOADS["one_token"].requests()

    findings = []
    for name in ("gateway", *PEERS):
        held = count if name == "gateway" else count // 2
        with contextlib.suppress(LookupError):
            findings.append(
                Finding(
                    scenario="idle_connections",
                    what=f"{fleet.title(name)}: each of {held} idle keep-alive connections",
                    value=_kibibytes_each(fleet, name, lambda port: _open(port, request, 200), count=held),
                    unit="KiB",
                    bound=12 if name == "gateway" else None,
                )
            )
    return findings


def measure_websockets(fleet: Fleet, *, count: int) -> list[Finding]:
    """Each tunnel is open to a backend that says nothing."""
    _raise_descriptor_limit(2 * count)
    (request,) = LOADS["one_token"].requests()
    script, port = Path(__file__).with_name("websocket_upstream.py"), free_port()
    argv = pinned([sys.executable, str(script), str(port)], LOAD_CORE)
    with running("websocket_upstream", argv, port=port, folder=fleet.folder):
        value = _kibibytes_each(
            fleet, "websocket", lambda server: _open(server, request[:-2] + _HANDSHAKE, 101), count=count, upstream=port
        )
    return [
        Finding(scenario="idle_websockets", what=f"each of {count} idle WebSockets", value=value, unit="KiB", bound=40)
    ]


def _kibibytes_each(
    fleet: Fleet, name: str, opened: Callable[[int], socket.socket], *, count: int, upstream: int | None = None
) -> float:
    """Of a new process: what an old one has freed would be taken again and not be seen."""
    load = LOADS["one_token"]
    with fleet.fresh(name, upstream=upstream) as server:
        check_answer(load, write_requests(load, fleet.folder), server.port)
        with _all_open(opened, server.port, _FEW):
            pass
        before = resident_bytes(server)
        with _all_open(opened, server.port, count):
            return (resident_bytes(server) - before) / 1024 / count


def _raise_descriptor_limit(needed: int) -> None:
    """Here and in what is started later. Raises `WrongAnswerError` when the system does not allow it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < needed + 500:
        raise WrongAnswerError(f"{needed} connections need as many descriptors, `ulimit -Hn` is {hard}.")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def _all_open(opened: Callable[[int], socket.socket], port: int, count: int) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(opened(port))
        yield


def _open(port: int, request: bytes, status: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    client.sendall(request)
    answer = client.recv(4096)
    if not answer.startswith(b"HTTP/1.1 %d " % status):
        raise WrongAnswerError(f"On a connection that was to stay idle: {answer[:200]!r}")
    return client
