"""The gateway as a whole, in this process: what starts, in which order it ends, and what a failed start leaves."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.app import Gateway, build, url_of
from gateway.auth.keys import generate_key
from gateway.composition.blueprint import draw
from gateway.composition.ports import open_ports
from gateway.composition.state import build_hasher, open_state, open_users
from gateway.config.load import Document, loads
from gateway.config.sections.listen import Listen, Tls
from gateway.errors import ConfigError, GatewayError, StoreUnavailable
from gateway.types import Revocation, RevokedKind
from tests.certificates import write_pair

CONFIGURATION = """\
listen: {{port: {port}{listen}}}
log: {{access: {access_log}}}
admin: {{enabled: false}}
tokens: {{signing_key: {{env: KEY}}}}
upstreams: {{app: {{servers: ["{backend}"], health: {{{health}}}}}}}
routes: [{{path: /, upstream: app}}, {{path: /open, upstream: app, access: public{route}}}]
users: {{sqlite: {folder}/users.sqlite3, argon2: {{time_cost: 1, memory_cost: 8KiB}}}}
{more}
"""
KEY = generate_key("HS256")


class Backend:
    """Says who the user is, and which paths it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.news = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.asked.append(head.split()[1])
                self.news.set()
                user = head.partition("X-User-Id: ")[2].partition("\r\n")[0].encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(user), user))
        writer.close()


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.backend = Backend()
        self.backend_url = ""

    def document(self, *, port: int = 0, key: str = KEY, **options: str) -> Document:
        values = {"access_log": "false", "listen": "", "health": "", "route": "", "more": "", **options}
        text = CONFIGURATION.format(port=port, backend=self.backend_url, folder=self.folder, **values)
        return loads(text, str(self.folder / "gateway.yaml"), {"KEY": key})

    def gateway(self, **options: Any) -> Gateway:
        return build(self.document(**options))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    async with await asyncio.start_server(world.backend.serve, "127.0.0.1", 0) as server:
        world.backend_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield world
        # Tasks of the backend end with the connections that the gateway has closed.
        while len(asyncio.all_tasks()) > 1 and any("serve" in repr(task) for task in asyncio.all_tasks()):
            await asyncio.sleep(0)


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return sock.connect_ex(("127.0.0.1", port)) != 0


async def test_the_story(world: World, client: aiohttp.ClientSession) -> None:
    config = world.document().config
    async with open_users(config) as users:
        encoded = build_hasher(config).hash("white-rabbit")
        await users.add(username="alice", email="", roles=(), password_hash=encoded)
    async with world.gateway() as gateway:
        assert (await client.get(f"{gateway.url}/x")).status == 401
        assert not world.backend.asked
        login = await client.post(f"{gateway.url}/api/token/", json={"username": "alice", "password": "white-rabbit"})
        pair = await login.json()
        answer = await client.get(f"{gateway.url}/x", headers={"Authorization": f"Bearer {pair['access']}"})
        assert (answer.status, await answer.text()) == (200, "1")
        assert world.backend.asked == ["/x"]
        await client.close()


async def test_nothing_of_it_goes_on_when_it_has_been_left(world: World, client: aiohttp.ClientSession) -> None:
    before = asyncio.all_tasks()
    async with world.gateway(health="path: /up, interval: 10ms") as gateway:
        assert (await client.get(f"{gateway.url}/open")).status == 200
        await client.close()
        port = gateway.url.rpartition(":")[2]
    await asyncio.sleep(0.01)
    assert not {task for task in asyncio.all_tasks() - before if "serve" not in repr(task)}
    assert is_free(int(port))
    asked = len(world.backend.asked)
    await asyncio.sleep(0.05)
    assert len(world.backend.asked) == asked


async def test_s58_what_is_over_is_forgotten_from_the_start(world: World) -> None:
    over = Revocation(kind=RevokedKind.TOKEN, id="t1", expires_at=1)
    async with open_state(world.document().config) as state:
        await state.store.revoke(over)
    async with world.gateway(), open_state(world.document().config) as state:
        while (await state.store.revocations_since(0)).revocations:
            await asyncio.sleep(0.01)


async def test_servers_are_asked_how_they_are_from_the_start(world: World) -> None:
    async with world.gateway(health="path: /up, interval: 10ms"):
        await world.backend.news.wait()
    assert world.backend.asked[0] == "/up"


