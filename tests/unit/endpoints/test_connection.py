"""What aiohttp answers by itself: requests that it cannot parse never reach the application."""

import asyncio
import gzip
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import http as aiohttp_http
from aiohttp import web
from aiohttp.http_parser import HttpRequestParserPy

from gateway.endpoints.connection import Connection, require_c_parsers
from gateway.errors import GatewayError
from tests.unit.endpoints.plane import EVERY_ANSWER, Plane


@pytest.mark.parametrize(
    "request_",
    [
        b"garbage\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nBad Field: x\r\n\r\n",
        b"POST /api/token/ HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /api/token/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000 + b"\r\n\r\n",
    ],
)
def test_s84_s85_a_request_that_cannot_be_parsed(
    plane: Plane, caplog: pytest.LogCaptureFixture, request_: bytes
) -> None:
    caplog.set_level(logging.DEBUG)
    received = plane.raw(request_)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.")
    assert head.split(b" ")[1] == b"400"
    assert body == b'{"detail":"The request is not valid HTTP/1.1.","code":"bad_request"}'
    fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert {key: fields.get(key) for key in EVERY_ANSWER} == EVERY_ANSWER
    assert fields["Server"] == "gateway"
    assert not [record for record in caplog.records if record.exc_info]
    assert "request_unreadable" in caplog.text


@asynccontextmanager
async def served(handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    server = web.Server(handler)
    listener = await asyncio.get_running_loop().create_server(lambda: Connection(server), "127.0.0.1", 0)
    yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    listener.close()
    await server.shutdown(0)


async def test_s49_packed_bodies_stay_packed() -> None:
    """Also for a handler that reads one without looking at Content-Encoding."""
    packed = gzip.compress(b" " * 1_000_000)

    async def echo(request: web.BaseRequest) -> web.Response:
        return web.Response(body=await request.read())

    async with (
        served(echo) as url,
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.post(url, data=packed, headers={"Content-Encoding": "gzip"}) as answer,
    ):
        assert await answer.read() == packed


async def test_s85_an_error_behind_the_application_is_500_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(request: web.BaseRequest) -> web.Response:
        raise ValueError("a secret")

    async with served(fail) as url, aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 500
        assert (await answer.json())["code"] == "internal_error"
        assert answer.headers["Server"] == "gateway"
    assert "a secret" in caplog.text


async def test_an_answer_that_has_begun_is_cut_and_not_followed_by_another() -> None:
    async def fail(request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"begun")
        raise ValueError("too late")

    async with served(fail) as url, aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


def test_s19_the_c_parsers_are_there() -> None:
    require_c_parsers()


def test_s19_the_pure_python_parser_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aiohttp_http, "HttpRequestParser", HttpRequestParserPy)
    with pytest.raises(GatewayError, match="pure-Python HTTP parser"):
        require_c_parsers()


def test_s19_the_program_does_not_start_without_the_c_parsers() -> None:
    started = subprocess.run(
        [sys.executable, "-m", "gateway", "demo"],
        env={**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert started.returncode == 1
    assert "unset AIOHTTP_NO_EXTENSIONS" in started.stderr
    assert "Traceback" not in started.stderr
