"""`gateway doctor` against the real gateway, which is sound, and against deployments that are not."""

import asyncio
import base64
import hmac
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from tests.conformance.forging import token
from tests.integration import processes
from tests.integration.certificates import Authority
from tests.integration.data_plane import Plane, running_plane
from tests.integration.processes import Server

ECHO = Path(__file__).with_name("echo_backend.py")


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with processes.python_server("echo", ECHO, folder=tmp_path_factory.mktemp("echo")) as server:
        yield server


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory, backend: Server) -> Iterator[Plane]:
    routes = [{"path": "/echo", "upstream": "echo", "stateless": True}]
    upstreams = {"echo": {"servers": [backend.url]}}
    folder = tmp_path_factory.mktemp("doctor")
    with running_plane(folder, routes=routes, further_upstreams=upstreams) as running:
        yield running


def examine(*arguments: str, stdin: str = "") -> tuple[int, dict[str, tuple[str, str]], str]:
    """Exit code, check → (result, detail), standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "doctor", *arguments, "--json"], input=stdin, capture_output=True, text=True
    )
    verdicts = json.loads(done.stdout)["verdicts"] if done.stdout else []
    return done.returncode, {it["check"]: (it["result"], it["detail"]) for it in verdicts}, done.stderr


def findings(verdicts: dict[str, tuple[str, str]]) -> set[str]:
    return {check for check, (result, _) in verdicts.items() if result == "finding"}


def test_nothing_is_found_at_the_gateway(plane: Plane) -> None:
    unused = f"http://127.0.0.1:{processes.free_port()}/"
    code, verdicts, err = examine(
        f"{plane.gateway.url}/required/here", "--token", "-", "--echo-path", "/echo/", "--backend", unused,
        stdin=token("access").decode(),
    )  # fmt: skip
    assert (code, findings(verdicts), err) == (0, set(), ""), [*verdicts.items()]
    assert {check for check, (result, _) in verdicts.items() if result == "skipped"} == {
        "admin port", "TLS", "certificate",
    }  # fmt: skip


def test_the_backend_around_the_gateway_is_found(plane: Plane, backend: Server) -> None:
    code, verdicts, _ = examine(f"{plane.gateway.url}/required/here", "--backend", backend.url)
    assert (code, findings(verdicts)) == (1, {"backend around the gateway"}), verdicts


def test_a_backend_without_a_gateway(backend: Server) -> None:
    code, verdicts, _ = examine(f"{backend.url}/orders/", "--echo-path", "/echo/")
    assert code == 1
    assert findings(verdicts) >= {
        "missing token", "request smuggling", "spoofed identity at the backend", "admin endpoints", "log-in",
    }, verdicts  # fmt: skip
    assert verdicts["path tricks"] == ("skipped", "the plain path answers 200 already")


def test_a_certificate_that_soon_ends_is_found_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    certificate, key = map(str, authority.issue("127.0.0.1"))
    with running_plane(tmp_path, listen={"tls": {"certificate": certificate, "key": key}}) as plane:
        url = f"https://127.0.0.1:{plane.port}/required/here"
        code, verdicts, err = examine(url, "--ca", str(authority.certificate))
        assert (code, findings(verdicts), err) == (1, {"certificate"}, ""), [*verdicts.items()]
        assert verdicts["TLS"] == ("ok", "nothing older than TLS 1.2 is spoken")
        code, verdicts, err = examine(url)
    assert (code, verdicts) == (1, {})
    assert "CERTIFICATE_VERIFY_FAILED" in err


def test_nobody_there_is_a_sentence() -> None:
    port = processes.free_port()
    code, verdicts, err = examine(f"http://127.0.0.1:{port}/")
    assert (code, verdicts) == (1, {})
    assert err.startswith(f"gateway: http://127.0.0.1:{port}/: ")


async def test_a_naive_proxy_with_a_weak_key(backend: Server) -> None:
    """It checks tokens, with the key of every tutorial, and for a path as written; identity fields just pass."""

    async def serve(request: web.Request) -> web.Response:
        origin = {"Access-Control-Allow-Origin": request.headers.get("Origin", "*")}
        headers = {**origin, "Access-Control-Allow-Credentials": "true"}
        signed, _, signature = request.headers.get("Authorization", "").rpartition(".")
        expected = hmac.digest(b"your-256-bit-secret", signed.removeprefix("Bearer ").encode(), "sha256")
        is_signed = signature == base64.urlsafe_b64encode(expected).decode().rstrip("=")
        if request.raw_path.startswith("/orders") and "X_User_Id" not in request.headers and not is_signed:
            return web.json_response({}, status=401, headers={**headers, "WWW-Authenticate": "Bearer"})
        async with ClientSession() as session:
            passed = {name: value for name, value in request.headers.items() if name.lower().startswith("x")}
            async with session.get(backend.url + "/", headers=passed) as answer:
                return web.Response(body=await answer.read(), headers=headers)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", serve)
    async with TestServer(application) as server:
        url = str(server.make_url("/orders/"))
        code, verdicts, _ = await asyncio.to_thread(examine, url, "--echo-path", "/echo")
    assert code == 1
    assert findings(verdicts) >= {
        "forged tokens", "identity fields", "path tricks", "spoofed identity at the backend", "server field",
        "cross-origin", "log-in",
    }, verdicts  # fmt: skip
    assert "the key 'your-256-bit-secret' (200)" in verdicts["forged tokens"][1]
    assert "X_User_Id (200)" in verdicts["identity fields"][1]
