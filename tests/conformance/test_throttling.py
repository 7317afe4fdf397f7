"""What a client sees of too many requests is what DRF's own throttles answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.forging import token
from tests.conformance.pairs import Pair, Variant, running_gateway
from tests.conformance.wire import Reply, exchange, post_json, request
from tests.integration.processes import Server

GUARDED = Variant(
    simple_jwt={},
    gateway={"guessing": {"enabled": True, "attempts_per_user": 1, "first_wait": "1m", "longest_wait": "1m"}},
)


@pytest.fixture
def guarded_pair(library: Server, users_file: Path, tmp_path: Path) -> Iterator[Pair]:
    with running_gateway(GUARDED, library, users_file, tmp_path) as running:
        yield running


def _assert_told_when(reply: Reply, waits: set[int]) -> None:
    wait = int(reply.field("retry-after") or 0)
    assert (reply.status, reply.field("content-type")) == (429, "application/json")
    assert wait in waits
    seconds = "second" if wait == 1 else "seconds"
    assert reply.body == f'{{"detail":"Request was throttled. Expected available in {wait} {seconds}."}}'.encode()
    assert reply.field("www-authenticate") is None


def _refused(port: int, sent: bytes) -> Reply:
    """The first answer that is no pass: between two requests there may be a second, on a busy machine."""
    for _ in range(20):
        reply = exchange(port, sent)
        if reply.status != 200:
            return reply
    raise AssertionError("every request passed")


@pytest.mark.parametrize(("period", "waits"), [("minute", {59, 60}), ("second", {1})])
def test_s52_a_request_too_many_is_refused_in_drfs_words(pair: Pair, period: str, waits: set[int]) -> None:
    sent = request(b"GET", f"/api/{period}/".encode(), b"Authorization: Bearer " + token("access"))
    for server in pair.servers:
        reply = _refused(server.port, sent)
        _assert_told_when(reply, waits)


def test_s52_who_guesses_passwords_is_refused_as_by_drfs_throttle(guarded_pair: Pair) -> None:
    pair = guarded_pair
    for server, path in ((pair.library, b"/api/throttled/token/"), (pair.gateway, b"/api/token/")):
        assert exchange(server.port, post_json(path, {"username": "alice", "password": "wrong"})).status == 401
        right = post_json(path, {"username": "alice", "password": "alice-pass-1"})
        reply = exchange(server.port, right)
        _assert_told_when(reply, {59, 60})
        assert reply.field("allow") == "POST, OPTIONS"
