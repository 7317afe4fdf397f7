"""The attacks that belong to one family of algorithms: keyed hashes, RSA paddings, elliptic curves."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.conformance.jws_attacks import COMMON, Attack, flipped
from tests.conformance.jws_signer import CURVES, HASHES, Signer, hmac_with

# RFC 2104 §5: truncated MACs exist, JWA has none.
HMAC: dict[str, Attack] = {
    "truncated to 80 bits": lambda s: s.signed_by(lambda data: s.sign(data)[:10]),
    "truncated to 128 bits": lambda s: s.signed_by(lambda data: s.sign(data)[:16]),
    "truncated to 256 bits of a longer hash": lambda s: s.signed_by(
        lambda data: hmac_with(s.key, data, "512" if s.algorithm != "HS512" else "384")[: len(s.sign(data))]
    ),
    "empty key": lambda s: s.signed_by(lambda data: hmac_with(b"", data, s.algorithm[2:])),
    "zero key": lambda s: s.signed_by(lambda data: hmac_with(bytes(64), data, s.algorithm[2:])),
    "key and a line end": lambda s: s.signed_by(lambda data: hmac_with(s.key + b"\n", data, s.algorithm[2:])),
    "key cut": lambda s: s.signed_by(lambda data: hmac_with(s.key[:-1], data, s.algorithm[2:])),
    "hash of key and text": lambda s: s.signed_by(
        lambda data: hashlib.new(f"sha{s.algorithm[2:]}", s.key + data).digest()
    ),
}


def _public_forms(key: PrivateKeyTypes) -> dict[str, bytes]:
    """What an attacker knows of the key, as texts that a careless library takes for an HMAC key."""
    public = key.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[union-attr]
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[union-attr]
    forms = {
        "pem": pem,
        "pem without its last line end": pem.rstrip(b"\n"),
        "pem with crlf": pem.replace(b"\n", b"\r\n"),
        "base64 of the pem": b"".join(pem.split(b"\n")[1:-2]),
        "der": der,
    }
    if isinstance(public, rsa.RSAPublicKey):
        forms["pkcs1 pem"] = public.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
        forms["modulus"] = public.public_numbers().n.to_bytes(256, "big")
    elif isinstance(public, ec.EllipticCurvePublicKey):
        forms["point"] = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        forms["compressed point"] = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    elif isinstance(public, ed25519.Ed25519PublicKey):
        forms["raw"] = public.public_bytes_raw()
    return forms


def confusions(signer: Signer) -> dict[str, bytes]:
    """RFC 8725 §2.1, CVE-2015-9235, CVE-2022-29217: the public key as an HMAC key, and HMAC under the right name."""
    tokens = {}
    for form, key in _public_forms(signer.key).items():
        for bits in HASHES:
            tokens[f"HS{bits} with the {form}"] = Signer(f"HS{bits}", key).token()
        tokens[f"hmac with the {form}"] = signer.signed_by(lambda data, key=key: hmac_with(key, data))  # type: ignore[misc]
    return tokens


# The DigestInfo of RFC 8017 §9.2 note 1, in front of the hash.
_DIGEST_INFOS = {
    "256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "512": bytes.fromhex("3051300d060960864801650304020305000440"),
}
_SHA1_INFO = bytes.fromhex("3021300906052b0e03021a05000414")


def _encoded(signer: Signer, em: bytes) -> bytes:
    """The private operation on a block of the attacker's choice: a signature that a lenient padding check would take."""
    numbers = signer.key.private_numbers()
    n = numbers.public_numbers.n
    return pow(int.from_bytes(em, "big"), numbers.d, n).to_bytes(256, "big")


def _block(tail: bytes, *, kind: bytes = b"\1", fill: bytes = b"\xff", separator: bytes = b"\0") -> bytes:
    front = b"\0" + kind
    return front + fill * (256 - len(front) - len(separator) - len(tail)) + separator + tail


def _padded(make: Callable[[bytes, bytes], bytes]) -> Attack:
    """`make(info, digest)` gives the block."""

    def attack(signer: Signer) -> bytes:
        bits = signer.algorithm[2:]

        def sign(data: bytes) -> bytes:
            em = make(_DIGEST_INFOS[bits], hashlib.new(f"sha{bits}", data).digest())
            assert len(em) == 256
            return _encoded(signer, em)

        return signer.signed_by(sign)

    return attack


