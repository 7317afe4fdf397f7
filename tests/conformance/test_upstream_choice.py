"""Where a request goes: the configuration says so, and nothing that a client, a backend or the environment says."""

from collections.abc import Iterator

import pytest

from tests.integration.data_plane import ENVIRONMENT, Plane, get, post, running_plane
from tests.integration.scripted_upstream import ScriptedUpstream, answers, plain

PROXIES = ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY")


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[ScriptedUpstream]:
    """A server that nothing may reach."""
    with ScriptedUpstream().running() as scripted:
        yield scripted
        assert scripted.links == []


@pytest.fixture(scope="module")
def module_plane(tmp_path_factory: pytest.TempPathFactory, elsewhere: ScriptedUpstream) -> Iterator[Plane]:
    environment = {**ENVIRONMENT, **dict.fromkeys(PROXIES, elsewhere.url)}
    with running_plane(tmp_path_factory.mktemp("choice"), environment=environment) as plane:
        yield plane


@pytest.fixture
def plane(module_plane: Plane, elsewhere: ScriptedUpstream) -> Iterator[Plane]:
    module_plane.upstream.begin()
    yield module_plane
    assert not module_plane.upstream.faults
    assert elsewhere.links == []


# Each with the target that the one upstream gets of it. `%b` is the authority of the server that nothing may reach.
NAMED = {
    "absolute-form": (b"GET http://%b/public/x HTTP/1.1\r\nHost: %b\r\n\r\n", "/public/x"),
    "absolute-form, https": (b"GET https://%b/public/x?y HTTP/1.1\r\nHost: %b\r\n\r\n", "/public/x?y"),
    "host": (b"GET /public/x HTTP/1.1\r\nHost: %b\r\n\r\n", "/public/x"),
    "authority in the path": (b"GET /public/@%b HTTP/1.1\r\nHost: %b\r\n\r\n", "/public/@%b"),
    "url in the query": (b"GET /public/x?http://%b/ HTTP/1.1\r\nHost: %b\r\n\r\n", "/public/x?http://%b/"),
    "forwarded": (
        b"GET /public/x HTTP/1.1\r\nHost: a\r\nForwarded: host=%b\r\nX-Forwarded-Host: %b\r\n\r\n",
        "/public/x",
    ),
}


@pytest.mark.parametrize(("raw", "target"), NAMED.values(), ids=NAMED.keys())
def test_s25_s26_the_upstream_comes_from_the_configuration_alone(
    plane: Plane, elsewhere: ScriptedUpstream, raw: bytes, target: str
) -> None:
    authority = f"127.0.0.1:{elsewhere.port}"
    assert plane.ask(raw.replace(b"%b", authority.encode())).status == 200
    assert plane.upstream.targets() == [target.replace("%b", authority)]


def test_s27_proxies_of_the_environment_are_not_asked(plane: Plane) -> None:
    # The whole module runs with them set; `elsewhere` is what they name.
    assert plane.ask(post("/public/x", b"body")).status == 200
    assert plane.upstream.only().request_line == "POST /public/x HTTP/1.1"


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "303 See Other", "307 x", "308 x"])
def test_s27_redirects_are_the_clients_to_follow(plane: Plane, elsewhere: ScriptedUpstream, status: str) -> None:
    head = f"HTTP/1.1 {status}\r\nLocation: {elsewhere.url}/\r\nContent-Length: 0\r\n\r\n"
    plane.upstream.play(answers(head.encode()))
    answer = plane.ask(get("/public/x"))
    assert (answer.status, answer.field("location")) == (int(status[:3]), f"{elsewhere.url}/")
    plane.upstream.only()


def test_s27_cookies_of_one_client_are_not_sent_for_another(plane: Plane) -> None:
    plane.upstream.play(answers(plain(b"ok", b"Set-Cookie: session=alice; Path=/")))
    assert plane.ask(get("/public/x")).field("set-cookie") == "session=alice; Path=/"
    assert plane.ask(get("/public/x")).status == 200
    assert {received.link for received in plane.upstream.requests} == {0}
    assert [received.values("cookie") for received in plane.upstream.requests] == [[], []]
