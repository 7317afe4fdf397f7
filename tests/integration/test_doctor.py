"""`gateway doctor` against the real gateway, which is sound, and against deployments that are not."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.auth.keys import generate_key
from gateway.commands.doctor_checks import CHECKS, Result
from gateway.commands.doctor_deployment import Deployment, Tokens
from gateway.commands.doctor_examination import Examination
from gateway.commands.doctor_wire import parse_place
from tests.conformance.forging import NOW, token
from tests.integration import processes
from tests.integration.broken_gateway import GUARDED, access, broken_gateway
from tests.integration.certificates import Authority
from tests.integration.data_plane import ENVIRONMENT, Plane, running_plane
from tests.integration.other_proxies import deployed, find
from tests.integration.processes import Server
from tests.integration.test_listener import installed

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


def examine(
    *arguments: str | Path, stdin: str = "", environment: Mapping[str, str] = ENVIRONMENT
) -> tuple[int, dict[str, tuple[str, str]], str]:
    """Exit code, check → (result, detail), standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "doctor", *arguments, "--json"],
        input=stdin, capture_output=True, text=True, env={**os.environ, **environment},
    )  # fmt: skip
    verdicts = json.loads(done.stdout)["verdicts"] if done.stdout else []
    told = [verdict["check"] for verdict in verdicts]
    assert told == [check for check in CHECKS if check in told]
    return done.returncode, {it["check"]: (it["result"], it["detail"]) for it in verdicts}, done.stderr


def findings(verdicts: dict[str, tuple[str, str]]) -> set[str]:
    return {check for check, (result, _) in verdicts.items() if result == "finding"}


def test_nothing_is_found_at_the_gateway(plane: Plane) -> None:
    unused = f"http://127.0.0.1:{processes.free_port()}/"
    tokens = (token("access"), token("access", exp=NOW - 1), token("refresh"))
    code, verdicts, err = examine(
        f"{plane.gateway.url}/required/here", "--config", plane.gateway.log.with_name("gateway.yaml"),
        "--token", "-", "--echo-path", "/echo/", "--backend", unused, stdin=b"\n".join(tokens).decode(),
    )  # fmt: skip
    assert (code, findings(verdicts), err) == (0, set(), ""), [*verdicts.items()]
    assert {check for check, (result, _) in verdicts.items() if result == "skipped"} == {
        "public keys as secrets", "admin port", "TLS", "certificate",
    }  # fmt: skip
    assert verdicts["key of the running gateway"] == ("ok", "is that of the file")
    assert verdicts["tokens out of place"][1].startswith("13 attempts")
    assert verdicts["unfit tokens"][1].startswith("6 attempts")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_s30_nothing_is_found_where_keys_are_published(tmp_path: Path, algorithm: str) -> None:
    tokens = {"algorithm": algorithm, "kid": "one", "further_keys": [{"signing_key": {"env": "GATEWAY_SIGNING_KEY"}}]}
    environment = {**ENVIRONMENT, "KEY": generate_key(algorithm)}
    with running_plane(tmp_path, environment=environment, tokens={"signing_key": {"env": "KEY"}, **tokens}) as plane:
        code, verdicts, err = examine(
            f"{plane.gateway.url}/required/here", "--config", tmp_path / "gateway.yaml", environment=environment
        )
    assert (code, findings(verdicts), err) == (0, set(), ""), [*verdicts.items()]
    assert verdicts["public keys as secrets"][0] == "ok"
    assert verdicts["unfit tokens"] == ("ok", "2 attempts, none let through")


def test_the_backend_around_the_gateway_is_found(plane: Plane, backend: Server) -> None:
    code, verdicts, _ = examine(f"{plane.gateway.url}/required/here", "--backend", backend.url)
    assert (code, findings(verdicts)) == (1, {"backend around the gateway"}), verdicts


