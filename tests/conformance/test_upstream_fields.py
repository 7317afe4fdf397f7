"""Fields on their way through: what the backend is told, and what nobody but the gateway can tell it."""

from collections.abc import Iterator

import pytest

from tests.integration.data_plane import Plane, bearer, chunked, get, post, running_plane
from tests.integration.raw_client import assert_refusal
from tests.integration.scripted_upstream import Received, answers, plain

ORIGIN = b"Origin: https://app.example.org"


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    identity = {"fields": {"X-Tenant": "tenant", "X-Roles": "roles"}}
    routes = [{"path": "/known", "upstream": "main"}]
    cors = {"allow_origins": [ORIGIN.decode().removeprefix("Origin: ")], "max_age": "10m"}
    folder = tmp_path_factory.mktemp("fields")
    with running_plane(folder, identity=identity, cors=cors, routes=routes, users=["alice"]) as plane:
        yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


def forwarded(plane: Plane, raw: bytes) -> Received:
    """What the upstream got of a request that passes."""
    answer = plane.ask(raw)
    assert answer.status == 200, answer
    received = plane.upstream.only()
    plane.upstream.begin()
    return received


# Checklist 1, 2. CVE-2025-64484 (oauth2-proxy), GHSA-7r4p-vjf4-gxv4 (Caddy), GHSA-x677-9fxg-v5c5, Envoy #35553: identity
# fields in another spelling, or on routes that nobody thought of.
SPELLINGS = [
    b"X-User-Id: 7",
    b"x-user-id: 7",
    b"X-USER-ID: 7",
    b"X_User_Id: 7",
    b"x_user_id: 7",
    b"X.User.Id: 7",
    b"X-User_Id: 7",
    b"X~User!Id: 7",
    b"X'User*Id: 7",
    b"X-User-Id:7",
    b"X-User-Id:",
    b"X-User-Id: 1\r\nX-User-Id: 7",
    b"X-User-Id: 7\r\nx_user_id: 8",
    b"Connection: x-user-id\r\nX-User-Id: 7",
    b"Connection: X-User-Id",
    b"Connection: close, x-user-id",
    b"Connection: x_user_id\r\nX_User_Id: 7",
]
ANONYMOUS = {
    "public": get("/public/x", b"%b"),
    "public-token": get("/public/x", bearer(user_id="1"), b"%b"),
    "public-bad-token": get("/public/x", b"Authorization: Bearer x", b"%b"),
    "public-1.0": get("/public/x", b"%b", version="HTTP/1.0"),
    "public-post": post("/public/x", b"body", b"%b"),
    "public-options": get("/public/x", b"%b", method="OPTIONS"),
    "public-upgrade": get("/public/x", b"Upgrade: websocket", b"%b"),
    "optional": get("/optional/x", b"%b"),
    "optional-other-scheme": get("/optional/x", b"Authorization: Basic YQ==", b"%b"),
    "restricted": get("/read/x", b"%b"),
    "own-host": get("/host/x", b"%b"),
}
KNOWN = {
    "required": get("/required/x", bearer(), b"%b"),
    "required-first": get("/required/x", b"%b", bearer()),
    "required-1.0": get("/required/x", bearer(), b"%b", version="HTTP/1.0"),
    "required-chunked": chunked("/required/x", b"0\r\n\r\n", bearer(), b"%b"),
    "looked-up": get("/known/x", bearer(), b"%b"),
    "optional": get("/optional/x", bearer(), b"%b"),
    "keep": get("/keep/x", bearer(), b"%b"),
}


@pytest.mark.parametrize("lines", SPELLINGS, ids=lambda lines: "s1-" + lines.decode())
@pytest.mark.parametrize("raw", ANONYMOUS.values(), ids=ANONYMOUS.keys())
def test_no_spelling_of_an_identity_reaches_the_upstream(plane: Plane, raw: bytes, lines: bytes) -> None:
    assert forwarded(plane, raw.replace(b"%b", lines)).folded("x-user-id") == []


@pytest.mark.parametrize("lines", SPELLINGS, ids=lambda lines: "s3-" + lines.decode())
@pytest.mark.parametrize("raw", KNOWN.values(), ids=KNOWN.keys())
def test_the_upstream_gets_the_one_identity_of_the_token(plane: Plane, raw: bytes, lines: bytes) -> None:
    assert forwarded(plane, raw.replace(b"%b", lines)).folded("x-user-id") == ["1"]


