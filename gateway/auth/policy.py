"""What a route asks of the user and of the method."""

from gateway.errors import Reason, Refused
from gateway.types import Access, Principal


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
