"""`gateway session …`: who is logged in from where, and the end of it."""

import argparse
import json
import math
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from gateway.commands.declaring import Commands, Execute, add_config_argument, declare_command
from gateway.commands.output import print_rows
from gateway.commands.recording import recorded
from gateway.errors import UsageError, printable

if TYPE_CHECKING:
    from gateway.composition.state import State
    from gateway.config.model import Config
    from gateway.interfaces import StateStore
    from gateway.types import Revocation, Session

_PAGE: Final = 1000

# Tokens of other issuers, or of a configuration of before, may live longer than those of today's, and nobody here knows
# how long. Such a revocation is one row for a user, whatever it is remembered for.
_FOREIGN_LIFETIME: Final = 366 * 86400.0

_EXAMPLES: Final = """\
A session is a log-in and all tokens that are refreshed from it. Running gateways refuse what
is revoked within a second.

examples:
  gateway session list --user alice --config gateway.yaml
  gateway session show 3f1c… --config gateway.yaml
  gateway session revoke 3f1c… --config gateway.yaml
  gateway session revoke --user alice --config gateway.yaml
  gateway session revoke --all --config gateway.yaml
  gateway session revoke --all --before 2026-11-25T10:00Z --config gateway.yaml"""


def declare(commands: Commands) -> None:
    parser = declare_command(commands, "session", summary="list and revoke sessions", details=_EXAMPLES)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _declare_list(actions)
    _declare_show(actions)
    _declare_revoke(actions)


def _declare_list(actions: Commands) -> None:
    details = """\
A table on a terminal; tab-separated in a pipe: id, user id, log-in, last use, address, user agent.

examples:
  gateway session list --config gateway.yaml
  gateway session list --user alice --json --config gateway.yaml"""
    parser = _declare_action(actions, "list", _list, "list the sessions that are open", details)
    _add_user_arguments(parser.add_mutually_exclusive_group())
    parser.add_argument("--json", action="store_true", help="one object a line")


def _declare_show(actions: Commands) -> None:
    example = "example:\n  gateway session show 3f1c… --config gateway.yaml"
    parser = _declare_action(actions, "show", _show, "show one session as JSON", example)
    parser.add_argument("id", metavar="ID", help="the session's id: `sid` in its tokens, `session` in the audit log")


def _declare_revoke(actions: Commands) -> None:
    details = """\
Of a user or of everybody all is revoked that was issued up to now; who logs in again gets tokens that are good.

examples:
  gateway session revoke 3f1c… --config gateway.yaml
  gateway session revoke --user alice --config gateway.yaml
  gateway session revoke --user alice --before 2026-11-25T10:00+01:00 --config gateway.yaml
  gateway session revoke --token-id 9a0e… --config gateway.yaml"""
    parser = _declare_action(actions, "revoke", _revoke, "end sessions: their tokens are refused at once", details)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("id", metavar="ID", nargs="?", help="one session, by its id")
    _add_user_arguments(which)
    which.add_argument("--all", action="store_true", help="of everybody")
    which.add_argument("--token-id", metavar="JTI", help="one token alone, by its id")
    parser.add_argument(
        "--before",
        metavar="MOMENT",
        type=_instant,
        help="of a user or of everybody only what was issued before it, as 2026-11-25T10:00Z",
    )


def _declare_action(
    actions: Commands, name: str, execute: Execute, summary: str, details: str
) -> argparse.ArgumentParser:
    parser = declare_command(actions, name, summary=summary, details=details)
    add_config_argument(parser)
    parser.set_defaults(execute=execute)
    return parser


def _add_user_arguments(group: argparse._MutuallyExclusiveGroup) -> None:
    group.add_argument("--user", metavar="NAME", help="of the user with this name")
    group.add_argument("--user-id", metavar="ID", help="of the user with this id, who may have been removed")


