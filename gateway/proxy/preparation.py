"""What follows from the bytes of a request head and the configuration alone: read, routed, half rewritten.

Equal bytes follow equally, so a connection keeps what was made of its last head: whoever asks again on it asks the
same, often, and is then served for four fifths of the price. A memo for all connections was measured and left: it put
6 µs on each request in which a single field was new (a trace id), for what such a memo keeps is no longer in the
processor's cache when it is asked for or thrown away.
"""

from dataclasses import dataclass
from typing import Final

from gateway.errors import Reason, Refused
from gateway.http.forwarding import Origin
from gateway.http.questions import Questions
from gateway.http.requests import Request, RequestReader
from gateway.http.rewriting import client_host, upstream_lines
from gateway.http.routes import RouteTable
from gateway.http.targets import Doubt, Target, parse_target
from gateway.http.upgrades import Handshake
from gateway.proxy.plan import RoutePlan

_NOT_PASSED_ON: Final = frozenset({"CONNECT", "TRACE"})


@dataclass(slots=True)
class Prepared:
    """A request and what was made of it, up to the step that refused it.

    `plan` is None where there is no route. `host` is the client's valid one, None for HTTP/1.0 without. `lines` is the
    head for the upstream as far as the client has a say in it, without the last line end; the lines that only the
    gateway may write come behind. With a WebSocket `handshake`, `request` is what is left when a token was taken out.
    """

    request: Request
    plan: RoutePlan | None = None
    host: bytes | None = None
    handshake: Handshake | None = None
    lines: bytes = b""
    refusal: Reason | None = None

    def upstream_head(self, origin: Origin, request_id: bytes, traceparent: bytes | None) -> bytes:
        """Behind the client's lines what only the gateway says; identity follows when it is known."""
        head = b"%b\r\n%b\r\nX-Request-Id: %b" % (self.lines, origin.lines, request_id)
        if traceparent is not None:
            head = b"%b\r\ntraceparent: %b" % (head, traceparent)
        host = origin.host or self.host
        if host is not None:
            head = b"%b\r\nX-Forwarded-Host: %b" % (head, host)
        if self.plan is not None and self.plan.reaches_endpoints:
            head = b"%b\r\n%b" % (head, origin.endpoint_line)
        return head


class Preparation:
    """Prepares the heads that `reader` reads. `token_field` is the name under which a kept token goes on.

    `questions` None: nobody may ask what would become of a request.
    """

    __slots__ = ("_max_target_bytes", "_questions", "_reader", "_routes", "_token_field")

    def __init__(
        self,
        *,
        reader: RequestReader,
        routes: RouteTable[RoutePlan],
        max_target_bytes: int,
        token_field: str,
        questions: Questions | None = None,
    ) -> None:
        self._questions = questions
        self._reader = reader
        self._routes = routes
        self._max_target_bytes = max_target_bytes
        self._token_field = token_field.encode()

    def prepare(self, head: bytes) -> Prepared:
        """`head` ends with the empty line. Raises `Refused` as `RequestReader.read`: then there is no request at all.

        Later refusals are told in the result: METHOD_NOT_SUPPORTED, TARGET_TOO_LONG, BAD_TARGET, BAD_HOST, and those of
        `HandshakeReader.read` and `Questions.unfold`.
        """
        prepared = Prepared(self._reader.read(head))
        questions = self._questions
        try:
            if questions is not None and questions.concerns(prepared.request.target):
                questions.unfold(prepared.request)
                self._route_asked(prepared)
            else:
                self._route(prepared)
        except Refused as refusal:
            prepared.refusal = refusal.reason
        return prepared

    def _route(self, prepared: Prepared) -> None:
        request = prepared.request
        target = self._target(request)
        prepared.host = host = client_host(request, target)
        plan = self._routes.match(target.path)
        if target.doubt is not None:
            self._settle(target.doubt, plan)
        if plan is None:
            return
        prepared.plan = plan
        handshake = None
        if request.is_upgrade and plan.websocket is not None:
            prepared.handshake = handshake = plan.websocket.handshakes.read(request, target)
            if handshake is not None:
                prepared.request = request = handshake.request
                target = handshake.target
        lines = upstream_lines(
            request,
            plan.upstream_target(target),
            plan.host or host or plan.pool.host,
            token_field=self._token_field if plan.keeps_token else None,
            keeps_overrides=plan.policy.allowed_methods is None,
        )
        if handshake is not None:
            lines += handshake.lines
        if plan.prefix_replacement is not None:
            lines += plan.prefix_replacement.lines
        prepared.lines = b"\r\n".join(lines)

    def _route_asked(self, prepared: Prepared) -> None:
        """As `_route`, of a request that another proxy passes on: as it came to that one, so that counts, too."""
        request = prepared.request
        target = self._target(request)
        client_host(request, target)
        plan = self._routes.match(target.path)
        if target.doubt is not None:
            self._settle(target.doubt, plan)
        path = request.target.partition("?")[0]
        if path != target.path and not self._routes.all_fall_on(plan, (path,)):
            raise Refused(Reason.BAD_TARGET)
        if plan is not None and plan.reaches_endpoints:
            raise Refused(Reason.NO_ROUTE)  # no backend has it, so none may be sent it
        prepared.plan = plan
        if plan is not None and plan.policy.allowed_methods is not None and request.method_overrides is not None:
            # Where the method decides, a backend must not be told another one, and here nobody else takes it out.
            raise Refused(Reason.METHOD_NOT_ALLOWED)

    def _target(self, request: Request) -> Target:
        if request.method in _NOT_PASSED_ON:
            raise Refused(Reason.METHOD_NOT_SUPPORTED)
        if len(request.target) > self._max_target_bytes:
            raise Refused(Reason.TARGET_TOO_LONG)
        return parse_target(request.target)

    def _settle(self, doubt: Doubt, plan: RoutePlan | None) -> None:
        """Raises `Refused(BAD_TARGET)` unless the route allows it and all readings fall on it (checklist 20)."""
        allowed = frozenset() if plan is None else plan.allowed_oddities
        if not doubt.oddities <= allowed or not self._routes.all_fall_on(plan, doubt.readings()):
            raise Refused(Reason.BAD_TARGET)
