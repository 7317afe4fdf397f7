"""A gateway that does one thing wrong, each of which some real one has done; for `gateway doctor` to find.

Whom it lets in it shows the request, as a backend would that stands behind it.
"""

import asyncio
import base64
import hmac
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicNumbers, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

GUARDED: Final = "/orders/"
SECRET: Final = base64.b64encode(bytes(range(40)))
_DIGESTS: Final = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}

Fields = dict[str, str]
"""By name in lower case; of several the last one."""


def unsegment(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(**claims: Any) -> str:
    """With the gateway's own key."""
    head = f"{segment(json.dumps({'alg': 'HS256'}).encode())}.{segment(json.dumps(claims).encode())}"
    return f"{head}.{segment(hmac.digest(SECRET, head.encode(), 'sha256'))}"


def access(**changes: Any) -> str:
    return signed(**{"token_type": "access", "user_id": "1", "exp": time.time() + 60, **changes})


class BrokenGateway:
    """`flaw` is what is wrong with it; see `_FLAWS` of test_doctor.py."""

    def __init__(self, flaw: str, key: RSAPrivateKey) -> None:
        self._flaw = flaw
        self._key = key

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            writer.close()
            return
        line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in lines)}
        method, target = line.split(" ")[:2]
        status, answer, body = self._answer(method, target, fields, head)
        # Nothing is left to be smuggled by whoever ends the connection.
        answer |= {} if self._flaw == "smuggling" else {"Connection": "close"}
        told = "".join(f"{name}: {value}\r\n" for name, value in answer.items())
        writer.write(f"HTTP/1.1 {status} X\r\n{told}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        if self._flaw == "smuggling":
            await reader.read()
        writer.close()

    def _answer(self, method: str, target: str, fields: Fields, head: str) -> tuple[int, Fields, bytes]:
        flaw, path = self._flaw, target.partition("?")[0]
        answer = {
            "Date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - 3600 * (flaw == "clock")))
        }
        if flaw == "server":
            answer["Server"] = "gateway/1.2.3"
        if flaw == "cross-origin":
            answer |= {
                "Access-Control-Allow-Origin": fields.get("origin", "*"),
                "Access-Control-Allow-Credentials": "true",
            }
        if flaw == "forwarded host" and "x-forwarded-host" in fields:
            answer["Location"] = f"https://{fields['x-forwarded-host']}/login"
        if flaw == "metrics" and path == "/metrics":
            return 200, {**answer, "Content-Type": "text/plain"}, b"gateway_http_requests_total 1\n"
        if path == "/jwks.json" and flaw == "confusion":
            return 200, answer, json.dumps({"keys": [self._jwk()]}).encode()
        if path == "/api/token/":
            known = {"log-in": (200, "no-store"), "stored": (401, "max-age=60")}
            status, cache = known.get(flaw, (401, "no-store"))
            return status, {**answer, "Cache-Control": cache}, b"{}"
        if flaw == "upgrade" and "upgrade" in fields:
            return 101, answer, b""
        is_double = head.lower().count("\r\nauthorization:") > 1 and flaw != "twice"
        if not is_double and self._is_let_in(method, target, fields):
            return 200, answer, head.encode("latin-1")
        return 401, {**answer, "WWW-Authenticate": "Bearer"}, b"{}"

    def _is_let_in(self, method: str, target: str, fields: Fields) -> bool:
        flaw = self._flaw
        decided = fields.get("x-original-url", target) if flaw == "misleading" else target
        if flaw in ("path", "misleading", "echo") and not decided.startswith(GUARDED):
            return not decided.startswith("/doctor-")
        if flaw == "methods" and method != "GET":
            return True
        if flaw == "health checks" and fields.get("user-agent", "").startswith("kube-probe/"):
            return True
        if flaw == "identity" and "x_user_id" in fields:
            return True
        token = fields.get("authorization", "").removeprefix("Bearer ")
        if flaw == "query":
            token = token or target.partition("access_token=")[2]
        try:
            return self._is_good(token)
        except (ValueError, KeyError, OSError):
            return False

    def _is_good(self, token: str) -> bool:
        flaw = self._flaw
        signed_part, _, signature = token.rpartition(".")
        header, claims = (json.loads(unsegment(part)) for part in signed_part.split("."))
        if flaw != "expired" and claims["exp"] < time.time():
            return False
        if flaw != "refresh" and claims["token_type"] != "access":
            return False
        algorithm = header["alg"]
        if flaw == "none" and algorithm.lower() == "none" and algorithm != "none":  # a list of what is not allowed
            return True
        if flaw == "unsigned" and not signature:
            return True
        if flaw == "signature" and signature == segment(bytes(64)):
            return True
        if flaw == "jwk" and "jwk" in header:
            return self._is_signed_by(header["jwk"], signed_part, signature)
        key = self._secret(header)
        return hmac.compare_digest(hmac.digest(key, signed_part.encode(), _DIGESTS[algorithm]), unsegment(signature))

    def _secret(self, header: dict[str, Any]) -> bytes:
        if self._flaw == "weak key":
            return b"changeme"
        if self._flaw == "kid file" and "kid" in header:
            return Path(header["kid"]).read_bytes()
        if self._flaw == "kid query" and (match := re.search("UNION SELECT '(.*?)'", header.get("kid", ""))):
            return match[1].encode()
        if self._flaw == "confusion":
            return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return SECRET

    def _jwk(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        parts = {"n": numbers.n.to_bytes(256, "big"), "e": numbers.e.to_bytes(3, "big")}
        return {"kty": "RSA", **{name: segment(number) for name, number in parts.items()}}

    def _is_signed_by(self, jwk: dict[str, str], signed_part: str, signature: str) -> bool:
        e, n = (int.from_bytes(unsegment(jwk[name]), "big") for name in ("e", "n"))
        key = RSAPublicNumbers(e, n).public_key()
        key.verify(unsegment(signature), signed_part.encode(), PKCS1v15(), SHA256())
        return True


@asynccontextmanager
async def broken_gateway(flaw: str) -> AsyncIterator[str]:
    """Its URL."""
    gateway = BrokenGateway(flaw, generate_private_key(public_exponent=65537, key_size=2048))
    async with await asyncio.start_server(gateway.serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
