"""The least configuration that is whole, with sections to replace, and what parsing makes of it."""

from collections.abc import Mapping

from gateway.config.model import Config
from gateway.config.parse import UnavailableError, parse
from gateway.config.yaml_tree import compose
from gateway.errors import ConfigError, Problem

OUTSIDE: Mapping[str, str] = {"KEY": "k" * 32, "PORT": "9000", "LOG": "true", "URL": "http://elsewhere:81"}

_WHOLE = {
    "tokens": "{signing_key: {env: KEY}}",
    "upstreams": '{app: {servers: ["http://app"]}}',
    "routes": "[{path: /, upstream: app}]",
    "users": "{sqlite: gateway.sqlite3}",
}


def text_with(**sections: str) -> str:
    """YAML of the least configuration, one section a line; `sections` replace or add."""
    return "".join(f"{name}: {yaml}\n" for name, yaml in {**_WHOLE, **sections}.items())


def resolve(source: str, name: str, *, is_secret: bool) -> str:
    if source == "env" and name in OUTSIDE:
        return OUTSIDE[name]
    raise UnavailableError(f"the {source} {name} cannot be had{' for a secret' if is_secret else ''}")


def parse_text(text: str) -> Config:
    return parse(compose(text, "c.yaml"), name="c.yaml", resolve=resolve)


def parse_with(**sections: str) -> Config:
    return parse_text(text_with(**sections))


def problems_of(text: str) -> list[Problem]:
    """The problems of a text; none when it is fine."""
    try:
        parse_text(text)
    except ConfigError as error:
        return list(error.problems)
    return []


def refusals(**sections: str) -> list[str]:
    """`path: message` of each problem of the least configuration with these sections."""
    return [f"{problem.path}: {problem.message}" for problem in problems_of(text_with(**sections))]
