"""What `gateway explain` says of a request against what a running gateway does with the same bytes."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from tests.conformance.forging import NOW, token
from tests.integration import processes
from tests.integration.data_plane import ENVIRONMENT, HOST, Plane, get, running_plane
from tests.integration.raw_client import RawClient

PROXY = "127.0.0.2"
BALANCER = (b"X-Forwarded-For: 203.0.113.9, 10.1.1.1", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: shop.example")
SPOOFED = (b"X-User-Id: 7", b"X_User_Id: 8", b"X-Forwarded-For: 10.9.9.9", b"X-User-Roles: admin")
ROUTES = (
    {"path": "/users", "upstream": "main"},
    {"path": "/old", "upstream": "main", "access": "public", "allow_in_path": ["semicolon"], "upstream_path": "/"},
    {"path": "/posted", "upstream": "main", "methods": ["POST"]},
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """`credentials` is the value of Authorization."""

    target: str
    method: str = "GET"
    fields: tuple[bytes, ...] = ()
    credentials: bytes | None = None
    client: str = "127.0.0.1"

    def __str__(self) -> str:
        return f"{self.method} {self.target[:40]}"


def signed(kind: str = "access", **changes: Any) -> bytes:
    return b"Bearer " + token(kind, **changes)


GOOD = signed()
CASES = (
    *(
        Case(target=target)
        for target in (
            "/public/a?x=%2e",
            "/public/../admin",
            "/public/%2e%2e/admin",
            "/public//admin",
            "/public/..;/admin",
            "/public/a%2Fb",
            "/public/%7Ename%3a",
            "/publicity",
            "/old/a;b=1/c",
            "/old/..;/admin",
            "http://api.example.org/public/x",
            "http://other.example.org/public/x",
            "*",
            "/public/" + "a" * 9000,
            "/nowhere",
            "/required",
            "/optional",
            "/users",
            "/admin/open/x",
            "/admin/openly",
            "/host/x",
        )
    ),
    *(
        Case(target=target, credentials=GOOD)
        for target in ("/public", "/optional", "/required", "/keep/x", "/users", "/admin", "/posted", "/nowhere")
    ),
    *(
        Case(target=target, credentials=credentials)
        for target in ("/optional", "/users")
        for credentials in (
            signed(exp=NOW - 100),
            signed("refresh"),
            signed(user_id="2"),
            signed(user_id="99"),
            GOOD[:-4] + b"AAAA",
            b"Bearer not-a-token",
            b"Bearer a b",
            b"Basic YTpi",
        )
    ),
    Case(target="/admin", credentials=signed(roles=["admin"])),
    Case(target="/admin", credentials=signed(roles=["staff"])),
    Case(target="/posted", method="POST", credentials=GOOD),
    Case(target="/read", method="POST"),
    Case(target="/public", method="TRACE"),
    Case(target="/public", fields=(b"Host: second.example",)),
    Case(target="/public", fields=(b"Expect: a-lot",)),
    Case(target="/public", fields=(b"Content-Length: 5", b"Content-Length: 5")),
    *(Case(target=target, fields=SPOOFED, credentials=GOOD) for target in ("/public", "/required")),
    Case(target="/users", fields=BALANCER, credentials=GOOD, client=PROXY),
    Case(target="/users", fields=BALANCER, credentials=GOOD),
    Case(target="/required", fields=(b"X-Request-Id: chosen-by-client", b"Connection: close, X-User-Id")),
    Case(target="/public", fields=(b"X-Request-Id: chosen-by-client", b"Connection: close, X-Mine", b"X-Mine: 1")),
    Case(target="/api/token/verify/x"),
)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("explain")
    with running_plane(
        folder, routes=ROUTES, users=("alice", "bob"), listen={"trusted_proxies": [f"{PROXY}/32", "10.0.0.0/8"]}
    ) as running:
        arguments = ["user", "disable", "bob", "--config", str(config_of(running))]
        processes.run_gateway(arguments, environment=ENVIRONMENT)
        yield running


def config_of(plane: Plane) -> Path:
    return plane.gateway.log.with_name("gateway.yaml")


def explained(case: Case, plane: Plane, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    argv = ["explain", "--config", str(config_of(plane)), "--json", "--client", case.client]
    for field in (HOST, *case.fields):
        argv += ["-H", field.decode()]
    if case.credentials is not None:
        (folder / "token").write_bytes(case.credentials)
        argv += ["--token", str(folder / "token")]
    code = main([*argv, case.method, case.target])
    output = capsys.readouterr().out
    if case.credentials is not None and case.credentials.count(b".") == 2:
        _, payload, signature = case.credentials.split(b".")
        assert payload.decode() not in output
        assert signature.decode() not in output
    return code, json.loads(output)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_explained_is_what_happens(
    case: Case, plane: Plane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GATEWAY_SIGNING_KEY", ENVIRONMENT["GATEWAY_SIGNING_KEY"])
    plane.upstream.begin()
    fields = case.fields
    if case.credentials is not None:
        fields = (*fields, b"Authorization: " + case.credentials)
    with RawClient(plane.port, source=case.client) as client:
        client.send(get(case.target, *fields, method=case.method))
        answer = client.read(case.method)
    code, told = explained(case, plane, tmp_path, capsys)
    verdict = told["verdict"]
    if plane.upstream.requests:
        (received,) = plane.upstream.requests
        assert (code, verdict["passes"], verdict["upstream"]) == (0, True, plane.upstream.url)
        assert told["head"] == as_explained(received.head, answer.field("x-request-id"), case)
    else:
        body = answer.body.replace((answer.field("x-request-id") or "").encode(), b"<request-id>")
        assert (code, verdict["passes"], told["head"]) == (1, False, None)
        assert (verdict["status"], verdict["body"]) == (answer.status, json.loads(body))


def as_explained(head: bytes, request_id: str | None, case: Case) -> str:
    text = head.decode("latin-1")
    if request_id != "chosen-by-client":
        text = text.replace(f"X-Request-Id: {request_id}", "X-Request-Id: <request-id>")
    if case.credentials is not None:
        encoded = case.credentials.split()[-1].decode()
        text = re.sub(re.escape(encoded), f"{encoded[:6]}...({len(encoded)} bytes)", text)
    return text
