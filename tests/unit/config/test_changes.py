"""What differs between two configurations, and which of it needs a restart."""

import pytest

from gateway.config.changes import changes
from tests.unit.composition.documents import document_with


def changed(before: dict[str, str], after: dict[str, str]) -> dict[str, bool]:
    """Path → whether it needs a restart."""
    found = changes(document_with(**before).config, document_with(**after).config)
    return {change.path: change.needs_restart for change in found}


ROUTE = "{path: /, upstream: app}"
OTHER = "{path: /other, upstream: app}"


@pytest.mark.parametrize(
    ("before", "after", "paths"),
    [
        ({}, {}, {}),
        (
            {"routes": f"[{ROUTE}]"},
            {"routes": "[{path: /, upstream: app, stateless: true}]"},
            {"routes[0].stateless": False},
        ),
        ({"routes": f"[{ROUTE}]"}, {"routes": f"[{OTHER}, {ROUTE}]"}, {"routes": False}),
        ({}, {"cors": "{allow_origins: ['https://a.example']}"}, {"cors": False}),
        (
            {"upstreams": "{app: {servers: ['http://a']}, old: {servers: ['http://b']}}"},
            {"upstreams": "{app: {servers: ['http://c']}, new: {servers: ['http://b']}}"},
            {"upstreams.app.servers": False, "upstreams.old": False, "upstreams.new": False},
        ),
        ({}, {"workers": "2"}, {"workers": True}),
        ({}, {"listen": "{port: 1}"}, {"listen.port": True}),
        ({}, {"listen": "{trusted_proxies: [10.0.0.1]}"}, {"listen.trusted_proxies": False}),
        ({}, {"users": "{sqlite: elsewhere.sqlite3}"}, {"users.sqlite": True}),
        ({}, {"login": "{username_field: email, compat: 3.3}"}, {"login.username_field": True, "login.compat": False}),
        ({}, {"limits": "{connections: {max: 7}}"}, {"limits.connections.max": False}),
    ],
)
def test_the_deepest_paths_that_say_it_all(
    before: dict[str, str], after: dict[str, str], paths: dict[str, bool]
) -> None:
    assert changed(before, after) == paths
