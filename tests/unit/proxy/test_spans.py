"""What is told of exchanges that are recorded."""

from typing import Any

import pytest

from gateway.observability.tracing import Served, Trace, Tracing
from tests.unit.proxy.plane import running
from tests.unit.proxy.transports import settle
from tests.unit.proxy.wire import OK, bearer, request


class Sink:
    def __init__(self) -> None:
        self.told: list[tuple[Trace, Served]] = []

    def record(self, trace: Trace, served: Served) -> None:
        self.told.append((trace, served))


def recording(sink: Any) -> Tracing:
    return Tracing(sink, one_in=1, follows_all=True)


async def test_s86_an_exchange_is_told_without_query_and_user() -> None:
    sink = Sink()
    async with running(tracing=recording(sink)) as world:
        await world.ask(request(b"/app/x?secret", bearer(), b"user-AGENT: \tcurl/8"))
        await world.clock.turn(0.125)
        forwarded = world.forwarded()
        world.app.peer.send(OK)
        await settle()
        ((trace, served),) = sink.told
        assert b"\r\ntraceparent: %b\r\n" % trace.traceparent in forwarded
        assert (served.method, served.path, served.route, served.status) == ("GET", "/app/x", "/app", 200)
        assert (served.user_agent, served.client, served.scheme, served.protocol) == (
            "curl/8",
            "192.0.2.1",
            "http",
            "1.1",
        )
        assert (served.duration, served.is_failure, served.reason) == (0.125, False, None)
        assert served.call is not None
        assert (served.call.server, served.call.path, served.call.status, served.call.error) == (
            "app0",
            "/app/x",
            200,
            None,
        )
        (line,) = world.log_lines()
        assert line["trace_id"] == f"{trace.trace_id:032x}"


@pytest.mark.parametrize(
    ("answer", "status", "is_failure", "error"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 404, False, "404"),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", 503, True, "503"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", 200, True, "upstream_broken"),
        (b"", 502, True, "upstream_broken"),
    ],
)
async def test_whose_error_it_is(answer: bytes, status: int, is_failure: bool, error: str) -> None:
    sink = Sink()
    async with running(tracing=recording(sink)) as world:
        await world.ask(request(b"/moved/x?y", method=b"POST"))
        world.app.peer.send(answer)
        world.app.peer.leave()
        await settle()
        ((_, served),) = sink.told
        assert (served.status, served.is_failure) == (status, is_failure)
        assert served.call is not None
        assert (served.call.error, served.call.path) == (error, "/old/x")
        world.log_lines()


@pytest.mark.parametrize("target", [b"/nowhere", b"/app/x"])
async def test_without_an_upstream_there_is_no_call(target: bytes) -> None:
    sink = Sink()
    async with running(tracing=recording(sink)) as world:
        await world.ask(request(target))
        ((_, served),) = sink.told
        assert (served.call, served.user_agent) == (None, None)
        assert served.reason in ("no_route", "not_authenticated")
        world.log_lines()


async def test_a_host_that_was_refused_is_not_told() -> None:
    sink = Sink()
    async with running(tracing=recording(sink)) as world:
        await world.ask(b"GET /open/x HTTP/1.1\r\nHost: [::\r\n\r\n")
        ((_, served),) = sink.told
        assert (served.host, served.reason) == (None, "bad_host")
        world.log_lines()


async def test_the_gateways_own_application_is_no_call() -> None:
    sink = Sink()
    async with running(tracing=recording(sink)) as world:
        await world.ask(request(b"/api/token/", method=b"POST"))
        world.endpoints.peer.send(OK)
        await settle()
        ((_, served),) = sink.told
        assert (served.route, served.call) == ("obtain", None)
        world.log_lines()
