"""Clients of all manners, each with a user of its own, that know what a right answer to each of their requests is."""

import contextlib
import dataclasses
import json
import random
import time
from collections.abc import Callable

from tests.conformance.forging import OTHER_KEY, claims, sign
from tests.integration.data_plane import bearer, chunked, get, post
from tests.integration.raw_client import Answer, CutShort, RawClient, assert_refusal
from tests.integration.soak.ledger import UNREAD, Ledger, Sent, answer_body

PATIENCE = 15.0  # many times what the gateway allows a backend
UPSTREAM_FAULTS = frozenset({502, 503, 504})
CLAIMED = (b"X-User-Id: 1", b"x_user_id: 1", b"X-User_ID: 1", b"Connection: x-user-id\r\nX.User.Id: 1")
FORGED = b"Authorization: Bearer " + sign(b'{"alg":"HS256"}', json.dumps(claims("access")).encode(), key=OTHER_KEY)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Visit:
    """One connection of one client to the gateway: what it says is judged against the ledger."""

    client: RawClient
    ledger: Ledger
    opened_at: float

    def may_have_been_killed(self) -> bool:
        return self.ledger.was_worker_killed(self.opened_at)

    def read(self, sent: Sent) -> bool:
        """The answer to `sent`, the oldest that has none; False when the connection ends with it."""
        try:
            answer = self.client.read(sent.method)
            self._judge(sent, answer)
            return answer.field("connection") != "close"
        except CutShort as cut:
            self._judge_cut(sent, cut)
        except TimeoutError:
            self.ledger.violate("no answer", sent)
        except AssertionError as fault:
            self.ledger.violate("no valid answer", str(fault), sent)
        return False

    def _judge_cut(self, sent: Sent, cut: CutShort) -> None:
        # Without a head, nothing but the death of a worker explains it: everything else is answered.
        if self.may_have_been_killed() or (cut.status is not None and sent.faults):
            self.ledger.outcomes["cut"] += 1
        else:
            self.ledger.violate("cut for no reason", cut, sent)

    def _judge(self, sent: Sent, answer: Answer) -> None:
        self.ledger.outcomes[str(answer.status)] += 1
        if answer.field("x-request-id") != sent.number:
            self.ledger.violate("the answer to another request", answer.fields, sent)
        elif answer.status == 200:
            self._judge_right(sent, answer)
        elif answer.status in UPSTREAM_FAULTS:
            assert_refusal(answer, answer.status)
            if answer.status == 502 and sent.arrivals and not sent.faults:
                self.ledger.violate("502 for what was answered", answer.body, sent)
        else:
            self.ledger.violate("an answer that nothing explains", answer.status, answer.body, sent)

    def _judge_right(self, sent: Sent, answer: Answer) -> None:
        line = answer.field("x-answer")
        if line not in (sent.line(), sent.line(UNREAD)):
            self.ledger.violate("mixed answer", line, sent)
        elif answer.body != (answer_body(line, len(answer.body)) if answer.ended != "head" else b""):
            self.ledger.violate("mixed body", answer.body, sent)
        elif not sent.arrivals:
            self.ledger.violate("an answer that no backend gave", answer.fields, sent)


