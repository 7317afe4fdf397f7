"""Where users and revocations live: opened, prepared, closed again."""

import asyncio
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.composition.state import build_hasher, check_state, glance_at_state, open_state, open_users
from gateway.config.model import Config
from gateway.errors import ConfigError, StoreUnavailable
from gateway.types import Revocation, RevokedKind
from tests.postgres_server import PostgresServer
from tests.redis_servers import running
from tests.unit.composition.documents import config_with, document_with


def config_in(folder: Path, login: str = "{}") -> Config:
    return config_with(users=f"{{sqlite: {folder}/users.sqlite3}}", login=login)


async def test_users_and_revocations_share_one_file(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    revocation = Revocation(kind=RevokedKind.TOKEN, id="t", expires_at=2_000_000_000)
    async with open_users(config) as users:
        alice = await users.add(username="alice", email="", roles=(), password_hash="x")
    async with open_state(config) as state:
        assert await state.directory.find_by_id(alice.id) == alice
        assert await state.store.revoke(revocation)
    async with open_state(config) as state:
        assert not await state.store.revoke(revocation)
    assert {path.name for path in tmp_path.iterdir()} == {"users.sqlite3"}, "closed: nothing is left beside it"


async def test_what_was_opened_is_closed_when_its_user_fails(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    for opened in (open_state, open_users):
        with pytest.raises(LookupError):
            async with opened(config) as it:
                raise LookupError
        directory = getattr(it, "directory", it)
        with pytest.raises(StoreUnavailable, match="closed"):
            await directory.find_by_id("1")


async def test_a_file_that_cannot_be_used_says_so_at_once(tmp_path: Path) -> None:
    (tmp_path / "users.sqlite3").write_bytes(b"no database" * 100)
    for opened in (open_state, open_users):
        with pytest.raises(StoreUnavailable):
            async with opened(config_in(tmp_path)):
                pass


@pytest.mark.parametrize(("field", "login"), [("username", "alice"), ("email", "alice@example.org")])
async def test_users_log_in_by_the_configured_name(tmp_path: Path, field: str, login: str) -> None:
    config = config_in(tmp_path, f"{{username_field: {field}}}")
    async with open_users(config) as users:
        await users.add(username="alice", email="alice@example.org", roles=(), password_hash="x")
        assert await users.find_by_login(login) is not None
        for other in {"alice", "alice@example.org"} - {login}:
            assert await users.find_by_login(other) is None


def test_a_hash_costs_what_was_configured() -> None:
    config = config_with(users="{sqlite: x.sqlite3, argon2: {time_cost: 3, memory_cost: 16KiB, parallelism: 2}}")
    encoded = build_hasher(config).hash("secret")
    assert "$m=16,t=3,p=2$" in encoded
    assert not build_hasher(config).needs_rehash(encoded)


async def test_the_file_is_an_ordinary_database(tmp_path: Path) -> None:
    async with open_state(config_in(tmp_path)):
        pass
    connection = sqlite3.connect(tmp_path / "users.sqlite3")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_a_glance_reads_and_makes_nothing(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    async with glance_at_state(config) as state:
        with pytest.raises(StoreUnavailable, match="does not exist yet"):
            await state.directory.find_by_id("1")
    assert not list(tmp_path.iterdir())
    revocation = Revocation(kind=RevokedKind.TOKEN, id="t", expires_at=2_000_000_000)
    async with open_users(config) as users:
        alice = await users.add(username="alice", email="", roles=(), password_hash="x")
    async with open_state(config) as state:
        await state.store.revoke(revocation)
        async with glance_at_state(config) as glance:
            assert await glance.directory.find_by_id(alice.id) == alice
            assert (await glance.store.revocations_since(0)).revocations == (revocation,)
            with pytest.raises(StoreUnavailable, match="cannot be written"):
                await glance.store.revoke(revocation)


def refusal_of(url: str, section: str = "state") -> str:
    sections = {section: "{url: {env: THE_URL}}"}
    with pytest.raises(ConfigError) as caught:
        check_state(document_with(environment={"THE_URL": url}, **sections))
    return str(caught.value)


def test_s88_a_url_that_cannot_be_understood_is_refused_by_line_and_never_shown() -> None:
    check_state(document_with())
    check_state(document_with(environment={"STATE_URL": "redis://:s3cret@db"}, state="{url: {env: STATE_URL}}"))
    refused = refusal_of("redis://:s3/cret@db")
    assert "state.url: is no URL: a password with / ? # @ or : in it has to be percent-encoded" in refused
    assert "s3" not in refused
    assert "state.url: has to begin with " in refusal_of("mysql://:s3cret@db")
    assert "users.url: has to begin with postgresql://" in refusal_of("redis://:s3cret@db", "users")
    refused = refusal_of("postgresql://gateway:s3#cret@db/gateway", "users")
    assert "users.url: must have user name and password percent-encoded" in refused
    assert "cret" not in refused


def test_a_driver_that_is_missing_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)  # as if it were not there
    assert "state.url: needs a package that is not installed: pip install 'simplejwt-gateway[redis]'" in refusal_of(
        "redis://db"
    )


async def test_sessions_and_revocations_are_where_the_url_says_and_users_in_the_file(tmp_path: Path) -> None:
    with running("valkey", tmp_path) as server:
        config = config_with(
            environment={"STATE_URL": server.url},
            users=f"{{sqlite: {tmp_path}/users.sqlite3}}",
            state="{url: {env: STATE_URL}, namespace: blue}",
        )
        async with open_users(config) as users:
            alice = await users.add(username="alice", email="", roles=(), password_hash="x")
        async with open_state(config) as state:
            assert await state.directory.find_by_id(alice.id) == alice
            assert await state.store.revoke(Revocation(kind=RevokedKind.TOKEN, id="t", expires_at=2_000_000_000))
            assert server.ask("HEXISTS", "{blue}:revoked", "token:t") == b":1\r\n"
        with pytest.raises(StoreUnavailable, match="closed"):
            await state.store.find_session("s")
        server.kill()
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            async with open_state(config):
                pass
        with pytest.raises(StoreUnavailable, match="closed"):
            await state.directory.find_by_id(alice.id)


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    server.start()
    yield server
    server.remove()


def config_at(server: PostgresServer, schema: str, state_url: str | None = None) -> Config:
    state = f"{{namespace: {schema}, max_connections: 2{'' if state_url is None else ', url: {env: STATE_URL}'}}}"
    environment = {"USERS_URL": server.url(), "STATE_URL": state_url or "unused"}
    return config_with(environment=environment, users="{url: {env: USERS_URL}}", state=state)


async def connections_to(server: PostgresServer) -> int:
    rows = await server.run("SELECT 1 FROM pg_stat_activity WHERE application_name = 'simplejwt-gateway'")
    return len(rows)


@pytest.mark.parametrize("is_said_twice", [False, True])
async def test_s83_users_and_state_at_one_url_share_their_connections(
    postgres: PostgresServer, is_said_twice: bool
) -> None:
    config = config_at(postgres, f"shared_{is_said_twice}".lower(), postgres.url() if is_said_twice else None)
    revocation = Revocation(kind=RevokedKind.TOKEN, id="t", expires_at=2_000_000_000)
    async with open_users(config) as users:
        alice = await users.add(username="alice", email="", roles=(), password_hash="x")
    async with open_state(config) as state:
        assert await state.store.revoke(revocation)
        await state.store.wait_for_revocations(1)
        looks = [state.directory.find_by_id(alice.id) for _ in range(20)]
        looks_at_state = [state.store.find_session("s") for _ in range(20)]
        assert set(await asyncio.gather(*looks, *looks_at_state)) == {alice, None}
        assert await connections_to(postgres) <= 3
    with pytest.raises(StoreUnavailable, match="closed by this process"):
        await state.directory.find_by_id(alice.id)
    async with glance_at_state(config) as glance:
        assert await glance.directory.find_by_id(alice.id) == alice
        assert (await glance.store.revocations_since(0)).revocations == (revocation,)


async def test_users_may_be_in_postgresql_and_state_elsewhere(postgres: PostgresServer, tmp_path: Path) -> None:
    with running("valkey", tmp_path) as redis:
        config = config_at(postgres, "apart", redis.url)
        async with open_state(config) as state:
            assert await state.store.revoke(Revocation(kind=RevokedKind.TOKEN, id="t", expires_at=2_000_000_000))
            assert redis.ask("HEXISTS", "{apart}:revoked", "token:t") == b":1\r\n"
            assert await state.directory.find_by_login("alice") is None


async def test_a_glance_at_an_empty_database_makes_nothing(postgres: PostgresServer) -> None:
    async with glance_at_state(config_at(postgres, "nothing")) as glance:
        with pytest.raises(StoreUnavailable, match="has lost"):
            await glance.directory.find_by_id("1")
    assert not await postgres.run("SELECT 1 FROM pg_namespace WHERE nspname = 'nothing'")


async def test_s88_users_that_cannot_be_reached_at_the_start_are_told_without_the_password(
    postgres: PostgresServer,
) -> None:
    url = postgres.url(password="s3cret")
    config = config_with(environment={"USERS_URL": url}, users="{url: {env: USERS_URL}}")
    for opened in (open_state, open_users):
        with pytest.raises(StoreUnavailable, match="refuses the user name or the password") as caught:
            async with opened(config):
                pass
        assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(config)
