"""A rehearsal of a request in words: how its target is read, route by route, the token step by step, the verdict."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.auth.revocation import RevocationList
from gateway.composition.blueprint import Blueprint
from gateway.composition.rehearsal import Rehearsal, Stage
from gateway.composition.state import State, glance_at_state
from gateway.config.model import Config
from gateway.errors import ANSWERS, Reason, Refused, StoreUnavailable, printable
from gateway.http.routes import RouteTable
from gateway.http.targets import parse_target
from gateway.interfaces import UserLookUp
from gateway.proxy.plan import RoutePlan
from gateway.types import Access, User

_SHOWN_OF_TOKEN: Final = 6
_UNKNOWN: Final = "not looked up"

# What is asked of a token, in the order of `Admission`, and the reasons that each step refuses for.
_STEPS: Final = (
    ("the field", frozenset({Reason.BAD_AUTHORIZATION_HEADER})),
    ("signature, dates, parties", frozenset({Reason.TOKEN_INVALID, Reason.TOKEN_EXPIRED, Reason.ISSUER_UNAVAILABLE})),
    ("revocation", frozenset({Reason.TOKEN_REVOKED})),
    (
        "claims and type",
        frozenset({Reason.TOKEN_NO_EXP, Reason.TOKEN_NO_JTI, Reason.TOKEN_NO_TYPE, Reason.TOKEN_WRONG_TYPE}),
    ),
    ("names a user", frozenset({Reason.TOKEN_NO_USER})),
    (
        "the user",
        frozenset({Reason.USER_NOT_FOUND, Reason.USER_INACTIVE, Reason.PASSWORD_CHANGED, Reason.TOKEN_OUTDATED}),
    ),
)
_NO_QUESTION: Final = frozenset({Reason.QUESTION_DENIED, Reason.QUESTION_UNCLEAR})
_TOKEN_REASONS: Final = frozenset().union(*(reasons for _, reasons in _STEPS))


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at, and what came of it."""

    subject: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All of it; the token is nowhere in it."""

    target: str
    routes: Sequence[Step]
    token: Sequence[Step]
    verdict: Sequence[str]
    head: str | None
    rehearsal: Rehearsal

    def as_json(self) -> dict[str, Any]:
        told = self.rehearsal
        status, body = _status_and_body(told.answer) if told.head is None else (None, None)
        return {
            "target": self.target,
            "routes": [{"route": step.subject, "why": step.words} for step in self.routes],
            "token": [{"step": step.subject, "result": step.words} for step in self.token],
            "verdict": {
                "passes": told.reason is None,
                "route": None if told.plan is None else told.plan.name,
                "user_id": None if told.principal is None else told.principal.user_id,
                "upstream": told.server,
                "status": status,
                "reason": None if told.reason is None else told.reason.value,
                "body": body,
            },
            "head": self.head,
        }


async def explain(
    blueprint: Blueprint, request: bytes, *, target: str, client: str, token: bytes | None, is_offline: bool
) -> Explanation:
    """`request` is a head that comes from the address `client`, with this `target` and `token` in it."""
    async with contextlib.AsyncExitStack() as stack:
        state = None if is_offline else await stack.enter_async_context(glance_at_state(blueprint.config))
        revocations = RevocationList()
        known = await _read_revocations(state, revocations)
        users = _Users(None if state is None else state.directory)
        stage = Stage(blueprint, directory=users, revocations=revocations)
        rehearsal = await stage.rehearse(request, client)
    steps = list(_token_steps(rehearsal, token, known, users.answer))
    return Explanation(
        target=_target(target, rehearsal),
        routes=list(_routes(stage.routes, rehearsal.asked_about or target, rehearsal)),
        token=steps,
        verdict=list(_verdict(rehearsal, blueprint.config, is_unsure=any(map(_is_unsure, steps)))),
        head=None if rehearsal.head is None else _head(rehearsal.head, token),
        rehearsal=rehearsal,
    )


async def _read_revocations(state: State | None, revocations: RevocationList) -> str:
    """Fill the list; in words, what is known of them."""
    if state is None:
        return _UNKNOWN
    try:
        news = await state.store.revocations_since(0)
    except StoreUnavailable as error:
        return f"{_UNKNOWN}: {error}"
    for revocation in news.revocations:
        revocations.add(revocation)
    return "none that concerns it"


class _Users(UserLookUp):
    """The directory, if it can be asked; else every user is taken to be a good one. `answer` is what came of it."""

    def __init__(self, directory: UserLookUp | None) -> None:
        self._directory = directory
        self.answer = _UNKNOWN

    async def find_by_id(self, user_id: str) -> User | None:
        if self._directory is not None:
            try:
                user = await self._directory.find_by_id(user_id)
            except StoreUnavailable as error:
                self.answer = f"{_UNKNOWN}: {error}"
            else:
                self.answer = "looked up: active"  # of one who is not, the refusal speaks
                return user
        return User(id=user_id, username="", email="", roles=(), is_active=True)


def _target(raw: str, rehearsal: Rehearsal) -> str:
    if rehearsal.asked_about is not None:
        return f"a proxy asks about {_reading(rehearsal.asked_about, rehearsal)}"
    return _reading(raw, rehearsal)


def _reading(raw: str, rehearsal: Rehearsal) -> str:
    if rehearsal.reason in _NO_QUESTION:
        return f"{printable(raw)} is where other proxies ask"
    if rehearsal.reason in (Reason.BAD_REQUEST, Reason.METHOD_NOT_SUPPORTED, Reason.TARGET_TOO_LONG):
        return f"{printable(raw)} is not looked at: {ANSWERS[rehearsal.reason].detail}"
    try:
        target = parse_target(raw)
    except Refused:
        return f"{printable(raw)} has more than one reading (or is none) and is refused"
    query = f", query {target.query}" if target.query else ""
    words = f"path {target.path}{query}"
    if rehearsal.reason is Reason.BAD_TARGET:
        odd = ", ".join(sorted(oddity.value for oddity in target.doubt.oddities)) if target.doubt else ""
        return f"{words} has other readings too ({odd or 'escapes'}), which are not allowed here or lead elsewhere"
    return words


def _routes(routes: RouteTable[RoutePlan], target: str, rehearsal: Rehearsal) -> Iterator[Step]:
    if rehearsal.reason in _NO_QUESTION:
        return
    try:
        path = parse_target(target).path
    except Refused:
        return
    winner: str | None = None
    own_others = 0
    for entry, is_exact, _, covers in routes.trace(path):
        if covers and winner is None:
            winner = entry
            yield Step(entry, "matches: it decides" if is_exact else "matches, the longest that does: it decides")
        elif covers:
            yield Step(entry, f"matches, but {winner} is longer")
        elif is_exact:
            own_others += 1
        elif path.startswith(entry):
            yield Step(entry, "does not match: it ends inside of a segment of the path")
        else:
            yield Step(entry, "does not match: the path does not begin with it")
    yield Step("(the gateway's own)", f"{own_others} single paths, none of which this is")


def _token_steps(rehearsal: Rehearsal, token: bytes | None, revoked: str, user: str) -> Iterator[Step]:
    plan, reason = rehearsal.plan, rehearsal.reason
    if token is None:
        yield Step("none", "the request is anonymous")
        return
    if plan is not None and not plan.policy.reads_token:
        yield Step("not read", "nobody is asked on a public route: the token, good or bad, gives no identity")
        return
    if rehearsal.principal is None and reason not in _TOKEN_REASONS:
        if plan is not None and reason in (None, Reason.NOT_AUTHENTICATED, Reason.METHOD_NOT_ALLOWED):
            yield Step("not read", "its scheme is not one that the gateway takes: the request is anonymous")
        else:
            yield Step("not judged", "the request is refused before anybody looks at it")
        return
    words = {"revocation": revoked, "the user": user}
    if plan is not None and plan.policy.is_stateless:
        words["the user"] = "not asked for: the route is stateless"
    elif rehearsal.principal is not None and not rehearsal.principal.is_local:
        words["the user"] = "not asked for: another issuer's"
    for subject, reasons in _STEPS:
        if reason in reasons:
            yield Step(subject, f"refused: {_in_words(reason)}")
            return
        yield Step(subject, words.get(subject, "good"))


def _is_unsure(step: Step) -> bool:
    return step.words.startswith(_UNKNOWN)


def _in_words(reason: Reason) -> str:
    if reason is Reason.ISSUER_UNAVAILABLE:
        return "it is another issuer's, whose keys are not fetched here; a running gateway may take it"
    answer = ANSWERS[reason]
    return answer.message or answer.detail


def _verdict(rehearsal: Rehearsal, config: Config, *, is_unsure: bool) -> Iterator[str]:
    plan = rehearsal.plan
    if plan is not None:
        yield f"route {plan.name}: {_who_may_pass(plan, config)}"
    if rehearsal.principal is not None:
        roles = ", ".join(sorted(rehearsal.principal.roles)) or "none"
        yield printable(f"user {rehearsal.principal.user_id}, roles {roles}")
    if rehearsal.head is not None and plan is not None:
        yield f"would be forwarded to {_upstream(plan, config)}"
        if is_unsure and rehearsal.principal is not None:
            yield "unless what was not looked up speaks against it"
        return
    status, body = _status_and_body(rehearsal.answer)
    if rehearsal.asked_about is not None and rehearsal.reason is None:
        yield f"a proxy would be told that it may pass it on: {status}"
        yield from _identity(rehearsal)
    elif rehearsal.reason is None:
        yield f"would be answered by the gateway itself: {status}"
    else:
        yield f"would be refused: {status}, reason {rehearsal.reason.value}"
        yield json.dumps(body)


def _identity(rehearsal: Rehearsal) -> Iterator[str]:
    if rehearsal.principal is None:
        yield "with no identity: nobody is there, or nobody is asked"
    else:
        yield printable(f"with {', '.join(rehearsal.principal.identity.decode().splitlines())}")


def _upstream(plan: RoutePlan, config: Config) -> str:
    if plan.reaches_endpoints:
        return "the gateway itself"
    name = next(route.upstream for route in config.routes if route.path == plan.name)
    return f"{name}, {' or '.join(config.upstreams[name].servers)}"


def _who_may_pass(plan: RoutePlan, config: Config) -> str:
    methods = plan.policy.allowed_methods
    words = [f"methods {', '.join(sorted(methods))}" if methods else "all methods"]
    route = next((route for route in config.routes if route.path == plan.name), None)
    own = Access.REQUIRED if plan.policy.reads_token else Access.PUBLIC  # of the gateway's own paths
    access = own if route is None else route.access
    words.insert(0, f"access {access.value}")
    if route is not None and route.roles is not None:
        words.append(f"one of the roles {', '.join(sorted(route.roles))}")
    return ", ".join(words)


def _status_and_body(answer: bytes) -> tuple[int, Any]:
    """Of one of the gateway's own; None as body for none (a HEAD, a preflight)."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), json.loads(body) if body else None


def _head(head: bytes, token: bytes | None) -> str:
    """The token, where it is passed on, cut to its beginning: that names its algorithm and no more."""
    if token is not None:
        head = head.replace(token, b"%b...(%d bytes)" % (token[:_SHOWN_OF_TOKEN], len(token)))
    return head.decode("latin-1")
