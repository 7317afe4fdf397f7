"""What a route may ask for its paths: odd ones that are refused otherwise, and another prefix for the backend.

Also where `;`, `//` or `%2F` are allowed, no reading of a path may fall on a rule other than the one that was asked
(checklist 20, 21).
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.data_plane import Plane, bearer, get, running_plane
from tests.integration.raw_client import assert_refusal
from tests.integration.scripted_upstream import answers, plain

EVERYTHING = ("semicolon", "double-slash", "encoded-slash")
ROUTES = [
    {"path": "/old", "access": "public", "allow_in_path": [*EVERYTHING]},
    {"path": "/old/admin", "stateless": True, "roles": ["admin"], "allow_in_path": [*EVERYTHING]},
    {"path": "/old/a:b", "stateless": True},
    {"path": "/semicolon", "access": "public", "allow_in_path": ["semicolon"]},
    {"path": "/slashes", "access": "public", "allow_in_path": ["double-slash"]},
    {"path": "/encoded", "access": "public", "allow_in_path": ["encoded-slash"]},
    {"path": "/app", "access": "public", "upstream_path": "/", "allow_in_path": [*EVERYTHING]},
    {"path": "/app/deep/er", "access": "public", "upstream_path": "/v2/api/"},
    {"path": "/front/", "access": "public", "upstream_path": "/index.php"},
    {"path": "/same", "access": "public"},
]


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    routes = [{"upstream": "main", **route} for route in ROUTES]
    with running_plane(tmp_path_factory.mktemp("path-options"), routes=routes) as plane:
        yield plane


@pytest.fixture
def plane(module_plane: Plane) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults


# What passes, and how the backend gets it: as it was sent, but for the case of escapes and those of plain characters.
ALLOWED: dict[str, tuple[str, str]] = {
    "semicolon": ("/semicolon/x;jsessionid=1A", "/semicolon/x;jsessionid=1A"),
    "semicolon-escaped": ("/semicolon/x%3bjsessionid=1", "/semicolon/x%3Bjsessionid=1"),
    "semicolon-alone": ("/semicolon/;/x", "/semicolon/;/x"),
    "semicolon-matrix": ("/semicolon/map;lat=50;long=20/x;y", "/semicolon/map;lat=50;long=20/x;y"),
    "slashes": ("/slashes//x", "/slashes//x"),
    "slashes-last": ("/slashes/x//", "/slashes/x//"),
    "slashes-three": ("/slashes/x///y", "/slashes/x///y"),
    "slash-escaped": ("/encoded/group%2fproject", "/encoded/group%2Fproject"),
    "slash-escaped-last": ("/encoded/group%2F", "/encoded/group%2F"),
    "all": ("/old//x;y=%41/a%2Fb?q=//;%2f", "/old//x;y=A/a%2Fb?q=//;%2f"),
    "absolute": ("http://api.example.org/old//x", "/old//x"),
    "url-inside": ("/old/fetch/http://example.org/a", "/old/fetch/http://example.org/a"),
}


@pytest.mark.parametrize(("sent", "forwarded"), ALLOWED.values(), ids=[f"s21-{name}" for name in ALLOWED])
def test_what_a_route_allows_passes_as_it_is(plane: Plane, sent: str, forwarded: str) -> None:
    for _ in range(2):
        assert plane.ask(get(sent)).status == 200
    assert plane.upstream.targets() == [forwarded] * 2


# Refused also where everything is allowed. Rows with a servlet container's `..;` are CVE-2020-5902 and its kin.
NEVER: dict[str, str] = {
    "dots": "/old/../required",
    "dots-escaped": "/old/%2e%2e/required",
    "dots-parameter": "/old/..;/required",
    "dots-parameter-named": "/old/..;x=1/required",
    "dots-parameter-escaped": "/old/..%3b/required",
    "dot-parameter": "/old/.;/admin",
    "dots-before-encoded-slash": "/old/..%2frequired",
    "dots-between-encoded-slashes": "/old%2f..%2frequired",
    "dots-behind-encoded-slash": "/old/x%2f..",
    "dots-behind-slashes": "/old//../required",
    "dots-before-encoded-query": "/old/..%3fx",
    "backslash": "/old/a\\b",
    "backslash-escaped": "/old/a%5cb",
    "nul": "/old/a%00b",
    "control": "/old/a%0ab",
    "fragment": "/old/a#b",
    "double-escape": "/old/a%252fb",
    "double-escape-in-two": "/old/a%25%32%66b",
    "double-escape-semicolon": "/old/a%253bb",
    "broken-escape": "/old/a%2",
    # Another rule for another reading.
    "rule-behind-slashes": "/old//admin/x",
    "rule-behind-slashes-first": "//old/admin/x",
    "rule-of-an-authority": "//host/old/x",
    "rule-behind-encoded-slash": "/old%2fadmin/x",
    "rule-before-encoded-slash": "/old/admin%2fx",
    "rule-before-parameter": "/old/admin;x/y",
    "rule-before-encoded-parameter": "/old/admin%3bx/y",
    "rule-behind-parameter": "/old;x/admin",
    "rule-behind-empty-parameter": "/old/;/admin/x",
    "rule-behind-encoded-query": "/old/admin%3fx",
    "rule-spelt-with-an-escape": "/old/a%3ab",
    "rule-left-by-parameter": "/old;x/y",
    "rule-left-by-slashes": "//old/x",
    "endpoint-behind-slashes": "//api/token/",
    "endpoint-behind-slashes-inside": "/api//token/",
    "endpoint-before-parameter": "/api/token;x/",
    "endpoint-behind-encoded-slash": "/api%2ftoken/",
    # Another oddity than the route allows, and where there is no route.
    "authority-behind-a-prefix": "/app//evil.example/x",
    "only-semicolon": "/semicolon//x",
    "only-semicolon-encoded": "/semicolon/a%2fb",
    "only-slashes": "/slashes/x;y",
    "only-encoded": "/encoded//x",
    "one-of-two": "/slashes//x;y",
    "default-none": "/same/x;y",
    "nowhere": "/nowhere//x",
}


@pytest.mark.parametrize("target", NEVER.values(), ids=[f"s20-{name}" for name in NEVER])
def test_what_may_be_read_as_another_rule_is_refused(plane: Plane, target: str) -> None:
    for lines in ((), (bearer(roles=["admin"]),)):
        answer = plane.ask(get(target, *lines))
        assert_refusal(answer, 400, "bad_target")
    assert plane.upstream.requests == []


def test_s20_allowed_paths_are_asked_for_what_their_rule_asks(plane: Plane) -> None:
    for target in ("/old/admin/x;y", "/old/admin//x", "/old/admin/x%2Fy"):
        assert_refusal(plane.ask(get(target)), 401)
        assert_refusal(plane.ask(get(target, bearer())), 403)
        assert plane.ask(get(target, bearer(roles=["admin"]))).status == 200
    assert len(plane.upstream.requests) == 3


# The strictest reader there is, of everything at once: what passes has no reading below a rule that was not asked.
ODD_SEGMENTS = st.sampled_from(
    [
        "old",
        "admin",
        "a:b",
        "a%3ab",
        "%61dmin",
        "x",
        "",
        ";",
        "x;y",
        "%2f",
        "%3b",
        "..",
        ".",
        "%2e.",
        "%3f",
        "%25",
        "%32",
    ]
)
ODD_PATHS = st.lists(st.builds("".join, st.lists(ODD_SEGMENTS, min_size=1, max_size=3)), min_size=1, max_size=5).map(
    lambda segments: "/old/" + "/".join(segments)
)


def most_eager_segments(path: str) -> list[str]:
    """As a backend that decodes until nothing changes, cuts parameters, merges slashes and resolves dots last."""
    while (decoded := unquote(path)) != path:
        path = decoded
    segments: list[str] = []
    for segment in re.sub(r"[?#].*", "", path).split("/"):
        name = segment.partition(";")[0]
        if name == "..":
            segments[-1:] = []
        elif name not in ("", "."):
            segments.append(name)
    return segments


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=ODD_PATHS)
def test_s20_no_reading_leads_to_a_rule_that_was_not_asked(plane: Plane, path: str) -> None:
    plane.upstream.requests.clear()
    answer = plane.ask(get(path))
    if answer.status == 200:
        (target,) = plane.upstream.targets()
        segments = most_eager_segments(target)
        assert segments[:1] == ["old"]
        assert segments[1:2] not in (["admin"], ["a:b"])
    else:
        assert_refusal(answer, answer.status)
        assert answer.status in (400, 401)
        assert plane.upstream.requests == []


# Another prefix for the backend: whole segments, the query stays, and the backend is told.
REPLACED: dict[str, tuple[str, str, str]] = {
    "stripped": ("/app/x/y?q=/app", "/x/y?q=/app", "/app"),
    "stripped-itself": ("/app", "/", "/app"),
    "stripped-itself-query": ("/app?x", "/?x", "/app"),
    "stripped-slash": ("/app/", "/", "/app"),
    "stripped-slash-last": ("/app/x/", "/x/", "/app"),
    "stripped-once": ("/app/app/x", "/app/x", "/app"),
    "stripped-escapes": ("/%61pp/%c3%a9", "/%C3%A9", "/app"),
    "stripped-odd": ("/app/x//y;z/a%2Fb", "/x//y;z/a%2Fb", "/app"),
    "replaced": ("/app/deep/er/x", "/v2/api/x", "/app/deep/er"),
    "replaced-itself": ("/app/deep/er", "/v2/api", "/app/deep/er"),
    "replaced-slash": ("/app/deep/er/", "/v2/api/", "/app/deep/er"),
    "not-replaced-above": ("/app/deep/err", "/deep/err", "/app"),
    "front-controller": ("/front/news/1", "/index.php/news/1", "/front"),
    "front-controller-itself": ("/front", "/index.php", "/front"),
    "absolute": ("http://api.example.org/app/x", "/x", "/app"),
    "same": ("/same/x", "/same/x", ""),
}


@pytest.mark.parametrize(("sent", "forwarded", "prefix"), REPLACED.values(), ids=REPLACED.keys())
def test_prefix_is_replaced_by_whole_segments(plane: Plane, sent: str, forwarded: str, prefix: str) -> None:
    claims = (b"X-Forwarded-Prefix: /evil", b"x_forwarded-prefix: /evil", b"Connection: x-forwarded-prefix")
    for lines in ((), claims):
        assert plane.ask(get(sent, *lines)).status == 200
    assert plane.upstream.targets() == [forwarded] * 2
    for received in plane.upstream.requests:
        assert received.folded("x-forwarded-prefix") == ([prefix] if prefix else [])


def test_redirect_of_the_backend_is_not_rewritten(plane: Plane) -> None:
    plane.upstream.play(answers(plain(b"", b"Location: /login/", status=b"302 Found")))
    assert plane.ask(get("/app/x")).field("location") == "/login/"


def test_s86_log_has_the_target_that_the_client_sent(plane: Plane) -> None:
    assert plane.ask(get("/app/logged")).status == 200
    plane.upstream.wait_until(lambda: '"/app/logged"' in plane.gateway.output())
