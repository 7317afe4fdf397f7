"""Users as lines: what is written is read again, and what is wrong is told by its line."""

import json
from typing import Any

import pytest

from gateway.errors import UsageError
from gateway.interfaces import UserDump
from gateway.types import Account, User
from gateway.users.transfer import lines_of, read
from tests.unit.users.directory_behaviour import account

MINIMUM = {"id": "1", "username": "alice", "password_hash": "hash"}


def line(**members: Any) -> bytes:
    return json.dumps({**MINIMUM, **members}).encode()


def stored(encoded: str) -> str:
    if encoded == "bad":
        raise UsageError("`password_hash` is bad.")
    return f"stored {encoded}"


def read_lines(*lines: bytes, present: tuple[User, ...] = ()) -> UserDump:
    return read(lines, present=present, stored_hash=stored)


def problems_of(*lines: bytes, present: tuple[User, ...] = ()) -> list[str]:
    with pytest.raises(UsageError) as refused:
        read_lines(*lines, present=present)
    first, *problems = str(refused.value).split("\n")
    assert first == "Nobody was imported."
    return problems


def test_what_is_written_is_read_again() -> None:
    dump = UserDump(
        accounts=(
            account(
                "7", "李小龍", email="Li@example.org", roles=("staff", "Größe"), credentials_changed_at=1_700_000_000
            ),
            account("2", "o'brien", is_active=False, claims_changed_at=1_800_000_000),
        ),
        last_id=12,
    )
    written = [f"{each}\n".encode() for each in lines_of(dump)]
    assert read(written, present=(), stored_hash=str) == dump


def test_what_need_not_be_said() -> None:
    assert read_lines(b"\n", line(), b"  ") == UserDump(
        accounts=(
            Account(
                user=User(id="1", username="alice", email="", roles=(), is_active=True), password_hash="stored hash"
            ),
        ),
        last_id=0,
    )


def test_numbers_are_ids_too() -> None:
    dump = read_lines(b'{"last_id": 9}', line(id=42))
    assert (dump.accounts[0].user.id, dump.last_id) == ("42", 9)
    assert read_lines(b'{"last_id": "0"}').last_id == 0


def test_names_are_stored_as_they_are_when_made_here() -> None:
    [alice] = read_lines(line(email="A@EXAMPLE.ORG", roles=["b", "a", "b"])).accounts
    assert (alice.user.email, alice.user.roles) == ("A@example.org", ("b", "a"))


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (b"nonsense", "This is no JSON object in UTF-8."),
        (b"[]", "This is no JSON object in UTF-8."),
        (b"\xff\xfe{}", "This is no JSON object in UTF-8."),
        (b"[" * 100_000, "This is no JSON object in UTF-8."),
        (b'{"id": "1", "username": "alice"}', "`password_hash` is missing."),
        (line(is_staff=True), "There is no `is_staff`; a user has id, username, password_hash, email, "),
        (b'{"last_id": "7", "id": "1"}', "There is no `id`; "),
        (b'{"last_id": "x"}', "An id is a whole number from 1 on, of 18 digits at most."),
        (line(id=0), "An id is a whole number"),
        (line(id="01"), "An id is a whole number"),
        (line(id=True), "An id is a whole number"),
        (line(id=1.0), "An id is a whole number"),
        (line(username=7), "`username` must be a text."),
        (line(username=" alice"), "The user name ' alice' holds something"),
        (line(username="al\x1b[2Jice"), "The user name 'al\\x1b[2Jice' holds something"),
        (line(email=None), "`email` must be a text."),
        (line(email="nobody"), "'nobody' is not an e-mail address"),
        (line(roles="staff"), "`roles` must be a list."),
        (line(roles=["a", 1]), "`roles` must be a list of texts."),
        (line(roles=["a,b"]), "The role 'a,b' holds a comma"),
        (line(is_active=1), "`is_active` must be true or false."),
        (line(claims_changed_at=1.5), "`claims_changed_at` must be a whole number."),
        (line(claims_changed_at=True), "`claims_changed_at` must be a whole number."),
        (line(credentials_changed_at=1_700_000_000_000), "`credentials_changed_at` must be Unix seconds"),
        (line(credentials_changed_at=-1), "`credentials_changed_at` must be Unix seconds"),
        (line(password_hash=None), "`password_hash` must be a text."),
        (line(password_hash="bad"), "`password_hash` is bad."),
    ],
)
def test_what_is_wrong_is_told_by_its_line(bad: bytes, sentence: str) -> None:
    [problem] = problems_of(line(id="5", username="eve"), bad)
    assert problem.startswith(f"line 2: {sentence}")


def test_what_is_taken_is_told_with_who_has_it() -> None:
    present = account("3", "carol", email="Carol@example.org").user
    assert problems_of(
        line(email="alice@example.org"),
        line(),
        line(id="2", username="bob", email="ALICE@example.org"),
        line(id="3", username="dave"),
        line(id="4", username="carol"),
        line(id="5", username="erin", email="carol@Example.org"),
        line(id="6", username="Alice"),
        present=(present,),
    ) == [
        "line 2: id '1' is that of line 1.",
        "line 3: e-mail address 'alice@example.org' is that of line 1.",
        "line 4: id '3' is that of a user who is there already.",
        "line 5: user name 'carol' is that of a user who is there already.",
        "line 6: e-mail address 'carol@example.org' is that of a user who is there already.",
    ]


def test_twenty_problems_are_enough() -> None:
    problems = problems_of(*[b"{}"] * 25)
    assert (len(problems), problems[-1]) == (21, "… and 5 more lines.")
