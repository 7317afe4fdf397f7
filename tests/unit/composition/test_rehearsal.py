"""The real planes with memory on both sides; what they say is held against a running gateway in the integration tests."""

import socket

import pytest

from gateway.auth.revocation import RevocationList
from gateway.composition.blueprint import draw
from gateway.composition.rehearsal import REQUEST_ID, Rehearsal, Stage
from gateway.errors import GatewayError, Reason
from gateway.interfaces import UserChanges, UserDirectory
from gateway.types import Account, User
from tests.unit.composition.documents import document_with

ROUTES = "[{path: /, upstream: app, access: public}, {path: /mine, upstream: app}]"


class Nobody(UserDirectory):
    async def find_by_login(self, login: str) -> Account | None:
        return None

    async def find_by_id(self, user_id: str) -> User | None:
        return None

    async def replace_password_hash(self, user_id: str, old: str, new: str) -> None: ...

    async def changes_since(self, position: int) -> UserChanges:
        return UserChanges(position=0, user_ids=frozenset(), everything=False)

    async def close(self) -> None: ...


async def rehearse(request: bytes) -> Rehearsal:
    stage = Stage(draw(document_with(routes=ROUTES)), directory=Nobody(), revocations=RevocationList())
    return await stage.rehearse(request, "192.0.2.1")


async def test_the_head_goes_into_memory_and_no_socket_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", None)
    monkeypatch.setattr(socket.socket, "bind", None)
    told = await rehearse(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
    assert (told.reason, told.answer) == (None, b"")
    assert told.head is not None
    assert told.head.startswith(b"POST /x HTTP/1.1\r\nHost: a\r\n")
    assert told.head.endswith(b"Content-Length: 4\r\n\r\n")
    assert b"X-Request-Id: " + REQUEST_ID in told.head


async def test_a_refusal_is_what_the_client_would_read() -> None:
    told = await rehearse(b"GET /mine HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (told.reason, told.head, told.server) == (Reason.NOT_AUTHENTICATED, None, None)
    assert told.answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")


async def test_a_head_without_an_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.composition.rehearsal._PATIENCE", 0.01)
    with pytest.raises(GatewayError, match="is its head whole"):
        await rehearse(b"GET / HTTP/1.1\r\n")
