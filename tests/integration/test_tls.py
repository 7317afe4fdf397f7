"""TLS on the listener: real handshakes, on both event loops."""

import contextlib
import os
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Pair, write_pair
from tests.integration.data_plane import ENVIRONMENT, Plane, bearer, chunked, get, post, running_plane
from tests.integration.processes import CHECKOUT
from tests.integration.raw_client import CutShort, RawClient, assert_refusal
from tests.integration.scripted_upstream import answers, plain

HEAD_TIMEOUT = 0.8
NOTICED_WITHIN = 10.0  # the files are looked at every 2 s


@contextlib.contextmanager
def running_tls(folder: Path, *, loop: str, tls: dict[str, Any] | None = None, **sections: Any) -> Iterator[Plane]:
    environment = dict(ENVIRONMENT)
    if loop == "asyncio":
        (folder / "without").mkdir()
        (folder / "without" / "uvloop.py").write_text("raise ImportError\n")
        environment["PYTHONPATH"] = f"{folder / 'without'}{os.pathsep}{CHECKOUT}"
    write_pair(folder, "gateway")
    listen = {"tls": {"certificate": "gateway.crt", "key": "gateway.key", **(tls or {})}}
    with running_plane(folder, listen=listen, environment=environment, **sections) as plane:
        yield plane


@pytest.fixture(scope="module", params=["uvloop", "asyncio"])
def module_plane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("tls")
    limits = {"head_timeout": "800ms", "body_timeout": "2s"}
    with running_tls(folder, loop=request.param, limits=limits) as plane:
        yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


@pytest.fixture
def trust(plane: Plane) -> ssl.SSLContext:
    return pair_of(plane).client_context()


def pair_of(plane: Plane) -> Pair:
    folder = plane.gateway.log.parent
    return Pair(certificate=folder / "gateway.crt", key=folder / "gateway.key")


