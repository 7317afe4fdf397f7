"""`gateway user` beside two running gateways, whichever keeps the users: what it changes counts at both within a second."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.gateway_pair import APART, POSTGRES, SQLITE, Pair, running_pair
from tests.postgres_server import PostgresServer

NAMES = ("alice", "bob", "carol", "dave", "erin")


@pytest.fixture(scope="module", params=[SQLITE, POSTGRES, APART])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running_pair(request.param, tmp_path_factory.mktemp("directories"), NAMES) as pair:
        yield pair


@pytest.fixture
def own_pair(tmp_path: Path) -> Iterator[Pair]:
    """In PostgreSQL; for a test that ends one of them, or the server."""
    with running_pair(POSTGRES, tmp_path, NAMES[:2]) as pair:
        yield pair


@pytest.mark.parametrize(
    ("name", "command", "stdin"),
    [
        ("alice", ("passwd",), "new-password\n"),
        ("bob", ("disable",), ""),
        ("carol", ("roles", "staff"), ""),
        ("dave", ("remove",), ""),
    ],
)
def test_s56_what_a_command_changes_ends_the_access_token_at_both_within_a_second(
    pair: Pair, name: str, command: tuple[str, ...], stdin: str
) -> None:
    tokens = pair.log_in(pair.one, name)
    assert pair.status_with(pair.one, tokens) == pair.status_with(pair.other, tokens) == 200
    refreshed = pair.refresh(pair.other, tokens).json()
    pair.command(command[0], name, *command[1:], stdin=stdin)
    for port in (pair.one, pair.other):
        pair.await_refusal(port, tokens)
        pair.await_refusal(port, refreshed)
    log_in = pair.post(pair.other, "/api/token/", username=name, password=f"{name}-password")
    assert log_in.status == (200 if command[0] == "roles" else 401)


def test_a_user_who_is_let_in_again_may_go_on_with_the_token(pair: Pair) -> None:
    tokens = pair.log_in(pair.one, "erin")
    pair.command("disable", "erin")
    pair.await_refusal(pair.other, tokens)
    pair.command("enable", "erin")
    assert pair.post(pair.other, "/api/token/", username="erin", password="erin-password").status == 200


def test_s58_a_gateway_that_is_killed_loses_nothing_that_was_acknowledged(own_pair: Pair) -> None:
    kept, ended = own_pair.log_in(own_pair.other), own_pair.log_in(own_pair.other, "bob")
    successor = own_pair.refresh(own_pair.other, kept).json()
    own_pair.command("passwd", "bob", stdin="new-password\n")
    own_pair.servers[1].process.kill()
    own_pair.servers[1].process.wait()
    assert own_pair.refresh(own_pair.one, ended).status == 401
    assert own_pair.refresh(own_pair.one, successor).status == 200
    new = own_pair.post(own_pair.one, "/api/token/", username="bob", password="new-password")
    assert new.status == 200


def test_s88_while_the_server_is_away_nobody_is_told_what_is_not_sure_and_then_all_goes_on(own_pair: Pair) -> None:
    server = own_pair.store
    assert isinstance(server, PostgresServer)
    known, unseen = own_pair.log_in(own_pair.one), own_pair.log_in(own_pair.one, "bob")
    assert own_pair.status_with(own_pair.one, known) == 200
    server.stop()
    assert own_pair.status_with(own_pair.one, known) == 200
    assert own_pair.status_with(own_pair.one, unseen) == 503
    assert own_pair.refresh(own_pair.one, known).status == 503
    wrong = {"username": "nobody", "password": "x"}
    assert own_pair.post(own_pair.one, "/api/token/", **wrong).status == 503
    server.start()
    own_pair.command("disable", "alice")
    for port in (own_pair.one, own_pair.other):
        own_pair.await_refusal(port, known)
        assert own_pair.status_with(port, unseen) == 200
        assert own_pair.post(port, "/api/token/", **wrong).status == 401
