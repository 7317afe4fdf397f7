"""The listener with real sockets, in front of the whole data plane and a backend that shows what it got."""

import asyncio
import contextlib
import dataclasses
import errno
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.auth.keys import generate_key
from gateway.auth.revocation import RevocationList
from gateway.composition.data_plane import build_admission, build_admission_rules, build_rules
from gateway.composition.routes import build_routes
from gateway.composition.state import open_state
from gateway.composition.tokens import build_verifier, keyring_of
from gateway.composition.upstreams import build_pool
from gateway.config.load import loads
from gateway.http.addresses import Networks
from gateway.http.fields import ResponseFieldUses
from gateway.http.responses import ResponseReader
from gateway.proxy.data_plane import DataPlane
from gateway.proxy.long_exchanges import LongExchanges
from gateway.server import listener as listener_module
from gateway.server.listener import Listener, ListenerRules
from gateway.server.sockets import open_sockets
from tests.certificates import Pair, write_pair
from tests.unit.metering import new_meters

REQUEST = b"GET /x HTTP/1.1\r\nHost: a.example\r\n\r\n"
V1 = b"PROXY TCP4 203.0.113.7 198.51.100.1 51234 443\r\n"
V2_TLS = (  # with the TLV that says so, as HAProxy's `send-proxy-v2-ssl`
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x14\xcb\x00\x71\x07\xc6\x33\x64\x01\xc8\x22\x01\xbb\x20\x00\x05\x01\0\0\0\0"
)
CONFIGURATION = """\
tokens: {{signing_key: {{env: KEY}}}}
upstreams: {{app: {{servers: ["http://127.0.0.1:{port}"]}}}}
routes: [{{path: /, upstream: app, access: public}}]
users: {{sqlite: {folder}/users.sqlite3}}
limits: {{connections: {{max: {total}, max_per_address: {per_address}}}}}
"""
LONG = 30.0  # never over within a test
KEY = generate_key("HS256")


async def show_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(head), head))
    writer.close()


@contextlib.asynccontextmanager
async def running_plane(folder: Path, *, total: int = 100, per_address: str = "null") -> AsyncIterator[DataPlane]:
    loop, revocations = asyncio.get_running_loop(), RevocationList()
    responses = ResponseReader(uses=ResponseFieldUses())
    async with await asyncio.start_server(show_request, "127.0.0.1", 0) as backend:
        port = backend.sockets[0].getsockname()[1]
        text = CONFIGURATION.format(port=port, folder=folder, total=total, per_address=per_address)
        document = loads(text, "c.yaml", {"KEY": KEY})
        config = document.config
        pool = build_pool("app", config.upstreams["app"], tls=None, reader=responses, meters=new_meters())
        async with open_state(config) as state:
            long_exchanges = LongExchanges(
                revocations=revocations, directory=state.directory, clock=time.time, loop=loop
            )
            admission = build_admission(
                build_admission_rules(config, build_verifier(config, keyring_of(document))),
                revocations=revocations,
                directory=state.directory,
            )
            routes = build_routes(config, pools={"app": pool}, endpoints=pool, cors=None, meters=new_meters())
            plane = DataPlane(
                rules=build_rules(config, routes=routes, cors=None),
                admission=admission,
                access_log=None,
                tracing=None,
                unrouted=new_meters().route("unrouted"),
                long_exchanges=long_exchanges,
                clock=time.time,
                loop=loop,
            )
            try:
                yield plane
            finally:
                await plane.drain(0)
                pool.close()
                long_exchanges.close()


