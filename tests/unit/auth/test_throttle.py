"""What failed attempts are counted of, and how long the next one waits."""

import pytest

from gateway.auth.throttle import GuessingPolicy, doubling
from gateway.http.addresses import Networks


def policy(*exempt: str) -> GuessingPolicy:
    return GuessingPolicy(
        attempts_per_user=3,
        attempts_per_address=10,
        first_wait=1,
        longest_wait=60,
        forget_after=3600,
        address_lifetime=86400,
        exempt_addresses=Networks(exempt),
    )


@pytest.mark.parametrize(
    ("first", "longest", "waits"),
    [
        (1, 60, (1, 2, 4, 8, 16, 32, 60)),
        (1, 64, (1, 2, 4, 8, 16, 32, 64)),
        (5, 5, (5,)),
        (2.5, 6, (2.5, 5, 6)),
    ],
)
def test_s52_waits_double_up_to_the_longest(first: float, longest: float, waits: tuple[float, ...]) -> None:
    assert doubling(first, longest) == waits


def test_s52_a_name_and_an_address_are_counted_each_with_what_is_free_there() -> None:
    by = policy().identify("alice", "192.0.2.1")
    of_name, of_address = policy().limits(by, is_known=False)
    assert (of_name.id, of_address.id) == (by.name, by.address)
    # The last free attempt is the one after which the next has to wait.
    assert [of_name.wait_after(failures) for failures in range(1, 12)] == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert [of_address.wait_after(failures) for failures in (1, 9, 10, 11, 16, 1000)] == [0, 0, 1, 2, 60, 60]


def test_s53_where_a_name_succeeded_before_it_is_counted_by_itself() -> None:
    by = policy().identify("alice", "192.0.2.1")
    (alone,) = policy().limits(by, is_known=True)
    assert alone.id == by.name_at_address
    assert alone.id not in (by.name, by.address)
    assert [alone.wait_after(failures) for failures in (2, 3, 4)] == [0, 1, 2]


def test_an_exempt_address_is_not_counted_the_name_is() -> None:
    some = policy("203.0.113.0/24", "2001:db8::/32")
    for address in ("203.0.113.7", "2001:db8::1", "::ffff:203.0.113.9"):
        by = some.identify("alice", address)
        assert [limit.id for limit in some.limits(by, is_known=False)] == [by.name]
    for address in ("203.0.114.7", "unknown", "", "fe80::1%eth0"):
        assert len(some.limits(some.identify("alice", address), is_known=False)) == 2


def test_s52_ids_are_of_what_is_compared() -> None:
    some = policy()
    here = some.identify("alice", "2001:db8::1")
    assert some.identify("alice", "2001:db8::ffff:1") == here
    elsewhere, other = some.identify("alice", "2001:db8:0:1::1"), some.identify("Alice", "2001:db8::1")
    assert (elsewhere.name, other.address) == (here.name, here.address)
    ids = {
        each
        for by in (here, elsewhere, other, some.identify("192.0.2.1", "192.0.2.1"))
        for each in (by.name, by.address, by.name_at_address)
    }
    assert len(ids) == 4 * 3 - 2


@pytest.mark.parametrize("login", ["", "alice", "é", "\ud800", "x" * 100_000])
def test_s83_an_id_is_a_digest_whatever_was_typed(login: str) -> None:
    by = policy().identify(login, "192.0.2.1")
    for each in (by.name, by.address, by.name_at_address):
        assert len(each) == 32
        assert b"alice" not in each
