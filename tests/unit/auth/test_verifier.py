import base64
import contextlib
import hmac
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.auth.keyring import Keyring
from gateway.auth.keys import ALGORITHMS, Key, build_key, generate_key
from gateway.auth.verifier import MAX_TOKEN_BYTES, TokenVerifier
from gateway.errors import ANSWERS, Reason, Refused
from gateway.types import Secret
from tests.unit.auth.hostile_tokens import (
    CLAIMS,
    DEVIATING,
    DEVIATIONS,
    HEADER,
    HOSTILE,
    INVALID,
    KEY,
    NOW,
    b64,
    raw,
    signed_text,
    token,
    unsigned,
    with_text,
)
from tests.unit.auth.simplejwt_library import SimpleJwtLibrary, library_keys
from tests.unit.auth.verifiers import keyring_of, verifier_of

KEYRING = keyring_of(KEY)


def verifier(keyring: Keyring = KEYRING, **wishes: Any) -> TokenVerifier:
    return verifier_of(keyring, **wishes)


def answer_of(work: Callable[[], object]) -> str:
    try:
        work()
    except Refused as refusal:
        message = ANSWERS[refusal.reason].message
        assert message is not None
        return message
    return "ok"


def our_answer(one: TokenVerifier, encoded: bytes, kind: str, now: float = NOW) -> str:
    return answer_of(lambda: one.require(one.decode(encoded, now), None if kind == "any" else kind))


def reason_of(work: Callable[[], object]) -> Reason:
    with pytest.raises(Refused) as caught:
        work()
    return caught.value.reason


@pytest.mark.parametrize("kind", ["access", "refresh", "any"])
def test_s29_to_s37_every_answer_is_the_librarys(library: SimpleJwtLibrary, kind: str) -> None:
    names = list(HOSTILE)
    theirs = library.read(HOSTILE.values(), kind=kind, now=NOW, algorithm="HS256", signing_key=KEY)
    ours = [our_answer(verifier(), HOSTILE[name], kind) for name in names]

    assert len(names) >= 100
    assert dict(zip(names, ours, strict=True)) == dict(zip(names, theirs, strict=True))
    assert {"ok", "Token is expired", INVALID, "Token has no id", "Token has no 'exp' claim"} <= set(ours)


def test_each_deviation_from_the_library_is_the_documented_one(library: SimpleJwtLibrary) -> None:
    assert DEVIATING.keys() == DEVIATIONS.keys()
    theirs = library.read(DEVIATING.values(), kind="access", now=NOW, algorithm="HS256", signing_key=KEY)

    seen = {
        name: (their, our_answer(verifier(), DEVIATING[name], "access"))
        for name, their in zip(DEVIATING, theirs, strict=True)
    }
    assert seen == DEVIATIONS


@pytest.mark.parametrize("leeway", [0, 10, 0.5])
def test_s44_leeway_is_forgiven_on_exp_iat_and_nbf_as_the_library_does(
    library: SimpleJwtLibrary, leeway: float
) -> None:
    offsets = (-11, -10.5, -10, -9.5, -1, -0.5, 0, 0.5, 1, 9.5, 10, 10.5, 11, 12)
    tokens = [token({claim: NOW + offset}) for claim in ("exp", "iat", "nbf") for offset in offsets]
    theirs = library.read(tokens, kind="access", now=NOW, algorithm="HS256", signing_key=KEY, leeway=leeway)

    assert [our_answer(verifier(leeway=leeway), one, "access") for one in tokens] == theirs
    assert {"ok", INVALID, "Token is expired"} == set(theirs)


