"""Token → principal: what is asked on every request, and what once a token."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from gateway.auth.keys import generate_key
from gateway.auth.policy import RoutePolicy
from gateway.auth.revocation import RevocationList
from gateway.auth.sessions import session_id_for
from gateway.errors import Reason, Refused
from gateway.proxy.admission import Admission, AdmissionRules, UnknownUser
from gateway.sqlite_file import SqliteFile
from gateway.types import Access, Principal, Revocation, RevokedKind
from gateway.users.sqlite import SqliteUserDirectory
from tests.unit.auth.verifiers import keyring_of, verifier_of
from tests.unit.proxy.admissions import rules_with

NOW = 1_800_000_000
KEY = generate_key("HS256")
REQUIRED = RoutePolicy(access=Access.REQUIRED)
OPTIONAL = RoutePolicy(access=Access.OPTIONAL)
PUBLIC = RoutePolicy(access=Access.PUBLIC)
STATELESS = RoutePolicy(access=Access.REQUIRED, is_stateless=True)


class World:
    def __init__(self, path: Path, leeway: float = 0) -> None:
        self.directory = SqliteUserDirectory(SqliteFile.open(path), login_attribute="username")
        self.revocations = RevocationList()
        self.admission = Admission(
            rules=rules_with(verifier_of(keyring_of(KEY), leeway=leeway), fields={"X-Tenant": "tenant"}),
            revocations=self.revocations,
            directory=self.directory,
            max_tokens=10,
        )

    async def prepare(self) -> None:
        await self.directory.prepare()
        user = await self.directory.add(username="alice", email="", roles=(), password_hash="x")
        self.user_id = user.id

    def bearer(self, **claims: Any) -> list[bytes]:
        usual = {"token_type": "access", "exp": NOW + 300, "jti": "t1", "sid": "s1", "user_id": self.user_id}
        payload = {name: value for name, value in {**usual, **claims}.items() if value is not ...}
        return [b"Bearer " + jwt.encode(payload, KEY, "HS256").encode()]

    def refusal(self, policy: RoutePolicy, fields: list[bytes] | None, now: float = NOW) -> Reason:
        with pytest.raises(Refused) as caught:
            self.admission.recognise(policy, fields, now)
        return caught.value.reason


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "gateway.sqlite3")
    await world.prepare()
    yield world
    await world.directory.close()


async def known(world: World, fields: list[bytes]) -> Principal:
    """The principal of a token on a route that looks its user up."""
    found = world.admission.recognise(REQUIRED, fields, NOW)
    if isinstance(found, UnknownUser):
        return await world.admission.look_up(found)
    assert found is not None
    return found


async def test_a_principal_is_what_the_token_says(world: World) -> None:
    principal = world.admission.recognise(STATELESS, world.bearer(tenant="north", roles=["a", "b"]), NOW)
    assert principal == Principal(
        user_id=world.user_id,
        token_id="t1",
        session_id="s1",
        issued_at=0,
        expires_at=NOW + 300,
        roles=frozenset({"a", "b"}),
        identity=f"X-User-Id: {world.user_id}\r\nX-Tenant: north".encode(),
    )


@pytest.mark.parametrize("roles", ["admin", {"admin": True}, ["admin", 1], [["admin"]], None, True, 7, ...])
async def test_s38_any_other_shape_of_roles_is_no_role(world: World, roles: object) -> None:
    principal = world.admission.recognise(STATELESS, world.bearer(roles=roles), NOW)
    assert isinstance(principal, Principal)
    assert principal.roles == frozenset()


async def test_s41_a_public_route_does_not_look_at_the_token(world: World) -> None:
    for fields in (None, world.bearer(), [b"Bearer x"], [b"Bearer"], [b"Bearer a", b"Bearer b"]):
        assert world.admission.recognise(PUBLIC, fields, NOW) is None


async def test_an_anonymous_request_is_nobodys(world: World) -> None:
    for policy in (OPTIONAL, REQUIRED):
        assert world.admission.recognise(policy, None, NOW) is None
        assert world.admission.recognise(policy, [b"Basic YTpi"], NOW) is None


@pytest.mark.parametrize("policy", [OPTIONAL, REQUIRED, STATELESS])
async def test_a_bad_token_is_refused_and_not_anonymous(world: World, policy: RoutePolicy) -> None:
    assert world.refusal(policy, [b"Bearer x"]) is Reason.TOKEN_INVALID
    assert world.refusal(policy, [b"Bearer a b"]) is Reason.BAD_AUTHORIZATION_HEADER
    assert world.refusal(policy, world.bearer(token_type="refresh")) is Reason.TOKEN_WRONG_TYPE
    assert world.refusal(policy, world.bearer(user_id=...)) is Reason.TOKEN_NO_USER


async def test_the_user_is_looked_up_once(world: World) -> None:
    # What a stateless route has seen is no user that anybody looked up.
    first = world.bearer(jti="t1")
    assert isinstance(world.admission.recognise(STATELESS, first, NOW), Principal)
    principal = await known(world, first)
    assert world.admission.recognise(REQUIRED, first, NOW) is principal
    assert isinstance(world.admission.recognise(REQUIRED, world.bearer(jti="t2"), NOW), Principal)


async def test_a_changed_user_is_looked_up_again_whatever_the_token(world: World) -> None:
    await known(world, world.bearer(jti="t1"))
    world.admission.known_users.forget_users({world.user_id, "999"})
    assert isinstance(world.admission.recognise(REQUIRED, world.bearer(jti="t2"), NOW), UnknownUser)
    await known(world, world.bearer(jti="t2"))
    world.admission.known_users.clear()
    assert isinstance(world.admission.recognise(REQUIRED, world.bearer(jti="t3"), NOW), UnknownUser)


async def test_a_new_token_of_a_known_user_is_checked_like_any_other(world: World) -> None:
    await known(world, world.bearer(jti="t1"))
    assert world.refusal(REQUIRED, world.bearer(jti="t2", exp=NOW - 1)) is Reason.TOKEN_EXPIRED
    assert world.refusal(REQUIRED, world.bearer(jti="t2", token_type="refresh")) is Reason.TOKEN_WRONG_TYPE
    assert isinstance(world.admission.recognise(REQUIRED, world.bearer(jti="t2", user_id="999"), NOW), UnknownUser)


async def test_a_user_that_is_gone_or_disabled_is_refused_and_not_remembered(world: World) -> None:
    for fields, change, reason in (
        (world.bearer(user_id="999"), None, Reason.USER_NOT_FOUND),
        (world.bearer(), world.directory.set_active("alice", is_active=False), Reason.USER_INACTIVE),
    ):
        if change is not None:
            await change
        for _ in range(2):
            with pytest.raises(Refused) as caught:
                await known(world, fields)
            assert caught.value.reason is reason


async def test_s43_expiry_is_asked_on_every_request(world: World) -> None:
    fields = world.bearer()
    await known(world, fields)
    for policy in (REQUIRED, STATELESS):
        assert isinstance(world.admission.recognise(policy, fields, NOW + 299), Principal)
        assert world.refusal(policy, fields, NOW + 300) is Reason.TOKEN_EXPIRED


async def test_s43_s44_leeway_counts_for_cached_tokens_as_for_new_ones(tmp_path: Path) -> None:
    world = World(tmp_path / "leeway.sqlite3", leeway=10)
    await world.prepare()
    cached, new = world.bearer(), world.bearer(jti="t2")
    assert isinstance(world.admission.recognise(STATELESS, cached, NOW), Principal)
    for fields in (cached, new):
        assert isinstance(world.admission.recognise(STATELESS, fields, NOW + 309), Principal)
        assert world.refusal(STATELESS, fields, NOW + 310) is Reason.TOKEN_EXPIRED
    await world.directory.close()


@pytest.mark.parametrize(("kind", "revoked_id"), [(RevokedKind.TOKEN, "t1"), (RevokedKind.SESSION, "s1")])
async def test_s43_s57_revocation_is_asked_on_every_request(world: World, kind: RevokedKind, revoked_id: str) -> None:
    fields, other = world.bearer(), world.bearer(jti="t2", sid="s2")
    for each in (fields, other):
        await known(world, each)
        assert isinstance(world.admission.recognise(STATELESS, each, NOW), Principal)
    world.revocations.add(Revocation(kind=kind, id=revoked_id, expires_at=NOW + 300))
    for policy in (REQUIRED, STATELESS):
        assert world.refusal(policy, fields) is Reason.TOKEN_REVOKED
        assert isinstance(world.admission.recognise(policy, other, NOW), Principal)
    # One that is seen for the first time after, too; and before its type is looked at, as in the library.
    assert world.refusal(REQUIRED, world.bearer(token_type="refresh")) is Reason.TOKEN_REVOKED


@pytest.mark.parametrize("session_id", [..., None, 7, ["s1"], ""])
async def test_a_token_without_a_session_of_text_has_one_for_itself(world: World, session_id: object) -> None:
    principal = world.admission.recognise(STATELESS, world.bearer(sid=session_id), NOW)
    assert isinstance(principal, Principal)
    assert principal.session_id == session_id_for("t1")


async def test_s43_a_change_of_the_user_during_the_look_up_is_not_forgotten(world: World) -> None:
    fields = world.bearer()
    first = world.admission.recognise(REQUIRED, fields, NOW)
    assert isinstance(first, UnknownUser)
    world.admission.known_users.forget_users({world.user_id})
    await world.admission.look_up(first)
    assert isinstance(world.admission.recognise(REQUIRED, fields, NOW), UnknownUser)


async def test_s45_forgotten_tokens_are_checked_again(world: World) -> None:
    """Also one that is being looked up at that moment: its key may be the one that is gone."""
    seen, waiting = world.bearer(), world.bearer(jti="t2", user_id=world.user_id)
    unknown = world.admission.recognise(REQUIRED, waiting, NOW)
    first = await known(world, seen)
    stateless = world.admission.recognise(STATELESS, seen, NOW)
    world.admission.forget_tokens()
    assert isinstance(unknown, UnknownUser)
    await world.admission.look_up(unknown)
    assert world.admission.recognise(STATELESS, seen, NOW) is not stateless
    assert isinstance(world.admission.recognise(REQUIRED, waiting, NOW), UnknownUser)
    assert await known(world, seen) is not first


async def test_s57_a_log_out_during_the_look_up_counts(world: World) -> None:
    unknown = world.admission.recognise(REQUIRED, world.bearer(), NOW)
    assert isinstance(unknown, UnknownUser)
    world.revocations.add(Revocation(kind=RevokedKind.SESSION, id="s1", expires_at=int(NOW) + 300))
    with pytest.raises(Refused) as caught:
        await world.admission.look_up(unknown)
    assert caught.value.reason is Reason.TOKEN_REVOKED


async def test_s57_what_a_user_had_up_to_a_moment_is_refused(world: World) -> None:
    old, new = world.bearer(iat=NOW - 60), world.bearer(iat=NOW - 10, jti="t2")
    await known(world, old)
    world.revocations.add(
        Revocation(kind=RevokedKind.USER, id=world.user_id, expires_at=int(NOW) + 300, up_to=int(NOW) - 20)
    )
    assert world.refusal(REQUIRED, old) is Reason.TOKEN_REVOKED
    assert (await known(world, new)).token_id == "t2"


@pytest.mark.parametrize("is_known", [True, False])
async def test_s56_a_new_password_refuses_what_was_issued_before(world: World, is_known: bool) -> None:
    now = int(time.time())
    old, new = world.bearer(iat=now - 1, exp=now + 60), world.bearer(iat=now + 5, exp=now + 60, jti="t2")
    assert isinstance(world.admission.recognise(REQUIRED, old, now), UnknownUser)
    await world.directory.set_password_hash("alice", "other")
    if is_known:
        found = world.admission.recognise(REQUIRED, new, now + 5)
        assert isinstance(found, UnknownUser)
        await world.admission.look_up(found)
        assert world.refusal(REQUIRED, old, now) is Reason.PASSWORD_CHANGED
    else:
        found = world.admission.recognise(REQUIRED, old, now)
        assert isinstance(found, UnknownUser)
        with pytest.raises(Refused) as caught:
            await world.admission.look_up(found)
        assert caught.value.reason is Reason.PASSWORD_CHANGED
    assert isinstance(world.admission.recognise(STATELESS, old, now), Principal)


async def test_new_roles_refuse_tokens_that_say_the_old_ones(world: World) -> None:
    now = int(time.time())
    await world.directory.set_roles("alice", ("staff",))
    found = world.admission.recognise(REQUIRED, world.bearer(iat=now - 1, exp=now + 60), now)
    assert isinstance(found, UnknownUser)
    with pytest.raises(Refused) as caught:
        await world.admission.look_up(found)
    assert caught.value.reason is Reason.TOKEN_OUTDATED


async def test_when_nobody_can_tell_what_was_revoked_no_token_passes(world: World) -> None:
    fields = world.bearer()
    await known(world, fields)
    world.admission.trusted_until = NOW
    for policy in (REQUIRED, STATELESS):
        assert world.refusal(policy, fields) is Reason.STORE_UNAVAILABLE
    assert world.admission.recognise(PUBLIC, fields, NOW) is None
    assert isinstance(world.admission.recognise(REQUIRED, fields, NOW - 0.1), Principal)


# Other rules


def other_rules(scheme: str = "Bearer", key: str = KEY) -> AdmissionRules:
    return rules_with(verifier_of(keyring_of(key)), scheme=scheme, roles_claim="groups")


async def test_s43_what_other_keys_have_verified_does_not_count_any_more(world: World) -> None:
    fields = world.bearer()
    await known(world, fields)
    assert world.admission.recognise(STATELESS, fields, NOW) is not None
    world.admission.swap(other_rules(key=generate_key("HS256")))
    assert world.refusal(REQUIRED, fields) is Reason.TOKEN_INVALID
    assert world.refusal(STATELESS, fields) is Reason.TOKEN_INVALID
    world.admission.swap(other_rules())
    principal = world.admission.recognise(STATELESS, world.bearer(groups=["a"], roles=["b"], tenant="north"), NOW)
    assert isinstance(principal, Principal)
    assert (principal.roles, principal.identity) == ({"a"}, f"X-User-Id: {world.user_id}".encode())
    world.admission.swap(other_rules(scheme="JWT"))
    assert world.admission.recognise(REQUIRED, fields, NOW) is None


async def test_s43_what_is_looked_up_meanwhile_is_for_its_own_request_alone(world: World) -> None:
    fields = world.bearer()
    unknown = world.admission.recognise(REQUIRED, fields, NOW)
    assert isinstance(unknown, UnknownUser)
    world.admission.swap(other_rules(key=generate_key("HS256")))
    assert (await world.admission.look_up(unknown)).user_id == world.user_id
    assert world.refusal(REQUIRED, fields) is Reason.TOKEN_INVALID
