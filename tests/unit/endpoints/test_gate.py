"""Guessing, as it goes through the whole control plane: hashes are real, time is the test's."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from gateway.auth.passwords import PasswordHasher
from gateway.auth.throttle import GuessingPolicy
from gateway.errors import StoreUnavailable
from gateway.http.addresses import Networks
from gateway.types import Account
from gateway.users.sqlite import SqliteUserDirectory
from tests.unit.endpoints.plane import JSON, Answer, Plane

HOME, AWAY, STRANGER = "192.0.2.1", "198.51.100.1", "203.0.113.66"
FREE, FREE_PER_ADDRESS = 3, 8
DAY = 86400

MakePlane = Callable[..., Plane]


def policy(**changes: Any) -> GuessingPolicy:
    values: dict[str, Any] = {
        "attempts_per_user": FREE,
        "attempts_per_address": FREE_PER_ADDRESS,
        "first_wait": 1,
        "longest_wait": 4,
        "forget_after": 3600,
        "address_lifetime": 30 * DAY,
        "exempt_addresses": Networks([]),
    }
    return GuessingPolicy(**(values | changes))


@pytest.fixture
def guarded(make_plane: MakePlane) -> Plane:
    plane = make_plane(guessing=policy())
    count_hashes(plane)
    return plane


class CountingHasher(PasswordHasher):
    """The real one, which counts."""

    verified = 0

    def verify(self, encoded: str | None, password: str) -> bool:
        self.verified += 1
        return super().verify(encoded, password)


def count_hashes(plane: Plane) -> None:
    plane.hashing._hasher = CountingHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1)


def hashes(plane: Plane) -> int:
    hasher = plane.hashing._hasher
    assert isinstance(hasher, CountingHasher)
    return hasher.verified


def present(plane: Plane, name: str, password: str, address: str = HOME) -> Answer:
    fields = JSON | {"X-Gateway-Client-Address": address}
    return plane.ask("", {"username": name, "password": password}, fields)


def log_in(plane: Plane, address: str = HOME, name: str = "alice") -> int:
    return present(plane, name, f"{name}-pass-1", address).status


def guess(plane: Plane, name: str = "alice", address: str = STRANGER) -> int:
    return present(plane, name, "guess", address).status


def wait_of(answer: Answer) -> int:
    assert answer.status == 429
    return int(answer.fields["Retry-After"])


def test_s52_who_guesses_too_often_is_429_in_drfs_shape(guarded: Plane) -> None:
    assert [guess(guarded) for _ in range(FREE)] == [401] * FREE
    refused = present(guarded, "alice", "guess", STRANGER)
    assert (refused.status, refused.fields["Retry-After"], refused.challenge) == (429, "1", None)
    assert refused.content == b'{"detail":"Request was throttled. Expected available in 1 second."}'
    assert hashes(guarded) == FREE


def test_s52_waits_double_refusals_cost_nothing_and_the_end_of_a_wait_is_its_end(guarded: Plane) -> None:
    for _ in range(FREE):
        guess(guarded)
    for seconds in (1, 2, 4, 4):
        for _ in range(3):
            assert wait_of(present(guarded, "alice", "guess", STRANGER)) == seconds
        guarded.clock.now += seconds - 0.5
        assert wait_of(present(guarded, "alice", "guess", STRANGER)) == 1
        guarded.clock.now += 0.5
        assert guess(guarded) == 401
    guarded.clock.now += 4
    assert log_in(guarded, AWAY) == 200


def test_s52_a_right_password_does_not_pass_before_its_time(guarded: Plane) -> None:
    for _ in range(FREE):
        guess(guarded)
    assert log_in(guarded, AWAY) == 429


def test_s47_a_name_that_nobody_has_is_counted_like_any_other(guarded: Plane) -> None:
    for name in ("alice", "nobody", "mallory", "x" * 300):
        answers = [present(guarded, name, "guess", f"192.0.2.{number}") for number in range(FREE + 1)]
        assert [answer.status for answer in answers] == [401] * FREE + [429]
        assert answers[-1].content == b'{"detail":"Request was throttled. Expected available in 1 second."}'


def test_s52_of_guesses_at_the_same_moment_no_more_are_hashed_than_are_free(make_plane: MakePlane) -> None:
    plane = make_plane(guessing=policy(), hash_queue=100)
    count_hashes(plane)
    answers = plane.ask_at_once("", [{"username": "alice", "password": f"guess {n}"} for n in range(100)])
    assert sorted(answer.status for answer in answers) == [401] * FREE + [429] * (100 - FREE)
    assert hashes(plane) == FREE


def test_right_ones_at_the_same_moment_all_pass_where_the_name_was_let_in_before(make_plane: MakePlane) -> None:
    plane = make_plane(guessing=policy(), hash_queue=100)
    fields = JSON | {"X-Gateway-Client-Address": HOME}
    contents: list[object] = [{"username": "alice", "password": "alice-pass-1"}] * 10 * FREE
    at_first = plane.ask_at_once("", contents, fields)
    assert {answer.status for answer in at_first} == {200, 429}
    assert {answer.status for answer in plane.ask_at_once("", contents, fields)} == {200}


def test_s52_wrong_ones_at_the_same_moment_are_no_more_where_the_name_was_let_in_before(make_plane: MakePlane) -> None:
    plane = make_plane(guessing=policy(), hash_queue=100)
    assert log_in(plane) == 200
    count_hashes(plane)
    contents: list[object] = [{"username": "alice", "password": f"guess {n}"} for n in range(30)]
    answers = plane.ask_at_once("", contents, JSON | {"X-Gateway-Client-Address": HOME})
    assert sorted(answer.status for answer in answers) == [401] * FREE + [429] * (30 - FREE)
    assert hashes(plane) == FREE


def test_s53_one_name_at_its_address_does_not_fill_the_gate(make_plane: MakePlane) -> None:
    plane = make_plane(guessing=policy(), hash_workers=1, hash_queue=9)
    assert log_in(plane) == 200
    plane.hashing._hasher = PasswordHasher(time_cost=10, memory_cost=256 * 1024, parallelism=1)
    contents: list[object] = [{"username": "alice", "password": "alice-pass-1"}] * 9
    answers = plane.ask_at_once("", contents, JSON | {"X-Gateway-Client-Address": HOME})
    assert sorted(answer.status for answer in answers) == [200] * 6 + [429] * 3  # one inside, and half of ten wait


def test_s52_one_address_does_not_go_through_many_names(guarded: Plane) -> None:
    outcomes = [guess(guarded, f"name {number}") for number in range(FREE_PER_ADDRESS + 3)]
    assert outcomes == [401] * FREE_PER_ADDRESS + [429] * 3
    assert guess(guarded, "name 99", "203.0.113.67") == 401
    # The names that were refused for the address have nothing to do with it.
    assert [guess(guarded, "name 9", AWAY) for _ in range(FREE)] == [401] * FREE


def test_s52_one_64_of_ipv6_is_one_address(guarded: Plane) -> None:
    outcomes = [guess(guarded, f"name {number}", f"2001:db8::{number}") for number in range(FREE_PER_ADDRESS + 1)]
    assert outcomes == [401] * FREE_PER_ADDRESS + [429]
    assert guess(guarded, "name", "2001:db8:0:1::1") == 401


def test_s53_strangers_keep_nobody_out_where_he_was_let_in_before(guarded: Plane) -> None:
    assert log_in(guarded, HOME) == 200
    for _ in range(20):
        guess(guarded)
    assert guess(guarded) == 429
    assert log_in(guarded, AWAY) == 429
    for _ in range(5):
        assert log_in(guarded, HOME) == 200
    # Nor do strangers at the same address, behind one NAT.
    for number in range(20):
        guess(guarded, f"name {number}", HOME)
    assert guess(guarded, "name", HOME) == 429
    assert log_in(guarded, HOME) == 200


def test_s53_a_known_address_is_no_free_pass(guarded: Plane) -> None:
    assert log_in(guarded, HOME) == 200
    assert [guess(guarded, address=HOME) for _ in range(FREE + 1)] == [401] * FREE + [429]
    # What fails there is not held against other places.
    assert log_in(guarded, AWAY) == 200


def test_s53_a_known_address_is_known_for_one_name(guarded: Plane) -> None:
    assert log_in(guarded, HOME, "bob") == 200
    for _ in range(FREE):
        guess(guarded)
    assert log_in(guarded, HOME) == 429


def test_s53_an_address_is_known_from_each_log_in_on_for_its_time(guarded: Plane) -> None:
    assert log_in(guarded, HOME) == 200
    guarded.clock.now += 20 * DAY
    assert log_in(guarded, HOME) == 200
    guarded.clock.now += 20 * DAY
    for _ in range(FREE):
        guess(guarded)
    assert log_in(guarded, HOME) == 200
    guarded.clock.now += 30 * DAY
    for _ in range(FREE):
        guess(guarded)
    assert log_in(guarded, HOME) == 429


def test_a_success_makes_good_what_its_user_did_wrong(guarded: Plane) -> None:
    for _ in range(4):
        for _ in range(FREE - 1):
            assert guess(guarded, address=HOME) == 401
        assert log_in(guarded, HOME) == 200
    # Also at places that are new to him.
    for number in range(4):
        for _ in range(FREE - 1):
            assert guess(guarded, address=f"198.51.100.{number}") == 401
        assert log_in(guarded, f"198.51.100.{number}") == 200


def test_s52_a_success_of_ones_own_does_not_make_good_what_one_guessed_of_others(guarded: Plane) -> None:
    guesses = 0
    for number in range(4 * FREE_PER_ADDRESS):
        guesses += guess(guarded, f"name {number}") == 401
        log_in(guarded, STRANGER, "bob")
    assert guesses == FREE_PER_ADDRESS


def test_many_people_may_log_in_at_one_address(guarded: Plane) -> None:
    for name in ("alice", "bob"):
        for _ in range(2 * FREE_PER_ADDRESS):
            assert log_in(guarded, HOME, name) == 200


def test_s53_failures_are_forgotten(guarded: Plane) -> None:
    for _ in range(FREE + 1):
        guess(guarded)
    guarded.clock.now += 3600
    assert [guess(guarded) for _ in range(FREE + 1)] == [401] * FREE + [429]


def test_s52_waits_outlive_a_restart(guarded: Plane, make_plane: MakePlane) -> None:
    for _ in range(FREE):
        guess(guarded)
    other = make_plane(guessing=policy())
    other.run(other.file.close())
    other.store._file = guarded.file
    assert guess(other) == 429


def test_what_nobody_looked_at_was_no_attempt(make_plane: MakePlane) -> None:
    class Moody(SqliteUserDirectory):
        is_away = True

        async def find_by_login(self, login: str) -> Account | None:
            if self.is_away:
                raise StoreUnavailable("The server of the users does not answer.")
            return await super().find_by_login(login)

    plane = make_plane(guessing=policy())
    plane.directory.__class__ = Moody
    assert [log_in(plane) for _ in range(3 * FREE_PER_ADDRESS)] == [503] * 3 * FREE_PER_ADDRESS
    plane.directory.is_away = False  # type: ignore[attr-defined]
    assert [guess(plane) for _ in range(FREE + 1)] == [401] * FREE + [429]


def test_s49_a_flood_is_503_and_reaches_neither_hash_nor_store(make_plane: MakePlane) -> None:
    plane = make_plane(hash_workers=1, hash_queue=3, guessing=policy())
    plane.hashing._hasher = CountingHasher(time_cost=30, memory_cost=1024 * 1024, parallelism=1)
    contents: list[object] = [{"username": f"name {number}", "password": "x"} for number in range(100)]
    answers = plane.ask_at_once("", contents)
    refused = [answer for answer in answers if answer.status == 503]
    assert {answer.status for answer in answers} == {401, 503}
    assert {(answer.json["code"], answer.fields["Retry-After"]) for answer in refused} == {("overloaded", "1")}
    counted = plane.run(plane.file.read(lambda it: it.execute("SELECT sum(failures) FROM attempts").fetchone()))
    assert counted == (2 * hashes(plane),) == (2 * (100 - len(refused)),)


def test_what_the_hashing_pool_refuses_was_no_attempt(make_plane: MakePlane) -> None:
    plane = make_plane(hash_workers=1, hash_queue=0, guessing=policy())
    plane.hashing.capacity = 2  # as when the caller of the hash that runs has gone
    plane.hashing._hasher = PasswordHasher(time_cost=30, memory_cost=1024 * 1024, parallelism=1)
    answers = plane.ask_at_once("", [{"username": f"name {number}", "password": "x"} for number in range(2)])
    statuses = [answer.status for answer in answers]
    assert sorted(statuses) == [401, 503]
    plane.hashing._hasher = plane.hasher
    refused = f"name {statuses.index(503)}"
    assert [guess(plane, refused, AWAY) for _ in range(FREE + 1)] == [401] * FREE + [429]


def test_a_store_that_cannot_count_is_503_and_nothing_is_hashed(guarded: Plane) -> None:
    guarded.run(guarded.file.close())
    assert present(guarded, "alice", "alice-pass-1").json["code"] == "store_unavailable"
    assert hashes(guarded) == 0


def test_s86_who_was_throttled_is_on_record_with_why(guarded: Plane, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gateway.audit")
    for _ in range(FREE + 1):
        guess(guarded)
    for number in range(FREE_PER_ADDRESS + 1 - FREE):
        guess(guarded, f"name {number}")
    records = [json.loads(record.getMessage()) for record in caplog.records if record.name == "gateway.audit"]
    throttled = [record for record in records if record["event"] == "login_throttled"]
    assert len(records) == FREE_PER_ADDRESS + 2
    assert [(record["user"], record["by"], record["client"]) for record in throttled] == [
        ("alice", "user", STRANGER),
        (f"name {FREE_PER_ADDRESS - FREE}", "address", STRANGER),
    ]


def test_s83_the_store_holds_nothing_of_what_strangers_typed(guarded: Plane) -> None:
    guess(guarded, "a-name-typed-by-a-stranger")
    rows = guarded.run(guarded.file.read(lambda it: it.execute("SELECT * FROM attempts").fetchall()))
    assert len(rows) == 2
    assert all(len(row[0]) == 32 for row in rows)


def test_without_a_policy_nobody_waits(make_plane: MakePlane) -> None:
    plane = make_plane()
    assert [guess(plane) for _ in range(20)] == [401] * 20
    assert plane.run(plane.file.read(lambda it: it.execute("SELECT * FROM attempts").fetchall())) == []
