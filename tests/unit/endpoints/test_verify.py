"""Contract §5."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.endpoints.plane import NOW, Plane

BLACKLISTED = b'{"non_field_errors":["Token is blacklisted"]}'


@pytest.mark.parametrize(
    "claims",
    [
        {"token_type": "access"},
        {"token_type": "refresh"},
        {"token_type": "sliding"},
        {"token_type": "anything"},
        {"without": "token_type"},
        {"user_id": "999"},
        {"user_id": "abc"},
        {"without": "user_id"},
    ],
)
def test_any_good_token(plane: Plane, claims: dict[str, Any]) -> None:
    answer = plane.ask("verify/", {"token": plane.token(**claims)})
    assert (answer.status, answer.content) == (200, b"{}")


@pytest.mark.parametrize(
    ("claims", "text"),
    [
        ({"exp": NOW}, "Token is expired"),
        ({"key": "x" * 43}, "Token is invalid"),
        ({"iat": NOW + 60}, "Token is invalid"),
        ({"without": "exp"}, "Token has no 'exp' claim"),
        ({"without": "jti"}, "Token has no id"),
    ],
)
def test_bad_tokens(plane: Plane, claims: dict[str, Any], text: str) -> None:
    answer = plane.ask("verify/", {"token": plane.token(**claims)})
    assert (answer.status, answer.json) == (401, {"detail": text, "code": "token_not_valid"})
    assert answer.challenge == 'Bearer realm="api"'


def test_without_rotation_the_blacklist_is_not_asked(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane()
    refresh = plane.login()["refresh"]
    assert plane.ask("blacklist/", {"refresh": refresh}).status == 200
    assert plane.ask("verify/", {"token": refresh}).status == 200
    plane.run(plane.file.close())
    assert plane.ask("verify/", {"token": refresh}).status == 200


def test_with_rotation_it_is_and_answers_400(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(rotates=True)
    pair = plane.login()
    plane.ask("refresh/", {"refresh": pair["refresh"]})
    answer = plane.ask("verify/", {"token": pair["refresh"]})
    assert (answer.status, answer.content, answer.challenge) == (400, BLACKLISTED, None)
    assert plane.ask("verify/", {"token": pair["access"]}).status == 200


def test_with_rotation_a_token_of_an_ended_session_is_blacklisted_too(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(rotates=True)
    pair = plane.login()
    assert plane.ask("blacklist/", {"refresh": pair["refresh"]}).status == 200
    assert plane.ask("verify/", {"token": pair["access"]}).content == BLACKLISTED


def test_with_rotation_other_faults_come_first(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(rotates=True)
    jti = "0" * 32
    assert plane.ask("blacklist/", {"refresh": plane.token(jti=jti)}).status == 200
    assert plane.ask("verify/", {"token": plane.token("access", jti=jti)}).content == BLACKLISTED
    assert plane.ask("verify/", {"token": plane.token(jti=jti, without="exp")}).status == 401


@pytest.mark.parametrize("content", [{}, {"refresh": "x"}])
def test_fields(plane: Plane, content: object) -> None:
    answer = plane.ask("verify/", content)
    assert (answer.status, answer.json) == (400, {"token": ["This field is required."]})
