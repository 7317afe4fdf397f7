"""What issuers are made of the configuration, and whose ids their users have."""

import asyncio
import ssl

import pytest

from gateway.composition.foreign_issuers import build_foreign_issuers, build_issuer_keys
from tests.unit.composition.documents import config_with

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


async def test_each_has_its_keys_fetched_with_its_own_authorities() -> None:
    config = config_with(foreign_issuers=f"{{corp: {{{ENTRY}, max_key_age: 1h}}}}")
    issuers = build_foreign_issuers(config)
    contexts = {"corp": ssl.create_default_context()}
    (keys,) = build_issuer_keys(config, issuers, contexts=contexts, on_keys_gone=lambda: None)
    assert (str(keys._url), keys._tls, keys._max_key_age) == ("https://i/keys", contexts["corp"], 3600)
    assert issuers["corp"].on_unknown_key == keys._on_unknown_key
    await asyncio.sleep(0)
