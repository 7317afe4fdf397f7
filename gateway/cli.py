"""argv → one command → an exit code: 2 for wrong usage, else what `commands.outcome` makes of it.

`run` and `demo` take SIGINT and SIGTERM for an orderly end: 0.
"""

import argparse
from collections.abc import Sequence
from typing import Final

import gateway
from gateway.commands import check, demo, diff, doctor, explain, healthcheck, key, run, schema, session, token, user
from gateway.commands.outcome import exit_code_of, make_output_safe

_EXAMPLES: Final = """\
examples:
  gateway demo
  gateway check --config gateway.yaml
  gateway user add alice --config gateway.yaml
  gateway run --config gateway.yaml

gateway COMMAND --help shows the arguments and examples of each."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` (the process's own without) names; the exit code."""
    make_output_safe()
    arguments = build_parser().parse_args(argv)
    return exit_code_of(lambda: arguments.execute(arguments))


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gateway",
        description="SimpleJWT log-in and Bearer tokens in front of backends that know neither.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"gateway {gateway.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in (demo, run, check, diff, doctor, explain, healthcheck, user, session, key, token, schema):
        command.declare(commands)
    return parser
