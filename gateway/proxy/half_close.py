"""A client that sends nothing more: has it left, or does it wait for the answer to what it sent?

Both send the same FIN. nginx and Go's servers take it for leaving, so a client that ends its side with its request (`nc
-N`, `shutdown(SHUT_WR)`; Apache and most backends answer it) gets nothing; HAProxy by default takes it for waiting, so
backends work on for nobody. Here the client is asked, by an interim answer: one that waits skips it (RFC 9110 §15.2),
and for one that has closed its system answers with a reset, which the next write finds. Answers that come before the
first question are as if nothing had been.
"""

from typing import TYPE_CHECKING, Final

from gateway.http.heads import HTTP10
from gateway.http.replies import CONTINUE

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange

# Doubled each time. Two questions find out: a backend works on for 3/4 s for a client that has left.
FIRST_PAUSE: Final = 0.25


def may_wait(exchange: "Exchange") -> bool:
    """Whoever waits has sent a whole request and ends its side right behind it, which a quick answer overtakes."""
    if not exchange.body.is_complete or exchange.handshake is not None or exchange.request.version is HTTP10:
        return False  # HTTP/1.0 has no interim answers to ask by
    return not exchange.status or exchange.client.plane.now() - exchange.started_at < FIRST_PAUSE


def ask_later(exchange: "Exchange", pause: float = FIRST_PAUSE) -> None:
    """Ask the client of `exchange`, again and again until its answer begins or it turns out to be gone."""
    exchange.client.plane.loop.call_later(pause, _ask, exchange, pause)


def _ask(exchange: "Exchange", pause: float) -> None:
    client = exchange.client
    if client.exchange is exchange and not exchange.status:
        client.write(CONTINUE)
        ask_later(exchange, 2 * pause)
