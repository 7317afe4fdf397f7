"""Whose connection it is: PROXY protocol heads, trusted proxies and caps, with real balancers in front.

The balancers and clients of these tests have loopback addresses of their own: 127.0.0.1 is a client, 127.0.0.2 sends
PROXY protocol heads, 127.0.0.3 is a trusted proxy.
"""

import contextlib
import json
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Pair, write_pair
from tests.integration.data_plane import Plane, bearer, get, post, running_plane
from tests.integration.processes import free_port, running
from tests.integration.raw_client import ask, assert_refusal
from tests.integration.scripted_upstream import Received

CLIENT, BALANCER, PROXY = "127.0.0.1", "127.0.0.2", "127.0.0.3"
LISTEN: dict[str, Any] = {"proxy_protocol_from": [BALANCER], "trusted_proxies": [PROXY, "203.0.113.128/25"]}
V1 = b"PROXY TCP4 203.0.113.7 198.51.100.1 51234 443\r\n"
V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x07\xc6\x33\x64\x01\xc8\x22\x01\xbb"
V2_LOCAL = b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
V2_BY_TRUSTED = b"PROXY TCP4 203.0.113.200 198.51.100.1 51234 443\r\n"


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    limits = {"head_timeout": "700ms", "connections": {"max_per_address": 5}}
    with running_plane(tmp_path_factory.mktemp("listener"), listen=LISTEN, limits=limits) as plane:
        yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


def forwarded(plane: Plane, *lines: bytes, **options: Any) -> Received:
    answer = plane.ask(get("/public/x", *lines), **options)
    assert answer.status == 200, answer
    received = plane.upstream.only()
    plane.upstream.begin()
    return received


def logged_clients(plane: Plane) -> list[str]:
    """Waits for the line of the next request, so that those before it have been written."""
    marker = plane.ask(get("/public/marker")).field("x-request-id")
    plane.upstream.wait_until(lambda: f'"{marker}"' in plane.gateway.output())
    lines = [line for line in plane.gateway.output().splitlines() if line.startswith("{")]
    return [json.loads(line)["client"] for line in lines]


# PROXY protocol.


@pytest.mark.parametrize("head", [V1, V2], ids=["v1", "v2"])
def test_the_client_is_the_one_that_the_head_names(plane: Plane, head: bytes) -> None:
    received = forwarded(plane, source=BALANCER, opening=head)
    assert received.folded("x-forwarded-for") == ["203.0.113.7"]
    assert logged_clients(plane)[-2] == "203.0.113.7"


def test_the_head_may_come_with_the_request_or_byte_by_byte(plane: Plane) -> None:
    raw = V1 + get("/public/x")
    for pieces in ([raw], [raw[:1], raw[1:]], [raw[: len(V1)], raw[len(V1) :]], [bytes([byte]) for byte in raw]):
        with plane.connect(source=BALANCER) as client:
            client.send_in_pieces(pieces, pause=0.001)
            assert client.read().status == 200
    assert {value for received in plane.upstream.requests for value in received.folded("x-forwarded-for")} == {
        "203.0.113.7"
    }


@pytest.mark.parametrize("head", [V2_LOCAL, b"PROXY UNKNOWN\r\n"], ids=["v2-local", "v1-unknown"])
def test_a_balancer_that_names_nobody_speaks_for_itself(plane: Plane, head: bytes) -> None:
    assert forwarded(plane, source=BALANCER, opening=head).folded("x-forwarded-for") == [BALANCER]


def test_tls_that_the_balancer_ended_makes_it_https(plane: Plane) -> None:
    head = V2[:14] + b"\x00\x14" + V2[16:] + b"\x20\x00\x05\x01\x00\x00\x00\x00"
    assert forwarded(plane, source=BALANCER, opening=head).folded("x-forwarded-proto") == ["https"]


@pytest.mark.parametrize("opening", [V1, V2, b"PROXY UNKNOWN\r\n"], ids=["v1", "v2", "unknown"])
def test_s6_a_head_from_anybody_else_is_no_http(plane: Plane, opening: bytes) -> None:
    for source in (CLIENT, PROXY):
        assert_refusal(plane.ask(get("/public/x"), source=source, opening=opening), 400, "bad_request")
    assert plane.upstream.requests == []


