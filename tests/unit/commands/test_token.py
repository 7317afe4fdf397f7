import base64
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from gateway.auth.keys import generate_key
from tests.unit.commands.conftest import SIGNING_KEY

GiveStdin = Callable[[bytes], None]
Inspect = Callable[..., tuple[int, str, str]]


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    given = {"token_type": "access", "exp": now + 270, "iat": now - 30, "jti": "a1", "user_id": "1", **changes}
    return {name: value for name, value in given.items() if value is not None}


def sign(payload: dict[str, Any], key: str = SIGNING_KEY, algorithm: str = "HS256") -> str:
    return jwt.encode(payload, key, algorithm=algorithm)


@pytest.fixture
def inspect(run: Callable[..., tuple[int, str, str]], give_stdin: GiveStdin) -> Inspect:
    """`gateway token inspect …` with a token on standard input."""

    def run_inspect(encoded: str, *argv: str | Path) -> tuple[int, str, str]:
        give_stdin(encoded.encode() + b"\n")
        return run("token", "inspect", *argv)

    return run_inspect


def test_without_a_key_it_says_that_the_signature_is_not_checked(inspect: Inspect) -> None:
    code, out, err = inspect(sign(claims(), key="another key, which nobody has told the gateway"))
    assert (code, err) == (0, "")
    assert '"user_id": "1"' in out
    assert re.search(r"issued      (3|4|5)\d s ago", out)
    assert "expires     in 4 min" in out
    assert "NOT checked: give --config or --key-file" in out
    assert "would take it" not in out


def test_without_a_key_an_expired_token_is_still_a_failure(inspect: Inspect) -> None:
    code, out, _ = inspect(sign(claims(exp=int(time.time()) - 7260)))
    assert code == 1
    assert "expired     2 h ago" in out
    assert "- It expired 2 h ago" in out


def test_a_good_token_with_the_configuration(inspect: Inspect, config_file: Path) -> None:
    code, out, err = inspect(sign(claims()), "--config", config_file, "--as", "access")
    assert (code, err) == (0, "")
    assert "signature   good\n\nThe gateway would take it" in out


WORDS = {
    "expired": ({"exp": 1000}, "expired"),
    "no user": ({"user_id": None}, "It has no claim user_id."),
    "no jti": ({"jti": None}, "It has no claim jti."),
    "a user id of blanks": ({"user_id": "  "}, "User not found."),
    "refresh used as access": ({"token_type": "refresh"}, "It is of type \"refresh\" and used as 'access'."),
    "numeric text": ({"exp": "1800000000"}, "not a time in seconds"),
}


@pytest.mark.parametrize(("changes", "words"), WORDS.values(), ids=WORDS)
def test_says_what_is_wrong(changes: dict[str, Any], words: str, inspect: Inspect, config_file: Path) -> None:
    payload = claims(**changes)
    # PyJWT refuses to encode some of what it must be told about.
    encoded = sign({})
    if isinstance(payload.get("exp"), str):
        encoded = (
            f"{encoded.split('.')[0]}.{base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip('=')}.AA"
        )
    else:
        encoded = sign(payload)
    code, out, _ = inspect(encoded, "--config", config_file, "--as", "access")
    assert code == 1
    assert "The gateway would refuse it:" in out
    assert words in out


def test_s30_another_algorithm_is_named_and_its_signature_not_looked_at(inspect: Inspect, config_file: Path) -> None:
    code, out, _ = inspect(sign(claims(), SIGNING_KEY * 2, "HS512"), "--config", config_file)
    assert code == 1
    assert 'It is signed with "HS512"; the gateway takes HS256 only.' in out
    assert "signature   not looked at" in out


def test_a_signature_of_another_key_is_wrong(inspect: Inspect, config_file: Path) -> None:
    code, out, _ = inspect(sign(claims(), generate_key("HS256")), "--config", config_file)
    assert code == 1
    assert "signature   WRONG" in out
    assert "- The signature does not match the key" in out


def test_an_expired_token_with_a_wrong_signature_is_both(inspect: Inspect, config_file: Path) -> None:
    code, out, _ = inspect(sign(claims(exp=1000), generate_key("HS256")), "--config", config_file)
    assert code == 1
    assert "expired     " in out
    assert "signature   WRONG" in out


def test_audience_and_issuer_come_from_the_configuration(inspect: Inspect, config_file: Path) -> None:
    text = config_file.read_text().replace("upstreams:", "  audience: [app]\n  issuer: https://id\nupstreams:")
    config_file.write_text(text)
    code, out, _ = inspect(sign(claims()), "--config", config_file)
    assert code == 1
    assert "signature   good" in out
    assert "Its issuer is missing" in out
    assert "Its audience is missing" in out


@pytest.mark.parametrize("algorithm", ["HS256", "ES256", "EdDSA", "RS256"])
def test_a_key_file_holds_what_signs(algorithm: str, inspect: Inspect, tmp_path: Path) -> None:
    key = generate_key(algorithm)
    path = tmp_path / "key"
    path.write_text(key + "\n")
    assert inspect(sign(claims(), key, algorithm), "--key-file", path)[0] == 0
    assert inspect(sign(claims(), generate_key(algorithm), algorithm), "--key-file", path)[0] == 1


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_a_key_file_may_hold_the_public_half(algorithm: str, inspect: Inspect, tmp_path: Path) -> None:
    key = generate_key(algorithm)
    public = load_pem_private_key(key.encode(), None).public_key()
    path = tmp_path / "key.pem"
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert inspect(sign(claims(), key, algorithm), "--key-file", path)[0] == 0
    code, out, _ = inspect(sign(claims(), generate_key(algorithm), algorithm), "--key-file", path)
    assert code == 1
    assert "signature   WRONG" in out


