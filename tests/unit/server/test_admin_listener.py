"""A few connections, each for one request and for a few seconds; whoever comes last is heard."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.endpoints.admin import build_admin_application
from gateway.server.admin_listener import MAX_CONNECTIONS, AdminListener
from gateway.server.sockets import open_sockets

PROBE = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


async def no_metrics(_accept: str) -> tuple[bytes, str]:
    return b"", "text/plain"


class Place:
    """A listener and who connects to it."""

    def __init__(self, *, connection_timeout: float = 3600.0) -> None:
        (self.sockets,) = open_sockets("127.0.0.1", 0, section="admin")
        self.port: int = self.sockets[0].getsockname()[1]
        self.listener = AdminListener(
            sockets=self.sockets,
            application=build_admin_application(readiness={}, scrape=no_metrics),
            connection_timeout=connection_timeout,
        )

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def probe(self) -> bytes:
        reader, writer = await self.connect()
        writer.write(PROBE)
        return await self.read_to_end(reader, writer)

    async def read_to_end(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        """What came until the other side closed or reset the connection."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while more := await reader.read(65536):
                data += more
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        return data


@contextlib.asynccontextmanager
async def listening(**options: float) -> AsyncIterator[Place]:
    place = Place(**options)
    await place.listener.start()
    yield place
    await place.listener.close()


async def test_a_connection_is_for_one_request() -> None:
    async with listening() as place:
        reader, writer = await place.connect()
        writer.write(PROBE * 3)
        assert (await place.read_to_end(reader, writer)).count(b"HTTP/1.1 200 OK") == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\n",
        b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
    ],
    ids=["nothing", "half a head", "a body that never comes"],
)
async def test_s78_s87_all_of_a_connection_must_be_over_in_time(sent: bytes) -> None:
    async with listening(connection_timeout=0.1) as place:
        reader, writer = await place.connect()
        writer.write(sent)
        await place.read_to_end(reader, writer)


async def test_s78_dripping_does_not_win_time() -> None:
    async with listening(connection_timeout=0.3) as place:
        reader, writer = await place.connect()

        async def drip() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.02)

        writer.write(b"GET /healthz HTTP/1.1\r\nX: ")
        dripping = asyncio.create_task(drip())
        assert await reader.read() == b""
        dripping.cancel()
        writer.close()


async def test_s81_above_the_most_connections_the_oldest_makes_room() -> None:
    async with listening() as place:
        silent = [await place.connect() for _ in range(MAX_CONNECTIONS)]
        assert b" 200 OK" in await place.probe()
        assert await place.read_to_end(*silent[0]) == b""
        for reader, writer in silent[1:]:
            assert not reader.at_eof()
            writer.write(PROBE)
            assert b" 200 OK" in await place.read_to_end(reader, writer)


async def test_a_closed_listener_keeps_no_probe_waiting() -> None:
    """Also where another process, as the supervisor, holds the socket too."""
    async with listening() as place:
        held = [socket.socket(fileno=sock.dup().detach()) for sock in place.sockets]
        silent = await place.connect()
        await place.listener.close()
        assert await place.read_to_end(*silent) == b""
        with pytest.raises(ConnectionRefusedError):
            await place.connect()
    for sock in held:
        sock.close()
