"""A server failed a request before it began to answer: another one may get it, or the client is told."""

from typing import TYPE_CHECKING, Final

from gateway.errors import Reason
from gateway.http.bodies import NO_BODY
from gateway.proxy.plan import RoutePlan
from gateway.proxy.upstream_connection import UpstreamConnection
from gateway.proxy.waiting import connect

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange

# RFC 9110 §9.2.2. Only these may be sent again.
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


def send_again_or_refuse(exchange: "Exchange", plan: RoutePlan, upstream: UpstreamConnection, reason: Reason) -> None:
    """The connection to `upstream` has ended, for `reason`."""
    upstream.owner.on_request_failed(upstream, reason, exchange.started_at)
    # A kept connection may have been closed by the upstream just before it was used, which says nothing of the
    # server; the next one is new, so this is so at most once. Other servers failed and are not asked again.
    failed = exchange.failed or ()
    exchange.failed = failed = failed if upstream.was_pooled else (*failed, upstream.owner)
    if _may_be_repeated(exchange, upstream) and plan.pool.may_try_again(failed):
        exchange.wait_for(connect(exchange, plan))
    else:
        exchange.refuse(reason)


def _may_be_repeated(exchange: "Exchange", upstream: UpstreamConnection) -> bool:
    """Without a byte of the answer, and only what may be repeated and is still here whole (checklist 77)."""
    return not upstream.has_answered and exchange.request_method in _IDEMPOTENT and exchange.body is NO_BODY
