"""Forward authentication with the real nginx, Caddy and Traefik, each with the files of `deploy/forward-auth`.

Caddy and Traefik come with the wheels of the extra `test`; nginx is Debian's package, and without it its tests are
skipped.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.data_plane import get, post
from tests.integration.other_proxies import KINDS, PASSWORDS, Deployment, deployed, find
from tests.integration.raw_client import Answer, ask
from tests.integration.scripted_upstream import Link, Received, plain

MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module", params=KINDS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    kind: str = request.param
    if kind == "nginx" and find("nginx") is None:
        pytest.skip("no nginx here")
    with deployed(kind, tmp_path_factory.mktemp(kind)) as deployment:
        yield deployment
        assert "Traceback" not in deployment.gateway.output(), deployment.gateway.output()


@pytest.fixture
def deployment(running: Deployment) -> Iterator[Deployment]:
    running.backend.begin()
    yield running
    assert not running.backend.faults


def asked(deployment: Deployment, request: bytes) -> Answer:
    return ask(deployment.port, request)


def log_in(deployment: Deployment, user: str) -> dict[str, str]:
    """Through the proxy, which leaves it to the gateway."""
    body = json.dumps({"username": user, "password": PASSWORDS[user]}).encode()
    answer = asked(deployment, post("/api/token/", body, b"Content-Type: application/json"))
    assert answer.status == 200, answer
    pair: dict[str, str] = answer.json()
    return pair


def bearer(pair: dict[str, str]) -> bytes:
    return b"Authorization: Bearer " + pair["access"].encode()


@pytest.fixture(scope="module")
def alice(running: Deployment) -> bytes:
    return bearer(log_in(running, "alice"))


@pytest.fixture(scope="module")
def bob(running: Deployment) -> bytes:
    return bearer(log_in(running, "bob"))


def test_a_good_token_reaches_the_backend_as_its_user(deployment: Deployment, alice: bytes) -> None:
    answer = asked(deployment, get("/x/y?z=%2F", alice))
    assert (answer.status, answer.body) == (200, b"/x/y?z=%2F")
    received = deployment.backend.only()
    assert received.folded("x-user-id") == ["1"]
    assert received.values("authorization") == []  # as the files have it
    assert received.values("host") == ["api.example.org"]


def test_s1_no_claimed_identity_reaches_the_backend(deployment: Deployment, alice: bytes) -> None:
    for target, lines, told in (("/x", [alice], ["1"]), ("/public/x", [], []), ("/public/x", [alice], [])):
        for forged in ([b"X-User-Id: 2"], [b"x-user-id: 2", b"X-USER-ID: 3"], [b"X-User-Id:"]):
            assert asked(deployment, get(target, *lines, *forged)).status == 200
            received = deployment.backend.requests.pop()
            assert received.folded("x-user-id") == told


@pytest.mark.parametrize("name", [b"X_User_Id", b"x-user_id", b"X.User.Id", b"X_USER-ID", b"X~User~Id"])
def test_s1_nor_does_one_in_another_spelling(deployment: Deployment, alice: bytes, name: bytes) -> None:
    for target, lines, told in (("/x", [alice], ["1"]), ("/public/x", [], [])):
        answer = asked(deployment, get(target, *lines, name + b": 2"))
        # Either the proxy takes it out, or the gateway refuses what the proxy would pass on.
        assert answer.status in (200, 400), answer
        for received in deployment.backend.requests:
            assert received.folded("x-user-id") == told
        deployment.backend.begin()


@pytest.mark.parametrize(
    "lines",
    [
        [b"Connection: close, X-User-Id"],
        [b"Connection: x-user-id"],
        [b"Connection: close", b"Connection: X-USER-ID"],
        [b"Connection: keep-alive,  x-user-id ,te"],
    ],
)
def test_s5_nobody_loses_his_identity_on_the_way(deployment: Deployment, alice: bytes, lines: list[bytes]) -> None:
    assert asked(deployment, get("/x", alice, *lines)).status in (200, 400)
    assert all(received.values("x-user-id") == ["1"] for received in deployment.backend.requests)


@pytest.mark.parametrize("name", [b"Remote-User", b"X-Forwarded-User", b"X-Original-URL", b"X-Rewrite-URL"])
def test_s1_nor_one_of_another_preset_or_another_path(deployment: Deployment, name: bytes) -> None:
    answer = asked(deployment, get("/public/x", name + b": /admin"))
    assert answer.status in (200, 400), answer
    assert all(not received.folded(name.decode()) for received in deployment.backend.requests)


def test_without_a_token_the_client_gets_the_gateways_own_401(deployment: Deployment) -> None:
    answer = asked(deployment, get("/x"))
    assert answer.status == 401
    assert answer.json() == {"detail": "Authentication credentials were not provided."}
    assert answer.field("www-authenticate") == 'Bearer realm="api"'
    assert deployment.backend.requests == []


def test_a_bad_token_is_a_401_that_a_client_knows(deployment: Deployment) -> None:
    answer = asked(deployment, get("/x", b"Authorization: Bearer x.y.z"))
    assert (answer.status, answer.json()["code"]) == (401, "token_not_valid")
    assert deployment.backend.requests == []


def test_s24_the_path_that_the_client_asked_for_decides(deployment: Deployment, alice: bytes, bob: bytes) -> None:
    refused = asked(deployment, get("/admin/x", alice))
    assert (refused.status, refused.json()["code"]) == (403, "permission_denied")
    assert deployment.backend.requests == []
    assert asked(deployment, get("/admin/x", bob)).status == 200
    assert deployment.backend.only().values("x-user-id") == ["2"]


def test_s24_the_method_that_the_client_sent_decides(deployment: Deployment, alice: bytes) -> None:
    for method, status in (("GET", 200), ("HEAD", 200), ("POST", 405), ("DELETE", 405), ("PUT", 405)):
        answer = asked(deployment, get("/reports/x", alice, b"Content-Length: 0", method=method))
        assert answer.status == status, (method, answer)
    assert [received.method for received in deployment.backend.requests] == ["GET", "HEAD"]
    override = asked(deployment, get("/reports/x", alice, b"X-HTTP-Method-Override: DELETE"))
    assert override.status == 405 or not deployment.backend.requests[-1].values("x-http-method-override")


OWN_WORDS = (
    [b"X-Forwarded-Uri: /public/x"],
    [b"X-Forwarded-Uri: /public/x", b"X-Forwarded-Method: GET"],
    [b"x-forwarded-uri: /public/x", b"X-FORWARDED-URI: /public/y"],
    [b"X_Forwarded_Uri: /public/x"],
    [b"X-Original-URI: /public/x", b"X-Original-Method: GET"],
    [b"X-Forwarded-Prefix: /public"],
    [b"Connection: close, X-Forwarded-Uri, X-Forwarded-Method"],
    [b"User-Agent: kube-probe/1.30"],
    [b"X-Forwarded-For: 127.0.0.1"],
)


@pytest.mark.parametrize("lines", OWN_WORDS)
def test_s24_what_the_client_says_of_it_does_not(deployment: Deployment, alice: bytes, lines: list[bytes]) -> None:
    assert asked(deployment, get("/x", *lines)).status == 401
    assert asked(deployment, get("/admin/x", alice, *lines)).status == 403
    assert asked(deployment, get("/reports/x", alice, *lines, b"Content-Length: 0", method="POST")).status == 405
    assert deployment.backend.requests == []


PATHS = (
    "/public/../admin/x",
    "/public/%2e%2e/admin/x",
    "/public/..%2fadmin/x",
    "/public/..;/admin/x",
    "//admin/x",
    "/public//../admin/x",
    "/%61dmin/x",
    "/%70ublic/../x",
    "/admin%2fx",
    "/public\\..\\admin",
    "http://api.example.org/admin/x",
    "/forward-auth",
    "/forward-auth/public/x",
    "/api/token/../../x",
)


@pytest.mark.parametrize("path", PATHS)
def test_s20_s21_no_trick_with_the_path_passes(deployment: Deployment, alice: bytes, path: str) -> None:
    answer = asked(deployment, get(path))
    assert 300 <= answer.status < 500, answer
    assert deployment.backend.requests == []
    answer = asked(deployment, get(path, alice))
    # Traefik resolves dot segments, asks about what is left, and passes that on.
    assert 300 <= answer.status < 500 or deployment.backend.targets() == ["/x"], answer


SPELLINGS = (
    "%78",
    "%7ex",
    "a%3Ab",
    "a|b",
    'a"b',
    "a%20b",
    "[x]",
    "%C3%A9",
    "%e2%82%ac",
    "a^b{}",
    "a+b%2Bc",
    "!$&'()*,=:@",
    "",
)


def test_s20_what_is_asked_about_is_what_is_passed_on(deployment: Deployment) -> None:
    for spelling in SPELLINGS:
        assert asked(deployment, get(f"/public/{spelling}?y=%2F")).status == 200
    marker = asked(deployment, get("/x")).field("x-request-id")
    deployment.backend.wait_until(lambda: f'"{marker}"' in deployment.gateway.output())
    lines = [json.loads(line) for line in deployment.gateway.output().splitlines() if '"request_ended"' in line]
    passed = [target.partition("?")[0] for target in deployment.backend.targets()]
    assert passed == [line["path"] for line in lines if line["path"].startswith("/public/")][-len(SPELLINGS) :]


def test_s6_the_client_is_the_one_that_the_proxy_sees(deployment: Deployment) -> None:
    answer = asked(deployment, get("/x", b"X-Forwarded-For: 203.0.113.9", b"Forwarded: for=203.0.113.9"))
    request_id = answer.field("x-request-id")
    deployment.backend.wait_until(lambda: f'"{request_id}"' in deployment.gateway.output())
    (line,) = (line for line in deployment.gateway.output().splitlines() if f'"{request_id}"' in line)
    assert json.loads(line)["client"] == "127.0.0.1"


@pytest.mark.parametrize("host", [b"a@b", b"a/b", b"a b", b"a..b", b"a%00b"])
def test_s12_no_host_that_means_two_servers_passes(deployment: Deployment, host: bytes) -> None:
    answer = asked(deployment, b"GET /public/x HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    assert answer.status == 400, answer
    assert deployment.backend.requests == []


def test_s57_a_revoked_token_is_refused_within_a_second(deployment: Deployment) -> None:
    pair = log_in(deployment, "alice")
    assert asked(deployment, get("/x", bearer(pair))).status == 200
    deployment.run("session", "revoke", "--user", "alice")
    ended = time.monotonic()
    while asked(deployment, get("/x", bearer(pair))).status != 401:
        assert time.monotonic() - ended < 3
    # Users who log in again are served again; the second of the revocation has to be over.
    deployment.backend.begin()


def test_s57_after_a_log_out_at_once(deployment: Deployment) -> None:
    pair = log_in(deployment, "bob")
    body = json.dumps({"refresh": pair["refresh"]}).encode()
    assert asked(deployment, get("/x", bearer(pair))).status == 200
    assert asked(deployment, post("/api/token/blacklist/", body, b"Content-Type: application/json")).status == 200
    assert asked(deployment, get("/x", bearer(pair))).status == 401


def test_s75_a_body_passes_as_it_comes(deployment: Deployment, bob: bytes) -> None:
    sizes: list[int] = []

    async def count(link: Link, received: Received) -> None:
        async for piece in link.body(received):
            sizes.append(len(piece))  # noqa: PERF401 - seen by the test before the last has come
        await link.send(plain(b"%d" % sum(sizes)))

    deployment.backend.play(count)
    with deployment.connect() as client:
        client.send(get("/x", bob, b"Content-Type: text/plain", b"Transfer-Encoding: chunked", method="POST"))
        piece = b"%x\r\n%b\r\n" % (MEBIBYTE, b"x" * MEBIBYTE)
        client.send(piece)
        # The backend has it before the rest is sent.
        deployment.backend.wait_until(lambda: sum(sizes) == MEBIBYTE)
        client.send(piece * 3 + b"0\r\n\r\n")
        assert client.read("POST").body == b"%d" % (4 * MEBIBYTE)


def test_s15_a_refused_body_is_no_request(deployment: Deployment) -> None:
    smuggled = get("/public/smuggled")
    with deployment.connect() as client:
        client.send(post("/x", smuggled))
        assert client.read("POST").status == 401
    assert deployment.backend.requests == []


def test_preflights_are_the_gateways(deployment: Deployment) -> None:
    lines = (b"Origin: https://app.example.org", b"Access-Control-Request-Method: GET")
    # Without `cors` it decides on them as on any request, and none has a token.
    assert asked(deployment, get("/x", *lines, method="OPTIONS")).status == 401
    assert deployment.backend.requests == []


def test_s52_rates_and_origins_are_told_in_the_gateways_words(tmp_path: Path, running: Deployment) -> None:
    changes = {
        "methods: [GET, HEAD]}": "access: public, rate_limit: {requests: 1, per: 1h}}",
        "tokens:\n": "cors: {allow_origins: ['https://app.example.org']}\ntokens:\n",
    }
    origin = b"Origin: https://app.example.org"
    with deployed(running.kind, tmp_path, changes=changes) as other:
        assert ask(other.port, get("/reports/x")).status == 200
        throttled = ask(other.port, get("/reports/x", b"X-Forwarded-For: 203.0.113.9", origin))
        assert throttled.status == 429
        assert int(throttled.field("retry-after") or 0) > 3000
        assert throttled.json()["detail"].startswith("Request was throttled.")
        assert ask(other.port, get("/x", origin)).field("access-control-allow-origin") == "https://app.example.org"
        preflight = ask(other.port, get("/x", origin, b"Access-Control-Request-Method: PUT", method="OPTIONS"))
        assert (preflight.status, preflight.field("access-control-allow-origin")) == (204, "https://app.example.org")
        assert other.backend.targets() == ["/reports/x"]


def test_a_route_that_is_not_there_is_a_404_of_the_gateways(tmp_path: Path, running: Deployment) -> None:
    with deployed(running.kind, tmp_path, changes={"path: /,": "path: /app,"}) as other:
        answer = ask(other.port, get("/x"))
        assert (answer.status, answer.json()["code"]) == (404, "no_route")
        assert ask(other.port, get("/public/x")).status == 200


def test_s7_without_leave_to_ask_nothing_passes(tmp_path: Path, running: Deployment) -> None:
    changes = {
        "trusted_proxies: [127.0.0.1/32]": "trusted_proxies: [192.0.2.7]",
        "  proxies: [127.0.0.1/32]": "  proxies: [192.0.2.7]",
    }
    with deployed(running.kind, tmp_path, changes=changes) as other:
        answer = ask(other.port, get("/public/x"))
        # nginx leaves refusals to the gateway as a proxy, where its word on who asks does not count.
        assert answer.status == (200 if running.kind == "nginx" else 403)


def test_without_the_gateway_nothing_passes(tmp_path: Path, running: Deployment) -> None:
    with deployed(running.kind, tmp_path) as other:
        other.gateway.process.terminate()
        other.gateway.process.wait(10)
        assert ask(other.port, get("/public/x")).status >= 500
        assert other.backend.requests == []
