"""Looks for secrets in all that the gateway says while the suite runs (checklist 86).

Every process that `tests.integration.processes` starts is looked at when it ends, every command when it is done, and
what each test has caught of logging and of the standard streams when it is over. Secrets are: whatever has the shape of
a signed token, every key that a process got in its environment, every password that a command read.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

MAY_PRINT: Final = {
    ("key", "generate"): "prints the key that it makes",
    ("token",): "prints the token that it signs",
    ("demo",): "prints what to try the demo with, which ends with it",
}
"""Commands whose work it is to print a secret."""

_TOKEN: Final = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.")
_HOLDS_SECRET: Final = re.compile(r"KEY|SECRET|PASSWORD")
_LEAST_CHARACTERS: Final = 8  # shorter ones are ordinary words
_known: Final[set[str]] = set()


def learn(texts: Iterable[str]) -> None:
    """Nothing may repeat these."""
    # A key in PEM is known by its lines, but for those that name it.
    lines = (line.strip() for text in texts for line in text.splitlines())
    _known.update(line for line in lines if len(line) >= _LEAST_CHARACTERS and not line.startswith("-----"))


def learn_environment(environment: Mapping[str, str]) -> None:
    learn(value for name, value in environment.items() if _HOLDS_SECRET.search(name))


def found_in(text: str) -> list[str]:
    """The beginnings of the secrets in `text`."""
    found = [match[0] for match in _TOKEN.finditer(text)]
    found += [secret for secret in _known if secret in text]
    return [secret[:12] + "…" for secret in found]


def check(said: str, *, by: str) -> None:
    """Fails where `by` has told a secret."""
    found = found_in(said)
    assert not found, f"{by} has told a secret: {found}"


def check_command(argv: Sequence[str], said: str) -> None:
    """As `check`, for `gateway ARGV…`, unless that is what it is for."""
    if not any(tuple(argv[: len(command)]) == command for command in MAY_PRINT):
        check(said, by=f"gateway {' '.join(argv)}")
