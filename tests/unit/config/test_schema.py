from typing import Any

import jsonschema
import pytest
import yaml

from gateway.config.model import Config
from gateway.config.schema import default_text, json_schema
from gateway.config.shapes import section_of
from tests.unit.config.reference_table import ROOT, keys
from tests.unit.config.sample import refusals, text_with

VALIDATOR = jsonschema.Draft202012Validator(json_schema())

# Sections → whether the file passes; `checks` and what is outside are beyond a schema.
CASES: list[tuple[dict[str, str], bool]] = [
    ({}, True),
    ({"listen": ""}, True),
    ({"listen": "{port: 0, address: '::'}"}, True),
    ({"listen": "{port: '8080'}"}, False),
    ({"listen": "{port: 65536}"}, False),
    ({"log": "{access: 'true'}"}, False),
    ({"listen": "{address: 1.2.3}"}, False),
    ({"listen": "[]"}, False),
    ({"listen": "{adress: x}"}, False),
    ({"unknown": "1"}, False),
    ({"login": "{compat: 3.3}"}, True),
    ({"login": "{compat: 5}"}, True),
    ({"login": "{compat: '5'}"}, True),
    ({"login": "{compat: 4}"}, False),
    ({"login": "{username_field: email, response_fields: {id: id, user: {roles: roles}}}"}, True),
    ({"login": "{response_fields: {id: phone}}"}, False),
    ({"login": "{response_fields: {a: {b: {c: id}}}}"}, False),
    ({"login": "{obtain_path: /a//b}"}, False),
    ({"login": "{obtain_path: /a/./b}"}, False),
    ({"tokens": "{signing_key: literal}"}, False),
    ({"tokens": "{signing_key: {env: KEY, file: x}}"}, False),
    ({"tokens": "{signing_key: {env: K-Y}}"}, False),
    ({"tokens": "{signing_key: {}}"}, False),
    ({"tokens": "{}"}, False),
    ({"tokens": ""}, False),
    ({"tokens": "{signing_key: {env: KEY}, access_lifetime: 300}"}, False),
    ({"tokens": "{signing_key: {env: KEY}, access_lifetime: 1h30m}"}, False),
    ({"tokens": "{signing_key: {env: KEY}, issuer: null, audience: [a], leeway: 10s}"}, True),
    ({"tokens": "{signing_key: {env: KEY}, issuer: 5}"}, False),
    ({"tokens": "{signing_key: {env: KEY}, issuer: ''}"}, False),
    ({"tokens": "{signing_key: {env: KEY}, audience: a}"}, False),
    ({"tokens": "{signing_key: {env: KEY}, claims: {extra: {mail: email}}}"}, True),
    ({"tokens": "{signing_key: {env: KEY}, algorithm: none}"}, False),
    ({"upstreams": "{}"}, False),
    ({"upstreams": "{app: {servers: [{env: URL}], send_timeout: 1s}}"}, True),
    ({"upstreams": "{app: {servers: ['ftp://app']}}"}, False),
    ({"upstreams": "{app: {servers: ['http://app/']}}"}, False),
    ({"upstreams": "{'a b': {servers: ['http://app']}, app: {servers: ['http://app']}}"}, False),
    ({"routes": "[]"}, False),
    ({"routes": "[{path: /, upstream: app, roles: null, methods: [GET]}]"}, True),
    ({"routes": "[{path: /, upstream: app, roles: []}]"}, False),
    ({"routes": "[{path: /, upstream: app, methods: [get]}]"}, False),
    ({"routes": "[{path: /, upstream: app, methods: [TRACE]}]"}, False),
    ({"routes": "[{path: /, upstream: app, access: off}]"}, False),
    ({"routes": "[{path: /}]"}, False),
    ({"routes": "[{path: /, upstream: app, upstream_path: /v2, allow_in_path: [semicolon]}]"}, True),
    ({"routes": "[{path: /, upstream: app, upstream_path: v2}]"}, False),
    ({"routes": "[{path: /, upstream: app, allow_in_path: [dots]}]"}, False),
    ({"routes": "[{path: /, upstream: app, max_body_bytes: 10MiB, cors: upstream}]"}, True),
    ({"routes": "[{path: /, upstream: app, max_body_bytes: unlimited, cors: 'upstream'}]"}, True),
    ({"routes": "[{path: /, upstream: app, max_body_bytes: null, cors: inherit}]"}, True),
    ({"routes": "[{path: /, upstream: app, max_body_bytes: none}]"}, False),
    ({"routes": "[{path: /, upstream: app, cors: {allow_origins: ['*']}}]"}, True),
    ({"routes": "[{path: /, upstream: app, cors: {}}]"}, False),
    ({"routes": "[{path: /, upstream: app, cors: null}]"}, False),
    ({"routes": "[{path: /, upstream: app, cors: off}]"}, False),
    ({"limits": "{max_body_bytes: unlimited}"}, True),
    ({"limits": "{max_body_bytes: null}"}, False),
    ({"limits": "{max_head_bytes: unlimited}"}, False),
    ({"cors": "null"}, True),
    ({"cors": "{allow_origins: ['*', 'https://a.example.org:8443']}"}, True),
    ({"cors": "{allow_origins: []}"}, False),
    ({"cors": "{allow_origins: ['https://a.example.org:443']}"}, False),
    ({"cors": "{}"}, False),
    ({"identity": "{fields: {X-A: b}, preset: remote-user}"}, True),
    ({"identity": "{fields: {'X A': b}}"}, False),
    ({"identity": "{fields: }"}, True),
    ({"limits": "{max_head_bytes: 64KiB}"}, True),
    ({"limits": "{max_head_bytes: 64KB}"}, False),
    ({"limits": "{max_head_bytes: 65536}"}, False),
    ({"workers": "auto"}, True),
    ({"workers": "4"}, True),
    ({"workers": "0"}, False),
    ({"workers": "atuo"}, False),
    ({"bearer": "{realm: 'a\"b'}"}, False),
]


