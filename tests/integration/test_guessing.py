"""Two workers count as one: real processes, real hashes, clients at many addresses."""

import concurrent.futures
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.integration.data_plane import Plane, post, running_plane
from tests.integration.raw_client import Answer

FREE: Final = 5
FREE_PER_ADDRESS: Final = 12
GUESSING: Final[dict[str, Any]] = {
    "enabled": True,
    "attempts_per_user": FREE,
    "attempts_per_address": FREE_PER_ADDRESS,
    "first_wait": "10m",
}


def running(folder: Path, users: Sequence[str], **guessing: str) -> Any:
    """Clients name their own address here."""
    listen = {"trusted_proxies": ["127.0.0.1/32"]}
    return running_plane(folder, workers=2, users=users, listen=listen, guessing=GUESSING | guessing)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """Each test has a user and a network of its own."""
    with running(tmp_path_factory.mktemp("guessing"), ["alice", "bob", "carol"]) as plane:
        yield plane


def present(plane: Plane, name: str, password: str, address: str) -> Answer:
    content = json.dumps({"username": name, "password": password}).encode()
    lines = b"Content-Type: application/json", b"X-Forwarded-For: " + address.encode()
    return plane.ask(post("/api/token/", content, *lines))


def guess(plane: Plane, name: str, address: str) -> int:
    return present(plane, name, "guess", address).status


def log_in(plane: Plane, name: str, address: str) -> int:
    return present(plane, name, f"{name}-password", address).status


def test_s52_of_a_hundred_guesses_at_once_as_many_are_tried_as_are_free(plane: Plane) -> None:
    addresses = [f"198.51.100.{number}" for number in range(100)]
    with concurrent.futures.ThreadPoolExecutor(20) as threads:
        outcomes = list(threads.map(lambda address: guess(plane, "alice", address), addresses))
    assert sorted(outcomes) == [401] * FREE + [429] * (100 - FREE)
    refused = present(plane, "alice", "alice-password", "203.0.113.1")
    assert refused.status == 429
    assert 590 <= int(refused.field("retry-after") or 0) <= 600
    assert refused.json() == {
        "detail": f"Request was throttled. Expected available in {refused.field('retry-after')} seconds."
    }


def test_s53_a_stranger_locks_nobody_out_where_he_is_known(plane: Plane) -> None:
    assert log_in(plane, "bob", "192.0.2.1") == 200
    outcomes = [guess(plane, "bob", f"203.0.113.{number}") for number in range(FREE + 3)]
    assert outcomes == [401] * FREE + [429] * 3
    # Each time on a connection of its own, so at either worker.
    assert [log_in(plane, "bob", "192.0.2.1") for _ in range(8)] == [200] * 8
    assert log_in(plane, "bob", "192.0.2.2") == 429


def test_s52_a_spray_from_one_address_is_stopped_and_stops_nobody_else(plane: Plane) -> None:
    outcomes = [guess(plane, f"name {number}", f"2001:db8::{number}") for number in range(FREE_PER_ADDRESS + 3)]
    assert outcomes == [401] * FREE_PER_ADDRESS + [429] * 3
    assert log_in(plane, "carol", "2001:db8::99") == 429
    assert log_in(plane, "carol", "2001:db8:0:1::99") == 200


def test_s52_who_comes_again_when_he_was_told_to_is_let_in(tmp_path: Path) -> None:
    with running(tmp_path, ["alice"], first_wait="1s", longest_wait="1s") as plane:
        for _ in range(FREE):
            guess(plane, "alice", "192.0.2.1")
        refused = present(plane, "alice", "alice-password", "192.0.2.1")
        assert refused.status == 429
        time.sleep(int(refused.field("retry-after") or 0))
        assert log_in(plane, "alice", "192.0.2.1") == 200


def test_who_cannot_be_counted_is_503(tmp_path: Path) -> None:
    with running(tmp_path, ["alice"]) as plane:
        assert log_in(plane, "alice", "192.0.2.1") == 200
        (tmp_path / "users.sqlite3").rename(tmp_path / "away")
        answer = present(plane, "alice", "alice-password", "192.0.2.1")
        assert (answer.status, answer.json()["code"]) == (503, "store_unavailable")