# PKCS #1 v1.5 padding (RFC 8017 §8.2.2): compared whole, never parsed. CVE-2006-4339 and its many grandchildren.
PKCS1: dict[str, Attack] = {
    "garbage behind the hash": _padded(
        lambda i, d: b"\0\1" + b"\xff" * 8 + b"\0" + i + d + b"\xaa" * (245 - len(i + d))
    ),
    "zeros behind the hash": _padded(lambda i, d: b"\0\1" + b"\xff" * 8 + b"\0" + i + d + bytes(245 - len(i + d))),
    "garbage inside the parameters": _padded(
        lambda i, d: _block(b"\x30" + bytes([i[1] + 4]) + b"\x30\x11" + i[4:15] + b"\x05\x04abcd" + i[17:] + d)
    ),
    "parameters are missing": _padded(
        lambda i, d: _block(b"\x30" + bytes([i[1] - 2]) + b"\x30\x0b" + i[4:15] + i[17:] + d)
    ),
    "long form of a length": _padded(lambda i, d: _block(b"\x30\x81" + i[1:] + d)),
    "leading zero in a length": _padded(lambda i, d: _block(b"\x30\x82\x00" + i[1:] + d)),
    "length too large": _padded(lambda i, d: _block(i[:1] + bytes([i[1] + 1]) + i[2:] + d)),
    "length too small": _padded(lambda i, d: _block(i[:1] + bytes([i[1] - 1]) + i[2:] + d)),
    "length of 2^32 more": _padded(lambda i, d: _block(b"\x30\x85\x01\x00\x00\x00" + i[1:] + d)),
    "indefinite length": _padded(lambda i, d: _block(b"\x30\x80" + i[2:] + d + b"\0\0")),
    "tag of another kind": _padded(lambda i, d: _block(b"\x31" + i[1:] + d)),
    "no sequence": _padded(lambda i, d: _block(i[2:] + d)),
    "hash alone": _padded(lambda i, d: _block(d)),
    "hash cut": _padded(lambda i, d: _block(i + d[:-1])),
    "hash of another message": _padded(lambda i, d: _block(i + flipped(d, 0))),
    "no separator": _padded(lambda i, d: _block(i + d, separator=b"\xff")),
    "padding of zeros": _padded(lambda i, d: _block(i + d, fill=b"\0")),
    "padding with a hole": _padded(lambda i, d: _block(b"\0" + i + d)),
    "block type 0": _padded(lambda i, d: _block(i + d, kind=b"\0")),
    "block type 2": _padded(lambda i, d: _block(i + d, kind=b"\2")),
    "sha-1": lambda s: s.signed_by(lambda data: s.key.sign(data, padding.PKCS1v15(), SHA1())),
    "sha-1 in the name of another": _padded(lambda i, d: _block(_SHA1_INFO + d[:20])),
}

PSS: dict[str, Attack] = {
    "no salt": lambda s: s.signed_by(lambda data: s.pss(data, s.hash, 0)),
    "salt of another length": lambda s: s.signed_by(lambda data: s.pss(data, s.hash, 20)),
    "longest salt": lambda s: s.signed_by(lambda data: s.pss(data, s.hash, 256 - 2 - s.hash.digest_size)),
    "mask of another hash": lambda s: s.signed_by(
        lambda data: s.pss(data, SHA1() if s.algorithm == "PS256" else SHA256(), s.hash.digest_size)
    ),
}


def _modulus(signer: Signer) -> int:
    return int(signer.key.public_key().public_numbers().n)


def _as_signature(number: Callable[[Signer], int], size: int = 256) -> Attack:
    return lambda signer: signer.signed_by(lambda data: number(signer).to_bytes(size, "big"))


RSA: dict[str, Attack] = {
    "0": _as_signature(lambda s: 0),
    "1": _as_signature(lambda s: 1),
    "n - 1": _as_signature(lambda s: _modulus(s) - 1),
    "n": _as_signature(_modulus),
    "signature + n": lambda s: s.signed_by(
        lambda data: (int.from_bytes(s.sign(data), "big") + _modulus(s)).to_bytes(257, "big")
    ),
}


def _pair(change: Callable[[Signer, int, int], tuple[int, int]]) -> Attack:
    """A good signature's numbers, changed."""
    return lambda signer: signer.signed_by(lambda data: signer.raw(*change(signer, *signer.r_and_s(data, signer.hash))))


def _other_curve(signer: Signer) -> Signer:
    """A signer of another curve that calls itself by this one's name."""
    other = {"ES256": "ES384", "ES384": "ES512", "ES512": "ES256"}[signer.algorithm]
    return Signer(signer.algorithm, ec.generate_private_key(CURVES[other]()))