class Clients:
    """What a client may do: each method is one connection from its beginning to its end."""

    def __init__(self, *, port: int, ledger: Ledger, chance: random.Random, user: str) -> None:
        self._port = port
        self._ledger = ledger
        self._chance = chance
        self._user = user
        # Several tokens of the one user.
        self._tokens = [bearer(user_id=user) for _ in range(3)]
        self._manners: dict[Callable[[Visit], None], float] = {
            self.converse: 30,
            self.pipeline: 20,
            self.expect: 4,
            self.drip: 4,
            self.half_close: 4,
            self.leave: 10,
            self.break_off: 6,
            self.be_refused: 4,
            self.verify: 4,
        }

    def visit(self) -> None:
        (manner,) = self._chance.choices(list(self._manners), list(self._manners.values()))
        opened_at = time.monotonic()
        buffer = 8192 if manner == self.drip else None
        try:
            client = RawClient(self._port, timeout=PATIENCE, receive_buffer=buffer)
        except ConnectionError as error:
            self._ledger.outcomes["not connected"] += 1
            if not self._ledger.was_worker_killed(opened_at):
                self._ledger.violate("not connected", error)
            return
        with client:
            manner(Visit(client=client, ledger=self._ledger, opened_at=opened_at))

    def _request(
        self, *lines: bytes, method: str | None = None, most: int = 3_000, version: str = "HTTP/1.1"
    ) -> tuple[Sent, bytes]:
        """A request of this user, or of nobody, as bytes."""
        chance = self._chance
        method = method or chance.choice(["GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE"])
        has_body = method in ("POST", "PUT")
        body = chance.randbytes(chance.randrange(most)) if has_body else b""
        path = chance.choice(["/required", "/required", "/optional", "/public"])
        knows = path == "/required" or (path == "/optional" and chance.random() < 0.5)
        sent = self._ledger.new(method, path, user=self._user if knows else None, body=body)
        fields = [b"X-Request-Id: " + sent.number.encode(), *lines]
        if knows:
            fields.append(chance.choice(self._tokens))
        if chance.random() < 0.2:
            fields.append(chance.choice(CLAIMED))
        chance.shuffle(fields)
        if not has_body:
            return sent, get(sent.target, *fields, method=method, version=version)
        if method == "POST" and chance.random() < 0.5:
            return sent, chunked(sent.target, self._chunks(body), *fields)
        return sent, post(sent.target, body, *fields, method=method)

    def _chunks(self, body: bytes) -> bytes:
        at = self._chance.randrange(len(body) + 1)
        pieces = [piece for piece in (body[:at], body[at:]) if piece]
        return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\nX-User-Id: 1\r\n\r\n"

    def converse(self, visit: Visit) -> None:
        """One request after the other."""
        for _ in range(self._chance.randrange(1, 30)):
            # The old version without a body: an answer in chunks ends with its connection there.
            old = self._chance.random() < 0.03
            most = self._chance.choice([10, 3_000, 100_000])
            sent, raw = self._request(method="GET", version="HTTP/1.0") if old else self._request(most=most)
            visit.client.send(raw)
            if not visit.read(sent):
                return
            time.sleep(self._chance.choice([0, 0, 0.001, 0.01]))

    def pipeline(self, visit: Visit) -> None:
        """Several at once; those behind an answer that ends the connection must never have been looked at."""
        requests = [self._request(most=2_000) for _ in range(self._chance.randrange(2, 9))]
        visit.client.send(b"".join(raw for _, raw in requests))
        for position, (sent, _) in enumerate(requests, 1):
            if not visit.read(sent):
                late = [each for each, _ in requests[position:] if each.arrivals]
                if late:
                    self._ledger.violate("requests behind the end of their connection", sent, late)
                return

    def expect(self, visit: Visit) -> None:
        """Wait to be told to go on before the body is sent."""
        sent, raw = self._request(b"Expect: 100-continue", method="POST", most=50_000)
        head, end, body = raw.partition(b"\r\n\r\n")
        visit.client.send(head + end)
        if sent.body:
            with contextlib.suppress(AssertionError):  # the end came instead, and perhaps an answer before it
                visit.client.wait_for(b" 100 Continue\r\n\r\n")
        visit.client.send(body)
        visit.read(sent)

    def drip(self, visit: Visit) -> None:
        """A slow sender and a slow reader."""
        sent, raw = self._request(method="POST", most=40_000)
        step = len(raw) // 8 + 1
        visit.client.send_in_pieces((raw[at : at + step] for at in range(0, len(raw), step)), pause=0.004)
        time.sleep(self._chance.uniform(0, 0.1))
        visit.read(sent)

    def half_close(self, visit: Visit) -> None:
        """Ask, end one side, and wait for the answer."""
        sent, raw = self._request(most=50_000)
        visit.client.send(raw)
        visit.client.finish_sending()
        # The answer may be quicker than the end of this side, and so without a word of its own.
        if visit.read(sent) and (rest := visit.client.rest()):
            self._ledger.violate("more than was asked for", rest, sent)

    def leave(self, visit: Visit) -> None:
        """Ask, and be gone before the answer or inside of it."""
        _, raw = self._request(most=50_000)
        visit.client.send(raw)
        time.sleep(self._chance.choice([0, 0.001, 0.005, 0.02]))
        self._ledger.outcomes["left"] += 1
        if self._chance.random() < 0.7:
            visit.client.vanish()

    def break_off(self, visit: Visit) -> None:
        """Go away inside a request body."""
        sent, raw = self._request(method="POST", most=50_000)
        sent.is_whole = False
        visit.client.send(raw[: self._chance.randrange(raw.index(b"\r\n\r\n"), len(raw) - 1)])
        time.sleep(self._chance.choice([0, 0.001, 0.005, 0.02]))
        self._ledger.outcomes["broken off"] += 1
        if self._chance.random() < 0.5:
            visit.client.vanish()

    def be_refused(self, visit: Visit) -> None:
        """A forged token, or none."""
        for _ in range(5):
            sent = self._ledger.new("GET", "/required", user=None)
            lines = [b"X-Request-Id: " + sent.number.encode(), self._chance.choice(CLAIMED)]
            lines += [FORGED] if self._chance.random() < 0.5 else []
            visit.client.send(get(sent.target, *lines))
            if not self._is_told(visit, sent, 401):
                return
            if sent.arrivals:
                self._ledger.violate("a request without a token at a backend", sent)

    def verify(self, visit: Visit) -> None:
        """The control plane, behind the same connection."""
        for _ in range(3):
            sent = self._ledger.new("POST", "/api/token/verify/", user=None, is_named=False)
            token = self._chance.choice([*self._tokens, FORGED])
            body = json.dumps({"token": token.decode().rpartition(" ")[2]}).encode()
            lines = [b"X-Request-Id: " + sent.number.encode(), b"Content-Type: application/json"]
            visit.client.send(post(sent.target, body, *lines))
            if not self._is_told(visit, sent, 401 if token == FORGED else 200):
                return

    def _is_told(self, visit: Visit, sent: Sent, status: int) -> bool:
        try:
            answer = visit.client.read()
        except (CutShort, TimeoutError) as error:
            if not visit.may_have_been_killed():
                self._ledger.violate("no answer", error, sent)
            return False
        self._ledger.outcomes[f"{status} of the gateway's own"] += 1
        if (answer.status, answer.field("x-request-id")) != (status, sent.number):
            self._ledger.violate("not what was to be said", status, answer, sent)
        return answer.field("connection") != "close"
