"""WebSockets through the gateway, between a client and a backend that others wrote (the `websockets` library)."""

import contextlib
import json
import os
import signal
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.certificates import Pair, write_pair
from tests.conformance.forging import NOW, token
from tests.integration import processes
from tests.integration.data_plane import ENVIRONMENT, Plane, running_plane
from tests.integration.raw_client import Answer, RawClient

ORIGIN = "https://app.example.org"
BACKEND = Path(__file__).parent / "websocket_backend.py"


def route(path: str, websocket: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A route to the backend, its values its own: YAML would make aliases of shared ones."""
    usual = {"upstream": "ws", "stateless": True, "websocket": {"allow_origins": [ORIGIN], **(websocket or {})}}
    return {"path": path, **usual, **changes}


ROUTES = (
    route("/ws"),
    route("/ws/query", {"token_query": "access_token"}),
    route("/ws/idle", {"idle_timeout": "500ms"}),
    route("/ws/few", {"max_per_user": 2}),
    route("/ws/small", {"max_message_bytes": "1KiB"}),
    route("/ws/outlive", outlive_token=True),
    route("/ws/users", stateless=False),
    route("/ws/public", access="public", stateless=False),
    route("/ws/keep", keep_authorization=True),
)


@contextlib.contextmanager
def websocket_plane(folder: Path, **options: Any) -> Iterator[Plane]:
    with (
        processes.python_server("websocket-backend", BACKEND, folder=folder) as backend,
        running_plane(
            folder,
            further_upstreams={"ws": {"servers": [backend.url]}},
            routes=ROUTES,
            users=("alice", "bob"),
            **options,
        ) as plane,
    ):
        yield plane


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with websocket_plane(tmp_path_factory.mktemp("websockets")) as plane:
        yield plane


def bearer(**claims: Any) -> dict[str, str]:
    return {"Authorization": "Bearer " + token("access", **claims).decode()}


def opened(plane: Plane, path: str = "/ws", *, scheme: str = "ws", **options: Any) -> ClientConnection:
    options.setdefault("additional_headers", bearer())
    options.setdefault("compression", None)
    return connect(f"{scheme}://127.0.0.1:{plane.port}{path}", max_size=None, **options)


@contextlib.contextmanager
def raw_tunnel(plane: Plane, path: str = "/ws") -> Iterator[tuple[RawClient, Answer]]:
    """A tunnel to send exact bytes through, and the 101."""
    with plane.connect() as client:
        client.send(
            b"GET %b HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            % (path.encode(), token("access"))
        )
        yield client, client.read_switch()


def refused(plane: Plane, path: str = "/ws", **options: Any) -> tuple[int, str | None]:
    with pytest.raises(InvalidStatus) as caught, opened(plane, path, **options):
        pass
    response = caught.value.response
    return response.status_code, json.loads(response.body).get("code")


def end_of(client: ClientConnection, *, timeout: float = 10.0) -> tuple[int | None, str | None]:
    """Close code and reason when the other side ends it."""
    with pytest.raises(ConnectionClosed):
        while True:
            client.recv(timeout=timeout)
    return client.close_code, client.close_reason


def fields_at_backend(client: ClientConnection) -> list[tuple[str, str]]:
    client.send("!fields")
    return [(name, value) for name, value in json.loads(client.recv(timeout=5))]


def log_line(plane: Plane, request_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for line in plane.gateway.output().splitlines():
            if request_id in line and line.startswith("{"):
                record: dict[str, Any] = json.loads(line)
                return record
        time.sleep(0.05)
    raise AssertionError(f"no log line of {request_id}")


def request_id_of(client: ClientConnection) -> str:
    assert client.response is not None
    return client.response.headers["X-Request-Id"]


# Passing.


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 1_000_000])
@pytest.mark.parametrize("kind", [str, bytes])
def test_messages_pass_both_ways(plane: Plane, size: int, kind: type) -> None:
    message = "x" * size if kind is str else b"\x00" * size
    with opened(plane) as client:
        client.send(message)
        assert client.recv(timeout=5) == message


def test_compression_is_between_the_two(plane: Plane) -> None:
    with opened(plane, compression="deflate") as client:
        assert client.response is not None
        assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
        client.send("again and again " * 1000)
        assert client.recv(timeout=5) == "again and again " * 1000


def test_fragments_and_pings_pass(plane: Plane) -> None:
    with opened(plane) as client:
        client.send(iter(["one ", "two ", "three"]))
        assert client.recv(timeout=5) == "one two three"
        assert client.ping().wait(5)


def test_s2_the_backend_is_told_who_it_is(plane: Plane) -> None:
    headers = bearer() | {"X-User-Id": "666", "X_USER_ID": "666", "X-Forwarded-For": "6.6.6.6", "Cookie": "a=b"}
    with opened(plane, additional_headers=headers) as client:
        fields = fields_at_backend(client)
    assert [value for name, value in fields if name.replace("_", "-") == "x-user-id"] == ["1"]
    assert [value for name, value in fields if name == "x-forwarded-for"] == ["127.0.0.1"]
    assert ("cookie", "a=b") in fields
    assert not any(name == "authorization" for name, _ in fields)
    for name in ("upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "x-request-id"):
        assert len([each for each, _ in fields if each == name]) == 1, name


def test_the_close_codes_of_both_sides_pass(plane: Plane) -> None:
    with opened(plane) as client:
        client.send("!close 4321")
        assert end_of(client) == (4321, "as asked")
    assert log_line(plane, request_id_of(client))["close_code"] == 4321
    with opened(plane) as client:
        client.close(4322, "enough")
        assert client.close_code == 4322
    record = log_line(plane, request_id_of(client))
    assert (record["close_code"], record["status"], record["user_id"]) == (4322, 101, "1")
    assert "reason" not in record


def test_the_log_line_counts_both_ways(plane: Plane) -> None:
    with opened(plane) as client:
        client.send("x" * 1000)
        client.recv(timeout=5)
    record = log_line(plane, request_id_of(client))
    assert 1000 < record["bytes_received"] < 1100
    assert 1000 < record["bytes"] < 1600
    assert record["ms"] > 0


# Admission.


def test_s40_tokens_come_where_they_may(plane: Plane) -> None:
    good = token("access").decode()
    with opened(plane, additional_headers=None, subprotocols=["bearer", good], origin=ORIGIN) as client:
        assert client.subprotocol == "bearer"
        assert ("x-user-id", "1") in fields_at_backend(client)
        assert not any(good in value for _, value in fields_at_backend(client))
    with opened(plane, additional_headers=None, subprotocols=["bearer", good, "chat"]) as client:
        assert client.subprotocol == "chat"
        assert ("sec-websocket-protocol", "chat") in fields_at_backend(client)
    with opened(plane, f"/ws/query?a=1&access_token={good}&b=2", additional_headers=None) as client:
        client.send("!path")
        assert client.recv(timeout=5) == "/ws/query?a=1&b=2"
        assert ("x-user-id", "1") in fields_at_backend(client)
    with opened(plane, "/ws/keep", additional_headers=None, subprotocols=["bearer", good]) as client:
        assert ("authorization", f"Bearer {good}") in fields_at_backend(client)
    assert refused(plane, f"/ws?access_token={good}", additional_headers=None) == (401, None)
    assert good not in plane.gateway.output()


def test_s68_no_token_no_tunnel(plane: Plane) -> None:
    assert refused(plane, additional_headers=None) == (401, None)
    assert refused(plane, additional_headers=bearer(exp=NOW - 10)) == (401, "token_not_valid")
    assert refused(plane, additional_headers=None, subprotocols=["bearer", "a.b.c"]) == (401, "token_not_valid")
    refresh = {"Authorization": "Bearer " + token("refresh").decode()}
    assert refused(plane, additional_headers=refresh) == (401, "token_not_valid")
    both = [*["bearer", token("access").decode()]]
    assert refused(plane, subprotocols=both) == (400, "bad_handshake")


def test_s63_only_pages_of_listed_origins_connect(plane: Plane) -> None:
    assert refused(plane, origin="https://evil.example") == (403, "origin_not_allowed")
    with opened(plane, origin=ORIGIN) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"


def test_a_public_route_asks_nobody(plane: Plane) -> None:
    with opened(plane, "/ws/public", subprotocols=["chat"]) as client:
        fields = fields_at_backend(client)
    assert not any(name in ("x-user-id", "authorization") for name, _ in fields)


def test_a_user_has_so_many_and_no_more(plane: Plane) -> None:
    with contextlib.ExitStack() as stack:
        first, _ = (stack.enter_context(opened(plane, "/ws/few")) for _ in range(2))
        assert refused(plane, "/ws/few") == (429, "too_many_websockets")
        # Another user, and another route, have their own.
        stack.enter_context(opened(plane, "/ws/few", additional_headers=bearer(user_id="2")))
        stack.enter_context(opened(plane, "/ws"))
        first.close()
        log_line(plane, request_id_of(first))
        stack.enter_context(opened(plane, "/ws/few"))


# Endings that the gateway makes.


def assert_ended(plane: Plane, client: ClientConnection, code: int, reason: str) -> None:
    assert end_of(client) == (code, reason)
    record = log_line(plane, request_id_of(client))
    assert (record["close_code"], record["reason"]) == (code, reason)


def backend_closes(plane: Plane) -> list[int | None]:
    with opened(plane) as client:
        client.send("!closes")
        closes: list[int | None] = json.loads(client.recv(timeout=5))
        return closes


def test_s71_the_tunnel_ends_with_its_token(plane: Plane) -> None:
    with opened(plane, additional_headers=bearer(exp=int(time.time()) + 2)) as client:
        client.send("before")
        assert client.recv(timeout=5) == "before"
        assert_ended(plane, client, 4401, "token_expired")
    assert backend_closes(plane)[-1] == 1001


def test_s71_unless_the_route_says_otherwise(plane: Plane) -> None:
    with (
        opened(plane, "/ws/outlive", additional_headers=bearer(exp=int(time.time()) + 1)) as client,
        opened(plane, additional_headers=bearer(exp=int(time.time()) + 2)) as other,
    ):
        assert end_of(other) == (4401, "token_expired")
        client.send("still here")
        assert client.recv(timeout=5) == "still here"


def log_in(plane: Plane, name: str) -> dict[str, str]:
    body = json.dumps({"username": name, "password": f"{name}-password"}).encode()
    answer = plane.ask(
        b"POST /api/token/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
        % (len(body), body)
    )
    assert answer.status == 200, answer
    pair: dict[str, str] = answer.json()
    return pair


def test_s71_the_tunnel_ends_with_its_session(plane: Plane) -> None:
    pair = log_in(plane, "alice")
    with opened(plane, "/ws/users", additional_headers={"Authorization": f"Bearer {pair['access']}"}) as client:
        client.send("before")
        assert client.recv(timeout=5) == "before"
        body = json.dumps({"refresh": pair["refresh"]}).encode()
        answer = plane.ask(
            b"POST /api/token/blacklist/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        assert answer.status == 200, answer
        assert_ended(plane, client, 4401, "token_revoked")


def test_s71_the_tunnel_ends_with_its_user_and_no_other(plane: Plane) -> None:
    alice, bob = ({"Authorization": f"Bearer {log_in(plane, name)['access']}"} for name in ("alice", "bob"))
    config = str(plane.gateway.log.parent / "gateway.yaml")
    with (
        opened(plane, "/ws/users", additional_headers=alice) as client,
        opened(plane, "/ws/users", additional_headers=bob) as other,
    ):
        processes.run_gateway(["user", "disable", "bob", "--config", config], environment=ENVIRONMENT)
        assert_ended(plane, other, 4401, "user_inactive")
        client.send("still here")
        assert client.recv(timeout=5) == "still here"


def test_an_idle_tunnel_ends_and_one_that_is_used_does_not(plane: Plane) -> None:
    with opened(plane, "/ws/idle") as client:
        for _ in range(6):
            time.sleep(0.2)
            client.send("busy")
            assert client.recv(timeout=5) == "busy"
        assert_ended(plane, client, 4408, "tunnel_idle")


def test_s71_a_message_that_is_too_big_ends_it(plane: Plane) -> None:
    with opened(plane, "/ws/small") as client:
        client.send("x" * 1024)
        assert client.recv(timeout=5) == "x" * 1024
        client.send("x" * 1025)
        assert_ended(plane, client, 1009, "message_too_big")
    assert backend_closes(plane)[-1] == 1001


def test_s71_fragments_of_a_message_count_together(plane: Plane) -> None:
    with opened(plane, "/ws/small") as client:
        with contextlib.suppress(ConnectionClosed):
            client.send("x" * 400 for _ in range(3))
        assert_ended(plane, client, 1009, "message_too_big")


def test_a_backend_that_vanishes_takes_the_client_along(plane: Plane) -> None:
    with opened(plane) as client:
        client.send("!vanish")
        assert end_of(client)[0] == 1006
    assert log_line(plane, request_id_of(client))["close_code"] == 1006


def test_a_client_that_vanishes_takes_the_backend_along(plane: Plane) -> None:
    with raw_tunnel(plane) as (client, answer):
        client.vanish()
    record = log_line(plane, answer.field("x-request-id") or "")
    assert (record["close_code"], record["reason"]) == (1006, "client_gone")
    assert backend_closes(plane)[-1] == 1006


def test_a_drain_ends_tunnels_with_1012_and_the_process_well(tmp_path: Path) -> None:
    with websocket_plane(tmp_path) as plane, opened(plane) as client:
        client.send("before")
        assert client.recv(timeout=5) == "before"
        os.kill(plane.gateway.process.pid, signal.SIGTERM)
        assert_ended(plane, client, 1012, "stopping")
        assert plane.gateway.process.wait(10) == 0


def test_a_drain_of_two_workers_ends_all_tunnels_but_not_before_the_delay(tmp_path: Path) -> None:
    drain = {"delay": "1s", "timeout": "5s"}
    with websocket_plane(tmp_path, workers=2, drain=drain) as plane, contextlib.ExitStack() as stack:
        clients: dict[str, ClientConnection] = {}
        while len(clients) < 2:
            client = stack.enter_context(opened(plane))
            clients[request_id_of(client).partition("-")[0]] = client
        os.kill(plane.gateway.process.pid, signal.SIGTERM)
        while plane.gateway.output().count(" draining ") < 2:
            time.sleep(0.01)
        late = stack.enter_context(opened(plane))
        for client in (*clients.values(), late):
            client.send("still here")
            assert client.recv(timeout=5) == "still here"
        assert " drained " not in plane.gateway.output(), "the delay was not over"
        for client in (*clients.values(), late):
            assert end_of(client)[0] == 1012
        assert plane.gateway.process.wait(10) == 0
        assert plane.gateway.output().count("drained cut_connections=0") == 2


# TLS towards the client, which knows no half-closed connections.


@pytest.fixture(scope="module")
def tls_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("websockets-tls")
    write_pair(folder, "gateway")
    with websocket_plane(folder, listen={"tls": {"certificate": "gateway.crt", "key": "gateway.key"}}) as plane:
        yield plane


@pytest.fixture
def tls(tls_plane: Plane) -> dict[str, Any]:
    """What makes a client speak TLS."""
    folder = tls_plane.gateway.log.parent
    context = Pair(certificate=folder / "gateway.crt", key=folder / "gateway.key").client_context()
    # This client reads in one thread while it writes in another, on one SSL object. With TLS 1.3, where the server speaks
    # first (its tickets), one handshake in twenty or so hung; with 1.2 none of 72.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return {"ssl": context}


def test_messages_pass_over_tls(tls_plane: Plane, tls: dict[str, Any]) -> None:
    with opened(tls_plane, scheme="wss", **tls) as client:
        client.send("x" * 300_000)
        assert client.recv(timeout=5) == "x" * 300_000
        assert ("x-forwarded-proto", "https") in fields_at_backend(client)


def test_closing_over_tls_takes_no_time(tls_plane: Plane, tls: dict[str, Any]) -> None:
    with opened(tls_plane, scheme="wss", **tls) as client:
        client.send("!close 4321")
        begun = time.monotonic()
        assert end_of(client) == (4321, "as asked")
        client.close()
    assert time.monotonic() - begun < 2
    with opened(tls_plane, scheme="wss", **tls) as client:
        begun = time.monotonic()
        client.close(4322)
        assert client.close_code == 4322
    assert time.monotonic() - begun < 2


def test_ends_over_tls(tls_plane: Plane, tls: dict[str, Any]) -> None:
    expiring = bearer(exp=int(time.time()) + 2)
    with (
        opened(tls_plane, scheme="wss", additional_headers=expiring, **tls) as client,
        opened(tls_plane, scheme="wss", **tls) as other,
    ):
        other.send("!vanish")
        assert end_of(other)[0] == 1006
        assert_ended(tls_plane, client, 4401, "token_expired")
    with opened(tls_plane, scheme="wss", **tls) as client:
        client.socket.close()
    assert "WARNING" not in tls_plane.gateway.output()


# Bounded memory.


def test_s75_a_client_that_does_not_read_holds_the_backend_back(plane: Plane) -> None:
    with plane.bounded_memory(8 * 1024**2), opened(plane, max_queue=1) as client:
        client.send("!flood 1000000 200")
        time.sleep(1.0)
        for _ in range(200):
            assert len(client.recv(timeout=10)) == 1_000_000


def test_s75_a_backend_that_does_not_read_holds_the_client_back(plane: Plane) -> None:
    with plane.bounded_memory(8 * 1024**2), raw_tunnel(plane) as (raw, _):
        raw.send(b"\x81\x85\x00\x00\x00\x00!deaf")
        raw.socket.settimeout(1.0)
        sent = 0
        chunk = b"\x82\xff" + (65536).to_bytes(8, "big") + b"\x00" * 4 + b"x" * 65536
        with pytest.raises(TimeoutError):
            while sent < 64 * 1024**2:
                raw.socket.sendall(chunk)
                sent += len(chunk)
        assert sent < 32 * 1024**2
