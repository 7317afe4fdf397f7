"""`login`: where the library's clients look, and what they expect there."""

from gateway.config.sections.login import Compat
from gateway.config.sections.users import UserAttribute
from tests.unit.config.sample import parse_with, refusals


def test_defaults_are_the_librarys() -> None:
    login = parse_with().login
    assert (login.obtain_path, login.refresh_path) == ("/api/token/", "/api/token/refresh/")
    assert (login.verify_path, login.blacklist_path) == ("/api/token/verify/", "/api/token/blacklist/")
    assert (login.username_field, login.compat) == ("username", Compat.V5)
    assert not login.response_fields


def test_further_members_are_attributes_of_a_user_or_mappings_of_such() -> None:
    login = parse_with(login="{response_fields: {id: id, user: {mail: email}}}").login
    assert login.response_fields == {"id": UserAttribute.ID, "user": {"mail": UserAttribute.EMAIL}}
    (refused,) = refusals(login="{response_fields: {a: password}}")
    assert refused.startswith("login.response_fields.a: must be one of id, username, email, roles")


def test_a_version_needs_no_quotes() -> None:
    assert [parse_with(login=f"{{compat: {version}}}").login.compat for version in ("3.3", "5", "'5'")] == [
        Compat.V3_3,
        Compat.V5,
        Compat.V5,
    ]
    assert refusals(login="{compat: 4}") == ["login.compat: must be one of 5, 3.3, not `4`"]