def version_of(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_request_over_tls(plane: Plane, trust: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    with plane.connect(tls=version_of(trust, version)) as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.selected_alpn_protocol() == "http/1.1"
        for _ in range(2):
            client.send(get("/required/x", bearer()))
            assert client.read().status == 200
    received = plane.upstream.requests[0]
    assert received.folded("x-forwarded-proto") == ["https"]
    assert received.folded("x-forwarded-for") == ["127.0.0.1"]


def test_older_tls_is_not_spoken(plane: Plane, trust: ssl.SSLContext) -> None:
    trust.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        version_of(trust, ssl.TLSVersion.TLSv1_1)
    with pytest.raises(ssl.SSLError):
        plane.connect(tls=trust)


def test_large_bodies_pass_both_ways(plane: Plane, trust: ssl.SSLContext) -> None:
    body = os.urandom(64 * 1024) * 32
    plane.upstream.play(answers(plain(body)))
    with plane.connect(tls=trust) as client:
        client.send(post("/public/x", body))
        assert client.read().body == body
        client.send(chunked("/public/x", b"5\r\nhello\r\n0\r\n\r\n"))
        assert client.read().body == body
    assert [received.size for received in plane.upstream.requests] == [len(body), 5]


def test_a_refused_body_that_is_still_coming_lets_the_answer_through(plane: Plane, trust: ssl.SSLContext) -> None:
    """TLS cannot close one direction as TCP does; the client must still read its 401."""
    with plane.connect(tls=trust) as client:
        client.send(post("/required/x", b"x" * 500_000))
        assert_refusal(client.read(), 401)


def test_s72_a_cut_answer_is_cut(plane: Plane, trust: ssl.SSLContext) -> None:
    plane.upstream.play(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", end="close"))
    with plane.connect(tls=trust) as client:
        client.send(get("/public/x"))
        with pytest.raises(CutShort):
            client.read()


def test_the_end_of_a_connection_is_told_by_tls(plane: Plane, trust: ssl.SSLContext) -> None:
    """RFC 9112 §9.8: close_notify before the connection ends, or the client must take it for an attack."""
    with plane.connect(tls=trust) as client:
        client.send(get("/public/x", b"Connection: close"))
        assert client.read().status == 200
        assert client.rest() == b""
        assert not client.was_reset


# What is no TLS (checklist 84: quiet, and the next one is served).


@pytest.mark.parametrize(
    "raw",
    [get("/public/x"), b"\x00" * 4096, b"\x16\x03\x01\xff\xff" + b"\x01" * 500, b"\x16\x03\x01\x00\x05hello", b"x"],
    ids=["http", "zeros", "s84-huge-record", "s84-bad-hello", "s84-one-byte"],
)
def test_s84_what_is_no_tls_is_closed_and_leaves_no_trace(plane: Plane, trust: ssl.SSLContext, raw: bytes) -> None:
    with plane.connect() as client:
        client.send(raw)
        rest = client.rest()  # at most an alert (RFC 8446 §6)
        assert rest == b"" or rest[0] == 21
    assert plane.ask(get("/public/x"), tls=trust).status == 200
    assert "Traceback" not in plane.gateway.output()
    assert plane.gateway.output().count("handshake_failed") <= 1


def test_s78_a_handshake_that_stops_is_ended(plane: Plane, trust: ssl.SSLContext) -> None:
    with plane.connect() as silent, plane.connect() as half:
        half.send(b"\x16\x03\x01")
        for client in (silent, half):
            client.rest()
    assert plane.ask(get("/public/x"), tls=trust).status == 200


def test_s78_a_head_that_stops_is_a_408(plane: Plane, trust: ssl.SSLContext) -> None:
    with plane.connect(tls=trust) as client:
        client.send(b"GET /public/x HTTP/1.1\r\nHost: ")
        assert_refusal(client.read(), 408, "head_timeout")


def test_s81_unfinished_handshakes_count_and_are_given_back(tmp_path: Path) -> None:
    with running_tls(tmp_path, loop="uvloop", limits={"connections": {"max": 4}, "head_timeout": "800ms"}) as plane:
        trust = pair_of(plane).client_context()
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(plane.connect()) for _ in range(4)]
            with pytest.raises(OSError):
                plane.connect(tls=trust)
            for client in silent:
                client.rest()
        assert plane.ask(get("/public/x"), tls=trust).status == 200


# Renewal.


def served_certificate(port: int) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port)) as raw, context.wrap_socket(raw) as wrapped:
        found = wrapped.getpeercert(binary_form=True)
        assert found is not None
        return found


def await_certificate(plane: Plane, pair: Pair) -> None:
    expected = ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())
    deadline = time.monotonic() + NOTICED_WITHIN
    while served_certificate(plane.port) != expected:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    with running_tls(tmp_path, loop="uvloop") as plane:
        old = pair_of(plane)
        trust = old.client_context()
        with plane.connect(tls=trust) as client:
            before = served_certificate(plane.port)
            new = write_pair(tmp_path, "gateway")
            await_certificate(plane, new)
            # A connection keeps what it began with.
            client.send(get("/public/x"))
            assert client.read().status == 200
            good = served_certificate(plane.port)
            assert good != before
            new.certificate.write_text("no certificate")
            deadline = time.monotonic() + NOTICED_WITHIN
            while "listen.tls.certificate: holds no certificate in PEM" not in plane.gateway.output():
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert served_certificate(plane.port) == good


def test_min_version_1_3_refuses_1_2(tmp_path: Path) -> None:
    with running_tls(tmp_path, loop="uvloop", tls={"min_version": "1.3"}) as plane:
        trust = pair_of(plane).client_context()
        assert plane.ask(get("/public/x"), tls=trust).status == 200
        with pytest.raises(ssl.SSLError):
            RawClient(plane.port, tls=version_of(pair_of(plane).client_context(), ssl.TLSVersion.TLSv1_2))
