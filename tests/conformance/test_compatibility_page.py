"""The page on compatibility says what the tables say, and names no test that does not exist."""

from tests.conformance import test_rotation, test_stories, test_throttling
from tests.conformance.compatibility_page import PAGE, rewritten
from tests.conformance.deviations import GENERAL_DEVIATIONS


def test_page_is_made_from_the_tables() -> None:
    page = PAGE.read_text()
    assert page == rewritten(page), "run python -m tests.conformance.compatibility_page"


def test_every_general_deviation_has_its_test() -> None:
    tests = {**vars(test_stories), **vars(test_rotation), **vars(test_throttling)}
    assert [deviation.test for deviation in GENERAL_DEVIATIONS if not callable(tests.get(deviation.test))] == []
