"""No pattern is possessive or atomic: early releases of Python 3.11 take `/a/..` for what such a pattern refuses."""

import ast
import re._constants as ops  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gateway

NEW_IN_3_11 = frozenset({ops.POSSESSIVE_REPEAT, ops.ATOMIC_GROUP})


def patterns() -> dict[str, Any]:
    """Every pattern that is written out in the source, by its place."""
    calls = [
        (path, node)
        for path in Path(gateway.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "re.compile"
    ]
    return {
        f"{path.name}:{node.lineno}": node.args[0].value
        for path, node in calls
        if isinstance(node.args[0], ast.Constant)
    }


def operations(parsed: Any) -> Iterator[Any]:
    """All operations of a parsed pattern, those inside others too."""
    if isinstance(parsed, parser.SubPattern | list | tuple):
        for part in parsed:
            yield from operations(part)
    else:
        yield parsed


def test_no_pattern_is_possessive() -> None:
    found = patterns()
    assert len(found) > 20
    for place, pattern in found.items():
        assert NEW_IN_3_11.isdisjoint(operations(parser.parse(pattern))), place


@pytest.mark.parametrize("pattern", ["a++", "(?:ab)*+", "(?>a)", "x(?:y(z?+))"])
def test_one_that_is_would_be_seen(pattern: str) -> None:
    assert not NEW_IN_3_11.isdisjoint(operations(parser.parse(pattern)))
