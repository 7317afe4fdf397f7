"""`gateway doctor`: attacks a running deployment from outside, harmlessly, and says what it found."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Final

from gateway.commands.declaring import Commands, add_config_argument, declare_command
from gateway.commands.output import print_rows

_MAX_TOKENS_BYTES: Final = 64 * 1024

_DETAILS: Final = """\
URL is that of a path that needs a token, as clients reach it. Nothing is written: some 200 requests, four at a time,
all GET but a few that no server may take and one log-in of a user who does not exist.
--config: fields, paths, routes, backends and admin port are those of the file. Where its keys can be read, they are
judged, and sign a token that has ended and one for refreshing, to see them refused; no good one is ever made.
--token: real tokens, one a line: a good access token, and if you like one that has ended and a refresh token. Which is
which is read in them.
One line a check: name, `ok`, `finding`, `accepted` or `skipped`, what was seen and what to do. Tab-separated in a pipe.
Exit code 0 without findings, 1 with any but those of --accept; also 1, with a sentence on standard error and no
verdicts, when URL cannot be reached; 78 for a configuration that is refused.

examples:
  gateway doctor https://api.example.org/api/orders/
  gateway doctor https://api.example.org/api/orders/ --backend http://10.0.0.7:8000
  gateway doctor https://api.example.org/api/orders/ --config gateway.yaml --accept 'server field'
  gateway doctor https://api.example.org/api/orders/ --token tokens.txt --echo-path /debug/fields/ --json"""


def declare(commands: Commands) -> None:
    parser = declare_command(commands, "doctor", summary="attack a running deployment harmlessly", details=_DETAILS)
    parser.add_argument("url", metavar="URL", type=_url, help="a path that needs a token, as clients reach it")
    add_config_argument(parser, required=False)
    parser.add_argument("--backend", metavar="URL", type=_url, help="the backend itself, which must not answer")
    parser.add_argument("--token", metavar="FILE", help="real tokens, one a line; `-` for standard input")
    parser.add_argument("--echo-path", metavar="PATH", type=_path, help="a path whose backend shows what it received")
    parser.add_argument("--identity-field", metavar="NAME", help="else X-User-Id, or those of the file")
    parser.add_argument("--login-path", metavar="PATH", type=_path, help="else /api/token/, or that of the file")
    parser.add_argument("--admin-port", metavar="PORT", type=_port, help="else 8081, or that of the file")
    parser.add_argument(
        "--accept",
        metavar="CHECK",
        type=_check,
        action="append",
        default=[],
        help="a finding that is known; repeatable",
    )
    parser.add_argument("--ca", metavar="FILE", type=Path, help="certificates to trust instead of the system's")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    import asyncio

    from gateway.commands.doctor_checks import Result, accepted
    from gateway.commands.doctor_deployment import deployment_of
    from gateway.commands.doctor_examination import Examination
    from gateway.commands.doctor_wire import parse_place

    place = parse_place(arguments.url, arguments.ca)
    deployment = deployment_of(arguments, os.environ, _read_tokens(arguments.token))
    examination = Examination(place, deployment, echo_path=arguments.echo_path)
    verdicts = [accepted(verdict, arguments.accept) for verdict in asyncio.run(examination.run())]
    rows = [(verdict.check, verdict.result.value, verdict.detail) for verdict in verdicts]
    if arguments.json:
        members = ("check", "result", "detail")
        print(json.dumps({"verdicts": [dict(zip(members, row, strict=True)) for row in rows]}, indent=2))
    else:
        print_rows(("CHECK", "RESULT", "DETAIL"), rows)
    return 1 if any(verdict.result is Result.FINDING for verdict in verdicts) else 0


def _url(text: str) -> str:
    from gateway.commands.doctor_wire import parse_place

    try:
        parse_place(text, None)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _check(text: str) -> str:
    from gateway.commands.doctor_checks import CHECKS

    if text not in CHECKS:
        raise argparse.ArgumentTypeError(f"{text!r} is no check; there are {', '.join(CHECKS)}")
    return text


def _path(text: str) -> str:
    if not text.startswith("/") or not text.isascii() or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError(f"{text!r} is no path, as /api/token/")
    return text


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port")
    return int(text)


def _read_tokens(source: str | None) -> list[str]:
    if source is None:
        return []
    if source == "-":
        raw = sys.stdin.buffer.read(_MAX_TOKENS_BYTES)
    else:
        with Path(source).open("rb") as file:
            raw = file.read(_MAX_TOKENS_BYTES)
    return [token for line in raw.decode("ascii", "replace").splitlines() if (token := line.strip())]
