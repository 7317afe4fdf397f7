"""`gateway explain`: what would become of a request, and why."""

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.commands.declaring import Commands, add_config_argument, declare_command

if TYPE_CHECKING:
    from gateway.commands.explanation import Explanation
    from gateway.config.model import Config

_MAX_TOKEN_BYTES: Final = 64 * 1024  # eight times what the gateway reads
_REFUSED: Final = 1
_USAGE: Final = 2
_FIELD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\r\n\0]*")
_WORD: Final = re.compile(rb"[^\s\0]+")

_DETAILS: Final = """\
The request goes through the gateway's own code, with memory in the place of the network: no port is opened and no
backend is asked. Users and revocations are looked up in the configured stores, which are only read; where they cannot
be, the answer says what was not looked up. Keys of other issuers are not fetched. Rate limits are those of a first
request. The token is never shown; it comes from a file or standard input (-), never from the command line, which other
users can read. With a scheme before it (`Bearer eyJ…`) it is the whole field.
Exit code 0: the request would pass, 1: it would be refused, 2: wrong usage, 78: a configuration that is refused.

examples:
  gateway explain --config gateway.yaml GET /api/orders/
  echo "$ACCESS" | gateway explain --config gateway.yaml --token - DELETE /api/orders/7
  gateway explain --config gateway.yaml -H 'X-Forwarded-For: 203.0.113.9' --client 10.0.0.2 GET /api/orders/
  gateway explain --config gateway.yaml --offline --json GET '/a/..;/admin' | jq .verdict"""


def declare(commands: Commands) -> None:
    parser = declare_command(
        commands, "explain", summary="say what would become of a request, and why", details=_DETAILS
    )
    add_config_argument(parser)
    parser.add_argument("--token", metavar="FILE", type=Path, help="the access token; - is standard input")
    parser.add_argument(
        "-H", dest="fields", metavar="'NAME: VALUE'", type=_field, action="append", default=[], help="repeatable"
    )
    parser.add_argument(
        "--client", metavar="ADDRESS", type=_address, default="127.0.0.1", help="who connects (default: 127.0.0.1)"
    )
    parser.add_argument("--offline", action="store_true", help="look up neither users nor revocations")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("method", metavar="METHOD", type=_word)
    parser.add_argument("target", metavar="TARGET", type=_word, help="path and query, as they stand in the request")
    parser.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    import asyncio

    from gateway.commands.explanation import explain
    from gateway.composition.blueprint import draw
    from gateway.config.load import load

    blueprint = draw(load(arguments.config, os.environ))
    token_field = blueprint.config.bearer.field_name.lower().encode()
    if any(field.partition(b":")[0].lower() == token_field for field in arguments.fields):
        return _wrong_usage("A token must not stand in the command line; give its file with --token.")
    token = None if arguments.token is None else _read_token(arguments.token)
    if token is None and arguments.token is not None:
        return _wrong_usage("What --token names is not one line with a token in it.")
    explanation = asyncio.run(
        explain(
            blueprint,
            _request(arguments, None if token is None else _token_line(token, blueprint.config)),
            target=arguments.target.decode("latin-1"),
            client=arguments.client,
            token=None if token is None else token.split()[-1],
            is_offline=arguments.offline,
        )
    )
    if arguments.json:
        print(json.dumps(explanation.as_json(), indent=2))
    else:
        _print_words(explanation)
    return _REFUSED if explanation.rehearsal.reason is not None else 0


def _wrong_usage(sentence: str) -> int:
    print(f"gateway: {sentence}", file=sys.stderr)
    return _USAGE


def _request(arguments: argparse.Namespace, token_line: bytes | None) -> bytes:
    fields: list[bytes] = arguments.fields
    if not any(field.lower().startswith(b"host:") for field in fields):
        fields = [b"Host: localhost", *fields]
    lines = [b"%b %b HTTP/1.1" % (arguments.method, arguments.target), *fields]
    if token_line is not None:
        lines.append(token_line)
    return b"\r\n".join([*lines, b"", b""])


def _read_token(path: Path) -> bytes | None:
    """None for what is no value of one header field."""
    if path == Path("-"):
        raw = sys.stdin.buffer.read(_MAX_TOKEN_BYTES)
    else:
        with path.open("rb") as file:
            raw = file.read(_MAX_TOKEN_BYTES)
    token = raw.strip()
    return None if not token or re.search(rb"[\r\n\0]", token) else token


def _token_line(token: bytes, config: "Config") -> bytes:
    scheme = b"" if b" " in token else config.bearer.schemes[0].encode() + b" "
    return b"%b: %b%b" % (config.bearer.field_name.encode(), scheme, token)


def _field(text: str) -> bytes:
    field = os.fsencode(text)
    if not _FIELD.fullmatch(field):
        raise argparse.ArgumentTypeError("it must read 'Name: value', on one line")
    return field


def _word(text: str) -> bytes:
    word = os.fsencode(text)
    if not _WORD.fullmatch(word):
        raise argparse.ArgumentTypeError("it must be one word without blanks")
    return word


def _address(text: str) -> str:
    from gateway.http.addresses import parse_address

    try:
        return str(parse_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError("it must be an IP address") from None


def _print_words(explanation: "Explanation") -> None:
    from gateway.errors import printable

    _print_section("Target", [explanation.target])
    _print_section("Routes", [f"{step.subject:<28}{step.words}" for step in explanation.routes])
    _print_section("Token", [f"{step.subject:<28}{step.words}" for step in explanation.token])
    _print_section("Verdict", explanation.verdict)
    head = explanation.head
    if head is not None:
        _print_section("What the backend gets", [printable(line) for line in head.split("\r\n")[:-2]])


def _print_section(title: str, lines: Sequence[str]) -> None:
    print(title)
    for line in lines:
        print(f"  {line}".rstrip())
