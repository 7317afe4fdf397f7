import pytest

from gateway.auth.user_attributes import attribute_of, require_attribute
from gateway.types import User

ALICE = User(id="1", username="alice", email="alice@example.org", roles=("staff", "it"), is_active=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("id", "1"), ("username", "alice"), ("email", "alice@example.org"), ("roles", ["staff", "it"])],
)
def test_what_there_is(name: str, value: object) -> None:
    require_attribute(name)
    assert attribute_of(ALICE, name) == value


@pytest.mark.parametrize("name", ["password_hash", "is_active", "", "ID"])
def test_what_there_is_not(name: str) -> None:
    with pytest.raises(ValueError, match=r"users have no attribute .*; there are id, username, email, roles"):
        require_attribute(name)
