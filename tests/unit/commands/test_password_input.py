import io
from collections.abc import Callable

import pytest

from gateway.commands.password_input import read_new_password
from gateway.errors import UsageError
from tests.unit.commands.conftest import Terminal

GiveStdin = Callable[[bytes], None]


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"wonderland\n", "wonderland"),
        (b"wonderland\r\n", "wonderland"),
        (b"wonderland", "wonderland"),
        (b"two words\n", "two words"),
        ("pässwörd…\n".encode(), "pässwörd…"),
        (b"x" * 4096 + b"\r\n", "x" * 4096),
    ],
)
def test_a_pipe_holds_one_line(content: bytes, password: str, give_stdin: GiveStdin) -> None:
    give_stdin(content)
    assert read_new_password("alice") == password


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The password is empty"),
        (b"\n", "The password is empty"),
        (b"one\ntwo\n", "several lines"),
        (b"one\n\n", "several lines"),
        (b"\xff\xfe\n", "not UTF-8"),
        (b" wonderland\n", "begins or ends with white space"),
        (b"wonderland\t\n", "begins or ends with white space"),
        ("wonderland\u00a0\n".encode(), "begins or ends with white space"),
        (b"x" * 4097, "longer than 4096 bytes"),
        (b"x" * 5000, "longer than 4096 bytes"),
        ("€".encode() * 1366, "longer than 4096 bytes"),
    ],
)
def test_what_could_never_log_in_is_refused(content: bytes, sentence: str, give_stdin: GiveStdin) -> None:
    give_stdin(content)
    with pytest.raises(UsageError, match=sentence):
        read_new_password("alice")


@pytest.mark.parametrize("content", [b"pw\0\n", b"p\0w\n", b"won\x1b[Dder\n", "won\u0085der\n".encode()])
def test_s48_control_characters_are_refused(content: bytes, give_stdin: GiveStdin) -> None:
    give_stdin(content)
    with pytest.raises(UsageError, match="control character"):
        read_new_password("alice")


@pytest.fixture
def type_on_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Answer the prompts of a terminal; gives the prompts."""

    def answer(*answers: str) -> list[str]:
        prompts: list[str] = []
        left = iter(answers)

        def getpass(prompt: str) -> str:
            prompts.append(prompt)
            try:
                return next(left)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr("sys.stdin", Terminal(io.BytesIO()))
        monkeypatch.setattr("getpass.getpass", getpass)
        return prompts

    return answer


def test_a_terminal_is_asked_twice(type_on_terminal: Callable[..., list[str]]) -> None:
    prompts = type_on_terminal("wonderland", "wonderland")
    assert read_new_password("alice") == "wonderland"
    assert prompts == ["New password of alice: ", "Once more: "]


def test_two_different_answers_are_refused(type_on_terminal: Callable[..., list[str]]) -> None:
    type_on_terminal("wonderland", "wonderlamp")
    with pytest.raises(UsageError, match="differ"):
        read_new_password("alice")


def test_the_end_of_input_at_the_prompt_is_no_password(type_on_terminal: Callable[..., list[str]]) -> None:
    type_on_terminal()
    with pytest.raises(UsageError, match="No password"):
        read_new_password("alice")


def test_a_broken_character_from_a_terminal_is_refused(type_on_terminal: Callable[..., list[str]]) -> None:
    type_on_terminal("w\udcf6nder", "w\udcf6nder")
    with pytest.raises(UsageError, match="broken"):
        read_new_password("alice")
