"""`tokens` and `bearer`: the library's defaults, and keys that stand in no file."""

import pytest

from gateway.auth.keys import generate_key
from gateway.config.sections.tokens import Algorithm, Tokens
from gateway.types import Secret
from tests.unit.config.sample import OUTSIDE, parse_with, refusals


def test_defaults_are_the_librarys() -> None:
    tokens = parse_with().tokens
    assert tokens == Tokens(signing_key=Secret(OUTSIDE["KEY"]))
    assert (tokens.algorithm, tokens.access_lifetime, tokens.refresh_lifetime) == (Algorithm.HS256, 300, 86400)
    assert (tokens.rotate_refresh_tokens, tokens.leeway, tokens.audience, tokens.issuer) == (False, 0, (), None)
    assert (tokens.kid, tokens.further_keys) == (None, ())
    assert (tokens.claims.user_id, tokens.claims.token_type, tokens.claims.jti) == ("user_id", "token_type", "jti")


def test_s88_a_key_is_hidden_and_never_in_the_file() -> None:
    assert OUTSIDE["KEY"] not in repr(parse_with())
    (refused,) = refusals(tokens="{signing_key: written-down}")
    assert refused.startswith("tokens.signing_key: must not stand in this file")
    assert "written-down" not in refused


@pytest.mark.parametrize("algorithm", Algorithm)
def test_every_algorithm_has_keys(algorithm: Algorithm) -> None:
    assert generate_key(algorithm)


def test_s44_leeway_is_a_minute_at_most() -> None:
    assert parse_with(tokens="{signing_key: {env: KEY}, leeway: 60s}").tokens.leeway == 60
    assert refusals(tokens="{signing_key: {env: KEY}, leeway: 61s}")[0].startswith("tokens.leeway: must be")


@pytest.mark.parametrize("key", ["access_lifetime", "refresh_lifetime"])
def test_a_token_lives_a_second_at_least(key: str) -> None:
    assert refusals(tokens=f"{{signing_key: {{env: KEY}}, {key}: 999ms}}")[0].startswith(f"tokens.{key}: must be")


def test_a_token_comes_in_the_usual_field_by_default() -> None:
    bearer = parse_with().bearer
    assert (bearer.field_name, bearer.schemes, bearer.realm) == ("Authorization", ("Bearer",), "api")
    assert refusals(bearer="{schemes: []}") == ["bearer.schemes: must have at least 1 entry"]
    assert refusals(bearer="{realm: 'a\"b'}")[0].startswith("bearer.realm: must be visible ASCII")
