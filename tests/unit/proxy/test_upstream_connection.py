"""Responses, cut out of whatever bytes an upstream sends, wherever it stops and whatever comes behind."""

import logging
from collections.abc import Callable

import pytest

from gateway.errors import Reason, Refused
from gateway.http.bodies import Body
from gateway.http.fields import ResponseFieldUses
from gateway.http.responses import Response, ResponseReader
from gateway.proxy.upstream_connection import MAX_RESPONSE_HEAD_BYTES, UpstreamConnection
from tests.unit.http.pieces import cuts
from tests.unit.proxy.transports import HIGH_WATER, Peer, connect, settle

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: t\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nhello"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


class Owner:
    """The server of a connection; `heard` is what it was told, in order."""

    def __init__(self) -> None:
        self.is_suspect = False
        self.heard: list[str] = []

    def on_answer(self) -> None:
        self.heard.append("answer")

    def on_idle(self, connection: UpstreamConnection) -> None:
        self.heard.append("idle")

    def on_closed(self, connection: UpstreamConnection) -> None:
        self.heard.append("closed")

    def on_request_failed(self, connection: UpstreamConnection, reason: Reason, since: float) -> None:
        raise AssertionError("An exchange tells that, not its connection.")


class Switched:
    """Who takes the bytes after a 101."""

    def __init__(self) -> None:
        self.received = b""
        self.heard: list[str] = []
        self.holds_open = True

    def start(self, data: bytes) -> None:
        self.heard.append("start")
        self.received += data

    def on_upstream_bytes(self, data: bytes) -> None:
        if data == b"defect":
            raise RuntimeError
        self.received += data

    def on_upstream_eof(self) -> bool:
        self.heard.append("eof")
        return self.holds_open

    def on_upstream_gone(self, reason: Reason) -> None:
        self.heard.append(reason)

    def on_upstream_writable(self, *, is_writable: bool) -> None:
        self.heard.append("writable" if is_writable else "full")


class Waiting:
    """Who waits for a response: `outcome` is `end` or the reason of the failure, and comes once."""

    def __init__(self, method: str = "GET") -> None:
        self.request_method = method
        self.is_request_sent = True
        self.tunnel: Switched | None = None
        self.link: Link | None = None  # to be given up with the next head
        self.defect = ""
        self.interim: list[int] = []
        self.status = 0
        self.payload = b""
        self.outcome: Reason | str = ""
        self.writable: list[bool] = []

    def _raise_at(self, place: str) -> None:
        if self.defect == place:
            raise RuntimeError(place)

    def on_interim_response(self, response: Response) -> None:
        assert not self.status
        self.interim.append(response.status)
        self._raise_at("interim")

    def on_switch(self, response: Response) -> Switched | None:
        if self.link is not None:
            self.link.connection.close()
            return None
        if self.tunnel is None:
            raise Refused(Reason.UPSTREAM_BROKEN)
        return self.tunnel

    def on_response_head(self, response: Response, body: Body, payload: bytes) -> None:
        assert not self.status
        if self.link is not None:
            self.link.connection.close()
        self._raise_at("head")
        self.status = response.status
        self.payload += payload

    def on_response_body(self, payload: bytes) -> None:
        assert payload
        assert self.status
        self._raise_at("body")
        self.payload += payload

    def on_response_end(self) -> None:
        assert not self.outcome
        self.outcome = "end"

    def on_upstream_failed(self, reason: Reason) -> None:
        assert not self.outcome
        self.outcome = reason

    def on_upstream_writable(self, *, is_writable: bool) -> None:
        self.writable.append(is_writable)


class Link:
    """A connection that has just been opened, and its backend."""

    def __init__(self) -> None:
        self.owner = Owner()
        self.connection = UpstreamConnection(owner=self.owner, reader=ResponseReader(uses=ResponseFieldUses()))
        self.backend: Peer = connect(self.connection)

    def ask(self, method: str = "GET") -> Waiting:
        waiting = Waiting(method)
        self.connection.begin(waiting, REQUEST)
        assert self.backend.read() == REQUEST
        return waiting

    @property
    def is_kept(self) -> bool:
        return self.connection.is_available and self.owner.heard[-1:] == ["idle"]

    @property
    def is_thrown_away(self) -> bool:
        return not self.connection.is_available and self.owner.heard.count("closed") == 1


# Where a response ends.

