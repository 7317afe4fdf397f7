"""`gateway key generate`: a signing key that the gateway accepts."""

import argparse
from typing import Final

from gateway.commands.declaring import Commands, declare_command

_DETAILS: Final = """\
HS256, HS384, HS512: a secret as text, to be shared with every program that checks the tokens.
The others: a private key in PEM; its public half is all that other programs need.

examples:
  export GATEWAY_SIGNING_KEY="$(gateway key generate)"
  (umask 077; gateway key generate --algorithm ES256 > signing.pem)
  openssl pkey -in signing.pem -pubout"""


def declare(commands: Commands) -> None:
    parser = declare_command(commands, "key", summary="make a signing key", details=_DETAILS)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    generate = declare_command(actions, "generate", summary="print a new signing key", details=_DETAILS)
    generate.add_argument(
        "--algorithm", metavar="NAME", default="HS256", help="HS, RS, PS or ES with 256, 384, 512; or EdDSA"
    )
    generate.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    from gateway.auth.keyring import generate_key

    print(generate_key(arguments.algorithm).rstrip("\n"))
    return 0
