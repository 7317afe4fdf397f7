"""How many client connections there may be, in total and from one address."""

from dataclasses import dataclass
from typing import Final

from gateway.http.addresses import Address, Networks, group_of

NOT_COUNTED: Final = 0
"""The group of a connection that counts in the total alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapRules:
    """Connections from `exempt` carry the requests of many clients: they count in the total alone."""

    total: int
    per_address: int | None
    exempt: Networks


class ConnectionCaps:
    """Counts by address only where there is a cap on that, so the table grows no further than the total.

    Other `rules` are for connections to come: those that are open stay, and count as they were counted.
    """

    __slots__ = ("_by_group", "rules")

    def __init__(self, rules: CapRules) -> None:
        self.rules = rules
        self._by_group: dict[int, int] = {}

    def has_room(self, connections: int) -> bool:
        return connections < self.rules.total

    @property
    def total(self) -> int:
        return self.rules.total

    @property
    def share(self) -> int:
        """How many idle connections have to go at once when there is no more room."""
        return self.rules.total // 64 or 1

    def take(self, address: Address) -> int | None:
        """The group that one more connection is counted in, to be given back; None when the group is full."""
        per_address = self.rules.per_address
        if per_address is None or address in self.rules.exempt:
            return NOT_COUNTED
        group = group_of(address)
        count = self._by_group.get(group, 0)
        if count >= per_address:
            return None
        self._by_group[group] = count + 1
        return group

    def give_back(self, group: int) -> None:
        if group == NOT_COUNTED:
            return
        count = self._by_group[group] - 1
        if count:
            self._by_group[group] = count
        else:
            del self._by_group[group]
