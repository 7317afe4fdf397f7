"""What a probe is told, and that it is told nothing else."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from gateway.endpoints.admin import OK, build_admin_application

FIXED = {"Content-Type": "application/json", "Cache-Control": "no-store", "Connection": "close", "Server": None}


async def show_accept(accept: str) -> tuple[bytes, str]:
    """Metrics that say what was asked for."""
    return b"accept " + accept.encode(), "text/plain; version=0.0.4; charset=utf-8"


class Parts:
    """Two parts of a process, well until somebody says otherwise."""

    def __init__(self) -> None:
        self.state = self.drain = OK

    def application(self) -> web.Application:
        readiness = {"state": lambda: self.state, "drain": lambda: self.drain}
        return build_admin_application(readiness=readiness, scrape=show_accept)


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture
async def client(parts: Parts, aiohttp_client: AiohttpClient) -> TestClient:
    return await aiohttp_client(parts.application())


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/healthz?verbose", "/readyz?x=1"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_s87_all_is_well(client: TestClient, method: str, path: str) -> None:
    answer = await client.request(method, path)
    assert answer.status == 200
    assert await answer.text() == ("" if method == "HEAD" else '{"status":"ok"}')
    assert {name: answer.headers.get(name) for name in FIXED} == FIXED


async def test_s87_readyz_fails_for_each_part_and_healthz_for_none(client: TestClient, parts: Parts) -> None:
    for part, trouble in (("state", "unreachable"), ("drain", "draining")):
        setattr(parts, part, trouble)
        answer = await client.get("/readyz")
        assert (answer.status, await answer.json()) == (503, {"status": "unavailable"})
        assert {name: answer.headers.get(name) for name in FIXED} == FIXED
        verbose = await client.get("/readyz?verbose")
        checks = {"state": OK, "drain": OK, part: trouble}
        assert (verbose.status, await verbose.json()) == (503, {"status": "unavailable", "checks": checks})
        assert (await client.head("/readyz")).status == 503
        assert (await client.get("/healthz")).status == 200
        setattr(parts, part, OK)
    assert (await client.get("/readyz")).status == 200


async def test_verbose_names_each_part_when_all_is_well_too(client: TestClient) -> None:
    answer = await client.get("/readyz?verbose")
    assert await answer.json() == {"status": OK, "checks": {"state": OK, "drain": OK}}


async def test_metrics_are_what_the_scrape_gives_in_its_own_type(client: TestClient) -> None:
    answer = await client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert (answer.status, await answer.text()) == (200, "accept application/openmetrics-text")
    content_type = "text/plain; version=0.0.4; charset=utf-8"
    assert {name: answer.headers.get(name) for name in FIXED} == {**FIXED, "Content-Type": content_type}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/readyz/"),
        ("GET", "/healthz/x"),
        ("GET", "/api/token/"),
        ("POST", "/healthz"),
        ("POST", "/metrics"),
        ("GET", "/metrics/"),
        ("DELETE", "/readyz"),
        ("OPTIONS", "/healthz"),
        ("OPTIONS", "/"),
    ],
)
async def test_s87_anything_else_is_404(client: TestClient, method: str, path: str) -> None:
    answer = await client.request(method, path, headers={"User-Agent": "kube-probe/1.31"})
    assert (answer.status, await answer.json()) == (404, {"detail": "Not found.", "code": "no_route"})
    assert {name: answer.headers.get(name) for name in FIXED} == FIXED


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 404),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n", 417),
        (b"GET /x HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n\r\n", 417),
    ],
)
async def test_s87_nor_do_odd_requests_get_plain_text(client: TestClient, request_: bytes, status: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(request_)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    assert head.split(b" ")[1] == b"%d" % status
    assert b"\r\nContent-Type: application/json" in head
    assert b"\r\nServer" not in head
    assert body.startswith(b"{")
