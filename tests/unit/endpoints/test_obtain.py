"""Contract §3."""

import asyncio
import json
import logging
import statistics
import time
from collections.abc import Callable

import jwt
import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from gateway.auth.passwords import PasswordHasher
from gateway.auth.throttle import GuessingPolicy
from gateway.endpoints.gate import MAX_LOGIN_CHARS
from gateway.http.addresses import Networks
from gateway.types import Revocation, RevokedKind
from tests.unit.endpoints.plane import JSON, KEY, NOW, Plane


def generous_policy() -> GuessingPolicy:
    """Counts, and never lets anybody wait."""
    return GuessingPolicy(
        attempts_per_user=10**6,
        attempts_per_address=10**6,
        first_wait=1,
        longest_wait=1,
        forget_after=3600,
        address_lifetime=3600,
        exempt_addresses=Networks([]),
    )


WRONG = b'{"detail":"No active account found with the given credentials"}'


def test_a_pair_of_tokens(plane: Plane) -> None:
    answer = plane.ask("", {"username": "alice", "password": "alice-pass-1"})
    assert answer.status == 200
    assert list(answer.json) == ["refresh", "access"]
    assert answer.content == f'{{"refresh":"{answer.json["refresh"]}","access":"{answer.json["access"]}"}}'.encode()
    claims = {
        name: jwt.decode(answer.json[name], KEY, ["HS256"], options={"verify_exp": False, "verify_iat": False})
        for name in ("access", "refresh")
    }
    assert [claims[name]["token_type"] for name in ("access", "refresh")] == ["access", "refresh"]
    assert claims["refresh"]["exp"] == NOW + 86400
    assert claims["access"]["user_id"] == plane.users["alice"].id
    assert claims["access"]["sid"] == claims["refresh"]["sid"]


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("alice", "wrong"),
        ("alice", "ALICE-PASS-1"),
        ("Alice", "alice-pass-1"),
        ("nobody", "alice-pass-1"),
        ("mallory", "mallory-pass-1"),
        ("mallory", "wrong"),
        ("alice", "alice-pass-1x"),
        ("alice@example.org", "alice-pass-1"),
        ("a" * (MAX_LOGIN_CHARS + 1), "x"),
        ("alice", "x" * 4097),
        ("alice", "é" * 2049),
        ("' OR 1=1 --", "x"),
    ],
)
def test_s47_every_failure_is_the_same_answer(plane: Plane, name: str, password: str) -> None:
    answer = plane.ask("", {"username": name, "password": password})
    first = plane.ask("", {"username": "nobody", "password": "x"})
    assert (answer.status, answer.content, answer.challenge) == (401, WRONG, 'Bearer realm="api"')
    ignored = {"Date"}
    assert {n: v for n, v in answer.fields.items() if n not in ignored} == {
        n: v for n, v in first.fields.items() if n not in ignored
    }


@pytest.mark.parametrize(
    "stored", ["", "!unusable", "gibberish", "argon2$", "$argon2id$v=19$m=8,t=1,p=1$x$y", "md5$a$b"]
)
def test_s47_an_unusable_hash_is_a_wrong_password(make_plane: Callable[..., Plane], stored: str) -> None:
    plane = make_plane()
    plane.run(plane.directory.set_password_hash("bob", stored))
    answer = plane.ask("", {"username": "bob", "password": "bob-pass-1"})
    assert (answer.status, answer.content) == (401, WRONG)


