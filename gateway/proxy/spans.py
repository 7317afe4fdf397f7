"""What is told of an exchange that is recorded, when it is over: its spans."""

from typing import Final

from gateway.errors import Reason
from gateway.http.heads import HTTP11
from gateway.http.rewriting import is_valid_host
from gateway.http.targets import parse_target
from gateway.observability.log_lines import shown_path
from gateway.observability.tracing import Call, Served, SpanSink, Trace
from gateway.proxy.exchange import Exchange

# Answers that looked good and were cut.
_CUTS: Final = frozenset({Reason.UPSTREAM_BROKEN, Reason.UPSTREAM_STALLED, Reason.INTERNAL_ERROR})
_USER_AGENT: Final = b"user-agent:"


def record(sink: SpanSink, trace: Trace, exchange: Exchange, now: float) -> None:
    """`now` is loop time. The query is left out, and so is everything that says who the user is."""
    request, plan, reason, status = exchange.request, exchange.plan, exchange.reason, exchange.status
    host = exchange.origin.host or request.host
    if host is not None and not is_valid_host(host):
        host = None  # which was the reason of its refusal
    sink.record(
        trace,
        Served(
            method=request.method,
            path=shown_path(request.target),
            scheme=exchange.origin.scheme.decode(),
            protocol="1.1" if request.version is HTTP11 else "1.0",
            route=None if plan is None else plan.name,
            host=None if host is None else host.decode(),
            client=exchange.origin.address,
            user_agent=_user_agent(request.passed),
            status=status,
            reason=None if reason is None else reason.value,
            is_failure=status >= 500 or reason in _CUTS,
            request_id=exchange.request_id.decode(),
            duration=now - exchange.started_at,
            call=_call(exchange, now),
        ),
    )


def _call(exchange: Exchange, now: float) -> Call | None:
    """The last request to an upstream; the gateway's own application is none."""
    server, plan, reason = exchange.server, exchange.plan, exchange.reason
    if server is None or plan is None or plan.reaches_endpoints:
        return None
    status = None if exchange.answered_at is None else exchange.status
    error = None
    if status is None or reason in _CUTS:
        error = "_OTHER" if reason is None else reason.value
    elif status >= 400:
        error = str(status)
    path = shown_path(plan.upstream_target(parse_target(exchange.request.target)).decode())
    return Call(server=server.label, path=path, began_before_end=now - exchange.sent_at, status=status, error=error)


def _user_agent(lines: list[bytes]) -> str | None:
    for line in lines:
        if line[: len(_USER_AGENT)].lower() == _USER_AGENT:
            return line[len(_USER_AGENT) :].strip(b" \t").decode("latin-1")
    return None
