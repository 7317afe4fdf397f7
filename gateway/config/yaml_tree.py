"""YAML text → nodes with lines, by PyYAML's event stream.

The events are taken rather than `yaml.compose`, for three reasons: an alias is refused where it stands, so that no
document grows while it is read; depth is bounded before Python's stack is; and duplicate keys show. No tag is ever
looked up, so nothing can be constructed.
"""

from typing import Any, Final, TypeAlias

import yaml

from gateway.config.tree import Broken, Entry, Fault, Listing, Node, Scalar, Table, show
from gateway.errors import ConfigError, Problem

MAX_DEPTH: Final = 16  # the model goes 7 deep
_CORE_TAG: Final = "tag:yaml.org,2002:"

_Loader: TypeAlias = Any  # types-PyYAML leaves the event interface untyped

# What PyYAML says → what to do about it.
_HINTS: Final = {
    "found character '\\t' that cannot start any token": "indent with spaces; YAML allows no tab there",
    "mapping values are not allowed here": "check the indentation, and put a value that holds `: ` in quotes",
    "could not find expected ':'": "every line of a mapping is `key: value`",
    "found unexpected end of stream": "a quote or bracket is never closed",
}


class _UnreadableError(Exception):
    """The rest of the document cannot be read."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def compose(text: str, name: str) -> Node:
    """The document's root. Raises `ConfigError` with the one problem that keeps the rest from being read."""
    loader: _Loader = None
    try:
        loader = yaml.SafeLoader(text)
        return _document(loader)
    except _UnreadableError as fault:
        line, message = fault.line, str(fault)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"holds the character U+{ord(text[error.position]):04X}, which YAML does not allow"
    except yaml.MarkedYAMLError as error:
        line, message = _describe(error)
    except Exception:
        # PyYAML lets ValueError and OverflowError out for escapes as "\Uffffffff"; there may be more.
        line, message = (loader.line + 1 if loader is not None else 0), "is not valid YAML: check this line"
    raise ConfigError([Problem(file=name, line=line, path="", message=message)])


def _describe(error: Any) -> tuple[int, str]:
    """Line and sentence of a scanner's or parser's error. Its excerpt of the file stays out: it may hold a secret."""
    line = error.problem_mark.line + 1
    context = error.context
    if error.context_mark is not None and error.context_mark.line + 1 != line:
        context += f" that begins on line {error.context_mark.line + 1}"
    message = f"{context}, {error.problem}" if context else error.problem
    hint = _HINTS.get(error.problem)
    return line, f"is not valid YAML: {message}" + (f"; {hint}" if hint else "")


def _document(loader: _Loader) -> Node:
    loader.get_event()  # StreamStart
    if loader.check_event(yaml.StreamEndEvent):
        raise _UnreadableError(0, "is empty; start from config.example.yaml")
    loader.get_event()  # DocumentStart
    root = _node(loader, 1)
    loader.get_event()  # DocumentEnd
    if not loader.check_event(yaml.StreamEndEvent):
        line = loader.peek_event().start_mark.line + 1
        raise _UnreadableError(line, "begins a second YAML document here; a configuration is one")
    return root


def _node(loader: _Loader, depth: int) -> Node:
    event: Any = loader.get_event()
    line = event.start_mark.line + 1
    if depth > MAX_DEPTH:
        raise _UnreadableError(line, f"is nested more than {MAX_DEPTH} deep; no key of a configuration is")
    if isinstance(event, yaml.AliasEvent):
        return Broken(line=line, message=f"uses the alias `*{show(str(event.anchor))}`; write the value out")
    node: Node
    if isinstance(event, yaml.ScalarEvent):
        node = _scalar(loader, event, line)
    elif isinstance(event, yaml.SequenceStartEvent):
        node = _listing(loader, line, depth)
    else:
        node = _table(loader, line, depth)
    if event.tag is not None:
        return Broken(line=line, message=f"has the tag `{show(event.tag)}`; write the plain value, without a tag")
    return node


def _scalar(loader: _Loader, event: Any, line: int) -> Node:
    if any("\ud800" <= char <= "\udfff" for char in event.value):
        return Broken(line=line, message="holds half of a surrogate pair; write the character itself")
    tag: str = loader.resolve(yaml.ScalarNode, event.value, event.implicit)
    return Scalar(line=line, text=event.value, kind=tag.removeprefix(_CORE_TAG))


def _listing(loader: _Loader, line: int, depth: int) -> Listing:
    items = []
    while not loader.check_event(yaml.SequenceEndEvent):
        items.append(_node(loader, depth + 1))
    loader.get_event()
    return Listing(line=line, items=tuple(items))


def _table(loader: _Loader, line: int, depth: int) -> Table:
    entries: dict[str, Entry] = {}
    faults = []
    while not loader.check_event(yaml.MappingEndEvent):
        key, value = _node(loader, depth + 1), _node(loader, depth + 1)
        if not isinstance(key, Scalar) or not key.text:
            reason = key.message if isinstance(key, Broken) else "is not plain text"
            faults.append(Fault(line=key.line, key="", message=f"a key {reason}"))
        elif key.text in entries:
            first = entries[key.text].line
            message = f"the key `{show(key.text)}` is given twice, first on line {first}; remove one"
            faults.append(Fault(line=key.line, key=key.text, message=message))
        else:
            entries[key.text] = Entry(line=key.line, node=value)
    loader.get_event()
    return Table(line=line, entries=entries, faults=tuple(faults))
