"""The page on compatibility says what the tables say, and names no test that does not exist."""

from tests.conformance import test_rotation, test_stories, test_throttling
from tests.conformance.compatibility_page import PAGE, rewritten
from tests.conformance.deviations import GENERAL_DEVIATIONS
from tests.unit.auth import test_issuer
from tests.unit.endpoints import test_refresh
from tests.unit.proxy import test_admission


def test_page_is_made_from_the_tables() -> None:
    page = PAGE.read_text()
    assert page == rewritten(page), "run python -m tests.conformance.compatibility_page"


def test_every_general_deviation_has_its_test() -> None:
    modules = (test_stories, test_rotation, test_throttling, test_refresh, test_issuer, test_admission)
    tests = {name: test for module in modules for name, test in vars(module).items()}
    assert [deviation.test for deviation in GENERAL_DEVIATIONS if not callable(tests.get(deviation.test))] == []
