import dataclasses

import pytest

from gateway.auth.sessions import (
    MAX_USER_AGENT_CHARS,
    SessionRules,
    Standing,
    forgotten_at,
    printable_user_agent,
    rotated,
    session_id_for,
)
from gateway.types import Session

SESSION = Session(
    id="s",
    user_id="1",
    token_id="t1",
    parent_id="t0",
    rotated_at=1000,
    created_at=500,
    last_used_at=1000,
    expires_at=9000,
    address="192.0.2.1",
    user_agent="curl/8",
)


def rules(**change: float | None) -> SessionRules:
    return SessionRules(
        **{"rotates": True, "rotation_grace": 30, "idle_timeout": None, "lifetime": None} | change  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("token_id", "now", "standing"),
    [
        ("t1", 1000, Standing.CURRENT),
        ("t1", 10**9, Standing.CURRENT),
        ("t0", 1000, Standing.PARENT),
        ("t0", 1029.9, Standing.PARENT),
        ("t0", 1030, Standing.SPENT),
        ("t-1", 1000, Standing.SPENT),
        ("", 1000, Standing.SPENT),
    ],
)
def test_s55_only_the_last_parent_has_a_grace_time(token_id: str, now: float, standing: Standing) -> None:
    assert rules().standing(SESSION, token_id, now) is standing


def test_s55_without_a_grace_time_every_spent_token_is_spent() -> None:
    assert rules(rotation_grace=0).standing(SESSION, "t0", 1000) is Standing.SPENT


def test_a_session_that_was_never_rotated_has_no_parent() -> None:
    fresh = dataclasses.replace(SESSION, parent_id=None)
    assert rules().standing(fresh, "t0", 1000) is Standing.SPENT


@pytest.mark.parametrize("token_id", ["t1", "t0", "t-1"])
@pytest.mark.parametrize(
    ("limits", "over_at"),
    [({"idle_timeout": 100}, 1100), ({"lifetime": 700}, 1200), ({"idle_timeout": 300, "lifetime": 700}, 1200)],
)
def test_s56_a_session_reaches_its_limits(limits: dict[str, float], over_at: float, token_id: str) -> None:
    assert rules(**limits).standing(SESSION, token_id, over_at - 0.1) is not Standing.OVER
    assert rules(**limits).standing(SESSION, token_id, over_at) is Standing.OVER


def test_a_rotated_session_remembers_its_parent() -> None:
    successor = rotated(SESSION, "t2", 2000)
    assert successor == dataclasses.replace(SESSION, token_id="t2", parent_id="t1", rotated_at=2000)


def test_the_session_of_a_token_without_one_is_the_same_for_all_who_see_it() -> None:
    assert session_id_for("a") == session_id_for("a") != session_id_for("b")
    assert session_id_for("\ud800") != session_id_for("")
    assert len(session_id_for("a")) == 32


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (X11; Linux x86_64)"),
        ("", ""),
        (" ~!}", " ~!}"),
        ("a\x1b[2J\r\n\x00\x7fé\u2028", "a?[2J??????"),
        ("x" * 300, "x" * MAX_USER_AGENT_CHARS),
    ],
)
def test_a_user_agent_can_be_shown(value: str, shown: str) -> None:
    assert printable_user_agent(value) == shown


def test_s58_a_revocation_outlasts_all_of_its_tokens_and_the_difference_of_two_clocks() -> None:
    assert forgotten_at(1000.5, 2000.5, 0) == 2061


@pytest.mark.parametrize(
    ("now", "limits", "is_open"),
    [
        (8999.9, {}, True),
        (9000, {}, False),
        (1099.9, {"idle_timeout": 100}, True),
        (1100, {"idle_timeout": 100}, False),
        (1499.9, {"lifetime": 1000}, True),
        (1500, {"lifetime": 1000}, False),
    ],
)
def test_a_session_is_open_until_its_last_token_has_ended_or_a_limit_is_reached(
    now: float, limits: dict[str, float], *, is_open: bool
) -> None:
    assert rules(**limits).is_open(SESSION, now) is is_open
