"""Contract §4, and §13 where the library fails."""

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

NO_ACCOUNT = {"detail": "No active account found for the given token."}


def claims_of(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def fault(text: str) -> dict[str, str]:
    return {"detail": text, "code": "token_not_valid"}


def test_a_new_access_token(plane: Plane) -> None:
    answer = plane.ask("refresh/", {"refresh": plane.login()["refresh"]})
    assert answer.status == 200
    assert list(answer.json) == ["access"]
    assert claims_of(answer.json["access"])["token_type"] == "access"


def test_every_other_claim_is_copied(plane: Plane) -> None:
    token = plane.token(sid="s-1", color="blue", nbf=NOW - 5, roles=["a"])
    access = claims_of(plane.ask("refresh/", {"refresh": token}).json["access"])
    old = claims_of(token)
    changed = {"token_type", "exp", "iat", "jti"}
    assert {n: v for n, v in access.items() if n not in changed} == {n: v for n, v in old.items() if n not in changed}
    assert access["exp"] == NOW + 300
    assert access["jti"] != old["jti"]


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"exp": NOW}, "Token is expired"),
    ({"exp": NOW - 100}, "Token is expired"),
    ({"key": "x" * 43}, "Token is invalid"),
    ({"iat": NOW + 60}, "Token is invalid"),
    ({"nbf": NOW + 60}, "Token is invalid"),
    ({"exp": "soon"}, "Token is invalid"),
    ({"exp": "1900000000"}, "Token is invalid"),
    ({"exp": 10**15}, "Token is invalid"),
    ({"jti": 5}, "Token is invalid"),
    ({"token_type": "access"}, "Token has wrong type"),
    ({"token_type": "sliding"}, "Token has wrong type"),
    ({"token_type": None}, "Token has wrong type"),
    ({"without": "token_type"}, "Token has no type"),
    ({"without": "exp"}, "Token has no 'exp' claim"),
    ({"without": "jti"}, "Token has no id"),
]


@pytest.mark.parametrize(("claims", "text"), FAULTS)
def test_s37_bad_tokens(plane: Plane, claims: dict[str, Any], text: str) -> None:
    answer = plane.ask("refresh/", {"refresh": plane.token(**claims)})
    assert (answer.status, answer.json, answer.challenge) == (401, fault(text), 'Bearer realm="api"')
    assert list(answer.json) == ["detail", "code"]


@pytest.mark.parametrize("token", ["x", "a.b.c", "...", 123, "é", "x" * 20_000, "eyJhbGciOiJub25lIn0.e30."])
def test_malformed_tokens(plane: Plane, token: object) -> None:
    answer = plane.ask("refresh/", {"refresh": token})
    assert (answer.status, answer.json) == (401, fault("Token is invalid"))


def test_white_space_around_a_token_does_not_count(plane: Plane) -> None:
    assert plane.ask("refresh/", {"refresh": f" {plane.token()}\n"}).status == 200


@pytest.mark.parametrize(
    ("claims", "body"),
    [
        ({"user_id": "999"}, NO_ACCOUNT),
        ({"user_id": 999}, NO_ACCOUNT),
        ({"user_id": "abc"}, NO_ACCOUNT),
        ({"user_id": 0}, NO_ACCOUNT),
        ({"user_id": ""}, NO_ACCOUNT),
        ({"user_id": None}, NO_ACCOUNT),
        ({"user_id": [1]}, NO_ACCOUNT),
        ({"user_id": True}, NO_ACCOUNT),
        ({"without": "user_id"}, fault("Token contained no recognizable user identification")),
    ],
)
def test_tokens_of_no_user(plane: Plane, claims: dict[str, Any], body: object) -> None:
    answer = plane.ask("refresh/", {"refresh": plane.token(**claims)})
    assert (answer.status, answer.json, answer.challenge) == (401, body, 'Bearer realm="api"')


def test_a_numeric_user_id_is_taken_and_stays_a_number(plane: Plane) -> None:
    answer = plane.ask("refresh/", {"refresh": plane.token(user_id=int(plane.users["alice"].id))})
    assert claims_of(answer.json["access"])["user_id"] == int(plane.users["alice"].id)


