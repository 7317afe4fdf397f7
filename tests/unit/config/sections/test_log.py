"""`log`: machines read it unless people do."""

import pytest

from gateway.config.sections.log import Log
from tests.unit.config.sample import parse_with, refusals


def test_by_default_everything_is_told_in_the_form_that_its_reader_takes() -> None:
    assert parse_with().log == Log(format="auto", level="info", access=True)


@pytest.mark.parametrize(("key", "value"), [("format", "xml"), ("level", "debug"), ("access", "'no'")])
def test_what_there_is_not_is_refused(key: str, value: str) -> None:
    (refused,) = refusals(log=f"{{{key}: {value}}}")
    assert refused.startswith(f"log.{key}: must be ")
