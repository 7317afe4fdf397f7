"""What a backend sends: good answers pass as they are, bad ones become a 502 and cost their connection, cut ones are cut."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.data_plane import Plane, get, post, running_plane
from tests.integration.raw_client import CutShort, assert_refusal
from tests.integration.scripted_upstream import Link, Received, answers, answers_early, echo, plain, silent

# Upstream silence in these tests, as configured below; each wait is paid once.
RESPONSE_TIMEOUT = 0.4


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    upstream = {"response_timeout": "400ms", "read_timeout": "400ms", "connect_timeout": "300ms"}
    with running_plane(tmp_path_factory.mktemp("faults"), upstream=upstream) as plane:
        yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


OK = b"HTTP/1.1 200 OK\r\n"
BODY = b"Content-Length: 2\r\n\r\nok"

# Checklist 73; RFC 9112 §4, §5, §6.3, §7.1. An answer that two clients could cut in two ways poisons a pooled connection.
BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "half-a-head": b"HTTP/1.1 200 OK\r\nX-A: b\r\n",
    "garbage": b"\x00\x01\x02\x03 garbage\r\n\r\n",
    "text": b"Hello\r\n\r\n",
    "html-alone": b"<html>\r\n\r\n</html>",
    "http-0.9": b"<html></html>",
    "other-protocol": b"220 smtp.example.org ESMTP\r\n\r\n",
    "request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "two-lengths": OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "two-equal-lengths": OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "length-list": OK + b"Content-Length: 2, 2\r\n\r\nok",
    "length-plus": OK + b"Content-Length: +2\r\n\r\nok",
    "length-minus": OK + b"Content-Length: -2\r\n\r\nok",
    "length-hex": OK + b"Content-Length: 0x2\r\n\r\nok",
    "length-list-other": OK + b"Content-Length: 2, 3\r\n\r\nok!",
    "length-no-break-space": OK + b"Content-Length: \xa02\r\n\r\nok",
    "length-in-another-case": OK + b"Content-Length: 2\r\ncontent-length: 3\r\n\r\nok!",
    "length-quoted": OK + b'Content-Length: "2"\r\n\r\nok',
    "length-empty": OK + b"Content-Length:\r\n\r\nok",
    "length-2^64": OK + b"Content-Length: 18446744073709551618\r\n\r\nok",
    "length-and-coding": OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "coding-and-length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "coding-unknown": OK + b"Transfer-Encoding: gzip\r\n\r\nok",
    "coding-list": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "coding-twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding-empty": OK + b"Transfer-Encoding:\r\n\r\nok",
    "coding-quoted": OK + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "coding-chunked-not-last": OK + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "coding-vertical-tab": OK + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "coding-identity": OK + b"Transfer-Encoding: identity\r\n\r\nok",
    "coding-in-1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "nul-in-value": OK + b"X-A: \x00\r\n" + BODY,
    "nul-in-name": OK + b"X-\x00A: b\r\n" + BODY,
    "control-in-value": OK + b"X-A: \x08\r\n" + BODY,
    "bare-cr": OK + b"X-A: b\rSet-Cookie: x=y\r\n" + BODY,
    "bare-lf": OK + b"X-A: b\nSet-Cookie: x=y\r\n" + BODY,
    "lf-only": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "bare-cr-in-status": b"HTTP/1.1 200 OK\rX-A: b\r\n" + BODY,
    "nul-in-status": b"HTTP/1.1 200 O\x00K\r\n" + BODY,
    "obs-fold": OK + b"X-A: b\r\n c\r\n" + BODY,
    "obs-fold-first": OK + b" X-A: b\r\n" + BODY,
    "blank-before-colon": OK + b"Content-Length : 2\r\n\r\nok",
    "name-empty": OK + b": b\r\n" + BODY,
    "name-blank": OK + b"X A: b\r\n" + BODY,
    "no-colon": OK + b"X-A\r\n" + BODY,
    "empty-line-first": b"\r\n" + OK + BODY,
    "lf-first": b"\n" + OK + BODY,
    "byte-order-mark-first": b"\xef\xbb\xbf" + OK + BODY,
    "status-no-blank": b"HTTP/1.1 200OK\r\n" + BODY,
    "status-two-blanks": b"HTTP/1.1  200 OK\r\n" + BODY,
    "status-tab": b"HTTP/1.1\t200\tOK\r\n" + BODY,
    "status-plus": b"HTTP/1.1 +20 OK\r\n" + BODY,
    "status-fullwidth": b"HTTP/1.1 \xef\xbc\x9200 OK\r\n" + BODY,
    "status-two-digits": b"HTTP/1.1 20 OK\r\n" + BODY,
    "status-four-digits": b"HTTP/1.1 2000 OK\r\n" + BODY,
    "status-word": b"HTTP/1.1 OK\r\n" + BODY,
    "status-below-100": b"HTTP/1.1 099 Odd\r\n" + BODY,
    "status-zero": b"HTTP/1.1 000 Odd\r\n" + BODY,
    "version-2": b"HTTP/2.0 200 OK\r\n" + BODY,
    "version-0.9": b"HTTP/0.9 200 OK\r\n" + BODY,
    "version-two-digits": b"HTTP/1.10 200 OK\r\n" + BODY,
    "version-icy": b"ICY 200 OK\r\n" + BODY,
    "version-lower-case": b"http/1.1 200 OK\r\n" + BODY,
    "switch-unasked": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    "switch-unasked-with-body": b"HTTP/1.1 101 Switching Protocols\r\n" + BODY,
    "switch-after-hints": b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n",
    "huge-head": OK + b"X-A: " + b"b" * 100_000 + b"\r\n" + BODY,
    "head-without-end": OK + b"X-A: b\r\n" * 20_000,
    "continue-flood": b"HTTP/1.1 100 Continue\r\n\r\n" * 16 + OK + BODY,
    "interim-alone": b"HTTP/1.1 100 Continue\r\n\r\n",
}
# How a row's connection ends when the answer does not end by itself.
ENDLESS = {"nothing", "half-a-head", "http-0.9", "lf-only", "interim-alone"}


@pytest.mark.parametrize("name", BROKEN, ids=lambda name: "s73-" + name)
def test_broken_answer_is_a_502_and_costs_its_connection(plane: Plane, name: str) -> None:
    end = "half-close" if name in ENDLESS else "keep"
    plane.upstream.play(answers(BROKEN[name], end=end))
    with plane.connect() as client:
        client.send(get("/public/x"))
        answer = client.read()
        assert_refusal(answer, 502, "upstream_broken")
        assert [interim.status for interim in answer.interim] in ([], [103])
        plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0)
        # The client is not to blame: its connection goes on.
        plane.upstream.play(echo)
        client.send(get("/public/after"))
        assert client.read().body == b"/public/after"


@pytest.mark.parametrize("name", ["two-lengths", "coding-and-length", "bare-lf", "obs-fold", "lf-only", "status-word"])
def test_s73_broken_answer_byte_by_byte(plane: Plane, name: str) -> None:
    async def drip(link: Link, received: Received) -> None:
        for byte in BROKEN[name]:
            await link.send(bytes([byte]))
        link.half_close()

    plane.upstream.play(drip)
    assert_refusal(plane.ask(get("/public/x")), 502, "upstream_broken")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Good:
    """What the client gets of an answer; `stays`: the upstream connection may be used again."""

    raw: bytes
    status: int = 200
    body: bytes = b"ok"
    ended: str = "length"
    method: str = "GET"
    end: str = "keep"
    stays: bool = True
    length: str | None = None
    interim: tuple[int, ...] = ()


_CODED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
GOOD: dict[str, Good] = {
    "length": Good(raw=OK + BODY),
    "length-zero": Good(raw=OK + b"Content-Length: 0\r\n\r\n", body=b""),
    "no-reason": Good(raw=b"HTTP/1.1 200 \r\n" + BODY),
    "no-blank-behind-status": Good(raw=b"HTTP/1.1 200\r\n" + BODY),
    "reason-not-ascii": Good(raw=b"HTTP/1.1 200 D\xe9j\xe0\r\n" + BODY),
    "rfc9112-7.1-chunks": Good(raw=_CODED + b"1\r\no\r\n1;a=b\r\nk\r\n0\r\n\r\n", ended="chunks"),
    "s16-trailers-dropped": Good(raw=_CODED + b"2\r\nok\r\n0\r\nSet-Cookie: a=b\r\n\r\n", ended="chunks"),
    "rfc9112-6.3-to-the-end": Good(raw=OK + b"\r\nok", ended="chunks", end="half-close", stays=False),
    "1.0": Good(raw=b"HTTP/1.0 200 OK\r\n\r\nok", ended="chunks", end="half-close", stays=False),
    "1.0-length": Good(raw=b"HTTP/1.0 200 OK\r\n" + BODY, stays=False),
    "1.0-keep-alive": Good(raw=b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + BODY),
    "close": Good(raw=OK + b"Connection: close\r\n" + BODY, stays=False),
    "rfc9110-15.2-continue-unasked": Good(raw=b"HTTP/1.1 100 Continue\r\n\r\n" + OK + BODY),
    "continue-unasked-often": Good(raw=b"HTTP/1.1 100 Continue\r\n\r\n" * 15 + OK + BODY),
    "rfc8297-hints": Good(raw=b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK + BODY, interim=(103,)),
    "rfc2518-processing": Good(raw=b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + OK + BODY, interim=(102, 102, 102)),
    "204": Good(raw=b"HTTP/1.1 204 No Content\r\n\r\n", status=204, body=b"", ended="head"),
    "rfc9110-8.6-204-with-length": Good(
        raw=b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", status=204, body=b"", ended="head"
    ),
    "204-with-coding": Good(
        raw=b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", status=204, body=b"", ended="head"
    ),
    "204-with-body": Good(raw=b"HTTP/1.1 204 No Content\r\n" + BODY, status=204, body=b"", ended="head", stays=False),
    "304-with-length": Good(
        raw=b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", status=304, body=b"", ended="head", length="2"
    ),
    "304-with-coding": Good(
        raw=b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", status=304, body=b"", ended="head"
    ),
    "304-with-body": Good(
        raw=b"HTTP/1.1 304 Not Modified\r\n" + BODY, status=304, body=b"", ended="head", length="2", stays=False
    ),
    "rfc9112-6.3-interim-with-length": Good(
        raw=b"HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\n" + OK + BODY, interim=(103,)
    ),
    "rfc9110-15-status-of-no-class": Good(raw=b"HTTP/1.1 799 Odd\r\n" + BODY, status=799),
    "head-with-length": Good(raw=OK + b"Content-Length: 2\r\n\r\n", method="HEAD", body=b"", ended="head", length="2"),
    "head-without-length": Good(raw=OK + b"\r\n", method="HEAD", body=b"", ended="head"),
    "head-with-coding": Good(raw=_CODED, method="HEAD", body=b"", ended="head"),
    "head-with-body": Good(raw=OK + BODY, method="HEAD", body=b"", ended="head", length="2", stays=False),
    "s74-bytes-behind": Good(raw=OK + BODY + b"HTTP/1.1 200 OK\r\n", stays=False),
    "s74-answer-behind": Good(raw=OK + BODY + OK + BODY, stays=False),
    "401": Good(raw=b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n" + BODY, status=401),
    "500": Good(raw=b"HTTP/1.1 500 Oh\r\n" + BODY, status=500),
    "redirect": Good(raw=b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n" + BODY, status=302),
}


@pytest.mark.parametrize("case", GOOD.values(), ids=GOOD.keys())
def test_good_answer_passes(plane: Plane, case: Good) -> None:
    plane.upstream.play(answers(case.raw, end=case.end))
    with plane.connect() as client:
        client.send(get("/public/x", method=case.method))
        answer = client.read(case.method)
        assert (answer.status, answer.body, answer.ended) == (case.status, case.body, case.ended)
        if case.ended == "head":
            assert answer.field("content-length") == case.length
        assert tuple(interim.status for interim in answer.interim) == case.interim
        plane.upstream.play(echo)
        client.send(get("/public/after"))
        assert client.read().body == b"/public/after"
    assert plane.upstream.targets() == ["/public/x", "/public/after"]
    assert plane.upstream.requests[-1].link == (0 if case.stays else 1)


@pytest.mark.parametrize(
    "name", ["rfc9112-7.1-chunks", "rfc9112-6.3-to-the-end", "1.0", "rfc8297-hints", "204", "1.0-length"]
)
def test_good_answer_to_http10_ends_with_the_connection_or_by_length(plane: Plane, name: str) -> None:
    case = GOOD[name]
    plane.upstream.play(answers(case.raw, end=case.end))
    with plane.connect() as client:
        client.send(get("/public/x", b"Connection: keep-alive", version="HTTP/1.0"))
        answer = client.read()
        assert (answer.status, answer.body, answer.interim) == (case.status, case.body, ())
        assert answer.ended == {"chunks": "close"}.get(case.ended, case.ended)
        assert answer.field("connection") == ("close" if answer.ended == "close" else "keep-alive")


def test_good_answer_byte_by_byte_and_at_every_split(plane: Plane) -> None:
    raw = b"HTTP/1.1 103 Early Hints\r\n\r\n" + _CODED + b"5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-A: b\r\n\r\n"

    async def in_pieces(link: Link, received: Received) -> None:
        cut = int(received.target.rpartition("/")[2])
        pieces = [raw[:cut], raw[cut:]] if cut else [bytes([byte]) for byte in raw]
        for piece in pieces:
            await link.send(piece)

    plane.upstream.play(in_pieces)
    with plane.connect() as client:
        for cut in range(len(raw)):
            client.send(get(f"/public/{cut}"))
            assert client.read().body == b"hello!"


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        ([b"Connection: x-a", b"X-A: 1", b"X-B: 2"], ["x-b"]),
        ([b"Connection: x-a", b"Connection: x-b", b"X-A: 1", b"X-B: 2"], []),
        ([b"Connection: close, x-a", b"X-A: 1", b"X-B: 2"], ["x-b"]),
        ([b"Keep-Alive: timeout=5", b"Proxy-Connection: close", b"Upgrade: h2c", b"Trailer: X-A", b"X-B: 2"], ["x-b"]),
    ],
)
def test_rfc9110_7_6_1_hop_by_hop_fields_of_the_answer_end_here(
    plane: Plane, lines: list[bytes], kept: list[str]
) -> None:
    plane.upstream.play(answers(plain(b"ok", *lines)))
    answer = plane.ask(get("/public/x"))
    assert [name for name, _ in answer.fields if name not in ("x-request-id", "content-length")] == kept


def test_s76_content_encoding_passes_untouched(plane: Plane) -> None:
    packed = b"\x1f\x8b\x08 no gzip at all"
    plane.upstream.play(answers(plain(packed, b"Content-Encoding: gzip", b"Set-Cookie: a=b", b"Set-Cookie: c=d")))
    answer = plane.ask(post("/public/x", packed, b"Content-Encoding: gzip", b"Accept-Encoding: br"))
    assert (answer.body, answer.field("content-encoding")) == (packed, "gzip")
    assert answer.values("set-cookie") == ["a=b", "c=d"]
    received = plane.upstream.only()
    assert (received.body, received.values("content-encoding")) == (packed, ["gzip"])
    assert received.values("accept-encoding") == ["br"]


# Checklist 72: half an answer looks like half an answer.
CUT: dict[str, tuple[bytes, str]] = {
    "length": (OK + b"Content-Length: 9\r\n\r\nhalf", "close"),
    "length-half-close": (OK + b"Content-Length: 9\r\n\r\nhalf", "half-close"),
    "length-reset": (OK + b"Content-Length: 9\r\n\r\nhalf", "reset"),
    "chunks": (_CODED + b"4\r\nhalf\r\n", "close"),
    "chunks-inside": (_CODED + b"9\r\nhalf", "close"),
    "chunks-before-the-last-line": (_CODED + b"4\r\nhalf\r\n0\r\n", "close"),
    "chunks-reset": (_CODED + b"4\r\nhalf\r\n", "reset"),
    "chunks-bad-size": (_CODED + b"4\r\nhalf\r\n0x4\r\nmore\r\n0\r\n\r\n", "keep"),
    "chunks-bad-end": (_CODED + b"4\r\nhalf!\r\n0\r\n\r\n", "keep"),
    "chunks-bare-lf": (_CODED + b"4\r\nhalf\n0\r\n\r\n", "keep"),
    "chunks-bad-trailer": (_CODED + b"4\r\nhalf\r\n0\r\nX A\r\n\r\n", "keep"),
    "to-the-end-reset": (OK + b"\r\nhalf", "reset"),
    "stalled-length": (OK + b"Content-Length: 9\r\n\r\nhalf", "stall"),
    "stalled-chunks": (_CODED + b"4\r\nhalf\r\n", "stall"),
}


@pytest.mark.parametrize(("raw", "end"), CUT.values(), ids=[f"s72-{name}" for name in CUT])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_cut_answer_is_cut_for_the_client(plane: Plane, raw: bytes, end: str, version: str) -> None:
    head, _, body = raw.partition(b"\r\n\r\n")

    async def in_two_parts(link: Link, received: Received) -> None:
        # In two parts, so that the head has gone on to the client when the rest turns out to be bad.
        await link.send(head + b"\r\n\r\n")
        await asyncio.sleep(0.01)
        await answers(body, end=end)(link, received)

    plane.upstream.play(in_two_parts)
    with plane.connect() as client:
        client.send(get("/public/x", version=version))
        with pytest.raises(CutShort) as cut:
            client.read()
        assert (cut.value.status, b"half".startswith(cut.value.body)) == (200, True)
    plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0)


@pytest.mark.parametrize("name", ["length", "length-reset", "chunks", "stalled-chunks"])
def test_s72_cut_answer_leaves_what_came_before_it_whole(plane: Plane, name: str) -> None:
    """A client that has not read on yet when its second answer is cut: a reset would destroy what waits for it."""
    raw, end = CUT[name]
    whole = b"x" * 40_000  # more than the client's socket takes, less than makes the gateway wait

    async def cut_the_second(link: Link, received: Received) -> None:
        await answers(plain(whole) if received.target == "/public/1" else raw)(link, received)
        if received.target == "/public/2":
            await asyncio.sleep(0.05)
            await answers(b"", end=end)(link, received)

    plane.upstream.play(cut_the_second)
    with plane.connect(receive_buffer=4096) as client:
        client.send(get("/public/1") + get("/public/2"))
        plane.upstream.wait_until(lambda: len(plane.upstream.requests) == 2)
        plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0)
        assert client.read().body == whole
        with pytest.raises(CutShort) as cut:
            client.read()
        assert (cut.value.status, cut.value.body) == (200, b"half")


def test_s82_silence_is_a_504(plane: Plane) -> None:
    plane.upstream.play(silent)
    with plane.connect() as client:
        client.send(post("/public/x", b"body"))
        begun = time.monotonic()
        assert_refusal(client.read(), 504, "upstream_timeout")
        assert RESPONSE_TIMEOUT * 0.9 < time.monotonic() - begun < RESPONSE_TIMEOUT + 0.5
        plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0)
        plane.upstream.play(echo)
        client.send(get("/public/after"))
        assert client.read().body == b"/public/after"


def test_s82_silence_inside_a_head_is_a_504(plane: Plane) -> None:
    plane.upstream.play(answers(OK + b"X-A: b", end="stall"))
    assert_refusal(plane.ask(get("/public/x")), 504, "upstream_timeout")


def test_slow_answer_that_goes_on_is_no_timeout(plane: Plane) -> None:
    async def slow(link: Link, received: Received) -> None:
        for byte in OK + b"Content-Length: 6\r\n\r\n":
            await link.send(bytes([byte]))
        for byte in b"slowly":
            await asyncio.sleep(RESPONSE_TIMEOUT / 4)
            await link.send(bytes([byte]))

    plane.upstream.play(slow)
    assert plane.ask(get("/public/x")).body == b"slowly"


def test_refusal_of_the_gateway_names_no_upstream(plane: Plane) -> None:
    """Checklist 85."""
    plane.upstream.play(answers(BROKEN["garbage"]))
    answer = plane.ask(get("/public/x"))
    for secret in ("127.0.0.1", str(plane.upstream.port), "main", "aiohttp", "python", "gateway/"):
        assert secret not in repr(answer).lower()


# Whatever an upstream sends, the client gets a whole valid answer, a 502, or a cut.


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    row=st.sampled_from([*BROKEN.values(), *(case.raw for case in GOOD.values()), *(raw for raw, _ in CUT.values())]),
    at=st.integers(0, 300),
    new=st.binary(max_size=4),
)
def test_s84_no_answer_confuses_the_gateway(plane: Plane, row: bytes, at: int, new: bytes) -> None:
    at %= len(row) + 1
    plane.upstream.play(answers(row[:at] + new + row[at:], end="half-close"))
    with plane.connect() as client, contextlib.suppress(CutShort):
        client.send(get("/public/x"))
        answer = client.read()
        if answer.status == 502 and answer.field("cache-control"):
            assert_refusal(answer, 502, "upstream_broken")
    plane.upstream.play(echo)
    assert plane.ask(get("/public/after")).body == b"/public/after"


def test_early_answer_ends_the_connection(plane: Plane) -> None:
    """RFC 9112 §9.3: what is still to come of the body cannot be told from a request by anybody behind us."""
    plane.upstream.play(answers_early(plain(b"early", status=b"413 Content Too Large")))
    with plane.connect() as client:
        client.send(get("/public/x", b"Content-Length: 1000", method="POST") + b"x" * 10)
        answer = client.read()
        assert (answer.status, answer.body, answer.field("connection")) == (413, b"early", "close")
        client.send(b"x" * 990 + get("/public/smuggled"))
        client.finish_sending()
        assert client.rest() == b""
    plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0)
    assert plane.upstream.targets() == ["/public/x"]
