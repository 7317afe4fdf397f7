"""`gateway diff`: lines, JSON, exit codes, and secrets that are not here."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.commands.conftest import SIGNING_KEY

Run = Callable[..., tuple[int, str, str]]
OPEN = "  - {path: /staff/open, upstream: app, access: public}\n"


@pytest.fixture
def new_file(config_file: Path) -> Path:
    """The same, in another file."""
    new = config_file.with_name("new.yaml")
    new.write_text(config_file.read_text())
    return new


def test_the_same_is_exit_code_0(config_file: Path, new_file: Path, run: Run) -> None:
    assert run("diff", config_file, new_file) == (0, "", "")


def test_one_line_a_difference_and_exit_code_1(config_file: Path, new_file: Path, run: Run) -> None:
    new_file.write_text(new_file.read_text().replace("users: {", OPEN + "users: {"))
    code, out, err = run("diff", config_file, new_file)
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        "WIDER\t/staff/open\tusers with one of the roles editor, staff → anybody (a new route takes it from /staff)",
        "CHANGED\t/staff/open\tthe backend is no longer told who the user is",
        "NARROWER\t/staff/open\tno longer: users who are gone or disabled pass until their token ends",
    ]


def test_the_same_as_json(config_file: Path, new_file: Path, run: Run) -> None:
    new_file.write_text(new_file.read_text().replace("access: public", "access: required"))
    code, out, _ = run("diff", config_file, new_file, "--json")
    assert code == 1
    assert json.loads(out) == {
        "differences": [
            {"effect": "changed", "where": "/public", "what": "the backend is now told who the user is"},
            {"effect": "narrower", "where": "/public", "what": "anybody → any user"},
        ]
    }


def test_problems_of_both_are_shown_and_exit_code_78(config_file: Path, new_file: Path, run: Run) -> None:
    for path in (config_file, new_file):
        path.write_text(path.read_text() + "nonsense: 1\n")
    code, out, err = run("diff", config_file, new_file)
    assert (code, out) == (78, "")
    assert [line.partition(":")[0] for line in err.splitlines()] == [str(config_file), str(new_file)]


def test_s61_secrets_are_compared_and_never_shown(config_file: Path, new_file: Path, run: Run) -> None:
    secret = config_file.with_name("other.key")
    secret.touch(0o600)
    secret.write_text(SIGNING_KEY)
    text = new_file.read_text().replace("{env: GATEWAY_SIGNING_KEY}", "{file: other.key}")
    new_file.write_text(text)
    assert run("diff", config_file, new_file) == (0, "", ""), "the same key from another place"
    secret.write_text(SIGNING_KEY + "x")
    code, out, err = run("diff", config_file, new_file)
    assert (code, err) == (1, "")
    assert out == (
        "CHANGED\ttokens\tthe HS256 key without a kid is another one: what that of before has signed is refused\n"
    )


def test_secrets_that_are_not_here_are_compared_by_name(
    config_file: Path, new_file: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a pull request's checks."""
    monkeypatch.delenv("GATEWAY_SIGNING_KEY")
    code, out, err = run("diff", config_file, new_file)
    assert (code, out) == (0, "")
    assert err == "gateway: Not all secrets can be read here, so they were compared by their names.\n"
    new_file.write_text(new_file.read_text().replace("GATEWAY_SIGNING_KEY", "OTHER"))
    code, out, _ = run("diff", config_file, new_file)
    assert (code, "is another one" in out) == (1, True)
