"""Keys change while clients go on: reloads for the steps of `gateway key rotate`, and others that read our JWK set."""

import contextlib
import json
import re
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml

from gateway.auth.keys import generate_key
from tests.conformance.forging import SIGNING_KEY, claims, segment, sign
from tests.conformance.users import USERS
from tests.conformance.wire import Reply, exchange, post_json, request
from tests.integration import processes
from tests.integration.data_plane import ENVIRONMENT, settings
from tests.integration.processes import Server
from tests.integration.scripted_upstream import ScriptedUpstream

JWKS_PATH = b"/.well-known/jwks.json"
ORIGIN = "https://app.example.org"


@contextlib.contextmanager
def running(
    folder: Path, tokens: Mapping[str, Any], upstream: str, *, port: int = 0, **sections: Any
) -> Iterator[Server]:
    """The gateway with these settings of `tokens`, in front of `upstream`; its users stay in the folder."""
    port = port or processes.free_port()
    values = settings(port=port, upstreams={"main": {"servers": [upstream]}}, folder=folder)
    values |= {"tokens": {"signing_key": {"env": "GATEWAY_SIGNING_KEY"}, **tokens}, **sections}
    values["routes"] = [{"path": "/", "upstream": "main", "keep_authorization": True}]
    config = processes.write_gateway_config(folder, values)
    if not (folder / "users.sqlite3").exists():
        arguments = ["user", "add", "alice", "--config", str(config)]
        processes.run_gateway(arguments, environment=ENVIRONMENT, stdin="alice-pass-1\n")
    with processes.gateway(config, port=port, environment=ENVIRONMENT) as gateway:
        yield gateway
        assert "Traceback" not in gateway.output(), gateway.output()


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream().running() as scripted:
        yield scripted


def log_in(gateway: Server) -> dict[str, str]:
    answer = exchange(gateway.port, post_json(b"/api/token/", {"username": "alice", "password": "alice-pass-1"}))
    assert answer.status == 200, answer
    tokens: dict[str, str] = answer.json()
    return tokens


def view(gateway: Server, access: str) -> int:
    return exchange(gateway.port, request(b"GET", b"/x", b"Authorization: Bearer " + access.encode())).status


def refresh(gateway: Server, token: str) -> Reply:
    return exchange(gateway.port, post_json(b"/api/token/refresh/", {"refresh": token}))


def kid_of(token: str) -> str | None:
    kid: str | None = jwt.get_unverified_header(token).get("kid")
    return kid


def key_file(folder: Path, name: str, algorithm: str) -> dict[str, str]:
    (folder / name).touch(0o600)
    (folder / name).write_text(generate_key(algorithm))
    return {"file": name}


@pytest.mark.parametrize("algorithm", ["HS256", "ES256"])
def test_s45_no_good_token_is_refused_at_any_step(tmp_path: Path, upstream: ScriptedUpstream, algorithm: str) -> None:
    """The steps are taken from what the command prints."""
    with running(tmp_path, {}, upstream.url) as gateway:
        held = [log_in(gateway)]
        assert kid_of(held[0]["access"]) is None

        config = tmp_path / "gateway.yaml"
        arguments = ["key", "rotate", "--config", str(config), "--algorithm", algorithm, "--kid", "k-2"]
        printed = processes.run_gateway(arguments, environment=ENVIRONMENT)
        pieces = re.findall(r"(?:^ {5}.*\n)+", printed, re.MULTILINE)
        made_known, signing = (yaml.safe_load(piece)["tokens"] for piece in pieces)
        for tokens, signed_as in ((made_known, None), (signing, "k-2")):
            reload(gateway, config, tokens)
            held.append(log_in(gateway))
            assert kid_of(held[-1]["access"]) == kid_of(held[-1]["refresh"]) == signed_as
            for pair in held:
                assert view(gateway, pair["access"]) == 200
                renewed = refresh(gateway, pair["refresh"])
                assert renewed.status == 200
                assert kid_of(renewed.json()["access"]) == signed_as
                assert view(gateway, renewed.json()["access"]) == 200

        # A gateway that is still at the first step takes the tokens of one that is at the second already.
        reload(gateway, config, made_known)
        assert view(gateway, held[-1]["access"]) == 200

        reload(gateway, config, {name: value for name, value in signing.items() if name != "further_keys"})
        assert [view(gateway, pair["access"]) for pair in held] == [401, 401, 200]
        assert [refresh(gateway, pair["refresh"]).status for pair in held] == [401, 401, 200]


