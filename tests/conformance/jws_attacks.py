"""The classes of attack on a JWS that Project Wycheproof's vectors cover, and the ones that libraries fell for since.

Wycheproof's own tokens carry the payload `foo` and would be refused for that alone. So each row here is built anew, around
good claims and, wherever the class allows, with a genuine signature of the right key: nothing but the attack is wrong.
"""

import hashlib
import itertools
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from tests.conformance.jws_signer import NOW, PAYLOAD, Signer, b64, unb64

Attack = Callable[[Signer], bytes]


def parts(signer: Signer) -> list[bytes]:
    return signer.token().split(b".")


def flipped(data: bytes, at: int) -> bytes:
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def other_unused_bits(segment: bytes) -> bytes:
    """The same bytes with another last character; the segment must not end on a whole group."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(segment) % 4
    changed = segment[:-1] + alphabet[alphabet.index(segment[-1]) + 1 :][:1]
    assert unb64(changed) == unb64(segment)
    return changed


def unaligned(text: bytes) -> bytes:
    """JSON text with blanks so that its last group of base64 is not whole."""
    return text if len(text) % 3 else text + b" "


# Its base64url has both characters that the standard alphabet has not, and a last group that is not whole.
ODD_PAYLOAD = unaligned(PAYLOAD[:-1] + ',"x":"~~~???¿ÿþ"}'.encode())
assert {b"-"[0], b"_"[0]} <= set(b64(ODD_PAYLOAD))


def _with_header(**more: Any) -> Attack:
    return lambda signer: signer.token({**signer.header, **more})


def _with_alg(value: Any) -> Attack:
    return lambda signer: signer.token({"alg": value, "typ": "JWT"})


def _unsigned(alg: str, signature: bytes = b"") -> Attack:
    return lambda signer: b64(json.dumps({"alg": alg}).encode()) + b"." + b64(PAYLOAD) + b"." + signature


def _respelled(change: Callable[[bytes], bytes], *, segment: int) -> Attack:
    """The segment in another spelling, header and payload with a genuine signature over that spelling."""

    def attack(signer: Signer) -> bytes:
        usual = [b64(unaligned(json.dumps(signer.header).encode())), b64(ODD_PAYLOAD)]
        if segment < 2:
            changed = [change(text) if number == segment else text for number, text in enumerate(usual)]
            assert changed != usual
            return signer.over(b".".join(changed))
        signed, _, signature = signer.over(b".".join(usual)).rpartition(b".")
        return signed + b"." + change(signature)

    return attack


def _without_leading_zero(signer: Signer) -> bytes:
    """RFC 8017 §8.1.2, RFC 7518 §3.4: numbers are written in full. About each 256th signature begins with a zero."""
    tokens = (signer.token({**signer.header, "kid": str(number)}) for number in itertools.count())
    signed, signature = next(
        (signed, unb64(signature))
        for signed, _, signature in (token.rpartition(b".") for token in tokens)
        if unb64(signature)[0] == 0
    )
    return signer.over(signed, signature[1:])


def _jwk(signer: Signer) -> dict[str, Any]:
    """The stranger's key as a token would bring it along."""
    key = signer.stranger.key
    if isinstance(key, bytes):
        return {"kty": "oct", "k": b64(key).decode()}
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        n, e = public.public_numbers().n, public.public_numbers().e
        return {"kty": "RSA", "n": b64(n.to_bytes(256, "big")).decode(), "e": b64(e.to_bytes(3, "big")).decode()}
    if isinstance(public, ec.EllipticCurvePublicKey):
        numbers, size = public.public_numbers(), signer.size
        x, y = (b64(each.to_bytes(size, "big")).decode() for each in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": {32: "P-256", 48: "P-384", 66: "P-521"}[size], "x": x, "y": y}
    return {"kty": "OKP", "crv": "Ed25519", "x": b64(public.public_bytes_raw()).decode()}


def _brings_its_key(name: str, value: Callable[[Signer], Any]) -> Attack:
    return lambda signer: signer.stranger.token({**signer.header, name: value(signer)})


# RFC 7515 §5.2, §7; RFC 8725 §3. For every algorithm. Rows of the security checklist carry its numbers.
COMMON: dict[str, Attack] = {
    "modified signature, first bit": lambda s: s.signed_by(lambda data: flipped(s.sign(data), 0)),
    "modified signature, in the middle": lambda s: s.signed_by(
        lambda data: flipped(s.sign(data), len(s.sign(data)) // 2)
    ),
    "modified signature, last bit": lambda s: s.signed_by(lambda data: flipped(s.sign(data), -1)),
    "modified payload": lambda s: b".".join([parts(s)[0], b64(PAYLOAD.replace(b'"1"', b'"2"')), parts(s)[2]]),
    "modified header": lambda s: b".".join(
        [b64(json.dumps({**s.header, "kid": "x"}).encode()), *s.token().split(b".")[1:]]
    ),
    "missing signature": lambda s: b".".join([*parts(s)[:2], b""]),
    "missing signature and separator": lambda s: b".".join(parts(s)[:2]),
    "missing payload": lambda s: parts(s)[0] + b".." + parts(s)[2],
    "missing payload, signed": lambda s: s.token(payload=b""),
    "missing payload and separator": lambda s: parts(s)[0] + b"." + parts(s)[2],
    "missing header": lambda s: b"." + s.token().partition(b".")[2],
    "missing header, signed": lambda s: s.over(b"." + b64(PAYLOAD)),
    "missing header and separator": lambda s: s.token().partition(b".")[2],
    "missing header and signature": lambda s: b"." + parts(s)[1] + b".",
    "payload alone": lambda s: parts(s)[1],
    "empty": lambda s: b"",
    "separators alone": lambda s: b"..",
    "extra empty segment": lambda s: s.token() + b".",
    "empty segment in front": lambda s: b"." + s.token(),
    "extra segment": lambda s: s.token() + b".Zm9v",
    "header twice": lambda s: parts(s)[0] + b"." + s.token(),
    "payload twice": lambda s: b".".join([*parts(s)[:2], *parts(s)[1:]]),
    "signature twice": lambda s: s.token() + b"." + parts(s)[2],
    "segments in another order": lambda s: s.over(b64(PAYLOAD) + b"." + parts(s)[0]),
    "two tokens": lambda s: s.token() + b"," + s.token(),
    "json serialisation": lambda s: json.dumps(
        {
            "payload": parts(s)[1].decode(),
            "signatures": [{"protected": parts(s)[0].decode(), "signature": parts(s)[2].decode()}],
        }
    ).encode(),
    "flattened json serialisation": lambda s: json.dumps(
        {"payload": parts(s)[1].decode(), "protected": parts(s)[0].decode(), "signature": parts(s)[2].decode()}
    ).encode(),
    "encrypted form of five segments": lambda s: b".".join([*parts(s), b"AAAA", b"AAAA"]),
    # RFC 7518 §3.6, RFC 8725 §3.2.
    "none without signature": _unsigned("none"),
    "none with junk": _unsigned("none", b"AAAA"),
    "none in capitals": _unsigned("NONE"),
    "none in mixed case": _unsigned("nOnE"),
    "none with a blank": _unsigned("none "),
    "none over a good signature": _with_alg("none"),
    "no algorithm": lambda s: s.token({"typ": "JWT"}),
    "empty algorithm": _with_alg(""),
    "null algorithm": _with_alg(None),
    "number for an algorithm": _with_alg(0),
    "list of algorithms": lambda s: s.token({"alg": [s.algorithm]}),
    "algorithm in an object": lambda s: s.token({"alg": {"alg": s.algorithm}}),
    "algorithm in another case": lambda s: s.token({"alg": s.algorithm.swapcase()}),
    "algorithm with a blank": lambda s: s.token({"alg": s.algorithm + " "}),
    "algorithm with nul": lambda s: s.token({"alg": s.algorithm + "\0"}),
    "algorithm under another name": lambda s: s.token({"ALG": s.algorithm}),
    "algorithm in a nested header": lambda s: s.token({"header": {"alg": s.algorithm}}),
    "algorithm twice, none at last": lambda s: s.token(b'{"alg":"%b","alg":"none"}' % s.algorithm.encode()),
    "algorithm twice, an escape in one": lambda s: s.token(b'{"alg":"%b","\\u0061lg":"none"}' % s.algorithm.encode()),
    "header is a list": lambda s: s.token(b'[{"alg":"%b"}]' % s.algorithm.encode()),
    "header is text": lambda s: s.token(b'"%b"' % s.algorithm.encode()),
    "header is cut": lambda s: s.token(json.dumps(s.header).encode()[:-1]),
    "header with a tail": lambda s: s.token(json.dumps(s.header).encode() + b"{}"),
    "header in utf-16": lambda s: s.token(json.dumps(s.header).encode("utf-16")),
    "header with a byte order mark": lambda s: s.token(b"\xef\xbb\xbf" + json.dumps(s.header).encode()),
    "payload with a byte order mark": lambda s: s.token(payload=b"\xef\xbb\xbf" + PAYLOAD),
    "payload in utf-16": lambda s: s.token(payload=PAYLOAD.decode().encode("utf-16")),
    "payload is no json": lambda s: s.token(payload=b"foo"),
    "payload in a list": lambda s: s.token(payload=b"[" + PAYLOAD + b"]"),
    "payload is a token": lambda s: s.token({**s.header, "cty": "JWT"}, payload=s.token()),
    # RFC 7515 §4.1.11, RFC 7797.
    "s33-critical extension": _with_header(crit=["exp"], exp=NOW + 300),
    "s33-critical extension that nobody knows": _with_header(crit=["x"], x=1),
    "s33-critical, and empty": _with_header(crit=[]),
    "s33-critical, and null": _with_header(crit=None),
    "s33-critical, and text": _with_header(crit="exp"),
    "s33-unencoded payload, critical": lambda s: s.over(
        b64(json.dumps({**s.header, "b64": False, "crit": ["b64"]}).encode()) + b"." + PAYLOAD
    ),
    "unencoded payload": lambda s: s.over(b64(json.dumps({**s.header, "b64": False}).encode()) + b"." + PAYLOAD),
    "encoded payload that says it is not": _with_header(b64=False),
    # RFC 8725 §3.10, CVE-2018-0114: who brings the key along is nobody.
    "s32-brings its key": _brings_its_key("jwk", _jwk),
    "s32-brings its key set": _brings_its_key("jwks", lambda s: {"keys": [_jwk(s)]}),
    "s32-names a key set of its own": _brings_its_key("jku", lambda s: "https://evil.example/jwks.json"),
    "s32-names a certificate of its own": _brings_its_key("x5u", lambda s: "https://evil.example/key.pem"),
    "s32-brings a certificate": _brings_its_key("x5c", lambda s: ["MIIB"]),
    "s32-names a key file": _brings_its_key("kid", lambda s: "../../../../dev/null"),
    "s32-names a key by a query": _brings_its_key("kid", lambda s: "x' UNION SELECT 'key' --"),
    "s32-key name is no text": _with_header(kid=["a"]),
    "another key": lambda s: s.stranger.token(),
    # RFC 7515 §2, RFC 4648 §3: one spelling.
    "padded header": _respelled(lambda text: text + b"=" * (-len(text) % 4), segment=0),
    "padded payload": _respelled(lambda text: text + b"=" * (-len(text) % 4), segment=1),
    "padded signature": _respelled(lambda text: text + b"=" * (-len(text) % 4 or 4), segment=2),
    "header with other unused bits": _respelled(other_unused_bits, segment=0),
    "payload with other unused bits": _respelled(other_unused_bits, segment=1),
    "one character too many": _respelled(lambda text: text + b"A" * (1 + (1 - len(text) - 1) % 4), segment=2),
    "line end in the header": _respelled(lambda text: text[:4] + b"\n" + text[4:], segment=0),
    "blank in the payload": _respelled(lambda text: text[:4] + b" " + text[4:], segment=1),
    "line end behind the signature": _respelled(lambda text: text + b"\r\n", segment=2),
    "nul behind the signature": _respelled(lambda text: text + b"\0", segment=2),
    "junk inside the signature": _respelled(lambda text: text[:4] + b"!!!!" + text[4:], segment=2),
    "percent escapes": _respelled(lambda text: text[:3] + b"%%%02x" % text[3] + text[4:], segment=1),
    "standard alphabet in the payload": _respelled(
        lambda text: text.replace(b"-", b"+").replace(b"_", b"/"), segment=1
    ),
    # Signatures of another size.
    "empty signature bytes": lambda s: s.signed_by(lambda data: b""),
    "one byte": lambda s: s.signed_by(lambda data: b"\0"),
    "half a signature": lambda s: s.signed_by(lambda data: s.sign(data)[: len(s.sign(data)) // 2]),
    "signature without its last byte": lambda s: s.signed_by(lambda data: s.sign(data)[:-1]),
    "signature without its first byte": lambda s: s.signed_by(lambda data: s.sign(data)[1:]),
    "signature without its leading zero": _without_leading_zero,
    "signature and a zero byte": lambda s: s.signed_by(lambda data: s.sign(data) + b"\0"),
    "zero byte and signature": lambda s: s.signed_by(lambda data: b"\0" + s.sign(data)),
    "signature bytes twice": lambda s: s.signed_by(lambda data: s.sign(data) * 2),
    "zeros": lambda s: s.signed_by(lambda data: bytes(len(s.sign(data)))),
    "ones": lambda s: s.signed_by(lambda data: b"\xff" * len(s.sign(data))),
    "signature in hexadecimal": lambda s: s.signed_by(lambda data: s.sign(data).hex().encode()),
    "signature of the payload alone": lambda s: s.signed_by(lambda data: s.sign(data.partition(b".")[2])),
    "signature of the decoded payload": lambda s: s.signed_by(lambda data: s.sign(PAYLOAD)),
    "hash without a key": lambda s: s.signed_by(lambda data: hashlib.sha256(data).digest()),
}

# What looks odd and is a good token all the same. For every algorithm.
GOOD: dict[str, Attack] = {
    "as issued": Signer.token,
    "no type": lambda s: s.token({"alg": s.algorithm}),
    "blanks in the header": lambda s: s.token(b'\n{ "alg" :\t"%b" }\r' % s.algorithm.encode()),
    "escapes in the header": lambda s: s.token(b'{"\\u0061lg":"%b"}' % s.algorithm.encode()),
    "algorithm twice, ours at last": lambda s: s.token(b'{"alg":"none","alg":"%b"}' % s.algorithm.encode()),
    "s32-a key name": _with_header(kid="../../etc/passwd"),
    "s32-names of other keys that nobody looks at": lambda s: s.token(
        {**s.header, "jwk": _jwk(s), "jku": "https://evil.example/", "x5u": "https://evil.example/", "x5c": ["MIIB"]}
    ),
    "encoded payload that says so": _with_header(b64=True),
}
