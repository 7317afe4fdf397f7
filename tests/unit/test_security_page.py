"""docs/security.md against the tests: each row of the checklist is there once, and what holds it exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)  # all tests are collected once more, by a process of its own

TOP = Path(__file__).parents[2]
PAGE = (TOP / "docs/security.md").read_text()
ROWS = {
    int(number): (promise, holds)
    for number, promise, holds in re.findall(r"^\| (\d+) \| (.+?) \| (.+) \|$", PAGE, re.MULTILINE)
}
LAST = 94
REASON = re.compile(r"(Not promised yet|Deviation): [\w`][^.]{10,}")


def cited(number: int) -> list[str]:
    return re.findall(r"`([\w/]+\.py::[\w:]+)`", ROWS[number][1])


@pytest.fixture(scope="module")
def collected() -> dict[str, str]:
    """Test → what pytest calls it and its cases: the ids that may carry a number, one in a line."""
    files = sorted({f"tests/{test.partition('::')[0]}" for number in ROWS for test in cited(number)})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    listing = subprocess.run(command, cwd=TOP, capture_output=True, text=True)
    assert listing.returncode == 0, listing.stdout + listing.stderr
    cases: dict[str, str] = {}
    for line in listing.stdout.splitlines():
        name, separator, _ = line.removeprefix("tests/").partition("[")
        if "::" in name:
            cases[name] = cases.get(name, "") + "\n" + name.rpartition("::")[2] + separator + line.partition("[")[2]
    return cases


def test_every_number_is_there_once_and_in_order() -> None:
    numbers = [int(number) for number in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)]
    assert numbers == list(range(1, LAST + 1))
    assert list(ROWS) == numbers


def test_what_a_row_names_exists(collected: dict[str, str]) -> None:
    assert {test for number in ROWS for test in cited(number)} <= set(collected)


@pytest.mark.parametrize("number", ROWS)
def test_a_row_has_a_test_that_carries_its_number_or_says_why_not(number: int, collected: dict[str, str]) -> None:
    promise, holds = ROWS[number]
    assert len(promise) > 3
    if "Not promised yet" in holds or "Deviation" in holds:
        assert REASON.search(holds)
    if not holds.startswith("Not promised yet: "):
        carries = re.compile(rf"(?<![A-Za-z0-9])s0?{number}(?=[-_\]\[]|$)", re.MULTILINE)
        assert any(carries.search(collected.get(test, "")) for test in cited(number))


def test_s93_the_page_has_its_parts() -> None:
    parts = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    assert {"Against whom", "Deliberate deviations", "The checklist", "Dependencies", "Reporting"} <= set(parts)
    assert "What the gateway promises:" in PAGE
