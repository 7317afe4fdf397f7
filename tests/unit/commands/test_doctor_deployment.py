"""What the doctor knows of a deployment."""

import argparse
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.commands import doctor_deployment
from gateway.commands.doctor_checks import Result
from gateway.commands.doctor_deployment import Deployment, Tokens, sorted_tokens
from gateway.commands.doctor_forgeries import forged_token

NOW = 1_700_000_000.0


def known(config: Path | None = None, given: tuple[str, ...] = (), **stated: Any) -> Deployment:
    options = {"identity_field": None, "login_path": None, "admin_port": None, "backend": None, **stated}
    return doctor_deployment.deployment_of(argparse.Namespace(config=config, **options), os.environ, given)


def token(kid: str | None = None, **claims: object) -> str:
    return forged_token({"alg": "HS256", **({} if kid is None else {"kid": kid})}, claims, b"k")


def test_nothing_is_known() -> None:
    assert known() == Deployment()


def test_what_the_file_says(config_file: Path) -> None:
    text = config_file.read_text().replace("9001", '9001", "http://10.0.0.7:8000')
    config_file.write_text(text + "identity: {preset: remote-user, fields: {X-Tenant: tenant}}\nadmin: {port: 9100}\n")
    deployment = known(config_file)
    assert deployment.identity_fields == ("X-User-Id", "Remote-User", "Remote-Email", "Remote-Groups", "X-Tenant")
    assert (deployment.admin_port, deployment.known_backends) == (9100, ("http://10.0.0.7:8000",))
    assert (deployment.guarded, deployment.free) == (("/", "/staff"), ("/public",))
    assert [verdict.result for verdict in deployment.verdicts] == [Result.OK]
    assert deployment.claims["token_type"] == "access"
    assert deployment.signed_here == deployment.tokens.expired
    assert deployment.tokens.access is None


def test_the_command_line_goes_before_the_file(config_file: Path) -> None:
    deployment = known(config_file, identity_field="X-Me", login_path="/in/", admin_port=1, backend="http://b")
    assert deployment.identity_fields == ("X-Me",)
    assert (deployment.login_path, deployment.admin_port, deployment.backends) == ("/in/", 1, ("http://b",))


def test_keys_that_are_not_here(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_SIGNING_KEY")
    deployment = known(config_file)
    assert [verdict.result for verdict in deployment.verdicts] == [Result.SKIPPED]
    assert deployment.tokens == Tokens()
    assert deployment.guarded == ("/", "/staff")


def test_tokens_are_told_apart_by_what_they_say() -> None:
    given = [
        token(token_type="refresh", exp=NOW - 1),  # of no use
        token(token_type="refresh", exp=NOW + 1),
        token(token_type="access", exp=NOW),
        token(token_type="access", exp=NOW + 1),
        token(token_type="access", exp=NOW + 2),
    ]
    assert sorted_tokens(given, "token_type", NOW) == Tokens(access=given[3], expired=given[2], refresh=given[1])
    assert sorted_tokens(["x"], "token_type", NOW) == Tokens(access="x")


def test_forgeries_say_what_a_real_token_says() -> None:
    deployment = known(given=(token("k1", token_type="refresh", tenant="a"),))
    assert deployment.claims == {"token_type": "access", "tenant": "a"}
    assert deployment.kid == "k1"


@pytest.mark.parametrize(
    ("server", "elsewhere"),
    [
        ("http://10.0.0.7:80", True),
        ("https://app.internal", True),
        ("http://127.0.0.9", False),
        ("http://[::1]:80", False),
        ("http://localhost", False),
        ("unix:/run/app.sock", False),
    ],
)
def test_backends_that_other_machines_could_reach(config_file: Path, server: str, elsewhere: bool) -> None:
    config_file.write_text(config_file.read_text().replace("http://127.0.0.1:9001", server))
    assert known(config_file).known_backends == ((server,) if elsewhere else ())
