"""The tables of what the doctor tries."""

import pytest

from gateway.commands.doctor_attacks import SMUGGLING, Attempt, identity_lines, path_tricks, tokens_out_of_place


@pytest.mark.parametrize("path", ["/", "/api/orders/"])
def test_no_trick_is_the_plain_path(path: str) -> None:
    targets = [attempt.target for attempt in path_tricks(path, "host:80")]
    assert path.encode() not in targets
    assert len(set(targets)) >= len(targets) - 1


def test_spellings_of_fields() -> None:
    lines = [line for attempt in identity_lines(("X-User-Id", "Remote-User"), "1") for line in attempt.lines]
    for expected in (b"X-User-Id: 1", b"x-user-id: 1", b"X_User_Id: 1", b"X-User-Id : 1", b"Connection: X-User-Id"):
        assert expected in lines
    assert b"Remote.User: 1" in lines


@pytest.mark.parametrize("attempt", SMUGGLING, ids=lambda attempt: attempt.name)
def test_whoever_reads_it_in_any_way_has_nothing_left_that_is_a_request(attempt: Attempt) -> None:
    """Behind a proxy that shares its connections it would be put before somebody else's request."""
    assert attempt.body in (b"", b"\r\n", b"0\r\n\r\n", b"0x0\r\n\r\n", b"+0\r\n\r\n")
    if attempt.body == b"0\r\n\r\n":
        assert b"Content-Length: 5" in attempt.lines


@pytest.mark.parametrize(("path", "target"), [("/a", b"/a?token=t"), ("/a?b=c", b"/a?b=c&token=t")])
def test_a_token_in_a_query(path: str, target: bytes) -> None:
    assert target in [attempt.target for attempt in tokens_out_of_place("t", path)]
