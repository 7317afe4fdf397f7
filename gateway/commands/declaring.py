"""The look that all commands share: a sentence, the arguments, an example."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

Execute: TypeAlias = Callable[[argparse.Namespace], int]


def declare_command(commands: Commands, name: str, *, summary: str, details: str = "") -> argparse.ArgumentParser:
    """A parser for the command; `details` is printed below its arguments as it stands."""
    return commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=details,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # `--conf` in somebody's script would break when a second --conf… comes
    )


def add_config_argument(parser: argparse._ActionsContainer, *, required: bool = True) -> None:
    parser.add_argument(
        "--config", metavar="FILE", type=Path, required=required, help="the gateway's configuration file"
    )
