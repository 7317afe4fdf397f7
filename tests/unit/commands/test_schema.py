import json
from collections.abc import Callable

from gateway.config import schema


def test_prints_the_schema_as_json(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run("schema")
    assert (code, err) == (0, "")
    assert json.loads(out) == schema.json_schema()
