"""The YAML document as plain nodes with line numbers, paths into it, and the problems found on the way."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gateway.errors import Problem, printable

_SHOWN_CHARS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A single value. `kind` is what YAML takes it for: `str`, `int`, `float`, `bool`, `null`, `timestamp`, …"""

    line: int
    text: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something wrong with a key, found while the mapping was read."""

    line: int
    key: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A key's line and its value."""

    line: int
    node: "Node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A mapping in the order of the file."""

    line: int
    entries: Mapping[str, Entry] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A sequence."""

    line: int
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A node that is YAML but that this program does not take, as an alias."""

    line: int
    message: str


Node: TypeAlias = Scalar | Table | Listing | Broken


def show(text: str, *, max_chars: int = _SHOWN_CHARS) -> str:
    """Text of the file for a message: short, and nothing in it that a terminal would obey."""
    cut = text if len(text) <= max_chars else text[: max_chars - 1] + "…"
    return printable(cut)


def below(path: str, key: str | int) -> str:
    """The YAML path of an entry: `routes[0]`, `routes[0].access`, `upstreams["a b"]`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    if re.fullmatch(r"[\w-]+", key, re.ASCII) is None:
        return f'{path}["{show(key)}"]'
    return f"{path}.{key}" if path else key


def index_lines(root: Node) -> dict[str, int]:
    """The line of every YAML path of the document; that of an entry is its key's."""
    lines: dict[str, int] = {}
    waiting = [("", root.line, root)]
    while waiting:
        path, line, node = waiting.pop()
        lines[path] = line
        if isinstance(node, Table):
            waiting.extend((below(path, key), entry.line, entry.node) for key, entry in node.entries.items())
        elif isinstance(node, Listing):
            waiting.extend((below(path, index), item.line, item) for index, item in enumerate(node.items))
    return lines


def index_references(root: Node) -> dict[str, str]:
    """What stands at every YAML path whose value is `{env: NAME}` or `{file: PATH}`, as it can be written again."""
    references: dict[str, str] = {}
    waiting = [("", root)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, Table):
            for key, entry in node.entries.items():
                if key in ("env", "file") and isinstance(entry.node, Scalar):
                    text = entry.node.text
                    plain = re.fullmatch(r"[\w./-]+", text, re.ASCII) is not None
                    references[path] = f"{{{key}: {text if plain else json.dumps(text)}}}"
                waiting.append((below(path, key), entry.node))
        elif isinstance(node, Listing):
            waiting.extend((below(path, index), item) for index, item in enumerate(node.items))
    return references


def line_of(lines: Mapping[str, int], path: str) -> int:
    """The line of `path` or of its nearest parent in the file; 0 for an index without lines."""
    for at in _up_from(path):
        if at in lines:
            return lines[at]
    return lines.get("", 0)


def _up_from(path: str) -> Iterator[str]:
    """The path and its parents but the document itself. (Dots inside of quoted keys give paths that do not exist.)"""
    while path:
        yield path
        path = path[: max(path.rfind("."), path.rfind("["), 0)]


class Findings:
    """Problems, collected while reading goes on."""

    __slots__ = ("_around", "_file", "_lines", "_paths", "_problems")

    def __init__(self, file: str, lines: Mapping[str, int]) -> None:
        self._file = file
        self._lines = lines
        self._problems: list[Problem] = []
        self._paths: set[str] = set()
        self._around: set[str] = set()

    def add(self, path: str, message: str, *, line: int | None = None) -> None:
        at = line_of(self._lines, path) if line is None else line
        self._problems.append(Problem(file=self._file, line=at, path=path, message=message))
        self.spoil(path)

    def spoil(self, path: str) -> None:
        """Nothing is known of the value here, though there is no problem of its own to tell."""
        self._paths.add(path)
        self._around.update(_up_from(path))

    def is_sound(self, *paths: str) -> bool:
        """Whether nothing was found at these paths, below or around them, so that their values are what was written."""
        return all(path not in self._around and self._paths.isdisjoint(_up_from(path)) for path in paths)

    def problems(self) -> Sequence[Problem]:
        """In the order of the file."""
        return sorted(self._problems, key=lambda problem: problem.line)
