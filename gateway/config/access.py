"""Whose access differs between two configurations, as sentences; the most dangerous ones first.

Routes are compared by place, not one by one: a longer prefix that comes or goes changes who may pass below it, though
no route that stays has changed. All prefixes of both files cut the paths into regions, and in each of them every path
falls on one route of the old file and one of the new. So one question for each region, for each method that a route
names and once for all others, answers it for every request.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any, Final

from gateway.config.amounts import DURATION
from gateway.config.changes import changes
from gateway.config.meaning import meaning_of
from gateway.config.model import Config
from gateway.config.sections.cors import Cors, RouteCors
from gateway.config.sections.routes import Route
from gateway.config.sections.tokens import FurtherKey, Tokens
from gateway.config.tree import show
from gateway.types import Access

Roles = frozenset[str]

_OTHER_METHODS: Final = "*"


@unique
class Effect(StrEnum):
    """WIDER: somebody may do what he might not; NARROWER: the other way round; CHANGED: another matter."""

    WIDER = "wider"
    CHANGED = "changed"
    NARROWER = "narrower"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`place` is a path prefix or a YAML path, `text` goes on from it. `weight` orders within an effect."""

    effect: Effect
    place: str
    text: str
    weight: int = 0


@unique
class Everybody(StrEnum):
    """Who may pass, unless it is a set of roles."""

    NOBODY = "nobody"
    USERS = "any user"
    ANYBODY = "anybody"


Audience = Everybody | Roles
_WEIGHTS: Final = {Everybody.ANYBODY: 3, Everybody.USERS: 2, Everybody.NOBODY: 0}


def differences(old: Config, new: Config) -> list[Difference]:
    """All of them. Keys are compared by what they are and named by what tokens call them."""
    found = [*_of_places(old, new), *_of_keys(old.tokens, new.tokens), *_of_origins(old, new), *_of_settings(old, new)]
    return sorted(found, key=lambda it: (list(Effect).index(it.effect), -it.weight, it.place))


# Places


def _of_places(old: Config, new: Config) -> Iterator[Difference]:
    before, after = _by_prefix(old), _by_prefix(new)
    for prefix in sorted({*before, *after}):
        was, now = _route_at(before, prefix), _route_at(after, prefix)
        place = prefix or "/"
        yield from _of_audience(place, was, now)
        if was is not None and now is not None:
            yield from _of_route(place, was, now)


def _by_prefix(config: Config) -> Mapping[str, Route]:
    return {route.path.rstrip("/"): route for route in config.routes}


def _route_at(routes: Mapping[str, Route], prefix: str) -> Route | None:
    """As `http.routes.RouteTable` finds it for what lies right there."""
    while prefix:
        if prefix in routes:
            return routes[prefix]
        prefix = prefix[: prefix.rfind("/")]
    return routes.get("")


def _of_audience(place: str, was: Route | None, now: Route | None) -> Iterator[Difference]:
    """One for each pair of audiences, with the methods that it is about."""
    by_change: dict[tuple[Audience, Audience], list[str]] = {}
    methods = [*sorted({*_methods(was), *_methods(now)}), _OTHER_METHODS]
    for method in methods:
        change = _audience(was, method), _audience(now, method)
        by_change.setdefault(change, []).append(method)
    for (before, after), about in by_change.items():
        if before == after:
            continue
        gained = not _covers(before, after)
        if len(about) == len(methods):
            which = ""
        elif _OTHER_METHODS in about:
            which = f"all methods but {', '.join(method for method in methods if method not in about)}: "
        else:
            which = f"{', '.join(about)}: "
        yield Difference(
            effect=Effect.WIDER if gained else Effect.NARROWER,
            place=place,
            text=f"{which}{_who(before)} → {_who(after)}{_why(place, was, now)}",
            weight=10 * _weight(after if gained else before),
        )


def _methods(route: Route | None) -> Iterable[str]:
    return () if route is None or route.methods is None else route.methods


