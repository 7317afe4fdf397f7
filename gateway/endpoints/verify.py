"""Verify: whether a token of any type is good (contract §5)."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.auth.verifier import TokenVerifier
from gateway.endpoints.answers import RequestError
from gateway.endpoints.fields import NON_FIELD_ERRORS
from gateway.endpoints.ledger import Ledger
from gateway.errors import ANSWERS, Reason
from gateway.observability.audit import Origin
from gateway.types import Claims


class Verify:
    """`POST {token}` → `{}`. Nobody looks at the user; revocations count only with rotation, and then last."""

    name = "Token Verify"
    description = "Tells whether a token is valid. It says nothing about what the token may be used for."
    fields = ("token",)

    def __init__(self, *, verifier: TokenVerifier, ledger: Ledger, clock: Callable[[], float], rotates: bool) -> None:
        self._verifier = verifier
        self._ledger = ledger
        self._clock = clock
        self._rotates = rotates

    async def answer(self, values: Mapping[str, str], _origin: Origin) -> Mapping[str, Any]:
        claims = self._verifier.decode(values["token"].encode(), self._clock())
        self._verifier.require(claims, None)
        if self._rotates and await self._is_blacklisted(claims):
            # Not the 401 of the other endpoints: the library finds it while validating the field.
            raise RequestError(400, {NON_FIELD_ERRORS: [ANSWERS[Reason.TOKEN_REVOKED].message]})
        return {}

    async def _is_blacklisted(self, claims: Claims) -> bool:
        token = self._verifier.reference(claims)
        if await self._ledger.is_revoked(token):
            return True
        return self._verifier.is_refresh(claims) and await self._ledger.is_spent(token)