@pytest.mark.parametrize(("sections", "passes"), CASES)
def test_schema_and_parser_agree(sections: dict[str, str], passes: bool) -> None:
    text = text_with(**sections)
    assert VALIDATOR.is_valid(yaml.safe_load(text)) is passes
    assert (refusals(**sections) == []) is passes


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert json_schema() is not json_schema()


def test_the_example_passes() -> None:
    VALIDATOR.validate(yaml.safe_load((ROOT / "config.example.yaml").read_text(encoding="utf-8")))


def _properties(schema: dict[str, Any], prefix: str = "") -> dict[str, dict[str, Any]]:
    found = {}
    for name, property_ in schema.get("properties", {}).items():
        found[prefix + name] = property_
        for inner in (property_, *property_.get("anyOf", ())):
            found |= _properties(inner, f"{prefix}{name}.")
            if isinstance(inner.get("additionalProperties"), dict):
                found |= _properties(inner["additionalProperties"], f"{prefix}{name}.NAME.")
            if "items" in inner:
                found |= _properties(inner["items"], f"{prefix}{name}[].")
    return found


def test_every_key_is_described_and_has_its_default() -> None:
    properties = _properties(json_schema())
    for path, key in keys():
        schema = properties[path]
        assert schema["description"]
        if key.is_required:
            assert "default" not in schema, path
    assert properties["tokens.access_lifetime"]["default"] == "5m"
    assert properties["limits.max_head_bytes"]["default"] == "32KiB"
    assert properties["login.compat"]["default"] == "5"
    assert properties["bearer.schemes"]["default"] == ["Bearer"]
    assert properties["tokens.claims.extra"]["default"] == {}
    assert properties["cors"]["default"] is None
    assert properties["listen.port"]["description"].startswith("TCP port")


def test_sections_close_their_keys() -> None:
    schema = json_schema()
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["tokens", "upstreams", "routes", "users"]
    assert schema["properties"]["listen"]["additionalProperties"] is False


def test_the_defaults_of_a_section_are_a_configuration_of_it() -> None:
    limits = section_of(Config).keys["limits"]
    written = default_text(limits.shape, limits.default)
    assert written["head_timeout"] == "15s"
    assert VALIDATOR.is_valid({**yaml.safe_load(text_with()), "limits": written})
    upstream = default_text(section_of(Config).keys["upstreams"].shape, {})
    assert upstream == {}
