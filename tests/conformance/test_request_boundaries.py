"""Where one request ends and the next begins: nobody behind the gateway can be made to see it differently."""

import contextlib
import json
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.cases_passing import GOOD, LARGEST, Passed
from tests.conformance.cases_requests import CHUNKS, HEADS, SMUGGLED, Refused
from tests.integration.data_plane import HOST, Plane, bearer, chunked, get, post, running_plane
from tests.integration.raw_client import Answer, CutShort, RawClient, assert_refusal

# Pieces must come in different reads of the gateway's: it needs some 50 µs to get back to its socket.
PIECE_PAUSE = 0.02
BYTE_PAUSE = 0.0003
# Long enough for a busy machine, short enough for the rows that end by it.
TIMEOUT = "3s"


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    limits = {"head_timeout": TIMEOUT, "body_timeout": TIMEOUT}
    with running_plane(tmp_path_factory.mktemp("boundaries"), limits=limits) as plane:
        # Lines that were seen before take another way through the gateway, so each good line has been seen once.
        for line in (b"Content-Length: 5", b"Content-Length: 6", b"content-length: 50", b"Transfer-Encoding: chunked"):
            plane.ask(get("/public/known", line, b"Connection: close", method="POST") + b"0\r\n\r\n" + b"x" * 50)
        for line in (b"Host: other.example.org", b"hOST: api.example.org", b"Expect: 100-continue"):
            plane.ask(b"GET /public/known HTTP/1.1\r\n%b\r\n\r\n" % line)
        yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


def assert_refused(plane: Plane, client: RawClient, case: Refused) -> None:
    """One refusal, then the end; nothing of it, or behind it, is a request to the upstream."""
    answer = client.read()
    assert_refusal(answer, case.status, case.code)
    assert answer.field("connection") == "close", answer
    assert client.rest() == b""
    assert not [received.target for received in plane.upstream.requests if received.is_whole]
    assert "/public/smuggled" not in plane.upstream.targets()


@pytest.mark.parametrize("case", [*HEADS, *CHUNKS], ids=lambda case: case.id)
def test_request_with_two_readings_is_refused(plane: Plane, case: Refused) -> None:
    for _ in range(2):
        with plane.connect() as client:
            client.send(case.raw + SMUGGLED)
            assert_refused(plane, client, case)


# Short ones that each fail in another place: the cut falls on every byte of them.
REPRESENTATIVE = [
    case
    for case in (*HEADS, *CHUNKS)
    if case.id
    in {
        "s11-cl.te",
        "s11-te-two-lines",
        "s11-cl-two-lines-other",
        "s11-cl-plus",
        "s12-blank-before-colon",
        "s12-obs-fold-tab",
        "s12-bare-lf-in-value",
        "s12-bare-cr-in-value",
        "s12-lf-only-head",
        "s12-two-empty-lines-first",
        "s12-host-twice",
        "s12-http-0.9",
        "s13-0x",
        "s13-blank-behind",
        "s13-lf-after-data",
        "s13-cr-cr-lf",
        "s13-extension-lf",
        "s13-longer-than-size",
        "s16-trailer-fold",
        "s16-trailer-bare-cr",
    }
]