PARTIES: list[dict[str, Any]] = [
    {},
    {"aud": "a"},
    {"aud": "b"},
    {"aud": "c"},
    {"aud": "A"},
    {"aud": ["a"]},
    {"aud": ["x", "b"]},
    {"aud": ["x"]},
    {"aud": []},
    {"aud": ""},
    {"aud": [""]},
    {"aud": None},
    {"aud": ["a", 1]},
    {"aud": [["a"]]},
    {"aud": {"a": 1}},
    {"aud": 1},
    {"aud": True},
    {"aud": "c", "exp": 5},
    {"iss": "i"},
    {"iss": "I"},
    {"iss": "i "},
    {"iss": None},
    {"iss": ["i"]},
    {"iss": 1},
    {"iss": "x", "exp": 5},
    {"iss": "i", "aud": "a"},
    {"iss": "i", "aud": ["c"]},
    {"iss": "x", "aud": "a"},
]


@pytest.mark.parametrize("audience", [(), ("a",), ("a", "b")])
@pytest.mark.parametrize("issuer", [None, "i"])
def test_s34_audience_and_issuer_as_the_library_has_them(
    library: SimpleJwtLibrary, audience: tuple[str, ...], issuer: str | None
) -> None:
    tokens = [token(change) for change in PARTIES]
    asked = None if not audience else audience[0] if len(audience) == 1 else list(audience)
    theirs = library.read(
        tokens, kind="access", now=NOW, algorithm="HS256", signing_key=KEY, audience=asked, issuer=issuer
    )

    one = verifier(audience=audience, issuer=issuer)
    assert [our_answer(one, encoded, "access") for encoded in tokens] == theirs


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_s30_tokens_of_the_library_pass_with_their_algorithm_and_with_no_other(
    library: SimpleJwtLibrary, keyrings: dict[str, Keyring], algorithm: str
) -> None:
    pair = library.issue("7", now=NOW, **library_keys(keyrings[algorithm]))

    for kind, encoded in pair.items():
        for other, keyring in keyrings.items():
            one = verifier(keyring)
            if other == algorithm:
                claims = one.decode(encoded.encode(), NOW)
                one.require(claims, kind)
                assert one.user_id(claims) == "7"
            else:
                assert reason_of(partial(one.decode, encoded.encode(), NOW)) is Reason.TOKEN_INVALID


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_s30_one_damaged_bit_is_seen_with_every_algorithm(keyrings: dict[str, Keyring], algorithm: str) -> None:
    one = verifier(keyrings[algorithm])
    good = jwt.encode(CLAIMS, keyrings[algorithm].active.signing_key, algorithm=algorithm).encode()
    one.decode(good, NOW)

    signed, _, signature = good.rpartition(b".")
    decoded = base64.urlsafe_b64decode(signature + b"==")
    forged = [bytes([decoded[0] ^ 1]) + decoded[1:], decoded[:-1], decoded + b"\0", bytes(len(decoded)), b"\0"]
    for signature in forged:
        assert reason_of(partial(one.decode, signed + b"." + b64(signature), NOW)) is Reason.TOKEN_INVALID