def test_a_finding_that_is_known_is_told_and_no_failure(plane: Plane, backend: Server) -> None:
    check = "backend around the gateway"
    code, verdicts, _ = examine(f"{plane.gateway.url}/required/here", "--backend", backend.url, "--accept", check)
    assert (code, verdicts[check][0]) == (0, "accepted"), verdicts
    code, verdicts, _ = examine(f"{plane.gateway.url}/required/here", "--backend", backend.url, "--accept", "TLS")
    assert (code, verdicts[check][0]) == (1, "finding"), verdicts


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


FLAWS = {
    "none": ("forged tokens", "alg None unsigned (200), alg NONE unsigned (200), alg nOnE unsigned (200)"),
    "unsigned": ("forged tokens", "alg none unsigned (200)"),
    "signature": ("forged tokens", "ES256 of zeros (200)"),
    "weak key": ("forged tokens", "HS384 with the key 'changeme' (200)"),
    "kid file": ("forged tokens", "kid '/dev/null' (200)"),
    "kid query": ("forged tokens", "UNION SELECT"),
    "jwk": ("forged tokens", "a jwk of its own (200)"),
    "confusion": ("public keys as secrets", "HS512 with a public key as PEM (200)"),
    "expired": ("unfit tokens", "expired (200)"),
    "refresh": ("unfit tokens", "a refresh token (200)"),
    "query": ("tokens out of place", "?access_token= (200)"),
    "twice": ("tokens out of place", "twice (200)"),
    "identity": ("identity fields", "X_User_Id (200)"),
    "misleading": ("misleading fields", "X-Original-URL: / (200)"),
    "health checks": ("misleading fields", "User-Agent kube-probe"),
    "path": ("path tricks", "// (200), /./ (200), /../ (200)"),
    "methods": ("other methods", "TRACE (200)"),
    "upgrade": ("upgrades", "WebSocket (101), h2c (101)"),
    "smuggling": ("request smuggling", "Content-Length and Transfer-Encoding (401)"),
    "forwarded host": ("forwarded hosts", f"X-Forwarded-Host at {GUARDED}"),
    "echo": ("spoofed identity at the backend", "X.User.Id"),
    "metrics": ("admin endpoints", "/metrics (200)"),
    "clock": ("clock", " s behind this machine's"),
    "server": ("server field", '"gateway/1.2.3"'),
    "cross-origin": ("cross-origin", "any web site"),
    "log-in": ("log-in", "answered 200 to a user who cannot exist"),
    "stored": ("log-in", "without Cache-Control: no-store"),
}
EXPECTED_BESIDE = {
    # Whoever decides by the path as it stands shows everything else to everybody.
    "path": {"other methods", "forwarded hosts", "admin endpoints"},
    "misleading": {
        "path tricks",
        "other methods",
        "forwarded hosts",
        "spoofed identity at the backend",
        "admin endpoints",
    },
    "echo": {"path tricks", "other methods", "forwarded hosts", "admin endpoints"},
    "unsigned": {"unfit tokens"},
}


@pytest.mark.parametrize("flaw", FLAWS)
async def test_one_flaw(flaw: str) -> None:
    tokens = Tokens(access=access(), expired=access(exp=time.time() - 60), refresh=access(token_type="refresh"))
    deployment = Deployment(jwks_path="/jwks.json", tokens=tokens)
    async with broken_gateway(flaw) as url:
        echo_path = "/echo/" if flaw in ("echo", "misleading") else None
        verdicts = await Examination(parse_place(url + GUARDED, None), deployment, echo_path=echo_path).run()
    check, detail = FLAWS[flaw]
    found = {verdict.check: verdict.detail for verdict in verdicts if verdict.result is Result.FINDING}
    assert detail in found.get(check, ""), verdicts
    assert found.keys() - {check} <= EXPECTED_BESIDE.get(flaw, set()), found


