"""Signatures of tokens: each class of attack on each algorithm is refused, and refused as any other bad token is."""

import warnings
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from gateway.auth.keyring import Keyring
from gateway.auth.keys import ALGORITHMS, Key, KeyRefused, build_key, generate_key
from gateway.auth.verifier import TokenVerifier
from gateway.errors import Reason, Refused
from gateway.types import Secret
from tests.conformance.jws_attacks import GOOD, Attack
from tests.conformance.jws_family_attacks import GOOD_PADDING, attacks_on, confusions
from tests.conformance.jws_signer import CLAIMS, NOW, Signer
from tests.unit.auth.verifiers import verifier_of

ATTACKS: dict[tuple[str, str], Attack] = {
    (algorithm, name): attack for algorithm in ALGORITHMS for name, attack in attacks_on(algorithm).items()
}
ASYMMETRIC = [algorithm for algorithm in ALGORITHMS if algorithm[:2] != "HS"]


@pytest.fixture(scope="module")
def signers() -> dict[str, Signer]:
    return {algorithm: Signer.new(algorithm) for algorithm in ALGORITHMS}


@cache
def keyring(algorithm: str, secret: str) -> Keyring:
    return Keyring(build_key(algorithm, Secret(secret), None))


def verifier(signer: Signer, ring: Callable[[str, str], Keyring] = keyring) -> TokenVerifier:
    return verifier_of(ring(signer.algorithm, signer.secret))


@cache
def others() -> tuple[Key, ...]:
    """A key of each algorithm, all with a name."""
    rsa = generate_key("RS256")
    return tuple(
        build_key(name, Secret(rsa if name[:2] in ("RS", "PS") else generate_key(name)), None, kid=f"other-{name}")
        for name in ALGORITHMS
    )


@cache
def crowded_keyring(algorithm: str, secret: str) -> Keyring:
    """The signer's key takes tokens without a name, as alone, and stands among named ones of every algorithm."""
    first, *rest = others()
    return Keyring(first, [build_key(algorithm, Secret(secret), None), *rest])


def verifiers(signer: Signer) -> Iterator[TokenVerifier]:
    """One that has seen nothing, one that knows the usual header of good tokens; and both with a ring of many keys."""
    for ring in (keyring, crowded_keyring):
        yield verifier(signer, ring)
        warmed = verifier(signer, ring)
        warmed.decode(signer.token(), NOW)
        yield warmed


def check_refused(signer: Signer, token: bytes) -> None:
    for one in verifiers(signer):
        with pytest.raises(Refused) as caught:
            one.decode(token, NOW)
        assert caught.value.reason is Reason.TOKEN_INVALID
        assert one.decode(signer.token(), NOW) == CLAIMS


@pytest.mark.parametrize(("algorithm", "name"), ATTACKS, ids=[f"s46-{algorithm}-{name}" for algorithm, name in ATTACKS])
def test_attack_is_refused(signers: dict[str, Signer], algorithm: str, name: str) -> None:
    check_refused(signers[algorithm], ATTACKS[algorithm, name](signers[algorithm]))


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_s30_s46_the_public_key_is_no_hmac_key(signers: dict[str, Signer], algorithm: str) -> None:
    tokens = confusions(signers[algorithm])
    assert len(tokens) >= 24
    for token in tokens.values():
        check_refused(signers[algorithm], token)


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_s46_odd_but_good_tokens_pass(signers: dict[str, Signer], algorithm: str, name: str) -> None:
    """The table refuses for the attack's sake: what is built in the same way without one passes."""
    for one in [*verifiers(signers[algorithm])][: 2 if name == "s32-a key name" else 4]:
        assert one.decode(GOOD[name](signers[algorithm]), NOW) == CLAIMS


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_s32_s46_among_several_keys_a_name_is_a_name(signers: dict[str, Signer], algorithm: str) -> None:
    """Each algorithm's token under each key's name: only the key's own is taken, and it is nobody else's."""
    signer = signers[algorithm]
    named = build_key(algorithm, Secret(signer.secret), None, kid="mine")
    one = verifier_of(Keyring(named, others()))
    kids = ["mine", *(key.kid for key in others()), "../../dev/null", "", None]
    for kid in kids:
        header = {**signer.header, **({} if kid is None else {"kid": kid})}
        if kid == "mine":
            assert one.decode(signer.token(header), NOW) == CLAIMS
            continue
        with pytest.raises(Refused) as caught:
            one.decode(signer.token(header), NOW)
        assert caught.value.reason is Reason.TOKEN_INVALID


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
def test_s46_the_right_padding_passes(signers: dict[str, Signer], algorithm: str) -> None:
    assert verifier(signers[algorithm]).decode(GOOD_PADDING(signers[algorithm]), NOW) == CLAIMS


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512"])
def test_s46_the_second_signature_of_ecdsa_is_a_signature(signers: dict[str, Signer], algorithm: str) -> None:
    """(r, n - s) is good wherever (r, s) is, so a token's text is no identity: revocation goes by `jti` (checklist 57)."""
    signer = signers[algorithm]

    def other(data: bytes) -> bytes:
        r, s = signer.r_and_s(data, signer.hash)
        return signer.raw(r, signer.order - s)

    assert verifier(signer).decode(signer.signed_by(other), NOW) == CLAIMS


def test_s31_s46_weak_keys_do_not_start() -> None:
    for algorithm, size in {"HS256": 31, "HS384": 47, "HS512": 63}.items():
        with pytest.raises(KeyRefused):
            build_key(algorithm, Secret(Signer.new(algorithm).secret[:size]), None)
    with warnings.catch_warnings(action="ignore"):  # of cryptography, about the size
        from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

        short = Signer("RS256", generate_private_key(65537, 1024)).secret
    with pytest.raises(KeyRefused):
        build_key("RS256", Secret(short), None)
