"""Keys of every algorithm, and what is done with them that no JWT library would do."""

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.auth.keys import generate_key

NOW = 1_800_000_000
CLAIMS: dict[str, Any] = {
    "token_type": "access",
    "exp": NOW + 300,
    "iat": NOW,
    "jti": "0123456789abcdef0123456789abcdef",
    "user_id": "1",
}
PAYLOAD = json.dumps(CLAIMS).encode()
HASHES: dict[str, type[HashAlgorithm]] = {"256": SHA256, "384": SHA384, "512": SHA512}
CURVES: dict[str, type[ec.EllipticCurve]] = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def unb64(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def hmac_with(key: bytes, signed: bytes, bits: str = "256") -> bytes:
    return hmac.new(key, signed, f"sha{bits}").digest()


@dataclass
class Signer:
    """A key and what is done with it. `key` is bytes for HMAC, else a private key."""

    algorithm: str
    key: Any

    @classmethod
    def new(cls, algorithm: str) -> "Signer":
        match algorithm[:2]:
            case "HS":
                return cls(algorithm, generate_key(algorithm).encode())
            case "RS" | "PS":
                return cls(algorithm, rsa.generate_private_key(65537, 2048))
            case "ES":
                return cls(algorithm, ec.generate_private_key(CURVES[algorithm]()))
            case _:
                return cls(algorithm, ed25519.Ed25519PrivateKey.generate())

    @cached_property
    def stranger(self) -> "Signer":
        """Another key for the same algorithm."""
        return Signer.new(self.algorithm)

    @property
    def hash(self) -> HashAlgorithm:
        return HASHES[self.algorithm[2:]]()

    @property
    def header(self) -> dict[str, Any]:
        return {"alg": self.algorithm, "typ": "JWT"}

    @property
    def secret(self) -> str:
        """The key as the configuration has it."""
        if isinstance(self.key, bytes):
            return self.key.decode()
        pem: bytes = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return pem.decode()

    def sign(self, signed: bytes) -> bytes:
        match self.algorithm[:2]:
            case "HS":
                return hmac_with(self.key, signed, self.algorithm[2:])
            case "RS":
                return bytes(self.key.sign(signed, padding.PKCS1v15(), self.hash))
            case "PS":
                return self.pss(signed, self.hash, self.hash.digest_size)
            case "ES":
                return self.raw(*self.r_and_s(signed, self.hash))
            case _:
                return bytes(self.key.sign(signed))

    def pss(self, signed: bytes, mask: HashAlgorithm, salt: int) -> bytes:
        return bytes(self.key.sign(signed, padding.PSS(padding.MGF1(mask), salt), self.hash))

    def r_and_s(self, signed: bytes, hash_algorithm: HashAlgorithm) -> tuple[int, int]:
        return decode_dss_signature(self.key.sign(signed, ec.ECDSA(hash_algorithm)))

    @property
    def size(self) -> int:
        """The bytes of a coordinate of the curve."""
        return int(self.key.curve.key_size + 7) // 8

    @property
    def order(self) -> int:
        """The order n of the curve's group (SEC 2): n - 1 is the last private key that exists."""
        return {
            "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
            "ES384": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
            "ES512": int(f"01{'FF' * 32}FA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409", 16),
        }[self.algorithm]

    def raw(self, r: int, s: int) -> bytes:
        """RFC 7518 §3.4: both numbers in the curve's size, one behind the other."""
        return r.to_bytes(self.size, "big") + s.to_bytes(self.size, "big")

    def token(self, header: Mapping[str, Any] | bytes | None = None, payload: bytes = PAYLOAD) -> bytes:
        """A token with a genuine signature over whatever is given."""
        raw = header if isinstance(header, bytes) else json.dumps(header or self.header).encode()
        return self.over(b64(raw) + b"." + b64(payload))

    def over(self, signed: bytes, signature: bytes | None = None) -> bytes:
        return signed + b"." + b64(self.sign(signed) if signature is None else signature)

    def signed_by(self, signature: Callable[[bytes], bytes]) -> bytes:
        """A good token but for its signature, which is made of the signed bytes."""
        signed = self.token().rpartition(b".")[0]
        return self.over(signed, signature(signed))