async def test_no_flaw() -> None:
    """The broken gateway finds nothing where nothing is broken: what `test_one_flaw` sees is the flaw."""
    async with broken_gateway("") as url:
        verdicts = await Examination(parse_place(url + GUARDED, None), Deployment(), echo_path=None).run()
    assert [verdict for verdict in verdicts if verdict.result is Result.FINDING] == []


def changed_file(plane: Plane, **sections: Any) -> Path:
    """The configuration of the running gateway with other sections, which it does not have."""
    values = yaml.safe_load(plane.gateway.log.with_name("gateway.yaml").read_text())
    folder = plane.gateway.log.parent / "changed"
    folder.mkdir(exist_ok=True)
    return processes.write_gateway_config(folder, {**values, **sections})


def test_the_running_gateway_has_another_key(plane: Plane) -> None:
    key = {"KEY": generate_key("HS256"), **ENVIRONMENT}
    file = changed_file(plane, tokens={"signing_key": {"env": "KEY"}})
    code, verdicts, _ = examine(f"{plane.gateway.url}/required/here", "--config", file, environment=key)
    assert (code, findings(verdicts)) == (1, {"key of the running gateway"}), verdicts


def test_a_weak_key_in_the_file(plane: Plane) -> None:
    file = changed_file(plane, tokens={"signing_key": {"env": "KEY"}})
    code, verdicts, _ = examine(
        f"{plane.gateway.url}/required/here", "--config", file, environment={"KEY": "please-change-this-secret-key"}
    )
    assert (code, findings(verdicts)) == (1, {"keys of the file"}), verdicts
    assert "tokens.signing_key: The signing key is a well-known" in verdicts["keys of the file"][1]


def test_keys_that_cannot_be_read_here(plane: Plane) -> None:
    file = changed_file(plane, tokens={"signing_key": {"env": "NOWHERE"}})
    code, verdicts, _ = examine(f"{plane.gateway.url}/required/here", "--config", file)
    assert (code, findings(verdicts), verdicts["keys of the file"][0]) == (0, set(), "skipped"), verdicts


def test_a_route_of_the_file_that_is_open(plane: Plane) -> None:
    file = changed_file(
        plane, routes=[{"path": "/required", "upstream": "main"}, {"path": "/public", "upstream": "main"}]
    )
    code, verdicts, _ = examine(f"{plane.gateway.url}/required/here", "--config", file)
    assert (code, findings(verdicts)) == (1, {"routes of the file"}), verdicts
    assert "let through: /public (200)" in verdicts["routes of the file"][1]


def test_admin_port_and_backend_of_the_file_that_answer_from_elsewhere(plane: Plane, backend: Server) -> None:
    """0.0.0.0 is this machine by a name that the doctor does not take for it."""
    admin = {"port": backend.port}  # whatever answers there
    upstreams = {name: {"servers": [f"http://0.0.0.0:{backend.port}"]} for name in ("main", "echo")}
    file = changed_file(plane, admin=admin, upstreams=upstreams)
    code, verdicts, _ = examine(f"http://0.0.0.0:{plane.port}/required/here", "--config", file)
    assert (code, findings(verdicts)) == (1, {"admin port", "backend around the gateway", "TLS"}), verdicts


def test_a_configuration_that_is_refused(plane: Plane) -> None:
    code, verdicts, err = examine(f"{plane.gateway.url}/", "--config", changed_file(plane, routes=[{"path": "x"}]))
    assert (code, verdicts) == (78, {})
    assert "routes[0]" in err


NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
    access_log off; server_tokens off;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{
        listen 127.0.0.1:{port};
        merge_slashes {merge_slashes};
        location /required/ {{ proxy_pass http://127.0.0.1:{gateway}; }}
        location /api/ {{ proxy_pass http://127.0.0.1:{gateway}; }}
        {rest}
    }}
}}
"""


@contextlib.contextmanager
def nginx(plane: Plane, folder: Path, **settings: str) -> Iterator[str]:
    port = processes.free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(port=port, gateway=plane.port, folder=folder, **settings))
    with processes.running(
        "nginx", [installed("nginx"), "-p", str(folder), "-c", str(config)], port=port, folder=folder
    ):
        yield f"http://127.0.0.1:{port}"


def test_nginx_that_passes_other_spellings_around_the_gateway(plane: Plane, backend: Server, tmp_path: Path) -> None:
    """Paths that are no location of their own go to the backend, which takes `//required` for `/required`."""
    with nginx(plane, tmp_path, merge_slashes="off", rest=f"location / {{ proxy_pass {backend.url}; }}") as url:
        code, verdicts, _ = examine(f"{url}/required/here")
    assert code == 1
    assert "// (200)" in verdicts["path tricks"][1], verdicts


def test_nginx_that_serves_all_other_paths_itself_is_sound(plane: Plane, tmp_path: Path) -> None:
    """As in front of a single page: whatever path nobody has gets the page, which guards nothing."""
    with nginx(plane, tmp_path, merge_slashes="off", rest="location / { return 200 page; }") as url:
        code, verdicts, _ = examine(f"{url}/required/here")
    assert (code, findings(verdicts)) == (0, set()), verdicts


# Of Go's own server: RFC 9112 §6.1 wants the connection closed behind both lengths, also where one of them is folded.
GO = "answered, and the connection kept: Content-Length and Transfer-Encoding (401), a folded field (401): "
IN_FRONT = {
    "nginx": {"server field": 'tells versions: "nginx/'},
    "caddy": {"request smuggling": GO},
    "traefik": {"request smuggling": GO},
}


@pytest.mark.parametrize("kind", IN_FRONT)
def test_other_proxies_that_ask_the_gateway(kind: str, tmp_path: Path) -> None:
    """With the files of `deploy/forward-auth`: what is found is of the proxy's own making."""
    if find(kind) is None:
        pytest.skip(f"no {kind} here")
    with deployed(kind, tmp_path) as deployment:
        _, verdicts, err = examine(f"http://127.0.0.1:{deployment.port}/x", "--config", deployment.config)
    found = {check: detail for check, (result, detail) in verdicts.items() if result == "finding"}
    assert (found.keys(), err) == (IN_FRONT[kind].keys(), ""), verdicts
    for check, detail in IN_FRONT[kind].items():
        assert found[check].startswith(detail)
    assert verdicts["key of the running gateway"][0] == "ok"


ASKING = """
        location / {{
            auth_request /decision;
            auth_request_set $user_id $upstream_http_x_user_id;
            proxy_pass {backend}; {told}
        }}
        location = /decision {{
            internal;
            proxy_pass http://127.0.0.1:{gateway}/forward-auth;
            proxy_pass_request_body off; proxy_set_header Content-Length "";
            proxy_set_header X-Forwarded-Method $request_method; proxy_set_header X-Forwarded-Uri $request_uri;
        }}
"""


TOLD = """
            proxy_set_header X-User-Id $user_id; proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Server ""; proxy_set_header X-Original-Host ""; proxy_set_header Forwarded "";
"""


@pytest.mark.parametrize(
    ("told", "found"),
    [(TOLD, set()), ("", {"spoofed identity at the backend", "forwarded hosts"})],
    ids=["all", "none"],
)
def test_nginx_that_asks_and_forgets_to_say_what_it_was_told(
    backend: Server, tmp_path: Path, told: str, found: set[str]
) -> None:
    listen, asking = ({name: ["127.0.0.1/32"]} for name in ("trusted_proxies", "proxies"))
    routes = [{"path": "/echo", "upstream": "main", "access": "public"}]
    with running_plane(tmp_path, routes=routes, listen=listen, forward_auth=asking) as plane:
        rest = ASKING.format(gateway=plane.port, backend=backend.url, told=told)
        with nginx(plane, tmp_path, merge_slashes="on", rest=rest) as url:
            _, verdicts, _ = examine(f"{url}/keep/here", "--echo-path", "/echo/")
    assert findings(verdicts) == found, verdicts
