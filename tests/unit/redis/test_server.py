"""What a server can suffer: nobody is told anything but `StoreUnavailable`, and all goes on afterwards by itself."""

import asyncio
import contextlib
import random
import signal
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.redis.address import RedisAddress
from gateway.redis.server import RedisServer, Script
from tests.certificates import Pair, write_pair
from tests.redis_servers import BINARIES, LocalServer, running

PATIENCE = 0.3  # the time-out where one is waited for

ECHO = Script("return ARGV[1]")
WRITE = Script("return redis.call('SET', KEYS[1], ARGV[1])")


@pytest.fixture(params=sorted(BINARIES))
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalServer]:
    with running(request.param, tmp_path, "--maxmemory-policy", "noeviction") as server:
        yield server


@contextlib.asynccontextmanager
async def opened(
    server: LocalServer, *, url: str = "", timeout: float = 2.0, max_connections: int = 4
) -> AsyncIterator[RedisServer]:
    handle = server.handle(url=url, timeout=timeout, max_connections=max_connections)
    try:
        yield handle
    finally:
        await handle.close()


async def sentence_of(handle: RedisServer) -> str:
    """Why it cannot be used; all that a log could show of it holds nothing of the password."""
    with pytest.raises(StoreUnavailable) as caught:
        await handle.prepare(1)
    assert "s3cret" not in f"{caught.value!r} {caught.value} {handle!r}"
    return str(caught.value)


async def test_the_first_use_connects_and_no_more_connections_are_made_than_allowed(server: LocalServer) -> None:
    async with opened(server, max_connections=2) as handle:
        answers = await asyncio.gather(*(handle.run(ECHO, [], str(number)) for number in range(100)))
        assert answers == [str(number).encode() for number in range(100)]
        assert server.ask("CLIENT", "LIST").count(b"name=simplejwt-gateway") == 2
    assert repr(handle) == f"RedisServer('Redis at {server.socket_path}', closed)"


async def test_a_server_that_was_restarted_is_told_the_scripts_anew(server: LocalServer) -> None:
    async with opened(server) as handle:
        assert await handle.run(ECHO, [], "a") == b"a"
        server.kill()
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await handle.run(ECHO, [], "b")
        server.start()
        assert await handle.run(ECHO, [], "c") == b"c"
        server.ask("SCRIPT", "FLUSH")
        assert await handle.run(ECHO, [], "d") == b"d"


async def test_connections_that_the_server_has_closed_are_not_noticed(server: LocalServer) -> None:
    async with opened(server) as handle:
        await asyncio.gather(*(handle.run(ECHO, [], "a") for _ in range(20)))
        for _ in range(3):
            server.ask("CLIENT", "KILL", "TYPE", "normal")
            for _ in range(5):
                await asyncio.sleep(0)  # the loop is told of it
            assert await handle.run(ECHO, [], "b") == b"b"


async def test_a_command_whose_connection_is_cut_fails_and_is_not_sent_again(server: LocalServer) -> None:
    async with opened(server) as handle:
        await handle.run(ECHO, [], "a")
        server.ask("CLIENT", "PAUSE", "10000", "WRITE")
        writing = asyncio.create_task(handle.run(WRITE, [handle.key("a")], "1"))
        while b"blocked_clients:1" not in server.ask("INFO", "clients"):
            await asyncio.sleep(0)
        server.ask("CLIENT", "KILL", "TYPE", "normal")
        with pytest.raises(StoreUnavailable, match="cannot be reached: the connection is broken"):
            await writing
        server.ask("CLIENT", "UNPAUSE")
        assert await handle.ask("GET", handle.key("a")) is None
        assert await handle.run(WRITE, [handle.key("a")], "2") == b"OK"


