"""What differs between two configurations, by YAML path, and what of it a running gateway cannot take up."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from gateway.config.model import Config
from gateway.config.tree import below


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """`path` is a YAML path of the newer file or, for what is gone from there, of the older one."""

    path: str
    needs_restart: bool


def changes(old: Config, new: Config) -> tuple[Change, ...]:
    """In the order of the model; the deepest paths that say it all."""
    return tuple(_below("", old, new, reloads=False))


def _below(path: str, old: Any, new: Any, *, reloads: bool) -> Iterator[Change]:
    if old == new:
        return
    if type(old) is type(new) and is_dataclass(new):
        for field in fields(new):
            says = field.metadata["reloads"]
            name = field.name
            yield from _below(
                below(path, name), getattr(old, name), getattr(new, name), reloads=reloads if says is None else says
            )
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from _below(below(path, key), old.get(key), new.get(key), reloads=reloads)
    elif _are_lists_of_sections(old, new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _below(below(path, index), before, after, reloads=reloads)
    else:
        yield Change(path=path, needs_restart=not reloads)


def _are_lists_of_sections(old: object, new: object) -> bool:
    """Of the same length: where entries came or went, the others moved, and a path would name another one's value."""
    return (
        isinstance(old, tuple)
        and isinstance(new, tuple)
        and len(old) == len(new)
        and all(map(is_dataclass, (*old, *new)))
    )
