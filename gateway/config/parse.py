"""Nodes → `Config`, by the model's shapes. No early stop: every problem of the file is found in one go."""

import difflib
from typing import Any, Final, Protocol

from gateway.config import checks, forms, scalars
from gateway.config.forms import Form
from gateway.config.model import Config
from gateway.config.shapes import Either, Hidden, Many, Maybe, Named, ScalarShape, Section, Shape, Text, section_of
from gateway.config.tree import Broken, Findings, Listing, Node, Scalar, Table, below, index_lines, show
from gateway.errors import ConfigError, GatewayError

_SOURCES: Final = {"env": Text(form=Form.VARIABLE), "file": Text(form=Form.TEXT)}
_GUESSED_CHARS: Final = 64  # nobody meant a longer key, and the nearest match costs the product of the lengths


class UnavailableError(GatewayError):
    """A value that lives outside of the file cannot be had; the text goes on from the name of the key."""


class Resolve(Protocol):
    """Reads `{env: NAME}` and `{file: PATH}`: `source` is `env` or `file`. Raises `UnavailableError`."""

    def __call__(self, source: str, name: str, *, is_secret: bool) -> str: ...


def parse(root: Node, *, name: str, resolve: Resolve) -> Config:
    """`name` is the file's, for the problems. Raises `ConfigError` with all of them, in the order of the file."""
    findings = Findings(name, index_lines(root))
    config = _Reader(findings, resolve).value(section_of(Config), root, "")
    # With no mapping at the top nothing is known that could be checked.
    if isinstance(root, Table):
        checks.check(config, findings)
    problems = findings.problems()
    if problems:
        raise ConfigError(problems)
    checked: Config = config
    return checked


def parse_section(root: Node, key: str, *, name: str, resolve: Resolve) -> Any:
    """One section alone, whatever is wrong with the others. Raises `ConfigError` with all of its own problems."""
    shape = section_of(Config).keys[key]
    if not isinstance(root, Table) or key not in root.entries:
        return shape.default
    findings = Findings(name, index_lines(root))
    section = _Reader(findings, resolve).value(shape.shape, root.entries[key].node, key)
    problems = findings.problems()
    if problems:
        raise ConfigError(problems)
    return section


def _blank(shape: Shape) -> Any:
    """What stands for a value that could not be read, so that the checks can go on around it; never handed out."""
    if isinstance(shape, Section):
        values = {name: _blank(key.shape) if key.is_required else key.default for name, key in shape.keys.items()}
        return shape.model(**values)
    if isinstance(shape, Named):
        return {}
    if isinstance(shape, Many):
        return shape.collection()
    return None