async def test_a_server_that_does_not_answer_is_given_up_and_no_answer_comes_late(server: LocalServer) -> None:
    async with opened(server, timeout=PATIENCE, max_connections=2) as handle:
        await asyncio.gather(*(handle.run(ECHO, [], "a") for _ in range(20)))
        server.stop()
        began = time.monotonic()
        outcomes = await asyncio.gather(*(handle.run(ECHO, [], "b") for _ in range(40)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StoreUnavailable}
        assert any("does not answer in time" in str(outcome) for outcome in outcomes)
        assert time.monotonic() - began < 20 * PATIENCE  # none waited for all the others
        server.go_on()
        for number in range(50):
            assert await handle.run(ECHO, [], str(number)) == str(number).encode()


async def test_callers_who_leave_take_no_connection_along_and_mix_up_no_answers(server: LocalServer) -> None:
    chance = random.Random(7)
    async with opened(server, max_connections=3) as handle:
        await handle.run(ECHO, [], "a")
        for _ in range(30):
            asking = [asyncio.create_task(handle.run(ECHO, [], str(number))) for number in range(40)]
            for _ in range(chance.randrange(6)):
                await asyncio.sleep(0)
            for task in chance.sample(asking, 20):
                task.cancel()
            outcomes = await asyncio.gather(*asking, return_exceptions=True)
            for number, outcome in enumerate(outcomes):
                assert isinstance(outcome, asyncio.CancelledError) or outcome == str(number).encode()
        assert server.ask("CLIENT", "LIST").count(b"name=simplejwt-gateway") <= 3


async def test_what_is_under_way_ends_before_the_end_and_nothing_begins_after_it(server: LocalServer) -> None:
    handle = server.handle()
    asking = [asyncio.create_task(handle.run(ECHO, [], str(number))) for number in range(20)]
    await asyncio.sleep(0)
    await handle.close()
    assert await asyncio.gather(*asking) == [str(number).encode() for number in range(20)]
    with pytest.raises(StoreUnavailable, match="has been closed by this process"):
        await handle.ask("PING")
    await handle.close()


async def test_a_replica_is_refused_at_the_start(server: LocalServer) -> None:
    async with opened(server) as handle:
        await handle.prepare(1)
        server.ask("REPLICAOF", "127.0.0.1", "1")
        assert "is a read-only replica; name the primary." in await sentence_of(handle)
        server.ask("REPLICAOF", "NO", "ONE")
        await handle.prepare(1)


async def test_a_server_that_is_full_says_so_and_changes_nothing(server: LocalServer) -> None:
    async with opened(server) as handle:
        await handle.prepare(1)
        server.ask("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(StoreUnavailable, match="is full; raise its maxmemory"):
            await handle.run(WRITE, [handle.key("a")], "1")
        assert await handle.ask("GET", handle.key("a")) is None
        server.ask("CONFIG", "SET", "maxmemory", "0")
        assert await handle.run(WRITE, [handle.key("a")], "1") == b"OK"


@pytest.fixture
def durable_server(server: LocalServer) -> LocalServer:
    server.ask("CONFIG", "SET", "appendonly", "yes")
    return server


@pytest.mark.parametrize("policy", ["noeviction", "volatile-ttl"])
async def test_a_server_that_may_forget_sessions_is_named_in_the_log(
    durable_server: LocalServer, caplog: pytest.LogCaptureFixture, policy: str
) -> None:
    server = durable_server
    async with opened(server) as handle:
        server.ask("CONFIG", "SET", "maxmemory-policy", policy)
        await handle.prepare(1)
        assert caplog.messages == []  # without maxmemory nothing is evicted
        server.ask("CONFIG", "SET", "maxmemory", "100mb")
        await handle.prepare(1)
        expected = f"store_evicts Redis at {server.socket_path}: maxmemory-policy is {policy}; set it to noeviction."
        assert caplog.messages == [expected] * (policy != "noeviction")


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random"])
async def test_s58_a_server_that_may_forget_revocations_is_refused(durable_server: LocalServer, policy: str) -> None:
    async with opened(durable_server) as handle:
        durable_server.ask("CONFIG", "SET", "maxmemory-policy", policy)
        await handle.prepare(1)  # without maxmemory nothing is evicted
        durable_server.ask("CONFIG", "SET", "maxmemory", "100mb")
        assert f"(maxmemory-policy {policy}); set maxmemory-policy to noeviction." in await sentence_of(handle)


async def test_a_server_that_keeps_snapshots_at_best_is_named_in_the_log(
    server: LocalServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(server) as handle:
        await handle.prepare(1)
        expected = "appendonly is off; a restart loses what it was told last."
        assert caplog.messages == [f"store_forgets Redis at {server.socket_path}: {expected}"]
        server.ask("CONFIG", "SET", "appendonly", "yes")
        await handle.prepare(1)
        assert len(caplog.messages) == 1


async def test_s88_a_wrong_password_or_none_is_told_without_it(server: LocalServer) -> None:
    server.ask("CONFIG", "SET", "requirepass", "right")
    async with opened(server) as handle:
        assert "asks for a password; put it into the URL." in await sentence_of(handle)
    for credentials in (":s3cret", "default:s3cret", "nobody:s3cret", "s3cret:s3cret"):
        async with opened(server, url=f"unix://{credentials}@{server.socket_path}") as handle:
            assert "refuses the user name or the password" in await sentence_of(handle)
    async with opened(server, url=f"unix://:right@{server.socket_path}") as handle:
        await handle.prepare(1)


@pytest.mark.parametrize(
    "rights", ["-@all", "+eval +evalsha +client", "+@all -eval -evalsha ~other:*", "+@all ~other:*"]
)
async def test_a_user_without_the_rights_is_told_so(server: LocalServer, rights: str) -> None:
    server.ask("ACL", "SETUSER", "someone", "on", ">s3cret", *rights.split())
    async with opened(server, url=f"unix://someone:s3cret@{server.socket_path}") as handle:
        assert "does not give this user the rights that it needs; see docs/state.md for its ACL." in await sentence_of(
            handle
        )


async def test_who_may_not_ask_for_the_policy_is_told_to_look_himself(
    server: LocalServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.ask("CONFIG", "SET", "maxmemory", "100mb")
    server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    server.ask("ACL", "SETUSER", "someone", "on", ">s3cret", "+@all", "-info", "~*")
    async with opened(server, url=f"unix://someone:s3cret@{server.socket_path}") as handle:
        await handle.prepare(1)
    [message] = caplog.messages
    assert message.endswith("this user may not ask for INFO; see docs/state.md.")


async def test_keys_of_a_newer_gateway_or_of_another_program_are_left_alone(server: LocalServer) -> None:
    async with opened(server) as handle:
        await handle.prepare(2)
        expected = "was made by a newer gateway (version 2, this one knows 1); upgrade this gateway."
        assert expected in await sentence_of(handle)
        assert b"2" in server.ask("GET", "{test}:version")
        await handle.prepare(2)
        await handle.prepare(3)
        server.ask("SET", "{test}:version", "theirs")
        assert "test is used by another program; name another one." in await sentence_of(handle)
        server.ask("DEL", "{test}:version")
        server.ask("LPUSH", "{test}:version", "theirs")
        assert "WRONGTYPE" in await sentence_of(handle)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://u:s3cret@127.0.0.1:1", "cannot be reached: "),
        ("redis://u:s3cret@no-such-host.invalid:6379", "cannot be reached: "),
        ("unix://u:s3cret@/nowhere/redis.sock", "cannot be reached: "),
        ("rediss://u:s3cret@127.0.0.1:1", "cannot be reached: "),
        ("rediss://u:s3cret@127.0.0.1:1?ca=/nowhere/ca.pem", "cannot be asked: /nowhere/ca.pem cannot be read."),
    ],
)
async def test_s88_a_server_that_is_not_there_is_named_without_user_and_password(url: str, reason: str) -> None:
    handle = RedisServer(RedisAddress.parse(url), namespace="test", max_connections=1, timeout=2.0)
    assert reason in await sentence_of(handle)
    await handle.close()


@contextlib.asynccontextmanager
async def in_front_of(server: LocalServer, pair: Pair | None) -> AsyncIterator[int]:
    """A port that leads to the server, encrypted if there is a certificate: the wheels' servers have no TLS."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        backend_reader, backend_writer = await asyncio.open_unix_connection(server.socket_path)
        await asyncio.gather(copy(reader, backend_writer), copy(backend_reader, writer))

    context = None
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
    listener = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
    async with listener:
        yield listener.sockets[0].getsockname()[1]


async def test_tls_trusts_the_authority_that_is_named_and_no_other(server: LocalServer, tmp_path: Path) -> None:
    ours, theirs = write_pair(tmp_path, "ours"), write_pair(tmp_path, "theirs")
    async with in_front_of(server, ours) as port:
        async with opened(server, url=f"rediss://127.0.0.1:{port}/0?ca={ours.certificate}") as handle:
            await handle.prepare(1)
            assert await handle.run(ECHO, [], "a") == b"a"
        for ca in ("", f"?ca={theirs.certificate}"):
            async with opened(server, url=f"rediss://:s3cret@127.0.0.1:{port}/0{ca}") as handle:
                assert "cannot be trusted, or speaks no TLS: " in await sentence_of(handle)
        # Another name than the certificate's.
        async with opened(server, url=f"rediss://localhost:{port}/0?ca={ours.certificate}") as handle:
            assert "cannot be trusted, or speaks no TLS: " in await sentence_of(handle)
        async with opened(server, url=f"redis://:s3cret@127.0.0.1:{port}/0", timeout=PATIENCE) as handle:
            assert "cannot be reached" in await sentence_of(handle)


async def test_a_server_without_tls_is_refused_where_tls_is_asked_for(server: LocalServer) -> None:
    async with (
        in_front_of(server, None) as port,
        opened(server, url=f"rediss://:s3cret@127.0.0.1:{port}", timeout=PATIENCE) as handle,
    ):
        sentence = await sentence_of(handle)
        assert "speaks no TLS" in sentence or "does not answer in time" in sentence


async def test_databases_are_apart(server: LocalServer) -> None:
    async with opened(server) as one, opened(server, url=f"{server.url}?db=1") as other:
        await one.run(WRITE, [one.key("a")], "1")
        assert await other.ask("GET", other.key("a")) is None
        assert await one.ask("GET", one.key("a")) == b"1"


async def test_a_server_that_was_shut_down_cannot_be_reached(server: LocalServer) -> None:
    async with opened(server) as handle:
        await handle.prepare(1)
        server.kill(signal.SIGTERM)
        assert "cannot be reached" in await sentence_of(handle)
