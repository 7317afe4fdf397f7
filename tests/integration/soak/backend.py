"""A backend that tells each client who it is for it, and spoils a part of its answers.

An answer names the request, the user in X-User-Id as it came, and a digest of the body as it came.
"""

import asyncio
import contextlib
import hashlib
import random

from tests.integration.scripted_upstream import Link, Received, plain
from tests.integration.soak.ledger import UNREAD, Ledger, Sent, answer_body

SIZES = (0, 0, 0, 500, 5_000, 60_000, 250_000)
GARBAGE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nstolen",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwrong\r\n0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nstolen",
    b"HTTP/1.1 200\x00OK\r\n\r\n",
    b"<html>no HTTP at all</html>\r\n\r\n",
)
POISON = plain(b"soak-99999999 stolen\n", b"X-Answer: soak-99999999 stolen")

# Weights. A stall holds its client for as long as the gateway is patient, so there are few.
GOOD = {
    "length": 40,
    "chunks": 20,
    "drips": 2,
    "interim": 3,
    "late": 6,
    "poison": 3,
    "half-close": 2,
    "close": 2,
    "close-unannounced": 2,
    "close-later": 3,
    "early": 3,
}
BAD = {
    "reset": 2,
    "hang-up": 2,
    "stall": 0.3,
    "garbage": 2,
    "half-a-head": 1,
    "cut-length": 2,
    "cut-chunks": 2,
    "bad-chunk": 1,
    "stall-inside": 0.3,
}
BEHAVIOURS = {**GOOD, **BAD}


class SpoilingBackend:
    """The script of one upstream server; `seed` decides what becomes of each request in its order."""

    def __init__(self, ledger: Ledger, seed: str) -> None:
        self._ledger = ledger
        self._random = random.Random(seed)

    async def __call__(self, link: Link, received: Received) -> None:
        sent = self._recognise(received)
        if sent is None:
            link.reset()
            return
        sent.arrivals += 1
        (behaviour,) = self._random.choices(list(BEHAVIOURS), list(BEHAVIOURS.values()))
        if behaviour == "early":
            await link.send(self._answer(sent, UNREAD, chunked=False))
            await self._take(link, received, sent)
            return
        digest = await self._take(link, received, sent)
        if behaviour in BAD:
            sent.faults.append(behaviour)
            await self._spoil(link, sent, behaviour)
        else:
            await self._be_good(link, sent, behaviour, digest)

    def _recognise(self, received: Received) -> Sent | None:
        """The request, if it is one of ours with its own identity and no other."""
        numbers = received.values("x-request-id")
        sent = self._ledger.sent.get(numbers[0]) if len(numbers) == 1 else None
        if sent is None or received.target != sent.target or received.method != sent.method:
            self._ledger.violate("a backend got a request that nobody sent", received.head)
            return None
        if received.folded("x-user-id") != ([] if sent.user is None else [sent.user]):
            self._ledger.violate("wrong identity at a backend", sent, received.head)
        return sent

    async def _take(self, link: Link, received: Received, sent: Sent) -> str:
        digest = hashlib.sha256()
        async for piece in link.body(received):
            digest.update(piece)
        link.raw = b""  # a soak's worth of bytes would not be forgotten otherwise
        if not sent.is_whole:
            self._ledger.violate("a body that its client cut came to a good end", sent.number, sent.method)
        elif digest.digest() != hashlib.sha256(sent.body).digest():
            self._ledger.violate("another body than was sent", sent)
        return digest.hexdigest()

    def _answer(self, sent: Sent, digest: str, *, chunked: bool, close: bool = False, size: int | None = None) -> bytes:
        line = sent.line(digest)
        body = answer_body(line, self._random.choice(SIZES) if size is None else size)
        fields = [b"X-Answer: " + line.encode(), *([b"Connection: close"] if close else [])]
        if sent.method == "HEAD":
            return b"\r\n".join([b"HTTP/1.1 200 OK", *fields, b"Content-Length: %d" % len(body), b"", b""])
        if not chunked:
            return plain(body, *fields)
        at = self._random.randrange(1, len(body))
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:at], body[at:]))
        head = [b"HTTP/1.1 200 OK", *fields, b"Transfer-Encoding: chunked", b"", b""]
        return b"\r\n".join(head) + chunks + b"0\r\nX-User-Id: trailer\r\n\r\n"

    async def _be_good(self, link: Link, sent: Sent, behaviour: str, digest: str) -> None:
        chance = self._random
        answer = self._answer(sent, digest, chunked=behaviour in ("chunks", "drips"), close=behaviour == "close")
        if behaviour == "drips":
            cuts = sorted(chance.randrange(len(answer)) for _ in range(5))
            for start, end in zip([0, *cuts], [*cuts, len(answer)]):
                await link.send(answer[start:end])
                await asyncio.sleep(0.002)
            return
        if behaviour == "interim":
            await link.send(b"HTTP/1.1 103 Early Hints\r\nLink: </%b>\r\n\r\n" % sent.number.encode())
        elif behaviour == "late":
            await asyncio.sleep(chance.uniform(0, 0.1))
        elif behaviour == "poison":
            # In one piece with the answer: what comes later cannot be told from an answer by anybody.
            answer = self._answer(sent, digest, chunked=False, size=500) + POISON
        await link.send(answer)
        if behaviour == "half-close":
            with contextlib.suppress(OSError):  # the client, and so the gateway, may be gone already
                link.half_close()
            await link.wait_for_end()
        elif behaviour == "close-later":
            # The next request may be on its way when the connection ends.
            await asyncio.sleep(chance.uniform(0, 0.02))
        if behaviour.startswith("close"):
            link.close()

    async def _spoil(self, link: Link, sent: Sent, behaviour: str) -> None:
        half = answer_body(sent.line(), 3_000)[:1_500]
        named = b"HTTP/1.1 200 OK\r\nX-Answer: %b\r\n" % sent.line().encode()
        if behaviour == "garbage":
            await link.send(self._random.choice(GARBAGE))
        elif behaviour == "half-a-head":
            await link.send(b"HTTP/1.1 200 OK\r\nX-Answer: ")
        elif behaviour in ("cut-length", "stall-inside"):
            await link.send(named + b"Content-Length: 3000\r\n\r\n" + half)
        elif behaviour in ("cut-chunks", "bad-chunk"):
            await link.send(named + b"Transfer-Encoding: chunked\r\n\r\n5dc\r\n" + half)
            if behaviour == "bad-chunk":
                await link.send(b"\r\n+5\r\nwrong\r\n0\r\n\r\n")
        if behaviour.startswith("stall"):
            await link.wait_for_end()
        elif behaviour == "reset" or self._random.random() < 0.3:
            link.reset()
        else:
            link.close()
