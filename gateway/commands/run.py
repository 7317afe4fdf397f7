"""`gateway run`: the gateway itself, in the foreground, until it is told to stop."""

import argparse
import os
from typing import Final

from gateway.commands.declaring import Commands, add_config_argument, declare_command

_DETAILS: Final = """\
SIGTERM and Ctrl-C let the requests in flight end (limits.drain_timeout), then it exits with 0.

example:
  GATEWAY_SIGNING_KEY=... gateway run --config gateway.yaml"""


def declare(commands: Commands) -> None:
    parser = declare_command(commands, "run", summary="run the gateway", details=_DETAILS)
    add_config_argument(parser)
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    from gateway import app
    from gateway.config import load
    from gateway.server.lifecycle import run_until_signalled

    document = load.load(arguments.config, os.environ)
    return run_until_signalled(lambda: app.build(document))
