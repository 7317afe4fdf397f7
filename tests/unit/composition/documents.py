"""Configurations for the parts: the least one, with a key that is good enough."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.auth.keys import generate_key
from gateway.config.load import Document, loads
from gateway.config.model import Config
from tests.unit.config.sample import text_with

KEY = generate_key("HS256")
EC_KEY = generate_key("ES256")


def document_with(*, environment: Mapping[str, str] = MappingProxyType({}), **sections: str) -> Document:
    variables = {"KEY": KEY, "EC_KEY": EC_KEY, "OTHER": "short", **environment}
    return loads(text_with(**sections), "gateway.yaml", variables)


def config_with(*, environment: Mapping[str, str] = MappingProxyType({}), **sections: str) -> Config:
    return document_with(environment=environment, **sections).config
