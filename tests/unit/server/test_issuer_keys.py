"""When keys are fetched, and how long they count: a real https server, and short times."""

import asyncio
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.auth.foreign_issuer import ForeignIssuer, OwnNames, Translation
from gateway.auth.jwk import jwk_members
from gateway.observability.meters import Meters
from gateway.observability.tally import Tally, open_regions
from gateway.server import issuer_keys
from gateway.server.issuer_keys import IssuerKeys
from tests.conformance.jws_signer import Signer
from tests.integration.certificates import Authority

KEYS = {"a": Signer.new("ES256"), "b": Signer.new("ES256")}


def key_set(*kids: str) -> str:
    return json.dumps({"keys": [{"kid": kid, **jwk_members(KEYS[kid].key.public_key())} for kid in kids]})


class World:
    """An issuer's server, and what keeps its keys."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.authority = authority
        self.folder = folder
        self.fetches = 0
        self.gone = 0
        self.status = 200
        self.body = key_set("a")
        self.fields: dict[str, str] = {}
        self.tally = Tally(open_regions(1)[0], pid=1, levels=frozenset())
        self.meter = Meters(self.tally).issuer("one")
        self.issuer = self.new_issuer()

    def new_issuer(self) -> ForeignIssuer:
        return ForeignIssuer(
            issuer="i",
            audience=("a",),
            algorithms=("ES256",),
            leeway=0,
            header_type=None,
            translation=Translation(
                own=OwnNames(user_id="user_id", token_type="token_type", jti="jti", session_id="sid"),
                user_id_claim="sub",
                user_id_prefix="",
                id_prefix="",
                taken={},
            ),
            is_local=False,
        )

    async def start_server(self) -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.fetches += 1
            return web.Response(status=self.status, text=self.body, headers=self.fields)

        self._runner = web.ServerRunner(web.Server(handle))
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.authority.server_context("127.0.0.1"))
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop_server(self) -> None:
        await self._runner.cleanup()

    def start(self, *, max_key_age: float = 1000) -> IssuerKeys:
        def on_keys_gone() -> None:
            self.gone += 1

        keys = IssuerKeys(
            name="one",
            issuer=self.issuer,
            url=f"https://127.0.0.1:{self.port}/",
            tls=ssl.create_default_context(cafile=self.authority.certificate),
            max_key_age=max_key_age,
            on_keys_gone=on_keys_gone,
            meter=self.meter,
        )
        self.task = asyncio.ensure_future(keys.follow())
        return keys

    @property
    def known(self) -> set[str] | None:
        keys = self.issuer.keys
        return None if keys is None else {kid for kid in KEYS if keys.find(kid, "ES256")}


@pytest.fixture
async def world(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[World]:
    caplog.set_level(logging.INFO, "gateway")
    world = World(tmp_path, Authority(tmp_path, "ca"))
    await world.start_server()
    yield world
    world.task.cancel()
    await world.stop_server()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():
            await asyncio.sleep(0.005)


async def test_keys_are_there_when_they_have_been_waited_for(world: World) -> None:
    await world.start().wait()
    assert world.known == {"a"}
    assert (world.fetches, world.gone) == (1, 0)


async def test_keys_are_fetched_ahead_of_their_age(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issuer_keys, "_DEFAULT_AGE", 0.2)
    started = asyncio.get_running_loop().time()
    await world.start().wait()
    world.body = key_set("a", "b")
    await until(lambda: world.known == {"a", "b"})
    assert asyncio.get_running_loop().time() - started >= 0.2 * 0.7
    assert world.gone == 0
    world.body = key_set("b")
    await until(lambda: world.known == {"b"})
    assert world.gone == 1


@pytest.mark.parametrize(
    ("said", "age"),
    [
        ({}, 600),
        ({"Cache-Control": "public, max-age=1200"}, 1200),
        ({"Cache-Control": 'MAX-AGE="900", must-revalidate'}, 900),
        ({"Cache-Control": "max-age=1"}, 300),
        ({"Cache-Control": "max-age=999999999"}, 86400),
        ({"Cache-Control": "no-store"}, 300),
        ({"Cache-Control": "max-age=1200, no-cache"}, 300),
        ({"Cache-Control": "max-age=soon"}, 600),
        ({"Cache-Control": "s-maxage=7"}, 600),
        ({"Cache-Control": "max-age=9999999999999"}, 600),
    ],
)
async def test_the_issuer_says_how_long_within_bounds(world: World, said: dict[str, str], age: float) -> None:
    world.fields = said
    keys = world.start(max_key_age=10**6)
    world.task.cancel()
    pause = await keys._fetch()
    assert age * 0.7 <= pause <= age * 0.8


async def test_keys_are_never_older_than_the_operator_wants(world: World) -> None:
    keys = world.start(max_key_age=100)
    world.task.cancel()
    assert await keys._fetch() <= 80


async def test_s82_while_the_issuer_is_away_its_keys_count_and_then_nobody_can_tell(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(issuer_keys, "_FIRST_RETRY", 0.02)
    await world.start(max_key_age=0.5).wait()
    world.status = 500
    await until(lambda: "issuer_unavailable" in caplog.text)
    assert world.known == {"a"}
    await until(lambda: world.known is None)
    assert world.gone == 1
    assert caplog.text.count("issuer_unavailable name=one It answered 500.") == 1
    assert "issuer_keys_dropped name=one" in caplog.text
    world.status = 200
    await until(lambda: world.known == {"a"})
    assert "issuer_recovered name=one" in caplog.text


async def test_pauses_between_attempts_grow_to_a_minute(world: World) -> None:
    keys = world.start()
    world.task.cancel()
    world.status = 404
    assert [await keys._fetch() for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    world.status = 200
    await keys._fetch()
    world.status = 404
    assert await keys._fetch() == 1


async def test_s32_s83_an_unknown_key_has_them_fetched_but_not_as_often_as_strangers_like(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.start().wait()
    world.body = key_set("b")
    for _ in range(10_000):
        world.issuer.find("b", "ES256")
    await until(lambda: world.known == {"b"})
    for _ in range(100):
        world.issuer.find("x", "ES256")
        await asyncio.sleep(0)
    assert world.fetches == 2
    # When it has cooled down, once more.
    now = asyncio.get_running_loop().time()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now + issuer_keys._COOL_DOWN)
    world.issuer.find("x", "ES256")
    monkeypatch.undo()
    await until(lambda: world.fetches == 3)


async def test_faults_of_keys_are_told_once_each_time_they_change(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    keys = world.start()
    world.task.cancel()
    world.body = json.dumps({"keys": [{"kty": "oct"}, *json.loads(key_set("a"))["keys"]]})
    for _ in range(3):
        await keys._fetch()
    assert caplog.text.count("issuer_key_skipped name=one keys[0] is of no kind") == 1
    assert caplog.text.count("issuer_keys_loaded name=one keys=1") == 1
    world.body = key_set()
    await keys._fetch()
    assert "ERROR" in caplog.text
    assert world.known == set()


async def test_a_defect_is_logged_and_does_not_end_the_task(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> Any:
        raise LookupError("a defect")

    monkeypatch.setattr(issuer_keys, "_FIRST_RETRY", 0.01)
    monkeypatch.setattr(issuer_keys, "parse_key_set", fail)
    await world.start().wait()
    assert "a defect" in caplog.text
    monkeypatch.undo()
    await until(lambda: world.known == {"a"})


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_s76_nothing_is_unpacked(world: World, coding: str, caplog: pytest.LogCaptureFixture) -> None:
    world.fields = {"Content-Encoding": coding}
    await world.start().wait()
    assert world.known == {"a"}, "the bytes count as they came"


async def test_an_answer_that_does_not_come_is_not_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(issuer_keys, "_TIMEOUT", issuer_keys.ClientTimeout(total=0.1))
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts, and nobody says anything
        world.port = silent.getsockname()[1]
        async with asyncio.timeout(10):
            await world.start().wait()
    assert world.known is None
    assert "issuer_unavailable name=one It did not answer within" in caplog.text


async def test_what_is_measured_of_it(world: World) -> None:
    keys = world.start()
    world.task.cancel()
    assert (keys.name, keys.usable, keys.fetched_at) == ("one", 0, None)
    world.body = key_set("a", "b")
    await keys._fetch()
    assert keys.usable == 2
    fetched_at = keys.fetched_at
    assert fetched_at is not None
    world.status = 500
    for _ in range(2):
        await keys._fetch()
    assert (keys.usable, keys.fetched_at) == (2, fetched_at)
    cells = world.tally.cells
    assert (cells[world.meter._fetched], cells[world.meter._failed]) == (1, 2)


async def test_another_one_begins_with_what_this_one_has(world: World) -> None:
    before = world.start(max_key_age=100)
    world.task.cancel()
    await before._fetch()
    issuer, world.issuer = world.issuer, world.new_issuer()
    after = world.start(max_key_age=50)
    world.task.cancel()
    assert world.known is None
    after.resume(before)
    assert world.known == {"a"}
    assert world.issuer is not issuer
    assert after.fetched_at == before.fetched_at
    assert after._keys_end_at <= before._keys_end_at - 49  # as the operator wants it now
    assert world.gone == 0