def reload(gateway: Server, config: Path, tokens: Mapping[str, Any]) -> None:
    """Let the running gateway take up what the file says with these settings of `tokens`."""
    usual = {"signing_key": {"env": "GATEWAY_SIGNING_KEY"}}
    processes.write_gateway_config(config.parent, {**yaml.safe_load(config.read_text()), "tokens": {**usual, **tokens}})
    before = gateway.output().count("reloaded changes=tokens")
    gateway.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + processes.START_TIMEOUT
    while gateway.output().count("reloaded changes=tokens") == before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_s32_a_name_is_not_worth_more_than_the_key(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    """Tokens of the Django application have no name; with a name that nobody knows they are as any bad token."""
    further = [{"kid": "ec", "algorithm": "ES256", "signing_key": key_file(tmp_path, "ec.pem", "ES256")}]
    with running(tmp_path, {"further_keys": further}, upstream.url) as gateway:

        def shown(**header: str) -> Reply:
            head = json.dumps({"alg": "HS256", "typ": "JWT", **header}).encode()
            token = sign(head, json.dumps(claims("access")).encode(), key=SIGNING_KEY)
            return exchange(gateway.port, request(b"GET", b"/x", b"Authorization: Bearer " + token))

        assert shown().status == 200
        bad = exchange(gateway.port, request(b"GET", b"/x", b"Authorization: Bearer a." + segment(b"{}") + b".c"))
        for kid in ("ec", "x", "", "../../dev/null"):
            answer = shown(kid=kid)
            assert (answer.status, answer.body) == (401, bad.body)
            assert answer.json()["code"] == "token_not_valid"


def ring_of_all_kinds(folder: Path) -> dict[str, Any]:
    return {
        "kid": "signs",
        "algorithm": "ES256",
        "signing_key": key_file(folder, "signs.pem", "ES256"),
        "further_keys": [
            {"signing_key": {"env": "GATEWAY_SIGNING_KEY"}},
            {"kid": "rsa", "algorithm": "PS384", "signing_key": key_file(folder, "rsa.pem", "PS384")},
            {"kid": "ed", "algorithm": "EdDSA", "signing_key": key_file(folder, "ed.pem", "EdDSA")},
            {"algorithm": "ES512", "signing_key": key_file(folder, "p521.pem", "ES512")},
        ],
    }


def test_s45_the_public_keys_are_there_for_others_and_the_rest_is_not(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    with running(tmp_path, ring_of_all_kinds(tmp_path), upstream.url, cors={"allow_origins": [ORIGIN]}) as gateway:
        access = log_in(gateway)["access"]
        keys = jwt.PyJWKClient(f"{gateway.url}/.well-known/jwks.json")
        read = jwt.decode(access, keys.get_signing_key_from_jwt(access), algorithms=["ES256"])
        assert read["user_id"] == "1"
        assert [key.key_id for key in keys.get_signing_keys()][:3] == ["signs", "rsa", "ed"]
        assert len(keys.get_signing_keys()) == 4

        answer = exchange(gateway.port, request(b"GET", JWKS_PATH, b"Origin: " + ORIGIN.encode()))
        assert answer.field("content-type") == "application/json"
        assert answer.field("cache-control") == "public, max-age=300"
        assert answer.field("access-control-allow-origin") == ORIGIN
        members = {member for key in answer.json()["keys"] for member in key}
        assert members == {"kid", "use", "alg", "kty", "n", "e", "crv", "x", "y"}

        assert exchange(gateway.port, request(b"HEAD", JWKS_PATH)).status == 200
        for method in (b"POST", b"PUT", b"DELETE"):
            assert exchange(gateway.port, request(method, JWKS_PATH)).status == 405
    assert upstream.requests == []


def test_s45_with_secrets_alone_there_is_no_set(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with running(tmp_path, {}, upstream.url) as gateway:
        assert exchange(gateway.port, request(b"GET", JWKS_PATH)).status == 404
    assert upstream.requests == []


def test_s45_simplejwt_itself_checks_our_tokens_with_our_public_keys(
    tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    """Django with JWK_URL, which has no key of its own, beside the gateway and behind it."""
    port = processes.free_port()
    ring = ring_of_all_kinds(tmp_path)
    simple_jwt = json.dumps({"ALGORITHM": "ES256", "JWK_URL": f"http://127.0.0.1:{port}/.well-known/jwks.json"})
    environment = {"SIGNING_KEY": "unused", "SIMPLE_JWT": simple_jwt, "USERS": json.dumps(USERS)}
    with (
        processes.django_project("reference", folder=tmp_path, environment=environment) as django,
        running(tmp_path, ring, django.url, port=port) as gateway,
    ):
        access = log_in(gateway)["access"]

        def hello(server: Server, token: str) -> Reply:
            return exchange(server.port, request(b"GET", b"/api/hello/", b"Authorization: Bearer " + token.encode()))

        for server in (django, gateway):
            answer = hello(server, access)
            assert (answer.status, answer.json()["user_id"]) == (200, "1"), answer
        assert hello(django, access[:-4] + "AAAA").status == 401
        forged = jwt.encode(claims("access"), generate_key("ES256"), algorithm="ES256", headers={"kid": "signs"})
        assert hello(django, forged).status == 401
