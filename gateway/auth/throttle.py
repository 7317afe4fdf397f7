"""How often passwords may be guessed: what failed attempts are counted of, and how long the next one has to wait.

Three counts. Of the *name*, whoever tries it and whether there is such a user or not, so that the answer tells nobody
which names exist. Of the *address*, whatever it tries, so that one machine cannot go through many names; more is free
there, since a whole office may share an address. And of a *name at an address where it succeeded before*: that is
counted by itself and waits for nothing else, so that strangers who fail with a name keep its user waiting nowhere but
at places that are new to him. Such a place is no free pass: what fails there has to wait as it does everywhere.

Waits double. A script gets as many passwords an hour as a person who has forgotten his; nobody is locked for good.
"""

import hashlib
from dataclasses import dataclass

from gateway.http.addresses import Networks, client_group, parse_address
from gateway.types import AttemptLimit


@dataclass(frozen=True, slots=True, kw_only=True)
class Presenter:
    """Who presents a password, in digests: a store is to hold neither what strangers typed nor their addresses."""

    name: bytes
    address: bytes
    name_at_address: bytes
    is_exempt: bool  # many people's address: nothing is counted of it


class GuessingPolicy:
    """`attempts_per_…` failures are free, but for the wait of `first_wait` after the last of them; times are seconds.

    Failures are forgotten `forget_after` the last one, an address `address_lifetime` after a name succeeded there.
    """

    def __init__(
        self,
        *,
        attempts_per_user: int,
        attempts_per_address: int,
        first_wait: float,
        longest_wait: float,
        forget_after: float,
        address_lifetime: float,
        exempt_addresses: Networks,
    ) -> None:
        self._free_per_user = attempts_per_user - 1
        self._free_per_address = attempts_per_address - 1
        self._waits = doubling(first_wait, longest_wait)
        self._exempt = exempt_addresses
        self.forget_after = forget_after
        self.address_lifetime = address_lifetime

    def identify(self, login: str, address: str) -> Presenter:
        """`login` is the name as it is compared, `address` the client's, whatever it looks like."""
        # Inside of one /64 an attacker has as many addresses as he likes.
        group = str(client_group(address))
        return Presenter(
            name=_digest("name", login),
            address=_digest("address", group),
            name_at_address=_digest("name at address", group, login),
            is_exempt=bool(self._exempt) and self._is_exempt(address),
        )

    def limits(self, presenter: Presenter, *, is_known: bool) -> tuple[AttemptLimit, ...]:
        """What an attempt is counted of; `is_known`: the name succeeded at this address before."""
        free = self._free_per_user
        if is_known:
            return (AttemptLimit(id=presenter.name_at_address, free=free, waits=self._waits),)
        of_name = AttemptLimit(id=presenter.name, free=free, waits=self._waits)
        if presenter.is_exempt:
            return (of_name,)
        return of_name, AttemptLimit(id=presenter.address, free=self._free_per_address, waits=self._waits)

    def _is_exempt(self, address: str) -> bool:
        try:
            return parse_address(address) in self._exempt
        except ValueError:
            return False


def doubling(first: float, longest: float) -> tuple[float, ...]:
    """`first`, twice that, and so on, up to `longest`, which is the last."""
    waits = [first]
    while waits[-1] < longest:
        waits.append(min(waits[-1] * 2, longest))
    return tuple(waits)


def _digest(kind: str, *texts: str) -> bytes:
    """No text holds a NUL that could be taken for the one between them: fields of a log-in are refused with it."""
    return hashlib.sha256("\0".join((kind, *texts)).encode("utf-8", "surrogatepass")).digest()