@pytest.mark.parametrize(
    "opening",
    [b"", V1[:-2] + b"\n", V1.lower(), b"PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n", V2[:12] + b"\x11" + V2[13:]],
    ids=["none", "line-feed", "lower-case", "port", "version"],
)
def test_s84_without_a_good_head_a_balancers_connection_ends(plane: Plane, opening: bytes) -> None:
    with plane.connect(source=BALANCER, opening=opening) as client:
        client.send(get("/public/x"))
        assert client.rest() == b""
    assert plane.upstream.requests == []
    assert plane.gateway.output().count("proxy_head_refused") == 1  # the first; then one line a minute


def test_s78_a_head_that_does_not_come_ends_the_connection(plane: Plane) -> None:
    with plane.connect(source=BALANCER) as silent, plane.connect(source=BALANCER, opening=V1[:20]) as half:
        assert silent.rest() == half.rest() == b""


def test_only_one_head_is_read(plane: Plane) -> None:
    assert_refusal(plane.ask(V1 + get("/public/x"), source=BALANCER, opening=V1), 400, "bad_request")


# Trusted proxies.


def test_s6_a_trusted_proxy_names_the_client(plane: Plane) -> None:
    lines = (
        b"X-Forwarded-For: 9.9.9.9, 198.51.100.7",
        b"X-Forwarded-For: 203.0.113.200",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: shop.example.org",
        b"X-Forwarded-Port: 8443",
        b"X-Forwarded-Prefix: /evil",
        b"X_Forwarded_For: 8.8.8.8",
        b"X-Real-IP: 8.8.8.8",
        b"Forwarded: for=8.8.8.8",
    )
    received = forwarded(plane, *lines, source=PROXY)
    assert received.folded("x-forwarded-for") == [f"198.51.100.7, 203.0.113.200, {PROXY}"]
    assert received.folded("x-forwarded-proto") == ["https"]
    assert received.folded("x-forwarded-host") == ["shop.example.org"]
    assert received.folded("x-forwarded-port") == ["8443"]
    assert received.folded("host") == ["api.example.org"]
    for name in ("x-forwarded-prefix", "x-real-ip", "forwarded"):
        assert received.folded(name) == []
    assert b"8.8.8.8" not in received.head
    assert logged_clients(plane)[-2] == "198.51.100.7"


def test_s6_every_request_of_a_connection_has_its_own_client(plane: Plane) -> None:
    with plane.connect(source=PROXY) as client:
        for line in (b"X-Forwarded-For: 198.51.100.1", b"X-Forwarded-For: 198.51.100.2", b"X-Unrelated: 1"):
            client.send(get("/public/x", line))
            assert client.read().status == 200
    assert [received.values("x-forwarded-for")[0].split(",")[0] for received in plane.upstream.requests] == [
        "198.51.100.1",
        "198.51.100.2",
        PROXY,
    ]


@pytest.mark.parametrize("source", [CLIENT, "127.0.0.9"])
def test_s7_loopback_is_not_trusted_by_itself(plane: Plane, source: str) -> None:
    received = forwarded(plane, b"X-Forwarded-For: 198.51.100.7", b"X-Forwarded-Proto: https", source=source)
    assert received.folded("x-forwarded-for") == [source]
    assert received.folded("x-forwarded-proto") == ["http"]


def test_s6_a_client_cannot_nominate_the_proxys_fields_away(plane: Plane) -> None:
    """A proxy that passes the client's Connection on would lose the address with it (CVE-2022-31813, httpd)."""
    lines = (b"Connection: close, X-Forwarded-For, X-Forwarded-Host", b"X-Forwarded-For: 198.51.100.7")
    received = forwarded(plane, *lines, source=PROXY)
    assert received.folded("x-forwarded-for") == [f"198.51.100.7, {PROXY}"]


