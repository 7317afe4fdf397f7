"""The commands of docs/, run as they stand there beside real servers; only ports are other ones, so that tests run at once."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import shown_commands
from tests.conformance.wire import exchange, request
from tests.integration import processes
from tests.integration.data_plane import ENVIRONMENT
from tests.integration.processes import CHECKOUT

ECHO_BACKEND = CHECKOUT / "tests/integration/echo_backend.py"
DJANGO_USERS = """[
    {"username": "alice", "email": "alice@example.org", "password": "white-rabbit"},
    {"username": "bob", "email": "bob@example.org", "password": "yes-we-can"}
]"""


def page(name: str, *, ports: Mapping[int, int]) -> str:
    """A page of docs/ with other ports than those that stand there."""
    return with_ports((CHECKOUT / "docs" / name).read_text(), ports)


def with_ports(text: str, ports: Mapping[int, int]) -> str:
    return re.sub(r"\b(8080|8081|9000)\b", lambda match: str(ports[int(match[1])]), text)


def shell(**extra: str) -> dict[str, str]:
    """The environment of an operator who has the gateway and Python in his PATH."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    return {"PATH": path, "HOME": "/nonexistent", "LANG": "C.UTF-8", "PYTHONPATH": str(CHECKOUT), **extra}


def migrating_project(folder: Path) -> dict[str, str]:
    """Django's environment: the reference project as applications have it, with PBKDF2 and a manage.py."""
    (folder / "shop.py").write_text(
        "from reference.settings import *\nPASSWORD_HASHERS = ['django.contrib.auth.hashers.PBKDF2PasswordHasher']\n"
    )
    (folder / "manage.py").write_text(
        "import sys\nfrom django.core.management import execute_from_command_line\nexecute_from_command_line(sys.argv)\n"
    )
    return {
        "DJANGO_SETTINGS_MODULE": "shop",
        "DATABASE": str(folder / "shop.sqlite3"),
        "SIGNING_KEY": ENVIRONMENT["GATEWAY_SIGNING_KEY"],
        "PYTHONPATH": f"{CHECKOUT}:{processes.BACKENDS}:{folder}",
    }


@pytest.mark.timeout(180)
def test_migration(tmp_path: Path) -> None:
    environment = migrating_project(tmp_path)
    with processes.django_project(
        "reference", folder=tmp_path, environment={**environment, "USERS": DJANGO_USERS}
    ) as django:
        ports = {8080: processes.free_port(), 8081: processes.free_port(), 9000: django.port}
        text = page("migration.md", ports=ports)
        shown_commands.run(text, folder=tmp_path, environment=shell(**environment))


# What the page finds when its incidents begin: a gateway with its log, two users, and a token of Alice's in the wrong hands.
OPERATED = """
```sh
cat > gateway.yaml << 'END'
listen: {port: 8080}
admin: {port: 8081}
tokens: {signing_key: {file: signing.key}, rotate_refresh_tokens: true}
upstreams: {backend: {servers: ["http://127.0.0.1:9000"]}}
routes: [{path: /, upstream: backend}]
users: {sqlite: gateway.sqlite3}
END
(umask 077; gateway key generate > signing.key)
for user in alice bob; do echo white-rabbit | gateway user add $user --config gateway.yaml; done
gateway run --config gateway.yaml > gateway.log 2>&1 &
GATEWAY=$!
ask() { curl -s --retry 9 --retry-connrefused http://127.0.0.1:8080/api/token/ -d username=$1 -d password=white-rabbit; }
ask alice | jq -r .access > leaked.txt
ask bob | jq -r .access > access.txt
curl -s http://127.0.0.1:8080/orders -H "Authorization: Bearer $(cat leaked.txt)"
```
"""


@pytest.mark.timeout(180)
def test_operations(tmp_path: Path) -> None:
    """Each incident of the page, and the rotation of its beginning; a scrape before."""
    with processes.python_server("backend", ECHO_BACKEND, folder=tmp_path) as backend:
        ports = {8080: processes.free_port(), 8081: processes.free_port(), 9000: backend.port}
        text = with_ports(OPERATED, ports) + page("metrics.md", ports=ports) + page("operations.md", ports=ports)
        shown_commands.run(text, folder=tmp_path, environment=shell())


AUTHENTICATED = """
REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"] = ["gateway_authentication.GatewayAuthentication"]
"""


def test_a_django_that_has_forgotten_tokens(tmp_path: Path) -> None:
    """The class of the last stage: whom the gateway names is the user, nobody else is."""
    [source] = re.findall(
        r"```python\n(.*?class GatewayAuthentication.*?)```", (CHECKOUT / "docs/migration.md").read_text(), re.DOTALL
    )
    environment = migrating_project(tmp_path)
    (tmp_path / "gateway_authentication.py").write_text(source)
    with (tmp_path / "shop.py").open("a") as settings:
        settings.write(AUTHENTICATED)
    with processes.django_project(
        "reference", folder=tmp_path, environment={**environment, "USERS": DJANGO_USERS}
    ) as django:

        def ask(*fields: bytes) -> tuple[int, object]:
            answer = exchange(django.port, request(b"GET", b"/api/hello/", *fields))
            return answer.status, answer.json().get("user_id")

        assert ask(b"X-User-Id: 2") == (200, "2")
        assert ask()[0] in (401, 403)
        assert ask(b"X-User-Id: 77")[0] in (401, 403)
