"""What an exchange waits for, how long, and whose fault it is when that was too long.

Before it can be sent it may have to wait for a user to be looked up and for an upstream connection; afterwards always
for one of the two sides to move. Whatever moves calls `touch`, and the deadline of the client's connection starts anew.
"""

import logging
from typing import TYPE_CHECKING, Final

from gateway.errors import Reason, Refused, StoreUnavailable
from gateway.proxy.admission import UnknownUser
from gateway.proxy.plan import RoutePlan

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange

logger: Final = logging.getLogger("gateway")

CONNECT_TIMEOUT: Final = Reason.UPSTREAM_CONNECT_TIMEOUT  # bound once: a look through the class is slow on Python 3.11


async def look_up(exchange: "Exchange", plan: RoutePlan, unknown: UnknownUser) -> None:
    """Who is it? Then it goes on."""
    try:
        principal = await exchange.client.plane.admission.look_up(unknown)
        exchange.overdue = CONNECT_TIMEOUT
        exchange.forward(plan, principal)
    except Refused as refusal:
        exchange.refuse(refusal.reason, refusal.retry_after)
    except StoreUnavailable as error:
        logger.warning("user_lookup_failed error=%s", error)
        exchange.refuse(Reason.STORE_UNAVAILABLE)
    except Exception:
        logger.exception("user_lookup_failed")
        exchange.refuse(Reason.INTERNAL_ERROR)


async def connect(exchange: "Exchange", plan: RoutePlan) -> None:
    """To a server that has not failed this exchange yet, and on it goes."""
    try:
        exchange.send(await plan.pool.open(exchange.failed))
    except Refused as refusal:
        exchange.refuse(refusal.reason)
    except Exception:
        logger.exception("upstream_connect_failed")
        exchange.refuse(Reason.INTERNAL_ERROR)


def touch(exchange: "Exchange") -> None:
    """Something moved: the deadline starts anew."""
    client, plan = exchange.client, exchange.plan
    if exchange.waits_for_client() or plan is None:
        client.deadline.set(client.plane.limits.body_timeout)
    elif exchange.status:
        client.deadline.set(plan.pool.read_timeout)
    elif exchange.upstream is None:
        client.deadline.set(plan.pool.opening_timeout)
    else:
        client.deadline.set(plan.pool.response_timeout if exchange.body.is_complete else plan.pool.send_timeout)


def blame(exchange: "Exchange") -> Reason:
    """Nothing happened for too long: the reason, which the server is told of if it is its fault."""
    upstream = exchange.upstream
    if exchange.waits_for_client():
        return Reason.BODY_TIMEOUT
    if upstream is None:
        return exchange.overdue
    if exchange.status:
        return Reason.UPSTREAM_STALLED
    reason = Reason.UPSTREAM_TIMEOUT if exchange.body.is_complete else Reason.UPSTREAM_SEND_TIMEOUT
    upstream.owner.on_request_failed(upstream, reason, exchange.started_at)
    return reason
