"""The look-out for secrets sees them; else all that it has passed would mean nothing."""

import sys
from pathlib import Path

import pytest

from tests import secret_scan
from tests.conformance.forging import token
from tests.integration import processes

pytest_plugins = ["pytester"]

KEY = "canary-key-1b9f0d2c4e6a8071"


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What it has learnt so far belongs to the other tests."""
    secrets: set[str] = set()
    monkeypatch.setattr(secret_scan, "_known", secrets)
    return secrets


def test_s86_a_token_is_known_by_its_shape() -> None:
    assert secret_scan.found_in(f'{{"path":"/x","user":"{token("access").decode()}"}}')
    assert not secret_scan.found_in("eyJ is how a token begins, and eyJhbGciOiJIUzI1NiJ9 is a header.")


def test_s86_keys_and_passwords_are_known_by_where_they_came_from() -> None:
    assert not secret_scan.found_in(f"key={KEY}")
    secret_scan.learn_environment({"GATEWAY_SIGNING_KEY": KEY, "PATH": "/usr/local/bin"})
    secret_scan.learn(["correct horse battery\n"])
    assert secret_scan.found_in(f"key={KEY}") == ["canary-key-1…"]
    assert secret_scan.found_in("with 'correct horse battery'")
    assert not secret_scan.found_in("/usr/local/bin")


def test_a_private_key_is_known_by_each_of_its_lines(known: set[str]) -> None:
    secret_scan.learn(
        ["-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\nAwEHBG0wawIBAQQg\n-----END PRIVATE KEY-----\n"]
    )
    assert known == {"MIGHAgEAMBMGByqGSM49", "AwEHBG0wawIBAQQg"}


def test_s86_a_process_that_tells_its_key_is_caught(tmp_path: Path) -> None:
    script = tmp_path / "careless.py"
    script.write_text(
        "import os, socket, sys\nprint('starting with', os.environ['GATEWAY_SIGNING_KEY'], flush=True)\n"
        "listener = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nlistener.accept()\nlistener.accept()\n"
    )
    port = processes.free_port()
    argv = [sys.executable, str(script), str(port)]
    environment = {"GATEWAY_SIGNING_KEY": KEY}
    with (
        pytest.raises(AssertionError, match="careless has told a secret"),
        processes.running("careless", argv, port=port, folder=tmp_path, environment=environment),
    ):
        pass


def test_s86_a_command_that_tells_its_password_is_caught() -> None:
    secret_scan.learn(["correct horse battery"])
    with pytest.raises(AssertionError, match="gateway user add"):
        secret_scan.check_command(["user", "add", "alice"], "Added alice with correct horse battery.")
    secret_scan.check_command(["key", "generate"], "correct horse battery")


def test_s86_a_test_that_logs_a_token_fails(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(processes.CHECKOUT))
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makeconftest((processes.CHECKOUT / "tests/conftest.py").read_text())
    pytester.makepyfile(
        f"import logging\ndef test_it(): logging.getLogger('gateway').warning({token('access').decode()!r})"
    )
    result = pytester.runpytest_subprocess("--show-capture=no", "-p", "no:cacheprovider")
    result.stdout.fnmatch_lines(["*has told a secret*"])
    result.assert_outcomes(passed=1, errors=1)
