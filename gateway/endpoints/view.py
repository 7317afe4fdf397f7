"""One endpoint on the wire, whatever it answers.

A request takes one way: acceptable? → method → body → fields → the endpoint's own answer. Any step may raise a
`GatewayError`, which becomes an answer in one place. The order is DRF's: of two faults the same one is reported.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final, Protocol

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from gateway.endpoints import body, fields
from gateway.endpoints.answers import RequestError, error_answer, json_answer
from gateway.endpoints.negotiation import require_acceptable
from gateway.errors import GatewayError, Reason, Refused
from gateway.http.trace_context import trace_id
from gateway.observability.audit import Origin

LOGGER: Final = logging.getLogger("gateway.endpoints")

# Only the data plane can set these on a request to this application.
CLIENT_ADDRESS_FIELD: Final = "X-Gateway-Client-Address"
REQUEST_ID_FIELD: Final = "X-Request-Id"
TRACEPARENT_FIELD: Final = "traceparent"


class Endpoint(Protocol):
    """One of the four. `fields` are the members of the body that it needs, each a text."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str: ...

    @property
    def fields(self) -> tuple[str, ...]: ...

    async def answer(self, values: Mapping[str, str], origin: Origin, /) -> Mapping[str, Any]:
        """The body of a 200. Raises a `GatewayError` otherwise."""


class View:
    """One endpoint; `challenge` is the value of WWW-Authenticate, `body_timeout` is in seconds."""

    def __init__(self, *, endpoint: Endpoint, challenge: str, body_timeout: float) -> None:
        self._endpoint = endpoint
        self._challenge = challenge
        self._body_timeout = body_timeout

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            answer = json_answer(200, await self._answer(request))
        except GatewayError as error:
            answer = error_answer(error, challenge=self._challenge)
        answer.headers[hdrs.ALLOW] = "POST, OPTIONS"
        return answer

    async def _answer(self, request: web.Request) -> Mapping[str, Any]:
        require_acceptable(request)
        if request.method == hdrs.METH_OPTIONS:
            return self._document()
        if request.method != hdrs.METH_POST:
            raise RequestError(405, {"detail": f'Method "{request.method}" not allowed.'})
        content = await body.read(request, deadline=self._body_timeout)
        data = body.parse(content, body.content_type_of(request))
        values = fields.validate(data, self._endpoint.fields)
        return await self._endpoint.answer(values, origin_of(request))

    def _document(self) -> Mapping[str, Any]:
        """DRF's answer to OPTIONS, in its shape."""
        return {
            "name": self._endpoint.name,
            "description": self._endpoint.description,
            "renders": ["application/json"],
            "parses": ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
            "actions": {
                "POST": {
                    name: {"type": "string", "required": True, "read_only": False, "label": name.capitalize()}
                    for name in self._endpoint.fields
                }
            },
        }


def origin_of(request: web.Request) -> Origin:
    """Where a request came from, as the data plane says."""
    traceparent = request.headers.get(TRACEPARENT_FIELD)
    return Origin(
        client_address=request.headers.get(CLIENT_ADDRESS_FIELD, request.remote or ""),
        request_id=request.headers.get(REQUEST_ID_FIELD, ""),
        trace_id=None if traceparent is None else trace_id(traceparent.encode()),
        user_agent=request.headers.get(hdrs.USER_AGENT, ""),
    )


def last_resort(challenge: str) -> Middleware:
    """404 for every other path, and 500 without a word about why for what nobody foresaw."""

    @web.middleware
    async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPNotFound:
            return error_answer(Refused(Reason.NO_ROUTE), challenge=challenge)
        except Exception:
            LOGGER.exception("request_failed")
            return error_answer(Refused(Reason.INTERNAL_ERROR), challenge=challenge)

    return answer_errors


async def on_expect(request: web.Request) -> web.StreamResponse | None:
    """`Expect` (RFC 9110 §10.1.1): aiohttp's own refusal would be plain text."""
    if request.headers[hdrs.EXPECT].strip().lower() != "100-continue":
        return error_answer(Refused(Reason.EXPECTATION_FAILED), challenge="")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # Not a part of the answer: with a count above zero an error could no longer be answered.
    request.writer.output_size = 0
    return None
