"""What a route asks of the user and of the method, and what every token asks of its user."""

from gateway.errors import Reason, Refused
from gateway.types import Access, IssuedToken, Principal, User


class RoutePolicy:
    """One route's rules; methods and roles None mean any.

    `reads_token` is false on public routes alone. `is_stateless` leaves the user directory out.
    """

    __slots__ = ("_methods", "_requires_token", "_roles", "is_stateless", "reads_token")

    def __init__(
        self,
        *,
        access: Access,
        methods: frozenset[str] | None = None,
        roles: frozenset[str] | None = None,
        is_stateless: bool = False,
    ) -> None:
        self.reads_token = access is not Access.PUBLIC
        self.is_stateless = is_stateless
        self._requires_token = access is Access.REQUIRED
        self._methods = methods
        self._roles = roles

    @property
    def allowed_methods(self) -> frozenset[str] | None:
        return self._methods

    def authorize(self, principal: Principal | None, method: str) -> None:
        """Raises `Refused`: NOT_AUTHENTICATED, then METHOD_NOT_ALLOWED, then PERMISSION_DENIED, in DRF's order.

        A route with roles needs a user even where anonymous may pass without: nobody has no role.
        """
        if principal is None and self._requires_token:
            raise Refused(Reason.NOT_AUTHENTICATED)
        if self._methods is not None and method not in self._methods:
            raise Refused(Reason.METHOD_NOT_ALLOWED)
        if self._roles is not None:
            if principal is None:
                raise Refused(Reason.NOT_AUTHENTICATED)
            if principal.roles.isdisjoint(self._roles):
                raise Refused(Reason.PERMISSION_DENIED)


def require_user(token: IssuedToken, user: User | None) -> User:
    """The token's user, if he is still the one to whom it was issued.

    Raises `Refused`: USER_NOT_FOUND, USER_INACTIVE; PASSWORD_CHANGED for a token from before the present password,
    TOKEN_OUTDATED for one whose claims may say of him what is no longer so: a refresh gives a better one.
    """
    if user is None:
        raise Refused(Reason.USER_NOT_FOUND)
    if not user.is_active:
        raise Refused(Reason.USER_INACTIVE)
    if 0 < user.credentials_changed_at >= token.issued_at:
        raise Refused(Reason.PASSWORD_CHANGED)
    if 0 < user.claims_changed_at >= token.issued_at:
        raise Refused(Reason.TOKEN_OUTDATED)
    return user
