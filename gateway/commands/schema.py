"""`gateway schema`: the configuration file's JSON Schema."""

import argparse
import json
from typing import Final

from gateway.commands.declaring import Commands, declare_command

_DETAILS: Final = """\
example:
  gateway schema > gateway.schema.json
  # first line of gateway.yaml, for editors with a YAML language server:
  # yaml-language-server: $schema=gateway.schema.json"""


def declare(commands: Commands) -> None:
    parser = declare_command(
        commands, "schema", summary="print the JSON Schema of the configuration file", details=_DETAILS
    )
    parser.set_defaults(execute=execute)


def execute(_arguments: argparse.Namespace) -> int:
    from gateway.config import schema

    print(json.dumps(schema.json_schema(), indent=2, ensure_ascii=False))
    return 0
