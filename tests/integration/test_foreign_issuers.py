"""Tokens of other issuers: a real gateway, and issuers that publish their keys by https."""

import contextlib
import dataclasses
import hmac
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.auth.jwk import jwk_members
from tests.conformance.forging import NOW, SIGNING_KEY, segment, token
from tests.conformance.jws_signer import Signer
from tests.integration import processes
from tests.integration.certificates import Authority
from tests.integration.data_plane import ENVIRONMENT, get, settings
from tests.integration.processes import Server
from tests.integration.raw_client import Answer, RawClient, ask
from tests.integration.scripted_upstream import ScriptedUpstream

AUDIENCE = "https://api.example.org"
SCRIPT = Path(__file__).with_name("key_server.py")


@dataclasses.dataclass
class Issuer:
    """An issuer, its keys by kid, and the files of its key server."""

    folder: Path
    name: str
    authority: Authority
    keys: dict[str, Signer]
    port: int = dataclasses.field(default_factory=processes.free_port)

    def __post_init__(self) -> None:
        self._answer, self._log = self.folder / f"{self.name}.json", self.folder / f"{self.name}.requests"
        self._certificate, self._key = self.authority.issue("127.0.0.1")
        self.publish()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/keys?of={self.name}"

    @property
    def iss(self) -> str:
        return f"https://{self.name}.example.org/"

    def publish(self, *kids: str, status: int = 200, body: str | None = None, **headers: str) -> None:
        """These of its keys from now on, all of them without names."""
        keys = [jwk(kid, self.keys[kid]) for kid in kids or self.keys]
        answer = {"status": status, "headers": headers, "body": json.dumps({"keys": keys}) if body is None else body}
        self._answer.write_text(json.dumps(answer))

    @property
    def requests(self) -> list[Mapping[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []

    @contextlib.contextmanager
    def serving(self) -> Iterator[Server]:
        argv = [sys.executable, str(SCRIPT), str(self.port), str(self._certificate), str(self._key)]
        argv += [str(self._answer), str(self._log)]
        with processes.running(f"issuer-{self.name}", argv, port=self.port, folder=self.folder) as server:
            yield server

    def settings(self, **changes: Any) -> dict[str, Any]:
        usual = {"issuer": self.iss, "audience": [AUDIENCE], "jwks_url": self.url}
        return {**usual, "ca": str(self.authority.certificate), **changes}

    def claims(self, **changes: Any) -> dict[str, Any]:
        usual = {"iss": self.iss, "aud": AUDIENCE, "sub": "carol", "exp": NOW + 3600, "iat": NOW - 10}
        return {name: value for name, value in {**usual, **changes}.items() if value is not ...}

    def token(self, kid: str, /, *, header: Mapping[str, Any] | None = None, **claims: Any) -> bytes:
        signer = self.keys[kid]
        head = {"alg": signer.algorithm, "typ": "JWT", "kid": kid, **(header or {})}
        return signer.token(head, json.dumps(self.claims(**claims)).encode())


def jwk(kid: str, signer: Signer) -> dict[str, Any]:
    return {"kid": kid, "use": "sig", "alg": signer.algorithm, **jwk_members(signer.key.public_key())}


@contextlib.contextmanager
def running(folder: Path, upstream: ScriptedUpstream, issuers: Mapping[str, Any], **sections: Any) -> Iterator[Server]:
    port = processes.free_port()
    values = settings(port=port, upstreams={"main": {"servers": [upstream.url]}}, folder=folder)
    values["routes"] += [{"path": "/", "upstream": "main"}]
    values |= {"foreign_issuers": dict(issuers), **sections}
    config = processes.write_gateway_config(folder, values)
    with processes.gateway(config, port=port, environment=ENVIRONMENT) as gateway:
        yield gateway
        assert "Traceback" not in gateway.output(), gateway.output()


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream().running() as scripted:
        yield scripted


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "issuers-authority")


@pytest.fixture
def issuer(tmp_path: Path, authority: Authority) -> Issuer:
    return Issuer(tmp_path, "one", authority, {"ec": Signer.new("ES256"), "rsa": Signer.new("RS256")})


def view(gateway: Server, bearer: bytes, target: str = "/x") -> Answer:
    return ask(gateway.port, get(target, b"Authorization: Bearer " + bearer))


def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def seen(upstream: ScriptedUpstream) -> dict[str, list[str]]:
    """The identity fields of the last request that reached the backend, by name."""
    request = upstream.requests[-1]
    names = ("x-user-id", "remote-user", "remote-groups")
    return {name: request.values(name) for name in names if request.values(name)}


def test_a_foreign_token_passes_and_is_nobody_of_ours(
    tmp_path: Path, upstream: ScriptedUpstream, issuer: Issuer
) -> None:
    """The issuer's user 1 is not ours, whatever field the backend reads and whatever claims the token has."""
    claims = {"roles": "groups", "extra": {"username": "preferred_username"}}
    sections = {"identity": {"preset": "remote-user"}}
    with issuer.serving(), running(tmp_path, upstream, {"corp": issuer.settings(claims=claims)}, **sections) as gateway:
        for kid in issuer.keys:
            bearer = issuer.token(kid, sub="1", user_id="1", roles=["admin"], username="alice", sid="s", jti="j")
            assert view(gateway, bearer).status == 200
            assert seen(upstream) == {"x-user-id": ["corp:1"]}
        bearer = issuer.token("ec", sub="7", preferred_username="Cárol", groups=["admin"])
        assert view(gateway, bearer, "/admin/x").status == 200
        assert seen(upstream) == {
            "x-user-id": ["corp:7"], "remote-user": ["C%C3%A1rol"], "remote-groups": ["admin"],
        }  # fmt: skip
        assert view(gateway, issuer.token("ec", roles=["admin"]), "/admin/x").status == 403
        # Our own go on, and the user of theirs is not looked up among ours.
        assert view(gateway, token("access"), "/required").status == 200
        assert seen(upstream) == {"x-user-id": ["1"]}
        assert view(gateway, token("access")).json()["code"] == "user_not_found"
    (first, *_) = issuer.requests
    assert first["path"] == "/keys?of=one"
    assert "Cookie" not in first["fields"]


def test_users_may_be_ours_when_the_operator_says_so(
    tmp_path: Path, upstream: ScriptedUpstream, issuer: Issuer
) -> None:
    other = Issuer(tmp_path, "two", issuer.authority, {"ec": Signer.new("ES256")})
    entries = {"as-is": issuer.settings(users="as-is"), "ours": other.settings(users="local")}
    with issuer.serving(), other.serving(), running(tmp_path, upstream, entries) as gateway:
        assert view(gateway, issuer.token("ec", sub="1")).status == 200
        assert seen(upstream) == {"x-user-id": ["1"]}
        # That somebody passed as user 1 does not mean that there is one.
        assert view(gateway, token("access")).json()["code"] == "user_not_found"
        assert view(gateway, other.token("ec", sub="1")).json()["code"] == "user_not_found"
        arguments = ["user", "add", "alice", "--config", str(tmp_path / "gateway.yaml")]
        processes.run_gateway(arguments, environment=ENVIRONMENT, stdin="alice-password\n")
        assert view(gateway, other.token("ec", sub="1")).status == 200
        arguments = ["user", "disable", "alice", "--config", str(tmp_path / "gateway.yaml")]
        processes.run_gateway(arguments, environment=ENVIRONMENT)
        bearer = other.token("ec", sub="1")
        until(lambda: view(gateway, bearer).status == 401)
        assert view(gateway, issuer.token("ec", sub="1")).status == 200


def confused(issuer: Issuer, other: Issuer) -> Iterator[tuple[str, bytes]]:
    """Tokens with a genuine signature by somebody, or with none, that must not pass."""
    ec, rsa = issuer.keys["ec"], issuer.keys["rsa"]
    payload = json.dumps(issuer.claims()).encode()
    yield "wrong audience", issuer.token("ec", aud="https://other.example.org")
    yield "no audience", issuer.token("ec", aud=...)
    yield "audience of no text", issuer.token("ec", aud=[AUDIENCE, 7])
    yield "another issuer", issuer.token("ec", iss="https://three.example.org/")
    yield "issuer but for a slash", issuer.token("ec", iss=issuer.iss.rstrip("/"))
    yield "issuer in a list", issuer.token("ec", iss=[issuer.iss])
    yield "foreign key, our issuer", issuer.token("ec", iss="https://ours.example.org/")
    yield "foreign key, no issuer", issuer.token("ec", iss=...)
    yield "foreign key, our claims", issuer.token("ec", iss=..., user_id="1", token_type="access", jti="1")
    yield "kid of another issuer's key", other.token("ec", iss=issuer.iss)
    yield "kid of another issuer's key, the other way", issuer.token("ec", iss=other.iss)
    yield "our key, their issuer", token("access", iss=issuer.iss, aud=AUDIENCE, sub="carol")
    yield "none", segment(b'{"alg":"none","kid":"ec"}') + b"." + segment(payload) + b"."
    yield "none with a signature", segment(b'{"alg":"none","kid":"ec"}') + b"." + segment(payload) + b".AAAA"
    for form in (Encoding.PEM, Encoding.DER):
        public = ec.key.public_key().public_bytes(form, PublicFormat.SubjectPublicKeyInfo)
        signed = segment(b'{"alg":"HS256","kid":"ec"}') + b"." + segment(payload)
        signature = segment(hmac.digest(public, signed, "sha256"))
        yield f"the public key as a secret, {form}", signed + b"." + signature
    signed = segment(b'{"alg":"RS256","kid":"ec"}') + b"." + segment(payload)
    yield "key of another algorithm", rsa.over(signed)
    yield "algorithm that is not allowed", Signer("PS256", rsa.key).token({"alg": "PS256", "kid": "rsa"}, payload)
    stranger = Signer.new("ES256")
    embedded = jwk("ec", stranger)
    for kid in ("ec", "mine"):
        header = {"alg": "ES256", "kid": kid, "jwk": embedded, "jku": "https://127.0.0.1/", "x5u": "https://127.0.0.1/"}
        yield f"key in the header, kid {kid}", stranger.token(header, payload)
    yield "crit", issuer.token("ec", header={"crit": ["exp"]})
    yield "kid that is no text", issuer.token("ec", header={"kid": ["ec"]})
    yield "expired", issuer.token("ec", exp=NOW - 3600)
    yield "not yet", issuer.token("ec", nbf=NOW + 3600)
    yield "no end", issuer.token("ec", exp=...)
    yield "no user", issuer.token("ec", sub=...)
    yield "user of no text", issuer.token("ec", sub=True)
    yield "user of no characters", issuer.token("ec", sub="")
    yield "user with a line end", issuer.token("ec", sub="a\r\nX-User-Id: 1")
    yield "refresh token", issuer.token("ec", token_type="refresh")


def test_s30_s31_s32_no_token_passes_for_another_issuers(
    tmp_path: Path, upstream: ScriptedUpstream, issuer: Issuer
) -> None:
    """Two issuers with keys of the same name, and ours."""
    other = Issuer(tmp_path, "two", issuer.authority, {"ec": Signer.new("ES256")})
    entries = {"one": issuer.settings(), "two": other.settings()}
    ours = {"signing_key": {"env": "GATEWAY_SIGNING_KEY"}, "issuer": "https://ours.example.org/"}
    for tokens in (ours, {**ours, "issuer": None}):
        with (
            issuer.serving(),
            other.serving(),
            running(tmp_path, upstream, entries, tokens=tokens) as gateway,
            RawClient(gateway.port) as client,
        ):
            for one in (issuer.token("ec"), issuer.token("rsa", aud=["x", AUDIENCE]), other.token("ec")):
                client.send(get("/x", b"Authorization: Bearer " + one))
                assert client.read().status == 200
            count = len(upstream.requests)
            for name, bad in confused(issuer, other):
                for target in ("/x", "/required", "/optional"):
                    client.send(get(target, b"Authorization: Bearer " + bad))
                    answer = client.read()
                    assert answer.status == 401, (name, answer)
            assert len(upstream.requests) == count


def test_foreign_tokens_are_nothing_to_the_token_endpoints(
    tmp_path: Path, upstream: ScriptedUpstream, issuer: Issuer
) -> None:
    with issuer.serving(), running(tmp_path, upstream, {"one": issuer.settings()}) as gateway:
        bearer = issuer.token("ec", token_type="refresh", jti="1", user_id="1")
        for path, member in (("refresh", "refresh"), ("blacklist", "refresh"), ("verify", "token")):
            body = json.dumps({member: bearer.decode()}).encode()
            lines = b"Content-Type: application/json", b"Content-Length: %d" % len(body)
            answer = ask(gateway.port, get(f"/api/token/{path}/", *lines, method="POST") + body)
            assert (answer.status, answer.json()["code"]) == (401, "token_not_valid"), path


def test_s37_an_access_token_may_have_to_say_so_in_its_header(
    tmp_path: Path, upstream: ScriptedUpstream, issuer: Issuer
) -> None:
    entries = {"one": issuer.settings(header_type="at+jwt")}
    with issuer.serving(), running(tmp_path, upstream, entries) as gateway:
        for typ, status in (("at+jwt", 200), ("application/AT+JWT", 200), ("JWT", 401), (None, 401), (7, 401)):
            assert view(gateway, issuer.token("ec", header={"typ": typ})).status == status, typ


def test_s45_keys_change_at_the_issuer_and_unknown_names_cost_it_nothing(
    tmp_path: Path, upstream: ScriptedUpstream, issuer: Issuer
) -> None:
    """A token that is known to be good is not, once its key is gone; strangers cannot have keys fetched at will."""
    issuer.publish("ec")
    with (
        issuer.serving(),
        running(tmp_path, upstream, {"one": issuer.settings()}) as gateway,
        RawClient(gateway.port, timeout=30) as client,
    ):
        old, new = issuer.token("ec"), issuer.token("rsa")
        assert view(gateway, old).status == 200
        assert len(issuer.requests) == 1
        issuer.publish("rsa")
        until(lambda: view(gateway, new).status == 200)
        assert view(gateway, old).status == 401
        assert len(issuer.requests) == 2

        started = time.monotonic()
        forged = new.partition(b".")[2]
        for number in range(100):
            headers = [json.dumps({"alg": "RS256", "kid": f"{number}-{index}"}).encode() for index in range(100)]
            client.send(b"".join(get("/x", b"Authorization: Bearer %b.%b" % (segment(one), forged)) for one in headers))
            assert {client.read().status for _ in range(100)} == {401}
        assert len(issuer.requests) <= 2 + (time.monotonic() - started) // 30
        assert view(gateway, new).status == 200


def test_s82_an_issuer_that_is_away_is_a_503_for_its_tokens_alone(
    tmp_path: Path, upstream: ScriptedUpstream, issuer: Issuer
) -> None:
    with running(tmp_path, upstream, {"one": issuer.settings()}) as gateway:
        answer = view(gateway, issuer.token("ec"))
        assert (answer.status, answer.json()["code"]) == (503, "issuer_unavailable")
        assert view(gateway, token("access"), "/required").status == 200
        assert "issuer_unavailable name=one It cannot be asked" in gateway.output()
        with issuer.serving():
            until(lambda: view(gateway, issuer.token("ec")).status == 200)
            assert "issuer_recovered name=one" in gateway.output()
        # Away again: what is known goes on counting.
        assert view(gateway, issuer.token("ec", jti="another")).status == 200


def other_answers() -> Mapping[str, dict[str, Any]]:
    return {
        "It answered 500.": {"status": 500},
        "It answered 302.": {"status": 302, "Location": "https://127.0.0.1/"},
        "Its answer is larger than 256 KiB.": {"body": json.dumps({"keys": [], "more": "x" * 256 * 1024})},
        "It has 101 keys; 100 are read at most.": {"body": json.dumps({"keys": [{}] * 101})},
        "It is no JSON object.": {"body": "<html>"},
        "It has no list `keys`.": {"body": '{"keys": {}}'},
    }


@pytest.mark.parametrize("why", other_answers())
def test_s79_what_is_no_key_set_of_a_reasonable_size_is_not_taken(
    tmp_path: Path, upstream: ScriptedUpstream, issuer: Issuer, why: str
) -> None:
    issuer.publish(**other_answers()[why])
    with issuer.serving(), running(tmp_path, upstream, {"one": issuer.settings()}) as gateway:
        assert f"issuer_unavailable name=one {why}" in gateway.output()
        assert view(gateway, issuer.token("ec")).status == 503


def test_a_server_that_cannot_prove_its_name_is_not_believed(
    tmp_path: Path, upstream: ScriptedUpstream, issuer: Issuer
) -> None:
    stranger = Authority(tmp_path, "another-authority")
    entries = {"one": issuer.settings(ca=str(stranger.certificate))}
    with issuer.serving(), running(tmp_path, upstream, entries) as gateway:
        assert "CERTIFICATE_VERIFY_FAILED" in gateway.output()
        assert view(gateway, issuer.token("ec")).status == 503
    assert issuer.requests == []


def test_a_bad_key_is_skipped_with_a_word(tmp_path: Path, upstream: ScriptedUpstream, issuer: Issuer) -> None:
    keys = [{"kty": "oct", "k": "AAAA", "kid": "secret"}, jwk("ec", issuer.keys["ec"])]
    issuer.publish(body=json.dumps({"keys": keys}))
    with issuer.serving(), running(tmp_path, upstream, {"one": issuer.settings()}) as gateway:
        assert view(gateway, issuer.token("ec")).status == 200
        assert "issuer_key_skipped name=one keys[0] is of no kind that can be published" in gateway.output()


def test_another_gateway_is_an_issuer_like_any(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    """Our own wire on both sides: its access tokens pass, its refresh tokens do not."""
    signer = Signer.new("ES256")
    issuer = Issuer(tmp_path, "one", Authority(tmp_path, "ca"), {"k": signer})
    with issuer.serving(), running(tmp_path, upstream, {"one": issuer.settings(claims={"user_id": "user_id"})}) as it:
        for kind, status in (("access", 200), ("refresh", 401)):
            claims = {"token_type": kind, "user_id": "5", "jti": "x", "sid": "y", **issuer.claims(sub=...)}
            encoded = jwt.encode(claims, signer.key, "ES256", headers={"kid": "k"})
            assert view(it, encoded.encode()).status == status
        assert seen(upstream) == {"x-user-id": ["one:5"]}


def test_keys_by_anything_but_https_are_refused(tmp_path: Path, issuer: Issuer) -> None:
    values = settings(port=1, upstreams={"main": {"servers": ["http://127.0.0.1:1"]}}, folder=tmp_path)
    values["foreign_issuers"] = {"one": issuer.settings(jwks_url="http://127.0.0.1:1/keys")}
    config = processes.write_gateway_config(tmp_path, values)
    with pytest.raises(RuntimeError, match=r"foreign_issuers\.one\.jwks_url: must be https://"):
        processes.run_gateway(["check", "--config", str(config)], environment={"GATEWAY_SIGNING_KEY": SIGNING_KEY})


def test_issuers_come_change_and_go_in_a_reload(
    tmp_path: Path, upstream: ScriptedUpstream, issuer: Issuer, authority: Authority
) -> None:
    other = Issuer(tmp_path, "two", authority, {"ed": Signer.new("EdDSA")})
    entries = {"one": issuer.settings()}

    def reload(gateway: Server, **sections: Any) -> str:
        before = gateway.output().count(" reloaded ")
        values = yaml.safe_load((tmp_path / "gateway.yaml").read_text())
        processes.write_gateway_config(tmp_path, {**values, **sections})
        os.kill(gateway.process.pid, signal.SIGHUP)
        until(lambda: gateway.output().count(" reloaded ") > before)
        return gateway.output().rpartition(" reloaded ")[2].splitlines()[0]

    def status(token: bytes) -> int:
        return view(gateway, token).status

    with issuer.serving() as server, running(tmp_path, upstream, entries) as gateway:
        first, second = issuer.token("ec"), other.token("ed")
        assert (status(first), status(second)) == (200, 401)
        asked = len(issuer.requests)
        with other.serving():
            entries = {"one": issuer.settings(), "two": other.settings(algorithms=["EdDSA"])}
            assert reload(gateway, foreign_issuers=entries) == "changes=foreign_issuers.two"
        # From the first request on, and the one that stayed was not asked again.
        assert (status(first), status(second)) == (200, 200)
        assert len(issuer.requests) == asked
        # What changes goes on with its keys, also while nobody can be asked for them.
        server.process.kill()
        server.process.wait()
        entries["one"] = issuer.settings(users="as-is")
        assert reload(gateway, foreign_issuers=entries) == "changes=foreign_issuers.one.users"
        assert (status(first), seen(upstream)["x-user-id"]) == (200, ["carol"])
        tokens = {"signing_key": {"env": "GATEWAY_SIGNING_KEY"}, "claims": {"roles": "groups"}}
        assert reload(gateway, tokens=tokens) == "changes=tokens.claims.roles"
        assert (status(first), status(second)) == (200, 200)
        assert reload(gateway, foreign_issuers={"two": entries["two"]}) == "changes=foreign_issuers.one"
        assert (status(first), status(second)) == (401, 200)
        # Nobody knows the keys of a new one that does not answer.
        entries["one"] = issuer.settings(jwks_url=issuer.url.replace("keys", "others"))
        assert reload(gateway, foreign_issuers=entries) == "changes=foreign_issuers.one"
        assert (status(first), status(second)) == (503, 200)


def test_what_is_measured_of_issuers(tmp_path: Path, upstream: ScriptedUpstream, issuer: Issuer) -> None:
    admin = processes.free_port()
    never = issuer.settings(issuer="https://never.example.org/", jwks_url=f"https://127.0.0.1:{processes.free_port()}/")

    def metric(name: str, **labels: str) -> float | None:
        wanted = name + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "} "
        lines = ask(admin, get("/metrics", b"Connection: close")).body.decode().splitlines()
        return next((float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted)), None)

    entries = {"one": issuer.settings(), "never": never}
    with issuer.serving(), running(tmp_path, upstream, entries, admin={"port": admin}):
        assert metric("gateway_issuer_keys", issuer="one") == 2
        assert metric("gateway_issuer_keys", issuer="never") == 0
        fetched_at = metric("gateway_issuer_keys_fetched_timestamp_seconds", issuer="one")
        assert fetched_at is not None
        assert abs(time.time() - fetched_at) < 60
        assert metric("gateway_issuer_keys_fetched_timestamp_seconds", issuer="never") is None
        assert metric("gateway_issuer_key_fetches_total", issuer="one", result="ok") == 1
        assert metric("gateway_issuer_key_fetches_total", issuer="one", result="failed") == 0
        assert (metric("gateway_issuer_key_fetches_total", issuer="never", result="failed") or 0) >= 1
