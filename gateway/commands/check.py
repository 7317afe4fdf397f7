"""`gateway check`: every problem of a configuration, or who may pass where."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from gateway.commands.declaring import Commands, add_config_argument, declare_command
from gateway.commands.output import print_rows

if TYPE_CHECKING:
    from gateway.config.load import Document
    from gateway.config.model import Config
    from gateway.config.sections.routes import Route
    from gateway.config.sections.tokens import FurtherKey, Tokens

_DETAILS: Final = """\
With problems: each on a line of its own as FILE:LINE: YAML PATH: what is wrong, and exit code 78.
Without: one line a route: path prefix, methods, who may pass, upstream; then one line a key: kid, algorithm, whether it
signs, where it comes from; then one line a foreign issuer; then where users and state live. Tab-separated in a pipe.
Nothing is started, and no network and no user directory is touched.

example:
  gateway check --config gateway.yaml"""


def declare(commands: Commands) -> None:
    parser = declare_command(
        commands, "check", summary="show a configuration's problems, or who may pass where", details=_DETAILS
    )
    add_config_argument(parser)
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    from gateway import app
    from gateway.composition.state import places_of
    from gateway.config import load

    document = load.load(arguments.config, os.environ)
    app.build(document)  # keys are looked at here, not when they are read
    config = document.config
    rows = [*_endpoint_rows(config), *(_route_row(route, config) for route in config.routes)]
    print_rows(("PATH", "METHODS", "WHO MAY PASS", "UPSTREAM"), rows)
    _print_more(("KEY", "ALGORITHM", "USE", "SOURCE"), list(_key_rows(document)))
    if config.foreign_issuers:
        _print_more(("ISSUER", "ALGORITHMS", "USERS", "KEYS FROM"), list(_issuer_rows(config)))
    _print_more(("KEPT", "WHERE"), list(zip(("users", "state"), places_of(config), strict=True)))
    return 0


def _print_more(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if sys.stdout.isatty():
        print()
    print_rows(header, rows)


def _endpoint_rows(config: "Config") -> Iterator[tuple[str, str, str, str]]:
    login, tokens = config.login, config.tokens
    for path, purpose in (
        (login.obtain_path, "log-in"),
        (login.refresh_path, "refresh"),
        (login.verify_path, "verify"),
        (login.blacklist_path, "log-out"),
    ):
        yield path, "POST", "public", f"the gateway itself ({purpose})"
    if config.forward_auth is not None:
        who = f"proxies {','.join(config.forward_auth.proxies)}"
        yield config.forward_auth.path, "all", who, "the gateway itself (questions of proxies)"
    yield login.sessions_path, "GET,DELETE", "required", "the gateway itself (one's own sessions)"
    algorithms = (tokens.algorithm, *(key.algorithm for key in tokens.further_keys))
    if not all(algorithm.startswith("HS") for algorithm in algorithms):
        yield login.jwks_path, "GET,HEAD", "public", "the gateway itself (public keys)"


def _key_rows(document: "Document") -> Iterator[tuple[str, str, str, str]]:
    from gateway.composition.tokens import further_key_path

    tokens = document.config.tokens
    yield _kid(tokens), tokens.algorithm, "signs and checks", document.references["tokens.signing_key"]
    for position, key in enumerate(tokens.further_keys):
        path = further_key_path(position)
        written = [document.references.get(f"{path}.{name}") for name in ("signing_key", "verifying_key")]
        yield _kid(key), key.algorithm, "checks", next(filter(None, written), "in this file")


def _issuer_rows(config: "Config") -> Iterator[tuple[str, str, str, str]]:
    from gateway.config.sections.foreign_issuers import ForeignUsers

    for name, entry in config.foreign_issuers.items():
        users = f"{name}:ID" if entry.users is ForeignUsers.PREFIXED else entry.users.value
        yield entry.issuer, ",".join(entry.algorithms), users, entry.jwks_url


def _kid(key: "Tokens | FurtherKey") -> str:
    return "(no kid)" if key.kid is None else key.kid


def _route_row(route: "Route", config: "Config") -> tuple[str, str, str, str]:
    methods = ",".join(sorted(route.methods)) if route.methods else "all"
    servers = " ".join(config.upstreams[route.upstream].servers)
    path = "" if route.upstream_path is None else f" at {route.upstream_path}"
    return route.path, methods, _who_may_pass(route), f"{route.upstream} {servers}{path}"


def _who_may_pass(route: "Route") -> str:
    from gateway.types import Access

    if route.access is Access.PUBLIC:
        return "public"
    if route.roles is not None:
        who = f"roles {','.join(sorted(route.roles))}"  # asked of optional routes too: nobody has no role
    else:
        who = "optional" if route.access is Access.OPTIONAL else "any user"
    return f"{who} (user not looked up)" if route.stateless else who
