"""What the gateway answers in its own name: refusals, and to preflights of browsers and questions of other proxies."""

from typing import TYPE_CHECKING

from gateway.errors import Reason
from gateway.http.replies import confirmed, no_content

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange


def refusal(exchange: "Exchange", reason: Reason, *, close: bool, retry_after: int) -> bytes:
    """The answer to a request that goes no further."""
    plane, cors, plan = exchange.client.plane, exchange.cors, exchange.plan
    fields = b"" if cors is None else cors.fields(exchange.request.origin)
    if reason is Reason.METHOD_NOT_ALLOWED and plan is not None:
        fields += plan.allow_line
    return plane.replies.render(
        reason,
        request_id=exchange.request_id,
        fields=plane.date_line() + fields,
        close=close,
        is_head=(exchange.request.asked_by or exchange.request_method) == "HEAD",
        retry_after=retry_after,
    )


def preflight(exchange: "Exchange", *, close: bool) -> bytes | None:
    """None when it is the backend's affair, or no preflight: these have a method and an origin (Fetch §3.3.2)."""
    cors, origin = exchange.cors, exchange.request.origin
    if cors is None or not origin or exchange.request_method != "OPTIONS":
        return None
    fields = exchange.client.plane.date_line() + cors.preflight_fields(origin)
    return no_content(request_id=exchange.request_id, fields=fields, close=close)


def confirmation(exchange: "Exchange", *, close: bool) -> bytes:
    """To a proxy that asked: the request may pass, and this is what a backend would be told of the user."""
    principal = exchange.principal
    return confirmed(
        request_id=exchange.request_id,
        fields=exchange.client.plane.date_line(),
        identity=None if principal is None else principal.identity,
        close=close,
    )
