"""The end of the endpoints' application: what has begun goes on, nothing new comes."""

import asyncio
import gc
import weakref

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import Handler

from gateway.composition.upstreams import build_endpoints_pool
from gateway.http.fields import ResponseFieldUses
from gateway.http.responses import ResponseReader
from gateway.server.control_plane import ControlPlane
from tests.unit.composition.documents import config_with
from tests.unit.metering import new_meters


async def test_it_waits_for_the_last_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.server.control_plane._LOOK_SECONDS", 0.001)
    ended: list[str] = []
    application = web.Application()

    async def note(_: web.Application) -> None:
        ended.append("application")

    application.on_cleanup.append(note)
    runner = web.AppRunner(application, handle_signals=False)
    await runner.setup()
    reader = ResponseReader(uses=ResponseFieldUses())
    plane = ControlPlane(runner, build_endpoints_pool(runner, config_with().users, reader=reader, meters=new_meters()))
    connection = await plane.pool.open()
    retiring = asyncio.create_task(plane.retire())
    await asyncio.sleep(0.01)
    assert not ended
    connection.close()
    await retiring
    assert ended == ["application"]


async def test_nothing_of_its_application_is_kept() -> None:
    @web.middleware
    async def pass_on(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await handler(request)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    application = web.Application(middlewares=[pass_on])
    application.router.add_get("/", answer)
    client = TestClient(TestServer(application))
    await client.start_server()
    assert (await client.get("/")).status == 200
    await client.close()
    gone = weakref.ref(application)
    del client, application
    gc.collect()
    assert gone() is not None, "without a reason any more, if aiohttp has forgotten it by itself"
    runner = web.AppRunner(web.Application(), handle_signals=False)
    await runner.setup()
    reader = ResponseReader(uses=ResponseFieldUses())
    pool = build_endpoints_pool(runner, config_with().users, reader=reader, meters=new_meters())
    await ControlPlane(runner, pool).close()
    gc.collect()
    assert gone() is None