def _instant(text: str) -> float:
    """Unix seconds."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no moment with its time zone, as 2026-11-25T10:00Z")
    return instant.timestamp()


def _list(arguments: argparse.Namespace) -> int:
    config = _load(arguments)

    async def list_sessions(state: "State") -> None:
        user_id = await _user_id(arguments, config)
        async for page in _open_sessions(config, state, user_id):
            if arguments.json:
                for session in page:
                    print(json.dumps(_as_json(session)))
            else:
                header = ("ID", "USER", "LOG-IN", "LAST USE", "ADDRESS", "USER AGENT")
                print_rows(header, [_as_row(session) for session in page])

    return _with_state(config, list_sessions)


async def _open_sessions(config: "Config", state: "State", user_id: str | None) -> AsyncIterator[Sequence["Session"]]:
    """Page by page: there may be a million."""
    from gateway.composition.endpoints import session_rules_of

    rules, now, after = session_rules_of(config), time.time(), ""
    while page := await state.store.sessions(user_id=user_id, after=after, limit=_PAGE):
        after = page[-1].id
        if is_open := [session for session in page if rules.is_open(session, now)]:
            yield is_open


def _show(arguments: argparse.Namespace) -> int:
    async def show(state: "State") -> None:
        print(json.dumps(_as_json(await _find(state, arguments.id)), indent=2))

    return _with_state(_load(arguments), show)


def _revoke(arguments: argparse.Namespace) -> int:
    config = _load(arguments)

    async def revoke(state: "State") -> None:
        target = await _named_by(arguments, config, state)
        async with recorded(config, target.event, **target.details):
            await _revoke_in(state.store, target.revocation, goes_on=arguments.before is None)
            print(f"Revoked {target.words}.")

    return _with_state(config, revoke)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """What shall be revoked: in words, and as the audit trail has it."""

    revocation: "Revocation"
    words: str
    event: str
    details: Mapping[str, str]


async def _revoke_in(store: "StateStore", revocation: "Revocation", *, goes_on: bool) -> None:
    """With `goes_on`, what reaches up to now reaches up to its end: no token is spared that was issued meanwhile."""
    while True:
        await store.revoke(revocation)
        now = int(time.time())
        if not (goes_on and 0 < revocation.up_to < now):
            return
        revocation = replace(revocation, up_to=now)


async def _named_by(arguments: argparse.Namespace, config: "Config", state: "State") -> _Target:
    from gateway.auth.sessions import forgotten_at
    from gateway.composition.tokens import lifetimes_of
    from gateway.types import Revocation, RevokedKind

    now = time.time()
    before: float | None = arguments.before
    if before is not None and (before > now or arguments.id is not None or arguments.token_id is not None):
        raise UsageError("--before takes a moment in the past, and goes with --all, --user or --user-id.")
    longest = now + lifetimes_of(config.tokens).longest + config.tokens.leeway
    if arguments.id is not None:
        session = await _find(state, arguments.id)
        expires_at = forgotten_at(longest, session.expires_at)
        return _Target(
            revocation=Revocation(kind=RevokedKind.SESSION, id=session.id, expires_at=expires_at),
            words=f"the session {printable(session.id)} of the user {printable(session.user_id)}",
            event="session_revoked",
            details={"user_id": session.user_id, "session": session.id},
        )
    expires_at = forgotten_at(longest, now + _FOREIGN_LIFETIME)
    if arguments.token_id is not None:
        return _Target(
            revocation=Revocation(kind=RevokedKind.TOKEN, id=arguments.token_id, expires_at=expires_at),
            words=f"the token {printable(arguments.token_id)}",
            event="token_revoked",
            details={"token_id": arguments.token_id},
        )
    user_id = await _user_id(arguments, config)
    up_to = int(now) if before is None else math.ceil(before) - 1
    until = "" if before is None else f" up to {_moment(up_to)}"
    if user_id is None:
        return _Target(
            revocation=Revocation(kind=RevokedKind.EVERYTHING, id="", expires_at=expires_at, up_to=up_to),
            words=f"all sessions of everybody{until}",
            event="all_sessions_revoked",
            details={"up_to": _moment(up_to)},
        )
    named = {} if arguments.user is None else {"user": arguments.user}
    return _Target(
        revocation=Revocation(kind=RevokedKind.USER, id=user_id, expires_at=expires_at, up_to=up_to),
        words=f"all sessions of {arguments.user or f'the user {printable(user_id)}'}{until}",
        event="user_sessions_revoked",
        details={**named, "user_id": user_id, "up_to": _moment(up_to)},
    )


async def _find(state: "State", session_id: str) -> "Session":
    session = await state.store.find_session(session_id)
    if session is None:
        raise UsageError(f"There is no session {session_id!r}; `gateway session list` has those that are open.")
    return session


async def _user_id(arguments: argparse.Namespace, config: "Config") -> str | None:
    """The user whom the arguments name, None when they name nobody."""
    from gateway.composition.state import open_users

    if arguments.user is None:
        user_id: str | None = arguments.user_id
        return user_id
    async with open_users(config) as directory:
        for user in await directory.all_users():
            if user.username == arguments.user:
                return user.id
    raise UsageError(f"There is no user {arguments.user!r}; of a user who was removed give the id, as --user-id.")


def _as_json(session: "Session") -> dict[str, str]:
    return {
        "id": session.id,
        "user_id": session.user_id,
        "created_at": _moment(session.created_at),
        "last_used_at": _moment(session.last_used_at),
        "address": session.address,
        "user_agent": session.user_agent,
    }


def _as_row(session: "Session") -> tuple[str, ...]:
    return tuple(printable(cell) for cell in _as_json(session).values())


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _load(arguments: argparse.Namespace) -> "Config":
    from gateway.config import load

    return load.load(arguments.config, os.environ).config


def _with_state(config: "Config", work: Callable[["State"], Awaitable[None]]) -> int:
    """`work` on the state of the configuration, opened and closed around it."""
    import asyncio

    from gateway.composition.state import open_state

    async def run() -> None:
        async with open_state(config) as state:
            await work(state)

    asyncio.run(run())
    return 0
