"""`users`: what a password costs, and whom it may keep waiting."""

import dataclasses

import pytest

from gateway.config.sections.users import Argon2, UserAttribute, Users
from gateway.types import User
from tests.unit.config.sample import parse_with, refusals


def test_a_hash_costs_what_owasp_asks_for_at_least() -> None:
    """https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id"""
    argon2 = Argon2()
    assert (argon2.memory_cost, argon2.time_cost, argon2.parallelism) == (19 * 1024**2, 2, 1)


def test_s49_hashing_is_bounded_by_default() -> None:
    users = parse_with().users
    assert users == Users(sqlite="gateway.sqlite3")
    assert (users.hash_workers, users.hash_queue) == (2, 64)


@pytest.mark.parametrize("broken", ["hash_workers: 0", "hash_queue: -1", "argon2: {time_cost: 0}"])
def test_bounds(broken: str) -> None:
    assert len(refusals(users=f"{{sqlite: a, {broken}}}")) == 1


def test_every_attribute_is_one_of_a_user() -> None:
    assert {attribute.value for attribute in UserAttribute} <= {field.name for field in dataclasses.fields(User)}
