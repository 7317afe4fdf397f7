"""What `gateway key rotate` does: a new key in a file of its own, and the steps by which it replaces the one in use.

Keys live in files and variables of the operator's, and the configuration is his, with his comments: so a file is made,
and the rest is said. What is said is tried out before: the keyring of the next two steps is built.
"""

import argparse
import datetime
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.commands.recording import recorded
from gateway.errors import NotRecorded

if TYPE_CHECKING:
    from gateway.config.load import Document

# Texts that are the same in YAML with and without quotes: no number, date or word of its own.
_PLAIN: Final = re.compile(r"[A-Za-z/][\w/]*[./-][\w./-]*", re.ASCII)


def execute(arguments: argparse.Namespace) -> int:
    import asyncio

    from gateway.auth.keyring import Keyring
    from gateway.auth.keys import build_key, generate_key
    from gateway.composition.tokens import keyring_of
    from gateway.config import load
    from gateway.types import Secret

    document = load.load(arguments.config, os.environ)
    keyring = keyring_of(document)
    algorithm = arguments.algorithm or document.config.tokens.algorithm.value
    kid = arguments.kid or f"key-{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"
    _require_kid(kid)
    text = generate_key(algorithm)
    # Raises where the new key could not stand beside those that there are.
    Keyring(keyring.active, [*keyring.further, build_key(algorithm, Secret(text), None, kid=kid)])
    folder = arguments.config.parent
    path = arguments.file or folder / f"{kid}.{'key' if algorithm.startswith('HS') else 'pem'}"
    new = {"kid": kid, "algorithm": algorithm, "signing_key": f"{{file: {_scalar(_seen_from(folder, path))}}}"}

    async def make() -> None:
        async with recorded(document.config, "key_made", kid=kid, algorithm=algorithm, file=str(path.absolute())):
            _write_secret(path, text)
            print(f"Wrote {path}: a new {algorithm} key, which only you can read. Nothing uses it yet.\n")
            print("\n".join(_plan(document, new)))

    try:
        asyncio.run(make())
    except NotRecorded as error:  # keys may be made far from where the gateway is, which tells of those that it loads
        print(f"gateway: {error}", file=sys.stderr)
    return 0


def _require_kid(kid: str) -> None:
    from gateway.config.forms import Form, refusal
    from gateway.errors import UsageError

    fault = refusal(Form.TOKEN, kid)
    if fault is not None:
        raise UsageError(f"The kid {json.dumps(kid)} {fault}.")


def _write_secret(path: Path, text: str) -> None:
    """Into a file that did not exist and is its owner's alone from its first moment. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text.rstrip("\n") + "\n")
            file.flush()
            os.fsync(descriptor)  # the next step may destroy the only other key
    except OSError:
        path.unlink()  # a part of a key, which would stand in the way of the next try
        raise


def _seen_from(folder: Path, path: Path) -> str:
    """The path as the configuration has it: relative to its directory where it lies below."""
    absolute, base = path.absolute(), folder.absolute()
    return str(absolute.relative_to(base)) if absolute.is_relative_to(base) else str(absolute)


def _plan(document: "Document", new: Mapping[str, str]) -> Iterator[str]:
    from gateway.config.amounts import DURATION
    from gateway.endpoints.jwks import MAX_AGE_SECONDS

    tokens = document.config.tokens
    longest = DURATION.format(round((max(tokens.access_lifetime, tokens.refresh_lifetime) + tokens.leeway) * 1000))
    old = {"algorithm": tokens.algorithm.value, "signing_key": document.references["tokens.signing_key"]}
    if tokens.kid is not None:
        old = {"kid": tokens.kid, **old}
    beside = "  # the others stay" if tokens.further_keys else ""

    yield f"1. Make it known. In {document.file}:\n"
    yield from _yaml("tokens:", f"  further_keys:{beside}", *_entry(new))
    yield "\n   Reload every gateway that shares these keys (SIGHUP; docs/operations.md)."
    if not new["algorithm"].startswith("HS"):
        yield f"   Then wait {DURATION.format(MAX_AGE_SECONDS * 1000)}: so long may others keep the public keys of"
        yield f"   {document.config.login.jwks_path}, and longer if they were told to."
    yield "\n2. Let it sign. The two keys change places:\n"
    signing = [f"  {name}: {_written(name, value)}" for name, value in new.items()]
    yield from _yaml("tokens:", *signing, f"  further_keys:{beside}", *_entry(old))
    if tokens.verifying_key is not None:
        yield "\n   and without the tokens.verifying_key of the old key."
    yield "\n   Reload every gateway again."
    yield f"   Then wait {longest}: so long lives the last token that the old key signed."
    yield "\n3. Take the old key out of further_keys, reload, and destroy it."


def _entry(key: Mapping[str, str]) -> Sequence[str]:
    lines = [f"{name}: {_written(name, value)}" for name, value in key.items()]
    return [f"    - {lines[0]}", *(f"      {line}" for line in lines[1:])]


def _yaml(*lines: str) -> Iterator[str]:
    return (f"     {line}" for line in lines)


def _written(name: str, value: str) -> str:
    return _scalar(value) if name == "kid" else value


def _scalar(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