def test_s31_a_public_key_is_no_hmac_secret(inspect: Inspect, tmp_path: Path) -> None:
    key = load_pem_private_key(generate_key("ES256").encode(), None).public_key()
    path = tmp_path / "key.pem"
    path.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    code, out, err = inspect(sign(claims()), "--key-file", path)
    assert (code, out) == (1, "")
    assert "is a public key, which HS256 has no use for" in err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "cannot be read as a public key in PEM"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n", "signing key"),
    ],
)
def test_a_broken_key_file_is_one_sentence(content: str, sentence: str, inspect: Inspect, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text(content)
    code, out, err = inspect(sign(claims(), generate_key("ES256"), "ES256"), "--key-file", path)
    assert (code, out) == (1, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_the_right_algorithm_may_be_given(inspect: Inspect, tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = generate_key("HS512")
    path.write_text(key)
    encoded = sign(claims(), key, "HS512")
    assert inspect(encoded, "--key-file", path)[0] == 0
    assert inspect(encoded, "--key-file", path, "--algorithm", "HS256")[0] == 1


def test_json_is_for_programs(inspect: Inspect, config_file: Path) -> None:
    payload = claims(exp=1000)
    code, out, _ = inspect(sign(payload), "--config", config_file, "--json")
    assert code == 1
    answer = json.loads(out)
    assert answer["header"] == {"alg": "HS256", "typ": "JWT"}
    assert answer["claims"] == payload
    assert answer["signature"] == "good"
    assert len(answer["faults"]) == 1


def test_the_token_may_come_from_a_file(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    path = tmp_path / "token.txt"
    path.write_text(f"Bearer {sign(claims())}\n")
    assert run("token", "inspect", path)[0] == 0


@pytest.mark.parametrize("option", [[], ["--key-file"]], ids=str)
def test_a_missing_file_is_one_sentence(option: list[str], inspect: Inspect, tmp_path: Path) -> None:
    code, out, err = inspect(sign(claims()), *option, tmp_path / "absent")
    assert (code, out) == (1, "")
    assert err == f"gateway: {tmp_path / 'absent'}: No such file or directory.\n"


def test_a_claim_can_do_nothing_to_the_terminal(inspect: Inspect) -> None:
    _, out, _ = inspect(sign(claims(user_id="\x1b[2J\x9b31m\u202e")))
    assert out.isascii()
    assert "\x1b" not in out


def test_s86_the_signature_is_not_printed(inspect: Inspect, config_file: Path) -> None:
    encoded = sign(claims())
    for options in ([], ["--json"], ["--config", config_file]):
        assert encoded.split(".")[2] not in inspect(encoded, *options)[1]


@pytest.fixture
def ring_config(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The key that signs is called `new`; one without a kid takes ES256."""
    monkeypatch.setenv("OLD", OLD_KEY)
    text = "tokens:\n  kid: new\n  further_keys: [{algorithm: ES256, signing_key: {env: OLD}}]\n"
    config_file.write_text(config_file.read_text().replace("tokens:\n", text))
    return config_file


OLD_KEY = generate_key("ES256")
LASTING = claims(exp=int(time.time()) + 86400)  # made when tests are collected, long before they run
NEW = {"kid": "new"}


@pytest.mark.parametrize(
    ("encoded", "fault"),
    [
        (jwt.encode(LASTING, SIGNING_KEY, headers=NEW), None),
        (jwt.encode(LASTING, OLD_KEY, algorithm="ES256"), None),
        (sign(LASTING), "Its header names no key (kid), and the gateway takes such tokens only with ES256."),
        (
            jwt.encode(LASTING, SIGNING_KEY, headers={"kid": "x"}),
            'Its header names the key "x"; the gateway has "new", ',
        ),
        (
            jwt.encode(LASTING, OLD_KEY, algorithm="ES256", headers=NEW),
            'It is signed with "ES256"; the gateway takes HS256',
        ),
        (jwt.encode(LASTING, generate_key("HS256"), headers=NEW), "The signature does not match the key"),
    ],
    ids=["new", "old", "no kid", "unknown", "other algorithm", "forged"],
)
def test_s32_with_several_keys_it_says_which_one_is_meant(
    inspect: Inspect, ring_config: Path, encoded: str, fault: str | None
) -> None:
    code, out, _ = inspect(encoded, "--config", ring_config, "--as", "access")
    assert code == (0 if fault is None else 1)
    assert (fault or "The gateway would take it") in out


def test_a_foreign_token_is_not_called_good_or_bad(config_file: Path, inspect: Inspect) -> None:
    entry = "{issuer: 'https://x/', audience: [a], jwks_url: 'https://i/keys'}"
    config_file.write_text(config_file.read_text() + f"foreign_issuers: {{corp: {entry}}}\n")
    code, out, err = inspect(sign(claims(iss="https://x/")), "--config", config_file)
    assert (code, out) == (1, "")
    assert "Its issuer is foreign_issuers.corp: a running gateway checks it with the keys of https://i/keys" in err
    assert inspect(sign(claims()), "--config", config_file)[0] == 0
