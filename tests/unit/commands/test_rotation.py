import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from gateway.auth.keys import build_key, generate_key
from gateway.composition.tokens import keyring_of
from gateway.config.load import load
from gateway.types import Secret
from tests.unit.commands.conftest import SIGNING_KEY

Run = Callable[..., tuple[int, str, str]]


def rotate(run: Run, config: Path, *argv: str | Path) -> tuple[str, Path]:
    """What it printed, and the file that it wrote."""
    assert run("user", "list", "--config", config)[0] == 0  # makes the database
    before = set(config.parent.iterdir())
    code, out, err = run("key", "rotate", "--config", config, *argv)
    assert (code, err) == (0, "")
    (written,) = set(config.parent.iterdir()) - before
    return out, written


def fragments(printed: str) -> list[dict[str, object]]:
    """The pieces of YAML in the order of the steps."""
    pieces = re.findall(r"(?:^ {5}.*\n)+", printed, re.MULTILINE)
    return [yaml.safe_load(piece) for piece in pieces]


@pytest.mark.parametrize("algorithm", ["HS256", "HS512", "RS256", "ES256", "EdDSA"])
def test_s45_the_printed_steps_are_configurations_that_start(config_file: Path, run: Run, algorithm: str) -> None:
    printed, key_file = rotate(run, config_file, "--algorithm", algorithm, "--kid", "next-1")
    original = yaml.safe_load(config_file.read_text())
    seen = []
    for fragment in fragments(printed):
        changed = {**original, "tokens": {**original["tokens"], **fragment["tokens"]}}  # type: ignore[dict-item]
        config_file.write_text(yaml.safe_dump(changed))
        ring = keyring_of(load(config_file, {"GATEWAY_SIGNING_KEY": SIGNING_KEY}))
        seen.append([(key.kid, key.algorithm) for key in ring.keys])
    assert seen == [[(None, "HS256"), ("next-1", algorithm)], [("next-1", algorithm), (None, "HS256")]]
    assert key_file.read_text() not in printed


def test_s88_s90_the_key_is_its_owners_alone_and_is_not_printed(config_file: Path, run: Run) -> None:
    printed, key_file = rotate(run, config_file)
    assert re.fullmatch(r"key-\d{4}-\d\d-\d\d\.key", key_file.name)
    assert key_file.stat().st_mode & 0o777 == 0o600
    secret = key_file.read_text().strip()
    build_key("HS256", Secret(secret), None)
    assert secret not in printed
    assert SIGNING_KEY not in printed


@pytest.mark.parametrize("kind", ["file", "link"])
def test_no_file_is_ever_overwritten(config_file: Path, run: Run, kind: str) -> None:
    path = config_file.parent / "next.key"
    if kind == "file":
        path.write_text("another key")
    else:
        path.symlink_to(config_file.parent / "elsewhere")
    code, out, err = run("key", "rotate", "--config", config_file, "--file", path)
    assert (code, out) == (1, "")
    assert "File exists" in err
    assert not (config_file.parent / "elsewhere").exists()
    assert kind == "link" or path.read_text() == "another key"


def test_a_file_that_cannot_be_written_whole_is_gone(
    config_file: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    path = config_file.parent / "next.key"
    code, _, err = run("key", "rotate", "--config", config_file, "--file", path)
    assert (code, err) == (1, "gateway: No space left on device.\n")
    assert not path.exists()


def test_the_configuration_is_left_alone(config_file: Path, run: Run) -> None:
    before = config_file.read_bytes()
    rotate(run, config_file)
    assert config_file.read_bytes() == before


def test_the_waits_are_those_of_the_configuration(config_file: Path, run: Run) -> None:
    config_file.write_text(
        config_file.read_text().replace("tokens:\n", "tokens:\n  refresh_lifetime: 14d\n  leeway: 10s\n")
    )
    printed, _ = rotate(run, config_file, "--algorithm", "ES256")
    assert "Then wait 5m: so long may others keep the public keys" in printed
    assert "Then wait 1209610s: so long lives the last token" in printed


def test_a_secret_is_published_nowhere_so_nobody_waits_for_it(config_file: Path, run: Run) -> None:
    printed, _ = rotate(run, config_file)
    assert "public keys" not in printed
    assert "Then wait 1d: " in printed


def test_a_second_rotation_keeps_what_is_there(config_file: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLD_KEY", generate_key("HS256"))
    config_file.write_text(
        config_file.read_text().replace(
            "tokens:\n", "tokens:\n  kid: first\n  further_keys: [{kid: zero, signing_key: {env: OLD_KEY}}]\n"
        )
    )
    printed, _ = rotate(run, config_file)
    assert printed.count("further_keys:  # the others stay") == 2
    assert '- kid: "first"\n           algorithm: HS256\n           signing_key: {env: GATEWAY_SIGNING_KEY}' in printed


@pytest.mark.parametrize("kid", ["first", "zero"])
def test_s32_a_kid_that_is_taken_makes_no_file(
    config_file: Path, run: Run, monkeypatch: pytest.MonkeyPatch, kid: str
) -> None:
    monkeypatch.setenv("OLD_KEY", generate_key("HS256"))
    config_file.write_text(
        config_file.read_text().replace(
            "tokens:\n", "tokens:\n  kid: first\n  further_keys: [{kid: zero, signing_key: {env: OLD_KEY}}]\n"
        )
    )
    code, out, err = run("key", "rotate", "--config", config_file, "--kid", kid)
    assert (code, out) == (1, "")
    assert f"The kid '{kid}' is that of another key" in err
    assert [path.name for path in config_file.parent.iterdir()] == ["gateway.yaml"]


@pytest.mark.parametrize("argv", [["--kid", "a b"], ["--kid", "../a"], ["--algorithm", "none"]])
def test_what_cannot_be_is_refused_before_anything_is_written(config_file: Path, run: Run, argv: list[str]) -> None:
    code, out, err = run("key", "rotate", "--config", config_file, *argv)
    assert code != 0
    assert out == ""
    assert err
    assert [path.name for path in config_file.parent.iterdir()] == ["gateway.yaml"]


@pytest.mark.parametrize("kid", ["no", "2027", "1e3", "2027-01-01", "a#b", "*a"])
def test_a_kid_that_yaml_would_read_otherwise_is_quoted(config_file: Path, run: Run, kid: str) -> None:
    printed, _ = rotate(run, config_file, "--kid", kid, "--file", config_file.parent / "next.key")
    first = fragments(printed)[0]
    assert first["tokens"]["further_keys"][0]["kid"] == kid  # type: ignore[index]


def test_a_file_elsewhere_is_named_whole(config_file: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("keys") / "next.pem"
    code, out, _ = run("key", "rotate", "--config", config_file, "--algorithm", "EdDSA", "--file", elsewhere)
    assert code == 0
    assert f"signing_key: {{file: {elsewhere}}}" in out
    assert elsewhere.stat().st_mode & 0o777 == 0o600
