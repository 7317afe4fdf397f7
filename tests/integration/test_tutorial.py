"""The well-known SimpleJWT tutorial, step by step with real clients, against the gateway and real DRF backends.

Two backends, each in its own process: one that knows nothing of tokens and reads X-User-Id, and one whose own SimpleJWT
checks the same token once more.
"""

import contextlib
import dataclasses
import http.client
import json
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.forging import HEADER, sign
from tests.conformance.forging import claims as token_claims
from tests.integration import processes
from tests.integration.processes import Server

SIGNING_KEY = secrets.token_urlsafe(48)
ACCESS_LIFETIME = 10  # seconds; HTTPie takes one or, on a busy machine, three to start, and exp is floored
PATHS = ("/hello/", "/own/hello/")
APP_ORIGIN = "http://localhost:4200"
HTTPIE = str(Path(sys.executable).with_name("http"))
CURL = shutil.which("curl")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """The gateway at `url` and the backends behind it."""

    url: str
    plain_backend: Server
    own_backend: Server
    gateway: Server

    @property
    def servers(self) -> tuple[Server, ...]:
        return self.gateway, self.plain_backend, self.own_backend


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    fields: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def _settings(port: int, plain: Server, own: Server, folder: Path) -> dict[str, Any]:
    return {
        "listen": {"port": port},
        "admin": {"enabled": False},  # several gateways run at the same time
        "tokens": {
            "signing_key": {"env": "GATEWAY_SIGNING_KEY"},
            "access_lifetime": f"{ACCESS_LIFETIME}s",
            "refresh_lifetime": "1h",
        },
        "upstreams": {"plain": {"servers": [plain.url]}, "own": {"servers": [own.url]}},
        "routes": [
            {"path": "/hello", "upstream": "plain"},
            {"path": "/own", "upstream": "own", "keep_authorization": True},
        ],
        "users": {"sqlite": str(folder / "users.sqlite3")},
        "cors": {"allow_origins": [APP_ORIGIN]},
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("tutorial")
    environment = {"GATEWAY_SIGNING_KEY": SIGNING_KEY}
    port = processes.free_port()
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(processes.django_project("hello_plain", folder=folder, environment={}))
        own_environment = {"SIGNING_KEY": SIGNING_KEY}
        own = stack.enter_context(
            processes.django_project("hello_own_tokens", folder=folder, environment=own_environment)
        )
        config = processes.write_gateway_config(folder, _settings(port, plain, own, folder))
        add_alice = ["user", "add", "alice", "--email", "alice@example.org", "--config", str(config)]
        processes.run_gateway(add_alice, environment=environment, stdin="alice-pass-1\n")
        gateway = stack.enter_context(processes.gateway(config, port=port, environment=environment))
        yield Site(url=gateway.url, plain_backend=plain, own_backend=own, gateway=gateway)


def _run(argv: Sequence[str], folder: Path) -> Answer:
    """Run a client that prints the head of the answer and its body."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "HTTPIE_CONFIG_DIR": str(folder)}
    done = subprocess.run(argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    assert done.returncode == 0, (argv, done.returncode, done.stderr.decode())
    head, _, text = done.stdout.decode().replace("\r\n", "\n").partition("\n\n")
    status_line, *lines = head.split("\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(status=int(status_line.split(" ")[1]), fields=fields, text=text)


class Httpie:
    """The tutorial's client, called as the tutorial has it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _http(self, *arguments: str) -> Answer:
        return _run([HTTPIE, "--ignore-stdin", "--pretty=none", "--print=hb", *arguments], self._folder)

    def post(self, url: str, **fields: str) -> Answer:
        return self._http("POST", url, *(f"{name}={value}" for name, value in fields.items()))

    def get(self, url: str, *fields: str) -> Answer:
        return self._http("GET", url, *(field.replace(": ", ":", 1) for field in fields))


class Curl:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _curl(self, *arguments: str) -> Answer:
        return _run([str(CURL), "--silent", "--show-error", "--include", *arguments], self._folder)

    def post(self, url: str, **fields: str) -> Answer:
        return self._curl("--header", "Content-Type: application/json", "--data", json.dumps(fields), url)

    def get(self, url: str, *fields: str) -> Answer:
        return self._curl(*(argument for field in fields for argument in ("--header", field)), url)


CLIENTS = [Httpie, Curl] if CURL else [Httpie]
Client = Httpie | Curl


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Client:
    made: Client = request.param(tmp_path)
    return made


@pytest.fixture
def curl_or_httpie(tmp_path: Path) -> Client:
    """Where the client does not matter: the quicker one that the machine has."""
    return CLIENTS[-1](tmp_path)


def _log_in(client: Client, site: Site) -> dict[str, str]:
    answer = client.post(f"{site.url}/api/token/", username="alice", password="alice-pass-1")
    assert (answer.status, list(answer.json)) == (200, ["refresh", "access"])
    tokens: dict[str, str] = answer.json
    return tokens


def _bearer(token: str) -> str:
    return f"Authorization: Bearer {token}"


def _require_expired(answer: Answer) -> None:
    assert answer.status == 401
    assert answer.json == {
        "detail": "Given token not valid for any token type",
        "code": "token_not_valid",
        "messages": [{"token_class": "AccessToken", "token_type": "access", "message": "Token is expired"}],
    }


def _require_hello(answer: Answer) -> None:
    assert (answer.status, answer.json["message"], answer.json["user_id"]) == (200, "Hello, World!", "1")


def test_whole_story(site: Site, tmp_path: Path) -> None:
    """Anonymous is refused; log in, call, wait until the access token has expired, refresh, call again."""
    client = Httpie(tmp_path)
    urls = [site.url + path for path in PATHS]
    for url in urls:
        anonymous = client.get(url)
        assert anonymous.status == 401
        assert anonymous.json == {"detail": "Authentication credentials were not provided."}
        assert anonymous.fields["www-authenticate"] == 'Bearer realm="api"'

    tokens = _log_in(client, site)
    expiry = time.time() + ACCESS_LIFETIME
    for url in urls:
        _require_hello(client.get(url, _bearer(tokens["access"])))

    time.sleep(max(0.0, expiry - time.time()))
    for url in urls:
        _require_expired(client.get(url, _bearer(tokens["access"])))

    refreshed = client.post(f"{site.url}/api/token/refresh/", refresh=tokens["refresh"])
    assert (refreshed.status, list(refreshed.json)) == (200, ["access"])
    for url in urls:
        _require_hello(client.get(url, _bearer(refreshed.json["access"])))


@pytest.mark.parametrize("path", PATHS)
def test_expired_token_then_refresh(site: Site, client: Client, path: str) -> None:
    """The second half of the story for every client, with an access token that expired long ago."""
    header, claims = json.dumps(HEADER).encode(), token_claims("access", exp=int(time.time()) - 60)
    expired = sign(header, json.dumps(claims).encode(), key=SIGNING_KEY).decode()
    _require_expired(client.get(site.url + path, _bearer(expired)))
    refresh = _log_in(client, site)["refresh"]
    access = client.post(f"{site.url}/api/token/refresh/", refresh=refresh).json["access"]
    _require_hello(client.get(site.url + path, _bearer(access)))


def test_backend_without_tokens_sees_the_user_and_no_token(site: Site, client: Client) -> None:
    access = _log_in(client, site)["access"]
    answer = client.get(f"{site.url}/hello/", _bearer(access), "X-User-Id: 99")
    assert answer.json == {"message": "Hello, World!", "user_id": "1", "authorization": None}


def test_backend_with_simplejwt_refuses_who_comes_around_the_gateway(site: Site, curl_or_httpie: Client) -> None:
    """So its 200s above are its own verdict on the gateway's token."""
    direct = f"{site.own_backend.url}/own/hello/"
    assert curl_or_httpie.get(direct).status == 401
    assert curl_or_httpie.get(direct, "X-User-Id: 1").status == 401
    access = _log_in(curl_or_httpie, site)["access"]
    assert curl_or_httpie.get(direct, _bearer(access)).status == 200


def test_wrong_password(site: Site, client: Client) -> None:
    answer = client.post(f"{site.url}/api/token/", username="alice", password="wrong")
    assert (answer.status, answer.json) == (401, {"detail": "No active account found with the given credentials"})


def test_refresh_token_is_no_access_token(site: Site, curl_or_httpie: Client) -> None:
    answer = curl_or_httpie.get(f"{site.url}/hello/", _bearer(_log_in(curl_or_httpie, site)["refresh"]))
    assert (answer.status, answer.json["messages"][0]["message"]) == (401, "Token has wrong type")


class Browser:
    """What a browser sends for a script of `APP_ORIGIN`; httpie's and curl's own fields do not matter here."""

    def __init__(self, site: Site, origin: str = APP_ORIGIN) -> None:
        self._site = site
        self._origin = origin

    def fetch(self, method: str, path: str, body: str | None = None, **fields: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._site.gateway.port, timeout=10)
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Origin": self._origin, **named})
            response = connection.getresponse()
            text = response.read().decode()
        return Answer(
            status=response.status,
            fields={name.lower(): value for name, value in response.getheaders()},
            text=text,
        )

    def preflight(self, path: str, method: str, headers: str) -> Answer:
        asked = {"Access_Control_Request_Method": method, "Access_Control_Request_Headers": headers}
        return self.fetch("OPTIONS", path, **asked)


@pytest.fixture
def browser(site: Site) -> Browser:
    return Browser(site)


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/hello/", "GET", "authorization"),
        ("/api/token/", "POST", "content-type"),
        ("/own/hello/", "GET", "authorization"),
    ],
)
def test_preflight_needs_no_token(browser: Browser, path: str, method: str, headers: str) -> None:
    answer = browser.preflight(path, method, headers)
    assert answer.status in (200, 204)
    assert answer.fields["access-control-allow-origin"] == APP_ORIGIN
    assert method in answer.fields["access-control-allow-methods"]
    assert headers in answer.fields["access-control-allow-headers"].lower()


def test_scripts_of_the_app_can_read_every_answer(browser: Browser) -> None:
    """A 401 without these fields is a mere network error to a script, which then never refreshes."""
    credentials = json.dumps({"username": "alice", "password": "alice-pass-1"})
    login = browser.fetch("POST", "/api/token/", credentials, Content_Type="application/json")
    wrong = browser.fetch("POST", "/api/token/", "{}", Content_Type="application/json")
    anonymous = browser.fetch("GET", "/hello/")
    garbage = browser.fetch("GET", "/hello/", Authorization="Bearer x")
    passed = browser.fetch("GET", "/hello/", Authorization=f"Bearer {json.loads(login.text)['access']}")
    answers = (login, wrong, anonymous, garbage, passed)
    assert [answer.status for answer in answers] == [200, 400, 401, 401, 200]
    assert {answer.fields.get("access-control-allow-origin") for answer in answers} == {APP_ORIGIN}


def test_other_origins_are_told_nothing(site: Site) -> None:
    stranger = Browser(site, "https://evil.example")
    answers = (stranger.preflight("/hello/", "GET", "authorization"), stranger.fetch("GET", "/hello/"))
    assert {answer.fields.get("access-control-allow-origin") for answer in answers} == {None}
