"""What the gateway forwards is what two readers without a line in common with it cut out of the same bytes.

The tables first: where h11 sees it differently than the tables of `test_request_boundaries` is listed with its reason.
Then streams of good requests with faults in them: whatever arrives upstream is one of the requests that both readers
found there, in their order and with their bodies, and nothing else.
"""

import contextlib
import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from tests.conformance.cases_passing import GOOD, LARGEST, Passed
from tests.conformance.cases_requests import CHUNKS, FRAMING, SMUGGLED, SYNTAX, Refused
from tests.conformance.strict_reader import Cut, Reading, answer_with_h11, read_strictly, read_with_h11
from tests.conformance.test_upstream_faults import BROKEN, Good
from tests.conformance.test_upstream_faults import GOOD as ANSWERS
from tests.integration.data_plane import HOST, Plane, chunked, get, post, running_plane
from tests.integration.raw_client import CutShort, RawClient, assert_refusal

# Bounds are the gateway's own: no grammar knows them.
BOUNDS = frozenset(
    {
        "s5-connection-of-17-options",
        "s5-connection-of-17-equal-options",
        "s12-method-long",
        "s13-leading-zeros-without-end",
        "s13-last-16-zeros",
        "s13-overflow-64-bit",
        "s13-overflow-f",
        "s13-extension-without-bound",
        "s16-trailer-too-long",
        "s16-trailers-without-bound",
    }
)
# What h11 0.16 takes and the gateway refuses: another reader may take it in another way. In RFC 9112 where it names it.
TAKEN_BY_H11 = {
    "§6.3: a coding overrides a length": ["s11-cl.te", "s11-te.cl", "s11-cl.te-zero"],
    "§6.1: a coding in HTTP/1.0 is faulty framing": ["s11-te-in-1.0", "s11-te-in-1.0-keep-alive", "s11-cl.te-in-1.0"],
    "§6.3: equal lengths may be made one": ["s11-cl-list-equal", "s11-cl-two-lines-equal"],
    "any length is a number": ["s11-cl-2^63", "s11-cl-2^64+5"],
    "§2.2: a bare LF may end a line": [
        "s11-te-behind-lf",
        "s12-bare-lf-in-value",
        "s12-bare-lf-in-host",
        "s12-bare-lf-in-request-line",
        "s12-lf-only-head",
        "s12-lf-only-end",
        "s13-lf-at-end",
        "s16-trailer-lf",
    ],
    "§5.2: a folded line may be unfolded": [
        "s11-te-in-fold-of-other",
        "s12-obs-fold-blank",
        "s12-obs-fold-tab",
        "s12-obs-fold-blanks-alone",
        "s12-obs-fold-of-host",
        "s16-trailer-fold",
    ],
    "control characters in values": ["s12-control-in-value", "s12-del-in-value", "s12-escape-in-value"],
    "methods in any case": ["s12-method-lower-case", "s12-method-mixed-case"],
    "blanks behind a chunk's size": ["s13-blank-behind", "s13-tab-behind"],
    "any byte in a chunk's extension": [
        "s13-extension-del",
        "s13-extension-not-ascii",
        "s13-extension-cr",
        "s13-extension-nul",
    ],
}
# And the other way round: this the RFC asks a recipient to take.
REFUSED_BY_H11 = {
    "rfc9112-7.1.1-extension-blanks": "§7.1.1: blanks around an extension are to be taken",
}


@pytest.mark.parametrize("case", [*FRAMING, *SYNTAX, *CHUNKS], ids=lambda case: case.id)
def test_readers_refuse_what_the_gateway_refuses(case: Refused) -> None:
    stream = case.raw + SMUGGLED
    assert (read_strictly(stream) == Reading((), "malformed")) == (case.id not in BOUNDS)
    taken = {row for rows in TAKEN_BY_H11.values() for row in rows} | (BOUNDS - {"s13-leading-zeros-without-end"})
    assert (read_with_h11(stream) == Reading((), "malformed")) == (case.id not in taken)


@pytest.mark.parametrize("case", [*GOOD, *LARGEST], ids=lambda case: case.id)
def test_readers_cut_what_the_gateway_passes_in_the_same_way(case: Passed) -> None:
    (cut,) = read_strictly(case.raw).requests
    assert (cut.method, cut.body) == (case.line.split(" ")[0], case.body)
    others = read_with_h11(case.raw).requests
    assert others == (() if case.id in REFUSED_BY_H11 else (cut,))


# Answers of backends: h11 takes these where the gateway answers 502, and sees all good ones in the same way.
ANSWERS_TAKEN_BY_H11 = {
    "§6.3: a coding overrides a length": ["length-and-coding", "coding-and-length"],
    "§6.1: a coding in HTTP/1.0 is faulty framing": ["coding-in-1.0"],
    "§6.3: equal lengths may be made one": ["two-equal-lengths", "length-list"],
    "§2.2: a bare LF may end a line": ["bare-lf", "lf-only"],
    "§5.2: a folded line may be unfolded": ["obs-fold"],
    "control characters in values": ["control-in-value"],
    "versions that are not HTTP/1": ["version-2", "version-0.9"],
    "more than 64 KiB of head": ["huge-head"],
    "more than 15 interim answers at once": ["continue-flood"],
}


@pytest.mark.parametrize("name", BROKEN, ids=lambda name: "s73-" + name)
def test_h11_refuses_the_answers_that_the_gateway_refuses(name: str) -> None:
    taken = {row for rows in ANSWERS_TAKEN_BY_H11.values() for row in rows}
    assert (answer_with_h11(BROKEN[name], method="GET", closes=True) is None) == (name not in taken)


