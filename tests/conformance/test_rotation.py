"""Refresh tokens that are good once: ROTATE_REFRESH_TOKENS with BLACKLIST_AFTER_ROTATION."""

from tests.conformance.case import ACCEPTED, ISSUED, Expected, endpoint_fault, hello, view_fault
from tests.conformance.forging import NOW, token
from tests.conformance.observation import Observation, ask
from tests.conformance.pairs import Pair
from tests.conformance.test_stories import ALICE, BLACKLISTED, blacklist, both, login, refresh, verify, view
from tests.conformance.wire import exchange

ROTATED = Expected(status=200, body={"access": ISSUED, "refresh": ISSUED})
BLACKLISTED_AT_VERIFY = Expected(status=400, body={"non_field_errors": ["Token is blacklisted"]})


def test_refresh_spends_the_old_token_and_gives_a_new_one(rotating_pair: Pair) -> None:
    def story(port: int) -> list[Observation]:
        tokens = login(port, *ALICE)
        old = tokens["refresh"]
        first = ask(port, refresh(old))
        return [
            first,
            *(ask(port, step) for step in (view(tokens["access"]), verify(old), refresh(old), blacklist(old))),
        ]

    assert both(rotating_pair, story) == [ROTATED, hello("1"), BLACKLISTED_AT_VERIFY, BLACKLISTED, BLACKLISTED]


def test_chain_of_refreshes(rotating_pair: Pair) -> None:
    def story(port: int) -> list[Observation]:
        tokens, seen = login(port, *ALICE), []
        for _ in range(3):
            tokens = exchange(port, refresh(tokens["refresh"])).json()
            seen += [ask(port, view(tokens["access"])), ask(port, verify(tokens["refresh"]))]
        return seen

    assert both(rotating_pair, story) == [hello("1"), ACCEPTED] * 3


def test_log_out_after_a_rotation(rotating_pair: Pair) -> None:
    def story(port: int) -> list[Observation]:
        tokens = exchange(port, refresh(login(port, *ALICE)["refresh"])).json()
        spent = tokens["refresh"]
        return [ask(port, step) for step in (blacklist(spent), verify(spent), blacklist(spent), refresh(spent))]

    assert both(rotating_pair, story) == [ACCEPTED, BLACKLISTED_AT_VERIFY, BLACKLISTED, BLACKLISTED]


def test_s55_spent_token_that_comes_back_ends_its_session(rotating_pair: Pair) -> None:
    """A documented deviation: at the library the thief's successor and the access tokens live on."""
    answers = {}
    for server in rotating_pair.servers:
        old = login(server.port, *ALICE)["refresh"]
        successor = exchange(server.port, refresh(old)).json()
        steps = (refresh(old), refresh(successor["refresh"]), view(successor["access"]))
        answers[server.name] = [ask(server.port, step).answer for step in steps]
    assert answers["django-reference"] == [BLACKLISTED, ROTATED, hello("1")]
    assert answers["gateway"] == [BLACKLISTED, BLACKLISTED, view_fault("Token is blacklisted")]


def test_expired_token_is_not_spent(rotating_pair: Pair) -> None:
    expired = token("refresh", exp=NOW - 1).decode()

    def story(port: int) -> list[Observation]:
        return [ask(port, step) for step in (refresh(expired), blacklist(expired), verify(expired))]

    assert both(rotating_pair, story) == [endpoint_fault("Token is expired")] * 3
