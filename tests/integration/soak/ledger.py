"""What every request of the soak was, what the backends saw of it, and what was found wrong.

Clients and backends run in threads of one process and write here; nobody asks the gateway what it believes.
"""

import collections
import dataclasses
import hashlib
import itertools
import time

# RFC 9110 §9.2.2; only these may reach a backend more than once, and only without a body (checklist 77).
IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE"})
UNREAD = "unread"  # in the place of a digest: the backend answered before it had the body
# A client that connects while a worker is being replaced may be reset: its socket is closed for a pause of 0.5 s.
AFTERMATH_SECONDS = 1.5


@dataclasses.dataclass(kw_only=True, slots=True)
class Sent:
    """One request as its client meant it. `is_whole`: the client sends all of it.

    `arrivals` and `faults` are the backends' part: how often it came, and what was done to it instead of an answer.
    """

    number: str
    user: str | None
    method: str
    target: str
    body: bytes
    is_whole: bool = True
    arrivals: int = 0
    faults: list[str] = dataclasses.field(default_factory=list)

    @property
    def may_be_repeated(self) -> bool:
        return self.method in IDEMPOTENT and not self.body

    def line(self, digest: str | None = None) -> str:
        """What a right answer says about its request."""
        return f"{self.number} {self.user or '-'} {digest or hashlib.sha256(self.body).hexdigest()}"


def answer_body(line: str, size: int) -> bytes:
    """At least the line, and again and again up to `size`: any piece of another answer in it would show."""
    text = f"{line}\n".encode()
    return (text * (size // len(text) + 1))[: max(size, len(text))]


class Ledger:
    """`outcomes` counts what became of the requests, `violations` are sentences; none may be there at the end."""

    def __init__(self) -> None:
        self.sent: dict[str, Sent] = {}
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.violations: list[str] = []
        self.kills: list[float] = []
        self._numbers = itertools.count()

    def new(self, method: str, path: str, *, user: str | None, body: bytes = b"", is_named: bool = True) -> Sent:
        """A request below `path`, or, where its target cannot name it, of `path`."""
        number = f"soak-{next(self._numbers):08}"
        target = f"{path}/{number}" if is_named else path
        self.sent[number] = sent = Sent(number=number, user=user, method=method, target=target, body=body)
        return sent

    def violate(self, what: str, *about: object) -> None:
        self.violations.append(" ".join([what, *(repr(each)[:500] for each in about)]))

    def was_worker_killed(self, since: float) -> bool:
        """Whether a connection that was opened at `since` may have ended with its worker."""
        return any(kill > since - AFTERMATH_SECONDS for kill in self.kills)

    def note_kill(self) -> None:
        self.kills.append(time.monotonic())

    def check_arrivals(self) -> None:
        """When all is over."""
        for sent in self.sent.values():
            if sent.arrivals > 1 and not sent.may_be_repeated:
                self.violate("a request that may not be repeated was", sent)
