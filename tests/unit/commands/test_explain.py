"""`gateway explain`: arguments, exit codes, words and JSON. What it says is held against a real gateway elsewhere."""

import json
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest

from tests.unit.commands.conftest import SIGNING_KEY
from tests.unit.commands.test_token import claims

Run = Callable[..., tuple[int, str, str]]
GiveStdin = Callable[[bytes], None]


def sign(**changes: object) -> str:
    return jwt.encode(claims(**changes), SIGNING_KEY, algorithm="HS256")


@pytest.fixture
def explain(run: Run, config_file: Path) -> Run:
    return lambda *arguments: run("explain", "--config", config_file, *arguments)


def test_a_request_that_passes_is_exit_code_0_and_its_head(explain: Run) -> None:
    code, out, err = explain("-H", "X-User-Id: 7", "-H", "Accept: a/b", "--client", "192.0.2.1", "GET", "/public/x?a=1")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "Target",
        "  path /public/x, query ?a=1",
        "Routes",
        "  /api/token/sessions         does not match: the path does not begin with it",
        "  /public                     matches, the longest that does: it decides",
        "  /staff                      does not match: the path does not begin with it",
        "  /feed                       does not match: the path does not begin with it",
        "  /                           matches, but /public is longer",
        "  (the gateway's own)         10 single paths, none of which this is",
        "Token",
        "  none                        the request is anonymous",
        "Verdict",
        "  route /public: access public, all methods",
        "  would be forwarded to files, http://127.0.0.1:9001",
        "What the backend gets",
        "  GET /public/x?a=1 HTTP/1.1",
        "  Host: localhost",
        "  Accept: a/b",
        "  X-Forwarded-For: 192.0.2.1",
        "  X-Forwarded-Proto: http",
        "  X-Request-Id: <request-id>",
        "  X-Forwarded-Host: localhost",
    ]


def test_a_request_that_is_refused_is_exit_code_1_and_what_its_client_sees(explain: Run) -> None:
    code, out, _ = explain("POST", "/feed")
    assert code == 1
    assert "  route /feed: access optional, methods GET, HEAD\n" in out
    assert "  would be refused: 405, reason method_not_allowed\n" in out
    assert "What the backend gets" not in out


def test_s61_the_token_comes_from_standard_input_and_is_never_shown(
    explain: Run, give_stdin: GiveStdin, config_file: Path
) -> None:
    config_file.write_text(
        config_file.read_text().replace("stateless: true", "stateless: true, keep_authorization: true")
    )
    token = sign(roles=["staff"])
    give_stdin(token.encode() + b"\n")
    code, out, _ = explain("--token", "-", "GET", "/staff")
    assert code == 0
    assert f"Authorization: Bearer {token[:6]}...({len(token)} bytes)\n" in out
    assert not [part for part in token.split(".")[1:] if part in out]


def test_s61_a_token_in_the_command_line_is_wrong_usage(explain: Run) -> None:
    code, out, err = explain("-H", "authorization: Bearer a.b.c", "GET", "/")
    assert (code, out) == (2, "")
    assert "--token" in err
    assert "a.b.c" not in err


@pytest.mark.parametrize(
    ("wrong", "steps"),
    [
        ({"exp": 1}, ["good", "refused: Token is expired"]),
        ({"token_type": "refresh"}, ["good", "good", "not looked up", "refused: Token has wrong type"]),
        ({"user_id": None}, ["good", "good", "not looked up", "good", "refused: Token contained no recognizable user"]),
        ({}, ["good", "good", "not looked up", "good", "good", "not looked up"]),
    ],
    ids=str,
)
def test_the_token_step_by_step(
    wrong: dict[str, object], steps: list[str], explain: Run, give_stdin: GiveStdin
) -> None:
    give_stdin(sign(**wrong).encode())
    code, out, _ = explain("--offline", "--json", "--token", "-", "GET", "/")
    results = [step["result"] for step in json.loads(out)["token"]]
    assert len(results) == len(steps)
    assert all(result.startswith(step) for result, step in zip(results, steps, strict=True)), results
    assert code == (1 if wrong else 0)


def test_a_token_that_the_route_does_not_ask_for_is_not_read(explain: Run, give_stdin: GiveStdin) -> None:
    give_stdin(b"rubbish")
    code, out, _ = explain("--token", "-", "GET", "/public")
    assert code == 0
    assert "nobody is asked on a public route" in out


def test_a_good_token_without_the_role_is_told_apart_from_a_bad_one(explain: Run, give_stdin: GiveStdin) -> None:
    give_stdin(sign(roles=["guest"]).encode())
    code, out, _ = explain("--json", "--token", "-", "GET", "/staff")
    told = json.loads(out)
    assert code == 1
    assert (told["verdict"]["reason"], told["verdict"]["user_id"]) == ("permission_denied", "1")
    assert [step["result"] for step in told["token"]][-1] == "not asked for: the route is stateless"


def test_users_are_looked_up_and_no_file_is_made(
    explain: Run, run: Run, give_stdin: GiveStdin, config_file: Path
) -> None:
    give_stdin(sign().encode())
    _, out, _ = explain("--token", "-", "GET", "/")
    assert "users.sqlite3 does not exist yet." in out
    assert "unless what was not looked up speaks against it" in out
    assert [path.name for path in config_file.parent.iterdir()] == ["gateway.yaml"]
    give_stdin(b"a long enough password\n")
    assert run("user", "add", "alice", "--config", config_file)[0] == 0
    give_stdin(sign().encode())
    code, out, _ = explain("--token", "-", "GET", "/")
    assert (code, "looked up: active" in out, "unless" in out) == (0, True, False)
    run("user", "disable", "alice", "--config", config_file)
    give_stdin(sign().encode())
    code, out, _ = explain("--token", "-", "GET", "/")
    assert (code, "refused: User is inactive" in out) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("GET",),
        ("GET", "/a b"),
        ("GET", "/a\r\nX: y"),
        ("-H", "no field", "GET", "/"),
        ("-H", "A: b\r\nC: d", "GET", "/"),
        ("--client", "nobody", "GET", "/"),
    ],
    ids=repr,
)
def test_wrong_usage_is_exit_code_2(arguments: tuple[str, ...], explain: Run) -> None:
    with pytest.raises(SystemExit, match="2"):
        explain(*arguments)


@pytest.mark.parametrize("content", [b"", b"a\nb"], ids=repr)
def test_what_is_no_token_is_said(content: bytes, explain: Run, give_stdin: GiveStdin) -> None:
    give_stdin(content)
    code, out, err = explain("--token", "-", "GET", "/")
    assert (code, out) == (2, "")
    assert "--token" in err


def test_a_refused_configuration_is_exit_code_78(explain: Run, config_file: Path) -> None:
    config_file.write_text(config_file.read_text() + "nonsense: 1\n")
    assert explain("GET", "/")[0] == 78