def test_s6_a_balancer_may_bring_the_connections_of_a_trusted_proxy(plane: Plane) -> None:
    line = b"X-Forwarded-For: 198.51.100.7"
    received = forwarded(plane, line, source=BALANCER, opening=V2_BY_TRUSTED)
    assert received.folded("x-forwarded-for") == ["198.51.100.7, 203.0.113.200"]
    received = forwarded(plane, line, source=BALANCER, opening=V1)
    assert received.folded("x-forwarded-for") == ["203.0.113.7"]


@pytest.mark.parametrize(
    "line",
    [
        b"X-Forwarded-For: 127.0.0.1",
        b"X-Forwarded-Host: admin.example.org",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Uri: /public/x",
        b"X-Forwarded-Method: OPTIONS",
        b"X-Original-URL: /public/x",
    ],
)
def test_s24_a_trusted_proxys_words_decide_nothing(plane: Plane, line: bytes) -> None:
    assert_refusal(plane.ask(get("/required/x", line), source=PROXY), 401)
    assert_refusal(plane.ask(get("/admin/x", line, bearer()), source=PROXY), 403)
    assert plane.ask(get("/admin/x", line, bearer(roles=["admin"])), source=PROXY).status == 200


def test_the_token_endpoints_know_the_client(plane: Plane) -> None:
    body = b'{"username": "nobody", "password": "x"}'
    lines = (b"X-Forwarded-For: 198.51.100.7", b"Content-Type: application/json")
    for options, client in (({"source": PROXY}, "198.51.100.7"), ({"source": BALANCER, "opening": V2}, "203.0.113.7")):
        assert_refusal(plane.ask(post("/api/token/", body, *lines), **options), 401)
        assert f'"event":"login_failed","client":"{client}"' in plane.gateway.output()


# Caps.


def occupy(plane: Plane, stack: contextlib.ExitStack, count: int, **options: Any) -> None:
    for _ in range(count):
        client = stack.enter_context(plane.connect(**options))
        client.send(get("/public/x"))
        assert client.read().status == 200


def is_closed(plane: Plane, **options: Any) -> bool:
    with plane.connect(**options) as client:
        client.send(get("/public/x", b"Connection: close"))
        return client.rest() == b""


def test_s81_one_address_cannot_take_all_connections(plane: Plane) -> None:
    with contextlib.ExitStack() as stack:
        occupy(plane, stack, 5, source="127.0.0.4")
        assert is_closed(plane, source="127.0.0.4")
        assert plane.ask(get("/public/x"), source="127.0.0.5").status == 200
    plane.upstream.wait_until(lambda: not is_closed(plane, source="127.0.0.4"))


def test_s84_without_descriptors_new_clients_wait(plane: Plane) -> None:
    pid = plane.gateway.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (1, hard))
    try:
        with plane.connect() as client:
            client.send(get("/required/x"))
            plane.upstream.wait_until(lambda: "accept_failed count=1" in plane.gateway.output())
            assert client.says_nothing(0.2)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
            assert client.read().status == 401
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def test_s81_behind_a_balancer_the_client_is_counted(plane: Plane) -> None:
    other = b"PROXY TCP4 203.0.113.8 198.51.100.1 51234 443\r\n"
    with contextlib.ExitStack() as stack:
        occupy(plane, stack, 5, source=BALANCER, opening=V1)
        assert is_closed(plane, source=BALANCER, opening=V2)
        assert plane.ask(get("/public/x"), source=BALANCER, opening=other).status == 200


def test_s81_a_trusted_proxy_is_not_counted(plane: Plane) -> None:
    with contextlib.ExitStack() as stack:
        occupy(plane, stack, 12, source=PROXY)


# Real balancers.


def installed(name: str) -> str:
    """Debian puts them where only root's PATH leads; the whole check installs them."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


HAPROXY = """
defaults
    mode {mode}
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend clients
    bind 127.0.0.1:{port}
    {extra}
    default_backend gateways
backend gateways
    server gateway 127.0.0.1:{gateway} {options}
"""
NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{gateway};
            proxy_bind 127.0.0.3;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto https;
        }}
    }}
}}
"""


