"""What of a user goes by a name of the configuration, into claims and into the answer to a log-in."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.types import User

_ATTRIBUTES: Final[Mapping[str, Callable[[User], Any]]] = {
    "id": lambda user: user.id,
    "username": lambda user: user.username,
    "email": lambda user: user.email,
    "roles": lambda user: list(user.roles),
}


def require_attribute(name: str) -> None:
    """Raises `ValueError` for a name that is none, so that it shows at the start and not at the first log-in."""
    if name not in _ATTRIBUTES:
        raise ValueError(f"users have no attribute {name!r}; there are {', '.join(_ATTRIBUTES)}")


def attribute_of(user: User, name: str) -> Any:
    """As JSON has it."""
    return _ATTRIBUTES[name](user)
