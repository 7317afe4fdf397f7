"""One line a minute, however often it happens."""

import logging

import pytest

from gateway.observability.counted_warning import CountedWarning


def test_s84_strangers_cannot_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    warning = CountedWarning(logging.getLogger("test"), "thing_happened", now=lambda: now)
    for _ in range(1000):
        warning.note("192.0.2.1", "first")
    assert caplog.messages == ["thing_happened count=1 last=192.0.2.1 first"]
    now += 59
    warning.note("192.0.2.2", "second")
    assert len(caplog.messages) == 1
    now += 2
    warning.note("192.0.2.3", "third")
    assert caplog.messages[1:] == ["thing_happened count=1001 last=192.0.2.3 third"]
