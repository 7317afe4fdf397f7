"""As `test_streaming`, with TLS on both sides of the gateway, on both event loops: each has buffers of its own."""

import dataclasses
import ssl
from collections.abc import Iterator

import pytest

from tests.integration.certificates import Authority
from tests.integration.data_plane import Plane, bearer, get, post
from tests.integration.scripted_upstream import ScriptedUpstream
from tests.integration.streams import DIGEST, MIB, PATIENCE, download, sink, source, upload
from tests.integration.test_tls import pair_of, running_tls

MOST_MEMORY = 8 * MIB
STALL = 0.5  # in which an unbounded buffer would take hundreds of MiB


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def plane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("streaming-tls")
    authority = Authority(folder, "authority")
    upstream = {"tls": {"ca": str(authority.certificate)}, "response_timeout": "5s"}
    with (
        ScriptedUpstream(tls=authority.server_context("127.0.0.1")).running() as secure,
        running_tls(folder, loop=request.param, upstream={**upstream, "servers": [secure.url]}) as plane,
    ):
        for _ in range(20):
            assert plane.ask(post("/public/warm", b"x" * 300_000), tls=trust(plane)).status == 200
        yield dataclasses.replace(plane, upstream=secure)
        assert not secure.faults


def trust(plane: Plane) -> ssl.SSLContext:
    return pair_of(plane).client_context()


def test_s75_download_with_a_reader_that_stalls(plane: Plane) -> None:
    plane.upstream.play(source(is_chunked=True))
    with plane.bounded_memory(MOST_MEMORY), plane.connect(timeout=PATIENCE, tls=trust(plane)) as client:
        client.send(get("/required/x", bearer()))
        assert download(client, stall=STALL) == DIGEST


def test_s75_upload_with_a_reader_that_stalls(plane: Plane) -> None:
    plane.upstream.play(sink(stall=STALL))
    with plane.bounded_memory(MOST_MEMORY), plane.connect(timeout=PATIENCE, tls=trust(plane)) as client:
        assert upload(client, is_chunked=True) == DIGEST