def ask_at_every_split(plane: Plane, raw: bytes) -> Iterator[RawClient]:
    """A connection for each two-way split of `raw`, all of which has been sent on it."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(plane.connect()) for _ in range(1, len(raw))]
        for cut, client in enumerate(clients, 1):
            client.send(raw[:cut])
        time.sleep(PIECE_PAUSE)
        for cut, client in enumerate(clients, 1):
            client.send(raw[cut:])
        yield from clients


@pytest.mark.parametrize("case", REPRESENTATIVE, ids=lambda case: case.id)
def test_request_with_two_readings_is_refused_at_every_split(plane: Plane, case: Refused) -> None:
    for client in ask_at_every_split(plane, case.raw):
        assert_refused(plane, client, case)


@pytest.mark.parametrize("case", REPRESENTATIVE, ids=lambda case: case.id)
def test_request_with_two_readings_is_refused_byte_by_byte(plane: Plane, case: Refused) -> None:
    with plane.connect() as client:
        client.send_in_pieces((bytes([byte]) for byte in case.raw + SMUGGLED), pause=BYTE_PAUSE)
        assert_refused(plane, client, case)


def assert_passed(plane: Plane, case: Passed, count: int) -> None:
    assert len(plane.upstream.requests) == count
    for received in plane.upstream.requests:
        plane.upstream.wait_until(lambda received=received: received.is_whole)
        assert (received.request_line, received.body) == (case.line, case.body)
        assert received.values("host") == ["api.example.org"]
        framing = received.values("content-length") + received.values("transfer-encoding")
        assert framing == ([case.framing] if case.framing else []), received.head
        assert not received.values("trailer")


@pytest.mark.parametrize("case", [*GOOD, *LARGEST], ids=lambda case: case.id)
def test_s14_good_request_passes_whole(plane: Plane, case: Passed) -> None:
    for _ in range(2):
        with plane.connect() as client:
            client.send(case.raw)
            assert client.read().status == 200
    assert_passed(plane, case, 2)


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_s14_good_request_passes_byte_by_byte(plane: Plane, case: Passed) -> None:
    with plane.connect() as client:
        client.send_in_pieces((bytes([byte]) for byte in case.raw), pause=BYTE_PAUSE)
        assert client.read().status == 200
    assert_passed(plane, case, 1)


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_s14_good_request_passes_at_every_split(plane: Plane, case: Passed) -> None:
    answers = [client.read().status for client in ask_at_every_split(plane, case.raw)]
    assert answers == [200] * (len(case.raw) - 1)
    assert_passed(plane, case, len(case.raw) - 1)


def test_s13_bad_chunk_behind_a_forwarded_head_aborts_the_upstream_request(plane: Plane) -> None:
    with plane.connect() as client:
        client.send(chunked("/public/x", b"5\r\nhello\r\n"))
        plane.upstream.wait_until(lambda: [r.body for r in plane.upstream.requests] == [b"hello"])
        client.send(b"0x5\r\nhello\r\n0\r\n\r\n" + SMUGGLED)
        assert_refused(plane, client, Refused(id="", raw=b"", code="bad_framing"))
    plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0)
    assert not plane.upstream.requests[0].is_whole


@pytest.mark.parametrize(
    "request_start",
    [chunked("/public/x", b"5\r\nhel"), chunked("/public/x", b"5\r\nhello\r\n"), post("/public/x", b"hello")[:-1]],
    ids=["s13-inside-chunk", "s13-between-chunks", "s13-inside-length"],
)
def test_body_that_is_cut_never_ends_upstream(plane: Plane, request_start: bytes) -> None:
    with plane.connect() as client:
        client.send(request_start)
        plane.upstream.wait_until(lambda: bool(plane.upstream.requests))
        client.finish_sending()
        assert client.rest() == b""
    plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0)
    assert not plane.upstream.requests[0].is_whole


# Answers that end before the body was read (checklist 15, 80): what follows is body, never a request.

UNREAD_BODY = b"GET /public/smuggled HTTP/1.1\r\nHost: api.example.org\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (post("/required/x", UNREAD_BODY), 401),
        (chunked("/required/x", b"%x\r\n%b\r\n0\r\n\r\n" % (len(UNREAD_BODY), UNREAD_BODY)), 401),
        (post("/nowhere", UNREAD_BODY), 404),
        (post("/read/x", UNREAD_BODY), 405),
        (post("/admin/x", UNREAD_BODY, bearer()), 403),
        (post("/required/x", UNREAD_BODY, b"Authorization: Bearer nonsense"), 401),
    ],
    ids=["s15-401-length", "s15-401-chunked", "s15-404", "s15-405", "s15-403", "s15-401-bad-token"],
)
@pytest.mark.parametrize("held_back", [0, 1, len(UNREAD_BODY)])
def test_body_of_a_refused_request_is_no_request(plane: Plane, raw: bytes, status: int, held_back: int) -> None:
    with plane.connect() as client:
        client.send(raw[: len(raw) - held_back])
        assert_refusal(client.read(), status)
        client.send(raw[len(raw) - held_back :])
        client.finish_sending()
        assert client.rest() == b""
    assert plane.upstream.requests == []


def test_s80_refusal_comes_before_the_body(plane: Plane) -> None:
    with plane.connect() as client:
        client.send(get("/required/x", b"Content-Length: 1000000000", method="POST"))
        answer = client.read()
        assert_refusal(answer, 401)
        assert answer.field("connection") == "close"


# Expectations (RFC 9110 §10.1.1; checklist 17).


def test_s17_continue_is_given_when_the_request_may_pass(plane: Plane) -> None:
    with plane.connect() as client:
        client.send(get("/required/x", bearer(), b"Expect: 100-continue", b"Content-Length: 5", method="POST"))
        client.socket.settimeout(2)
        assert client.socket.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"hello")
        answer = client.read()
    assert (answer.status, answer.interim) == (200, ())
    assert plane.upstream.only().body == b"hello"
    assert plane.upstream.only().folded("expect") == []


def test_s17_refusal_takes_the_place_of_continue(plane: Plane) -> None:
    with plane.connect() as client:
        client.send(get("/required/x", b"Expect: 100-continue", b"Content-Length: 5", method="POST"))
        answer = client.read("POST")
        assert_refusal(answer, 401)
        assert (answer.interim, answer.field("connection")) == ((), "close")
        assert client.rest() == b""
    assert plane.upstream.requests == []


def test_s17_continue_is_left_out_when_the_body_is_there(plane: Plane) -> None:
    answer = plane.ask(post("/public/x", b"hello", b"Expect: 100-continue"))
    assert (answer.status, answer.interim) == (200, ())


def test_rfc9110_10_1_1_expectation_of_http10_is_ignored(plane: Plane) -> None:
    head = get("/public/x", b"Expect: 100-continue", b"Content-Length: 5", method="POST", version="HTTP/1.0")
    with plane.connect() as client:
        client.send(head)
        assert client.says_nothing(0.1)
        client.send(b"hello")
        answer = client.read()
    assert (answer.status, answer.interim) == (200, ())
    assert plane.upstream.only().body == b"hello"


# The connection (RFC 9112 §9.3).

PERSISTENCE = {
    "1.1": (get("/public/x"), True),
    "1.1-close": (get("/public/x", b"Connection: close"), False),
    "1.1-close-case": (get("/public/x", b"connection: Close"), False),
    "1.1-close-in-list": (get("/public/x", b"Connection: x-a , close"), False),
    "1.1-close-second-line": (get("/public/x", b"Connection: keep-alive", b"Connection: close"), False),
    "1.0": (get("/public/x", version="HTTP/1.0"), False),
    "1.0-keep-alive": (get("/public/x", b"Connection: keep-alive", version="HTTP/1.0"), True),
    "1.0-keep-alive-close": (get("/public/x", b"Connection: keep-alive, close", version="HTTP/1.0"), False),
    "refused-1.1": (get("/required/x"), True),
    "refused-1.1-close": (get("/required/x", b"Connection: close"), False),
    "refused-1.0": (get("/required/x", version="HTTP/1.0"), False),
    "refused-with-read-body": (post("/required/x", b"hello"), True),
}


@pytest.mark.parametrize(("raw", "stays"), PERSISTENCE.values(), ids=PERSISTENCE.keys())
def test_rfc9112_9_3_connection_stays_or_ends(plane: Plane, raw: bytes, stays: bool) -> None:
    with plane.connect() as client:
        client.send(raw)
        first = client.read()
        if stays:
            client.send(get("/public/second"))
            assert client.read().body == b"/public/second"
            assert first.field("connection") == ("keep-alive" if b"HTTP/1.0" in raw else None)
        else:
            client.send(get("/public/second"))
            assert client.rest() == b""
            assert first.field("connection") == "close"


def test_http10_without_host_gets_the_upstreams(plane: Plane) -> None:
    assert plane.ask(b"GET /public/x HTTP/1.0\r\n\r\n").status == 200
    received = plane.upstream.only()
    assert received.values("host") == [f"127.0.0.1:{plane.upstream.port}"]
    assert received.values("x-forwarded-host") == []


# Pipelining (RFC 9112 §9.3.2): answers in order, whatever becomes of the requests.


def test_four_pipelined_requests_with_refusals_between(plane: Plane) -> None:
    requests = [get("/public/1"), get("/required/2"), post("/read/3", b"body"), get("/public/4")]
    with plane.connect() as client:
        client.send(b"".join(requests))
        assert [client.read().status for _ in requests] == [200, 401, 405, 200]
    assert plane.upstream.targets() == ["/public/1", "/public/4"]


def test_pipelined_refusals_byte_by_byte(plane: Plane) -> None:
    raw = get("/required/x") * 3 + get("/nowhere") + get("/public/last")
    with plane.connect() as client:
        client.send_in_pieces((bytes([byte]) for byte in raw), pause=BYTE_PAUSE)
        assert [client.read().status for _ in range(5)] == [401, 401, 401, 404, 200]


def test_pipelined_bodies_are_cut_where_they_end(plane: Plane) -> None:
    coded = chunked("/public/2", b"2\r\nab\r\n0\r\n\r\n")
    raw = post("/public/1", b"GET / HTTP/1.1\r\n\r\n") + coded + get("/required/3") + get("/public/4")
    for client in ask_at_every_split(plane, raw):
        assert [client.read().status for _ in range(4)] == [200, 200, 401, 200]
        assert client.says_nothing(0.001)
    assert set(plane.upstream.targets()) == {"/public/1", "/public/2", "/public/4"}


def test_s81_a_thousand_pipelined_refusals_are_all_answered(plane: Plane) -> None:
    with plane.connect() as client:
        client.send(get("/required/x") * 1000)
        assert {client.read().status for _ in range(1000)} == {401}


# Anything at all.

METHODS = st.sampled_from([b"GET", b"POST", b"OPTIONS", b"PUT", b"PURGE", b"get", b"CONNECT", b"", b"G T"])
TARGETS = st.sampled_from(
    [b"/public/x", b"/required", b"*", b"/", b"", b"/%", b"//", b"http://api.example.org/", b"\xff"]
)
LINES = st.sampled_from(
    [
        HOST,
        b"Content-Length: 3",
        b"Transfer-Encoding: chunked",
        b"Connection: close, x-a",
        b"Connection: upgrade",
        b"Upgrade: websocket",
        b"Expect: 100-continue",
        b"X-A: \xff",
        b"X-Request-Id: 12345678",
        b"Origin: null",
        b": x",
        b" x",
        b"x",
        bearer(),
    ]
)
HEAD = st.builds(
    lambda method, target, version, lines, body: b"\r\n".join([method + b" " + target + version, *lines, b"", body]),
    METHODS,
    TARGETS,
    st.sampled_from([b" HTTP/1.1", b" HTTP/1.0", b" HTTP/2.0", b"", b" HTTP/1.1\n"]),
    st.lists(LINES, max_size=6),
    st.sampled_from([b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"zz\r\n"]),
)
MUTATED = st.builds(
    lambda raw, at, new: raw[: at % (len(raw) + 1)] + new + raw[at % (len(raw) + 1) + len(new) :],
    HEAD,
    st.integers(0, 400),
    st.binary(max_size=3),
)


def assert_documented(answer: Answer) -> None:
    if answer.status != 200:
        assert_refusal(answer, answer.status)
        assert answer.status in {400, 401, 404, 405, 408, 414, 417, 431, 501, 502, 505}, answer


def talk(plane: Plane, raw: bytes) -> None:
    """Whatever is sent: valid answers only, and the connection ends when the client has ended its side."""
    with plane.connect() as client:
        client.send(raw)
        client.socket.settimeout(0.05)
        with contextlib.suppress(TimeoutError, CutShort):
            while True:
                assert_documented(client.read())
        client.socket.settimeout(5)
        client.finish_sending()
        client.rest()


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.one_of(MUTATED, HEAD, st.binary(max_size=300)))
def test_s84_no_bytes_bring_anything_but_documented_answers(plane: Plane, raw: bytes) -> None:
    talk(plane, raw)
    answer = plane.ask(get("/public/alive"))
    assert answer.body == b"/public/alive"


def test_log_of_hostile_requests_is_one_json_record_a_line(plane: Plane) -> None:
    plane.ask(get('/nowhere"\\u0000', b"X-A: b"))
    time.sleep(0.3)
    records = [json.loads(line) for line in plane.gateway.output().splitlines() if line.startswith("{")]
    requests = [record for record in records if record["event"] == "request_ended"]
    assert len(requests) > 100
    assert all(record["request_id"] for record in requests)
