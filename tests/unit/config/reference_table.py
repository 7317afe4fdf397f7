"""The table of keys in docs/configuration.md, made of the model; `python -m tests.unit.config.reference_table` renews it."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.config.model import Config
from gateway.config.scalars import expected
from gateway.config.schema import default_text
from gateway.config.shapes import Either, Key, Many, Maybe, Named, Section, Shape, section_of

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "configuration.md"
BEGIN, END = "<!-- made of the model: begin -->\n", "<!-- made of the model: end -->\n"


def keys(section: Section | None = None, prefix: str = "", *, reloads: bool = False) -> Iterator[tuple[str, Key]]:
    """Every key with its path: `listen.port`, `upstreams.NAME.servers`, `routes[].path`; `reloads` as it works out."""
    for name, key in (section or section_of(Config)).keys.items():
        path, does_reload = prefix + name, reloads if key.reloads is None else key.reloads
        yield path, dataclasses.replace(key, reloads=does_reload)
        inner, infix = _inner(key.shape)
        if inner is not None:
            yield from keys(inner, path + infix, reloads=does_reload)


def _inner(shape: Shape) -> tuple[Section | None, str]:
    match shape:
        case Section():
            return shape, "."
        case Maybe(value=Section() as section):
            return section, "."
        case Many(item=Section() as section):
            return section, "[]."
        case Named(value=Section() as section):
            return section, ".NAME."
        case _:
            return None, ""


def value_text(shape: Shape) -> str:
    match shape:
        case Section():
            return "section"
        case Maybe():
            return f"{value_text(shape.value)}, or null"
        case Many():
            return f"{'list' if shape.minimum == 0 else 'list, not empty'}: {value_text(shape.item)}"
        case Named():
            return f"mapping: {shape.key_form} → {value_text(shape.value)}"
        case Either():
            return f"{value_text(shape.scalar)}; or a {value_text(shape.mapping)}"
        case _:
            return expected(shape)


def _default(key: Key) -> str:
    if key.is_required:
        return "**required**"
    if isinstance(key.shape, Section):
        return ""
    return f"`{_yaml(default_text(key.shape, key.default))}`"


def _restart(key: Key) -> str:
    """Of a section its keys say it."""
    return "" if key.reloads or _inner(key.shape)[0] is not None else " *Restart.*"


def _yaml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_yaml(item) for item in value)}]"
    return value if isinstance(value, str) else json.dumps(value)


def table() -> str:
    rows = [
        f"| `{path}` | {value_text(key.shape)} | {_default(key)} | {key.doc}{_restart(key)} |".replace("  ", " ")
        for path, key in keys()
    ]
    return "\n".join(["| key | value | default | meaning |", "|---|---|---|---|", *rows, ""])


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + "\n" + table() + "\n" + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
