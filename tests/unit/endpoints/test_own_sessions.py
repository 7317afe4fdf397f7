"""Where a user is logged in: his own affair, and nobody else's."""

import dataclasses
import json
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gateway.state.sqlite import _INSERT_SESSION, _session_values
from gateway.types import Revocation, RevokedKind
from tests.unit.endpoints.plane import EVERY_ANSWER, NOW, Answer, Plane, claims_of, reference_of

NOT_FOUND = {"detail": "Not found."}


def bearer(pair: Mapping[str, str], **fields: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair['access']}", **fields}


def listed(plane: Plane, pair: Mapping[str, str]) -> list[dict[str, Any]]:
    answer = plane.ask("sessions/", fields=bearer(pair), method="GET")
    assert answer.status == 200
    return list(answer.json)


def end(plane: Plane, pair: Mapping[str, str], session_id: str) -> Answer:
    return plane.ask(f"sessions/{session_id}", fields=bearer(pair), method="DELETE")


def test_a_user_sees_his_own_sessions_the_last_used_first(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    first = plane.login()
    plane.login("bob")
    plane.clock.now += 60
    second = plane.login()
    plane.clock.now += 60
    plane.ask("refresh/", {"refresh": first["refresh"]})
    one, other = listed(plane, second)
    assert one == {
        "id": claims_of(first["access"])["sid"],
        "created_at": "2027-01-15T08:00:00Z",
        "last_used_at": "2027-01-15T08:02:00Z",
        "address": "127.0.0.1",
        "user_agent": one["user_agent"],
        "current": False,
    }
    assert one["user_agent"].startswith("Python/")
    assert (other["id"], other["current"]) == (claims_of(second["access"])["sid"], True)


def test_s54_the_answer_is_not_to_be_stored(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    answer = plane.ask("sessions", fields=bearer(plane.login()), method="GET")
    assert {name: answer.fields[name] for name in EVERY_ANSWER} == EVERY_ANSWER
    assert answer.fields["Allow"] == "GET, HEAD"


def test_s57_a_session_is_ended_with_all_its_tokens(
    make_plane: Callable[..., Plane], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway.audit")
    plane = make_plane()
    lost, here = plane.login(), plane.login()
    session_id = claims_of(lost["access"])["sid"]
    answer = end(plane, here, session_id)
    assert (answer.status, answer.content) == (204, b"")
    assert plane.revocations.is_revoked(reference_of(lost["access"]))
    assert plane.ask("refresh/", {"refresh": lost["refresh"]}).status == 401
    assert [session["current"] for session in listed(plane, here)] == [True]
    assert (end(plane, here, session_id).status, end(plane, here, session_id).json) == (404, NOT_FOUND)
    ended = [json.loads(each.getMessage()) for each in caplog.records if "session_ended" in each.getMessage()]
    assert [(each["event"], each["user_id"], each["session"]) for each in ended] == [
        ("session_ended", plane.users["alice"].id, session_id)
    ]


def test_another_users_session_is_not_found(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    alice, bob = plane.login(), plane.login("bob")
    answer = end(plane, bob, claims_of(alice["access"])["sid"])
    assert (answer.status, answer.json) == (404, NOT_FOUND)
    assert not plane.revocations.is_revoked(reference_of(alice["access"]))


def test_sessions_that_are_over_are_not_told(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(idle_timeout=100, access_lifetime=1000)
    plane.login()
    plane.clock.now += 101
    here = plane.login()
    assert [session["current"] for session in listed(plane, here)] == [True]
    up_to = Revocation(kind=RevokedKind.USER, id=plane.users["alice"].id, expires_at=NOW + 9999, up_to=NOW + 200)
    plane.run(plane.store.revoke(up_to))
    assert listed(plane, here) == []


def test_s58_an_ended_session_is_refused_for_as_long_as_it_would_have_lasted(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(access_lifetime=30 * 86400)
    lost, here = plane.login(), plane.login()
    plane.reload(access=300)
    assert end(plane, here, claims_of(lost["access"])["sid"]).status == 204
    plane.revocations.purge(NOW + 29 * 86400)
    assert plane.revocations.is_revoked(reference_of(lost["access"]))


def test_a_session_is_found_behind_a_thousand_that_are_over(make_plane: Callable[..., Plane]) -> None:
    """Their rows stay until their refresh tokens have ended."""
    plane = make_plane(idle_timeout=100, access_lifetime=1000)
    here = plane.login()
    mine = plane.run(plane.store.find_session(claims_of(here["access"])["sid"]))
    assert mine is not None
    over = [dataclasses.replace(mine, id=f"0{number:04}", last_used_at=NOW - 999) for number in range(1100)]
    last = dataclasses.replace(mine, id="z")

    def open_all(connection: sqlite3.Connection) -> None:
        connection.executemany(_INSERT_SESSION, [_session_values(each) for each in [*over, last]])

    plane.run(plane.file.write(open_all))
    assert {session["id"] for session in listed(plane, here)} == {mine.id, "z"}
    assert end(plane, here, "z").status == 204
    assert end(plane, here, over[0].id).status == 404


@pytest.mark.parametrize(("path", "method"), [("sessions/", "POST"), ("sessions/", "DELETE"), ("sessions/x", "GET")])
def test_other_methods_are_not_allowed(plane: Plane, path: str, method: str) -> None:
    answer = plane.ask(path, fields=bearer(plane.login()), method=method)
    assert (answer.status, answer.json) == (405, {"detail": f'Method "{method}" not allowed.'})


@pytest.mark.parametrize("fields", [{}, {"Authorization": "Bearer x"}, {"Authorization": ""}])
def test_the_token_is_read_here_once_more(plane: Plane, fields: dict[str, str]) -> None:
    assert plane.ask("sessions/", fields=fields, method="GET").status == 401
    refresh = {"Authorization": f"Bearer {plane.login()['refresh']}"}
    assert plane.ask("sessions/", fields=refresh, method="GET").status == 401


def test_a_failing_store_is_503(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    pair = plane.login()
    plane.run(plane.file.close())
    assert plane.ask("sessions/", fields=bearer(pair), method="GET").status == 503