@pytest.mark.parametrize("has_django", [False, True], ids=["argon2", "pbkdf2"])
@pytest.mark.parametrize("guessing", [None, generous_policy()], ids=["uncounted", "counted"])
def test_s47_failures_take_about_as_long(
    make_plane: Callable[..., Plane], guessing: GuessingPolicy | None, has_django: bool
) -> None:
    """A way without a hash takes a tenth of the time, one with two hashes twice as long.

    Medians of processor time, the cases in turns: what else the machine does falls on all of them alike.
    """
    plane = make_plane(guessing=guessing)
    iterations = 20_000 if has_django else 0
    hasher = PasswordHasher(time_cost=4, memory_cost=4 * 1024 * 1024, parallelism=1, pbkdf2_iterations=iterations)
    plane.hashing._hasher = hasher
    for name in ("alice", "mallory"):
        password = f"{name}-pass-1"
        encoded = PBKDF2PasswordHasher().encode(password, "salt", iterations) if has_django else hasher.hash(password)
        plane.run(plane.directory.set_password_hash(name, encoded))
    cases = {
        "wrong password": ("alice", "wrong"),
        "unknown": ("nobody", "wrong"),
        "inactive": ("mallory", "mallory-pass-1"),
        "inactive and wrong": ("mallory", "wrong"),
        "long name": ("a" * 256, "wrong"),
        "long password": ("alice", "x" * 5000),
    }
    samples: dict[str, list[float]] = {case: [] for case in cases}
    for _ in range(15):
        for case, (name, password) in cases.items():
            started = time.process_time()
            assert plane.ask("", {"username": name, "password": password}).status == 401
            samples[case].append(time.process_time() - started)
    medians = {case: statistics.median(times) for case, times in samples.items()}
    assert max(medians.values()) < 1.6 * min(medians.values()), medians


def test_s47_time_does_not_tell_an_unknown_user_from_a_wrong_password(make_plane: Callable[..., Plane]) -> None:
    """As an attacker would look for it: of one request of each kind, how often is the same kind the slower one?

    Half of the time, if nothing tells them apart. With 60 of each, chance alone leaves 0.25 to 0.75 once in several
    hundred thousand times; a step that takes one way alone longer by a fifth of a millisecond does it every time.
    """
    plane = make_plane(guessing=generous_policy(), hash_workers=1)
    hasher = PasswordHasher(time_cost=2, memory_cost=4 * 1024 * 1024, parallelism=1)
    plane.hashing._hasher = hasher
    plane.run(plane.directory.set_password_hash("alice", hasher.hash("alice-pass-1")))
    samples: dict[str, list[float]] = {"alice": [], "nobody": []}
    for turn in range(60):
        for name in ("alice", "nobody") if turn % 2 else ("nobody", "alice"):
            started = time.perf_counter()
            assert plane.ask("", {"username": name, "password": "wrong"}).status == 401
            samples[name].append(time.perf_counter() - started)
    slower = sum(known > unknown for known in samples["alice"] for unknown in samples["nobody"]) / 60**2
    assert 0.25 < slower < 0.75


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (None, {"username": ["This field is required."], "password": ["This field is required."]}),
        (b"{}", {"username": ["This field is required."], "password": ["This field is required."]}),
        ({"username": "alice"}, {"password": ["This field is required."]}),
        ({"username": None, "password": ""}, {
            "username": ["This field may not be null."],
            "password": ["This field may not be blank."],
        }),
        ({"username": ["alice"], "password": True}, {
            "username": ["Not a valid string."],
            "password": ["Not a valid string."],
        }),
        ({"username": "a\0", "password": "b\0"}, {
            "username": ["Null characters are not allowed."],
            "password": ["Null characters are not allowed."],
        }),
        ([], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
        (b"null", {"non_field_errors": ["No data provided"]}),
    ],
)  # fmt: skip
def test_fields(plane: Plane, content: object, body: object) -> None:
    answer = plane.ask("", content)
    assert (answer.status, answer.json, answer.challenge) == (400, body, None)


def test_white_space_around_fields_does_not_count(plane: Plane) -> None:
    assert plane.ask("", {"username": "\talice\n", "password": "  alice-pass-1\t"}).status == 200