def _audience(route: Route | None, method: str) -> Audience:
    if route is None or (route.methods is not None and method not in route.methods):
        return Everybody.NOBODY
    if route.access is Access.PUBLIC:
        return Everybody.ANYBODY
    if route.roles is not None:
        return route.roles
    return Everybody.ANYBODY if route.access is Access.OPTIONAL else Everybody.USERS


def _covers(one: Audience, other: Audience) -> bool:
    """Whether everybody in `other` is in `one`."""
    if isinstance(one, frozenset) and isinstance(other, frozenset):
        return other <= one
    return _weight(one) >= _weight(other)


def _weight(audience: Audience) -> int:
    return 1 if isinstance(audience, frozenset) else _WEIGHTS[audience]


def _who(audience: Audience) -> str:
    if isinstance(audience, frozenset):
        return f"users with {'the role' if len(audience) == 1 else 'one of the roles'} {_list(audience)}"
    return audience.value


def _why(place: str, was: Route | None, now: Route | None) -> str:
    """Where another route than before is in charge."""
    before, after = (None if route is None else route.path.rstrip("/") or "/" for route in (was, now))
    if before == after:
        return ""
    if before is None or after is None:
        return " (the route is new)" if before is None else " (the route is gone)"
    return f" (a new route takes it from {before})" if after == place else f" (the route is gone, {after} takes it)"


def _of_route(place: str, was: Route, now: Route) -> Iterator[Difference]:
    """What else differs for those who pass."""
    if was.upstream != now.upstream:
        yield _changed(place, f"goes to upstream {show(was.upstream)} → {show(now.upstream)}", weight=5)
    if was.access is not now.access and Access.PUBLIC in (was.access, now.access):
        told = "no longer" if now.access is Access.PUBLIC else "now"
        yield _changed(place, f"the backend is {told} told who the user is", weight=6)
    flags: tuple[tuple[bool, bool, str], ...] = (
        (was.stateless, now.stateless, "users who are gone or disabled pass until their token ends"),
        (was.outlive_token, now.outlive_token, "WebSockets and event streams outlive their token"),
        (was.keep_authorization, now.keep_authorization, "the backend is given the token itself"),
        (was.websocket is not None, now.websocket is not None, "WebSockets pass"),
        (was.rate_limit is None, now.rate_limit is None, "nobody is held back by a rate limit"),
    )
    for before, after, text in flags:
        if before != after:
            yield _switched(place, is_wider=after, text=text if after else f"no longer: {text}")
    if was.allow_in_path != now.allow_in_path:
        gained = bool(now.allow_in_path - was.allow_in_path)
        text = f"odd paths that pass: {_list(was.allow_in_path)} → {_list(now.allow_in_path)}"
        yield _switched(place, is_wider=gained, text=text)
    if was.upstream_path != now.upstream_path:
        yield _changed(place, f"the backend gets it at {was.upstream_path or place} → {now.upstream_path or place}")


# Keys


def _of_keys(old: Tokens, new: Tokens) -> Iterator[Difference]:
    before, after = _by_name(old), _by_name(new)
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        if was is None:
            text = f"{name} is new: what it has signed passes"
            yield Difference(effect=Effect.WIDER, place="tokens", text=text, weight=15)
        elif now is None:
            text = f"{name} is gone: what it has signed is refused"
            yield Difference(effect=Effect.NARROWER, place="tokens", text=text, weight=15)
        elif (was.signing_key, was.verifying_key) != (now.signing_key, now.verifying_key):
            text = f"{name} is another one: what that of before has signed is refused"
            yield _changed("tokens", text, weight=15)
    if _key_name(old) != _key_name(new):
        yield _changed("tokens", f"{_key_name(old)} → {_key_name(new)} signs new tokens", weight=3)


def _by_name(tokens: Tokens) -> Mapping[str, Tokens | FurtherKey]:
    keys: tuple[Tokens | FurtherKey, ...] = (tokens, *tokens.further_keys)
    return {_key_name(key): key for key in keys}


