"""Contract §6."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from gateway.auth.sessions import session_id_for
from gateway.state.sqlite import SqliteStateStore
from gateway.types import IssuedToken, Session
from tests.unit.endpoints.plane import JSON, NOW, Plane, claims_of, reference_of


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


def test_s57_the_whole_session_ends_and_no_other(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    pair, other = plane.login(), plane.login()
    assert plane.ask("blacklist/", {"refresh": pair["refresh"]}).status == 200
    for token in pair.values():
        assert plane.revocations.is_revoked(reference_of(token))
        assert plane.run(plane.store.is_revoked(reference_of(token)))
    assert not plane.revocations.is_revoked(reference_of(other["access"]))
    assert plane.run(plane.store.find_session(claims_of(pair["access"])["sid"])) is None
    assert plane.run(plane.store.find_session(claims_of(other["access"])["sid"])) is not None


def test_s57_an_access_token_that_was_refreshed_ends_too(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    for refresh in (plane.login()["refresh"], plane.token(user_id=plane.users["alice"].id)):
        access = plane.ask("refresh/", {"refresh": refresh}).json["access"]
        assert plane.ask("blacklist/", {"refresh": refresh}).status == 200
        assert plane.revocations.is_revoked(reference_of(access))


def test_a_spent_token_is_answered_as_by_the_library_but_its_owner_is_out(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(rotates=True)
    spent = plane.login()["refresh"]
    successor = plane.ask("refresh/", {"refresh": spent}).json["refresh"]
    assert plane.ask("blacklist/", {"refresh": spent}).json == fault("Token is blacklisted")
    assert plane.ask("refresh/", {"refresh": successor}).json == fault("Token is blacklisted")


async def forget_what_is_over(plane: Plane) -> None:
    plane.revocations.purge(plane.clock.now)
    await plane.store.purge(int(plane.clock.now))


def test_s58_a_log_out_lasts_as_long_as_a_token_that_lives_longer_than_ours(make_plane: Callable[..., Plane]) -> None:
    """Of Django's, with the same key, or of a configuration whose lifetimes were longer."""
    plane = make_plane()
    lasting = plane.token(user_id=plane.users["alice"].id, exp=NOW + 30 * 86400)
    assert plane.ask("blacklist/", {"refresh": lasting}).status == 200
    plane.clock.now += 29 * 86400
    plane.run(forget_what_is_over(plane))
    assert plane.ask("refresh/", {"refresh": lasting}).json == fault("Token is blacklisted")


@pytest.mark.parametrize("rotates", [True, False])
def test_s58_a_log_out_lasts_as_long_as_any_token_of_the_session(
    make_plane: Callable[..., Plane], *, rotates: bool
) -> None:
    """The one that is shown may end before another."""
    plane = make_plane(rotates=rotates, access_lifetime=30 * 86400)
    pair = plane.login()
    plane.reload(access=300)
    assert plane.ask("blacklist/", {"refresh": pair["refresh"]}).status == 200
    plane.clock.now += 29 * 86400
    plane.run(forget_what_is_over(plane))
    assert plane.revocations.is_revoked(reference_of(pair["access"]))
    assert plane.run(plane.store.is_revoked(reference_of(pair["access"])))


def test_s57_a_refresh_that_a_log_out_overtakes_brings_the_session_no_tokens(make_plane: Callable[..., Plane]) -> None:
    class Overtaken(SqliteStateStore):
        async def find_session(self, session_id: str) -> Session | None:
            if (refresh := plane_of.pop("refresh", None)) is not None:
                content = json.dumps({"refresh": refresh})
                assert (await plane.exchange("POST", "/api/token/blacklist/", content, JSON)).status == 200
            return await super().find_session(session_id)

    plane_of: dict[str, str] = {}
    plane = make_plane(store_class=Overtaken, rotates=True)
    plane_of["refresh"] = refresh = plane.login()["refresh"]
    assert plane.ask("refresh/", {"refresh": refresh}).json == fault("Token is blacklisted")
    assert plane.run(plane.store.sessions(user_id=None, after="", limit=10)) == []


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

    async def is_revoked(self, token: IssuedToken) -> bool:
        answer = await super().is_revoked(token)
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
    assert {r["session"] for r in records} == {session_id_for(claims_of(token)["jti"])}
    assert token not in caplog.text
