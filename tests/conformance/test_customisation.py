"""Names, algorithm, audience, issuer, leeway and log-in field other than the defaults, the same on both sides."""

import functools
import json
import time
import uuid
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.conformance.case import (
    ACCEPTED,
    ACCESS,
    ISSUED,
    REQUIRED,
    Expected,
    endpoint_fault,
    hello,
    invalid_fields,
)
from tests.conformance.forging import HEADER, MISSING, segment, sign, unsegment
from tests.conformance.observation import Dialect, Observation, ask
from tests.conformance.pairs import Pair
from tests.conformance.variants import AUDIENCE, ISSUER, public_pem
from tests.conformance.wire import exchange, post_json, request

CHALLENGE = 'JWT realm="api"'
ALICE = {"email": "alice@example.org", "password": "alice-pass-1"}


def _challenged(expected: Expected) -> Expected:
    return Expected(status=expected.status, body=expected.body, challenge=CHALLENGE)


INVALID = _challenged(endpoint_fault("Token is invalid"))
EXPIRED = _challenged(endpoint_fault("Token is expired"))
NO_TYPE = _challenged(endpoint_fault("Token has no type"))
WRONG_TYPE = _challenged(endpoint_fault("Token has wrong type"))
ANONYMOUS = Expected(status=401, body={"detail": "Authentication credentials were not provided."}, challenge=CHALLENGE)


def _sign_rs256(key: rsa.RSAPrivateKey, signed: bytes) -> bytes:
    return key.sign(signed, padding.PKCS1v15(), hashes.SHA256())


def _is_signed(encoded: str, *, key: rsa.RSAPrivateKey) -> bool:
    signed, _, signature = encoded.rpartition(".")
    try:
        key.public_key().verify(unsegment(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True


class Customised:
    """The pair, and tokens in its dialect."""

    def __init__(self, pair: Pair, key: rsa.RSAPrivateKey) -> None:
        self.servers = pair.servers
        self._key = key
        self._dialect = Dialect(is_signed=functools.partial(_is_signed, key=key), jti="tid")

    def token(self, kind: str, **changes: Any) -> str:
        now = int(time.time())
        usual = {"typ": kind, "exp": now + 600, "iat": now, "tid": uuid.uuid4().hex, "uid": "1", "aud": AUDIENCE}
        claims = {**usual, "iss": ISSUER, **changes}
        payload = json.dumps({name: value for name, value in claims.items() if value is not MISSING}).encode()
        signed = segment(json.dumps({**HEADER, "alg": "RS256"}).encode()) + b"." + segment(payload)
        return (signed + b"." + segment(_sign_rs256(self._key, signed))).decode()

    def public_key_as_hmac_secret(self) -> str:
        """The classic confusion: HS256 with the text of the public key as its secret."""
        claims = json.loads(unsegment(self.token("access").split(".")[1]))
        return sign(json.dumps(HEADER).encode(), json.dumps(claims).encode(), key=public_pem(self._key)).decode()

    def agreed(self, sent: bytes) -> Observation:
        library, gateway = (ask(server.port, sent, self._dialect) for server in self.servers)
        assert gateway == library
        return gateway


@pytest.fixture
def customised(customised_pair: Pair, rsa_key: rsa.RSAPrivateKey) -> Customised:
    return Customised(customised_pair, rsa_key)


def _refresh(encoded: str) -> bytes:
    return post_json(b"/api/token/refresh/", {"refresh": encoded})


def _view(*fields: str) -> bytes:
    return request(b"GET", b"/api/hello/", *(field.encode() for field in fields))


def test_log_in_by_email_with_more_claims_and_a_richer_answer(customised: Customised) -> None:
    seen = customised.agreed(post_json(b"/api/token/", ALICE))
    user = {"id": "1", "username": "alice"}
    assert seen.answer == Expected(status=200, body={"refresh": ISSUED, "access": ISSUED, "user": user})
    tokens = dict(seen.tokens)
    assert (tokens["access"].lifetime, tokens["refresh"].lifetime) == (60, 3600)
    assert dict(tokens["access"].claims) == {
        "typ": "access",
        "exp": "<exp>",
        "iat": "<iat>",
        "tid": "<jti>",
        "uid": "1",
        "name": "alice",
        "aud": AUDIENCE,
        "iss": ISSUER,
    }


def test_login_errors_stand_under_the_configured_field(customised: Customised) -> None:
    expected = invalid_fields(email=REQUIRED)
    sent = post_json(b"/api/token/", {"username": "alice", "password": "alice-pass-1"})
    assert customised.agreed(sent).answer == expected


def test_wrong_password_is_challenged_with_the_first_scheme(customised: Customised) -> None:
    seen = customised.agreed(post_json(b"/api/token/", {**ALICE, "password": "wrong"}))
    assert (seen.answer.status, seen.answer.challenge) == (401, CHALLENGE)


@pytest.mark.parametrize("scheme", ["JWT", "Bearer"])
def test_both_schemes_pass_in_the_configured_field(customised: Customised, scheme: str) -> None:
    access = customised.token("access")
    assert customised.agreed(_view(f"X-Access-Token: {scheme} {access}")).answer == hello("1")


def test_authorization_is_not_the_configured_field(customised: Customised) -> None:
    access = customised.token("access")
    assert customised.agreed(_view(f"Authorization: Bearer {access}")).answer == ANONYMOUS
    assert customised.agreed(_view(f"X-Access-Token: Token {access}")).answer == ANONYMOUS


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, ACCESS, id="good"),
        pytest.param({"aud": "web"}, ACCESS, id="aud-one-of-ours"),
        pytest.param({"aud": ["other", "mobile"]}, ACCESS, id="aud-list-with-one-of-ours"),
        pytest.param({"aud": "other"}, INVALID, id="aud-other"),
        pytest.param({"aud": []}, INVALID, id="aud-empty"),
        pytest.param({"aud": MISSING}, INVALID, id="aud-missing"),
        pytest.param({"aud": None}, INVALID, id="aud-null"),
        pytest.param({"aud": 1}, INVALID, id="aud-number"),
        pytest.param({"iss": "https://other.example.org"}, INVALID, id="iss-other"),
        pytest.param({"iss": ISSUER + "/"}, INVALID, id="iss-with-slash"),
        pytest.param({"iss": MISSING}, INVALID, id="iss-missing"),
        pytest.param({"iss": [ISSUER]}, INVALID, id="iss-list"),
        pytest.param({"typ": MISSING}, NO_TYPE, id="type-missing"),
        pytest.param({"typ": MISSING, "token_type": "refresh"}, NO_TYPE, id="type-under-default-name"),
        pytest.param({"typ": "access"}, WRONG_TYPE, id="type-other"),
        pytest.param({"user_id": "2"}, ACCESS, id="user-under-the-default-name"),
    ],
)  # fmt: skip
def test_refresh(customised: Customised, changes: dict[str, Any], expected: Expected) -> None:
    assert customised.agreed(_refresh(customised.token("refresh", **changes))).answer == expected


