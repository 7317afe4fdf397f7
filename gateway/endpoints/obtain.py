"""Log-in: a user name and a password for a pair of tokens (contract §3)."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.auth.issuer import TokenIssuer, new_session_id, new_token_id
from gateway.auth.user_attributes import attribute_of, require_attribute
from gateway.endpoints.answers import RequestError
from gateway.endpoints.fields import NON_FIELD_ERRORS
from gateway.endpoints.gate import PasswordGate, Throttled
from gateway.endpoints.ledger import Ledger
from gateway.endpoints.moments import next_second
from gateway.errors import ANSWERS, GatewayError, Reason, Refused, StoreUnavailable
from gateway.observability.audit import AuditLog, Origin
from gateway.types import Account, User


class Obtain:
    """`POST {username, password}` → `{refresh, access}` and the configured `response_fields`.

    `response_fields` maps a member's name to a user attribute or to a mapping of such; an attribute that does not exist
    is a ValueError here and not at the first log-in. `legacy_failure` answers wrong credentials as SimpleJWT 3.3 did:
    400 and `non_field_errors`.
    """

    name = "Token Obtain Pair"
    description = "Exchanges the credentials of a user for an access and a refresh token."

    def __init__(
        self,
        *,
        gate: PasswordGate,
        issuer: TokenIssuer,
        ledger: Ledger,
        audit: AuditLog,
        clock: Callable[[], float],
        username_field: str,
        response_fields: Mapping[str, Any],
        legacy_failure: bool,
    ) -> None:
        self._gate = gate
        self._issuer = issuer
        self._ledger = ledger
        self._audit = audit
        self._clock = clock
        self._username_field = username_field
        self._response_fields = response_fields
        self._legacy_failure = legacy_failure
        self.fields = (username_field, "password")
        _require_attributes(response_fields)

    async def answer(self, values: Mapping[str, str], origin: Origin) -> Mapping[str, Any]:
        login, password = values[self._username_field], values["password"]
        try:
            account, now = await self._authenticate(login, password, origin.client_address)
            session_id, token_id = new_session_id(), new_token_id()
            await self._ledger.open_session(
                account.user, session_id=session_id, token_id=token_id, now=now, origin=origin
            )
        except Throttled as refusal:
            self._audit.login_throttled(origin, login=login, by=refusal.by)
            raise
        except (Refused, StoreUnavailable) as error:
            reason = error.reason if isinstance(error, Refused) else Reason.STORE_UNAVAILABLE
            self._audit.login_failed(origin, login=login, reason=reason)
            raise self._failure(error) from None
        ends_at = self._ledger.ends_at(now)
        pair = self._issuer.pair(account.user, session_id=session_id, token_id=token_id, now=now, ends_at=ends_at)
        self._audit.login_succeeded(origin, login=login, user_id=account.user.id, session_id=session_id)
        return {"refresh": pair.refresh, "access": pair.access, **_render(self._response_fields, account.user)}

    async def _authenticate(self, login: str, password: str, address: str) -> tuple[Account, float]:
        """The account, and the moment from which its tokens are to count. Raises as `PasswordGate.authenticate`."""
        while True:
            # Before the account is read: what is issued for a password that changes meanwhile is cut off with it.
            now = self._clock()
            account = await self._gate.authenticate(login, password, address)
            if not await self._ledger.is_cut_off(account.user, now):
                return account, now
            await next_second(now)

    def _failure(self, error: GatewayError) -> GatewayError:
        if self._legacy_failure and isinstance(error, Refused) and error.reason is Reason.WRONG_CREDENTIALS:
            return RequestError(400, {NON_FIELD_ERRORS: [ANSWERS[Reason.WRONG_CREDENTIALS].detail]})
        return error


def _require_attributes(response_fields: Mapping[str, Any]) -> None:
    for value in response_fields.values():
        if isinstance(value, Mapping):
            _require_attributes(value)
        else:
            require_attribute(value)


def _render(response_fields: Mapping[str, Any], user: User) -> dict[str, Any]:
    return {
        name: _render(value, user) if isinstance(value, Mapping) else attribute_of(user, value)
        for name, value in response_fields.items()
    }
