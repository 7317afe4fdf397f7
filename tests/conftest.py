"""Below a failing test stands what its server processes wrote, and a test that tells a secret fails."""

from collections.abc import Generator, Iterable
from typing import Any

import hypothesis
import pytest

from tests import secret_scan
from tests.integration.processes import Server

SHOWN_CHARACTERS = 4000

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("gateway", deadline=None)
hypothesis.settings.load_profile("gateway")


def _servers(values: Iterable[Any]) -> Iterable[Server]:
    """Servers among the fixtures of a test, and in the `servers` of those that bring several."""
    for value in values:
        if isinstance(value, Server):
            yield value
        else:
            yield from (server for server in getattr(value, "servers", ()) if isinstance(server, Server))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.passed and report.when == "teardown":  # what setup and call have told is in these, too
        found = secret_scan.found_in(report.caplog + report.capstdout + report.capstderr)
        if found:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} has told a secret: {found}"
    if report.failed:
        for server in _servers(getattr(item, "funcargs", {}).values()):
            report.sections.append((f"output of {server.name}", server.output()[-SHOWN_CHARACTERS:]))
    return report