def _key_name(key: Tokens | FurtherKey) -> str:
    return f"the {key.algorithm.value} key {'without a kid' if key.kid is None else show(key.kid)}"


# Browsers


def _of_origins(old: Config, new: Config) -> Iterator[Difference]:
    before, after = _by_prefix(old), _by_prefix(new)
    yield from _of_cors("cors", old.cors, new.cors)
    for prefix in sorted({*before, *after}):
        was, now = _route_at(before, prefix), _route_at(after, prefix)
        if was is None or now is None:
            continue
        if was.websocket is not None and now.websocket is not None:
            text = "pages that may open WebSockets"
            yield from _of_set(prefix or "/", was.websocket.allow_origins, now.websocket.allow_origins, text)
        if (was.cors, now.cors) != (RouteCors.INHERIT, RouteCors.INHERIT):
            yield from _of_cors(f"{prefix or '/'} (cors)", _cors_at(was, old), _cors_at(now, new))


def _cors_at(route: Route, config: Config) -> Cors | None:
    if isinstance(route.cors, Cors):
        return route.cors
    return config.cors if route.cors is RouteCors.INHERIT else None


def _of_cors(place: str, was: Cors | None, now: Cors | None) -> Iterator[Difference]:
    if was is None or now is None:
        if was is not now:
            yield _changed(place, "answered by the gateway" if was is None else "left to the backends", weight=3)
        if was is None and now is not None:
            yield from _of_set(place, (), now.allow_origins, "pages that may read answers")
        return
    yield from _of_set(place, was.allow_origins, now.allow_origins, "pages that may read answers")
    for name in ("allow_methods", "allow_headers", "expose_headers"):
        yield from _of_set(place, getattr(was, name), getattr(now, name), name)
    if was.allow_credentials != now.allow_credentials:
        text = f"with credentials: {_word(was.allow_credentials)} → {_word(now.allow_credentials)}"
        yield _switched(place, is_wider=now.allow_credentials, text=text)


def _of_set(place: str, was: Sequence[str], now: Sequence[str], what: str) -> Iterator[Difference]:
    before, after = frozenset(was), frozenset(now)
    if before != after:
        is_wider = "*" not in before and bool(after - before)
        yield _switched(place, is_wider=is_wider, text=f"{what}: {_list(before)} → {_list(after)}")


# The rest


def _of_settings(old: Config, new: Config) -> Iterator[Difference]:
    """What `meaning_of` knows; limits, time-outs and the like say nothing of access."""
    for change in changes(old, new):
        meaning = meaning_of(change.path)
        if meaning is None:
            continue
        before, after = _value(old, change.path), _value(new, change.path)
        is_wider = None if meaning.is_wider is None else meaning.is_wider(before, after)
        effect = Effect.CHANGED if is_wider is None else Effect.WIDER if is_wider else Effect.NARROWER
        text = f"{_word(before)} → {_word(after)}: {meaning.text}"
        yield Difference(effect=effect, place=change.path, text=text, weight=meaning.weight)


def _value(config: Config, path: str) -> Any:
    """None where there is no such key, and for what a path with a quoted or numbered part leads to."""
    value: Any = config
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return value


def _changed(place: str, text: str, *, weight: int = 0) -> Difference:
    return Difference(effect=Effect.CHANGED, place=place, text=text, weight=weight)


def _switched(place: str, *, is_wider: bool, text: str) -> Difference:
    return Difference(effect=Effect.WIDER if is_wider else Effect.NARROWER, place=place, text=text, weight=4)


def _word(value: Any) -> str:
    """A value as the file has it, or as near as a line allows."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | frozenset):
        return _list(value)
    if isinstance(value, float):
        return DURATION.format(round(value * 1000))
    if isinstance(value, str | int):
        return show(str(value))
    return "set" if value else "empty"


def _list(values: Iterable[object]) -> str:
    return show(", ".join(sorted(str(value) for value in values)), max_chars=200) or "none"
