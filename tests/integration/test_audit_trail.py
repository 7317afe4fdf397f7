"""What is changed on the command line is one line in the log of one running gateway, whichever engine is between them."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.observability.audit_events import COMMAND_EVENTS
from tests.integration import processes
from tests.integration.data_plane import ENVIRONMENT, running_plane
from tests.integration.gateway_pair import ENGINES, SQLITE, Pair, running_pair
from tests.integration.processes import Server


def members_by_event() -> dict[str, list[str]]:
    """What docs/logging.md says of events of the command line."""
    page = (Path(__file__).parents[2] / "docs/logging.md").read_text()
    part = page.partition("What was done on the command line")[2].partition("\n`time` is")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", part, re.MULTILINE)
    return {event: re.findall(r"`(\w+)`", members) for event, members in rows}


EVERY_LINE = {"time", "level", "logger", "event", "actor", "os_user", "host", "event_id"}
MEMBERS = members_by_event()


def test_the_page_has_every_event() -> None:
    assert MEMBERS.keys() == COMMAND_EVENTS


@pytest.fixture(scope="module", params=ENGINES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with running_pair(request.param, tmp_path_factory.mktemp("audit")) as pair:
        yield pair


def lines_of(*servers: Server) -> list[dict[str, Any]]:
    """What they have told of changes on the command line."""
    written = [line for server in servers for line in server.raw_output().splitlines() if line.endswith("}")]
    return [line for line in map(json.loads, written) if line["logger"] == "gateway.audit" and "event_id" in line]


def until(is_so: Callable[[], bool]) -> None:
    """Within a second, and what a machine that is busy with other tests takes."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < 10
        time.sleep(0.02)


def run(config: Path, *arguments: str, stdin: str = "") -> None:
    processes.run_gateway([*arguments, "--config", str(config)], environment=ENVIRONMENT, stdin=stdin)


def test_s86_each_command_is_one_line_of_one_gateway(pair: Pair) -> None:
    session = pair.log_in(pair.one)
    commands = {
        "user_added": ("user", "add", "bob", "--role", "staff"),
        "user_password_changed": ("user", "passwd", "bob"),
        "user_roles_changed": ("user", "roles", "bob", "ops"),
        "user_disabled": ("user", "disable", "bob"),
        "user_enabled": ("user", "enable", "bob"),
        "user_removed": ("user", "remove", "bob"),
        "token_revoked": ("session", "revoke", "--token-id", "t1"),
        "user_sessions_revoked": ("session", "revoke", "--user", "alice"),
        "all_sessions_revoked": ("session", "revoke", "--all"),
        "key_made": ("key", "rotate", "--kid", "next"),
    }
    for event, command in commands.items():
        run(pair.config, *command, stdin="bobs-password\n")
        until(lambda event=event: any(line["event"] == event for line in lines_of(*pair.servers)))  # type: ignore[misc]
    written = lines_of(*pair.servers)
    # The first is of alice, who was added before a gateway ran.
    assert [line["event"] for line in sorted(written, key=lambda line: line["time"])] == ["user_added", *commands]
    assert len({line["event_id"] for line in written}) == len(written)
    for line in written:
        assert list(line)[:4] == ["time", "level", "logger", "event"]
        assert (line["actor"], line["level"]) == ("cli", "info")
        assert line["os_user"]
        assert line["host"]
        assert set(line) == {*EVERY_LINE, *MEMBERS[line["event"]]}, line
    assert session["refresh"] not in json.dumps(written)


def test_what_a_killed_gateway_took_another_writes(pair: Pair) -> None:
    """Both stand still while a third takes the event, who is killed before he has written it."""
    for server in pair.servers:
        server.process.send_signal(signal.SIGSTOP)
    try:
        taker = subprocess.run(
            [sys.executable, "-c", TAKER, str(pair.config)], env=processes._environment(ENVIRONMENT), timeout=30
        )
        assert taker.returncode == -signal.SIGKILL
    finally:
        for server in pair.servers:
            server.process.send_signal(signal.SIGCONT)
    until(lambda: any(line["event_id"] == "orphan" for line in lines_of(*pair.servers)))
    run(pair.config, "session", "revoke", "--token-id", "after")
    until(lambda: any(line.get("token_id") == "after" for line in lines_of(*pair.servers)))
    assert [line["event_id"] for line in lines_of(*pair.servers)].count("orphan") == 1


TAKER = """
import asyncio, os, signal, sys
from pathlib import Path
from gateway.composition.state import open_state
from gateway.config.load import load
from gateway.observability.audit_events import AuditEvent

async def take():
    async with open_state(load(Path(sys.argv[1]), os.environ).config) as state:
        await state.store.put_event("orphan", AuditEvent.at(0, "user_disabled", {}).to_text(), wait=0)
        assert [event.id for event in await state.store.take_events(limit=9, lease=1.0)] == ["orphan"]
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(take())
"""


def test_what_is_changed_while_no_gateway_runs_is_told_by_the_next(tmp_path: Path) -> None:
    with running_pair(SQLITE, tmp_path) as pair:
        for server in pair.servers:
            server.process.terminate()
            server.process.wait(10)
        run(pair.config, "user", "disable", "alice")
        assert "user_disabled" not in [line["event"] for line in lines_of(*pair.servers)]
        with processes.gateway(pair.config, port=pair.one, environment=ENVIRONMENT, name="next") as gateway:
            until(lambda: bool(lines_of(gateway)))
            assert [(line["event"], line["user"]) for line in lines_of(gateway)] == [("user_disabled", "alice")]


def test_of_several_workers_one_writes(tmp_path: Path) -> None:
    with running_plane(tmp_path, workers=3, users=("alice",)) as plane:
        for _ in range(5):
            for action in ("disable", "enable"):
                run(tmp_path / "gateway.yaml", "user", action, "alice")
        until(lambda: len(lines_of(plane.gateway)) == 11)
        assert len({line["event_id"] for line in lines_of(plane.gateway)}) == 11
        assert [line["reason"] for line in keys_of(plane.gateway)] == ["start"]


def test_a_new_key_is_told_when_it_counts(tmp_path: Path) -> None:
    with running_plane(tmp_path, workers=2) as plane:
        run(tmp_path / "gateway.yaml", "key", "rotate", "--kid", "next", "--algorithm", "ES256")
        values = yaml.safe_load((tmp_path / "gateway.yaml").read_text())
        old = values["tokens"]
        new = {"kid": "next", "algorithm": "ES256", "signing_key": {"file": "next.pem"}}
        values["tokens"] = {**new, "further_keys": [{"algorithm": "HS256", **old}]}
        processes.write_gateway_config(tmp_path, values)
        plane.gateway.process.send_signal(signal.SIGHUP)
        until(lambda: len(keys_of(plane.gateway)) == 2)
        told = [(line["kid"], line["algorithm"], line["further_kids"]) for line in keys_of(plane.gateway)]
        assert told == [(None, "HS256", []), ("next", "ES256", [None])]
        until(lambda: [line["event"] for line in lines_of(plane.gateway)] == ["key_made"])


def keys_of(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.raw_output().splitlines() if '"event":"keys_loaded"' in line]
