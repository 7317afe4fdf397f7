"""A user's own sessions: where he is logged in, and the end of one of them."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from aiohttp import hdrs, web

from gateway.auth.verifier import TokenVerifier
from gateway.endpoints.answers import RequestError, error_answer, json_answer
from gateway.endpoints.ledger import Ledger
from gateway.endpoints.view import origin_of
from gateway.errors import GatewayError, Reason, Refused
from gateway.observability.audit import AuditLog
from gateway.types import Session, TokenReference

_Answer: TypeAlias = Callable[[web.Request, TokenReference], Awaitable[web.StreamResponse]]

_NOT_FOUND: Final = {"detail": "Not found."}  # DRF's


class OwnSessions:
    """`GET` → `[{id, created_at, last_used_at, address, user_agent, current}]`; `DELETE …/{id}` → 204.

    The data plane lets only those in who have an access token of ours, and leaves it in the request; here it is read
    once more for whose it is. Nobody hears of another user's sessions: they are not found.
    """

    def __init__(
        self,
        *,
        verifier: TokenVerifier,
        ledger: Ledger,
        audit: AuditLog,
        clock: Callable[[], float],
        token_field: str,
        challenge: str,
    ) -> None:
        self._verifier = verifier
        self._ledger = ledger
        self._audit = audit
        self._clock = clock
        self._token_field = token_field
        self._challenge = challenge

    async def handle_all(self, request: web.Request) -> web.StreamResponse:
        """The collection."""
        return await self._answer(request, ("GET", "HEAD"), self._list)

    async def handle_one(self, request: web.Request) -> web.StreamResponse:
        """One of them, by its id."""
        return await self._answer(request, ("DELETE",), self._end)

    async def _answer(self, request: web.Request, methods: tuple[str, ...], answer: _Answer) -> web.StreamResponse:
        try:
            if request.method not in methods:
                raise RequestError(405, {"detail": f'Method "{request.method}" not allowed.'})
            response = await answer(request, self._token(request))
        except GatewayError as error:
            response = error_answer(error, challenge=self._challenge)
        response.headers[hdrs.ALLOW] = ", ".join(methods)
        return response

    def _token(self, request: web.Request) -> TokenReference:
        token = request.headers.get(self._token_field, "").split()[-1:]
        if not token:
            raise Refused(Reason.NOT_AUTHENTICATED)
        claims = self._verifier.decode(token[0].encode(), self._clock())
        self._verifier.require(claims, "access")
        return self._verifier.reference(claims)

    async def _list(self, _request: web.Request, token: TokenReference) -> web.Response:
        sessions = await self._ledger.sessions_of(token.user_id or "", self._clock())
        sessions.sort(key=lambda session: session.last_used_at, reverse=True)
        return json_answer(200, [_described(session, token) for session in sessions])

    async def _end(self, request: web.Request, token: TokenReference) -> web.Response:
        session_id = request.match_info["session_id"]
        now = self._clock()
        if not await self._ledger.owns_session(token.user_id or "", session_id, now):
            raise RequestError(404, _NOT_FOUND)
        await self._ledger.end_session(session_id, now)
        self._audit.session_ended(origin_of(request), token, session_id=session_id)
        return web.Response(status=204)


def _described(session: Session, token: TokenReference) -> Mapping[str, Any]:
    return {
        "id": session.id,
        "created_at": _moment(session.created_at),
        "last_used_at": _moment(session.last_used_at),
        "address": session.address,
        "user_agent": session.user_agent,
        "current": session.id == token.session_id,
    }


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