MANAGED = [
    "X-Tenant",
    "X-Roles",
    "X-Forwarded-User",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "Remote-User",
    "Remote-Email",
    "Remote-Groups",
    "Remote-Name",
    "X-Auth-Request-User",
    "X-Auth-Request-Email",
    "X-Auth-Request-Groups",
    "X-Auth-Request-Preferred-Username",
    "X-Gateway-Client-Address",
]


@pytest.mark.parametrize("name", MANAGED)
def test_s1_fields_of_every_preset_and_configured_ones_are_removed(plane: Plane, name: str) -> None:
    for spelling in (name, name.lower(), name.upper(), name.replace("-", "_"), name.replace("-", ".")):
        line = f"{spelling}: forged".encode()
        for raw in (get("/public/x", line), get("/required/x", bearer(), line)):
            assert forwarded(plane, raw).folded(name) == []


def test_s2_trailers_do_not_become_fields(plane: Plane) -> None:
    coded = b"4\r\nbody\r\n0\r\nX-User-Id: 7\r\nx_tenant: forged\r\n\r\n"
    received = forwarded(plane, chunked("/public/x", coded, b"Trailer: X-User-Id"))
    assert (received.body, received.folded("x-user-id"), received.folded("trailer")) == (b"body", [], [])
    after = forwarded(plane, get("/public/after"))
    assert after.folded("x-user-id") == after.folded("x-tenant") == []


def test_identity_of_one_request_does_not_stay_for_the_next(plane: Plane) -> None:
    with plane.connect() as client:
        for raw, expected in [
            (get("/optional/x", bearer(user_id="1")), ["1"]),
            (get("/optional/x"), []),
            (get("/optional/x", bearer(user_id="2")), ["2"]),
            (get("/public/x"), []),
        ]:
            client.send(raw)
            assert client.read().status == 200
            assert plane.upstream.requests[-1].folded("x-user-id") == expected
    assert {received.link for received in plane.upstream.requests} == {0}


CLAIMED = {
    "text": ({"tenant": "north"}, "x-tenant", ["north"]),
    "absent": ({}, "x-tenant", []),
    "null": ({"tenant": None}, "x-tenant", []),
    "object": ({"tenant": {"a": "b"}}, "x-tenant", []),
    "number": ({"tenant": 12}, "x-tenant", ["12"]),
    "list": ({"roles": ["admin", "user"]}, "x-roles", ["admin,user"]),
    "comma-in-item": ({"roles": ["a,b", "c"]}, "x-roles", ["a%2Cb,c"]),
    "percent": ({"tenant": "50%"}, "x-tenant", ["50%25"]),
    "blank": ({"tenant": "a b"}, "x-tenant", ["a%20b"]),
    "umlaut": ({"tenant": "jürgen"}, "x-tenant", ["j%C3%BCrgen"]),
    "injection": ({"tenant": "x\r\nX-User-Id: 7"}, "x-tenant", ["x%0D%0AX-User-Id:%207"]),
    "nul": ({"tenant": "\x00"}, "x-tenant", ["%00"]),
}


@pytest.mark.parametrize(("claims", "name", "expected"), CLAIMED.values(), ids=[f"s8-{name}" for name in CLAIMED])
def test_claims_become_visible_ascii(plane: Plane, claims: dict[str, object], name: str, expected: list[str]) -> None:
    received = forwarded(plane, get("/required/x", bearer(**claims)))
    assert received.folded(name) == expected
    assert received.folded("x-user-id") == ["1"]


@pytest.mark.parametrize(
    "user_id", ["a b", "1\r\nX-Roles: admin", "jürgen", "", "x" * 256, "\x7f", None, True, [1], {}]
)
def test_s8_user_id_that_is_no_visible_ascii_is_refused(plane: Plane, user_id: object) -> None:
    assert_refusal(plane.ask(get("/required/x", bearer(user_id=user_id))), 401)
    assert plane.upstream.requests == []


# Checklist 4, 5; RFC 9110 §7.6.1.
HOP_BY_HOP = {
    "connection": b"Connection: keep-alive",
    "keep-alive": b"Keep-Alive: timeout=5",
    "proxy-connection": b"Proxy-Connection: keep-alive",
    "te": b"TE: trailers",
    "trailer": b"Trailer: X-A",
    "upgrade": b"Upgrade: h2c",
    "http2-settings": b"HTTP2-Settings: AAMAAABkAAQAAP__",
    "proxy-authorization": b"Proxy-Authorization: Basic YQ==",
    "proxy-authenticate": b"Proxy-Authenticate: Basic",
    "proxy": b"Proxy: http://evil.example.org",
    "transfer-encoding": b"Transfer_Encoding: chunked",
    "content-length": b"Content_Length: 5",
    "expect": b"Expect: 100-continue",
    "host-other-spelling": b"H_ost: x",
}


