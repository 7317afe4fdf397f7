"""Bounds of the ledger that no request reaches; what requests do with it is in the tests of the endpoints."""

from collections.abc import Callable

import pytest

from gateway.auth.keyring import Keyring
from gateway.auth.keys import build_key
from gateway.auth.verifier import TokenVerifier
from gateway.endpoints.ledger import Ledger
from gateway.types import Revocation, RevokedKind, Secret
from tests.unit.endpoints.plane import KEY, NOW, Plane


@pytest.fixture
def plane(make_plane: Callable[..., Plane]) -> Plane:
    return make_plane()


@pytest.fixture
def ledger(plane: Plane) -> Ledger:
    return Ledger(
        store=plane.store,
        revocations=plane.revocations,
        verifier=TokenVerifier(
            keyring=Keyring(build_key("HS256", Secret(KEY), None)),
            leeway=0,
            audience=(),
            issuer=None,
            user_id_claim="user_id",
            token_type_claim="token_type",
            jti_claim="jti",
        ),
        session_claim="session",
        session_lifetime=100.5,
        leeway=2.5,
    )


def test_a_token_is_spent_once(plane: Plane, ledger: Ledger) -> None:
    claims = {"jti": "a", "exp": NOW + 0.25}
    assert [plane.run(ledger.spend(claims)) for _ in range(2)] == [True, False]
    assert plane.run(plane.store.revocations_since(0)).revocations == (
        Revocation(kind=RevokedKind.TOKEN, id="a", expires_at=NOW + 3),
    )
    assert plane.run(ledger.is_revoked(claims))
    assert not plane.run(ledger.is_revoked({"jti": "b", "exp": NOW}))


def test_a_token_without_an_id_cannot_be_spent(plane: Plane, ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="without an id"):
        plane.run(ledger.spend({"exp": NOW}))
    assert not plane.run(ledger.is_revoked({"exp": NOW}))


def test_the_session_claim_is_configurable(plane: Plane, ledger: Ledger) -> None:
    claims = {"jti": "a", "exp": NOW, "session": "s"}
    assert [plane.run(ledger.end_session(claims, NOW)) for _ in range(2)] == [True, False]
    assert plane.run(ledger.is_revoked({"session": "s"}))
    assert not plane.run(ledger.is_revoked({"sid": "s"}))
    assert not plane.run(ledger.end_session({"sid": "s"}, NOW))
    assert plane.run(plane.store.revocations_since(0)).revocations == (
        Revocation(kind=RevokedKind.SESSION, id="s", expires_at=NOW + 103),
    )


def test_a_session_that_another_worker_ended(plane: Plane, ledger: Ledger) -> None:
    plane.run(plane.store.revoke(Revocation(kind=RevokedKind.SESSION, id="s", expires_at=NOW + 10)))
    assert len(plane.revocations) == 0
    assert plane.run(ledger.is_revoked({"jti": "a", "session": "s"}))
