"""The application is an ordinary one: any aiohttp server carries it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_aiohttp import AiohttpClient

from tests.unit.endpoints.plane import EVERY_ANSWER, Neighbours, Plane


async def test_it_runs_under_aiohttps_own_server(aiohttp_client: AiohttpClient, tmp_path: Path) -> None:
    neighbours = Neighbours(tmp_path)
    await neighbours.open()
    client = await aiohttp_client(neighbours.application())
    answer = await client.post("/api/token/", json={"username": "alice", "password": "alice-pass-1"})
    assert answer.status == 200
    assert list(await answer.json()) == ["refresh", "access"]
    assert {name: answer.headers.get(name) for name in EVERY_ANSWER} == EVERY_ANSWER
    assert "Server" not in answer.headers
    await client.close()
    await neighbours.close()


def test_paths_are_configurable(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(obtain_path="/login", refresh_path="/refresh/", verify_path="/v", blacklist_path="/logout")
    for path in ("/login", "/login/", "/refresh", "/refresh/", "/v", "/logout/"):
        assert plane.run(plane.exchange("OPTIONS", path)).status == 200
    for path in ("/api/token/", "/"):
        assert plane.run(plane.exchange("OPTIONS", path)).status == 404


def test_an_endpoint_may_be_the_root(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(obtain_path="/")
    assert plane.run(plane.exchange("OPTIONS", "/")).status == 200


@pytest.mark.parametrize("attribute", ["password_hash", "is_active", ""])
def test_unknown_attributes_fail_at_start(make_plane: Callable[..., Plane], attribute: str) -> None:
    plane = make_plane()
    plane.settings["response_fields"] = {"user": attribute}
    with pytest.raises(ValueError, match="users have no attribute"):
        plane.application()
