"""The public keys, for programs that check tokens themselves (RFC 7517 §5)."""

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import hdrs, web

from gateway.endpoints.answers import json_answer

# A key must be seen by everybody before it signs, so this is a part of how long a rotation takes (docs/operations.md).
MAX_AGE_SECONDS: Final = 300  # what PyJWKClient keeps a set for, too


class PublicKeys:
    """`GET` → the JWK set. Anybody may have it and keep it for a while; it changes with a reload alone."""

    def __init__(self, jwks: Mapping[str, Any]) -> None:
        self._jwks = jwks

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            answer = json_answer(405, {"detail": f'Method "{request.method}" not allowed.'})
        else:
            answer = json_answer(200, self._jwks)
            answer.headers[hdrs.CACHE_CONTROL] = f"public, max-age={MAX_AGE_SECONDS}"
        answer.headers[hdrs.ALLOW] = "GET, HEAD"
        return answer
