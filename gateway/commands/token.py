"""`gateway token inspect`: what a token says, whether the gateway would take it, and if not, why not."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.commands.declaring import Commands, add_config_argument, declare_command
from gateway.commands.token_reading import (
    Expectation,
    TokenText,
    describe_times,
    misshapen,
    parse_token,
    shown,
    unacceptable,
)
from gateway.errors import ANSWERS, Reason, Refused, UsageError
from gateway.types import Secret

if TYPE_CHECKING:
    from gateway.auth.keyring import Keyring
    from gateway.auth.keys import Key
    from gateway.auth.verifier import TokenVerifier
    from gateway.config.model import Config

_MAX_TOKEN_BYTES: Final = 64 * 1024  # eight times what the gateway reads
_GOOD: Final = "good"
_ANY_TIME: Final = 1e15  # a leeway, in seconds, that forgives every date

_DETAILS: Final = """\
The token comes from standard input or a file, never from the command line, which other users can read.
Exit code 0: the gateway would take it (or, without a key: it is not expired and complete). 1: it would not.
Whether it has been revoked, and the state of its user, are not looked up.

examples:
  gateway token inspect < token.txt
  echo "$ACCESS" | gateway token inspect --config gateway.yaml --as access
  gateway token inspect --key-file signing.pem token.txt"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What decides, if there is a key: the gateway's own verifier, and one that looks at the signature alone."""

    verifier: "TokenVerifier"
    signature_verifier: "TokenVerifier"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`signature` in words; no faults: the gateway would take it."""

    signature: str
    faults: tuple[str, ...]


def declare(commands: Commands) -> None:
    parser = declare_command(commands, "token", summary="look into a token", details=_DETAILS)
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    inspect = declare_command(actions, "inspect", summary="say what a token holds and what is wrong", details=_DETAILS)
    inspect.add_argument("token_file", metavar="TOKEN-FILE", nargs="?", type=Path, help="else standard input")
    keys = inspect.add_mutually_exclusive_group()
    add_config_argument(keys, required=False)
    keys.add_argument("--key-file", metavar="FILE", type=Path, help="an HMAC secret or a key in PEM")
    inspect.add_argument("--algorithm", metavar="NAME", help="with --key-file: the one algorithm that is right")
    inspect.add_argument("--as", dest="used_as", choices=("access", "refresh"), help="what it is meant to be used as")
    inspect.add_argument("--json", action="store_true", help="one JSON object")
    inspect.set_defaults(execute=execute)


def execute(arguments: argparse.Namespace) -> int:
    token = parse_token(_read_token(arguments.token_file))
    judge: Judge | None = None
    expected = Expectation(token_type=arguments.used_as)
    if arguments.config is not None:
        judge, expected = _from_config(arguments.config, token, arguments.used_as)
    elif arguments.key_file is not None:
        judge, expected = _from_key_file(arguments.key_file, arguments.algorithm, token, arguments.used_as)
    now = time.time()
    verdict = _judged(token, judge, expected, now)
    if arguments.json:
        _print_json(token, verdict)
    else:
        _print_words(token, verdict, expected, now)
    return 1 if verdict.faults else 0


def _read_token(path: Path | None) -> str:
    if path is None and sys.stdin.isatty():
        print("Paste the token, then press Enter:", file=sys.stderr)
        raw = sys.stdin.buffer.readline(_MAX_TOKEN_BYTES)
    elif path is None:
        raw = sys.stdin.buffer.read(_MAX_TOKEN_BYTES)
    else:
        with path.open("rb") as file:
            raw = file.read(_MAX_TOKEN_BYTES)
    return raw.decode("ascii", errors="replace")


def _from_config(path: Path, token: TokenText, used_as: str | None) -> tuple[Judge, Expectation]:
    from gateway.composition.tokens import keyring_of
    from gateway.config import load

    document = load.load(path, os.environ)
    tokens = document.config.tokens
    _require_own(token, document.config)
    keyring = keyring_of(document)
    algorithm, no_key = _key_named(token, keyring)
    expected = Expectation(
        algorithm=algorithm,
        no_key=no_key,
        audience=tokens.audience,
        issuer=tokens.issuer,
        leeway=tokens.leeway,
        token_type=used_as,
        user_id_claim=tokens.claims.user_id,
        token_type_claim=tokens.claims.token_type,
        jti_claim=tokens.claims.jti,
    )
    return _judge_of(keyring, expected), expected


def _require_own(token: TokenText, config: "Config") -> None:
    for name, entry in config.foreign_issuers.items():
        if token.claims.get("iss") == entry.issuer:
            raise UsageError(
                f"Its issuer is foreign_issuers.{name}: a running gateway checks it with the keys of {entry.jwks_url}, "
                "which are not fetched here. Without --config it is taken apart all the same."
            )


def _key_named(token: TokenText, keyring: "Keyring") -> tuple[str | None, str | None]:
    """The algorithm of the key that the token's header leads to; or why it leads to none, as a sentence."""
    kid, algorithm = token.header.get("kid"), token.header.get("alg")
    if not isinstance(kid, str | None) or not isinstance(algorithm, str):
        return keyring.active.algorithm, None
    key = keyring.find(kid, algorithm)
    if key is not None:
        return key.algorithm, None
    if kid is not None:
        kids = ", ".join(shown(key.published_kid) for key in keyring.keys if key.published_kid is not None)
        return None, f"Its header names the key {shown(kid)}; the gateway has {kids}."
    algorithms = " or ".join(key.algorithm for key in keyring.keys if key.kid is None)
    taken = f"takes such tokens only with {algorithms}" if algorithms else "has no key without a kid"
    return None, f"Its header names no key (kid), and the gateway {taken}."