async def test_it_drains_before_anything_else_ends(
    world: World, client: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with world.gateway(more="drain: {delay: 20ms, timeout: 7s}") as gateway:
        assert (await client.get(f"{gateway.url}/open")).status == 200
        caplog.clear()
        leaving = asyncio.create_task(gateway.__aexit__(None, None, None))
        while "draining delay=0.02s timeout=7s" not in caplog.messages:
            await asyncio.sleep(0)
        # Told to end, it still serves: backends, users and log-ins are there until the last answer.
        answer = await client.get(f"{gateway.url}/open")
        assert (answer.status, answer.headers.get("Connection")) == (200, "close")
        refused = await client.post(f"{gateway.url}/api/token/", json={"username": "x", "password": "y"})
        assert refused.status == 401
        await leaving
        assert caplog.messages[-1] == "drained cut_connections=0"


async def test_the_access_log_is_whole_at_the_end(
    world: World, client: aiohttp.ClientSession, capsys: pytest.CaptureFixture[str]
) -> None:
    async with world.gateway(access_log="true") as gateway:
        await client.get(f"{gateway.url}/open")
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["path"] == "/open"


async def test_without_one_nothing_is_printed(
    world: World, client: aiohttp.ClientSession, capsys: pytest.CaptureFixture[str]
) -> None:
    async with world.gateway() as gateway:
        await client.get(f"{gateway.url}/open")
    assert capsys.readouterr().out == ""


async def test_sockets_that_it_is_given_are_its_own(world: World, client: aiohttp.ClientSession) -> None:
    (ports,) = open_ports(world.document().config)
    port = ports.clients[0].getsockname()[1]
    gateway = world.gateway(port=1)  # which it does not look at
    gateway.take_seat(0, ports)
    async with gateway:
        assert gateway.url == f"http://127.0.0.1:{port}"
        assert (await client.get(f"{gateway.url}/open")).status == 200
    assert {sock.fileno() for sock in ports} == {-1}


async def test_tls_and_the_rules_for_browsers_are_there(world: World, client: aiohttp.ClientSession) -> None:
    pair = write_pair(world.folder, "own")
    options = {
        "listen": ", tls: {certificate: own.crt, key: own.key}",
        "more": "cors: {allow_origins: [https://app.example]}",
    }
    async with world.gateway(**options) as gateway:
        assert gateway.url.startswith("https://127.0.0.1:")
        origin = {"Origin": "https://app.example"}
        for path in ("/x", "/open", "/api/token/"):
            answer = await client.get(f"{gateway.url}{path}", headers=origin, ssl=pair.client_context())
            assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example"
        await client.close()


async def test_a_renewed_certificate_is_for_the_next_connection(world: World, client: aiohttp.ClientSession) -> None:
    pair = write_pair(world.folder, "own")
    options = {"listen": ", tls: {certificate: own.crt, key: own.key}"}
    async with world.gateway(**options) as gateway:
        assert (await client.get(f"{gateway.url}/open", ssl=pair.client_context())).status == 200
        trust = write_pair(world.folder, "own").client_context()
        await gateway.reload(draw(world.document(**options)))
        async with aiohttp.ClientSession() as another:
            assert (await another.get(f"{gateway.url}/open", ssl=trust)).status == 200
        await client.close()


async def test_another_blueprint_takes_the_place_of_the_first(world: World, client: aiohttp.ClientSession) -> None:
    async with open_users(world.document().config) as users:
        encoded = build_hasher(world.document().config).hash("white-rabbit")
        await users.add(username="alice", email="", roles=(), password_hash=encoded)

    async def statuses(gateway: Gateway) -> tuple[int, int, int]:
        login = {"username": "alice", "password": "white-rabbit"}
        answer = await client.post(f"{gateway.url}/api/token/", json=login)
        new = {"Authorization": f"Bearer {(await answer.json())['access']}"}
        asked = [await client.get(f"{gateway.url}/x", headers=headers) for headers in (new, held, {})]
        return asked[0].status, asked[1].status, asked[2].status

    held: dict[str, str] = {}
    async with world.gateway() as gateway:
        answer = await client.post(f"{gateway.url}/api/token/", json={"username": "alice", "password": "white-rabbit"})
        held = {"Authorization": f"Bearer {(await answer.json())['access']}"}
        assert await statuses(gateway) == (200, 200, 401)
        await gateway.reload(draw(world.document(more="limits: {head_timeout: 7s}")))
        assert await statuses(gateway) == (200, 200, 401)
        await gateway.reload(draw(world.document(key=generate_key("HS256"))))
        assert await statuses(gateway) == (200, 401, 401)
        await client.close()


async def test_what_cannot_be_made_leaves_the_first_as_it_is(
    world: World, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.gateway() as gateway:

        def fail(*_: object, **__: object) -> None:
            raise LookupError("a defect")

        monkeypatch.setattr("gateway.app.build_rules", fail)
        with pytest.raises(LookupError):
            await gateway.reload(draw(world.document(key=generate_key("HS256"))))
        assert (await client.get(f"{gateway.url}/open")).status == 200
        assert (await client.get(f"{gateway.url}/x")).status == 401
        await client.close()


async def test_the_end_is_the_one_that_was_configured_last(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with world.gateway() as gateway:
        await gateway.reload(draw(world.document(more="drain: {delay: 1ms, timeout: 7s}")))
    assert "draining delay=0.001s timeout=7s" in caplog.messages


async def test_a_start_that_fails_leaves_nothing(world: World) -> None:
    (world.folder / "users.sqlite3").write_bytes(b"no database" * 100)
    (ports,) = open_ports(world.document().config)
    before = asyncio.all_tasks()
    gateway = world.gateway()
    gateway.take_seat(0, ports)
    with pytest.raises(StoreUnavailable):
        await gateway.__aenter__()
    assert {sock.fileno() for sock in ports} == {-1}
    assert asyncio.all_tasks() == before


async def test_a_port_that_is_taken_is_one_sentence(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(GatewayError, match=f"Cannot listen on 127.0.0.1 port {port}"):
            await world.gateway(port=port).__aenter__()
    assert not (world.folder / "users.sqlite3").exists(), "and no file was made"


def test_s31_a_weak_key_shows_when_it_is_built(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.backend_url = "http://127.0.0.1:1"
    with pytest.raises(ConfigError, match=r"tokens\.signing_key"):
        world.gateway(key="short")


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:81"),
        ("0.0.0.0", "http://0.0.0.0:81"),
        ("::", "http://[::]:81"),
        ("localhost", "http://localhost:81"),
    ],
)
def test_where_it_listens(address: str, url: str) -> None:
    assert url_of(Listen(address=address), 81) == url
    tls = Tls(certificate="a", key="b")
    assert url_of(Listen(address=address, tls=tls), 81) == url.replace("http:", "https:")
