"""Request targets: one canonical form decides and is what the upstream gets, or there is no request at all."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.data_plane import HOST, Plane, bearer, chunked, get, post, running_plane
from tests.integration.raw_client import assert_refusal


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    # `/` is required here: whatever is not matched by a rule of its own must not be public.
    routes = [
        {"path": "/", "upstream": "main", "stateless": True},
        {"path": "/public/private", "upstream": "main", "stateless": True},
        {"path": "/public/x:y", "upstream": "main", "stateless": True},
        {"path": "/public/private/shop~v1", "upstream": "main", "access": "public"},
        {"path": "/Public", "upstream": "main", "stateless": True, "roles": ["nobody"]},
    ]
    with running_plane(tmp_path_factory.mktemp("targets"), routes=routes) as plane:
        yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


# Checklist 20, 21; RFC 3986 §3.3, §5.2.4, §6.2.2. CVE-2021-29492 (Envoy), CVE-2022-23635, CVE-2023-28155, CVE-2024-45410,
# GHSA-7mm5-x9v8-57cr: each is a path that proxy and backend read differently.
REFUSED: dict[str, bytes] = {
    "dot": b"/public/./required",
    "dot-last": b"/public/.",
    "dot-first": b"/./required",
    "dots": b"/public/../required",
    "dots-last": b"/public/..",
    "dots-first": b"/../required",
    "dots-slash-last": b"/public/../",
    "dots-before-query": b"/public/..?x",
    "dots-escaped": b"/public/%2e%2e/required",
    "dots-escaped-upper": b"/public/%2E%2E/required",
    "dots-half-escaped": b"/public/.%2e/required",
    "dots-half-escaped-other": b"/public/%2e./required",
    "dot-escaped": b"/public/%2e/required",
    "dots-parameter": b"/public/..;/required",
    "dots-parameter-named": b"/public/..;x=1/required",
    "dots-backslash": b"/public/..\\required",
    "dots-escaped-slash": b"/public/..%2frequired",
    "dots-nul": b"/public/..%00/required",
    "slash-escaped": b"/public%2frequired",
    "slash-escaped-upper": b"/public%2Frequired",
    "backslash": b"/public\\required",
    "backslash-escaped": b"/public%5crequired",
    "backslash-escaped-upper": b"/public%5Crequired",
    "backslash-first": b"/\\required",
    "nul-escaped": b"/public/%00",
    "nul-escaped-behind": b"/required%00.png",
    "newline-escaped": b"/public/%0a",
    "return-escaped": b"/public/%0d%0aX-User-Id:%201",
    "tab-escaped": b"/public/%09",
    "del-escaped": b"/public/%7f",
    "semicolon": b"/public;/required",
    "semicolon-parameter": b"/public/x;jsessionid=1",
    "semicolon-escaped": b"/public/x%3bjsessionid=1",
    "semicolon-escaped-upper": b"/public/x%3B",
    "slashes": b"/public//required",
    "slashes-first": b"//required",
    "slashes-first-host": b"//other.example.org/required",
    "slashes-last": b"/public//",
    "slashes-three": b"///",
    "fragment": b"/public/x#y",
    "fragment-first": b"/#/required",
    "fragment-in-query": b"/public/x?y#z",
    "double-escape": b"/public/%252e%252e/required",
    "double-escape-slash": b"/public%252frequired",
    "double-escape-twice": b"/public/%25252e",
    "double-escape-in-pieces": b"/public/%25%32%65%25%32%65/required",
    "double-escape-in-half": b"/public/%252%65",
    "rule-spelt-with-an-escape": b"/public/x%3ay",
    "rule-before-escaped-query": b"/public/private%3fx",
    "rule-before-escaped-fragment": b"/public/private%23x",
    "escape-broken": b"/public/%",
    "escape-one-digit": b"/public/%2",
    "escape-not-hex": b"/public/%zz",
    "escape-blank": b"/public/%2 ",
    "escape-plus": b"/public/%+2",
    "escape-utf16": b"/public/%u002e%u002e/required",
    "escape-last-in-path": b"/public/%?2e",
    "not-ascii": b"/public/\xc3\xa9",
    "not-ascii-latin": b"/public/\xe9",
    "not-ascii-in-query": b"/public/x?\xc3\xa9",
    "overlong-dot": b"/public/\xc0\xae\xc0\xae/required",
    # What no encoder writes, and lenient decoders read: CVE-2000-0884 (IIS), CVE-2008-2938 (Java).
    "overlong-dots-escaped": b"/public/%c0%ae%c0%ae/required",
    "overlong-slash-escaped": b"/public%C0%AFrequired",
    "overlong-letter-escaped": b"/publi%c1%a3/required",
    "overlong-slash-in-three": b"/public%e0%80%afrequired",
    "overlong-dot-in-four": b"/public/%f0%80%80%ae./required",
    "control": b"/public/\x01",
    "del": b"/public/\x7f",
    "absolute-dots": b"http://api.example.org/public/../required",
    "absolute-slashes": b"http://api.example.org//required",
    "absolute-fragment": b"http://api.example.org/public#x",
    "empty-query-segment-dots": b"/public/%2e%2e?",
}


@pytest.mark.parametrize("target", REFUSED.values(), ids=[f"s21-{name}" for name in REFUSED])
def test_target_with_two_readings_is_refused(plane: Plane, target: bytes) -> None:
    """With a token as well: who may pass everywhere must not make the upstream read another path either."""
    for lines in ((), (bearer(roles=["admin"]),)):
        raw = b"\r\n".join([b"GET " + target + b" HTTP/1.1", HOST, *lines, b"", b""])
        answer = plane.ask(raw)
        assert_refusal(answer, 400)
        assert answer.field("connection") == "close"
    assert plane.upstream.requests == []


# Checklist 20; RFC 3986 §6.2.2.1, §6.2.2.2. Escaped: what browsers leave alone and RFC 3986 has no place for.
CANONICAL: dict[str, tuple[str, str]] = {
    "plain": ("/public/a-b_c.d~e", "/public/a-b_c.d~e"),
    "sub-delims": ("/public/!$&'()*+,=:@", "/public/!$&'()*+,=:@"),
    "slash-last": ("/public/", "/public/"),
    "dots-in-names": ("/public/...", "/public/..."),
    "dot-names": ("/public/.well-known/..a/a..", "/public/.well-known/..a/a.."),
    "unreserved-escaped": ("/public/%41%7a%30%2D%5f%7E", "/public/Az0-_~"),
    "dot-escaped-in-name": ("/public/a%2eb", "/public/a.b"),
    "escape-case": ("/public/%c3%a9", "/public/%C3%A9"),
    "escape-kept": ("/public/%20%2B%3A%40", "/public/%20%2B%3A%40"),
    "escape-of-query-mark": ("/public/%3fx", "/public/%3Fx"),
    "escape-of-hash": ("/public/%23x", "/public/%23x"),
    "escape-of-percent": ("/public/100%25", "/public/100%25"),
    "escape-of-percent-word": ("/public/%25zz", "/public/%25zz"),
    "prefix-escaped": ("/%70ublic/x", "/public/x"),
    "browser-brackets": ("/public/a[0]", "/public/a%5B0%5D"),
    "browser-bar": ("/public/a|b", "/public/a%7Cb"),
    "browser-rest": ('/public/"<>^`{}', "/public/%22%3C%3E%5E%60%7B%7D"),
    "query": ("/public/x?a=1&b=%2F..;//\\|[]{}%zz%", "/public/x?a=1&b=%2F..;//\\|[]{}%zz%"),
    "query-marks": ("/public/x??a?", "/public/x??a?"),
    "query-dots": ("/public/x?../../required", "/public/x?../../required"),
    "query-url": ("/public/x?u=http://h/%252e", "/public/x?u=http://h/%252e"),
    "query-escape-case": ("/public/x?%c3%a9%41", "/public/x?%c3%a9%41"),
    "query-empty": ("/public/x?", "/public/x?"),
    "query-after-prefix": ("/public?x", "/public?x"),
    "absolute": ("http://api.example.org/public/x?y", "/public/x?y"),
    "absolute-escapes": ("http://api.example.org/%70ublic/%c3", "/public/%C3"),
}


@pytest.mark.parametrize(("sent", "forwarded"), CANONICAL.values(), ids=[f"s20-{name}" for name in CANONICAL])
def test_upstream_gets_the_canonical_target(plane: Plane, sent: str, forwarded: str) -> None:
    for _ in range(2):
        assert plane.ask(get(sent)).status == 200
    assert plane.upstream.targets() == [forwarded] * 2


@pytest.mark.parametrize(("query", "forwarded"), [("", "/"), ("?x=1", "/?x=1")])
def test_rfc9112_3_2_1_absolute_form_without_path_is_the_root(plane: Plane, query: str, forwarded: str) -> None:
    assert plane.ask(get("http://api.example.org" + query, bearer())).status == 200
    assert plane.upstream.targets() == [forwarded]


def test_rfc9112_3_2_4_options_without_a_path_asks_for_the_root(plane: Plane) -> None:
    """The last proxy would make `*` of it; behind this one there is a path that a rule stands for, and nothing else."""
    assert plane.ask(get("http://api.example.org", bearer(), method="OPTIONS")).status == 200
    assert_refusal(plane.ask(get("http://api.example.org", method="OPTIONS")), 401)
    assert plane.upstream.targets() == ["/"]


# RFC 9110 §7.2, RFC 3986 §3.2.2; checklist 24, 26. As sent, so that the links that a backend makes are the client's.
HOSTS = [
    b"api",
    b"API.Example.ORG",
    b"api.example.org.",
    b"my_service.internal",
    b"xn--bcher-kva.example",
    b"a~b-c.example",
    b"127.0.0.1",
    b"api.example.org:80",
    b"api.example.org:8443",
    b"api.example.org:65535",
    b"api.example.org:00080",
    b"[::1]",
    b"[2001:DB8::1]:8443",
    b"[::ffff:192.0.2.1]",
]


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: "s12-" + host.decode())
def test_odd_but_valid_host_goes_on_as_it_is(plane: Plane, host: bytes) -> None:
    for line in (b"Host: " + host, b"host:" + host + b" \t"):
        assert plane.ask(b"GET /public/x HTTP/1.1\r\n%b\r\n\r\n" % line).status == 200
        absolute = b"GET http://%b/public/x HTTP/1.1\r\n%b\r\n\r\n" % (host.lower(), line)
        assert plane.ask(absolute).status == 200
    for received in plane.upstream.requests:
        assert received.values("host") == received.values("x-forwarded-host") == [host.decode()]
        assert received.target == "/public/x"


# Checklist 22, 23, 28: who is asked for a token shows which rule was found.
ROUTED: dict[str, tuple[str, int]] = {
    "prefix-itself": ("/public", 200),
    "prefix-slash": ("/public/", 200),
    "below": ("/public/x/y/z", 200),
    "whole-segments": ("/publicx", 401),
    "whole-segments-dot": ("/public.json", 401),
    "longest": ("/public/private", 401),
    "longest-below": ("/public/private/x", 401),
    "longest-whole-segments": ("/public/privately", 200),
    "longest-escaped": ("/public/%70rivate", 401),
    "longest-of-three": ("/public/private/shop~v1/x", 200),
    "longest-of-three-escaped": ("/public/private/shop%7Ev1", 200),
    "open-inside-roles": ("/admin/open/x", 200),
    "roles-around-open": ("/admin/opened", 401),
    "case": ("/PUBLIC/x", 401),
    "case-of-a-rule": ("/Public/x", 401),
    "not-by-query": ("/x?/public", 401),
    "not-by-query-of-prefix": ("/?=/public/x", 401),
    "root": ("/", 401),
}


@pytest.mark.parametrize(("target", "status"), ROUTED.values(), ids=[f"s22-{name}" for name in ROUTED])
def test_longest_prefix_of_whole_segments_decides(plane: Plane, target: str, status: int) -> None:
    assert plane.ask(get(target)).status == status
    assert len(plane.upstream.requests) == (status == 200)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "PURGE"])
def test_s23_every_method_needs_the_token(plane: Plane, method: str) -> None:
    assert_refusal(plane.ask(get("/required/x", method=method)), 401)
    assert plane.ask(get("/required/x", bearer(), method=method)).status == 200
    assert [received.method for received in plane.upstream.requests] == [method]


@pytest.mark.parametrize(
    "line",
    [
        b"X-Original-URL: /public/x",
        b"X-Rewrite-URL: /public/x",
        b"X-Original-URI: /public/x",
        b"X-Forwarded-For: 127.0.0.1",
        b"X-Forwarded-Uri: /public/x",
        b"X-Forwarded-Method: OPTIONS",
        b"X-HTTP-Method-Override: OPTIONS",
        b"User-Agent: GoogleHC/1.0",
        b"User-Agent: kube-probe/1.30",
        b"Origin: http://api.example.org",
        b"Upgrade: websocket",
        b"Authorization: Basic YWxpY2U6YWxpY2U=",
        b"Cookie: access=1; Authorization=Bearer",
        b"Proxy-Authorization: Bearer x",
    ],
    ids=lambda line: "s24-" + line.decode().split(":", maxsplit=1)[0],
)
def test_no_other_field_opens_a_route(plane: Plane, line: bytes) -> None:
    assert_refusal(plane.ask(get("/required/x", line)), 401)
    assert plane.upstream.requests == []


GOOD_TOKEN = bearer().removeprefix(b"Authorization: Bearer ")
OTHER_PLACES = {
    "query": get("/required/x?token=%b&access_token=%b&jwt=%b"),
    "form": post("/required/x", b"access_token=" + GOOD_TOKEN, b"Content-Type: application/x-www-form-urlencoded"),
    "cookie": get("/required/x", b"Cookie: access=%b; access_token=%b; Authorization=Bearer %b"),
    "proxy-authorization": get("/required/x", b"Proxy-Authorization: Bearer %b"),
    "other-field": get("/required/x", b"X-Access-Token: %b", b"X-Authorization: Bearer %b", b"Access-Token: %b"),
    "other-spelling": get("/required/x", b"Authorization_: Bearer %b", b"HTTP_AUTHORIZATION: Bearer %b"),
    "path": get("/required/%b"),
    "trailer": chunked("/required/x", b"0\r\nAuthorization: Bearer %b\r\n\r\n"),
}


@pytest.mark.parametrize("raw", OTHER_PLACES.values(), ids=[f"s40-{name}" for name in OTHER_PLACES])
def test_token_counts_in_its_field_alone(plane: Plane, raw: bytes) -> None:
    assert_refusal(plane.ask(raw.replace(b"%b", GOOD_TOKEN)), 401)
    assert plane.upstream.requests == []
    assert plane.ask(get("/required/x", b"Authorization: Bearer " + GOOD_TOKEN)).status == 200


def test_s24_host_does_not_choose_the_rule(plane: Plane) -> None:
    assert_refusal(plane.ask(b"GET /required HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"), 401)


# Policy of a route: authentication, then method, then roles.
POLICY: dict[str, tuple[bytes, int]] = {
    "public-anonymous": (get("/public/x"), 200),
    "public-token": (get("/public/x", bearer()), 200),
    "public-bad-token": (get("/public/x", b"Authorization: Bearer x"), 200),
    "optional-anonymous": (get("/optional/x"), 200),
    "optional-token": (get("/optional/x", bearer()), 200),
    "optional-bad-token": (get("/optional/x", b"Authorization: Bearer x"), 401),
    "optional-two-tokens": (get("/optional/x", bearer(), bearer()), 401),
    "required-token": (get("/required/x", bearer()), 200),
    "required-anonymous": (get("/required/x"), 401),
    "required-expired": (get("/required/x", bearer(exp=1)), 401),
    "required-refresh-token": (get("/required/x", bearer(token_type="refresh")), 401),
    "method-allowed": (get("/read/x"), 200),
    "method-head": (get("/read/x", method="HEAD"), 200),
    "method-refused": (get("/read/x", method="DELETE"), 405),
    "method-options": (get("/read/x", method="OPTIONS"), 405),
    "method-lookalike": (get("/read/x", method="PROPFIND"), 405),
    "roles-none": (get("/admin/x", bearer()), 403),
    "roles-other": (get("/admin/x", bearer(roles=["user", "administrator"])), 403),
    "roles-one-of": (get("/admin/x", bearer(roles=["user", "admin"])), 200),
    "roles-case": (get("/admin/x", bearer(roles=["Admin"])), 403),
    "roles-text": (get("/admin/x", bearer(roles="admin")), 403),
    "roles-object": (get("/admin/x", bearer(roles={"admin": True})), 403),
    "roles-mixed": (get("/admin/x", bearer(roles=["admin", 1])), 403),
    "roles-anonymous": (get("/admin/x"), 401),
}


@pytest.mark.parametrize(("raw", "status"), POLICY.values(), ids=POLICY.keys())
def test_route_says_who_may_pass(plane: Plane, raw: bytes, status: int) -> None:
    for _ in range(2):
        answer = plane.ask(raw)
        if status != 200:
            assert_refusal(answer, status)
        assert answer.status == status
    assert len(plane.upstream.requests) == 2 * (status == 200)


def test_refused_method_names_the_allowed_ones(plane: Plane) -> None:
    assert plane.ask(get("/read/x", method="DELETE")).field("allow") == "GET, HEAD"


@pytest.mark.parametrize(
    "target", ["/api/token/", "/api/token", "/api/%74oken/", "/api/token/?x=1", "/api/token/refresh"]
)
def test_s59_token_endpoints_never_reach_the_upstream(plane: Plane, target: str) -> None:
    answer = plane.ask(get(target, bearer()))
    assert answer.status == 405
    assert answer.json() == {"detail": 'Method "GET" not allowed.'}
    assert plane.upstream.requests == []


@pytest.mark.parametrize("target", ["/api/token/x", "/api/tokens", "/API/TOKEN/", "/api/token.json", "/x/api/token/"])
def test_s28_other_paths_are_no_token_endpoints(plane: Plane, target: str) -> None:
    assert_refusal(plane.ask(get(target, method="POST")), 401)


# Any target: it is refused, or it has one reading by the strictest grammar, and the rule of that reading was asked.

SEGMENTS = st.one_of(
    st.sampled_from(
        ["public", "required", ".", "..", "%2e", "%2E%2e", "%2f", ";", "%00", "a", "", "%25", "%41", "\\", "%"]
    ),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=4),
)
TARGETS = st.lists(SEGMENTS, min_size=1, max_size=5).map(lambda segments: "/" + "/".join(segments))
CANONICAL_TARGET = re.compile(r"((?:/(?!\.\.?(?:/|\?|$))(?:[A-Za-z0-9._~!$&'()*+,=:@-]|%[0-9A-F]{2})*)+)(\?[!-~]*)?")
ESCAPES_WITH_MEANING = re.compile(r"%(?:2F|5C|00|3B|25(?=[0-9A-Fa-f]{2})|0[0-9A-F]|1[0-9A-F]|7F)")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(target=TARGETS)
def test_s20_any_target_is_refused_or_has_one_reading(plane: Plane, target: str) -> None:
    plane.upstream.requests.clear()
    answer = plane.ask(get(target))
    if answer.status != 200:
        assert answer.status in {400, 401, 403}, answer
        assert plane.upstream.requests == []
        return
    (forwarded,) = plane.upstream.targets()
    matched = CANONICAL_TARGET.fullmatch(forwarded)
    assert matched, forwarded
    path = matched[1]
    assert "//" not in path
    assert not ESCAPES_WITH_MEANING.search(path), path
    assert re.match(r"/public(?:/|$)(?!private(?:/|$))", path) or path.startswith(("/optional", "/read", "/host")), path