@contextlib.contextmanager
def haproxy(plane: Plane, folder: Path, *, mode: str, options: str, extra: str = "") -> Iterator[int]:
    port = free_port()
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.format(mode=mode, port=port, gateway=plane.port, options=options, extra=extra))
    with running("haproxy", [installed("haproxy"), "-db", "-f", str(config)], port=port, folder=folder):
        yield port


@contextlib.contextmanager
def nginx(plane: Plane, folder: Path) -> Iterator[int]:
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(port=port, gateway=plane.port, folder=folder))
    with running("nginx", [installed("nginx"), "-p", str(folder), "-c", str(config)], port=port, folder=folder):
        yield port


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl"])
def test_behind_haproxy_by_tcp(plane: Plane, tmp_path: Path, option: str) -> None:
    with haproxy(plane, tmp_path, mode="tcp", options=f"source {BALANCER} {option}") as port:
        answer = ask(port, get("/required/x", bearer()), source="127.0.0.77")
    assert answer.status == 200
    assert plane.upstream.only().folded("x-forwarded-for") == ["127.0.0.77"]


def test_haproxys_health_checks_pass(plane: Plane, tmp_path: Path) -> None:
    """They come with LOCAL, or as a connection that ends at once."""
    options = f"source {BALANCER} send-proxy-v2 check inter 100ms fall 1"
    extra = "acl is_up nbsrv(gateways) ge 1\n    tcp-request content reject unless is_up"
    with haproxy(plane, tmp_path, mode="tcp", options=options, extra=extra) as port:
        for _ in range(3):
            assert ask(port, get("/public/x")).status == 200


def test_behind_haproxy_by_http(plane: Plane, tmp_path: Path) -> None:
    extra = "option forwardfor"
    with haproxy(plane, tmp_path, mode="http", options=f"source {PROXY}", extra=extra) as port:
        answer = ask(port, get("/public/x", b"X-Forwarded-For: 9.9.9.9"), source="127.0.0.77")
    assert answer.status == 200
    assert plane.upstream.only().folded("x-forwarded-for") == [f"127.0.0.77, {PROXY}"]


def test_behind_nginx_by_http(plane: Plane, tmp_path: Path) -> None:
    with nginx(plane, tmp_path) as port:
        answer = ask(port, get("/public/x", b"X-Forwarded-For: 9.9.9.9"), source="127.0.0.77")
    assert answer.status == 200
    received = plane.upstream.only()
    assert received.folded("x-forwarded-for") == [f"127.0.0.77, {PROXY}"]
    assert received.folded("x-forwarded-proto") == ["https"]


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return write_pair(tmp_path, "gateway")


@pytest.fixture
def tls_plane(tmp_path: Path, pair: Pair) -> Iterator[Plane]:
    listen = {**LISTEN, "tls": {"certificate": "gateway.crt", "key": "gateway.key"}}
    with running_plane(tmp_path, listen=listen) as plane:
        yield plane


@pytest.mark.parametrize("head", [V1, V2], ids=["v1", "v2"])
def test_the_head_stands_before_tls(tls_plane: Plane, pair: Pair, head: bytes) -> None:
    trust = pair.client_context()
    received = forwarded(tls_plane, source=BALANCER, opening=head, tls=trust)
    assert received.folded("x-forwarded-for") == ["203.0.113.7"]
    assert received.folded("x-forwarded-proto") == ["https"]
    assert forwarded(tls_plane, tls=trust).folded("x-forwarded-for") == [CLIENT]


def test_behind_haproxy_by_tcp_with_tls_passed_through(tls_plane: Plane, pair: Pair, tmp_path: Path) -> None:
    folder = tmp_path / "haproxy"
    folder.mkdir()
    with haproxy(tls_plane, folder, mode="tcp", options=f"source {BALANCER} send-proxy-v2") as port:
        answer = ask(port, get("/public/x"), source="127.0.0.77", tls=pair.client_context())
    assert answer.status == 200
    assert tls_plane.upstream.only().folded("x-forwarded-for") == ["127.0.0.77"]