class _Reader:
    def __init__(self, findings: Findings, resolve: Resolve) -> None:
        self._findings = findings
        self._resolve = resolve

    def value(self, shape: Shape, node: Node, path: str) -> Any:
        """The model's value, or a blank whose problem has been noted."""
        if isinstance(node, Broken):
            self._findings.add(path, node.message)
            return _blank(shape)
        match shape:
            case Maybe():
                # `roles: null` says what it means; `roles:` may be a list that was forgotten.
                if isinstance(node, Scalar) and node.kind == "null" and node.text:
                    return None
                return self.value(shape.value, node, path)
            case Section():
                return self._section(shape, node, path)
            case Named():
                return self._named(shape, node, path)
            case Many():
                return self._many(shape, node, path)
            case Either():
                return self.value(shape.mapping if isinstance(node, Table) else shape.scalar, node, path)
            case _:
                return self._scalar(shape, node, path)

    def _table(self, node: Node, path: str) -> Table | None:
        """The node as a mapping; nothing at all after the colon is an empty one."""
        if isinstance(node, Scalar) and node.kind == "null":
            return Table(line=node.line)
        if isinstance(node, Table):
            for fault in node.faults:
                self._findings.add(below(path, fault.key) if fault.key else path, fault.message, line=fault.line)
            return node
        found = "a list" if isinstance(node, Listing) else "a single value"
        self._findings.add(path, f"must be a mapping of keys to values, not {found}")
        return None

    def _section(self, shape: Section, node: Node, path: str) -> Any:
        table = self._table(node, path)
        if table is None:
            return _blank(shape)
        meant = {self._refuse_key(name, shape, path) for name in table.entries if name not in shape.keys}
        values = {}
        for name, key in shape.keys.items():
            entry = table.entries.get(name)
            if entry is not None:
                values[name] = self.value(key.shape, entry.node, below(path, name))
                continue
            values[name] = _blank(key.shape) if key.is_required else key.default
            if name in meant:
                self._findings.spoil(below(path, name))
            elif key.is_required:
                self._findings.add(below(path, name), f"is missing: {key.doc}")
        return shape.model(**values)

    def _refuse_key(self, name: str, shape: Section, path: str) -> str | None:
        """Note an unknown key; gives the key that was probably meant."""
        known = list(shape.keys)
        near = difflib.get_close_matches(name, known, n=1) if len(name) <= _GUESSED_CHARS else []
        advice = f"did you mean `{near[0]}`?" if near else f"the keys here are {', '.join(known)}"
        self._findings.add(below(path, name), f"unknown key `{show(name)}`; {advice}")
        return near[0] if near else None

    def _named(self, shape: Named, node: Node, path: str) -> dict[str, Any]:
        table = self._table(node, path)
        if table is None:
            return {}
        for name in table.entries:
            refusal = forms.refusal(shape.key_form, name)
            if refusal is not None:
                self._findings.add(below(path, name), f"the name `{show(name)}` {refusal}")
        self._refuse_few(len(table.entries), shape.minimum, path)
        return {name: self.value(shape.value, entry.node, below(path, name)) for name, entry in table.entries.items()}

    def _many(self, shape: Many, node: Node, path: str) -> Any:
        if not isinstance(node, Listing):
            found = "empty" if isinstance(node, Scalar) and node.kind == "null" else "no list"
            self._findings.add(path, f"is {found}: write a list, each entry on a line after `- ` or all as [a, b]")
            return shape.collection()
        self._refuse_few(len(node.items), shape.minimum, path)
        return shape.collection(
            [self.value(shape.item, item, below(path, index)) for index, item in enumerate(node.items)]
        )

    def _refuse_few(self, count: int, minimum: int, path: str) -> None:
        if count < minimum:
            self._findings.add(path, f"must have at least {minimum} {'entry' if minimum == 1 else 'entries'}")

    def _scalar(self, shape: ScalarShape, node: Node, path: str) -> Any:
        if isinstance(node, Table):
            fetched = self._fetch(shape, node, path)
            if fetched is None:
                return None
            node = fetched
        if not isinstance(node, Scalar):
            self._findings.add(path, f"must be {scalars.expected(shape)}, not a list")
            return None
        return self._read(shape, node, path)

    def _read(self, shape: ScalarShape, scalar: Scalar, path: str) -> Any:
        try:
            return scalars.read(shape, scalar)
        except scalars.UnfitError as unfit:
            self._findings.add(path, str(unfit))
            return None

    def _fetch(self, shape: ScalarShape, table: Table, path: str) -> Scalar | None:
        """The text that `{env: NAME}` or `{file: PATH}` stands for; None when there is none, which has been noted."""
        source, entry = next(iter(table.entries.items()), ("", None))
        if entry is None or source not in _SOURCES or len(table.entries) > 1 or table.faults:
            or_reference = "" if isinstance(shape, Hidden) else ", or {env: NAME} or {file: PATH}"
            self._findings.add(path, f"must be {scalars.expected(shape)}{or_reference}; this mapping is neither")
            return None
        if not isinstance(entry.node, Scalar):
            self._findings.add(below(path, source), f"must be {scalars.expected(_SOURCES[source])}")
            return None
        name = self._read(_SOURCES[source], entry.node, below(path, source))
        if name is None:
            return None
        try:
            text = self._resolve(source, name, is_secret=isinstance(shape, Hidden))
        except UnavailableError as unavailable:
            self._findings.add(path, str(unavailable))
            return None
        return Scalar(line=table.line, text=text, kind=scalars.OUTSIDE)
