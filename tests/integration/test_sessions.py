"""Sessions as a user and as an operator see them: over real processes, what is ended is refused at every worker."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.wire import Reply, exchange, post_json, request
from tests.integration import processes
from tests.integration.data_plane import ENVIRONMENT, settings
from tests.integration.processes import Server
from tests.integration.scripted_upstream import ScriptedUpstream

PASSWORD = "alice-pass-1"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    folder, port = tmp_path_factory.mktemp("sessions"), processes.free_port()
    with ScriptedUpstream().running() as upstream:
        values = settings(port=port, upstreams={"main": {"servers": [upstream.url]}}, folder=folder)
        values |= {"routes": [{"path": "/", "upstream": "main"}], "workers": 2}
        path = processes.write_gateway_config(folder, values)
        for user in ("alice", "bob"):
            run(path, "user", "add", user)
        yield path, port


@pytest.fixture(scope="module")
def gateway(config: tuple[Path, int]) -> Iterator[Server]:
    path, port = config
    with processes.gateway(path, port=port, environment=ENVIRONMENT) as server:
        yield server
        assert "Traceback" not in server.output(), server.output()


def run(config: Path, *arguments: str) -> str:
    return processes.run_gateway([*arguments, "--config", str(config)], environment=ENVIRONMENT, stdin=f"{PASSWORD}\n")


def log_in(gateway: Server, user: str = "alice") -> dict[str, str]:
    answer = exchange(gateway.port, post_json(b"/api/token/", {"username": user, "password": PASSWORD}))
    assert answer.status == 200, answer
    pair: dict[str, str] = answer.json()
    return pair


def ask(gateway: Server, method: bytes, path: bytes, pair: dict[str, str]) -> Reply:
    return exchange(gateway.port, request(method, path, b"Authorization: Bearer " + pair["access"].encode()))


def refused_within_a_second(gateway: Server, pair: dict[str, str]) -> dict[str, Any]:
    """The refusal of an access token that passes no more. Every request is a new connection, so both are asked."""
    last_pass = began = time.monotonic()
    refusal: dict[str, Any] = {}
    while time.monotonic() < began + 3:
        answer = ask(gateway, b"GET", b"/x", pair)
        if answer.status == 200:
            last_pass = time.monotonic()
        else:
            refusal = answer.json()
    assert last_pass - began < 2, "a look every half a second, on a machine that is busy"
    return refusal


def test_a_user_sees_and_ends_his_sessions(gateway: Server) -> None:
    lost, here, other = log_in(gateway), log_in(gateway), log_in(gateway, "bob")
    sessions = ask(gateway, b"GET", b"/api/token/sessions/", here).json()
    assert len(sessions) >= 2
    assert [session["current"] for session in sessions].count(True) == 1
    assert {session["address"] for session in sessions} == {"127.0.0.1"}
    [ended] = [
        session["id"] for session in ask(gateway, b"GET", b"/api/token/sessions", lost).json() if session["current"]
    ]
    path = f"/api/token/sessions/{ended}".encode()
    assert ask(gateway, b"DELETE", path, other).status == 404
    assert ask(gateway, b"DELETE", path, here).status == 204
    assert refused_within_a_second(gateway, lost)["messages"][0]["message"] == "Token is blacklisted"
    assert ask(gateway, b"GET", b"/x", here).status == 200


def test_s80_nobody_sees_any_without_a_token(gateway: Server) -> None:
    answer = exchange(gateway.port, request(b"GET", b"/api/token/sessions/"))
    assert (answer.status, answer.json()) == (401, {"detail": "Authentication credentials were not provided."})
    assert ask(gateway, b"GET", b"/api/token/sessions/", {"access": log_in(gateway)["refresh"]}).status == 401


@pytest.mark.parametrize(
    "revoke",
    [
        lambda config, session_id: run(config, "session", "revoke", session_id),
        lambda config, _: run(config, "session", "revoke", "--user", "alice"),
        lambda config, _: run(config, "session", "revoke", "--all"),
    ],
    ids=["one", "of a user", "everything"],
)
def test_s57_what_the_operator_revokes_is_refused_everywhere(
    gateway: Server, config: tuple[Path, int], revoke: Callable[[Path, str], str]
) -> None:
    pair = log_in(gateway)
    [session] = [each for each in ask(gateway, b"GET", b"/api/token/sessions/", pair).json() if each["current"]]
    assert session["id"] in run(config[0], "session", "list", "--user", "alice")
    assert revoke(config[0], session["id"]).startswith("Revoked ")
    assert refused_within_a_second(gateway, pair)["messages"][0]["message"] == "Token is blacklisted"
    refreshed = exchange(gateway.port, post_json(b"/api/token/refresh/", {"refresh": pair["refresh"]}))
    assert refreshed.status == 401
    again = log_in(gateway)  # also in the very second of the revocation
    assert ask(gateway, b"GET", b"/x", again).status == 200


def test_s56_a_new_password_ends_what_was_there_and_a_log_in_at_once_is_good(
    gateway: Server, config: tuple[Path, int]
) -> None:
    pair = log_in(gateway)
    run(config[0], "user", "passwd", "alice")
    again = log_in(gateway)
    assert ask(gateway, b"GET", b"/x", again).status == 200
    assert refused_within_a_second(gateway, pair)["code"] == "password_changed"
    refreshed = exchange(gateway.port, post_json(b"/api/token/refresh/", {"refresh": pair["refresh"]}))
    assert (refreshed.status, refreshed.json()["code"]) == (401, "password_changed")


def test_new_roles_are_in_the_next_access_token_and_the_old_one_is_refused(
    gateway: Server, config: tuple[Path, int]
) -> None:
    pair = log_in(gateway)
    run(config[0], "user", "roles", "alice", "staff")
    assert refused_within_a_second(gateway, pair)["messages"][0]["message"] == "Token is outdated"
    refreshed = exchange(gateway.port, post_json(b"/api/token/refresh/", {"refresh": pair["refresh"]}))
    assert refreshed.status == 200
    assert ask(gateway, b"GET", b"/x", refreshed.json()).status == 200
