"""Tokens that another issuer signed, accepted on routes beside our own.

The `iss` that a token claims is read before anything is verified, and only as the key of a dictionary: it says whose
keys are tried, and nobody else's are. Then the signature decides, and `iss` and `aud` must be that issuer's. So a
foreign key never vouches for a token that claims to be ours or nobody's, nor ours for one that claims to be theirs,
whatever `kid` or algorithm its header names.

What has been verified is put into the words of our own tokens, and everything behind it (policy, identity fields,
revocation) reads one language. Only the claims that the operator named are taken over: a claim of theirs that happens
to have the name of one of ours says nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.auth.key_set import KeySet
from gateway.auth.keys import Key
from gateway.auth.verifier import JSON, MAX_TOKEN_BYTES, TokenVerifier, decoded_segment, json_object
from gateway.errors import Reason, Refused
from gateway.types import Claims


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnNames:
    """What our own tokens call these claims."""

    user_id: str
    token_type: str
    jti: str
    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """From the claims of their tokens to those of ours.

    `user_id_claim` names their user and gets `user_id_prefix` before it, so that nobody of theirs has the id of one of
    our users or of a third issuer's; `id_prefix` does the same for ids of tokens and sessions. `taken` is our name →
    their name of each further claim that counts.
    """

    own: OwnNames
    user_id_claim: str
    user_id_prefix: str
    id_prefix: str
    taken: Mapping[str, str]

    def apply(self, claims: Claims) -> Claims:
        """The claims of an access token of ours. A user id that cannot be one stays what it is, and is refused so."""
        own = self.own
        translated: dict[str, Any] = {ours: claims[theirs] for ours, theirs in self.taken.items() if theirs in claims}
        translated |= {name: claims[name] for name in ("exp", "iat") if name in claims}
        translated[own.token_type] = "access"
        translated[own.jti] = self.id_prefix + str(claims.get("jti", ""))
        session_id = claims.get("sid")
        if isinstance(session_id, str):
            translated[own.session_id] = self.id_prefix + session_id
        user_id = claims.get(self.user_id_claim)
        if user_id is not None:
            is_id = type(user_id) is int or (isinstance(user_id, str) and user_id != "")
            translated[own.user_id] = f"{self.user_id_prefix}{user_id}" if is_id else user_id
        return translated


class ForeignIssuer:
    """One issuer, and its keys as they were last fetched.

    `issuer` and `audience` are demanded of every token, `algorithms` (asymmetric) are the only ones; `header_type` is
    the `typ` of the header, when one is demanded (RFC 9068 §4). `is_local` says that its users are those of our
    directory, and are looked up there.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: tuple[str, ...],
        algorithms: tuple[str, ...],
        leeway: float,
        header_type: str | None,
        translation: Translation,
        is_local: bool,
    ) -> None:
        self.issuer = issuer
        self.algorithms = algorithms
        self.is_local = is_local
        # Called when a token names a key that nobody has seen; strangers can have it called as often as they like.
        self.on_unknown_key: Callable[[], None] = lambda: None
        self._audience = audience
        self._leeway = leeway
        self._header_type = None if header_type is None else _media_type(header_type)
        self._translation = translation
        self._keys: KeySet | None = None
        self._verifier: TokenVerifier | None = None

    @property
    def keys(self) -> KeySet | None:
        """None as long as nobody can tell what they are."""
        return self._keys

    def replace_keys(self, keys: KeySet | None) -> bool:
        """Check with these from now on. True when one of before is gone: whatever it signed must be checked again."""
        before = _fingerprints(self._keys)
        self._keys = keys
        # A new one, because it remembers the headers of good tokens with their keys.
        self._verifier = None if keys is None else self._new_verifier()
        return not before <= _fingerprints(keys)

    def _new_verifier(self) -> TokenVerifier:
        own = self._translation.own
        return TokenVerifier(
            keyring=self,
            leeway=self._leeway,
            audience=self._audience,
            issuer=self.issuer,
            user_id_claim=own.user_id,
            token_type_claim=own.token_type,
            jti_claim="jti",
            session_claim="sid",
        )

    def decode(self, token: bytes, now: float) -> Claims:
        """The claims, in the words of our own access tokens.

        Raises `Refused`: ISSUER_UNAVAILABLE without keys; TOKEN_INVALID, TOKEN_EXPIRED as the verifier;
        TOKEN_WRONG_TYPE for what is signed by the same keys and is no access token.
        """
        if self._verifier is None:
            raise Refused(Reason.ISSUER_UNAVAILABLE)
        claims = self._verifier.decode(token, now)
        self._require_access(token, claims)
        return self._translation.apply(claims)

    def _require_access(self, token: bytes, claims: Claims) -> None:
        """Checklist 37: SimpleJWT's refresh tokens have the same claims, and an OpenID provider signs ID tokens."""
        kind = claims.get(self._translation.own.token_type, "access")
        if kind != "access" and str(kind).lower() != "bearer":
            raise Refused(Reason.TOKEN_WRONG_TYPE)
        if self._header_type is not None:
            named = json_object(decoded_segment(token.partition(b".")[0])).get("typ")
            if not isinstance(named, str) or _media_type(named) != self._header_type:
                raise Refused(Reason.TOKEN_WRONG_TYPE)

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """For the verifier: the key of a token header. One that is not there may have been published since."""
        key = None if self._keys is None else self._keys.find(kid, algorithm)
        if key is None and algorithm in self.algorithms:
            self.on_unknown_key()
        return key


class ForeignIssuers:
    """All of them, by the `iss` of their tokens; no two have the same."""

    def __init__(self, issuers: Iterable[ForeignIssuer]) -> None:
        self._by_issuer = {issuer.issuer: issuer for issuer in issuers}
        self._needles = tuple(issuer.encode() for issuer in self._by_issuer)

    def find(self, token: bytes) -> ForeignIssuer | None:
        """Whose keys alone are to be tried; None: ours. Nothing is verified yet, so it may be called with anything."""
        if len(token) > MAX_TOKEN_BYTES:
            return None
        try:
            payload = decoded_segment(token.split(b".", 2)[1])
            # Our own tokens hold none of the names, and need not be parsed twice. A backslash could spell one.
            if not any(needle in payload for needle in self._needles) and b"\\" not in payload:
                return None
            # Without the verifier's look into all of the tree, for which any stranger could make us pay 0.5 ms.
            issuer = JSON.decode(payload.decode("utf-8"))["iss"]
        except Exception:
            return None  # whatever this is, the verifier of our own tokens refuses it
        return self._by_issuer.get(issuer) if isinstance(issuer, str) else None


def _fingerprints(keys: KeySet | None) -> frozenset[tuple[str | None, str, str]]:
    return frozenset() if keys is None else keys.fingerprints


def _media_type(text: str) -> str:
    """RFC 7515 §4.1.9: case does not count, and `application/` may be left out."""
    return text.lower().removeprefix("application/")