@pytest.mark.parametrize(
    ("offset", "expected"), [(-20, ACCEPTED), (-40, EXPIRED)], ids=["inside the leeway", "outside the leeway"]
)
def test_leeway_on_expiry(customised: Customised, offset: int, expected: Expected) -> None:
    sent = post_json(b"/api/token/verify/", {"token": customised.token("access", exp=int(time.time()) + offset)})
    assert customised.agreed(sent).answer == expected


@pytest.mark.parametrize("claim", ["iat", "nbf"])
@pytest.mark.parametrize(
    ("offset", "expected"), [(20, ACCEPTED), (60, INVALID)], ids=["inside the leeway", "outside the leeway"]
)
def test_leeway_on_the_beginning(customised: Customised, claim: str, offset: int, expected: Expected) -> None:
    sent = post_json(b"/api/token/verify/", {"token": customised.token("access", **{claim: int(time.time()) + offset})})
    assert customised.agreed(sent).answer == expected


def test_s30_public_key_is_no_hmac_secret(customised: Customised) -> None:
    sent = post_json(b"/api/token/verify/", {"token": customised.public_key_as_hmac_secret()})
    assert customised.agreed(sent).answer == INVALID


def test_tokens_of_one_server_are_good_at_the_other(customised: Customised) -> None:
    for issuing, reading in (customised.servers, customised.servers[::-1]):
        tokens = exchange(issuing.port, post_json(b"/api/token/", ALICE)).json()
        seen = ask(reading.port, _view(f"X-Access-Token: JWT {tokens['access']}"))
        assert seen.answer == hello("1"), reading.name
        renewed = exchange(reading.port, _refresh(tokens["refresh"])).json()["access"]
        assert ask(issuing.port, _view(f"X-Access-Token: JWT {renewed}")).answer == hello("1"), reading.name
