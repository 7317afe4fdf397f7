import time

import pytest

from gateway.auth.revocation import RevocationList
from gateway.types import Revocation, RevokedKind, TokenReference


def revoked(kind: RevokedKind, revoked_id: str, expires_at: int = 100, up_to: int = 0) -> Revocation:
    return Revocation(kind=kind, id=revoked_id, expires_at=expires_at, up_to=up_to)


def token(
    token_id: str | None, session_id: str | None, user_id: str | None = None, issued_at: int = 50
) -> TokenReference:
    return TokenReference(token_id=token_id, session_id=session_id, user_id=user_id, issued_at=issued_at)


def test_nothing_is_revoked_at_first() -> None:
    revocations = RevocationList()

    assert not revocations.is_revoked(token("t", "s"))
    assert not revocations.is_revoked(token(None, None))
    assert len(revocations) == 0


def test_s57_a_token_is_revoked_by_its_id_alone() -> None:
    revocations = RevocationList()
    revocations.add(revoked(RevokedKind.TOKEN, "t"))

    assert revocations.is_revoked(token("t", None))
    assert revocations.is_revoked(token("t", "s"))
    assert not revocations.is_revoked(token("s", "t"))
    assert not revocations.is_revoked(token(None, None))
    assert len(revocations) == 1


def test_s57_a_session_takes_all_its_tokens_with_it() -> None:
    revocations = RevocationList()
    revocations.add(revoked(RevokedKind.SESSION, "s"))

    assert revocations.is_revoked(token("any", "s"))
    assert revocations.is_revoked(token(None, "s"))
    assert not revocations.is_revoked(token("s", None))
    assert len(revocations) == 1


def test_a_user_loses_what_was_issued_up_to_the_moment() -> None:
    revocations = RevocationList()
    for up_to in (30, 50, 40):
        revocations.add(revoked(RevokedKind.USER, "7", up_to=up_to))

    assert [revocations.is_revoked(token("t", "s", "7", at)) for at in (0, 50, 51)] == [True, True, False]
    assert not revocations.is_revoked(token("7", "7", "8", 0))
    assert not revocations.is_revoked(token("7", "7", None, 0))
    assert len(revocations) == 1


def test_everybody_loses_what_was_issued_up_to_the_moment() -> None:
    revocations = RevocationList()
    for up_to in (30, 50, 40):
        revocations.add(revoked(RevokedKind.EVERYTHING, "", up_to=up_to))

    assert [revocations.is_revoked(token(None, None, None, at)) for at in (0, 50, 51)] == [True, True, False]
    revocations.purge(1000)
    assert revocations.is_revoked(token("t", "s", "7", 50))


def test_s58_the_moment_of_a_user_lasts_as_long_as_the_longest() -> None:
    revocations = RevocationList()
    revocations.add(revoked(RevokedKind.USER, "7", 100, up_to=40))
    revocations.add(revoked(RevokedKind.USER, "7", 200, up_to=30))

    revocations.purge(100)
    assert revocations.is_revoked(token(None, None, "7", 40))
    revocations.purge(200)
    assert not revocations.is_revoked(token(None, None, "7", 40))
    assert len(revocations) == 0


@pytest.mark.parametrize("kind", [RevokedKind.TOKEN, RevokedKind.SESSION, RevokedKind.USER])
def test_s58_purge_forgets_what_expired_and_nothing_else(kind: RevokedKind) -> None:
    revocations = RevocationList()
    for number in range(10):
        revocations.add(revoked(kind, f"id{number}", 100 + number, up_to=50))

    revocations.purge(104.9)

    assert len(revocations) == 5
    answers = [revocations.is_revoked(token(f"id{n}", f"id{n}", f"id{n}")) for n in range(10)]
    assert answers == [False] * 5 + [True] * 5
    revocations.purge(105)
    assert len(revocations) == 4


def test_the_longer_of_two_revocations_of_one_id_counts() -> None:
    revocations = RevocationList()
    for expires_at in (100, 300, 200):
        revocations.add(revoked(RevokedKind.TOKEN, "t", expires_at))
    assert len(revocations) == 1

    revocations.purge(299)
    assert revocations.is_revoked(token("t", None))

    revocations.purge(300)
    assert not revocations.is_revoked(token("t", None))
    assert len(revocations) == 0


def test_s58_an_id_revoked_again_after_purge_is_refused_again() -> None:
    revocations = RevocationList()
    revocations.add(revoked(RevokedKind.TOKEN, "t", 100))
    revocations.purge(100)
    revocations.add(revoked(RevokedKind.TOKEN, "t", 200))

    assert revocations.is_revoked(token("t", None))


def test_purge_does_not_walk_what_is_not_due() -> None:
    """30,000 entries, none due: a walk takes most of a millisecond, a look at the first none."""
    revocations = RevocationList()
    for number in range(30_000):
        revocations.add(revoked(RevokedKind.TOKEN, f"id{number}", 1000))

    started = time.perf_counter()
    for _ in range(3000):
        revocations.purge(999)
    assert time.perf_counter() - started < 1


def test_its_entries_are_what_was_added_and_has_not_been_forgotten() -> None:
    revocations = RevocationList()
    assert list(revocations.entries()) == []
    added = {
        revoked(RevokedKind.TOKEN, "t", 100),
        revoked(RevokedKind.SESSION, "s", 101),
        revoked(RevokedKind.USER, "7", 102, up_to=30),
        revoked(RevokedKind.EVERYTHING, "", 103, up_to=20),
    }
    for each in added:
        revocations.add(each)
    revocations.add(revoked(RevokedKind.EVERYTHING, "", 90, up_to=10))
    assert set(revocations.entries()) == added
    revocations.purge(100)
    assert set(revocations.entries()) == added - {revoked(RevokedKind.TOKEN, "t", 100)}
