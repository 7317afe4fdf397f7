"""Contract §6."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from gateway.state.sqlite import SqliteStateStore
from gateway.types import RevokedKind
from tests.unit.endpoints.plane import NOW, Plane


def claims_of(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def fault(text: str) -> dict[str, str]:
    return {"detail": text, "code": "token_not_valid"}


def test_s57_log_out_ends_the_refresh_token(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    pair = plane.login()
    answer = plane.ask("blacklist/", {"refresh": pair["refresh"]})
    assert (answer.status, answer.content) == (200, b"{}")
    again = plane.ask("blacklist/", {"refresh": pair["refresh"]})
    assert (again.status, again.json, again.challenge) == (401, fault("Token is blacklisted"), 'Bearer realm="api"')
    assert plane.ask("refresh/", {"refresh": pair["refresh"]}).json == fault("Token is blacklisted")
    claims = claims_of(pair["refresh"])
    assert plane.revocations.is_revoked(claims["jti"], None)
    assert plane.run(plane.store.is_revoked(RevokedKind.TOKEN, claims["jti"]))


def test_the_access_token_lives_on(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    pair = plane.login()
    plane.ask("blacklist/", {"refresh": pair["refresh"]})
    access = claims_of(pair["access"])
    assert not plane.revocations.is_revoked(access["jti"], access["sid"])


def test_s57_by_option_the_whole_session_ends(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(logout_revokes_access=True)
    pair, other = plane.login(), plane.login()
    assert plane.ask("blacklist/", {"refresh": pair["refresh"]}).status == 200
    access = claims_of(pair["access"])
    assert plane.revocations.is_revoked(None, access["sid"])
    assert plane.run(plane.store.is_revoked(RevokedKind.SESSION, access["sid"]))
    assert not plane.revocations.is_revoked(None, claims_of(other["access"])["sid"])
    assert plane.ask("blacklist/", {"refresh": pair["refresh"]}).json == fault("Token is blacklisted")
    assert plane.ask("blacklist/", {"refresh": plane.token()}).status == 200


@pytest.mark.parametrize("claims", [{"user_id": "999"}, {"user_id": "abc"}, {"without": "user_id"}, {"foreign": 1}])
def test_the_user_is_not_looked_at(plane: Plane, claims: dict[str, Any]) -> None:
    answer = plane.ask("blacklist/", {"refresh": plane.token(**claims)})
    assert (answer.status, answer.json) == (200, {})


@pytest.mark.parametrize(
    ("claims", "text"),
    [
        ({"exp": NOW}, "Token is expired"),
        ({"key": "x" * 43}, "Token is invalid"),
        ({"token_type": "access"}, "Token has wrong type"),
        ({"without": "token_type"}, "Token has no type"),
        ({"without": "exp"}, "Token has no 'exp' claim"),
        ({"without": "jti"}, "Token has no id"),
    ],
)
def test_s37_bad_tokens(plane: Plane, claims: dict[str, Any], text: str) -> None:
    answer = plane.ask("blacklist/", {"refresh": plane.token(**claims)})
    assert (answer.status, answer.json, answer.challenge) == (401, fault(text), 'Bearer realm="api"')


class LateStore(SqliteStateStore):
    """Its answers arrive late enough for all of several parallel requests to have asked before one has recorded."""

    async def is_revoked(self, kind: RevokedKind, revoked_id: str) -> bool:
        answer = await super().is_revoked(kind, revoked_id)
        await asyncio.sleep(0.05)
        return answer


@pytest.mark.parametrize("store_class", [SqliteStateStore, LateStore])
def test_of_parallel_log_outs_one_is_200(make_plane: Callable[..., Plane], store_class: type[SqliteStateStore]) -> None:
    plane = make_plane(store_class=store_class)
    answers = plane.ask_at_once("blacklist/", [{"refresh": plane.login()["refresh"]}] * 6)
    assert sorted(answer.status for answer in answers) == [200] + [401] * 5


def test_a_failing_store_is_503(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    refresh = plane.login()["refresh"]
    plane.run(plane.file.close())
    assert plane.ask("blacklist/", {"refresh": refresh}).status == 503
    assert len(plane.revocations) == 0


def test_s86_log_outs_are_on_record(plane: Plane, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = plane.token(user_id="7")
    plane.ask("blacklist/", {"refresh": token})
    plane.ask("blacklist/", {"refresh": token})
    records = [json.loads(r.getMessage()) for r in caplog.records if r.name == "gateway.audit"]
    assert [(r["event"], r.get("reason"), r["user_id"]) for r in records] == [
        ("logout_succeeded", None, "7"),
        ("logout_refused", "token_revoked", "7"),
    ]
    assert token not in caplog.text
