"""The control plane's application, as configured."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp.test_utils import TestClient

from gateway.auth.revocation import RevocationList
from gateway.composition.endpoints import build_endpoints, build_hashing
from gateway.composition.state import open_state, open_users
from gateway.composition.tokens import build_issuer, build_verifier, keyring_of
from gateway.types import TokenReference
from tests.unit.composition.documents import KEY, document_with
from tests.unit.metering import new_meters

CHEAP = "argon2: {time_cost: 1, memory_cost: 8KiB}"
Connect = Callable[..., Awaitable[TestClient[Any, Any]]]
ALICE = {"username": "alice", "password": "white-rabbit"}


@pytest.fixture
async def connect(tmp_path: Path, aiohttp_client: Any) -> Any:
    """Makes clients of the endpoints of a configuration, with Alice among its users."""
    undo: list[Callable[[], Awaitable[None]]] = []

    async def make(revocations: RevocationList | None = None, **sections: str) -> TestClient[Any, Any]:
        document = document_with(users=f"{{sqlite: {tmp_path}/users.sqlite3, {CHEAP}}}", **sections)
        config, keyring = document.config, keyring_of(document)
        hashing = build_hashing(config)
        async with open_users(config) as users:
            encoded = await hashing.hash(ALICE["password"])
            await users.add(username="alice", email="alice@example.org", roles=("staff",), password_hash=encoded)
        opened = open_state(config)
        state = await opened.__aenter__()

        async def close() -> None:
            hashing.close()
            await opened.__aexit__(None, None, None)

        undo.append(close)
        client: TestClient[Any, Any] = await aiohttp_client(
            build_endpoints(
                config,
                state=state,
                hashing=hashing,
                verifier=build_verifier(config, keyring),
                issuer=build_issuer(config, keyring),
                revocations=RevocationList() if revocations is None else revocations,
                keyring=keyring,
                meters=new_meters(),
            )
        )
        return client

    yield make
    for close in undo:
        await close()


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, KEY, ["HS256"])


async def test_defaults_are_the_librarys(connect: Connect) -> None:
    client = await connect()
    pair = await (await client.post("/api/token/", json=ALICE)).json()
    assert pair.keys() == {"access", "refresh"}
    answer = await client.post("/api/token/refresh/", json={"refresh": pair["refresh"]})
    assert (answer.status, (await answer.json()).keys()) == (200, {"access"})
    assert (await client.post("/api/token/verify/", json={"token": pair["access"]})).status == 200
    assert (await client.post("/api/token/blacklist/", json={"refresh": pair["refresh"]})).status == 200
    refused = await client.post("/api/token/", json={**ALICE, "password": "x"})
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')


async def test_every_key_of_login_counts(connect: Connect) -> None:
    client = await connect(
        login="{obtain_path: /in, refresh_path: /again, verify_path: /good, blacklist_path: /out,"
        " username_field: email, response_fields: {name: username}}",
        tokens="{signing_key: {env: KEY}, rotate_refresh_tokens: true}",
        bearer="{schemes: [JWT], realm: home}",
    )
    login = {"email": "alice@example.org", "password": ALICE["password"]}
    pair = await (await client.post("/in", json=login)).json()
    assert (pair.keys(), pair["name"]) == ({"access", "refresh", "name"}, "alice")
    again = await (await client.post("/again", json={"refresh": pair["refresh"]})).json()
    assert again.keys() == {"access", "refresh"}
    assert (await client.post("/good", json={"token": again["access"]})).status == 200
    assert (await client.post("/out", json={"refresh": again["refresh"]})).status == 200
    refused = await client.post("/in", json={**login, "password": "x"})
    assert refused.headers["WWW-Authenticate"] == 'JWT realm="home"'


async def test_s45_the_public_keys_are_where_that_is_configured(connect: Connect) -> None:
    client = await connect(
        login="{jwks_path: /keys}", tokens="{signing_key: {env: EC_KEY}, algorithm: ES256, kid: a, further_keys: []}"
    )
    (key,) = (await (await client.get("/keys")).json())["keys"]
    assert (key["kid"], key["alg"], key["kty"]) == ("a", "ES256", "EC")
    assert (await client.get("/.well-known/jwks.json")).status == 404


async def test_old_clients_get_what_they_know(connect: Connect) -> None:
    client = await connect(login="{compat: 3.3}")
    refused = await client.post("/api/token/", json={**ALICE, "password": "x"})
    assert (refused.status, (await refused.json()).keys()) == (400, {"non_field_errors"})
    pair = await (await client.post("/api/token/", json=ALICE)).json()
    assert claims(pair["access"])["user_id"] == 1


async def test_s57_a_log_out_ends_the_session(connect: Connect) -> None:
    revocations = RevocationList()
    client = await connect(revocations)
    pair = await (await client.post("/api/token/", json=ALICE)).json()
    assert (await client.post("/api/token/blacklist/", json={"refresh": pair["refresh"]})).status == 200
    session_id = claims(pair["access"])["sid"]
    assert revocations.is_revoked(TokenReference(token_id="", session_id=session_id, user_id="", issued_at=2**33))


async def test_s56_sessions_are_as_they_are_configured(connect: Connect) -> None:
    client = await connect(
        tokens="{signing_key: {env: KEY}, rotate_refresh_tokens: true, access_jitter_percent: 5}",
        sessions="{rotation_grace: 0s, lifetime: 200s, idle_timeout: 1h}",
    )
    pair = await (await client.post("/api/token/", json=ALICE)).json()
    assert claims(pair["refresh"])["exp"] - claims(pair["refresh"])["iat"] == 200
    refresh = {"refresh": pair["refresh"]}
    answers = [(await client.post("/api/token/refresh/", json=refresh)).status for _ in range(2)]
    assert answers == [200, 401]


async def statuses_of_guesses(client: TestClient[Any, Any], *addresses: str) -> list[int]:
    wrong = {**ALICE, "password": "wrong"}
    return [
        (await client.post("/api/token/", json=wrong, headers={"X-Gateway-Client-Address": address})).status
        for address in addresses
    ]


async def test_s52_guesses_are_counted_by_default(connect: Connect) -> None:
    addresses = [f"192.0.2.{number}" for number in range(7)]
    assert await statuses_of_guesses(await connect(), *addresses) == [401] * 5 + [429] * 2


async def test_every_key_of_guessing_counts(connect: Connect) -> None:
    client = await connect(
        guessing="{attempts_per_user: 6, attempts_per_address: 2, first_wait: 5m, longest_wait: 20m, forget_after: 1h,"
        " address_lifetime: 2h, exempt_addresses: [198.51.100.0/24]}"
    )
    addresses = ["192.0.2.1"] * 3 + ["198.51.100.1"] * 3 + ["192.0.2.2"] * 2
    assert await statuses_of_guesses(client, *addresses) == [401, 401, 429, 401, 401, 401, 401, 429]
    answer = await client.post("/api/token/", json=ALICE)
    assert int(answer.headers["Retry-After"]) in (299, 300)


async def test_guessing_can_be_switched_off(connect: Connect) -> None:
    client = await connect(guessing="{enabled: false}")
    assert await statuses_of_guesses(client, *["192.0.2.1"] * 60) == [401] * 60
