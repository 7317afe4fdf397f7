"""Contract §4, and §13 where the library fails."""

import asyncio
import dataclasses
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest

from gateway.auth.sessions import session_id_for
from gateway.state.sqlite import SqliteStateStore
from gateway.types import IssuedToken, RevokedKind, Session
from tests.unit.endpoints.plane import JSON, NOW, Plane, claims_of, reference_of

NO_ACCOUNT = {"detail": "No active account found for the given token."}


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


def test_s55_rotation_gives_a_successor_of_the_same_session(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(rotates=True)
    old = plane.login()["refresh"]
    answer = plane.ask("refresh/", {"refresh": old})
    assert answer.status == 200
    assert list(answer.json) == ["access", "refresh"]
    before, after = claims_of(old), claims_of(answer.json["refresh"])
    assert after["sid"] == before["sid"]
    assert after["jti"] != before["jti"]
    assert plane.ask("refresh/", {"refresh": answer.json["refresh"]}).status == 200


class LateStore(SqliteStateStore):
    """Its answers arrive late enough for all of several parallel requests to have asked before one has recorded."""

    async def find_session(self, session_id: str) -> Session | None:
        answer = await super().find_session(session_id)
        await asyncio.sleep(0.05)
        return answer


@pytest.mark.parametrize("origin", ["ours", "another issuer's"])
@pytest.mark.parametrize("store_class", [SqliteStateStore, LateStore])
def test_s55_parallel_refreshes_get_the_same_successor(
    make_plane: Callable[..., Plane], store_class: type[SqliteStateStore], origin: str
) -> None:
    plane = make_plane(rotates=True, store_class=store_class)
    user_id = plane.users["alice"].id
    refresh = plane.login()["refresh"] if origin == "ours" else plane.token(user_id=user_id)
    answers = plane.ask_at_once("refresh/", [{"refresh": refresh}] * 8)
    assert [answer.status for answer in answers] == [200] * 8
    assert len({answer.json["refresh"] for answer in answers}) == 1
    assert len({claims_of(answer.json["access"])["jti"] for answer in answers}) == 8
    assert plane.ask("refresh/", {"refresh": answers[0].json["refresh"]}).status == 200


def test_s55_the_last_spent_token_gives_the_same_successor_within_the_grace_time(
    make_plane: Callable[..., Plane],
) -> None:
    plane = make_plane(rotates=True, rotation_grace=30)
    old = plane.login()["refresh"]
    successor = plane.ask("refresh/", {"refresh": old}).json["refresh"]
    plane.clock.now += 29
    assert plane.ask("refresh/", {"refresh": old}).json["refresh"] == successor
    plane.clock.now += 1
    assert plane.ask("refresh/", {"refresh": old}).json == fault("Token is blacklisted")


def test_s55_reuse_of_a_spent_token_ends_the_session(
    make_plane: Callable[..., Plane], caplog: pytest.LogCaptureFixture
) -> None:
    plane = make_plane(rotates=True, rotation_grace=0)
    (old, other) = (plane.login() for _ in range(2))
    successor = plane.ask("refresh/", {"refresh": old["refresh"]}).json["refresh"]
    assert not plane.revocations.is_revoked(reference_of(old["access"]))
    assert plane.ask("refresh/", {"refresh": old["refresh"]}).json == fault("Token is blacklisted")
    assert plane.revocations.is_revoked(reference_of(old["access"]))
    assert plane.run(plane.store.is_revoked(reference_of(old["access"])))
    for token in (successor, old["refresh"]):
        assert plane.ask("refresh/", {"refresh": token}).json == fault("Token is blacklisted")
    assert plane.ask("refresh/", {"refresh": other["refresh"]}).status == 200
    records = [json.loads(r.getMessage()) for r in caplog.records if r.name == "gateway.audit"]
    (revoked,) = [record for record in records if record["event"] == "session_revoked"]
    assert revoked["reason"] == "refresh_token_reused"
    assert revoked["session"] == claims_of(successor)["sid"]


def test_s55_only_the_last_spent_token_has_a_grace_time(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(rotates=True)
    first = plane.login()["refresh"]
    second = plane.ask("refresh/", {"refresh": first}).json["refresh"]
    third = plane.ask("refresh/", {"refresh": second}).json["refresh"]
    assert plane.ask("refresh/", {"refresh": second}).json["refresh"] == third
    assert plane.ask("refresh/", {"refresh": first}).json == fault("Token is blacklisted")
    assert plane.ask("refresh/", {"refresh": third}).json == fault("Token is blacklisted")


def test_s58_revocations_end_with_the_last_token_they_concern(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(rotates=True, rotation_grace=0, leeway=10.0)
    old = plane.login()["refresh"]
    plane.ask("refresh/", {"refresh": old})
    plane.ask("refresh/", {"refresh": old})
    recorded = plane.run(plane.store.revocations_since(0)).revocations
    assert {(r.kind, r.expires_at) for r in recorded} == {(RevokedKind.SESSION, NOW + 86400 + 11 + 60)}


def test_a_session_is_on_record_from_its_log_in_to_its_last_use(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(rotates=True, leeway=10.0)
    old = plane.login()["refresh"]
    opened = plane.run(plane.store.find_session(claims_of(old)["sid"]))
    assert opened == Session(
        id=claims_of(old)["sid"],
        user_id=plane.users["alice"].id,
        token_id=claims_of(old)["jti"],
        parent_id=None,
        rotated_at=NOW,
        created_at=NOW,
        last_used_at=NOW,
        expires_at=NOW + 86400 + 11,
        address="127.0.0.1",
        user_agent=opened.user_agent if opened else "",
    )
    assert "aiohttp" in opened.user_agent
    plane.clock.now += 100
    answer = plane.ask("refresh/", {"refresh": old}, fields={**JSON, "User-Agent": "a\xe9" + "b" * 300})
    successor = claims_of(answer.json["refresh"])
    assert plane.run(plane.store.find_session(opened.id)) == dataclasses.replace(
        opened,
        token_id=successor["jti"],
        parent_id=opened.token_id,
        rotated_at=NOW + 100,
        last_used_at=NOW + 100,
        expires_at=NOW + 86400 + 111,
        user_agent="a?" + "b" * 253,
    )


def test_without_rotation_a_session_has_one_refresh_token_to_its_end(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    refresh = plane.login()["refresh"]
    plane.clock.now += 86_300
    assert [list(plane.ask("refresh/", {"refresh": refresh}).json) for _ in range(2)] == [["access"]] * 2
    session = plane.run(plane.store.find_session(claims_of(refresh)["sid"]))
    assert session is not None
    assert (session.token_id, session.parent_id) == (claims_of(refresh)["jti"], None)
    assert (session.last_used_at, session.expires_at) == (NOW + 86_300, NOW + 86_601)  # the access token's end


def test_s56_a_session_that_idles_for_too_long_is_over(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(rotates=True, idle_timeout=100)
    refresh = plane.login()["refresh"]
    for _ in range(3):
        plane.clock.now += 99
        refresh = plane.ask("refresh/", {"refresh": refresh}).json["refresh"]
    plane.clock.now += 100.5
    assert plane.ask("refresh/", {"refresh": refresh}).json == fault("Token is expired")


def test_s56_a_session_and_its_tokens_end_with_its_lifetime_whatever_is_refreshed(
    make_plane: Callable[..., Plane],
) -> None:
    plane = make_plane(rotates=True, session_lifetime=1000)
    pair = plane.login()
    assert claims_of(pair["refresh"])["exp"] == NOW + 1000
    for _ in range(3):
        plane.clock.now += 300
        pair = plane.ask("refresh/", {"refresh": pair["refresh"]}).json
    assert [claims_of(token)["exp"] for token in pair.values()] == [NOW + 1000] * 2
    plane.clock.now += 100
    assert plane.ask("refresh/", {"refresh": pair["refresh"]}).json == fault("Token is expired")


@pytest.mark.parametrize("sid", [5, "", None, ["x"], ...])
def test_a_token_without_a_session_gets_one(make_plane: Callable[..., Plane], sid: object) -> None:
    plane = make_plane(rotates=True, rotation_grace=0)
    token = plane.token(user_id=plane.users["alice"].id, **({} if sid is ... else {"sid": sid}))
    answer = plane.ask("refresh/", {"refresh": token}).json
    session_id = session_id_for(claims_of(token)["jti"])
    assert [claims_of(each)["sid"] for each in answer.values()] == [session_id] * 2
    assert plane.ask("refresh/", {"refresh": token}).status == 401
    assert plane.ask("refresh/", {"refresh": answer["refresh"]}).status == 401


def test_s55_with_rotation_a_token_whose_session_is_lost_is_refused_as_it_may_have_been_spent(
    make_plane: Callable[..., Plane],
) -> None:
    plane = make_plane(rotates=True)
    spent = plane.login()["refresh"]
    successor = plane.ask("refresh/", {"refresh": spent}).json["refresh"]
    plane.run(plane.file.write(lambda connection: connection.execute("DELETE FROM sessions") and None))
    for token in (spent, successor):
        answer = plane.ask("refresh/", {"refresh": token})
        assert (answer.status, answer.json) == (401, fault("Token is blacklisted"))
    assert plane.ask("refresh/", {"refresh": plane.login()["refresh"]}).status == 200


def test_without_rotation_a_session_whose_row_is_lost_goes_on(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(rotates=False)
    refresh = plane.login()["refresh"]
    plane.run(plane.file.write(lambda connection: connection.execute("DELETE FROM sessions") and None))
    for _ in range(2):
        assert plane.ask("refresh/", {"refresh": refresh}).status == 200


def test_s56_a_new_password_ends_what_was_there_before(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    plane.clock.now = time.time() - 10
    refresh = plane.login()["refresh"]
    plane.run(plane.directory.set_password_hash("alice", plane.hasher.hash("alice-pass-2")))
    answer = plane.ask("refresh/", {"refresh": refresh})
    assert answer.json == {"detail": "The user's password has been changed.", "code": "password_changed"}
    assert (answer.status, answer.challenge) == (401, 'Bearer realm="api"')


def test_a_stronger_hash_ends_nothing(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    plane.clock.now = time.time() - 10
    refresh = plane.login()["refresh"]
    account = plane.run(plane.directory.find_by_login("alice"))
    assert account is not None
    plane.run(plane.directory.replace_password_hash(account.user.id, account.password_hash, "stronger"))
    assert plane.ask("refresh/", {"refresh": refresh}).status == 200


def test_s57_what_is_revoked_while_a_token_is_refreshed_takes_its_successor_along(
    make_plane: Callable[..., Plane],
) -> None:
    """In the second after the revocation, too, which is that of its successor's `iat` unless it was looked at before."""

    class Overtaken(SqliteStateStore):
        async def is_revoked(self, token: IssuedToken) -> bool:
            answer = await super().is_revoked(token)
            if is_armed:
                is_armed.clear()
                statement = "INSERT INTO revocations (kind, revoked_id, expires_at, up_to) VALUES ('user', x'31', ?, ?)"
                values = (NOW + 99999, int(plane.clock.now))  # its sessions end later, as in PostgreSQL and Redis
                await plane.file.write(lambda connection: connection.execute(statement, values) and None)
                plane.clock.now += 1
            return answer

    is_armed: list[bool] = []
    plane = make_plane(store_class=Overtaken, rotates=True)
    refresh = plane.login()["refresh"]
    is_armed.append(True)
    answer = plane.ask("refresh/", {"refresh": refresh})
    tokens = list(answer.json.values()) if answer.status == 200 else []
    assert all(plane.run(plane.store.is_revoked(reference_of(token))) for token in tokens)
    assert plane.ask("refresh/", {"refresh": refresh}).status == 401


async def later(plane: Plane, seconds: float) -> asyncio.TimerHandle:
    """Let the clock go on after so many real seconds."""

    def tick() -> None:
        plane.clock.now += seconds

    return asyncio.get_running_loop().call_later(seconds, tick)


def test_a_refresh_after_a_change_of_roles_waits_until_its_token_is_later(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    plane.clock.now = time.time() - 10
    refresh = plane.login()["refresh"]
    changed = plane.run(plane.directory.set_roles("alice", ("other",)))
    plane.clock.now = float(changed.claims_changed_at)
    ticking = plane.run(later(plane, 1.0))
    access = plane.ask("refresh/", {"refresh": refresh}).json["access"]
    assert claims_of(access)["iat"] > changed.claims_changed_at
    assert ticking.when() <= plane.loop.get_loop().time()


def test_a_change_in_the_future_is_refused_as_what_it_is(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    refresh = plane.login()["refresh"]
    statement = f"UPDATE users SET claims_changed_at = {NOW + 100}"
    plane.run(plane.file.write(lambda connection: connection.execute(statement) and None))
    assert plane.ask("refresh/", {"refresh": refresh}).json["code"] == "store_unavailable"


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
