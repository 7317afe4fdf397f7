"""What a route asks, for each kind of access and each kind of visitor."""

from typing import Any

import pytest

from gateway.auth.policy import RoutePolicy, require_user
from gateway.errors import Reason, Refused
from gateway.types import Access, Principal, TokenReference, User


def somebody(*roles: str) -> Principal:
    return Principal(
        user_id="1",
        token_id="t",
        session_id=None,
        issued_at=0,
        expires_at=0.0,
        roles=frozenset(roles),
        identity=b"X-User-Id: 1",
    )


def answer(principal: Principal | None, method: str = "GET", **rules: Any) -> Reason | None:
    """None where the visitor may pass."""
    rules = {name: frozenset(rule) if isinstance(rule, list) else rule for name, rule in rules.items()}
    try:
        RoutePolicy(**rules).authorize(principal, method)
    except Refused as refused:
        return refused.reason
    return None


@pytest.mark.parametrize("access", Access)
@pytest.mark.parametrize("method", ["GET", "OPTIONS", "PROPFIND", "get"])
def test_s23_only_a_required_route_asks_for_a_token_whatever_the_method(access: Access, method: str) -> None:
    anonymous = Reason.NOT_AUTHENTICATED if access is Access.REQUIRED else None
    assert answer(None, method, access=access) is anonymous
    assert answer(somebody(), method, access=access) is None


@pytest.mark.parametrize("access", Access)
def test_s41_a_token_is_read_but_on_public_routes(access: Access) -> None:
    assert RoutePolicy(access=access).reads_token is (access is not Access.PUBLIC)


@pytest.mark.parametrize("access", Access)
def test_a_method_that_is_not_named_is_not_allowed(access: Access) -> None:
    rules: dict[str, Any] = {"access": access, "methods": ["GET", "HEAD"]}
    assert answer(somebody(), "HEAD", **rules) is None
    for method in ("POST", "get", "GETX", ""):
        assert answer(somebody(), method, **rules) is Reason.METHOD_NOT_ALLOWED
    assert RoutePolicy(access=access, methods=frozenset({"GET"})).allowed_methods == {"GET"}
    assert RoutePolicy(access=access).allowed_methods is None
    assert answer(somebody(), access=access, methods=[]) is Reason.METHOD_NOT_ALLOWED


@pytest.mark.parametrize("roles", [(), ("staf",), ("STAFF",), ("staff ",), ("user", "guest")])
def test_s38_a_role_is_matched_exactly(roles: tuple[str, ...]) -> None:
    rules: dict[str, Any] = {"access": Access.REQUIRED, "roles": ["staff", "admin"]}
    assert answer(somebody(*roles), **rules) is Reason.PERMISSION_DENIED
    assert answer(somebody(*roles, "admin"), **rules) is None


@pytest.mark.parametrize("access", Access)
def test_nobody_has_no_role(access: Access) -> None:
    assert answer(None, access=access, roles=["staff"]) is Reason.NOT_AUTHENTICATED
    assert answer(somebody("staff"), access=access, roles=[]) is Reason.PERMISSION_DENIED


def test_the_order_is_drfs() -> None:
    rules: dict[str, Any] = {"access": Access.REQUIRED, "methods": ["GET"], "roles": ["staff"]}
    assert answer(None, "POST", **rules) is Reason.NOT_AUTHENTICATED
    assert answer(somebody(), "POST", **rules) is Reason.METHOD_NOT_ALLOWED
    assert answer(somebody(), "GET", **rules) is Reason.PERMISSION_DENIED
    assert answer(None, "POST", **(rules | {"access": Access.OPTIONAL})) is Reason.METHOD_NOT_ALLOWED


def test_the_directory_is_asked_unless_the_route_is_stateless() -> None:
    assert RoutePolicy(access=Access.REQUIRED).is_stateless is False
    assert RoutePolicy(access=Access.REQUIRED, is_stateless=True).is_stateless is True


def asked(issued_at: int, **changes: Any) -> Reason | None:
    """What becomes of a token of this second; None where its user is still the one to whom it was issued."""
    alice = User(**{"id": "1", "username": "alice", "email": "", "roles": (), "is_active": True} | changes)
    token = TokenReference(token_id="t", session_id="s", user_id="1", issued_at=issued_at)
    try:
        assert require_user(token, alice) is alice
    except Refused as refused:
        return refused.reason
    return None


def test_s56_a_token_of_nobody_is_refused() -> None:
    token = TokenReference(token_id="t", session_id="s", user_id="1", issued_at=100)
    with pytest.raises(Refused) as caught:
        require_user(token, None)
    assert caught.value.reason is Reason.USER_NOT_FOUND


@pytest.mark.parametrize(
    ("issued_at", "changes", "reason"),
    [
        (100, {}, None),
        (0, {}, None),  # of a token that does not say when, and a user who never changed
        (100, {"is_active": False}, Reason.USER_INACTIVE),
        (100, {"is_active": False, "credentials_changed_at": 200}, Reason.USER_INACTIVE),
        (99, {"credentials_changed_at": 100}, Reason.PASSWORD_CHANGED),
        (100, {"credentials_changed_at": 100}, Reason.PASSWORD_CHANGED),  # of before or after, in the same second
        (101, {"credentials_changed_at": 100}, None),
        (0, {"credentials_changed_at": 1}, Reason.PASSWORD_CHANGED),
        (99, {"claims_changed_at": 100}, Reason.TOKEN_OUTDATED),
        (100, {"claims_changed_at": 100}, Reason.TOKEN_OUTDATED),
        (101, {"claims_changed_at": 100}, None),
        (100, {"claims_changed_at": 100, "credentials_changed_at": 100}, Reason.PASSWORD_CHANGED),
    ],
)
def test_s56_what_was_issued_before_the_user_became_another_one_is_refused(
    issued_at: int, changes: dict[str, Any], reason: Reason | None
) -> None:
    assert asked(issued_at, **changes) is reason
