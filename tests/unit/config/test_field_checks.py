"""Names for the field of the token and for identity fields: none that means something else to anybody."""

import pytest

from gateway.http.fields import FORWARDING, HOP_BY_HOP
from tests.unit.config.sample import refusals


def paths(sentences: list[str]) -> list[str]:
    return [sentence.split(": ")[0] for sentence in sentences]


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "Host", "Cookie", "Set-Cookie", "Content-Length", "Content-Type", "Transfer-Encoding", "Connection",
        "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate", "TE", "Trailer", "Upgrade", "Expect",
        "HTTP2-Settings", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Anything", "Forwarded", "X-Real-IP",
        "X-Request-Id", "X-Gateway-Client-Address", "X-User-Id",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "spell", [str, str.lower, lambda name: name.replace("-", "_"), lambda name: name.replace("-", ".")]
)
def test_s89_identity_fields_with_another_meaning_are_refused(name: str, spell: type[str]) -> None:
    written = spell(name)
    (sentence,) = refusals(identity=f"{{fields: {{'{written}': email, X-Fine: email}}}}")
    assert written in sentence.split(": ", 1)[0]
    assert sentence.endswith("; choose another field name")


@pytest.mark.parametrize("name", sorted(name.decode() for name in HOP_BY_HOP | FORWARDING))
def test_s89_no_field_that_the_data_plane_drops_is_the_tokens_or_an_identity(name: str) -> None:
    written = name.replace("_", "-").title()
    assert paths(refusals(identity=f"{{fields: {{'{written}': email}}}}")) == [f"identity.fields.{written}"]
    assert paths(refusals(bearer=f"{{field_name: '{written}'}}")) == ["bearer.field_name"]


@pytest.mark.parametrize("other", ["X_Mail", "x-mail", "X.MAIL", "X~Mail"])
def test_s1_identity_fields_that_back_ends_fold_together_are_refused(other: str) -> None:
    (sentence,) = refusals(identity=f"{{fields: {{X-Mail: email, '{other}': username}}}}")
    assert f"`{other}` is the same as `X-Mail` to back ends" in sentence


def test_s89_the_field_of_the_token_is_no_identity_field() -> None:
    (sentence,) = refusals(bearer="{field_name: X-Access-Token}", identity="{fields: {x_access_token: email}}")
    assert sentence.startswith("identity.fields.x_access_token: `x_access_token` is where the token is")


def test_identity_fields_that_could_not_be_read_are_one_problem_each() -> None:
    assert sorted(paths(refusals(identity="{fields: {Host: [], 'X Y': email}}", bearer="{field_name: }"))) == [
        "bearer.field_name",
        "identity.fields.Host",
        'identity.fields["X Y"]',
    ]


@pytest.mark.parametrize(
    "name", ["Host", "cookie", "Proxy-Authorization", "X-Forwarded-For", "X-Request-Id", "X_User_Id"]
)
def test_s40_the_token_is_not_read_from_a_field_with_another_meaning(name: str) -> None:
    assert refusals(bearer=f"{{field_name: {name}}}") == [
        f"bearer.field_name: cannot be `{name}`, which has a meaning of its own; use Authorization"
    ]
    assert refusals(bearer="{field_name: X-Access-Token}") == []
    assert paths(refusals(bearer="{field_name: 'a b'}")) == ["bearer.field_name"]
