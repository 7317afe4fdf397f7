"""One request and its response, from the parsed head to the log line.

Theory of operation. The head comes read, routed and half rewritten (`preparation`); `start` runs straight down from
there: cut the body, admit, write the gateway's own lines, send. It is synchronous unless a user must be looked up or an
upstream connection opened; then a task waits for that and goes on with the next step. While it waits, reading from the
client is paused, so a body is never read before admission and never piles up here. After that, bytes pass both ways as
they come: `feed` from the client, `on_response_*` from the upstream; the side that cannot take more pauses the reading
of the other. Every exchange ends in `_finish`, whatever happened, and nowhere else.
"""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Final

from gateway.errors import CLIENT_CLOSED_REQUEST, Reason, Refused
from gateway.http.bodies import LAST_CHUNK, NO_BODY, UNTOLD_BODY, Body, FramingError, encode_part, request_body
from gateway.http.cors import CorsPolicy
from gateway.http.heads import HTTP10
from gateway.http.replies import CONTINUE
from gateway.http.requests import Request
from gateway.http.responses import Response, is_event_stream
from gateway.http.rewriting import accepted_request_id, expects_continue, response_head
from gateway.http.upgrades import Handshake
from gateway.observability.tracing import Trace
from gateway.proxy import failover, half_close, own_answers, waiting
from gateway.proxy.admission import UnknownUser
from gateway.proxy.plan import RoutePlan
from gateway.proxy.preparation import Prepared
from gateway.proxy.tunnel import Tunnel
from gateway.proxy.upstream_connection import ConnectionOwner, UpstreamConnection
from gateway.proxy.waiting import CONNECT_TIMEOUT, touch
from gateway.tasks import spawn
from gateway.types import Principal

if TYPE_CHECKING:
    from gateway.proxy.client_connection import ClientConnection

# A length or a missing last chunk shows these, so the client gets what came before, and the answers before that one: a
# reset would take along what the kernel still holds of them. To HTTP/1.0 an answer without a length has no other end.
_BACKENDS_OWN_CUTS: Final = frozenset({Reason.UPSTREAM_BROKEN, Reason.UPSTREAM_STALLED})