def test_s29_length_is_bounded() -> None:
    padding = "x" * (MAX_TOKEN_BYTES * 3 // 4 - 300)
    longest = token({"x": padding})
    while len(longest) < MAX_TOKEN_BYTES - 3:
        padding += "x"
        longest = token({"x": padding})
    assert len(longest) <= MAX_TOKEN_BYTES
    verifier().decode(longest, NOW)

    longer = token({"x": padding + "xxxx"})
    assert len(longer) > MAX_TOKEN_BYTES
    assert reason_of(lambda: verifier().decode(longer, NOW)) is Reason.TOKEN_INVALID


def test_s29_each_segment_has_one_spelling() -> None:
    """Every other last character of every segment is refused, even where it decodes to the same bytes."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_="
    one = verifier()
    for padding in range(3):  # all lengths modulo 3
        good = token({"x": "x" * padding})
        one.decode(good, NOW)
        for end in (good.index(b"."), good.rindex(b"."), len(good)):
            for character in alphabet:
                changed = good[: end - 1] + bytes([character]) + good[end:]
                if changed != good:
                    assert reason_of(partial(one.decode, changed, NOW)) is Reason.TOKEN_INVALID


def test_s30_the_remembered_header_is_only_that_of_a_good_token() -> None:
    one = verifier()
    odd = token(header={"alg": "HS256", "kid": "k"})
    none = b64(b'{"alg":"none"}') + b"." + token().partition(b".")[2]
    for good in (token(), odd, token()):
        assert one.decode(good, NOW)
        for bad in (none, odd[:-4] + b"AAAA", token()[:-4] + b"AAAA"):
            assert reason_of(partial(one.decode, bad, NOW)) is Reason.TOKEN_INVALID
        assert good.partition(b".")[0] in one._known_headers


def test_s83_what_is_remembered_of_headers_is_bounded() -> None:
    one = verifier()
    for number in range(1000):
        assert one.decode(token(header={"alg": "HS256", "kid": str(number)}), NOW)
        assert 0 < len(one._known_headers) <= 64


def several() -> tuple[Keyring, dict[str, Key]]:
    """A ring of all kinds, and its keys by `kid`; "" is the one without."""
    keys = {"": build_key("HS256", Secret(KEY), None)}
    keys |= {
        kid: build_key(algorithm, Secret(generate_key("HS512" if kid == "hs" else algorithm)), None, kid=kid)
        for kid, algorithm in {"hs": "HS256", "hs-long": "HS512", "es": "ES256", "ed": "EdDSA"}.items()
    }
    return Keyring(keys["hs"], [key for kid, key in keys.items() if kid != "hs"]), keys


def signed_by(key: Key, kid: str | None, algorithm: str | None = None) -> bytes:
    headers = None if kid is None else {"kid": kid}
    assert key.signing_key is not None
    return jwt.encode(CLAIMS, key.signing_key, algorithm=algorithm or key.algorithm, headers=headers).encode()


def test_s32_each_key_checks_what_names_it_and_nothing_else() -> None:
    ring, keys = several()
    one = verifier(ring)
    for kid in keys:
        for signer, key in keys.items():
            encoded = signed_by(key, kid or None)
            for _ in range(2):  # the second time with a header that may be known
                if kid == signer:
                    assert one.decode(encoded, NOW) == CLAIMS
                else:
                    assert reason_of(partial(one.decode, encoded, NOW)) is Reason.TOKEN_INVALID


def test_s30_s32_a_key_takes_its_own_algorithm_whatever_the_others_do() -> None:
    ring, keys = several()
    one = verifier(ring)
    short = keys["hs"]
    for algorithm in ("HS384", "HS512"):
        for kid in ("hs", "hs-long", "es", None):
            assert reason_of(partial(one.decode, signed_by(short, kid, algorithm), NOW)) is Reason.TOKEN_INVALID


@pytest.mark.parametrize("kid", ["unknown", "", "HS", "hs ", "../hs", "hs\0"])
def test_s32_an_unknown_kid_is_refused_as_any_bad_token(kid: str) -> None:
    ring, keys = several()
    for key in keys.values():
        assert reason_of(partial(verifier(ring).decode, signed_by(key, kid), NOW)) is Reason.TOKEN_INVALID


def test_s31_none_has_no_way_in_whatever_the_key() -> None:
    for name in ("none", "None", "NONE", "nOnE", ""):
        for signature in (b"", b64(b""), b"AAAA"):
            encoded = unsigned({"alg": name, "typ": "JWT"}) + signature
            assert reason_of(lambda e=encoded: verifier().decode(e, NOW)) is Reason.TOKEN_INVALID


NO_TIMES = [
    '"soon"',
    '""',
    "null",
    "[1]",
    "{}",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "9" * 400,
    "9" * 5000,
    f'"{int(NOW) + 300}"',
]


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", NO_TIMES, ids=lambda value: value[:12])
def test_s35_a_time_is_a_finite_number(claim: str, value: str) -> None:
    assert reason_of(lambda: verifier().decode(with_text(f'"{claim}":{value}'), NOW)) is Reason.TOKEN_INVALID


def test_s35_true_is_the_number_1_as_in_the_library_and_opens_nothing() -> None:
    assert reason_of(lambda: verifier().decode(token({"exp": True}), NOW)) is Reason.TOKEN_EXPIRED
    for claim in ("iat", "nbf"):
        assert verifier().decode(token({claim: True}), NOW) == verifier().decode(token({claim: 1}), NOW)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_s91_signatures_are_compared_in_constant_time(
    keyrings: dict[str, Keyring], algorithm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[set[int]] = []
    compare = hmac.compare_digest

    def spy(one: bytes, other: bytes) -> bool:
        compared.append({len(one), len(other)})
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", spy)
    good = jwt.encode(CLAIMS, keyrings[algorithm].active.signing_key, algorithm=algorithm).encode()
    verifier(keyrings[algorithm]).decode(good, NOW)
    signed = good.rpartition(b".")[0]
    for length in (32, 48, 64):
        forged = signed + b"." + b64(bytes(length))
        assert reason_of(partial(verifier(keyrings[algorithm]).decode, forged, NOW)) is Reason.TOKEN_INVALID
    ours = int(algorithm[2:]) // 8
    assert compared == [{ours}, {ours, 32}, {ours, 48}, {ours, 64}]


def test_s36_the_last_of_two_names_counts() -> None:
    assert verifier().user_id(verifier().decode(with_text('"user_id":"2"'), NOW)) == "2"


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        (r'"x":"\ud83d\ude00"', True),
        (r'"x":"\\ud800"', True),
        (r'"x":"\ude00\ud83d"', False),
        (r'"\ud83d\ude00":{"y":[null,true,1.5,"\u00e9"]}', True),
        (r'"x":{"\ud800":1}', False),
        ('"x":' + "[" * 63 + "1" + "]" * 63, True),
        ('"y":[],"x":' + "[" * 63 + "1" + "]" * 63, True),
        ('"x":' + "[" * 64 + "]" * 64, False),
        ('"x":' + '{"y":' * 63 + "1" + "}" * 63, True),
        ('"x":' + '{"y":' * 64 + "1" + "}" * 64, False),
        ('"x":[' + ",".join(["[1]"] * 500) + "]", True),
        ('"x":"' + "[" * 500 + '"', True),
    ],
)
def test_s36_claims_can_be_stored_and_encoded_again(text: str, passes: bool) -> None:
    def decode() -> object:
        return verifier().decode(with_text(text), NOW)

    if passes:
        json.dumps(decode(), ensure_ascii=False, allow_nan=False).encode()
    else:
        assert reason_of(decode) is Reason.TOKEN_INVALID


@pytest.mark.parametrize("value", [1, None, ["a"], True])
def test_a_renamed_id_must_be_a_string_too(value: object) -> None:
    one = verifier(jti_claim="tid")
    assert one.token_id(one.decode(token({"tid": "x"}), NOW)) == "x"
    assert one.token_id(one.decode(token(), NOW)) is None
    assert reason_of(lambda: one.decode(token({"tid": value}), NOW)) is Reason.TOKEN_INVALID
    assert reason_of(lambda: one.decode(token({"tid": "x", "jti": value}), NOW)) is Reason.TOKEN_INVALID
    assert reason_of(lambda: one.require(one.decode(token(), NOW), "access")) is Reason.TOKEN_NO_JTI


def test_s37_require_asks_in_the_contracts_order() -> None:
    one = verifier()
    steps = [
        ({}, Reason.TOKEN_NO_EXP),
        ({"exp": 1}, Reason.TOKEN_NO_JTI),
        ({"exp": 1, "jti": "x"}, Reason.TOKEN_NO_TYPE),
        ({"exp": 1, "jti": "x", "token_type": "refresh"}, Reason.TOKEN_WRONG_TYPE),
    ]
    for claims, reason in steps:
        assert reason_of(lambda c=claims: one.require(c, "access")) is reason
    one.require({"exp": 1, "jti": "x", "token_type": "access"}, "access")
    one.require({"exp": 1, "jti": "x", "token_type": "refresh"}, "refresh")
    one.require({"exp": 1, "jti": "x"}, None)


@pytest.mark.parametrize(
    ("value", "text"),
    [("1", "1"), (1, "1"), (0, "0"), (-1, "-1"), ("01", "01"), ("a@b", "a@b"), ("~", "~"), (10**99, "1" + "0" * 99)],
)
def test_s08_a_user_id_is_visible_ascii(value: object, text: str) -> None:
    assert verifier().user_id({"user_id": value}) == text


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "a b",
        "a\n",
        "\r\nX-Role: a",
        "a\0",
        "é",
        "\x7f",
        "\ud800",
        "x" * 256,
        10**255,
        None,
        True,
        1.0,
        [1],
        {},
    ],
)
def test_s08_any_other_user_id_is_nobodys(value: object) -> None:
    assert reason_of(lambda: verifier().user_id({"user_id": value})) is Reason.USER_NOT_FOUND


def test_a_token_without_a_user_is_told_apart() -> None:
    assert reason_of(lambda: verifier().user_id({"sub": "1"})) is Reason.TOKEN_NO_USER


def test_s42_a_refusal_tells_nothing_of_the_token() -> None:
    with pytest.raises(Refused) as caught:
        verifier().decode(signed_text(b'{"a":"private"'), NOW)
    assert str(caught.value) == "token_invalid"
    assert caught.value.__suppress_context__


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters(codec=None), max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["exp", "iat", "nbf", "iss", "aud", "sub", "jti", "token_type", "user_id", "x"])
DOCUMENTED = {Reason.TOKEN_INVALID, Reason.TOKEN_EXPIRED}


def check_documented(encoded: bytes) -> None:
    """Only documented refusals, and never more lenient than PyJWT itself."""
    one = verifier(audience=("a",), issuer="i", leeway=5)
    reasons = set()
    for this, options in ((one, {"audience": "a", "issuer": "i"}), (verifier(), {"options": {"verify_aud": False}})):
        try:
            claims = this.decode(encoded, NOW)
        except Refused as refusal:
            reasons.add(refusal.reason)
            continue
        options.setdefault("options", {}).update(verify_exp=False, verify_iat=False, verify_nbf=False)
        assert claims == jwt.decode(encoded, KEY, algorithms=["HS256"], **options)
        with contextlib.suppress(Refused):
            this.require(claims, "access")
        with contextlib.suppress(Refused):
            this.user_id(claims)
    assert reasons <= DOCUMENTED


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="eyJ0.-_=A", max_size=60).map(str.encode))
def test_s84_no_bytes_make_decode_raise_anything_else(encoded: bytes) -> None:
    check_documented(encoded)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(NAMES, JSON_VALUES, max_size=5))
def test_s84_no_signed_claims_make_decode_raise_anything_else(change: dict[str, Any]) -> None:
    check_documented(token(change))
    check_documented(token({"iss": "i", "aud": ["a"], **change}))


@settings(max_examples=100, deadline=None)
@given(header=JSON_VALUES | st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "zip"]), JSON_VALUES))
def test_s84_no_header_makes_decode_raise_anything_else(header: Any) -> None:
    text = json.dumps({**HEADER, **header} if isinstance(header, dict) else header).encode()
    check_documented(raw(text, json.dumps(CLAIMS).encode()))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_s84_no_signed_payload_makes_decode_raise_anything_else(payload: bytes) -> None:
    check_documented(signed_text(payload))


@settings(max_examples=100, deadline=None)
@given(position=st.integers(0, 400), replacement=st.binary(max_size=3), length=st.integers(0, 3))
def test_s29_a_changed_token_never_passes(position: int, replacement: bytes, length: int) -> None:
    good = token({"iss": "i", "aud": "a"})
    position = min(position, len(good))
    changed = good[:position] + replacement + good[position + length :]
    if changed != good:
        assert reason_of(lambda: verifier().decode(changed, NOW)) is Reason.TOKEN_INVALID
    check_documented(changed)