RESPONSES = [
    pytest.param("GET", LENGTH, b"hello", id="length"),
    pytest.param("GET", CHUNKED, b"hello", id="chunked"),
    pytest.param("GET", EMPTY, b"", id="204"),
    pytest.param("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"", id="304"),
    pytest.param("HEAD", LENGTH[:-5], b"", id="HEAD"),
    pytest.param("HEAD", CHUNKED[: CHUNKED.find(b"3\r\n")], b"", id="HEAD-chunked"),
    pytest.param("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", id="empty"),
    pytest.param("GET", HINTS + CONTINUE + HINTS + LENGTH, b"hello", id="interim"),
]


@pytest.mark.parametrize(("method", "raw", "payload"), RESPONSES)
async def test_a_response_is_the_same_wherever_its_bytes_are_cut(method: str, raw: bytes, payload: bytes) -> None:
    for pieces in cuts(raw):
        link = Link()
        waiting = link.ask(method)
        assert repr(link.connection) == "<UpstreamConnection busy>"
        link.backend.send(*pieces[:-1])
        assert waiting.outcome == ""
        link.backend.send(pieces[-1])
        assert (waiting.outcome, waiting.payload) == ("end", payload)
        assert waiting.interim == [103] * raw.count(HINTS)
        assert link.is_kept
        assert repr(link.connection) == "<UpstreamConnection idle>"


async def test_what_ends_with_its_connection_is_the_same_wherever_its_bytes_are_cut() -> None:
    for pieces in cuts(UNTIL_CLOSE):
        link = Link()
        waiting = link.ask()
        link.backend.send(*pieces)
        assert waiting.outcome == ""
        link.backend.send_eof()
        assert (waiting.outcome, waiting.payload) == ("end", b"hello")
        assert link.is_thrown_away


@pytest.mark.parametrize("raw", [LENGTH, CHUNKED, HINTS + LENGTH])
@pytest.mark.parametrize("end", [Peer.send_eof, Peer.leave])
async def test_s72_a_response_that_is_cut_is_no_response(raw: bytes, end: Callable[[Peer], None]) -> None:
    for at in range(len(raw)):
        link = Link()
        waiting = link.ask()
        if at:
            link.backend.send(raw[:at])
        end(link.backend)
        await settle()
        assert waiting.outcome is Reason.UPSTREAM_BROKEN
        assert link.connection.has_answered is (at > 0)
        assert link.is_thrown_away
        assert repr(link.connection) == "<UpstreamConnection closed>"


async def test_s72_a_reset_does_not_end_what_ends_with_its_connection() -> None:
    link = Link()
    waiting = link.ask()
    link.backend.send(UNTIL_CLOSE)
    link.backend.leave()
    await settle()
    assert waiting.outcome is Reason.UPSTREAM_BROKEN


# Whether another request may follow.


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        LENGTH + b"x",
        CHUNKED + b"x",
        EMPTY + b"x",
        LENGTH + LENGTH,
    ],
)
async def test_s74_a_connection_that_says_close_or_more_than_was_asked_is_thrown_away(raw: bytes) -> None:
    link = Link()
    waiting = link.ask()
    link.backend.send(raw)
    assert waiting.outcome == "end"
    assert waiting.payload in (b"", b"hello")
    assert link.is_thrown_away
    assert link.backend.ended == "cut"


async def test_http_10_may_ask_to_be_kept() -> None:
    link = Link()
    link.ask()
    link.backend.send(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")
    assert link.is_kept


async def test_s15_a_request_that_was_not_sent_whole_takes_its_connection_with_it() -> None:
    link = Link()
    waiting = link.ask()
    waiting.is_request_sent = False
    link.backend.send(LENGTH)
    assert waiting.outcome == "end"
    assert link.is_thrown_away


@pytest.mark.parametrize("unasked", [b"x", LENGTH, HINTS])
async def test_s74_an_idle_connection_that_speaks_is_thrown_away(unasked: bytes) -> None:
    for was_used in (False, True):
        link = Link()
        if was_used:
            link.ask()
            link.backend.send(LENGTH)
        link.backend.send(unasked)
        assert link.is_thrown_away
        await settle()
        assert link.owner.heard.count("closed") == 1


@pytest.mark.parametrize("end", [Peer.send_eof, Peer.leave])
async def test_an_idle_connection_that_ends_is_no_more(end: Callable[[Peer], None]) -> None:
    link = Link()
    link.ask()
    link.backend.send(LENGTH)
    end(link.backend)
    assert not link.connection.is_available
    await settle()
    assert link.is_thrown_away


async def test_each_exchange_begins_anew() -> None:
    link = Link()
    assert not link.connection.was_pooled
    first = link.ask()
    assert not link.connection.has_answered
    link.backend.send(LENGTH)
    assert first.outcome == "end"
    second = link.ask()
    assert link.connection.was_pooled
    assert not link.connection.has_answered
    link.backend.send(CHUNKED[:3], CHUNKED[3:])
    assert (second.outcome, second.payload) == ("end", b"hello")
    assert link.owner.heard == ["idle", "idle"]


async def test_who_begins_on_a_connection_that_has_ended_is_told_as_if_it_ended_now() -> None:
    for end in (Peer.leave, Peer.send_eof):
        link = Link()
        end(link.backend)
        waiting = Waiting()
        link.connection.begin(waiting, REQUEST)
        assert waiting.outcome is Reason.UPSTREAM_BROKEN
        link.connection.write(b"more")  # of a body: nothing happens
        await settle()
        assert link.is_thrown_away


# What is no response.


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        CONTINUE + b"nonsense\r\n\r\n",
        SWITCH,
        HINTS + SWITCH,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_RESPONSE_HEAD_BYTES,
    ],
)
async def test_s73_what_cannot_be_read_takes_its_connection_with_it(raw: bytes) -> None:
    link = Link()
    waiting = link.ask()
    link.backend.send(raw)
    assert waiting.outcome is Reason.UPSTREAM_BROKEN
    assert (waiting.status, waiting.payload) == (0, b"")
    assert link.is_thrown_away


