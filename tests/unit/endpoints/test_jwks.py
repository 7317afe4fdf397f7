from collections.abc import Callable, Mapping

import pytest

from tests.unit.endpoints.plane import EVERY_ANSWER, Answer, Plane

PATH = "/.well-known/jwks.json"
JWKS = {"keys": [{"kid": "a", "use": "sig", "alg": "EdDSA", "kty": "OKP", "crv": "Ed25519", "x": "AA"}]}


def ask(plane: Plane, method: str = "GET", path: str = PATH, fields: Mapping[str, str] | None = None) -> Answer:
    return plane.run(plane.exchange(method, path, None, fields))


def test_s45_anybody_gets_the_keys_and_may_keep_them_for_a_while(make_plane: Callable[..., Plane]) -> None:
    answer = ask(make_plane(jwks=JWKS))
    assert (answer.status, answer.json) == (200, JWKS)
    expected = {**EVERY_ANSWER, "Cache-Control": "public, max-age=300"}
    assert {name: answer.fields.get(name) for name in expected} == expected
    assert "Server" not in answer.fields


@pytest.mark.parametrize("fields", [{"Authorization": "Bearer x"}, {"Accept": "text/plain"}])
def test_neither_a_bad_token_nor_another_type_changes_that(
    make_plane: Callable[..., Plane], fields: dict[str, str]
) -> None:
    assert ask(make_plane(jwks=JWKS), fields=fields).json == JWKS


def test_head_is_get_without_the_body(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(jwks=JWKS)
    got, head = ask(plane), ask(plane, "HEAD")
    assert (head.status, head.content) == (200, b"")
    assert head.fields["Content-Length"] == str(len(got.content))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused_and_not_kept(make_plane: Callable[..., Plane], method: str) -> None:
    answer = ask(make_plane(jwks=JWKS), method)
    assert (answer.status, answer.json) == (405, {"detail": f'Method "{method}" not allowed.'})
    assert answer.fields["Allow"] == "GET, HEAD"
    assert answer.fields["Cache-Control"] == "no-store"


def test_without_keys_there_is_nothing(plane: Plane) -> None:
    answer = ask(plane)
    assert answer.status == 404
    assert answer.fields["Cache-Control"] == "no-store"


def test_the_path_is_configurable(make_plane: Callable[..., Plane]) -> None:
    plane = make_plane(jwks=JWKS, jwks_path="/keys/")
    assert ask(plane, path="/keys").json == ask(plane, path="/keys/").json == JWKS
    assert ask(plane).status == 404
