"""argv → one command → an exit code.

0 done, 1 it could not be done (one sentence on standard error), 2 wrong usage, 78 the configuration has problems (each
on a line of its own; EX_CONFIG of sysexits.h), 130 interrupted, 141 the reader of our output went away (what a shell
reports for SIGINT and SIGPIPE). `run` and `demo` take SIGINT and SIGTERM for an orderly end: 0.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

import gateway
from gateway.commands import check, demo, key, run, schema, token, user
from gateway.errors import ANSWERS, ConfigError, GatewayError, Refused

EXIT_FAILURE: Final = 1
EXIT_CONFIG: Final = 78
EXIT_INTERRUPTED: Final = 130
EXIT_BROKEN_PIPE: Final = 141

_EXAMPLES: Final = """\
examples:
  gateway demo
  gateway check --config gateway.yaml
  gateway user add alice --config gateway.yaml
  gateway run --config gateway.yaml

gateway COMMAND --help shows the arguments and examples of each."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` (the process's own without) names; the exit code."""
    arguments = build_parser().parse_args(argv)
    try:
        code: int = arguments.execute(arguments)
        sys.stdout.flush()  # here, where a reader that has gone is still noticed in good order
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    except Refused as error:
        print(f"gateway: {ANSWERS[error.reason].detail}", file=sys.stderr)
        return EXIT_FAILURE
    except GatewayError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return EXIT_FAILURE
    except BrokenPipeError:
        # The interpreter flushes standard output once more at its end and would complain about the same pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except OSError as error:
        print(f"gateway: {_sentence(error)}", file=sys.stderr)
        return EXIT_FAILURE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code


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
    for command in (demo, run, check, user, key, token, schema):
        command.declare(commands)
    return parser


def _sentence(error: OSError) -> str:
    what = error.strerror or str(error)
    return f"{error.filename}: {what}." if error.filename else f"{what}."
