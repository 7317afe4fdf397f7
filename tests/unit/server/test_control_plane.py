"""The end of the endpoints' application: what has begun goes on, nothing new comes."""

import asyncio

import pytest
from aiohttp import web

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
