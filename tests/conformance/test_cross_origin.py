"""Cross-origin access (Fetch §3.3): answered by the gateway, and on refusals as well.

A browser shows a script nothing of a 401 without these fields, so that a client would never refresh its token.
"""

from collections.abc import Iterator

import pytest

from tests.integration.data_plane import HOST, Plane, bearer, get, post, running_plane
from tests.integration.raw_client import assert_refusal
from tests.integration.scripted_upstream import answers, plain, refusing_port

ORIGIN = b"Origin: https://app.example.org"


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    cors = {"allow_origins": ["https://app.example.org"], "max_age": "10m"}
    own = {"allow_origins": ["https://shop.example.org"], "allow_methods": ["GET"], "allow_credentials": True}
    routes = [
        {"path": "/own", "upstream": "main", "stateless": True, "cors": own, "max_body_bytes": "4B"},
        {"path": "/theirs", "upstream": "main", "stateless": True, "cors": "upstream"},
        {"path": "/theirs/public", "upstream": "main", "access": "public", "cors": "upstream"},
        {"path": "/dead", "upstream": "dead", "access": "public"},
        {"path": "/anybody", "upstream": "main", "access": "public", "cors": {"allow_origins": ["*"]}},
    ]
    with refusing_port() as dead:
        servers = {"dead": {"servers": [f"http://127.0.0.1:{dead}"]}}
        folder = tmp_path_factory.mktemp("cross-origin")
        with running_plane(folder, cors=cors, routes=routes, further_upstreams=servers) as plane:
            yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


def test_preflight_is_answered_without_a_token(plane: Plane) -> None:
    lines = (ORIGIN, b"Access-Control-Request-Method: PUT", b"Access-Control-Request-Headers: authorization")
    with plane.connect() as client:
        for target in ("/required/x", "/public/x", "/nowhere", "/api/token/"):
            client.send(get(target, *lines, method="OPTIONS"))
            answer = client.read()
            assert answer.status == 204
            assert answer.field("access-control-allow-origin") == "https://app.example.org"
            assert "PUT" in (answer.field("access-control-allow-methods") or "")
            assert "authorization" in (answer.field("access-control-allow-headers") or "")
            assert answer.field("access-control-max-age") == "600"
            assert answer.field("vary") == "Origin"
    assert plane.upstream.requests == []


def test_preflight_of_another_origin_gets_no_permission(plane: Plane) -> None:
    for origin in (b"https://evil.example.org", b"null", b"https://app.example.org.evil", b"HTTPS://APP.EXAMPLE.ORG"):
        lines = (b"Origin: " + origin, b"Access-Control-Request-Method: PUT")
        answer = plane.ask(get("/required/x", *lines, method="OPTIONS"))
        assert not [name for name, _ in answer.fields if name.startswith("access-control-")]
    assert plane.upstream.requests == []


@pytest.mark.parametrize("lines", [(), (ORIGIN,), (b"Access-Control-Request-Method: PUT",)])
def test_options_that_is_no_preflight_needs_the_token(plane: Plane, lines: tuple[bytes, ...]) -> None:
    assert_refusal(plane.ask(get("/required/x", *lines, method="OPTIONS")), 401)


@pytest.mark.parametrize(
    "raw",
    [
        get("/required/x", ORIGIN),
        get("/required/x", ORIGIN, b"Authorization: Bearer x"),
        get("/nowhere", ORIGIN),
        get("/admin/x", ORIGIN, bearer()),
        get("/public/x", ORIGIN),
        post("/api/token/", b"{}", ORIGIN, b"Content-Type: application/json"),
        b"GET /public/.. HTTP/1.1\r\n" + HOST + b"\r\n" + ORIGIN + b"\r\n\r\n",
        get("/public/x", ORIGIN, b"Content-Length: 2000000000", method="POST"),
        get("/read/x", ORIGIN, method="DELETE"),
        get("/dead/x", ORIGIN),
    ],
    ids=["401", "401-bad-token", "404", "403", "200", "login-400", "400-target", "413", "405", "502"],
)
def test_cors_fields_are_on_every_answer(plane: Plane, raw: bytes) -> None:
    plane.upstream.play(
        answers(plain(b"x", b"Access-Control-Allow-Origin: *", b"Access-Control-Allow-Credentials: true"))
    )
    answer = plane.ask(raw)
    assert answer.values("access-control-allow-origin") == ["https://app.example.org"]
    assert answer.values("access-control-allow-credentials") == []
    assert "x-request-id" in (answer.field("access-control-expose-headers") or "").lower()
    assert "Origin" in (answer.field("vary") or "")


