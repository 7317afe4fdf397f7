import time

import pytest

from gateway.auth.revocation import RevocationList
from gateway.types import Revocation, RevokedKind


def revoked(kind: RevokedKind, revoked_id: str, expires_at: int = 100) -> Revocation:
    return Revocation(kind=kind, id=revoked_id, expires_at=expires_at)


def test_nothing_is_revoked_at_first() -> None:
    revocations = RevocationList()

    assert not revocations.is_revoked("t", "s")
    assert not revocations.is_revoked(None, None)
    assert len(revocations) == 0


def test_s57_a_token_is_revoked_by_its_id_alone() -> None:
    revocations = RevocationList()
    revocations.add(revoked(RevokedKind.TOKEN, "t"))

    assert revocations.is_revoked("t", None)
    assert revocations.is_revoked("t", "s")
    assert not revocations.is_revoked("s", "t")
    assert not revocations.is_revoked(None, None)
    assert len(revocations) == 1


def test_s57_a_session_takes_all_its_tokens_with_it() -> None:
    revocations = RevocationList()
    revocations.add(revoked(RevokedKind.SESSION, "s"))

    assert revocations.is_revoked("any", "s")
    assert revocations.is_revoked(None, "s")
    assert not revocations.is_revoked("s", None)
    assert len(revocations) == 1


@pytest.mark.parametrize("kind", list(RevokedKind))
def test_s58_purge_forgets_what_expired_and_nothing_else(kind: RevokedKind) -> None:
    revocations = RevocationList()
    for number in range(10):
        revocations.add(revoked(kind, f"id{number}", expires_at=100 + number))

    revocations.purge(104.9)

    assert len(revocations) == 5
    answers = [revocations.is_revoked(f"id{n}", f"id{n}") for n in range(10)]
    assert answers == [False] * 5 + [True] * 5
    revocations.purge(105)
    assert len(revocations) == 4


def test_the_longer_of_two_revocations_of_one_id_counts() -> None:
    revocations = RevocationList()
    for expires_at in (100, 300, 200):
        revocations.add(revoked(RevokedKind.TOKEN, "t", expires_at))
    assert len(revocations) == 1

    revocations.purge(299)
    assert revocations.is_revoked("t", None)

    revocations.purge(300)
    assert not revocations.is_revoked("t", None)
    assert len(revocations) == 0


def test_s58_an_id_revoked_again_after_purge_is_refused_again() -> None:
    revocations = RevocationList()
    revocations.add(revoked(RevokedKind.TOKEN, "t", 100))
    revocations.purge(100)
    revocations.add(revoked(RevokedKind.TOKEN, "t", 200))

    assert revocations.is_revoked("t", None)


def test_purge_does_not_walk_what_is_not_due() -> None:
    """30,000 entries, none due: a walk takes most of a millisecond, a look at the first none."""
    revocations = RevocationList()
    for number in range(30_000):
        revocations.add(revoked(RevokedKind.TOKEN, f"id{number}", 1000))

    started = time.perf_counter()
    for _ in range(3000):
        revocations.purge(999)
    assert time.perf_counter() - started < 1