@pytest.mark.parametrize("how", ["disabled", "removed"])
def test_s56_the_user_is_looked_up_again(make_plane: Callable[..., Plane], how: str) -> None:
    plane = make_plane()
    refresh = plane.login("bob")["refresh"]
    change = plane.directory.set_active("bob", is_active=False) if how == "disabled" else plane.directory.remove("bob")
    plane.run(change)
    answer = plane.ask("refresh/", {"refresh": refresh})
    assert (answer.status, answer.json) == (401, NO_ACCOUNT)


def test_without_rotation_a_token_is_good_many_times(plane: Plane) -> None:
    refresh = plane.login()["refresh"]
    answers = plane.ask_at_once("refresh/", [{"refresh": refresh}] * 4)
    assert [answer.status for answer in answers] == [200] * 4


def test_the_order_of_checks(make_plane: Callable[..., Plane]) -> None:
    """Expired comes before revoked, revoked before the type, the type before the user."""
    plane = make_plane()
    jti = "0" * 32
    assert plane.ask("blacklist/", {"refresh": plane.token(jti=jti)}).status == 200
    rows: list[tuple[dict[str, Any], str]] = [
        ({"exp": NOW - 1, "token_type": "access"}, "Token is expired"),
        ({"jti": jti, "exp": NOW - 1}, "Token is expired"),
        ({"jti": jti, "token_type": "access"}, "Token is blacklisted"),
        ({"jti": jti, "without": "exp"}, "Token is blacklisted"),
        ({"jti": jti, "user_id": "999"}, "Token is blacklisted"),
        ({"without": "exp", "token_type": "access"}, "Token has no 'exp' claim"),
        ({"without": "jti", "token_type": "access"}, "Token has no id"),
        ({"token_type": "access", "user_id": "999"}, "Token has wrong type"),
    ]
    for claims, text in rows:
        assert plane.ask("refresh/", {"refresh": plane.token(**claims)}).json == fault(text), claims


