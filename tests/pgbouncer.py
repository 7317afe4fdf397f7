"""PgBouncer before a PostgreSQL server of the tests, which gives each transaction to another server process.

Debian's package `pgbouncer` is enough.
"""

import contextlib
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.integration.processes import free_port
from tests.postgres_server import PostgresServer

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")

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


@contextlib.contextmanager
def pooled_url() -> Iterator[str]:
    """That of a pooler before a server of its own."""
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
