"""`gateway user …`: the users of the embedded directory, kept while the gateway runs."""

import argparse
import json
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from gateway.commands import user_transfer
from gateway.commands.declaring import Commands, Execute, add_config_argument, declare_command
from gateway.commands.output import print_rows
from gateway.commands.password_input import read_new_password
from gateway.commands.recording import recorded
from gateway.errors import UsageError

if TYPE_CHECKING:
    from gateway.config.model import Config
    from gateway.interfaces import ManagedUserDirectory
    from gateway.types import User

_WHENCE: Final = "Passwords are asked for on a terminal, else read as one line from standard input."

_EXAMPLES: Final = f"""\
{_WHENCE}

examples:
  gateway user add alice --email alice@example.org --role staff --config gateway.yaml
  pass show alice | gateway user passwd alice --config gateway.yaml
  gateway user list --config gateway.yaml"""


def declare(commands: Commands) -> None:
    parser = declare_command(commands, "user", summary="add, change and list users", details=_EXAMPLES)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _declare_add(actions)
    _declare_list(actions)
    _declare_action(actions, "passwd", _change_password, "set a user's password", details=_WHENCE)
    _declare_action(actions, "disable", _disable, "refuse a user: log-in, refresh and the tokens that are out")
    _declare_action(actions, "enable", _enable, "let a disabled user in again")
    _declare_action(actions, "remove", _remove, "remove a user for good; the id is never given to another one")
    _declare_roles(actions)
    user_transfer.declare(actions)


def _declare_action(
    actions: Commands, name: str, execute: Execute, summary: str, *, details: str = "", usage: str = "alice"
) -> argparse.ArgumentParser:
    example = f"example:\n  gateway user {name} {usage} --config gateway.yaml"
    parser = declare_command(actions, name, summary=summary, details=f"{details}\n\n{example}".strip())
    parser.add_argument("username", metavar="NAME", help="the user name")
    add_config_argument(parser)
    parser.set_defaults(execute=execute)
    return parser


def _declare_add(actions: Commands) -> None:
    usage = "alice --email alice@example.org --role staff --role editor"
    parser = _declare_action(actions, "add", _add, "add a user", details=_WHENCE, usage=usage)
    parser.add_argument("--email", metavar="ADDRESS", default="", help="the e-mail address")
    parser.add_argument("--role", metavar="ROLE", dest="roles", action="append", default=[], help="may be repeated")


def _declare_list(actions: Commands) -> None:
    details = """\
A table on a terminal; tab-separated in a pipe: id, user name, e-mail address, roles (comma-separated), state.

examples:
  gateway user list --config gateway.yaml
  gateway user list --json --config gateway.yaml"""
    parser = declare_command(actions, "list", summary="list all users", details=details)
    parser.add_argument("--json", action="store_true", help="an array of objects")
    add_config_argument(parser)
    parser.set_defaults(execute=_list)


def _declare_roles(actions: Commands) -> None:
    usage = "alice staff editor"
    parser = _declare_action(actions, "roles", _set_roles, "set a user's roles, in place of those before", usage=usage)
    parser.add_argument("roles", metavar="ROLE", nargs="*", help="the roles that the user shall have")
    parser.add_argument("--none", action="store_true", help="no role at all")


def _add(arguments: argparse.Namespace) -> int:
    config = _load(arguments)
    password_hash = _new_password_hash(arguments.username, config)

    async def add(directory: "ManagedUserDirectory") -> None:
        new = {"username": arguments.username, "email": arguments.email, "roles": arguments.roles}
        roles = ",".join(arguments.roles)
        async with recorded(config, "user_added", user=arguments.username, roles=roles) as details:
            user = await directory.add(**new, password_hash=password_hash)
            details["user_id"] = user.id
            print(f"Added {user.username} with the id {user.id}.")

    return _with_directory(config, add)


def _list(arguments: argparse.Namespace) -> int:
    async def list_users(directory: "ManagedUserDirectory") -> None:
        users = await directory.all_users()
        if arguments.json:
            print(json.dumps([_as_json(user) for user in users], indent=2, ensure_ascii=False))
        else:
            print_rows(("ID", "NAME", "E-MAIL", "ROLES", "STATE"), [_as_row(user) for user in users])

    return _with_directory(_load(arguments), list_users)


def _as_json(user: "User") -> dict[str, object]:
    return {
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "roles": list(user.roles),
        "is_active": user.is_active,
    }


def _as_row(user: "User") -> tuple[str, ...]:
    return user.id, user.username, user.email, ",".join(user.roles), "active" if user.is_active else "disabled"


def _change_password(arguments: argparse.Namespace) -> int:
    config = _load(arguments)
    password_hash = _new_password_hash(arguments.username, config)

    async def change(directory: "ManagedUserDirectory") -> None:
        async with recorded(config, "user_password_changed", user=arguments.username) as details:
            details["user_id"] = await directory.set_password_hash(arguments.username, password_hash)
            print(f"Changed the password of {arguments.username}.")

    return _with_directory(config, change)


def _disable(arguments: argparse.Namespace) -> int:
    config = _load(arguments)

    async def disable(directory: "ManagedUserDirectory") -> None:
        async with recorded(config, "user_disabled", user=arguments.username) as details:
            details["user_id"] = await directory.set_active(arguments.username, is_active=False)
            print(f"Disabled {arguments.username}.")

    return _with_directory(config, disable)


def _enable(arguments: argparse.Namespace) -> int:
    config = _load(arguments)

    async def enable(directory: "ManagedUserDirectory") -> None:
        async with recorded(config, "user_enabled", user=arguments.username) as details:
            details["user_id"] = await directory.set_active(arguments.username, is_active=True)
            print(f"Enabled {arguments.username}.")

    return _with_directory(config, enable)


def _remove(arguments: argparse.Namespace) -> int:
    config = _load(arguments)

    async def remove(directory: "ManagedUserDirectory") -> None:
        async with recorded(config, "user_removed", user=arguments.username) as details:
            details["user_id"] = await directory.remove(arguments.username)
            print(f"Removed {arguments.username}.")

    return _with_directory(config, remove)


def _set_roles(arguments: argparse.Namespace) -> int:
    if bool(arguments.roles) == arguments.none:
        raise UsageError(f"Name the roles that {arguments.username} shall have, or give --none alone.")
    config, roles = _load(arguments), ",".join(arguments.roles)

    async def set_roles(directory: "ManagedUserDirectory") -> None:
        async with recorded(config, "user_roles_changed", user=arguments.username, roles=roles) as details:
            user = await directory.set_roles(arguments.username, arguments.roles)
            details["user_id"] = user.id
            print(f"{user.username} has {'the roles ' + ', '.join(user.roles) if user.roles else 'no role'}.")

    return _with_directory(config, set_roles)


def _load(arguments: argparse.Namespace) -> "Config":
    from gateway.config import load

    return load.load(arguments.config, os.environ).config


def _new_password_hash(username: str, config: "Config") -> str:
    """To be called outside the event loop, which would keep Ctrl-C from ending the prompt."""
    from gateway.composition.state import build_hasher

    return build_hasher(config).hash(read_new_password(username))


def _with_directory(config: "Config", work: Callable[["ManagedUserDirectory"], Awaitable[None]]) -> int:
    """`work` on the directory of the configuration, opened and closed around it."""
    import asyncio

    from gateway.composition.state import open_users

    async def run() -> None:
        async with open_users(config) as directory:
            await work(directory)

    asyncio.run(run())
    return 0