@pytest.mark.parametrize("name", HOP_BY_HOP)
def test_s4_hop_by_hop_fields_end_here(plane: Plane, name: str) -> None:
    received = forwarded(plane, get("/public/x", HOP_BY_HOP[name]))
    if name != "host-other-spelling":
        assert received.folded(name) == []
    assert len(received.folded("host")) == 1


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        ((b"Connection: x-a", b"X-A: 1", b"X-B: 2"), ["X-B"]),
        ((b"X-A: 1", b"X-B: 2", b"Connection: X-A,, x-b ,"), []),
        ((b"Connection: x-a", b"Connection: x-b", b"X-A: 1", b"X-B: 2"), []),
        ((b"Connection: host, content-length", b"X-A: 1"), ["X-A"]),
        ((b"Connection: authorization, x-request-id, x-forwarded-for", b"X-A: 1"), ["X-A"]),
    ],
)
def test_s5_nominated_fields_go_and_ours_stay(plane: Plane, lines: tuple[bytes, ...], kept: list[str]) -> None:
    received = forwarded(plane, post("/keep/x", b"body", bearer(), *lines))
    assert [name for name, _ in received.fields if name in ("X-A", "X-B")] == kept
    for name in ("host", "content-length", "authorization", "x-forwarded-for", "x-request-id", "x-user-id"):
        assert len(received.folded(name)) == 1, name
    assert received.folded("connection") == []


# Checklist 6, 10, 24.


def test_s6_forwarding_fields_are_the_gateways(plane: Plane) -> None:
    forged = [
        b"X-Forwarded-For: 10.0.0.1",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: evil.example.org",
        b"X-Forwarded-Port: 443",
        b"X-Forwarded-Prefix: /evil",
        b"X-Forwarded-Server: evil",
        b"X_Forwarded_For: 10.0.0.2",
        b"X-Real-IP: 10.0.0.3",
        b"Forwarded: for=10.0.0.4",
        b"X-Client-IP: 10.0.0.5",
        b"True-Client-IP: 10.0.0.6",
    ]
    received = forwarded(plane, get("/public/x", *forged))
    assert received.folded("x-forwarded-for") == ["127.0.0.1"]
    assert received.folded("x-forwarded-proto") == ["http"]
    assert received.folded("x-forwarded-host") == ["api.example.org"]
    for name in ("port", "prefix", "server"):
        assert received.folded(f"x-forwarded-{name}") == []
    for name in ("x-real-ip", "forwarded", "x-client-ip", "true-client-ip", "via"):
        assert received.folded(name) == []


@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-Client-Cert",  # Envoy's identity of a client
        "X-Forwarded-Access-Token",
        "X-Forwarded-By",
        "x_forwarded_anything-else",
        "X-Original-Forwarded-For",
        "X-Original-Method",
        # CVE-2025-61780: Rack takes from these which file the proxy is to send.
        "X-Sendfile-Type",
        "X-Accel-Mapping",
        "x_accel_mapping",
    ],
)
def test_s6_what_only_a_proxy_may_say_is_removed(plane: Plane, name: str) -> None:
    for raw in (get("/public/x", f"{name}: forged".encode()), get("/required/x", bearer(), f"{name}: forged".encode())):
        assert forwarded(plane, raw).folded(name) == []


@pytest.mark.parametrize(
    "line",
    [
        b"X-Original-URL: /admin",
        b"X-Rewrite-URL: /admin",
        b"X_Original_Url: /admin",
        b"X-Original-URI: /admin",
        b"X-Forwarded-Uri: /admin",
        b"X-Forwarded-Path: /admin",
        b"X-Envoy-Original-Path: /admin",
    ],
)
def test_s24_other_paths_are_not_named_to_the_upstream(plane: Plane, line: bytes) -> None:
    received = forwarded(plane, get("/public/x", line))
    assert b"/admin" not in received.head


@pytest.mark.parametrize(
    "name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x-http-method-override"]
)
def test_s24_method_override_passes_only_where_the_method_decides_nothing(plane: Plane, name: str) -> None:
    line = f"{name}: DELETE".encode()
    assert forwarded(plane, get("/read/x", line)).folded(name) == []
    assert forwarded(plane, get("/public/x", line)).folded(name) == ["DELETE"]
    assert forwarded(plane, get("/public/x", line.replace(b"-", b"_"))).folded(name) == []


