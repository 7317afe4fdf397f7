"""Large bodies: made as they are sent, known again by a digest.

`STREAM_MIB=1024` in the environment makes them 1 GiB each.
"""

import asyncio
import hashlib
import http.client
import os
import random
import time

from tests.integration.data_plane import bearer, get
from tests.integration.raw_client import RawClient
from tests.integration.scripted_upstream import Link, Received, Script, plain

MIB = 1024 * 1024
BLOCK = random.Random(1).randbytes(MIB - 7)  # no multiple of anybody's buffer
BLOCKS = int(os.environ.get("STREAM_MIB", "256"))
SIZE = BLOCKS * len(BLOCK)
PATIENCE = 20.0


def _digest() -> str:
    digest = hashlib.sha256()
    for _ in range(BLOCKS):
        digest.update(BLOCK)
    return digest.hexdigest()


DIGEST = _digest()


def encoded(block: bytes, is_chunked: bool) -> bytes:
    return b"%x\r\n%b\r\n" % (len(block), block) if is_chunked else block


def framing(is_chunked: bool) -> bytes:
    return b"Transfer-Encoding: chunked" if is_chunked else b"Content-Length: %d" % SIZE


def source(*, is_chunked: bool, stall: float = 0) -> Script:
    """The upstream sends it all, with a pause in the middle."""

    async def script(link: Link, received: Received) -> None:
        await link.read_body(received)
        await link.send(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing(is_chunked))
        for number in range(BLOCKS):
            await link.send(encoded(BLOCK, is_chunked))
            await asyncio.sleep(stall if number == BLOCKS // 2 else 0)
        await link.send(b"0\r\n\r\n" if is_chunked else b"")

    return script


def sink(*, stall: float = 0) -> Script:
    """The upstream waits for a while, takes it all and answers with its digest."""

    async def script(link: Link, received: Received) -> None:
        await asyncio.sleep(stall)
        digest = hashlib.sha256()
        async for piece in link.body(received):
            digest.update(piece)
        await link.send(plain(digest.hexdigest().encode()))

    return script


def download(client: RawClient, *, stall: float = 0) -> str:
    """Read an answer to its end; gives the digest of its body."""
    response = http.client.HTTPResponse(client.socket)
    response.begin()
    time.sleep(stall)
    digest = hashlib.sha256()
    while piece := response.read1(MIB):
        digest.update(piece)
    return digest.hexdigest()


def upload(client: RawClient, *, is_chunked: bool, stall: float = 0) -> str:
    client.send(get("/required/x", bearer(), framing(is_chunked), method="POST"))
    for number in range(BLOCKS):
        client.send(encoded(BLOCK, is_chunked))
        time.sleep(stall if number == BLOCKS // 2 else 0)
    client.send(b"0\r\n\r\n" if is_chunked else b"")
    return client.read().body.decode()