async def test_s73_what_goes_wrong_inside_a_body_fails_after_the_head() -> None:
    link = Link()
    waiting = link.ask()
    link.backend.send(CHUNKED[: CHUNKED.find(b"2;x")], b"zz\r\n")
    assert (waiting.status, waiting.payload, waiting.outcome) == (200, b"hel", Reason.UPSTREAM_BROKEN)


async def test_s73_interim_answers_do_not_come_without_end() -> None:
    link = Link()
    waiting = link.ask()
    link.backend.send(HINTS * 15 + LENGTH)
    assert (waiting.outcome, len(waiting.interim)) == ("end", 15)
    waiting = link.ask()
    link.backend.send(HINTS * 1000)
    assert waiting.outcome is Reason.UPSTREAM_BROKEN
    assert len(waiting.interim) < 100
    assert link.is_thrown_away


async def test_a_head_may_be_as_large_as_the_bound() -> None:
    for excess in (0, 1):
        link = Link()
        waiting = link.ask("HEAD")
        start, end = b"HTTP/1.1 200 OK\r\nX: ", b"\r\n\r\n"
        head = start + b"x" * (MAX_RESPONSE_HEAD_BYTES + excess - len(start) - len(end)) + end
        link.backend.send(head[:1000], head[1000:])
        assert waiting.outcome == (Reason.UPSTREAM_BROKEN if excess else "end")


@pytest.mark.parametrize("raw", [LENGTH, CHUNKED])
async def test_who_gives_a_response_up_hears_no_more_of_it(raw: bytes) -> None:
    link = Link()
    waiting = link.ask()
    waiting.link = link
    link.backend.send(raw)
    await settle()
    assert (waiting.status, waiting.outcome) == (200, "")
    assert link.is_thrown_away


# Another protocol.


async def test_after_a_101_the_bytes_are_the_tunnels() -> None:
    for pieces in cuts(HINTS + SWITCH):
        link = Link()
        waiting = link.ask()
        waiting.tunnel = tunnel = Switched()
        link.backend.send(*pieces[:-1], pieces[-1] + b"be", b"hind")
        assert (tunnel.received, tunnel.heard) == (b"behind", ["start"])
        assert (waiting.status, waiting.outcome) == (0, "")
        assert link.owner.heard == []
        link.connection.write(b"up")
        assert link.backend.read() == b"up"


async def switched() -> tuple[Link, Switched]:
    link = Link()
    waiting = link.ask()
    waiting.tunnel = tunnel = Switched()
    link.backend.send(SWITCH)
    tunnel.heard.clear()
    return link, tunnel


@pytest.mark.parametrize("holds_open", [True, False])
async def test_a_tunnel_may_go_on_after_one_half_has_ended(holds_open: bool) -> None:
    link, tunnel = await switched()
    tunnel.holds_open = holds_open
    link.backend.send_eof()
    await settle()
    assert link.connection.is_available is holds_open
    assert tunnel.heard == (["eof"] if holds_open else ["eof", Reason.UPSTREAM_BROKEN])


async def test_halves_of_a_tunnel_end_by_themselves() -> None:
    link, tunnel = await switched()
    link.connection.write(b"last")
    assert link.connection.write_eof()
    assert link.backend.has_eof
    link.backend.send(b"still")
    assert (link.backend.received, tunnel.received) == (b"last", b"still")


async def test_a_tunnel_hears_of_the_end_once() -> None:
    link, tunnel = await switched()
    link.backend.leave()
    await settle()
    assert tunnel.heard == [Reason.UPSTREAM_BROKEN]
    assert link.is_thrown_away
    assert not link.connection.write_eof()
    link.connection.finish()
    await settle()
    assert link.owner.heard == ["closed"]


