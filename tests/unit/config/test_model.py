"""What is written about the model elsewhere is held against it: the example and the reference."""

import dataclasses
import re

import pytest
import yaml

from gateway.config.load import load, loads
from gateway.config.model import Config
from gateway.config.schema import default_text
from gateway.config.shapes import Section
from gateway.types import Secret
from tests.unit.config.reference_table import PAGE, ROOT, keys, table

EXAMPLE = ROOT / "config.example.yaml"
ENVIRON = {"GATEWAY_SIGNING_KEY": "k" * 32, "BACKEND_URL": "http://127.0.0.1:8000"}
WITH_LAST_KEY = {**ENVIRON, "GATEWAY_LAST_KEY": "l" * 64}
MINIMAL = """
tokens: {signing_key: {env: GATEWAY_SIGNING_KEY}}
upstreams: {backend: {servers: [{env: BACKEND_URL}]}}
routes: [{path: /, upstream: backend}]
users: {sqlite: ./gateway.sqlite3}
"""


COMMENTED_OUT = {
    "cors",
    "foreign_issuers",
    "forward_auth",
    "listen.tls",
    "routes[].rate_limit",
    "routes[].websocket",
    "tokens.further_keys",
    "tokens.further_keys[].signing_key",
}

NOT_THE_DEFAULT = {"tokens.rotate_refresh_tokens"}


def _with_all_sections() -> str:
    """The example with the sections that it has commented out."""
    text, count = re.subn(
        r"^( *)#((?:  )*(?:- )?[a-z_]+:)", r"\1\2", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert count > 7
    return text


def test_the_example_runs_with_two_variables_and_says_the_defaults() -> None:
    config = load(EXAMPLE, ENVIRON).config
    tokens = dataclasses.replace(config.tokens, rotate_refresh_tokens=False)  # on in the example alone
    assert dataclasses.replace(config, tokens=tokens) == loads(MINIMAL, "c.yaml", ENVIRON).config
    assert config.tokens.rotate_refresh_tokens
    assert config.tokens.signing_key == Secret("k" * 32)


def test_what_the_example_has_commented_out_loads_too() -> None:
    text = _with_all_sections().replace("trusted_proxies: []", "trusted_proxies: [10.0.0.0/8]")
    config = loads(text, "c.yaml", WITH_LAST_KEY).config
    assert config.forward_auth is not None
    assert config.cors == Config.__dataclass_fields__["cors"].type or config.cors is not None
    assert config.cors.allow_origins == ("https://app.example.org",)
    assert config.foreign_issuers["company"].audience == ("https://api.example.org",)
    assert config.listen.tls is not None
    assert config.routes[0].websocket is not None
    assert [key.signing_key for key in config.tokens.further_keys] == [Secret("l" * 64)]


def test_every_key_is_in_the_example_with_its_default() -> None:
    tree = yaml.safe_load(_with_all_sections())
    for path, key in keys():
        value = tree
        example = path.replace("upstreams.NAME", "upstreams.backend").replace(
            "foreign_issuers.NAME", "foreign_issuers.company"
        )
        for step in example.replace("[]", ".0").split("."):
            value = value[int(step)] if isinstance(value, list) else value[step]
        if key.is_required or isinstance(key.shape, Section) or path in COMMENTED_OUT or path in NOT_THE_DEFAULT:
            continue
        expected = default_text(key.shape, key.default)
        assert _same(value, expected), path


def _same(value: object, expected: object) -> bool:
    return str(value) == str(expected) or {"60s": "1m"}.get(str(value)) == expected


def test_every_line_of_the_example_says_something() -> None:
    """Each section has a sentence above it."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if re.match(r"#?[a-z]+:$", line):
            assert lines[number - 1].startswith("# "), line


def test_the_reference_has_every_key_as_the_model_has_it() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert table() in page, "run: python -m tests.unit.config.reference_table"
    for path, _ in keys():
        assert f"| `{path}` |" in page


def test_the_configurations_in_the_reference_load() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    loads(blocks[0], "c.yaml", ENVIRON)
    # The second asks for files; the others are parts, read in the place of those of the least configuration.
    assert len(blocks) > 2
    for block in blocks[2:]:
        whole, part = yaml.safe_load(MINIMAL), yaml.safe_load(block)
        part["tokens"] = whole["tokens"] | part.get("tokens", {})
        loads(yaml.safe_dump(whole | part), "c.yaml", WITH_LAST_KEY)


@pytest.mark.parametrize("key", [key for _, key in keys()], ids=[path for path, _ in keys()])
def test_every_key_is_documented_by_a_sentence(key: object) -> None:
    assert re.fullmatch(r".{6,}\.", getattr(key, "doc"))  # noqa: B009