@pytest.mark.parametrize("case", ANSWERS.values(), ids=ANSWERS.keys())
def test_h11_reads_good_answers_in_the_same_way(case: Good) -> None:
    assert answer_with_h11(case.raw, method=case.method, closes=case.end != "keep") == (case.status, case.body)


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("second-opinions")) as plane:
        yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


# Good requests, each of another kind and size, one of them with another inside of its body.
WHOLE = [
    get("/public/get"),
    get("/public/fields", b"Accept: */*", b"X-A:", b"X-B: \t b c \t"),
    post("/public/post", b"hello"),
    post("/public/none", b""),
    post("/public/inside", SMUGGLED),
    chunked("/public/chunked", b"5\r\nhello\r\n0\r\n\r\n"),
    chunked("/public/chunks", b"1;a=b\r\nx\r\nA\r\n0123456789\r\n0\r\nX-A: b\r\n\r\n"),
    chunked("/public/inside", b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)),
]
# What request smuggling is made of: bytes anywhere, lines where one starts, other ends of a line.
PIECES = [
    *(bytes([byte]) for byte in b"\r\n \t\x00\x0b\x7f\xa0:;,0159afx+-/%GPT"),
    *(b"", b"\r\n\r\n", b"0\r\n\r\n", b"0x", b" :", b"\r\n ", b"\xe2\x84\xaa", b"chunked", b"Content-Length", SMUGGLED),
]
LINES = [
    *(b"Content-Length: 3\r\n", b"Content-Length: 44\r\n", b"Transfer-Encoding: chunked\r\n", HOST + b"\r\n"),
    *(
        b"Connection: close\r\n",
        b"X: ",
        b" ",
        b"\t",
        b"\r\n",
        b"0\r\n",
        b"5\r\nhello\r\n",
        b"GET /public/x HTTP/1.0\r\n",
    ),
]
LINE_ENDS = [b"\n", b"\r", b"", b"\r\r\n", b"\n\r", b" \r\n", b"\t\r\n", b"\x00\r\n", b";\r\n", b",x\r\n", b"\r\n\r\n"]
ANYWHERE, LINE_START, LINE_END = re.compile(rb""), re.compile(rb"(?<=\n)"), re.compile(rb"(?=\r\n)")
NUMBERS = st.integers(0, 999)
FAULTS = st.one_of(
    st.tuples(st.just(ANYWHERE), NUMBERS, st.integers(0, 3), st.sampled_from(PIECES)),
    st.tuples(st.just(LINE_START), NUMBERS, st.just(0), st.sampled_from(LINES)),
    st.tuples(st.just(LINE_END), NUMBERS, st.just(2), st.sampled_from(LINE_ENDS)),
)
STREAMS = st.lists(st.sampled_from(WHOLE), min_size=1, max_size=4).map(b"".join)


Fault = tuple[re.Pattern[bytes], int, int, bytes]


def with_faults(stream: bytes, faults: list[Fault]) -> bytes:
    """Each takes some bytes away at one of its places and puts others there."""
    for anchor, number, length, new in faults:
        places = [match.start() for match in anchor.finditer(stream)] or [0]
        at = places[number % len(places)]
        stream = stream[:at] + new + stream[at + length :]
    return stream


def converse(client: RawClient, expected: Reading) -> list[Cut]:
    """Read the answers; gives those of the expected requests that passed. Refusals are documented ones."""
    passed: list[Cut] = []
    for cut in expected.requests:
        try:
            answer = client.read(cut.method)
        except CutShort:
            return passed
        if answer.status == 200:
            passed.append(cut)
        else:
            assert_refusal(answer, answer.status)
            if answer.field("connection") == "close":
                assert client.rest() == b""
                return passed
    if expected.ending == "malformed":
        answer = client.read()
        assert 400 <= answer.status < 600
        assert_refusal(answer, answer.status)
        assert client.rest() == b""
    elif expected.ending == "close":
        assert client.rest() == b""
    elif expected.ending == "end":
        client.send(get("/public/last"))
        assert client.read().body == b"/public/last"
        passed.append(Cut("GET", "/public/last", b""))
    else:
        # Unfinished: silence, or a refusal of what can never become good.
        client.socket.settimeout(0.03)
        with contextlib.suppress(TimeoutError, CutShort):
            answer = client.read()
            assert_refusal(answer, answer.status)
    return passed


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stream=STREAMS, faults=st.lists(FAULTS, max_size=2), split=st.integers(0, 3000))
@example(stream=b"".join(WHOLE), faults=[], split=0)
def test_s14_upstream_gets_what_both_readers_cut(plane: Plane, stream: bytes, faults: list[Fault], split: int) -> None:
    sent = with_faults(stream, faults)
    expected, second = read_strictly(sent), read_with_h11(sent)
    event(f"{expected.ending} after {len(expected.requests)}")
    plane.upstream.requests.clear()
    with plane.connect() as client:
        split %= len(sent) + 1
        client.send(sent[:split])
        client.send(sent[split:])
        passed = converse(client, expected)
    whole = [received for received in plane.upstream.requests if received.is_whole]
    assert [(received.method, received.body) for received in whole] == [(cut.method, cut.body) for cut in passed]
    if not faults:
        assert passed[:-1] == list(expected.requests) == list(second.requests)
    # In order, so each of them is looked for behind the one before.
    others = iter((*second.requests, Cut("GET", "/public/last", b"")))
    assert all(cut in others for cut in passed), (expected, second)
