"""Server-sent events: nothing is held back, and the stream ends with the token that opened it."""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator

import pytest

from tests.integration.data_plane import Plane, bearer, get, running_plane
from tests.integration.raw_client import CutShort, RawClient
from tests.integration.scripted_upstream import Link, Received, Script

ROUTES = (
    {"path": "/outlive", "upstream": "main", "stateless": True, "outlive_token": True},
    {"path": "/users", "upstream": "main"},
)


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with running_plane(tmp_path_factory.mktemp("events"), routes=ROUTES, users=("alice",)) as plane:
        yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


def streams(content_type: bytes = b"text/event-stream", *, lasts: float = 30.0) -> Script:
    """Two events at once, then silence, then the end."""

    async def script(link: Link, received: Received) -> None:
        await link.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
            % content_type
        )
        await link.send(b"9\r\ndata: 2\n\n\r\n")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(link.wait_for_end(), lasts)
            return
        await link.send(b"0\r\n\r\n")

    return script


def assert_cut(client: RawClient, *, within: float) -> None:
    begun = time.monotonic()
    with pytest.raises(CutShort) as caught:
        client.read()
    assert (caught.value.status, caught.value.body) == (200, b"data: 1\n\ndata: 2\n\n")
    assert time.monotonic() - begun < within


def last_record(plane: Plane, path: str) -> dict[str, object]:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        lines = [line for line in plane.gateway.output().splitlines() if f'"path":"{path}"' in line]
        if lines:
            record: dict[str, object] = json.loads(lines[-1])
            return record
        time.sleep(0.05)
    raise AssertionError(path)


def test_s75_events_pass_at_once(plane: Plane) -> None:
    plane.upstream.play(streams())
    with plane.connect() as client:
        client.send(get("/required/now", bearer()))
        client.wait_for(b"data: 2")


@pytest.mark.parametrize("content_type", [b"text/event-stream", b"Text/Event-Stream; charset=utf-8"])
def test_s71_stream_ends_with_its_token(plane: Plane, content_type: bytes) -> None:
    plane.upstream.play(streams(content_type))
    with plane.connect() as client:
        client.send(get("/required/expires", bearer(exp=int(time.time()) + 2)))
        assert_cut(client, within=6)
        assert client.was_reset
    assert last_record(plane, "/required/expires")["reason"] == "token_expired"
    plane.upstream.wait_until(lambda: plane.upstream.open_links() == 0)


def test_s71_stream_ends_with_its_session(plane: Plane) -> None:
    body = json.dumps({"username": "alice", "password": "alice-password"}).encode()
    pair = plane.ask(post_json("/api/token/", body)).json()
    plane.upstream.play(streams())
    with plane.connect() as client:
        client.send(get("/users/revoked", b"Authorization: Bearer " + pair["access"].encode()))
        client.wait_for(b"data: 2")
        logged_out = plane.ask(post_json("/api/token/blacklist/", json.dumps({"refresh": pair["refresh"]}).encode()))
        assert logged_out.status == 200
        assert_cut(client, within=4)
    assert last_record(plane, "/users/revoked")["reason"] == "token_revoked"


def post_json(path: str, body: bytes) -> bytes:
    fields = (b"Content-Type: application/json", b"Content-Length: %d" % len(body))
    return get(path, *fields, method="POST") + body


@pytest.mark.parametrize(
    ("path", "content_type"),
    [("/outlive/x", b"text/event-stream"), ("/public/x", b"text/event-stream"), ("/required/x", b"text/plain")],
    ids=["the-route-says-so", "no-token-no-end", "another-kind-of-answer"],
)
def test_s71_other_answers_go_on_to_their_end(plane: Plane, path: str, content_type: bytes) -> None:
    plane.upstream.play(streams(content_type, lasts=3.0))
    with plane.connect(timeout=8) as client:
        client.send(get(path, bearer(exp=int(time.time()) + 1)))
        answer = client.read()
        assert (answer.status, answer.body, answer.ended) == (200, b"data: 1\n\ndata: 2\n\n", "chunks")