def test_s48_nothing_else_of_a_password_is_changed(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    for password in ("a  b", "x" * 4096, "12", "é", "e\u0301"):
        plane.run(plane.directory.set_password_hash("bob", plane.hasher.hash(password)))
        assert plane.ask("", {"username": "bob", "password": password}).status == 200
        assert plane.ask("", {"username": "bob", "password": password[:-1]}).status == 401 - (len(password) == 1)
    assert plane.ask("", {"username": "bob", "password": "\u00e9"}).status == 401


def test_a_number_is_its_text(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    plane.run(plane.directory.set_password_hash("bob", plane.hasher.hash("123.0")))
    assert plane.ask("", {"username": "bob", "password": 123.0}).status == 200


@pytest.mark.parametrize(
    ("content_type", "content"),
    [
        ("application/json", b'{"username":"alice","password":"alice-pass-1"}'),
        ("APPLICATION/JSON; charset=UTF-8", b'{"username":"alice","password":"alice-pass-1"}'),
        ("application/x-www-form-urlencoded", b"username=alice&password=alice-pass-1"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="username"\r\n\r\nalice\r\n'
            b'--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nalice-pass-1\r\n--b--\r\n',
        ),
        ("application/json", b'{"username":"bob","username":"alice","password":"alice-pass-1"}'),
        ("application/json", b'{"username":"alice","password":"alice-pass-1","is_superuser":true}'),
    ],
)
def test_s60_bodies_that_log_in(plane: Plane, content_type: str, content: bytes) -> None:
    assert plane.ask("", content, {"Content-Type": content_type}).status == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"Authorization": "Bearer garbage"},
        {"Cookie": "sessionid=x"},
        {"X-HTTP-Method-Override": "GET"},
        {"Origin": "https://evil.example"},
    ],
)
def test_other_fields_of_the_request_change_nothing(plane: Plane, fields: dict[str, str]) -> None:
    content = {"username": "alice", "password": "alice-pass-1"}
    answer = plane.ask("?username=bob&next=/", content, JSON | fields)
    assert answer.status == 200
    assert "Set-Cookie" not in answer.fields


