"""Where the microseconds of a request go: each step of the hot path in one process, without sockets.

    python -m tests.benchmarks.micro [--iterations 20000]

The gateway is started as it is, on an event loop that hands out transports in memory. So
everything here is the product's own: configuration, composition, protocols. What is missing beside a real request are
the system calls (two receives, two sends, a look at the sockets) and the loop.
"""

import argparse
import asyncio
import contextlib
import gc
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import uvloop

from gateway.app import build
from gateway.config.load import load
from gateway.http.fields import ResponseFieldUses
from gateway.http.responses import ResponseReader
from gateway.proxy.data_plane import DataPlane
from tests.benchmarks.gateways import VARIANTS, gateway_command
from tests.benchmarks.loads import LOADS
from tests.conformance.forging import SIGNING_KEY

RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 01 Jun 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 12\r\nConnection: keep-alive\r\n\r\nhello world\n"
)
_BATCHES = 7
_EXCHANGES = {
    "the whole exchange": "one_token",
    "the whole exchange, target new": "target_new",
    "the whole exchange, one field new": "field_new",
    "the whole exchange, all but the token new": "fields_new",
}


class MemoryTransport(asyncio.Transport):
    """Counts what is written and keeps the last of it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.last = b""
        self.writes = 0

    def write(self, data: Any) -> None:
        self.last = data
        self.writes += 1

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return False

    def is_reading(self) -> bool:
        return True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def abort(self) -> None: ...

    def close(self) -> None: ...


class MemoryLoop(uvloop.Loop):
    """A client that is accepted and an upstream that is dialled have transports in memory."""

    client: Any = None
    client_transport: "MemoryTransport"
    upstream: Any = None

    async def connect_accepted_socket(
        self, protocol_factory: Callable[[], Any], sock: socket.socket, **_: Any
    ) -> tuple[Any, Any]:
        sock.close()
        self.client_transport, self.client = MemoryTransport(), protocol_factory()
        self.client.connection_made(self.client_transport)
        return self.client_transport, self.client

    async def create_connection(self, protocol_factory: Callable[[], Any], *_: Any, **named: Any) -> Any:
        named["sock"].close()
        self.upstream = protocol_factory()
        transport = MemoryTransport()
        self.upstream.connection_made(transport)
        return transport, self.upstream


class Subject:
    """A started gateway with one client connection and one upstream connection, both in memory."""

    def __init__(self, loop: MemoryLoop) -> None:
        self._loop = loop
        self._client = loop.client
        self._transport = loop.client_transport
        self.plane: DataPlane = self._client.plane

    @classmethod
    async def connected_to(cls, port: int) -> "Subject":
        """The listener accepts a real socket, of which the rest knows nothing."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, MemoryLoop)
        with socket.create_connection(("127.0.0.1", port)):
            async with asyncio.timeout(5):
                while loop.client is None:
                    await asyncio.sleep(0.001)
        return cls(loop)

    def exchange(self, head: bytes) -> None:
        """Of a token that is known."""
        self._client.data_received(head)
        self._loop.upstream.data_received(RESPONSE)

    async def first_exchange(self, head: bytes) -> None:
        """Looks the user up and may dial the upstream, which takes turns of the loop."""
        self._client.data_received(head)
        async with asyncio.timeout(5):
            while self._loop.upstream is None or self._loop.upstream.exchange is None:
                await asyncio.sleep(0.001)
        self._loop.upstream.data_received(RESPONSE)

    def close(self) -> None:
        """Else the gateway would wait for this client when it drains."""
        self._client.connection_lost(None)

    def check(self, exchanges: int) -> None:
        """That there were so many, and what the last one ended with."""
        answer = self._transport.last
        if self._transport.writes != exchanges or not answer.startswith(b"HTTP/1.1 200 "):
            raise AssertionError(f"{self._transport.writes} answers of {exchanges}, the last one {answer!r}")


async def measure(config: Path, *, iterations: int) -> dict[str, float]:
    """Microseconds by step, of a gateway with this configuration."""
    loads = ("one_token", "target_new", "field_new", "fields_new", "tokens_new")
    heads = {name: LOADS[name].requests() for name in loads}
    (known,) = heads["one_token"]
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        async with build(load(config, {"GATEWAY_SIGNING_KEY": SIGNING_KEY})) as gateway:
            subject = await Subject.connected_to(urlsplit(gateway.url).port or 0)
            steps = _steps(subject.plane, known, heads)
            for name, heads_of in _EXCHANGES.items():
                await subject.first_exchange(heads[heads_of][0])
                steps[name] = (subject.exchange, heads[heads_of])
            gc.collect()
            gc.freeze()
            results = {name: _microseconds(step, values, iterations) for name, (step, values) in steps.items()}
            subject.check(exchanges=len(_EXCHANGES) * (1 + iterations // _BATCHES * _BATCHES))
            subject.close()
            return results


_Step = tuple[Callable[[Any], object], list[Any]]
"""What is timed, and the values that it is called with in turn."""


def _steps(plane: DataPlane, known: bytes, heads: dict[str, list[bytes]]) -> dict[str, _Step]:
    prepare, admission = plane.preparation.prepare, plane.admission
    prepared = prepare(known)
    plan = prepared.plan
    assert plan is not None
    responses = ResponseReader(uses=ResponseFieldUses())
    response_head = RESPONSE[: RESPONSE.index(b"\r\n\r\n") + 4]
    now = time.time()
    tokens = [prepare(head).request.tokens for head in heads["tokens_new"]]
    return {
        "read, route and rewrite": (prepare, [known]),
        "the same, target new": (prepare, heads["target_new"]),
        "the same, one field new": (prepare, heads["field_new"]),
        "the same, all fields but the token new": (prepare, heads["fields_new"]),
        "admit, token known": (lambda one: admission.recognise(plan.policy, one, now), [prepared.request.tokens]),
        "admit, token new (signature, claims)": (lambda one: admission.recognise(plan.policy, one, now), tokens),
        "read a response head": (responses.read, [response_head]),
    }


def _microseconds(step: Callable[[Any], object], values: list[Any], iterations: int) -> float:
    """The fastest of several batches: whatever makes one slower is not the step's."""
    count = len(values)
    best = float("inf")
    position = 0
    for _ in range(_BATCHES):
        batch = [values[(position + number) % count] for number in range(iterations // _BATCHES)]
        position += len(batch)
        began = time.thread_time()
        for value in batch:
            step(value)
        best = min(best, (time.thread_time() - began) / len(batch))
    return best * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.micro", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--iterations", type=int, default=21_000, help="of each step (default 21000)")
    arguments = parser.parse_args()
    gc.set_threshold(50_000, 20, 50)  # as `gateway run` sets them
    for variant in ("gateway", "unlogged"):
        # The upstream is dialled before its connection gets a transport: something must listen.
        with TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as upstream:
            (*_, config), _ = gateway_command(Path(name), upstream.getsockname()[1], VARIANTS[variant])
            with asyncio.Runner(loop_factory=MemoryLoop) as runner:
                results = runner.run(measure(Path(config), iterations=arguments.iterations))
        print(VARIANTS[variant].title)
        for step, microseconds in results.items():
            print(f"  {step:42}{microseconds:8.2f} µs")


if __name__ == "__main__":
    main()
