"""The three configurations in which both servers are compared."""

from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.conformance.pairs import Variant

AUDIENCE: Final = ["web", "mobile"]
ISSUER: Final = "https://login.example.org"

DEFAULT: Final = Variant(simple_jwt={}, gateway={})

ROTATING: Final = Variant(
    simple_jwt={"ROTATE_REFRESH_TOKENS": True, "BLACKLIST_AFTER_ROTATION": True},
    gateway={"tokens": {"rotate_refresh_tokens": True}, "sessions": {"rotation_grace": "0s"}},
)


def public_pem(key: rsa.RSAPrivateKey) -> str:
    encoded = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode()


def customised(key: rsa.RSAPrivateKey) -> Variant:
    """All that applications usually change, at once, signed with this key."""
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return Variant(
        signing_key=private,
        simple_jwt={
            "ALGORITHM": "RS256",
            "SIGNING_KEY": private,
            "VERIFYING_KEY": public_pem(key),
            "ACCESS_TOKEN_LIFETIME": 60,
            "REFRESH_TOKEN_LIFETIME": 3600,
            "AUDIENCE": AUDIENCE,
            "ISSUER": ISSUER,
            "LEEWAY": 30,
            "AUTH_HEADER_TYPES": ["JWT", "Bearer"],
            "AUTH_HEADER_NAME": "HTTP_X_ACCESS_TOKEN",
            "USER_ID_CLAIM": "uid",
            "TOKEN_TYPE_CLAIM": "typ",
            "JTI_CLAIM": "tid",
            "TOKEN_OBTAIN_SERIALIZER": "reference.email_login.EmailTokenObtainPairSerializer",
        },
        gateway={
            "tokens": {
                "algorithm": "RS256",
                "access_lifetime": "60s",
                "refresh_lifetime": "1h",
                "audience": AUDIENCE,
                "issuer": ISSUER,
                "leeway": "30s",
                "claims": {"user_id": "uid", "token_type": "typ", "jti": "tid", "extra": {"name": "username"}},
            },
            "bearer": {"field_name": "X-Access-Token", "schemes": ["JWT", "Bearer"]},
            "login": {
                "username_field": "email",
                "response_fields": {"user": {"id": "id", "username": "username"}},
            },
        },
    )