class Exchange:
    """`status` and `reason` are what the log line says, of `server`, which got the request last, and of the times.

    `started_at`, `sent_at` (to that server) and `answered_at` (when its head was here; None without) are loop time.
    """

    __slots__ = (
        "_closes",
        "_framing",
        "_head",
        "_payload",
        "_response_body",
        "_sends_chunks",
        "_task",
        "answered_at",
        "awaits_continue",
        "body",
        "bytes_sent",
        "client",
        "failed",
        "handshake",
        "origin",
        "overdue",
        "plan",
        "principal",
        "reason",
        "request",
        "request_id",
        "sent_at",
        "server",
        "started_at",
        "status",
        "trace",
        "traceparent",
        "upstream",
    )

    def __init__(self, client: "ClientConnection", request: Request, started_at: float) -> None:
        self.client = client
        self.origin = client.origin
        self.request = request
        self.started_at = self.sent_at = started_at
        self.answered_at: float | None = None
        self.body: Body = UNTOLD_BODY
        self.plan: RoutePlan | None = None
        self.principal: Principal | None = None
        self.server: ConnectionOwner | None = None
        self.request_id = b""
        self.trace: Trace | None = None  # None also where the request goes on in the trace that it came in
        self.traceparent = request.traceparent  # what the upstream gets
        self.status = 0
        self.reason: Reason | None = None
        self.bytes_sent = 0
        self.awaits_continue = False
        # The upstream request in parts, kept until a response begins: it may have to be sent again.
        self._head = b""
        self._framing = b""
        self._payload = b""
        self._task: asyncio.Task[None] | None = None
        self.upstream: UpstreamConnection | None = None
        self._response_body: Body = NO_BODY
        self._sends_chunks = False
        self._closes = False
        self.handshake: Handshake | None = None
        self.failed: tuple[ConnectionOwner, ...] | None = None  # who got the request in vain; None before any did
        self.overdue = CONNECT_TIMEOUT  # what to say when a wait before the upstream is too long

    @property
    def request_method(self) -> str:
        return self.request.method

    @property
    def is_request_sent(self) -> bool:
        return self.body.is_complete

    # The request

    def start(self, prepared: Prepared, rest: bytes) -> None:
        """Decide on the request and send it on its way. `rest` is what the client sent behind the head."""
        plane = self.client.plane
        request = self.request
        if request.forwarded is not None and plane.trusted_proxies is not None:
            self.origin = plane.trusted_proxies.origin(request.forwarded, self.client.origin)
        try:
            self.request_id = (request.request_id and accepted_request_id(request)) or plane.new_request_id()
            if plane.tracing is not None:
                self.trace = trace = plane.tracing.begin(request.traceparent, is_trusted=request.forwarded is not None)
                self.traceparent = request.traceparent if trace is None else trace.traceparent
            self.body = body = request_body(request)
            if body is NO_BODY:
                self.client.keep_for_later(rest)
            else:
                self._framing = body.framing
                self._payload = self._cut(rest)
            self.awaits_continue = expects_continue(request) and not body.is_complete
            self.plan = plan = prepared.plan
            if prepared.refusal is not None:
                raise Refused(prepared.refusal)
            if request.is_preflight and self._answers_preflight():
                return
            if plan is None:
                raise Refused(Reason.NO_ROUTE)
            self.handshake = prepared.handshake
            found = plane.admission.recognise(plan.policy, request.tokens, plane.clock())
            self._head = prepared.upstream_head(self.origin, self.request_id, self.traceparent)
            if isinstance(found, UnknownUser):
                self.overdue = Reason.STORE_UNAVAILABLE
                self.wait_for(waiting.look_up(self, plan, found))
            else:
                self.forward(plan, found)
        except Refused as refusal:
            self.refuse(refusal.reason, refusal.retry_after)

    def _cut(self, data: bytes) -> bytes:
        """The payload in `data`; what stands behind the body's end is the next request."""
        body = self.body
        try:
            payload = body.feed(data)
        except FramingError:
            raise Refused(Reason.BAD_FRAMING) from None
        if body.is_complete and body.rest:
            self.client.keep_for_later(body.rest)
        if self.plan is not None and body.announced > self.plan.max_body_bytes:
            raise Refused(Reason.BODY_TOO_LARGE)
        return payload

    @property
    def cors(self) -> CorsPolicy | None:
        return self.client.plane.cors if self.plan is None else self.plan.cors

    def _answers_preflight(self) -> bool:
        close = not self._can_stay_open()
        answer = own_answers.preflight(self, close=close)
        if answer is None:
            return False
        self._answer(204, answer, close=close)
        return True

    def _answer(self, status: int, answer: bytes, *, close: bool) -> None:
        self.status = status
        self._write(answer)
        self._finish(close=close)

    def wait_for(self, step: Coroutine[None, None, None]) -> None:
        """Go on in a task; until then nothing is read of a body. With none to come, a client that leaves is noticed."""
        if not self.body.is_complete:
            self.client.pause_reading()
        self._task = spawn(step, name="exchange")
        touch(self)

    def forward(self, plan: RoutePlan, principal: Principal | None) -> None:
        """Raises `Refused` when the route asks for more than `principal` is."""
        plan.policy.authorize(principal, self.request_method)
        self.principal = principal
        if plan.rate_limit is not None:
            user_id = None if principal is None else principal.user_id
            plan.rate_limit.admit(user_id, self.origin.address, self.client.plane.now())
        if self.request.asked_by is not None:
            close = not self._can_stay_open()
            self._answer(200, own_answers.confirmation(self, close=close), close=close)
            return
        if self.body.announced > plan.max_body_bytes:
            raise Refused(Reason.BODY_TOO_LARGE)
        if self.handshake is not None and plan.websocket is not None:
            self.client.plane.long_exchanges.require_room(plan.websocket, principal)
        if principal is not None:
            self._head = b"%b\r\n%b" % (self._head, principal.identity)
        upstream = plan.pool.take()
        if upstream is None:
            self.wait_for(waiting.connect(self, plan))
        else:
            self.send(upstream)

    def send(self, upstream: UpstreamConnection) -> None:
        if self._task is not None:
            self._task = None
            self.sent_at = self.client.plane.now()
        self.upstream = upstream
        self.server = upstream.owner
        payload = encode_part(self.body, self._payload)
        if self.awaits_continue and not self.body.is_complete and not self._payload:
            self.client.write(CONTINUE)
        # Also with nothing left to read: only a reading connection notices that its client has gone. Before sending,
        # for that may fill the upstream, which stops the reading again.
        self.client.resume_unless_pipelined()
        upstream.begin(self, b"%b\r\n%b\r\n%b" % (self._head, self._framing, payload))
        if self.client.is_writing_paused:
            # Since before there was an upstream to hold back, by a question of `half_close` behind earlier answers.
            upstream.pause_reading()
        touch(self)

    def feed(self, data: bytes) -> None:
        """Further bytes of the request body."""
        try:
            payload = self._cut(data)
        except Refused as refusal:
            self.refuse(refusal.reason)
            return
        if self.upstream is None:
            self._payload += payload
        else:
            self.upstream.write(encode_part(self.body, payload))
        touch(self)

    # The response

    def on_interim_response(self, response: Response) -> None:
        """103 and its kin; HTTP/1.0 does not know them (RFC 9110 §15.2)."""
        if self.request.version is not HTTP10:
            self.client.write(b"\r\n".join((response.line, *response.passed, b"\r\n")))

    def on_switch(self, response: Response) -> Tunnel | None:
        """The backend speaks WebSocket now: the tunnel takes the place of this exchange on both connections."""
        tunnel = Tunnel.over(self, response)
        if tunnel is not None:
            self.upstream = None
            # A tunnel is long and there may be thousands: what is not for the log line goes.
            self.handshake = None
            self._head = b""
        return tunnel

    def on_response_head(self, response: Response, body: Body, payload: bytes) -> None:
        self._response_body = body
        to_http10 = self.request.version is HTTP10
        if body.is_chunked and is_event_stream(response):
            self.client.plane.long_exchanges.watch(self)
        self._sends_chunks = body.is_chunked and not to_http10
        self._closes = (body.is_chunked and to_http10) or not self._can_stay_open()
        self.answered_at = self.client.plane.now()
        cors = self.cors
        head = response_head(
            response,
            body,
            request_id=self.request_id,
            cors_fields=None if cors is None else cors.fields(self.request.origin),
            to_http10=to_http10,
            close=self._closes,
        )
        self.status = response.status  # from here on there is an answer, which can only be cut
        self._write(head + (self._encode_response(payload) if self._sends_chunks else payload))
        if not body.is_complete:
            touch(self)

    def on_response_body(self, payload: bytes) -> None:
        self._write(self._encode_response(payload) if self._sends_chunks else payload)
        touch(self)

    def _encode_response(self, payload: bytes) -> bytes:
        self._sends_chunks = not self._response_body.is_complete
        return encode_part(self._response_body, payload)

    @property
    def _ends_with_connection(self) -> bool:
        """Whether nothing else tells the client where the answer ends."""
        return self._response_body.is_chunked and not self._sends_chunks

    def _write(self, data: bytes) -> None:
        self.bytes_sent += len(data)
        self.client.write(data)

    def on_response_end(self) -> None:
        self.upstream = None
        if self._sends_chunks:
            self._write(LAST_CHUNK)
        self._finish(close=self._closes)

    # What goes wrong

    def on_upstream_failed(self, reason: Reason) -> None:
        upstream, self.upstream = self.upstream, None
        if reason is Reason.INTERNAL_ERROR:
            self.client.end_at_defect()
        elif upstream is None or self.plan is None or self.status:
            self.refuse(reason)
        else:
            failover.send_again_or_refuse(self, self.plan, upstream, reason)

    def on_upstream_writable(self, *, is_writable: bool) -> None:
        if is_writable:
            self.client.resume_unless_pipelined()
            touch(self)
        elif not self.body.is_complete:
            self.client.pause_reading()
            touch(self)

    def on_client_writable(self, *, is_writable: bool) -> None:
        """The client's socket takes more, or no more for now."""
        if self.upstream is not None:
            if is_writable:
                self.upstream.resume_reading()
            else:
                self.upstream.pause_reading()
        touch(self)

    def on_deadline(self) -> None:
        self.refuse(waiting.blame(self))

    def on_client_eof(self) -> bool:
        """The client sends nothing more. True: it may wait for the answer, and the connection ends with that.

        Else it is gone, at once, not when the connection is lost: that waits for a client that perhaps takes nothing
        more, either. Answers from before it may still take.
        """
        if half_close.may_wait(self) and self.client.become_half_open():
            self._closes = True
            if not self.status:
                half_close.ask_later(self)
            return True
        self.on_client_gone()
        return False

    def end_early(self, reason: Reason) -> None:
        """An event stream whose token has ended, or its user: it is cut, and the client comes back or does not."""
        self.refuse(reason)

    def on_client_gone(self) -> None:
        """The client closed its connection: nobody waits for the answer, so the upstream need not go on with it."""
        self.reason = self.reason or Reason.CLIENT_GONE
        self.status = self.status or CLIENT_CLOSED_REQUEST
        self._finish(close=True, cut=self._ends_with_connection)

    def waits_for_client(self) -> bool:
        if self.client.is_writing_paused:
            return True
        return self.upstream is not None and not self.body.is_complete and not self.client.is_reading_paused

    def refuse(self, reason: Reason, retry_after: int = 0) -> None:
        """Answer in the gateway's own name; where an answer has begun, cut it."""
        plane = self.client.plane
        self.reason = reason
        if self.status:
            # Half an answer must look like half an answer: no last chunk, no clean end (checklist 72).
            self._finish(close=True, cut=self._ends_with_connection or reason not in _BACKENDS_OWN_CUTS)
            return
        self.status = plane.replies.status(reason)
        if not self.request_id:
            self.request_id = plane.new_request_id()
        close = plane.replies.closes(reason) or not self._can_stay_open()
        self._write(own_answers.refusal(self, reason, close=close, retry_after=retry_after))
        self._finish(close=close)

    # The end

    def _can_stay_open(self) -> bool:
        """An unread body cannot be told from the next request by anybody but us, so the connection ends with it."""
        return self.body.is_complete and not self.request.should_close and self.client.may_stay_open

    def _finish(self, *, close: bool, cut: bool = False) -> None:
        """The one end of every exchange: task, upstream, log line, and what the connection does next."""
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        if self.upstream is not None:
            self.upstream.close()
            self.upstream = None
        self.client.plane.on_exchange_end(self)
        self.client.on_exchange_end(close=close, cut=cut)
