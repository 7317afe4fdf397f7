"""`gateway diff`: whose access changes from one configuration to another."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.commands.declaring import Commands, declare_command

if TYPE_CHECKING:
    from gateway.config.access import Difference
    from gateway.config.model import Config

_DIFFERS: Final = 1

_DETAILS: Final = """\
One line a difference, the most dangerous first: who gains (wider), what has to be looked at (changed), who loses
(narrower), where, and what. Routes are compared by place and method, so a longer prefix that comes or goes is seen
where it matters. Tab-separated in a pipe. Limits and time-outs say nothing of access.
Exit code 0 when nobody's access changes, 1 when somebody's does, 78 for a configuration that is refused.
Nothing is started. Secrets are compared and never shown; where one cannot be read here, all are compared by name.

examples:
  gateway diff gateway.yaml gateway.new.yaml
  git show HEAD:gateway.yaml > old.yaml && gateway diff old.yaml gateway.yaml
  gateway diff old.yaml gateway.yaml --json | jq '.differences[] | select(.effect == "wider")'"""


def declare(commands: Commands) -> None:
    parser = declare_command(commands, "diff", summary="show whose access changes", details=_DETAILS)
    parser.add_argument("old", metavar="OLD", type=Path, help="the configuration of before")
    parser.add_argument("new", metavar="NEW", type=Path, help="the one that is to take its place")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    from gateway.config.access import differences

    (old, new), has_secrets = _load(arguments.old, arguments.new)
    found = differences(old, new)
    if not has_secrets:
        print("gateway: Not all secrets can be read here, so they were compared by their names.", file=sys.stderr)
    if arguments.json:
        print(json.dumps({"differences": [_as_json(it) for it in found]}, indent=2, ensure_ascii=False))
    else:
        _print_lines(found)
    return _DIFFERS if found else 0


def _load(*paths: Path) -> tuple[Sequence["Config"], bool]:
    """Raises `ConfigError` with the problems of both."""
    from gateway.config.load import load_to_compare
    from gateway.errors import ConfigError, Problem

    configs: list[Config] = []
    problems: list[Problem] = []
    has_all = True
    for path in paths:
        try:
            config, has_its_own = load_to_compare(path, os.environ, by_name=False)
        except ConfigError as error:
            problems += error.problems
        else:
            configs.append(config)
            has_all = has_all and has_its_own
    if problems:
        raise ConfigError(problems)
    if not has_all:
        configs = [load_to_compare(path, os.environ, by_name=True)[0] for path in paths]
    return configs, has_all


def _print_lines(found: Sequence["Difference"]) -> None:
    from gateway.commands.output import print_rows

    if found:
        print_rows(("EFFECT", "WHERE", "WHAT"), [(it.effect.value.upper(), it.place, it.text) for it in found])
    elif sys.stdout.isatty():
        print("Nobody's access changes.")


def _as_json(difference: "Difference") -> dict[str, str]:
    return {"effect": difference.effect.value, "where": difference.place, "what": difference.text}