# RFC 7518 §3.4; CVE-2022-21449: r and s are in 1..n-1, and in the curve's size.
ECDSA: dict[str, Attack] = {
    "r = s = 0": _pair(lambda k, r, s: (0, 0)),
    "r = 0": _pair(lambda k, r, s: (0, s)),
    "s = 0": _pair(lambda k, r, s: (r, 0)),
    "r = s = 1": _pair(lambda k, r, s: (1, 1)),
    "r = s = n": _pair(lambda k, r, s: (k.order, k.order)),
    "r = 0, s = n": _pair(lambda k, r, s: (0, k.order)),
    "r = n, s = 0": _pair(lambda k, r, s: (k.order, 0)),
    "r = n - 1, s = 1": _pair(lambda k, r, s: (k.order - 1, 1)),
    "r = n - r": _pair(lambda k, r, s: (k.order - r, s)),
    "r and s in another order": _pair(lambda k, r, s: (s, r)),
    "der": lambda s: s.signed_by(lambda data: s.key.sign(data, ec.ECDSA(s.hash))),
    "der, filled to the size": lambda s: s.signed_by(
        lambda data: s.key.sign(data, ec.ECDSA(s.hash))[: 2 * s.size].ljust(2 * s.size, b"\0")
    ),
    "each number a byte longer": lambda s: s.signed_by(
        lambda data: b"\0" + s.sign(data)[: s.size] + b"\0" + s.sign(data)[s.size :]
    ),
    "r alone": lambda s: s.signed_by(lambda data: s.sign(data)[: s.size]),
    "another hash": lambda s: s.signed_by(
        lambda data: s.raw(*s.r_and_s(data, SHA1() if s.algorithm == "ES512" else SHA512()))
    ),
    "another curve": lambda s: _other_curve(s).signed_by(
        lambda data: b"".join(each.to_bytes(66, "big") for each in _other_curve(s).r_and_s(data, s.hash))
    ),
    "secp256k1": lambda s: Signer(s.algorithm, ec.generate_private_key(ec.SECP256K1())).token(),
    "ed25519 under this name": lambda s: s.signed_by(ed25519.Ed25519PrivateKey.generate().sign),
}

_L = 2**252 + 27742317777372353535851937790883648493  # RFC 8032 §5.1


def _with_larger_s(signature: bytes) -> bytes:
    """RFC 8032 §5.1.7: S must be below L, or one token has two signatures."""
    return signature[:32] + (int.from_bytes(signature[32:], "little") + _L).to_bytes(32, "little")


EDDSA: dict[str, Attack] = {
    "S + L": lambda s: s.signed_by(lambda data: _with_larger_s(s.sign(data))),
    "S = 0": lambda s: s.signed_by(lambda data: s.sign(data)[:32] + bytes(32)),
    "S = L": lambda s: s.signed_by(lambda data: s.sign(data)[:32] + _L.to_bytes(32, "little")),
    "R is the neutral element": lambda s: s.signed_by(lambda data: b"\1" + bytes(31) + s.sign(data)[32:]),
    "R is the neutral element, S = 0": lambda s: s.signed_by(lambda data: b"\1" + bytes(63)),
    "R = 0": lambda s: s.signed_by(lambda data: bytes(32) + s.sign(data)[32:]),
    "S and R in another order": lambda s: s.signed_by(lambda data: s.sign(data)[32:] + s.sign(data)[:32]),
    "signature of a hash": lambda s: s.signed_by(lambda data: s.sign(hashlib.sha512(data).digest())),
    "named by its curve": lambda s: s.token({"alg": "Ed25519"}),
    "ecdsa under this name": lambda s: s.signed_by(Signer.new("ES256").sign),
}

_SIBLINGS = {
    "HS": [f"HS{bits}" for bits in HASHES],
    "RS": [f"{family}{bits}" for family in ("RS", "PS") for bits in HASHES],
    "PS": [f"{family}{bits}" for family in ("RS", "PS") for bits in HASHES],
}


def _by_the_same_key(other: str) -> Attack:
    return lambda signer: replace(signer, algorithm=other).token()


def _under_this_name(other: str) -> Attack:
    return lambda signer: signer.signed_by(replace(signer, algorithm=other).sign)


_BY_FAMILY = {"HS": HMAC, "RS": PKCS1 | RSA, "PS": PSS | RSA, "ES": ECDSA, "Ed": EDDSA}


def attacks_on(algorithm: str) -> dict[str, Attack]:
    """Every row that concerns this algorithm."""
    rows = COMMON | _BY_FAMILY[algorithm[:2]]
    for other in _SIBLINGS.get(algorithm[:2], ()):
        if other != algorithm:
            rows[f"{other} by the same key"] = _by_the_same_key(other)
            rows[f"{other} under this name"] = _under_this_name(other)
    return rows


# A padding that is built by hand as those of the attacks are, and is the right one.
GOOD_PADDING: Attack = _padded(lambda i, d: _block(i + d))
