"""What must be said of an issuer, and what a mistake in it is."""

import pytest

from gateway.config.sections.foreign_issuers import ForeignClaims, ForeignUsers
from tests.unit.config.sample import parse_with, refusals

LEAST = {"issuer": "'https://i/'", "audience": "[a]", "jwks_url": "'https://i/keys'"}


def entry(**changes: str) -> str:
    values = {name: value for name, value in {**LEAST, **changes}.items() if value}
    return f"{{{', '.join(f'{name}: {value}' for name, value in values.items())}}}"


def test_users_are_its_own_and_have_no_roles_unless_the_operator_says_so() -> None:
    one = parse_with(foreign_issuers=f"{{corp: {entry()}}}").foreign_issuers["corp"]
    assert one.users is ForeignUsers.PREFIXED
    assert one.claims == ForeignClaims(user_id="sub", roles=None, extra={})
    assert (one.algorithms, one.max_key_age) == (("RS256", "ES256"), 86400)


@pytest.mark.parametrize("missing", LEAST)
def test_issuer_audience_and_keys_are_required(missing: str) -> None:
    (message,) = refusals(foreign_issuers=f"{{corp: {entry(**{missing: ''})}}}")
    assert missing in message


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"audience": "[]"}, "audience"),
        ({"algorithms": "[]"}, "algorithms"),
        ({"algorithms": "[HS256]"}, "algorithms[0]"),
        ({"algorithms": "[none]"}, "algorithms[0]"),
        ({"jwks_url": "'http://127.0.0.1/keys'"}, "jwks_url"),
        ({"max_key_age": "1s"}, "max_key_age"),
        ({"users": "any"}, "users"),
    ],
)
def test_s30_what_would_weaken_it_is_refused(changes: dict[str, str], path: str) -> None:
    (message,) = refusals(foreign_issuers=f"{{corp: {entry(**changes)}}}")
    assert message.startswith(f"foreign_issuers.corp.{path}: ")


def test_a_name_cannot_hold_what_parts_it_from_the_id() -> None:
    (message,) = refusals(foreign_issuers=f"{{'a:b': {entry()}}}")
    assert "must be 1 to 64 letters" in message
