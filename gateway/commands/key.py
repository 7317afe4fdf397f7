"""`gateway key generate` and `gateway key rotate`: a signing key that the gateway accepts, and the way to the next."""

import argparse
from pathlib import Path
from typing import Final

from gateway.commands import rotation
from gateway.commands.declaring import Commands, add_config_argument, declare_command

_GENERATE_DETAILS: Final = """\
HS256, HS384, HS512: a secret as text, to be shared with every program that checks the tokens.
The others: a private key in PEM; its public half is all that other programs need.

examples:
  export GATEWAY_SIGNING_KEY="$(gateway key generate)"
  (umask 077; gateway key generate --algorithm ES256 > signing.pem)
  openssl pkey -in signing.pem -pubout"""


_ROTATE_DETAILS: Final = """\
Writes a new key to a file that only you can read, and prints how it takes the place of the one that signs now: what to
change in the configuration, in three steps, and how long to wait after each so that no good token is refused. The
configuration itself is left alone, the key is not printed, and no file is ever overwritten.

examples:
  gateway key rotate --config gateway.yaml
  gateway key rotate --config gateway.yaml --algorithm ES256 --kid 2027 --file keys/2027.pem"""


def declare(commands: Commands) -> None:
    parser = declare_command(commands, "key", summary="make or replace a signing key", details=_GENERATE_DETAILS)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    generate = declare_command(actions, "generate", summary="print a new signing key", details=_GENERATE_DETAILS)
    generate.add_argument(
        "--algorithm", metavar="NAME", default="HS256", help="HS, RS, PS or ES with 256, 384, 512; or EdDSA"
    )
    generate.set_defaults(execute=execute)
    rotate = declare_command(
        actions, "rotate", summary="make the next signing key and say how to change to it", details=_ROTATE_DETAILS
    )
    add_config_argument(rotate)
    rotate.add_argument("--algorithm", metavar="NAME", help="of the new key; else that of the one that signs now")
    rotate.add_argument("--kid", metavar="NAME", help="what tokens call the new key; else key- and the date")
    rotate.add_argument(
        "--file", metavar="FILE", type=Path, help="where the new key goes; else its kid, beside the configuration"
    )
    rotate.set_defaults(execute=rotation.execute)


def execute(arguments: argparse.Namespace) -> int:
    from gateway.auth.keys import generate_key

    print(generate_key(arguments.algorithm).rstrip("\n"))
    return 0