def test_other_origins_see_nothing_and_caches_know_it(plane: Plane) -> None:
    for lines in ((b"Origin: https://evil.example.org",), ()):
        answer = plane.ask(get("/required/x", *lines))
        assert (answer.field("access-control-allow-origin"), answer.field("vary")) == (None, "Origin")


# A route's own rules take the place of the global ones, as a whole.

OWN_ORIGIN = b"Origin: https://shop.example.org"
ASKED_METHOD = b"Access-Control-Request-Method: PUT"
THEIRS = (b"Access-Control-Allow-Origin: https://theirs.example.org", b"access-control-max-age: 7", b"Vary: Accept")


def test_preflight_is_answered_by_the_rules_of_its_route(plane: Plane) -> None:
    answer = plane.ask(get("/own/x", OWN_ORIGIN, ASKED_METHOD, method="OPTIONS"))
    assert answer.status == 204
    assert answer.field("access-control-allow-origin") == "https://shop.example.org"
    assert answer.field("access-control-allow-methods") == "GET"
    assert answer.field("access-control-allow-credentials") == "true"
    answer = plane.ask(get("/own/x", ORIGIN, ASKED_METHOD, method="OPTIONS"))
    assert not [name for name, _ in answer.fields if name.startswith("access-control-")]
    assert plane.upstream.requests == []


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (get("/own/x", OWN_ORIGIN), 401),
        (get("/own/x", OWN_ORIGIN, bearer(), method="POST"), 200),
        (post("/own/x", b"12345", OWN_ORIGIN, bearer()), 413),
    ],
    ids=["401", "200", "413"],
)
def test_answers_have_the_fields_of_their_route(plane: Plane, raw: bytes, status: int) -> None:
    plane.upstream.play(answers(plain(b"x", *THEIRS)))
    answer = plane.ask(raw)
    assert answer.status == status
    assert answer.values("access-control-allow-origin") == ["https://shop.example.org"]
    assert answer.values("access-control-allow-credentials") == ["true"]
    assert answer.values("access-control-max-age") == []
    # The other route's origin is nobody here.
    assert plane.ask(raw.replace(OWN_ORIGIN, ORIGIN)).values("access-control-allow-origin") == []


def test_route_for_anybody_needs_no_vary(plane: Plane) -> None:
    answer = plane.ask(get("/anybody/x", ORIGIN))
    assert (answer.field("access-control-allow-origin"), answer.field("vary")) == ("*", None)


def test_s23_preflight_is_a_request_like_any_other_where_the_backend_answers(plane: Plane) -> None:
    preflight = (ORIGIN, ASKED_METHOD)
    refused = plane.ask(get("/theirs/x", *preflight, method="OPTIONS"))
    assert_refusal(refused, 401)
    assert not [name for name, _ in refused.fields if name.startswith("access-control-")]
    assert refused.field("vary") is None
    assert plane.upstream.requests == []
    assert plane.ask(get("/theirs/public/x", *preflight, method="OPTIONS")).status == 200
    assert plane.upstream.only().values("access-control-request-method") == ["PUT"]


@pytest.mark.parametrize("target", ["/theirs/x", "/theirs/public/x"])
def test_fields_of_the_backend_pass_where_the_backend_answers(plane: Plane, target: str) -> None:
    plane.upstream.play(answers(plain(b"x", *THEIRS)))
    answer = plane.ask(get(target, ORIGIN, bearer()))
    assert answer.values("access-control-allow-origin") == ["https://theirs.example.org"]
    assert answer.values("access-control-max-age") == ["7"]
    assert answer.values("vary") == ["Accept"]
    # The same connection to the same backend, on a route where they give way.
    answer = plane.ask(get("/public/x", ORIGIN))
    assert answer.values("access-control-allow-origin") == ["https://app.example.org"]
    assert answer.values("access-control-max-age") == []
    assert answer.values("vary") == ["Accept", "Origin"]


def test_token_endpoints_follow_the_global_rules(plane: Plane) -> None:
    answer = plane.ask(post("/api/token/", b"{}", OWN_ORIGIN, b"Content-Type: application/json"))
    assert (answer.status, answer.values("access-control-allow-origin")) == (400, [])
    answer = plane.ask(get("/api/token/", ORIGIN, b"Access-Control-Request-Method: POST", method="OPTIONS"))
    assert answer.field("access-control-allow-origin") == "https://app.example.org"