def test_s10_authorization_goes_on_only_where_the_route_says_so(plane: Plane) -> None:
    line = bearer()
    token = line.decode().partition(": ")[2]
    assert forwarded(plane, get("/required/x", line)).folded("authorization") == []
    assert forwarded(plane, get("/public/x", b"Authorization: Basic YQ==")).folded("authorization") == []
    assert forwarded(plane, get("/keep/x", line)).folded("authorization") == [token]
    assert forwarded(plane, get("/keep/x", line, b"Authorization_: x")).values("authorization") == [token]


def test_host_is_the_clients_or_the_upstreams(plane: Plane) -> None:
    own = f"127.0.0.1:{plane.upstream.port}"
    assert forwarded(plane, get("/public/x")).folded("host") == ["api.example.org"]
    received = forwarded(plane, get("/host/x"))
    assert received.folded("host") == [own]
    assert received.folded("x-forwarded-host") == ["api.example.org"]


@pytest.mark.parametrize(
    "host", ["api.example.org:8080", "[::1]:80", "127.0.0.1", "localhost", "API.Example.org", "a_b.test"]
)
def test_s12_valid_hosts_pass_as_they_are(plane: Plane, host: str) -> None:
    raw = b"GET /public/x HTTP/1.1\r\nHost: %b\r\n\r\n" % host.encode()
    assert forwarded(plane, raw).folded("host") == [host]


def test_s14_the_whole_upstream_head(plane: Plane) -> None:
    lines = [
        b"Accept:  */* ",
        b"X-Empty:",
        b"cookie: a=b; c=d",
        b"Cookie: e=f",
        b"X-Bytes: \xff",
        b"X-Request-Id: client-id-1",
    ]
    received = forwarded(plane, post("/required/x", b"body", bearer(), *lines, b"Via: 1.1 other"))
    assert received.head.startswith(b"POST /required/x HTTP/1.1\r\nHost: api.example.org\r\n")
    assert sorted((name.lower(), value) for name, value in received.fields) == [
        ("accept", "*/*"),
        ("content-length", "4"),
        ("cookie", "a=b; c=d"),
        ("cookie", "e=f"),
        ("host", "api.example.org"),
        ("via", "1.1 other"),
        ("x-bytes", "\xff"),
        ("x-empty", ""),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "api.example.org"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "client-id-1"),
        ("x-user-id", "1"),
    ]


# Request ids.


@pytest.mark.parametrize("sent", ["12345678", "a-b_c.d-0123456789", "x" * 64])
def test_request_id_of_the_client_is_taken(plane: Plane, sent: str) -> None:
    raw = get("/public/x", f"X-Request-Id: {sent}".encode())
    assert plane.ask(raw).values("x-request-id") == [sent]
    assert plane.upstream.only().folded("x-request-id") == [sent]


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (b"X-Request-Id:",),
        (b"X-Request-Id: short",),
        (b"X-Request-Id: " + b"x" * 65,),
        (b'X-Request-Id: "12345678"',),
        (b"X-Request-Id: 1234 5678",),
        (b"X-Request-Id: 12345678\xff",),
        (b"X-Request-Id: 12345678", b"X-Request-Id: 87654321"),
        (b"X_Request_Id: 12345678",),
    ],
)
def test_request_id_that_cannot_stand_in_a_log_is_replaced(plane: Plane, lines: tuple[bytes, ...]) -> None:
    answer = plane.ask(get("/public/x", *lines))
    (request_id,) = answer.values("x-request-id")
    assert plane.upstream.only().folded("x-request-id") == [request_id]
    assert "1234" not in request_id.partition("-")[2]
    assert len(request_id) >= 8


def test_request_id_is_on_every_answer_and_ours_alone(plane: Plane) -> None:
    plane.upstream.play(answers(plain(b"x", b"X-Request-Id: backend-own-id")))
    line = b"X-Request-Id: client-id-1"
    for raw in (get("/public/x", line), get("/required/x", line), get("/nowhere", line), get("/api/token/", line)):
        assert plane.ask(raw).values("x-request-id") == ["client-id-1"]
    preflight = (line, ORIGIN, b"Access-Control-Request-Method: GET")
    assert plane.ask(get("/required/x", *preflight, method="OPTIONS")).values("x-request-id") == ["client-id-1"]
    assert len(plane.ask(b"GET / HTTP/1.1\r\n\r\n").values("x-request-id")) == 1
