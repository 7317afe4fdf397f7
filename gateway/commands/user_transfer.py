"""`gateway user export` and `import`: all users as JSON lines, with their ids and password hashes."""

import argparse
import os
import stat
import sys
from functools import partial
from typing import Final

from gateway.commands.declaring import Commands, add_config_argument, declare_command
from gateway.commands.recording import recorded
from gateway.errors import UsageError

_FORM: Final = """\
One JSON object a line: id, username, password_hash; and, where they are not "", [], true, 0: email, roles, is_active,
credentials_changed_at, claims_changed_at (Unix seconds). A line {"last_id": "7"} says which ids were given, also to
users who were removed since: none of them is ever given again."""

_EXPORT: Final = f"""\
{_FORM}

The hashes are nobody else's business: the file must be its owner's alone.

example:
  (umask 077; gateway user export --config gateway.yaml > users.jsonl)"""

_IMPORT: Final = f"""\
{_FORM}

All are imported or nobody, beside the users who are there; what is wrong is told line by line. Hashes are argon2's, as
gateway user export and Django's Argon2PasswordHasher write them, or, with users.pbkdf2_iterations, pbkdf2_sha256$ of
Django's, or "!": no password.

example:
  gateway user import --config new.yaml < users.jsonl"""


def declare(actions: Commands) -> None:
    export = declare_command(actions, "export", summary="write all users, with password hashes", details=_EXPORT)
    add_config_argument(export)
    export.set_defaults(execute=_export)
    importing = declare_command(actions, "import", summary="add all users of an export", details=_IMPORT)
    add_config_argument(importing)
    importing.set_defaults(execute=_import)


def _export(arguments: argparse.Namespace) -> int:
    import asyncio

    from gateway.composition.state import open_users
    from gateway.config import load
    from gateway.users.transfer import lines_of

    config = load.load(arguments.config, os.environ).config
    _require_privacy()

    async def export() -> None:
        async with open_users(config) as directory, recorded(config, "users_exported") as details:
            dump = await directory.dump()
            details["count"] = str(len(dump.accounts))
            for line in lines_of(dump):
                sys.stdout.buffer.write(f"{line}\n".encode())
            sys.stdout.buffer.flush()

    asyncio.run(export())
    return 0


def _require_privacy() -> None:
    if sys.stdout.isatty():
        raise UsageError("The password hashes would show on this terminal; write them to a file: > users.jsonl")
    status = os.fstat(sys.stdout.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError("Others may read the file that this goes to; remove it, and say `umask 077` before.")


def _import(arguments: argparse.Namespace) -> int:
    import asyncio

    from gateway.auth.imported_hashes import stored_hash
    from gateway.composition.state import open_users
    from gateway.config import load
    from gateway.users.transfer import read

    config = load.load(arguments.config, os.environ).config
    if sys.stdin.isatty():
        raise UsageError("Users are read from standard input: < users.jsonl")
    lines = sys.stdin.buffer.readlines()
    to_store = partial(stored_hash, pbkdf2_iterations=config.users.pbkdf2_iterations or 0)

    async def add_all() -> None:
        async with open_users(config) as directory:
            dump = read(lines, present=await directory.all_users(), stored_hash=to_store)
            number = len(dump.accounts)
            async with recorded(config, "users_imported", count=str(number)):
                await directory.add_all(dump)
                print(f"Imported {number} user{'' if number == 1 else 's'}.")

    asyncio.run(add_all())
    return 0
