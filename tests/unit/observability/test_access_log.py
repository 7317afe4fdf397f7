"""The access log: one JSON record a line, whatever the client chose, and no secrets."""

import asyncio
import io
import itertools
import json
import select
import tracemalloc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Reason
from gateway.observability.access_log import AccessLog


class Stream(io.StringIO):
    """Says when something was written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.blocks: list[str] = []
        self.was_written = asyncio.Event()

    def write(self, text: str) -> int:
        self.writes += 1
        self.blocks.append(text)
        self.was_written.set()
        return super().write(text)

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0"


def ended(*, method: str = "GET", target: str = "/a", user_id: str | None = "1", **changes: Any) -> Any:
    """An exchange that took 12.5 ms, 11.9 of them the upstream's, and is over at the loop's 100.0."""
    usual = {
        "origin": SimpleNamespace(address="192.0.2.7"),
        "request": SimpleNamespace(method=method, target=target),
        "plan": SimpleNamespace(name="/"),
        "status": 200,
        "reason": None,
        "principal": None if user_id is None else SimpleNamespace(user_id=user_id),
        "server": SimpleNamespace(label="http://app"),
        "request_id": b"r-1",
        "traceparent": None,
        "bytes_sent": 12,
        "started_at": 99.9875,
        "sent_at": 99.988,
        "answered_at": 99.9999,
    }
    return SimpleNamespace(**usual | changes)


def tunnel(*, bytes_received: int, close_code: int) -> Any:
    return SimpleNamespace(bytes_received=bytes_received, close_code=close_code)


def log_to(stream: Any, loop: asyncio.AbstractEventLoop) -> AccessLog:
    return AccessLog(stream=stream, clock=lambda: 1_800_000_000.25, loop=loop)


@pytest.fixture
async def stream() -> Stream:
    return Stream()


@pytest.fixture
async def log(stream: Stream) -> AccessLog:
    return log_to(stream, asyncio.get_running_loop())


@pytest.fixture
def write(log: AccessLog) -> Callable[..., None]:
    return lambda over=None, **changes: log.write(ended(**changes), 100.0, over)


async def test_s86_a_record_says_who_did_what_and_how_it_went(
    log: AccessLog, stream: Stream, write: Callable[..., None]
) -> None:
    write()
    expired = Reason.TOKEN_EXPIRED
    write(status=401, reason=expired, user_id=None, server=None, answered_at=None, started_at=98.76544)
    log.flush()
    usual = {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "info",
        "logger": "gateway.access",
        "event": "request_ended",
        "client": "192.0.2.7",
        "method": "GET",
        "path": "/a",
        "route": "/",
        "status": 200,
        "bytes": 12,
        "ms": 12.5,
        "upstream": "http://app",
        "upstream_ms": 11.9,
        "user_id": "1",
        "request_id": "r-1",
    }
    nobody = {"user_id": None, "upstream": None, "upstream_ms": None}
    refused = usual | nobody | {"status": 401, "ms": 1234.6, "reason": "token_expired"}
    assert stream.records == [usual, refused]


async def test_a_websocket_tells_its_close_code_and_what_came_in(
    log: AccessLog, stream: Stream, write: Callable[..., None]
) -> None:
    write(tunnel(bytes_received=7, close_code=1000), status=101)
    write(tunnel(bytes_received=0, close_code=4401), status=101, reason=Reason.TOKEN_EXPIRED)
    log.flush()
    told = [(each["bytes_received"], each["close_code"], each.get("reason")) for each in stream.records]
    assert told == [(7, 1000, None), (0, 4401, "token_expired")]


async def test_the_trace_of_a_request_is_told(log: AccessLog, stream: Stream, write: Callable[..., None]) -> None:
    write(traceparent=TRACEPARENT + b"1", plan=None)
    write(traceparent=TRACEPARENT + b"0", reason=Reason.NO_ROUTE)
    write()
    log.flush()
    told = [(each.get("trace_id"), each["route"], each.get("reason")) for each in stream.records]
    trace = "0af7651916cd43dd8448eb211c80319c"
    assert told == [(trace, None, None), (trace, "/", "no_route"), (None, "/", None)]


async def test_s86_the_query_is_left_out(log: AccessLog, stream: Stream, write: Callable[..., None]) -> None:
    for target in ("/a?token=secret", "/a?", "/a?b?secret", "?secret"):
        write(target=target)
    log.flush()
    assert [record["path"] for record in stream.records] == ["/a", "/a", "/a", ""]
    assert "secret" not in stream.getvalue()


@pytest.mark.parametrize("text", ['/a"}\n{"status":200', "/\x1b[2J\r\u2028\x85", "/\ud800", "/é"])
async def test_s86_one_record_stays_one_line_of_ascii(
    log: AccessLog, stream: Stream, write: Callable[..., None], text: str
) -> None:
    write(target=text, method=text)
    log.flush()
    assert stream.getvalue().isascii()
    [record] = stream.records
    assert (record["path"], record["method"]) == (text, text)


async def test_s86_paths_are_bounded(log: AccessLog, stream: Stream, write: Callable[..., None]) -> None:
    write(target="/" + "x" * 8000)
    log.flush()
    assert len(stream.records[0]["path"]) == 512


async def test_s83_long_paths_are_not_remembered_whole(
    log: AccessLog, stream: Stream, write: Callable[..., None]
) -> None:
    tracemalloc.start()
    try:
        for number in range(600):
            write(target=f"/{number}" + "x" * 30_000)
        log.flush()
        stream.blocks.clear()
        stream.truncate(0)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 3 * 1024**2


async def test_lines_are_written_together_and_soon(log: AccessLog, stream: Stream, write: Callable[..., None]) -> None:
    for _ in range(10):
        write()
    assert stream.writes == 0
    await stream.was_written.wait()
    assert (stream.writes, len(stream.records)) == (1, 10)

    stream.was_written.clear()
    write()
    await stream.was_written.wait()
    assert (stream.writes, len(stream.records)) == (2, 11)


async def test_s83_pending_lines_are_bounded(log: AccessLog, stream: Stream, write: Callable[..., None]) -> None:
    for _ in range(512 + 511):
        write()
    assert len(stream.records) == 512
    log.flush()
    assert len(stream.records) == 512 + 511


async def test_blocks_are_whole_lines_and_fit_into_one_write_to_a_pipe(
    log: AccessLog, stream: Stream, write: Callable[..., None]
) -> None:
    for number in range(60):
        write(target="/" + "x" * 37 * (number % 11))
    log.flush()
    assert len(stream.records) == 60
    assert all(block.endswith("\n") and len(block) <= select.PIPE_BUF for block in stream.blocks)
    merged = [len(first) + len(second) for first, second in itertools.pairwise(stream.blocks)]
    assert min(merged) > select.PIPE_BUF, "blocks are as large as they can be"


async def test_line_that_would_not_fit_is_shortened(log: AccessLog, stream: Stream, write: Callable[..., None]) -> None:
    write(target="/" + "\ud800" * 600, user_id="\ud800" * 300, method="M" * 9000)
    log.flush()
    assert [len(block) <= select.PIPE_BUF for block in stream.blocks] == [True]
    [record] = stream.records
    assert (len(record["path"]), len(record["user_id"]), len(record["method"])) == (64, 64, 64)
    assert (record["request_id"], record["status"], record["time"]) == ("r-1", 200, "2027-01-15T08:00:00.250Z")


async def test_flushing_nothing_writes_nothing(log: AccessLog, stream: Stream) -> None:
    log.flush()
    log.flush()
    assert stream.writes == 0


class Gone(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def write(self, text: str) -> int:
        raise self._error


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "No space left"), ValueError("closed file")])
async def test_a_reader_that_went_away_costs_the_log_not_the_service(error: Exception) -> None:
    log = log_to(Gone(error), asyncio.get_running_loop())
    log.write(ended(), 100.0)
    log.flush()
    log.write(ended(), 100.0)
    log.flush()


@given(target=st.text(), method=st.text(max_size=20))
def test_s84_no_text_of_a_client_breaks_a_line(target: str, method: str) -> None:
    with asyncio.Runner() as runner:
        stream = io.StringIO()
        log = log_to(stream, runner.get_loop())
        log.write(ended(target=target, method=method), 100.0)
        log.flush()
    [line] = stream.getvalue().split("\n")[:-1]
    assert json.loads(line)["method"] == method
