"""The real djangorestframework-simplejwt in a process of its own, so that Django's settings stay out of ours.

`python simplejwt_library.py` is that process: it reads one JSON command a line and answers one line. Its clock stands
still at the command's `now`.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

if TYPE_CHECKING:  # the library's process runs without our package
    from gateway.auth.keyring import Keyring


def library_keys(keyring: "Keyring") -> dict[str, str]:
    """The same algorithm and keys as keyword arguments of `TokenBackend`."""
    key = keyring.active
    signing, verifying = key.signing_key, key.verifying_key
    assert signing is not None
    if isinstance(signing, bytes) or isinstance(verifying, bytes):
        return {"algorithm": key.algorithm, "signing_key": signing.decode()}
    private = signing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = verifying.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return {"algorithm": key.algorithm, "signing_key": private.decode(), "verifying_key": public.decode()}


class SimpleJwtLibrary:
    """Asks the library. Keyword arguments are those of its `TokenBackend`."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def close(self) -> None:
        self._process.communicate(timeout=10)

    def read(self, tokens: Iterable[bytes], *, kind: str, now: float, **backend: Any) -> list[str]:
        """For each token "ok", the library's text, or "500 " and the name of the exception that it dies of."""
        encoded = [base64.b64encode(token).decode() for token in tokens]
        answer: list[str] = self._ask(command="read", tokens=encoded, kind=kind, now=now, backend=backend)
        return answer

    def encode(self, claims: Mapping[str, Any], **backend: Any) -> str:
        """The token that the library makes of these claims."""
        answer: str = self._ask(command="encode", claims=claims, now=0, backend=backend)
        return answer

    def issue(self, user_id: object, *, now: float, **backend: Any) -> dict[str, str]:
        """What log-in gives: `refresh` and `access`."""
        answer: dict[str, str] = self._ask(command="issue", user_id=user_id, now=now, backend=backend)
        return answer

    def refresh(self, token: str, *, now: float, **backend: Any) -> dict[str, str]:
        """What refresh with rotation gives: `access` and the `refresh` token's successor."""
        answer: dict[str, str] = self._ask(command="refresh", token=token, now=now, backend=backend)
        return answer

    def _ask(self, **command: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def _serve() -> None:
    import datetime

    import django
    from django.conf import settings

    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "rest_framework_simplejwt"],
        SECRET_KEY="unused",
        USE_TZ=True,
    )
    django.setup()
    import jwt.api_jwt
    from rest_framework_simplejwt import tokens as library
    from rest_framework_simplejwt.backends import TokenBackend
    from rest_framework_simplejwt.exceptions import TokenError

    clock = {"now": 0.0}

    class FrozenDateTime(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return datetime.datetime.fromtimestamp(clock["now"], tz)

    jwt.api_jwt.datetime = FrozenDateTime
    library.aware_utcnow = lambda: FrozenDateTime.now(datetime.UTC)
    kinds = {"access": library.AccessToken, "refresh": library.RefreshToken, "any": library.UntypedToken}

    def read(kind: str, token: str) -> str:
        try:
            kinds[kind](base64.b64decode(token))
        except TokenError as error:
            return str(error)
        except Exception as error:
            return f"500 {type(error).__name__}"
        return "ok"

    def answer(command: dict[str, Any]) -> Any:
        clock["now"] = command["now"]
        backend = TokenBackend(**command["backend"])
        library.Token._token_backend = backend
        match command["command"]:
            case "read":
                return [read(command["kind"], token) for token in command["tokens"]]
            case "encode":
                return backend.encode(command["claims"])
            case "issue":
                token = library.RefreshToken()
                token["user_id"] = command["user_id"]
            case "refresh":
                token = library.RefreshToken(command["token"].encode())
        issued = {"access": str(token.access_token)}
        if command["command"] == "refresh":
            token.set_jti()
            token.set_exp()
            token.set_iat()
        return {"refresh": str(token), **issued}

    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    _serve()
