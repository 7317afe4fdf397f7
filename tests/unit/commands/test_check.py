import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.auth.keys import build_key, generate_key
from gateway.types import Secret
from tests.certificates import write_pair
from tests.unit.auth.test_keys import P256, public_pem
from tests.unit.commands.conftest import SIGNING_KEY

Run = Callable[..., tuple[int, str, str]]


def test_one_line_a_route_says_who_may_pass(config_file: Path, run: Run) -> None:
    code, out, err = run("check", "--config", config_file)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "/api/token/\tPOST\tpublic\tthe gateway itself (log-in)",
        "/api/token/refresh/\tPOST\tpublic\tthe gateway itself (refresh)",
        "/api/token/verify/\tPOST\tpublic\tthe gateway itself (verify)",
        "/api/token/blacklist/\tPOST\tpublic\tthe gateway itself (log-out)",
        "/api/token/sessions/\tGET,DELETE\trequired\tthe gateway itself (one's own sessions)",
        "/\tall\tany user\tapp http://127.0.0.1:9000",
        "/public\tall\tpublic\tfiles http://127.0.0.1:9001",
        "/feed\tGET,HEAD\toptional\tapp http://127.0.0.1:9000",
        "/staff\tall\troles editor,staff (user not looked up)\tapp http://127.0.0.1:9000",
        "(no kid)\tHS256\tsigns and checks\t{env: GATEWAY_SIGNING_KEY}",
        f"users\tSQLite file {config_file.parent}/users.sqlite3",
        f"state\tSQLite file {config_file.parent}/users.sqlite3",
    ]


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ("{namespace: blue}", "PostgreSQL at db:5433/app, schema blue"),
        ("{url: {env: STATE_URL}}", "Redis at cache:6379, keys {gateway}:…"),
    ],
)
def test_s88_it_says_where_users_and_state_live_and_no_password(
    config_file: Path, run: Run, monkeypatch: pytest.MonkeyPatch, state: str, place: str
) -> None:
    monkeypatch.setenv("USERS_URL", "postgresql://gateway:s3cret@db:5433/app?sslmode=verify-full")
    monkeypatch.setenv("STATE_URL", "redis://:s3cret@cache")
    text, line = config_file.read_text(), f"users: {{sqlite: {json.dumps(str(config_file.parent / 'users.sqlite3'))}}}"
    assert line in text
    config_file.write_text(text.replace(line, f"users: {{url: {{env: USERS_URL}}}}\nstate: {state}"))
    code, out, err = run("check", "--config", config_file)
    assert (code, err) == (0, "")
    schema = "blue" if "blue" in state else "gateway"
    assert out.splitlines()[-2:] == [f"users\tPostgreSQL at db:5433/app, schema {schema}", f"state\t{place}"]
    assert "s3cret" not in out


def test_one_line_a_key_says_what_it_is_for(config_file: Path, run: Run) -> None:
    private = build_key("ES256", Secret(generate_key("ES256")), None).signing_key
    (config_file.parent / "old.key").touch(0o600)
    (config_file.parent / "old.key").write_text(generate_key("HS512"))
    (config_file.parent / "old.pem").write_text(public_pem(private))
    block = "\n".join(f"        {line}" for line in public_pem(P256).splitlines())
    config_file.write_text(
        config_file.read_text().replace(
            "tokens:\n",
            "tokens:\n  kid: new\n  further_keys:\n"
            "    - {kid: a, algorithm: HS512, signing_key: {file: old.key}}\n"
            "    - {algorithm: ES256, verifying_key: {file: old.pem}}\n"
            f"    - kid: c\n      algorithm: ES256\n      verifying_key: |\n{block}\n",
        )
    )
    code, out, err = run("check", "--config", config_file)
    assert (code, err) == (0, "")
    assert "/.well-known/jwks.json\tGET,HEAD\tpublic\tthe gateway itself (public keys)" in out.splitlines()
    assert out.splitlines()[-6:-2] == [
        "new\tHS256\tsigns and checks\t{env: GATEWAY_SIGNING_KEY}",
        "a\tHS512\tchecks\t{file: old.key}",
        "(no kid)\tES256\tchecks\t{file: old.pem}",
        "c\tES256\tchecks\tin this file",
    ]
    assert "PUBLIC" not in out