def test_a_revocation_of_another_worker_counts(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    for refresh in (plane.login()["refresh"], plane.login()["refresh"]):
        plane.revocations.purge(NOW + 10**6)
        assert plane.ask("blacklist/", {"refresh": refresh}).status == 200
        plane.revocations.purge(NOW + 10**6)
        assert len(plane.revocations) == 0
        assert plane.ask("refresh/", {"refresh": refresh}).json == fault("Token is blacklisted")


def test_s55_rotation_spends_the_token(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(rotate_refresh_tokens=True)
    old = plane.login()["refresh"]
    answer = plane.ask("refresh/", {"refresh": old})
    assert answer.status == 200
    assert list(answer.json) == ["access", "refresh"]
    before, after = claims_of(old), claims_of(answer.json["refresh"])
    assert after["sid"] == before["sid"]
    assert after["jti"] != before["jti"]
    assert plane.revocations.is_revoked(before["jti"], None)
    assert plane.run(plane.store.is_revoked(RevokedKind.TOKEN, before["jti"]))
    assert plane.ask("refresh/", {"refresh": answer.json["refresh"]}).status == 200


class LateStore(SqliteStateStore):
    """Its answers arrive late enough for all of several parallel requests to have asked before one has recorded."""

    async def is_revoked(self, kind: RevokedKind, revoked_id: str) -> bool:
        answer = await super().is_revoked(kind, revoked_id)
        await asyncio.sleep(0.05)
        return answer


@pytest.mark.parametrize("store_class", [SqliteStateStore, LateStore])
def test_s55_of_parallel_refreshes_exactly_one_wins(
    make_plane: Callable[..., Plane], store_class: type[SqliteStateStore]
) -> None:
    plane = make_plane(rotate_refresh_tokens=True, store_class=store_class)
    refresh = plane.login()["refresh"]
    answers = plane.ask_at_once("refresh/", [{"refresh": refresh}] * 8)
    assert sorted(answer.status for answer in answers) == [200] + [401] * 7
    assert all(answer.json == fault("Token is blacklisted") for answer in answers if answer.status == 401)


def test_s55_reuse_of_a_spent_token_ends_the_session(
    make_plane: Callable[..., Plane], caplog: pytest.LogCaptureFixture
) -> None:
    plane = make_plane(rotate_refresh_tokens=True)
    old, other = plane.login()["refresh"], plane.login()["refresh"]
    successor = plane.ask("refresh/", {"refresh": old}).json["refresh"]
    sid = claims_of(old)["sid"]
    assert not plane.revocations.is_revoked(None, sid)
    assert plane.ask("refresh/", {"refresh": old}).json == fault("Token is blacklisted")
    assert plane.revocations.is_revoked(None, sid)
    assert plane.run(plane.store.is_revoked(RevokedKind.SESSION, sid))
    assert plane.ask("refresh/", {"refresh": successor}).json == fault("Token is blacklisted")
    assert plane.ask("refresh/", {"refresh": other}).status == 200
    events = [json.loads(r.getMessage())["event"] for r in caplog.records if r.name == "gateway.audit"]
    assert events.count("session_revoked") == 1


def test_s58_revocations_end_with_the_last_token_they_concern(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(rotate_refresh_tokens=True, leeway=10.0)
    old = plane.login()["refresh"]
    plane.ask("refresh/", {"refresh": old})
    plane.ask("refresh/", {"refresh": old})
    recorded = plane.run(plane.store.revocations_since(0)).revocations
    assert {(r.kind, r.expires_at) for r in recorded} == {
        (RevokedKind.TOKEN, claims_of(old)["exp"] + 10),
        (RevokedKind.SESSION, NOW + 86400 + 11),
    }


def test_without_rotation_a_token_of_before_the_log_out_ends_nothing(make_plane: Callable[..., Plane]) -> None:
    """Nothing was stolen: another tab has not heard of the log-out, and that never revokes access tokens."""
    plane = make_plane()
    refresh = plane.login()["refresh"]
    assert plane.ask("blacklist/", {"refresh": refresh}).status == 200
    assert plane.ask("refresh/", {"refresh": refresh}).json == fault("Token is blacklisted")
    assert not plane.revocations.is_revoked(None, claims_of(refresh)["sid"])


def test_a_spent_token_without_a_session_ends_nothing_else(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(rotate_refresh_tokens=True)
    token = plane.token()
    assert plane.ask("refresh/", {"refresh": token}).status == 200
    assert plane.ask("refresh/", {"refresh": token}).json == fault("Token is blacklisted")
    assert len(plane.run(plane.store.revocations_since(0)).revocations) == 1


@pytest.mark.parametrize("sid", [5, "", None, ["x"]])
def test_a_session_id_of_another_shape_is_none(make_plane: Callable[..., Plane], sid: object) -> None:
    plane = make_plane(rotate_refresh_tokens=True)
    token = plane.token(sid=sid)
    assert [plane.ask("refresh/", {"refresh": token}).status for _ in range(2)] == [200, 401]


def test_a_failing_store_is_503_and_never_401(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    refresh = plane.login()["refresh"]
    plane.run(plane.file.close())
    answer = plane.ask("refresh/", {"refresh": refresh})
    assert (answer.status, answer.json["code"], answer.challenge) == (503, "store_unavailable", None)


def test_s86_refusals_are_on_record_without_tokens(plane: Plane, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = plane.token("access", user_id="7")
    plane.ask("refresh/", {"refresh": token})
    plane.ask("refresh/", {"refresh": "garbage"})
    records = [json.loads(r.getMessage()) for r in caplog.records if r.name == "gateway.audit"]
    assert [(r["event"], r["reason"], r.get("user_id")) for r in records] == [
        ("refresh_refused", "token_wrong_type", "7"),
        ("refresh_refused", "token_invalid", None),
    ]
    assert token not in caplog.text
    assert "garbage" not in caplog.text


@pytest.mark.parametrize(
    ("content", "body"),
    [
        ({}, {"refresh": ["This field is required."]}),
        ({"token": "x"}, {"refresh": ["This field is required."]}),
        ({"refresh": None}, {"refresh": ["This field may not be null."]}),
        ({"refresh": {"a": 1}}, {"refresh": ["Not a valid string."]}),
    ],
)
def test_fields(plane: Plane, content: object, body: object) -> None:
    answer = plane.ask("refresh/", content)
    assert (answer.status, answer.json) == (400, body)
