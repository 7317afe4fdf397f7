"""What issuers are made of the configuration, and whose ids their users have."""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from gateway.auth.key_set import KeySet
from gateway.composition.blueprint import Blueprint, draw
from gateway.composition.foreign_issuers import Issuers, build_foreign_issuers, foreign_of
from tests.unit.composition.documents import config_with, document_with
from tests.unit.metering import new_meters

ENTRY = "issuer: 'https://i/', audience: [a, b], jwks_url: 'https://i/keys'"


@pytest.mark.parametrize(
    ("users", "user_id", "is_local"),
    [
        ("", "corp:1", False),
        ("users: prefixed", "corp:1", False),
        ("users: as-is", "1", False),
        ("users: local", "1", True),
    ],
)
def test_a_user_has_the_id_that_the_operator_decided_on(users: str, user_id: str, is_local: bool) -> None:
    config = config_with(
        foreign_issuers=f"{{corp: {{{ENTRY}, {users or 'users: prefixed'}, claims: {{user_id: uid, roles: g, extra: {{m: e}}}}}}}}",
        tokens="{signing_key: {env: KEY}, leeway: 5s, claims: {user_id: id, roles: r, session_id: s, token_type: t, jti: j}}",
    )
    one = build_foreign_issuers(config)["corp"]
    assert (one.issuer, one.algorithms, one.is_local, one.keys) == ("https://i/", ("RS256", "ES256"), is_local, None)
    claims = {
        "uid": "1",
        "g": ["x"],
        "e": "mail",
        "jti": "J",
        "sid": "S",
        "exp": 7,
        "id": "2",
        "r": ["admin"],
        "m": "no",
    }
    assert one._translation.apply(claims) == {
        "id": user_id, "r": ["x"], "m": "mail", "j": "corp:J", "s": "corp:S", "t": "access", "exp": 7,
    }  # fmt: skip


SOURCE = "jwks_url: 'https://127.0.0.1:9/keys'"  # nobody is there
CORP = f"{{corp: {{issuer: 'https://i/', audience: [a], {SOURCE}}}}}"


def blueprint(**sections: str) -> Blueprint:
    return draw(document_with(**sections))


@contextlib.contextmanager
def issuers() -> Iterator[Issuers]:
    made = Issuers(meters=new_meters(), on_keys_gone=lambda: None)
    yield made
    made.close()


async def test_each_has_its_keys_fetched_with_its_own_authorities() -> None:
    plan = blueprint(foreign_issuers=f"{{corp: {{{ENTRY}, max_key_age: 1h}}}}")
    with issuers() as made:
        followed = made.draw(plan)["corp"]
        keys = followed.keys
        assert (str(keys._url), keys._max_key_age) == ("https://i/keys", 3600)
        assert keys._tls is plan.credentials.issuers["corp"].context
        assert followed.issuer.on_unknown_key == keys._on_unknown_key
        assert followed.task is None


async def test_in_a_reload_the_ones_whose_terms_stay_go_on() -> None:
    with issuers() as made:
        before = made.draw(blueprint(foreign_issuers=CORP))
        await made.fetch(before)
        made.run(before)
        assert made.draw(blueprint(foreign_issuers=CORP, limits="{max_fields: 50}"))["corp"] is before["corp"]
        for tokens in ("leeway: 5s", "claims: {roles: groups}"):
            changed = blueprint(foreign_issuers=CORP, tokens=f"{{signing_key: {{env: KEY}}, {tokens}}}")
            assert made.draw(changed)["corp"] is not before["corp"]
        after = made.draw(blueprint(foreign_issuers=CORP.replace("corp", "other")))
        await made.fetch(after)
        assert [keys.name for keys in made.keys] == ["corp"]
        made.run(after)
        assert [keys.name for keys in made.keys] == ["other"]
        tasks = before["corp"].task, after["other"].task
    assert all(task is not None for task in tasks)
    await asyncio.wait([task for task in tasks if task is not None])
    assert all(task is not None and task.cancelled() for task in tasks)


@pytest.mark.parametrize(
    ("change", "resumes"),
    [
        (("audience: [a]", "audience: [b]"), True),
        (("audience: [a]", "audience: [a], max_key_age: 1h"), True),
        (("/keys", "/other"), False),
        (("audience: [a]", "audience: [a], algorithms: [RS256]"), False),
    ],
)
async def test_one_that_changes_goes_on_with_the_keys_of_the_same_source(
    change: tuple[str, str], resumes: bool
) -> None:
    with issuers() as made:
        before = made.draw(blueprint(foreign_issuers=CORP))
        made.run(before)
        keys = KeySet([])
        before["corp"].issuer.replace_keys(keys)
        after = made.draw(blueprint(foreign_issuers=CORP.replace(*change)))["corp"]
        assert after is not before["corp"]
        assert after.issuer.keys is (keys if resumes else None)


async def test_a_reload_that_is_given_up_leaves_nothing_behind() -> None:
    with issuers() as made:
        drawn = made.draw(blueprint(foreign_issuers=CORP))
        await made.fetch(drawn)
    task = drawn["corp"].task
    assert task is not None
    await asyncio.wait([task])
    assert task.cancelled()


def test_without_any_there_is_nobody_to_be_asked() -> None:
    assert foreign_of({}) is None