def test_log_in_by_email(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(username_field="email", login_attribute="email")
    assert plane.ask("", {"email": "alice@example.org", "password": "alice-pass-1"}).status == 200
    assert plane.ask("", {"email": "alice", "password": "alice-pass-1"}).status == 401
    assert plane.ask("", {"username": "alice"}).json == {
        "email": ["This field is required."],
        "password": ["This field is required."],
    }


def test_s50_names_are_compared_exactly(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    plane.run(plane.directory.add(username="jos\u00e9", email="", roles=(), password_hash=plane.hasher.hash("pass-1")))
    assert plane.ask("", {"username": "jos\u00e9", "password": "pass-1"}).status == 200
    for other in ("jose\u0301", "JOS\u00c9", "jose", "ｊos\u00e9"):
        assert plane.ask("", {"username": other, "password": "pass-1"}).status == 401


def test_response_fields(make_plane: Callable[..., Plane]) -> None:
    shape = {"user": {"id": "id", "name": "username", "more": {"roles": "roles"}}, "mail": "email"}
    answer = make_plane(response_fields=shape).ask("", {"username": "alice", "password": "alice-pass-1"})
    assert list(answer.json) == ["refresh", "access", "user", "mail"]
    assert answer.json["user"] == {"id": "1", "name": "alice", "more": {"roles": ["staff"]}}
    assert answer.json["mail"] == "alice@example.org"


def test_a_response_field_of_no_attribute_fails_at_start(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    plane.settings["response_fields"] = {"user": {"secret": "password_hash"}}
    with pytest.raises(ValueError, match="password_hash"):
        plane.application()


def test_compat_3_3(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(legacy_failure=True)
    for name in ("alice", "nobody", "mallory"):
        answer = plane.ask("", {"username": name, "password": "wrong"})
        assert (answer.status, answer.challenge) == (400, None)
        assert answer.content == (b'{"non_field_errors":["No active account found with the given credentials"]}')
    assert plane.ask("", {"username": "alice", "password": "alice-pass-1"}).status == 200


def test_a_weak_hash_is_replaced_at_log_in(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    weak = PasswordHasher(time_cost=1, memory_cost=16 * 1024, parallelism=1).hash("bob-pass-1")
    plane.run(plane.directory.set_password_hash("bob", weak))
    assert plane.hasher.needs_rehash(weak)
    assert plane.ask("", {"username": "bob", "password": "wrong"}).status == 401
    assert plane.run(plane.directory.find_by_login("bob")).password_hash == weak  # type: ignore[union-attr]
    assert plane.ask("", {"username": "bob", "password": "bob-pass-1"}).status == 200
    stored = plane.run(plane.directory.find_by_login("bob")).password_hash  # type: ignore[union-attr]
    assert stored != weak
    assert not plane.hasher.needs_rehash(stored)
    assert plane.ask("", {"username": "bob", "password": "bob-pass-1"}).status == 200


def test_djangos_hash_becomes_ours_at_log_in(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    plane.hashing._hasher = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1, pbkdf2_iterations=1000)
    plane.run(plane.directory.set_password_hash("bob", PBKDF2PasswordHasher().encode("bob-pass-1", "salt", 1000)))
    assert plane.ask("", {"username": "bob", "password": "wrong"}).status == 401
    for _ in range(2):
        assert plane.ask("", {"username": "bob", "password": "bob-pass-1"}).status == 200
        account = plane.run(plane.directory.find_by_login("bob"))
        assert account is not None
        assert account.password_hash.startswith("$argon2id$")


def test_a_rehash_that_cannot_be_stored_does_not_stop_the_log_in(
    make_plane: Callable[..., Plane], caplog: pytest.LogCaptureFixture
) -> None:
    plane = make_plane()
    weak = PasswordHasher(time_cost=1, memory_cost=16 * 1024, parallelism=1).hash("bob-pass-1")
    plane.run(plane.directory.set_password_hash("bob", weak))
    forbid = "CREATE TRIGGER read_only BEFORE UPDATE ON users BEGIN SELECT RAISE(ABORT, 'read only'); END"
    plane.run(plane.file.write(lambda connection: connection.execute(forbid)))
    assert plane.ask("", {"username": "bob", "password": "bob-pass-1"}).status == 200
    assert "rehash_postponed" in caplog.text


def test_a_full_queue_is_503_with_retry_after(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(hash_workers=1, hash_queue=1)
    slow = PasswordHasher(time_cost=30, memory_cost=1024 * 1024, parallelism=1)
    plane.hashing._hasher = slow
    answers = plane.ask_at_once("", [{"username": "nobody", "password": "x"}] * 8)
    assert {answer.status for answer in answers} == {401, 503}
    refused = next(answer for answer in answers if answer.status == 503)
    assert refused.json["code"] == "overloaded"
    assert refused.fields["Retry-After"] == "1"
    assert refused.challenge is None


def test_a_failing_store_is_503_and_never_401(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    plane.run(plane.file.close())
    answer = plane.ask("", {"username": "alice", "password": "alice-pass-1"})
    assert (answer.status, answer.json["code"], answer.challenge) == (503, "store_unavailable", None)


@pytest.mark.parametrize(("kind", "revoked_id"), [(RevokedKind.USER, "1"), (RevokedKind.EVERYTHING, "")])
def test_s84_what_was_revoked_in_the_future_is_no_reason_to_hash_until_then(
    make_plane: Callable[..., Plane], kind: RevokedKind, revoked_id: str
) -> None:
    """By somebody whose clock is wrong: each log-in would wait, and compute a hash a second meanwhile."""
    plane = make_plane()
    revocation = Revocation(kind=kind, id=revoked_id, expires_at=NOW + 99999, up_to=NOW + 3600)
    plane.run(plane.store.revoke(revocation))
    answer = plane.ask("", {"username": "alice", "password": "alice-pass-1"})
    assert (answer.status, answer.json["code"]) == (503, "store_unavailable")


def test_s49_hashing_does_not_block_the_loop(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(hash_workers=1)
    plane.hashing._hasher = PasswordHasher(time_cost=40, memory_cost=8 * 1024 * 1024, parallelism=1)

    async def longest_silence() -> tuple[float, float]:
        content = json.dumps({"username": "nobody", "password": "x"})
        started = last = time.perf_counter()
        work = asyncio.create_task(plane.exchange("POST", "/api/token/", content, JSON))
        silence = 0.0
        while not work.done():
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            silence, last = max(silence, now - last), now
        return silence, last - started

    silence, whole = plane.run(longest_silence())
    assert silence < whole / 2


def test_s86_log_ins_are_on_record_without_passwords(plane: Plane, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    origin = {"X-Gateway-Client-Address": "192.0.2.7", "X-Request-Id": "r-1"}
    good = plane.ask("", {"username": "alice", "password": "alice-pass-1"}, JSON | origin)
    plane.ask("", {"username": "alice", "password": "not-the-password"}, JSON | origin)
    records = [json.loads(r.getMessage()) for r in caplog.records if r.name == "gateway.audit"]
    assert [(r["event"], r["user"], r["client"], r["request_id"]) for r in records] == [
        ("login_succeeded", "alice", "192.0.2.7", "r-1"),
        ("login_failed", "alice", "192.0.2.7", "r-1"),
    ]
    assert records[1]["reason"] == "wrong_credentials"
    for secret in ("alice-pass-1", "not-the-password", good.json["access"], good.json["refresh"]):
        assert secret not in caplog.text
