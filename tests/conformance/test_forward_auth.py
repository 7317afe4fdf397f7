"""Questions of other proxies, byte by byte: what is asked about has the verdict that it would have by itself."""

from collections.abc import Iterator

import pytest

from tests.conformance.test_targets import REFUSED
from tests.integration.data_plane import Plane, bearer, chunked, get, post, running_plane
from tests.integration.raw_client import Answer, assert_refusal

PROXY, TRUSTED, CLIENT = "127.0.0.2", "127.0.0.3", "127.0.0.1"
SECTIONS = {
    "listen": {"trusted_proxies": [PROXY, TRUSTED]},
    "cors": {"allow_origins": ["https://app.example.org"]},
    "routes": [{"path": "/", "upstream": "main", "stateless": True, "roles": ["nobody"]}],
}


@pytest.fixture(scope="module")
def by_fields(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("fields")
    with running_plane(folder, forward_auth={"proxies": [PROXY]}, **SECTIONS) as plane:
        yield plane


@pytest.fixture(scope="module")
def by_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("target")
    with running_plane(folder, forward_auth={"proxies": [PROXY], "request_in": "target"}, **SECTIONS) as plane:
        yield plane


@pytest.fixture(autouse=True)
def nothing_goes_further(by_fields: Plane, by_target: Plane) -> Iterator[None]:
    for plane in (by_fields, by_target):
        plane.upstream.begin()
    yield
    for plane in (by_fields, by_target):
        assert plane.upstream.requests == []


def about(method: bytes, uri: bytes, *lines: bytes, target: str = "/forward-auth") -> bytes:
    return get(target, b"X-Forwarded-Method: " + method, b"X-Forwarded-Uri: " + uri, *lines)


def asked(plane: Plane, question: bytes) -> Answer:
    return plane.ask(question, source=PROXY)


ADMIN = bearer(roles=["admin"])

# (method, target, lines) → status, code, identity.
VERDICTS: dict[str, tuple[bytes, bytes, tuple[bytes, ...], int, str | None, list[str]]] = {
    "good": (b"GET", b"/required/x?y=z", (bearer(),), 200, None, ["1"]),
    "post": (b"POST", b"/required/x", (bearer(),), 200, None, ["1"]),
    "role": (b"GET", b"/admin/x", (ADMIN,), 200, None, ["1"]),
    "wrong-role": (b"GET", b"/admin/x", (bearer(),), 403, "permission_denied", []),
    "no-token": (b"GET", b"/required/x", (), 401, None, []),
    "public": (b"GET", b"/public/x", (bearer(), b"X-User-Id: 7"), 200, None, []),
    "optional": (b"GET", b"/optional/x", (), 200, None, []),
    "optional-bad": (b"GET", b"/optional/x", (b"Authorization: Bearer x",), 401, "token_not_valid", []),
    "allowed-method": (b"HEAD", b"/read/x", (), 200, None, []),
    "other-method": (b"DELETE", b"/read/x", (), 405, "method_not_allowed", []),
    "unknown-method": (b"BREW", b"/read/x", (), 405, "method_not_allowed", []),
    "trace": (b"TRACE", b"/public/x", (), 501, "method_not_supported", []),
    "small-method": (b"get", b"/public/x", (), 400, "bad_request", []),
    # Checklist 23: a preflight carries no token, so it does not pass.
    "preflight": (
        b"OPTIONS",
        b"/required/x",
        (b"Origin: https://app.example.org", b"Access-Control-Request-Method: GET"),
        401,
        None,
        [],
    ),
    "user-agent": (b"GET", b"/required/x", (b"User-Agent: kube-probe/1.30",), 401, None, []),
    "log-in": (b"POST", b"/api/token/", (), 404, "no_route", []),
    "sessions": (b"GET", b"/api/token/sessions/x", (bearer(),), 404, "no_route", []),
    "endpoint": (b"GET", b"/forward-auth", (bearer(),), 404, "no_route", []),
    # No other proxy takes these out of what it passes on.
    "spelling": (b"GET", b"/public/x", (b"X_User_Id: 7",), 400, "forged_field", []),
    "spelling-with-dots": (b"GET", b"/required/x", (bearer(), b"x.user.id: 7"), 400, "forged_field", []),
    "other-preset": (b"GET", b"/required/x", (bearer(), b"Remote-User: 7"), 400, "forged_field", []),
    "path-override": (b"GET", b"/public/x", (b"X-Original-URL: /required",), 400, "forged_field", []),
    # Another proxy passes the path as it came, so what it is before it is canonical counts, too: `/` is nobody's here.
    "escaped-rule": (b"GET", b"/%70ublic/x", (), 400, "bad_target", []),
    "escaped-below": (b"GET", b"/public/%78", (), 200, None, []),
    "absolute": (b"GET", b"http://api.example.org/public/x", (), 400, "bad_target", []),
    "other-fields": (b"GET", b"/required/x", (b"X-Original-URI: /public", b"X-Original-Method: GET"), 401, None, []),
    "other-spellings": (
        b"GET",
        b"/required/x",
        (b"X_Forwarded_Uri: /public", b"X-Forwarded.Uri: /public"),
        401,
        None,
        [],
    ),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_s24_the_verdict_is_that_on_the_request_that_is_asked_about(by_fields: Plane, name: str) -> None:
    method, uri, lines, status, code, identity = VERDICTS[name]
    answer = asked(by_fields, about(method, uri, *lines))
    assert answer.values("x-user-id") == identity
    if status == 200:
        assert (answer.status, answer.body, answer.ended) == (200, b"", "length")
    else:
        assert_refusal(answer, status, code)


@pytest.mark.parametrize("name", [name for name in VERDICTS if name not in ("absolute", "other-spellings")])
def test_s24_so_it_is_where_the_request_line_says_it(by_target: Plane, name: str) -> None:
    method, uri, lines, status, code, identity = VERDICTS[name]
    if method == b"get":
        status = 400
    answer = asked(by_target, get("/forward-auth" + uri.decode(), *lines, method=method.decode()))
    assert answer.values("x-user-id") == identity
    if status == 200:
        assert (answer.status, answer.body) == (200, b"")
    else:
        assert_refusal(answer, status, code)


# Those with a rule in their name are about the routes of their own table; a blank is no part of any target.
PATHS = [name for name, target in REFUSED.items() if not name.startswith("rule-") and b" " not in target]


@pytest.mark.parametrize("name", PATHS)
def test_s20_s21_a_path_with_two_readings_has_the_verdict_of_the_request_itself(
    by_fields: Plane, by_target: Plane, name: str
) -> None:
    target = REFUSED[name].decode("latin-1")
    itself = by_fields.ask(get(target, bearer()))
    assert itself.status == 400
    for answer in (
        asked(by_fields, about(b"GET", REFUSED[name], bearer())),
        asked(by_target, get(f"/forward-auth{target}", bearer())),
    ):
        assert (answer.status, answer.json()["code"]) == (400, itself.json()["code"])


UNCLEAR = {
    "no-fields": get("/forward-auth", bearer()),
    "no-method": get("/forward-auth", b"X-Forwarded-Uri: /public", bearer()),
    "no-target": get("/forward-auth", b"X-Forwarded-Method: GET", bearer()),
    "two-targets": about(b"GET", b"/public", b"X-Forwarded-Uri: /required"),
    "two-equal-targets": about(b"GET", b"/public", b"x-forwarded-uri: /public"),
    "two-methods": about(b"GET", b"/public", b"X-Forwarded-Method: GET"),
    "behind-the-path": about(b"GET", b"/public", target="/forward-auth/"),
    "an-asterisk": get("/forward-auth*", method="OPTIONS"),
    "envoys-way": get("/forward-auth/public"),
    "only-in-another-spelling": get("/forward-auth", b"X_Forwarded_Uri: /public", b"X_Forwarded_Method: GET"),
    "only-nginxs-names": get("/forward-auth", b"X-Original-URI: /public", b"X-Original-Method: GET"),
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_s24_what_is_not_said_plainly_is_503(by_fields: Plane, name: str) -> None:
    assert_refusal(asked(by_fields, UNCLEAR[name]), 503, "question_unclear")


@pytest.mark.parametrize(
    "question",
    [about(b"GET", b"/public"), about(b"GET", b"/public", target="/forward-auth/public"), get("/forward-auth")],
)
def test_s24_fields_say_nothing_where_the_request_line_does(by_target: Plane, question: bytes) -> None:
    assert_refusal(asked(by_target, question), 503, "question_unclear")


def test_an_asterisk_behind_the_path_is_no_path(by_target: Plane) -> None:
    assert_refusal(asked(by_target, get("/forward-auth*", method="OPTIONS")), 400, "bad_target")


def test_a_question_as_envoys_documentation_has_it(by_target: Plane) -> None:
    """Method, path behind the prefix, Host, Authorization, no body, and what its client adds by itself."""
    for method, status in (("GET", 200), ("HEAD", 200), ("DELETE", 405)):
        question = get(
            "/forward-auth/read/x?y",
            bearer(),
            b"content-length: 0",
            b"x-envoy-internal: true",
            b"x-forwarded-for: 203.0.113.9,127.0.0.2",
            b"x-forwarded-proto: https",
            b"x-envoy-expected-rq-timeout-ms: 5000",
            method=method,
        )
        answer = asked(by_target, question)
        assert answer.status == status, answer
    marker = answer.field("x-request-id")
    by_target.upstream.wait_until(lambda: f'"{marker}"' in by_target.gateway.output())
    (line,) = (line for line in by_target.gateway.output().splitlines() if f'"{marker}"' in line)
    assert '"client":"203.0.113.9","method":"DELETE","path":"/read/x","route":"/read"' in line


@pytest.mark.parametrize("source", [CLIENT, TRUSTED])
@pytest.mark.parametrize("target", ["/forward-auth", "/forward-auth/public", "/forward-auth?x", "/forward-auth*"])
def test_s7_s24_nobody_else_may_ask(by_fields: Plane, by_target: Plane, source: str, target: str) -> None:
    for plane in (by_fields, by_target):
        answer = plane.ask(about(b"GET", b"/public", bearer(), target=target), source=source)
        assert_refusal(answer, 403, "question_denied")
        assert answer.values("x-user-id") == []


def test_s15_a_body_of_a_question_is_no_request(by_fields: Plane) -> None:
    smuggled = get("/public/x")
    lines = (b"X-Forwarded-Method: POST", b"X-Forwarded-Uri: /required/x", bearer())
    for question in (post("/forward-auth", smuggled, *lines), chunked("/forward-auth", b"5\r\nhello\r\n", *lines)):
        with by_fields.connect(source=PROXY) as proxy:
            proxy.send(question)
            assert proxy.read().status == 200
            if b"chunked" in question:
                assert proxy.rest() == b""


def test_questions_may_come_one_behind_the_other(by_fields: Plane) -> None:
    with by_fields.connect(source=PROXY) as proxy:
        proxy.send(
            about(b"GET", b"/required/x", bearer()) + about(b"GET", b"/admin/x", bearer()) + about(b"GET", b"/public")
        )
        assert [proxy.read().status for _ in range(3)] == [200, 403, 200]