def test_one_line_a_foreign_issuer_says_whose_its_users_are(config_file: Path, run: Run) -> None:
    entry = "audience: [a], jwks_url: 'https://i/keys'"
    config_file.write_text(
        config_file.read_text()
        + f"foreign_issuers:\n  corp: {{issuer: x, {entry}}}\n  own: {{issuer: y, {entry}, users: local, algorithms: [EdDSA]}}\n"
    )
    assert run("check", "--config", config_file)[1].splitlines()[-4:-2] == [
        "x\tRS256,ES256\tcorp:ID\thttps://i/keys",
        "y\tEdDSA\tlocal\thttps://i/keys",
    ]


def test_it_says_which_proxies_may_ask(config_file: Path, run: Run) -> None:
    text = config_file.read_text()
    config_file.write_text(
        f"{text}listen: {{trusted_proxies: [10.0.0.0/8]}}\nforward_auth: {{proxies: [10.0.0.7, 10.1.0.0/24]}}\n"
    )
    row = "/forward-auth\tall\tproxies 10.0.0.7,10.1.0.0/24\tthe gateway itself (questions of proxies)\n"
    assert row in run("check", "--config", config_file)[1]


def test_an_optional_route_with_roles_asks_for_them(config_file: Path, run: Run) -> None:
    config_file.write_text(config_file.read_text().replace("access: optional,", "access: optional, roles: [staff],"))
    assert "/feed\tGET,HEAD\troles staff\t" in run("check", "--config", config_file)[1]


def test_a_route_with_another_path_for_the_backend_shows_it(config_file: Path, run: Run) -> None:
    config_file.write_text(config_file.read_text().replace("access: optional,", "upstream_path: /v2,"))
    assert "/feed\tGET,HEAD\tany user\tapp http://127.0.0.1:9000 at /v2" in run("check", "--config", config_file)[1]


def test_a_terminal_gets_a_header(config_file: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run("check", "--config", config_file)[1].split()[:5] == ["PATH", "METHODS", "WHO", "MAY", "PASS"]


def test_nothing_is_made_or_started(config_file: Path, run: Run) -> None:
    run("check", "--config", config_file)
    assert [path.name for path in config_file.parent.iterdir()] == ["gateway.yaml"]


def test_s31_a_short_key_is_found_with_file_and_line(
    config_file: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_SIGNING_KEY", "bGwP8s4n-Qy7")
    code, out, err = run("check", "--config", config_file)
    assert (code, out) == (78, "")
    assert err.startswith(f"{config_file}:2: tokens.signing_key: ")


@pytest.mark.parametrize("key", [SIGNING_KEY, "bGwP8s4n-Qy7"])
def test_s88_no_secret_is_printed(config_file: Path, run: Run, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("GATEWAY_SIGNING_KEY", key)
    _, out, err = run("check", "--config", config_file)
    assert key not in out + err


@pytest.mark.parametrize(
    ("key", "problem"), [("gateway.key", None), ("other.key", "is not the key of"), ("none.key", "does not exist")]
)
def test_a_certificate_is_looked_at_beside_the_file(config_file: Path, run: Run, key: str, problem: str | None) -> None:
    for name in ("gateway", "other"):
        write_pair(config_file.parent, name)
    config_file.write_text(config_file.read_text() + f"listen:\n  tls:\n    certificate: gateway.crt\n    key: {key}\n")
    code, _, err = run("check", "--config", config_file)
    assert code == (0 if problem is None else 78)
    if problem is not None:
        assert err.startswith(f"{config_file}:15: listen.tls.key: ")
        assert problem in err