def _from_key_file(
    path: Path, algorithm: str | None, token: TokenText, used_as: str | None
) -> tuple[Judge, Expectation]:
    from gateway.auth.keyring import Keyring
    from gateway.auth.keys import build_key

    key = path.read_text(encoding="utf-8", errors="replace").strip()
    # The token's own word for it is good enough to look at a token, and never is to let one in.
    algorithm = algorithm or str(token.header.get("alg"))
    if "PUBLIC KEY-----" in key:
        ring = Keyring(_public_key(path, algorithm, key))
    else:
        ring = Keyring(build_key(algorithm, Secret(key), None))
    expected = Expectation(algorithm=algorithm, token_type=used_as)
    return _judge_of(ring, expected), expected


def _public_key(path: Path, algorithm: str, pem: str) -> "Key":
    from gateway.auth.keys import ALGORITHMS, KeyRefused, build_key

    if algorithm not in ALGORITHMS or algorithm.startswith("HS"):
        raise UsageError(f"{path} is a public key, which {algorithm} has no use for; give the key of the token.")
    try:
        return build_key(algorithm, None, pem)
    except KeyRefused:
        raise UsageError(f"{path} cannot be read as a public key in PEM for {algorithm}.") from None


def _judge_of(keyring: "Keyring", expected: Expectation) -> Judge:
    from gateway.auth.verifier import TokenVerifier

    def build(*, leeway: float, audience: Sequence[str], issuer: str | None) -> TokenVerifier:
        return TokenVerifier(
            keyring=keyring,
            leeway=leeway,
            audience=tuple(audience),
            issuer=issuer,
            user_id_claim=expected.user_id_claim,
            token_type_claim=expected.token_type_claim,
            jti_claim=expected.jti_claim,
            session_claim="sid",  # sessions are not judged here
        )

    return Judge(
        verifier=build(leeway=expected.leeway, audience=expected.audience, issuer=expected.issuer),
        signature_verifier=build(leeway=_ANY_TIME, audience=(), issuer=None),
    )


def _judged(token: TokenText, judge: Judge | None, expected: Expectation, now: float) -> Verdict:
    """Where there is a key, the verifier decides and the words only say why."""
    malformed = misshapen(token, expected)
    if judge is None:
        return Verdict(
            signature="NOT checked: give --config or --key-file",
            faults=(*malformed, *unacceptable(token, expected, now)),
        )
    if malformed:
        return Verdict(signature="not looked at: the token is refused before", faults=tuple(malformed))
    encoded = token.encoded.encode()
    if _refusal(judge.signature_verifier, encoded, None, now) is Reason.TOKEN_INVALID:
        return Verdict(
            signature="WRONG", faults=("The signature does not match the key: signed with another key, or altered.",)
        )
    refusal = _refusal(judge.verifier, encoded, expected, now)
    if refusal is None:
        return Verdict(signature=_GOOD, faults=())
    faults = unacceptable(token, expected, now) or [f"{ANSWERS[refusal].message or ANSWERS[refusal].detail}."]
    return Verdict(signature=_GOOD, faults=tuple(faults))


def _refusal(verifier: "TokenVerifier", encoded: bytes, expected: Expectation | None, now: float) -> Reason | None:
    """Why the verifier refuses it; without `expected`, of decoding alone."""
    try:
        claims = verifier.decode(encoded, now)
        if expected is not None:
            verifier.require(claims, expected.token_type)
            verifier.user_id(claims)
    except Refused as refused:
        return refused.reason
    return None


def _print_json(token: TokenText, verdict: Verdict) -> None:
    answer = {
        "header": token.header,
        "claims": token.claims,
        "signature": verdict.signature,
        "faults": verdict.faults,
    }
    print(json.dumps(answer, indent=2))


def _print_words(token: TokenText, verdict: Verdict, expected: Expectation, now: float) -> None:
    # ASCII throughout: a claim could hold what moves the cursor or recolours a terminal.
    print("header", json.dumps(token.header, indent=2))
    print("claims", json.dumps(token.claims, indent=2))
    print()
    rows = [
        ("type", shown(token.claims.get(expected.token_type_claim))),
        ("user", shown(token.claims.get(expected.user_id_claim))),
        *describe_times(token, now),
        ("signature", verdict.signature),
    ]
    for name, words in rows:
        print(f"{name:<12}{words}")
    print()
    print(_conclusion(verdict))


def _conclusion(verdict: Verdict) -> str:
    if verdict.faults:
        return "\n".join(["The gateway would refuse it:", *(f"- {fault}" for fault in verdict.faults)])
    if verdict.signature == _GOOD:
        return "The gateway would take it, unless it has been revoked or its user disabled."
    return "Nothing else is wrong with it."
