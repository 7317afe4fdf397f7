"""What failures, answers and checks make of a server."""

import pytest

from gateway.proxy.server_health import HealthRules, ServerHealth


def health(*, falls: int = 2, rises: int = 3, pause: float = 1.0, max_pause: float = 30.0) -> ServerHealth:
    return ServerHealth(HealthRules(falls=falls, rises=rises, pause=pause, max_pause=max_pause))


def test_a_server_is_up_until_it_fails_and_after_it_has_answered() -> None:
    server = health()
    assert server.is_up
    server.on_failure()
    assert not server.is_up
    assert repr(server) == "<ServerHealth down failures=1>"
    server.on_answer()
    assert server.is_up
    assert repr(server) == "<ServerHealth up failures=0>"


def test_pauses_double_up_to_the_longest_and_begin_anew_after_an_answer() -> None:
    server = health(pause=0.5, max_pause=3.0)
    pauses = []
    for _ in range(5):
        server.on_failure()
        pauses.append(server.pause)
    assert pauses == [0.5, 1.0, 2.0, 3.0, 3.0]
    server.on_answer()
    server.on_failure()
    assert server.pause == 0.5


def test_a_thousand_failures_are_only_the_longest_pause() -> None:
    server = health(max_pause=86400.0)
    for _ in range(5000):
        server.on_failure()
    assert server.pause == 65536.0


@pytest.mark.parametrize(
    ("checks", "is_up"),
    [
        ("-", True),
        ("--", False),
        ("-+-", True),
        ("-+-+--", False),
        ("--+", False),
        ("--++", False),
        ("--+++", True),
        ("--++-+", False),
        ("--++-+++", True),
        ("--+++-", True),
        ("+++--", False),
    ],
)
def test_checks_in_a_row_take_out_and_bring_back(checks: str, is_up: bool) -> None:
    server = health(falls=2, rises=3)
    for check in checks:
        server.on_check(passed=check == "+")
    assert (server.is_up, server.is_checked_out) == (is_up, not is_up)


def test_an_answer_does_not_bring_back_what_checks_have_taken_out() -> None:
    server = health(falls=1)
    server.on_check(passed=False)
    server.on_failure()
    server.on_answer()
    assert not server.is_up


def test_a_check_that_passes_does_not_excuse_a_failure_but_one_that_brings_back_does() -> None:
    server = health(falls=1, rises=1)
    server.on_failure()
    server.on_check(passed=True)
    assert not server.is_up
    server.on_check(passed=False)
    server.on_check(passed=True)
    assert server.is_up
