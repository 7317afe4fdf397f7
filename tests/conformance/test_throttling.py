"""What a client sees of too many requests is what DRF's own throttles answer."""

import pytest

from tests.conformance.forging import token
from tests.conformance.pairs import Pair
from tests.conformance.wire import Reply, exchange, request


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
        wait = int(reply.field("retry-after") or 0)
        assert (reply.status, reply.field("content-type")) == (429, "application/json")
        assert wait in waits
        seconds = "second" if wait == 1 else "seconds"
        assert reply.body == f'{{"detail":"Request was throttled. Expected available in {wait} {seconds}."}}'.encode()
        assert reply.field("www-authenticate") is None
