import pytest

from gateway.commands.demo_tour import tour

TOUR = tour(gateway_url="http://127.0.0.1:1111", backend_url="http://127.0.0.1:2222")
COMMANDS = [line.strip() for line in TOUR.splitlines() if line.startswith("    ")]


def test_says_where_things_are_and_who_may_log_in() -> None:
    assert "gateway    http://127.0.0.1:1111" in TOUR
    assert "backend    http://127.0.0.1:2222" in TOUR
    assert "alice" in TOUR
    assert "bob" in TOUR


@pytest.mark.parametrize("client", ["curl", "http"])
def test_the_story_is_told_with_each_client(client: str) -> None:
    calls = [line for line in COMMANDS if f"{client} -" in line or line.startswith(client + " ")]
    assert sum("/api/token/ " in line for line in calls) == 2
    assert sum("/api/token/refresh/" in line for line in calls) == 1
    assert sum("/hello/" in line for line in calls) == 3
    assert sum("/staff/" in line for line in calls) == 1


def test_commands_hold_no_comment_which_an_interactive_zsh_would_not_take() -> None:
    assert not [line for line in COMMANDS if "#" in line]


def test_the_backend_is_not_called_around_the_gateway() -> None:
    assert not [line for line in COMMANDS if "2222" in line]


def test_lines_fit_a_wide_terminal() -> None:
    assert max(len(line) for line in TOUR.splitlines()) <= 110