class World:
    """A listener on a port of its own."""

    def __init__(
        self,
        plane: DataPlane,
        *,
        context: ssl.SSLContext | None = None,
        balancers: tuple[str, ...] = (),
        opening_timeout: float = LONG,
        sockets: tuple[socket.socket, ...] | None = None,
    ) -> None:
        self.plane = plane
        self.sockets = open_sockets("127.0.0.1", 0, section="listen")[0] if sockets is None else sockets
        self.port: int = self.sockets[0].getsockname()[1]
        self.listener = Listener(
            sockets=self.sockets,
            plane=plane,
            rules=ListenerRules(context=context, balancers=Networks(balancers), opening_timeout=opening_timeout),
        )

    @contextlib.asynccontextmanager
    async def client(self, *, source: str = "127.0.0.1", **options: Any) -> AsyncIterator["Client"]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0), **options)
        try:
            yield Client(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def forwarded(self, opening: bytes = b"") -> bytes:
        """What the backend got of a request, behind `opening`."""
        self.send(opening + REQUEST)
        return await self.shown()

    async def shown(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        return await self.reader.readuntil(b"\r\n\r\n")

    async def rest(self) -> bytes:
        """All until the gateway ends the connection."""
        with contextlib.suppress(ConnectionResetError):
            return await self.reader.read()
        return b""


@contextlib.asynccontextmanager
async def listening(
    folder: Path, *, total: int = 100, per_address: str = "null", **options: Any
) -> AsyncIterator[World]:
    async with running_plane(folder, total=total, per_address=per_address) as plane:
        world = World(plane, **options)
        world.listener.start()
        try:
            yield world
        finally:
            world.listener.close()


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return write_pair(tmp_path, "own")


def server_context(pair: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


async def has_room(plane: DataPlane) -> None:
    """Until nobody counts as a connection any more."""
    async with asyncio.timeout(LONG):
        assert await plane.drain(LONG) == 0


# From start to close


async def test_clients_are_served_under_their_own_address(tmp_path: Path) -> None:
    async with listening(tmp_path) as world, world.client(source="127.0.0.9") as client:
        head = await client.forwarded()
        assert b"\r\nX-Forwarded-For: 127.0.0.9\r\n" in head
        assert b"\r\nX-Forwarded-Proto: http\r\n" in head
        assert b"\r\nX-Forwarded-For: 127.0.0.9\r\n" in await client.forwarded()


async def test_every_socket_is_listened_on(tmp_path: Path) -> None:
    sockets = (*open_sockets("127.0.0.1", 0, section="listen")[0], *open_sockets("127.0.0.1", 0, section="listen")[0])
    async with listening(tmp_path, sockets=sockets) as world:
        for sock in sockets:
            world.port = sock.getsockname()[1]
            async with world.client() as client:
                assert await client.forwarded()


async def test_nobody_is_let_in_before_the_start(tmp_path: Path) -> None:
    async with running_plane(tmp_path) as plane:
        world = World(plane)
        with pytest.raises(ConnectionRefusedError):
            async with world.client():
                pass
        world.listener.close()


async def test_more_clients_than_are_accepted_at_once_all_come_in(tmp_path: Path) -> None:
    many = listener_module._ACCEPTS_AT_ONCE + 10
    async with listening(tmp_path) as world, contextlib.AsyncExitStack() as stack:
        plain = [stack.enter_context(socket.socket()) for _ in range(many)]
        for sock in plain:
            sock.connect(("127.0.0.1", world.port))  # the kernel's backlog takes them while the loop stands still
        loop = asyncio.get_running_loop()
        for sock in plain:
            sock.setblocking(False)
            await loop.sock_sendall(sock, REQUEST)
            assert (await loop.sock_recv(sock, 12)) == b"HTTP/1.1 200"


async def test_closing_ends_the_port_but_no_connection(tmp_path: Path) -> None:
    async with listening(tmp_path) as world, world.client() as client:
        assert await client.forwarded()
        world.listener.close()
        with pytest.raises(ConnectionRefusedError):
            async with world.client():
                pass
        assert await client.forwarded()


async def test_closing_ends_who_has_not_begun_to_speak_http(tmp_path: Path) -> None:
    async with listening(tmp_path, balancers=("127.0.0.1",)) as world, world.client() as client:
        client.send(V1[:10])
        await asyncio.sleep(0)
        world.listener.close()
        assert await client.rest() == b""
        await has_room(world.plane)


async def test_closing_ends_who_has_only_just_been_accepted(tmp_path: Path) -> None:
    """A task that is cancelled before its first step runs none of its code."""
    async with listening(tmp_path) as world:
        with socket.create_connection(("127.0.0.1", world.port)):
            world.listener._on_acceptable(world.sockets[0])
            world.listener.close()
            await has_room(world.plane)


@pytest.mark.parametrize("steps", [0, 1], ids=["accepted", "being-opened"])
async def test_closing_lets_who_has_just_come_in_have_its_answer(tmp_path: Path, steps: int) -> None:
    async with listening(tmp_path) as world:
        with socket.create_connection(("127.0.0.1", world.port)) as client:
            client.sendall(REQUEST)
            world.listener._on_acceptable(world.sockets[0])
            for _ in range(steps):
                await asyncio.sleep(0)
            world.listener.close()
            await has_room(world.plane)
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")


async def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    async with listening(tmp_path) as world:
        world.listener.close()
        world.listener.close()


class Exhausted(socket.socket):
    """A listening socket of a process that has run out of descriptors, for as long as `error` is set."""

    error: int = errno.EMFILE
    refusals = 0

    def accept(self) -> tuple[socket.socket, Any]:
        if self.error:
            self.refusals += 1
            raise OSError(self.error, "no more")
        return super().accept()


def exhausted() -> Exhausted:
    sock = Exhausted()
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_without_descriptors_it_pauses_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(listener_module, "_RETRY_SECONDS", 0.05)
    sock = exhausted()
    sock.error = number
    async with listening(tmp_path, sockets=(sock,)) as world, world.client() as client:
        client.send(REQUEST)
        while sock.refusals < 2:
            await asyncio.sleep(0)
        sock.error = 0
        assert await client.shown()
    # A loop that had spun would have been refused thousands of times.
    assert sock.refusals < 20
    assert caplog.messages == ["accept_failed count=1 last= no more"]


async def test_a_client_that_is_gone_before_it_is_accepted_pauses_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sock = exhausted()
    sock.error = errno.ECONNABORTED
    async with listening(tmp_path, sockets=(sock,)) as world, world.client() as client:
        client.send(REQUEST)
        while not sock.refusals:
            await asyncio.sleep(0)
        sock.error = 0
        assert await client.shown()
    assert not caplog.messages


async def test_a_pause_ends_with_the_listener(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "_RETRY_SECONDS", 0.0)
    sock = exhausted()
    async with listening(tmp_path, sockets=(sock,)) as world, world.client():
        world.listener._on_acceptable(sock)
        world.listener.close()
        refusals = sock.refusals
        for _ in range(5):
            await asyncio.sleep(0)
        assert sock.refusals == refusals
    assert caplog.messages == ["accept_failed count=1 last= no more"], "no exception in a callback either"


# Caps


async def test_s81_over_the_cap_a_client_is_closed_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(tmp_path, total=1) as world, world.client() as first:
        assert await first.forwarded()
        first.send(REQUEST[:-2])  # busy, so that it makes no room
        await asyncio.sleep(0.05)
        async with world.client() as second:
            assert await second.rest() == b""
        first.send(b"\r\n")
        assert await first.shown()
    assert caplog.messages == ["connections_over_cap count=1 last=127.0.0.1 in total"]


async def test_s81_so_is_one_too_many_of_an_address_which_then_counts_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(tmp_path, total=3, per_address="1") as world:
        async with world.client() as first:
            assert await first.forwarded()
            for _ in range(5):
                async with world.client() as second:
                    assert await second.rest() == b""
            async with world.client(source="127.0.0.2") as other:
                assert await other.forwarded()
        async with world.client() as again:
            assert await again.forwarded()
    assert caplog.messages == ["connections_over_cap count=1 last=127.0.0.1 from one address"]


# PROXY protocol


async def test_the_head_of_a_balancer_names_the_client(tmp_path: Path) -> None:
    async with listening(tmp_path, balancers=("127.0.0.2",)) as world, world.client(source="127.0.0.2") as client:
        assert b"\r\nX-Forwarded-For: 203.0.113.7\r\n" in await client.forwarded(V1)


async def test_the_head_may_come_byte_by_byte(tmp_path: Path) -> None:
    async with listening(tmp_path, balancers=("127.0.0.1",)) as world, world.client() as client:
        for byte in V1:
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert b"\r\nX-Forwarded-For: 203.0.113.7\r\n" in await client.forwarded()


async def test_a_head_without_a_client_leaves_the_balancer(tmp_path: Path) -> None:
    async with listening(tmp_path, balancers=("127.0.0.2",)) as world, world.client(source="127.0.0.2") as client:
        assert b"\r\nX-Forwarded-For: 127.0.0.2\r\n" in await client.forwarded(b"PROXY UNKNOWN\r\n")


async def test_a_head_tells_of_tls_that_the_balancer_has_ended(tmp_path: Path) -> None:
    async with listening(tmp_path, balancers=("127.0.0.1",)) as world, world.client() as client:
        assert b"\r\nX-Forwarded-Proto: https\r\n" in await client.forwarded(V2_TLS)


async def test_s6_a_head_of_anybody_else_is_no_http(tmp_path: Path) -> None:
    async with listening(tmp_path, balancers=("127.0.0.2",)) as world, world.client() as client:
        client.send(V1 + REQUEST)
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")


async def test_caps_count_the_client_that_the_head_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with listening(tmp_path, per_address="1", balancers=("127.0.0.1",)) as world, world.client() as first:
        assert await first.forwarded(V1)
        async with world.client() as second:
            second.send(V1 + REQUEST)
            assert await second.rest() == b""
        async with world.client() as other:
            assert await other.forwarded(V1.replace(b"203.0.113.7", b"203.0.113.8"))
    assert caplog.messages == ["connections_over_cap count=1 last=203.0.113.7 from one address"]


async def test_a_balancer_without_a_head_is_cut_with_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with listening(tmp_path, balancers=("127.0.0.1",)) as world:
        for _ in range(3):
            async with world.client() as client:
                client.send(REQUEST)
                assert await client.rest() == b""
        await has_room(world.plane)
    assert caplog.messages == ["proxy_head_refused count=1 last=127.0.0.1 neither version's first bytes"]


async def test_a_look_whether_the_port_is_open_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with listening(tmp_path, balancers=("127.0.0.1",)) as world:
        for opening in (b"", V1[:20]):
            async with world.client() as client:
                client.send(opening)
                client.writer.write_eof()
                assert await client.rest() == b""
        await has_room(world.plane)
    assert not caplog.messages


async def test_a_balancer_that_resets_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with listening(tmp_path, balancers=("127.0.0.1",)) as world:
        with socket.create_connection(("127.0.0.1", world.port)) as sock:
            sock.sendall(V1[:10])
            while not world.listener._opening:
                await asyncio.sleep(0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await has_room(world.plane)
    assert caplog.messages == ["proxy_head_refused count=1 last=127.0.0.1 [Errno 104] Connection reset by peer"]


async def test_s78_a_head_that_does_not_come_in_time_ends_the_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(tmp_path, balancers=("127.0.0.1",), opening_timeout=0.05) as world, world.client() as client:
        client.send(V1[:10])
        assert await client.rest() == b""
    assert caplog.messages == ["proxy_head_refused count=1 last=127.0.0.1 nothing came in time"]


# TLS


async def test_tls_and_its_certificate_of_the_moment(tmp_path: Path, pair: Pair) -> None:
    renewed = write_pair(tmp_path, "renewed")
    async with (
        listening(tmp_path, context=server_context(pair)) as world,
        world.client(ssl=pair.client_context(), server_hostname="127.0.0.1") as client,
    ):
        assert b"\r\nX-Forwarded-Proto: https\r\n" in await client.forwarded()
        world.listener.rules = dataclasses.replace(world.listener.rules, context=server_context(renewed))
        async with world.client(ssl=renewed.client_context(), server_hostname="127.0.0.1") as other:
            assert await other.forwarded()
        assert await client.forwarded(), "open connections keep the certificate that they began with"


async def test_a_head_may_stand_before_tls(tmp_path: Path, pair: Pair) -> None:
    async with listening(tmp_path, context=server_context(pair), balancers=("127.0.0.1",)) as world:
        loop = asyncio.get_running_loop()
        with socket.create_connection(("127.0.0.1", world.port)) as sock:
            sock.sendall(V1)
            sock.setblocking(False)
            reader, writer = await asyncio.open_connection(
                sock=sock, ssl=pair.client_context(), server_hostname="127.0.0.1"
            )
            client = Client(reader, writer)
            head = await client.forwarded()
            assert b"\r\nX-Forwarded-For: 203.0.113.7\r\n" in head
            writer.close()
            await loop.create_task(writer.wait_closed())


async def test_a_client_that_speaks_no_tls_is_cut_with_one_line(
    tmp_path: Path, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(tmp_path, context=server_context(pair)) as world:
        for _ in range(3):
            async with world.client() as client:
                client.send(REQUEST)
                assert b"HTTP" not in await client.rest()
        await has_room(world.plane)
    (line,) = caplog.messages
    assert line.startswith("handshake_failed count=1 last=127.0.0.1 ")


async def test_s78_a_handshake_that_stops_is_ended_without_a_line(
    tmp_path: Path, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(tmp_path, context=server_context(pair), opening_timeout=0.05) as world:
        async with world.client() as client:
            assert await client.rest() == b""
        await has_room(world.plane)
    assert not caplog.messages


async def test_closing_ends_a_handshake(tmp_path: Path, pair: Pair) -> None:
    async with listening(tmp_path, context=server_context(pair)) as world, world.client() as client:
        client.send(b"\x16")
        while not world.listener._opening:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        world.listener.close()
        assert await client.rest() == b""
        await has_room(world.plane)


@pytest.fixture(autouse=True)
def _warnings_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
