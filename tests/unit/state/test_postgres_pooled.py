"""PostgreSQL behind PgBouncer, which gives each transaction to another server process.

Debian's package `pgbouncer` is enough; without it these tests are skipped.
"""

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.postgres.database import PostgresDatabase
from gateway.state.postgres import PostgresStateStore
from tests.integration.processes import free_port
from tests.postgres_server import PostgresServer
from tests.unit.state.attempt_behaviour import AttemptBehaviour
from tests.unit.state.store_behaviour import OpenStore, StoreBehaviour, revocation

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="no pgbouncer here")

SETTINGS = """
[databases]
postgres = host=127.0.0.1 port={server_port} user=admin password=top-secret
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 5
max_client_conn = 500
"""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = PostgresServer()
    server.start()
    port = free_port()
    settings = server.folder / "pgbouncer.ini"
    settings.write_text(SETTINGS.format(server_port=server.port, port=port))
    user = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid} if os.geteuid() == 0 else {}
    with Path(server.folder / "log").open("ab") as log:
        assert PGBOUNCER is not None
        pooler = subprocess.Popen([PGBOUNCER, settings], stdout=log, stderr=log, cwd="/", **user)  # type: ignore[call-overload]
    deadline = time.monotonic() + 20
    while f"listening on 127.0.0.1:{port}" not in (server.folder / "log").read_text():
        assert pooler.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield server.url(port=port)
    pooler.kill()
    pooler.wait()
    server.remove()


@pytest.fixture
async def open_store(url: str, request: pytest.FixtureRequest) -> AsyncIterator[OpenStore]:
    opened = []
    schema = f"gateway_{abs(hash(request.node.nodeid))}"

    async def open_one() -> PostgresStateStore:
        store = PostgresStateStore(PostgresDatabase(url, schema=schema, max_connections=4, timeout=20))
        opened.append(store)
        await store.prepare()
        return store

    yield open_one
    for store in opened:
        await store.close()


class TestPooledStateStore(StoreBehaviour):
    pass


class TestPooledAttempts(AttemptBehaviour):
    pass


async def test_nothing_is_listened_for_where_nothing_would_be_heard(open_store: OpenStore) -> None:
    store = await open_store()
    for _ in range(2):
        began = time.monotonic()
        await store.wait_for_revocations(20)
        assert time.monotonic() - began < 10
    assert await store.revoke(revocation("a"))
