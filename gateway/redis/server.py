"""One Redis or Valkey server, for all that this process keeps there.

Theory of operation. Whatever changes something is one Lua script: the server runs it whole or, when it refuses its
first change, not at all. Every key begins with `{namespace}:`; the braces make a cluster keep all at one server. A
command takes one of a few connections, in the order of asking, or waits for one in a bounded time, and runs in a task
of its own: a caller that is cancelled abandons its result, not the command, and the connection goes on to the next one
in a known state. The driver never asks twice by itself, because nobody knows whether a command whose answer did not
come was carried out; callers are told `StoreUnavailable`. A connection that failed is thrown away, so there is nothing
to recover after an outage.
"""

import asyncio
import hashlib
import logging
import os
import socket
import ssl
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from gateway.errors import StoreUnavailable, printable
from gateway.redis.address import RedisAddress
from gateway.redis.failures import unavailable
from gateway.redis.news import News
from gateway.tasks import spawn

logger: Final = logging.getLogger("gateway")

_NO_EVICTION: Final = "noeviction"

# Middle boxes forget a silent connection after minutes.
_KEEPALIVE: Final = {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3}

# Always written, so that a replica and a server that is full show themselves at the start.
_PREPARE: Final = """
    local version = redis.call('GET', KEYS[1]) or ARGV[1]
    if tonumber(version) and tonumber(version) <= tonumber(ARGV[1]) then
        redis.call('SET', KEYS[1], ARGV[1])
    end
    return version
"""


class Script:
    """A Lua script; the server keeps it under its digest until it is restarted."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


_PREPARE_SCRIPT: Final = Script(_PREPARE)


class RedisServer:
    """The way to the keys of `namespace` in the server at `address`. All methods belong to the event loop.

    Nothing is connected before the first use. `timeout`: seconds for a connection, for an answer, and for the wait for
    one of the `max_connections`.
    """

    def __init__(self, address: RedisAddress, *, namespace: str, max_connections: int, timeout: float) -> None:
        self._place = str(address)
        self._files = address.files
        self._namespace = namespace
        pool = BlockingConnectionPool(
            max_connections=max_connections, timeout=timeout, **_connection_settings(address, timeout)
        )
        self._client = Redis(connection_pool=pool)
        self._news = News(
            BlockingConnectionPool(max_connections=1, timeout=timeout, **_connection_settings(address, timeout)),
            channel=self.key("news"),
        )
        self._running: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    def __repr__(self) -> str:
        return f"RedisServer({self._place!r}{', closed' if self._is_closed else ''})"

    @property
    def place(self) -> str:
        """For the log: without a password."""
        return self._place

    def key(self, name: str) -> bytes:
        """The key of what there is one of."""
        return f"{{{self._namespace}}}:{name}".encode()

    def key_of(self, name: str, part: bytes) -> bytes:
        """The key of one of many; `part` may be anything."""
        return b"%b:%b" % (self.key(name), part)

    async def run(self, script: Script, keys: Sequence[bytes], *values: bytes | str | float) -> Any:
        """What the script returns. Raises `StoreUnavailable`, and nothing else."""
        return await self._do(self._evaluate(script, keys, values))

    async def ask(self, *command: bytes | str | int) -> Any:
        """The answer to a command that changes nothing. Raises `StoreUnavailable`, and nothing else."""
        return await self._do(self._execute(*command))

    @property
    def interruptions(self) -> int:
        """How often the server may have been restarted, or another one have taken its place, since it was listened to.

        Whatever else happens to a server, it cannot do that and keep its connections.
        """
        return self._news.interruptions

    async def wait_for_news(self, seconds: float) -> None:
        """Return when a script has published to `key("news")`, after `seconds` at the latest. Never fails."""
        await self._news.wait(seconds)

    async def prepare(self, version: int) -> None:
        """Note the version of the keys. Raises `StoreUnavailable`, also when a newer gateway has noted a higher one."""
        for path in self._files:
            if not os.access(path, os.R_OK):
                raise StoreUnavailable(f"{self._place} cannot be asked: {printable(path)} cannot be read.")
        found = await self.run(_PREPARE_SCRIPT, [self.key("version")], version)
        if not found.isdigit():
            raise StoreUnavailable(f"{self._place}: {self._namespace} is used by another program; name another one.")
        if int(found) > version:
            raise StoreUnavailable(
                f"{self._namespace} in {self._place} was made by a newer gateway "
                f"(version {int(found)}, this one knows {version}); upgrade this gateway."
            )
        await self._check_memory()

    async def close(self) -> None:
        """Wait for what is under way, and leave. May be called again."""
        self._is_closed = True
        await self._news.close()
        while self._running:  # each ends in a bounded time
            await asyncio.wait(self._running)
        await self._client.connection_pool.disconnect()

    async def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        if self._is_closed:
            work.close()
            raise StoreUnavailable(f"{self._place} has been closed by this process.")
        task = spawn(self._outcome(work), name="redis")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        outcome = await asyncio.shield(task)
        if isinstance(outcome, StoreUnavailable):
            raise outcome
        return outcome

    async def _outcome(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Gives a failure instead of raising it: the caller may have left, and then nobody would take it."""
        try:
            return await work
        except Exception as error:
            failure = unavailable(error, self._place)
            failure.__cause__ = error
            return failure

    async def _evaluate(self, script: Script, keys: Sequence[bytes], values: Sequence[bytes | str | float]) -> Any:
        try:
            return await self._execute("EVALSHA", script.digest, len(keys), *keys, *values)
        except NoScriptError:  # a new server, or one that was restarted; from now on it knows the script
            return await self._execute("EVAL", script.text, len(keys), *keys, *values)

    async def _execute(self, *command: bytes | str | float) -> Any:
        return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def _check_memory(self) -> None:
        """Raises `StoreUnavailable` when the server may forget revocations; a word in the log for lesser faults."""
        try:
            known = await self._client.info()
        except RedisError:
            logger.warning("store_unchecked %s: this user may not ask for INFO; see docs/state.md.", self._place)
            return
        policy = known.get("maxmemory_policy", _NO_EVICTION)
        if known.get("maxmemory", 0) and policy != _NO_EVICTION:
            if policy.startswith("allkeys"):
                raise StoreUnavailable(
                    f"{self._place} evicts what is revoked when it is full, and then it would pass again "
                    f"(maxmemory-policy {policy}); set maxmemory-policy to {_NO_EVICTION}."
                )
            logger.warning("store_evicts %s: maxmemory-policy is %s; set it to %s.", self._place, policy, _NO_EVICTION)
        if not known.get("aof_enabled", 1):
            logger.warning("store_forgets %s: appendonly is off; a restart loses what it was told last.", self._place)


def _connection_settings(address: RedisAddress, timeout: float) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "db": address.database,
        "username": address.username,
        "password": address.password,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,  # all that is needed, and the driver does less of its own with it
        "client_name": "simplejwt-gateway",
        "driver_info": None,
    }
    if address.socket_path is not None:
        return settings | {"connection_class": UnixDomainSocketConnection, "path": address.socket_path}
    settings |= {"host": address.host, "port": address.port, "socket_keepalive": True}
    settings["socket_keepalive_options"] = _KEEPALIVE
    if not address.is_encrypted:
        return settings | {"connection_class": Connection}
    return settings | {
        "connection_class": SSLConnection,
        "ssl_ca_certs": address.ca_file,
        "ssl_certfile": address.certificate_file,
        "ssl_keyfile": address.key_file,
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,
    }
