"""TLS towards backends: who is trusted, who is not, and as whom the gateway itself appears."""

import contextlib
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.certificates import Authority
from tests.integration.data_plane import ENVIRONMENT, Plane, get, post, running_plane, settings
from tests.integration.processes import run_gateway, write_gateway_config
from tests.integration.raw_client import assert_refusal
from tests.integration.scripted_upstream import ScriptedUpstream, answers

SIZE = 3_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authorities")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder, "trusted")


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Authority:
    return Authority(folder, "stranger")


@contextlib.contextmanager
def secure(folder: Path, server: ScriptedUpstream, *, host: str = "127.0.0.1", **tls: Any) -> Iterator[Plane]:
    """A gateway with an https server behind `/secure`; `tls` are its settings."""
    values = {name: str(value) if isinstance(value, Path) else value for name, value in tls.items()}
    with running_plane(
        folder,
        further_upstreams={
            "secure": {"servers": [f"https://{host}:{server.port}"], "connect_timeout": "1s", "tls": values}
        },
        routes=[{"path": "/secure", "upstream": "secure", "access": "public"}],
    ) as plane:
        yield plane


def serving(context: ssl.SSLContext) -> contextlib.AbstractContextManager[ScriptedUpstream]:
    return ScriptedUpstream(tls=context).running()


def test_a_server_certified_by_the_authority_is_spoken_to(tmp_path: Path, authority: Authority) -> None:
    with (
        serving(authority.server_context("127.0.0.1")) as server,
        secure(tmp_path, server, ca=authority.certificate) as plane,
    ):
        for number in range(3):
            assert plane.ask(post(f"/secure/{number}", b"body")).body == b"/secure/%d" % number
        assert len(server.links) == 1
        # Both ways, more than any buffer holds.
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + b"x" * SIZE
        server.play(answers(answer))
        assert len(plane.ask(post("/secure/large", b"y" * SIZE)).body) == SIZE
        assert server.requests[-1].body == b"y" * SIZE


def test_the_name_is_asked_for_and_verified(tmp_path: Path, authority: Authority) -> None:
    asked: list[str | None] = []
    context = authority.server_context("backend.example.org")
    context.sni_callback = lambda sock, name, _: asked.append(name)  # type: ignore[assignment]
    with serving(context) as server:
        with secure(tmp_path, server, ca=authority.certificate, server_name="backend.example.org") as plane:
            assert plane.ask(get("/secure/x")).status == 200
        assert asked == ["backend.example.org"]
    with (
        serving(authority.server_context("localhost")) as server,
        secure(tmp_path, server, host="localhost", ca=authority.certificate) as plane,
    ):
        assert plane.ask(get("/secure/x")).status == 200


@pytest.mark.parametrize("fault", ["stranger", "system", "name", "expired"])
def test_a_server_that_cannot_be_verified_gets_nothing(
    tmp_path: Path, authority: Authority, stranger: Authority, fault: str
) -> None:
    issuer = stranger if fault == "stranger" else authority
    name = "localhost" if fault == "name" else "127.0.0.1"
    tls = {} if fault == "system" else {"ca": authority.certificate}
    with (
        serving(issuer.server_context(name, is_expired=fault == "expired")) as server,
        secure(tmp_path, server, **tls) as plane,
    ):
        assert_refusal(plane.ask(post("/secure/x", b"secret")), 502, "upstream_tls_failed")
        assert server.requests == []
        assert "reason=upstream_tls_failed" in plane.gateway.output()


def test_a_plain_server_is_not_taken_for_a_secure_one(tmp_path: Path, authority: Authority) -> None:
    with ScriptedUpstream().running() as server, secure(tmp_path, server, ca=authority.certificate) as plane:
        assert_refusal(plane.ask(get("/secure/x")), 504, "upstream_connect_timeout")
        assert server.requests == []


def test_old_protocols_are_refused(tmp_path: Path, authority: Authority) -> None:
    context = authority.server_context("127.0.0.1")
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the module's, for what is tested here
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with serving(context) as server, secure(tmp_path, server, ca=authority.certificate) as plane:
        assert_refusal(plane.ask(get("/secure/x")), 502)
        assert server.requests == []


def test_verification_can_be_switched_off(tmp_path: Path, stranger: Authority) -> None:
    with (
        serving(stranger.server_context("elsewhere", is_expired=True)) as server,
        secure(tmp_path, server, verify=False) as plane,
    ):
        assert plane.ask(get("/secure/x")).status == 200


def test_a_server_that_asks_for_a_certificate_gets_ours(tmp_path: Path, authority: Authority) -> None:
    certificate, key = authority.issue("gateway")
    with serving(authority.server_context("127.0.0.1", asks_client=True)) as server:
        with secure(tmp_path, server, ca=authority.certificate, certificate=certificate, key=key) as plane:
            assert plane.ask(get("/secure/x")).status == 200
        with secure(tmp_path, server, ca=authority.certificate) as plane:
            assert plane.ask(get("/secure/x")).status == 502
        assert len(server.requests) == 1


def test_s72_an_answer_cut_below_tls_is_cut(tmp_path: Path, authority: Authority) -> None:
    with (
        serving(authority.server_context("127.0.0.1")) as server,
        secure(tmp_path, server, ca=authority.certificate) as plane,
    ):
        server.play(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", end="close"))
        with pytest.raises(Exception, match="200"):
            plane.ask(get("/secure/x"))


# What `gateway check` says of files that do not fit.


def _check(folder: Path, **tls: str) -> str:
    values = settings(port=1, upstreams={"main": {"servers": ["https://app"], "tls": tls}}, folder=folder)
    with pytest.raises(RuntimeError) as refused:
        run_gateway(["check", "--config", str(write_gateway_config(folder, values))], environment=ENVIRONMENT)
    return str(refused.value)


def test_files_that_do_not_fit_are_problems_of_the_configuration(tmp_path: Path, authority: Authority) -> None:
    certificate, key = authority.issue("gateway")
    other = authority.issue("other")[1]
    (tmp_path / "nonsense.pem").write_text("nonsense")
    (tmp_path / "open.key").write_bytes(key.read_bytes())
    assert "ended with 78" in _check(tmp_path, ca="missing.pem")
    assert "upstreams.main.tls.ca: holds no certificates" in _check(tmp_path, ca="nonsense.pem")
    assert "tls.key: the file" in _check(tmp_path, certificate=str(certificate), key="open.key")
    assert "tls.certificate: and its key cannot be used together" in _check(
        tmp_path, certificate=str(certificate), key=str(other)
    )