@pytest.mark.parametrize(("end", "ended"), [(UpstreamConnection.finish, "closed"), (UpstreamConnection.close, "cut")])
async def test_a_tunnel_that_ends_its_connection_hears_nothing_more(
    end: Callable[[UpstreamConnection], None], ended: str
) -> None:
    link, tunnel = await switched()
    link.connection.write(b"last")
    end(link.connection)
    await settle()
    assert (link.backend.received, link.backend.ended, tunnel.heard) == (b"last", ended, [])
    assert link.is_thrown_away


async def test_a_101_may_be_declined_by_who_asked_for_it() -> None:
    link = Link()
    waiting = link.ask()
    waiting.link = link
    link.backend.send(SWITCH + b"behind")
    await settle()
    assert (waiting.status, waiting.outcome) == (0, "")
    assert link.is_thrown_away


# Flow.


async def test_s75_who_waits_is_told_when_the_upstream_takes_no_more() -> None:
    link = Link()
    waiting = link.ask()
    link.backend.stop_taking()
    link.connection.write(b"x" * (HIGH_WATER + 1))
    assert waiting.writable == [False]
    link.backend.take()
    assert waiting.writable == [False, True]


async def test_s75_a_tunnel_is_told_when_the_upstream_takes_no_more() -> None:
    link, tunnel = await switched()
    link.backend.stop_taking()
    link.connection.write(b"x" * (HIGH_WATER + 1))
    link.backend.take()
    assert tunnel.heard == ["full", "writable"]


async def test_with_nobody_to_tell_it_nothing_is_told() -> None:
    link = Link()
    link.connection.pause_writing()
    link.connection.resume_writing()
    assert link.connection.is_available


async def test_s75_reading_stops_and_goes_on_however_often_it_is_asked_for() -> None:
    link = Link()
    waiting = link.ask()
    link.connection.pause_reading()
    link.connection.pause_reading()
    link.backend.send(LENGTH)
    assert waiting.status == 0
    link.connection.resume_reading()
    link.connection.resume_reading()
    await settle()
    assert waiting.outcome == "end"


async def test_a_connection_is_read_again_before_it_is_given_back() -> None:
    link = Link()
    waiting = link.ask()
    link.backend.send(LENGTH[:-1])
    link.connection.pause_reading()
    link.connection.data_received(LENGTH[-1:])  # TLS has taken it off the wire already
    assert waiting.outcome == "end"
    assert link.backend.is_read


async def test_reading_of_what_has_ended_is_nobodys_business() -> None:
    link = Link()
    link.connection.pause_reading()
    link.connection.close()
    link.connection.resume_reading()
    link.connection.pause_reading()
    await settle()
    assert link.is_thrown_away


# Its owner, and the end.


@pytest.mark.parametrize(("raw", "heard"), [(HINTS, []), (LENGTH[:-1], ["answer"]), (b"nonsense\r\n\r\n", ["closed"])])
async def test_a_suspect_hears_of_its_answer_with_the_head(raw: bytes, heard: list[str]) -> None:
    link = Link()
    link.owner.is_suspect = True
    link.ask()
    link.backend.send(raw)
    assert link.owner.heard == heard


async def test_for_a_suspect_a_101_is_an_answer() -> None:
    link = Link()
    link.owner.is_suspect = True
    waiting = link.ask()
    link.backend.send(SWITCH)
    assert link.owner.heard == ["closed"]
    link = Link()
    link.owner.is_suspect = True
    waiting = link.ask()
    waiting.tunnel = Switched()
    link.backend.send(SWITCH)
    assert link.owner.heard == ["answer"]


async def test_s13_what_is_unsent_does_not_reach_an_upstream_that_is_given_up() -> None:
    link = Link()
    waiting = link.ask()
    link.backend.stop_taking()
    link.connection.write(b"half a body")
    link.connection.close()
    link.connection.close()
    await settle()
    assert (link.backend.received, link.backend.ended) == (b"", "cut")
    assert waiting.outcome == ""
    assert link.owner.heard == ["closed"]


# Defects (checklist 84).


@pytest.mark.parametrize("place", ["interim", "head", "body"])
async def test_s84_a_defect_on_the_way_of_a_response_is_logged_and_ends_it(
    place: str, caplog: pytest.LogCaptureFixture
) -> None:
    link = Link()
    waiting = link.ask()
    waiting.defect = place
    link.backend.send(HINTS + LENGTH[:-1], LENGTH[-1:])
    assert waiting.outcome is Reason.INTERNAL_ERROR
    assert link.is_thrown_away
    await settle()
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(logging.ERROR, "response_failed")]
    assert caplog.records[0].exc_info is not None


async def test_s84_a_defect_of_a_tunnel_is_logged_and_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    link, tunnel = await switched()
    link.backend.send(b"defect")
    await settle()
    assert tunnel.heard == [Reason.INTERNAL_ERROR]
    assert link.is_thrown_away
    assert [record.getMessage() for record in caplog.records] == ["response_failed"]
