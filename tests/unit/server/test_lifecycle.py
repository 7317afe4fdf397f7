"""From start to signal to end, each in a process of its own."""

import os
import signal

import pytest

from tests.unit.server.scripts import script

# The context says what happens to it; with `slow` as the argument its end takes longer than any test.
SOURCE = """
import asyncio, contextlib, os, sys
from gateway.server.lifecycle import run_until_signalled

@contextlib.asynccontextmanager
async def served():
    print("entered", flush=True)
    yield
    print("leaving", flush=True)
    if "slow" in sys.argv:
        await asyncio.sleep(60)
    print("left", flush=True)

lifeline = int(sys.argv[1])
code = run_until_signalled(
    served, lifeline=None if lifeline < 0 else lifeline, on_serving=lambda: print("serving", flush=True)
)
print("code", code)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(number: int) -> None:
    with script(SOURCE, "-1") as process:
        assert (process.line(), process.line()) == ("entered", "serving")
        process.signal(number)
        assert process.end() == (0, ["leaving", "left", "code 0"])


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(second: int) -> None:
    with script(SOURCE, "-1", "slow") as process:
        process.line_with("serving")
        process.signal(signal.SIGTERM)
        process.line_with("leaving")
        process.signal(second)
        assert process.end() == (-second, [])


def test_the_end_of_the_lifeline_is_as_good_as_a_signal() -> None:
    reader, writer = os.pipe()
    with script(SOURCE, str(reader), pass_fds=[reader]) as process:
        os.close(reader)
        process.line_with("serving")
        os.close(writer)
        assert process.end() == (0, ["leaving", "left", "code 0"])


def test_a_signal_and_the_end_of_the_lifeline_are_one_end() -> None:
    reader, writer = os.pipe()
    with script(SOURCE, str(reader), "slow", pass_fds=[reader]) as process:
        os.close(reader)
        process.line_with("serving")
        os.close(writer)
        process.line_with("leaving")
        process.signal(signal.SIGTERM)  # the first one: it goes on leaving
        process.signal(signal.SIGINT)
        assert process.end() == (-signal.SIGINT, [])


def test_what_entering_raises_comes_out() -> None:
    source = """
import contextlib
from gateway.server.lifecycle import run_until_signalled

@contextlib.asynccontextmanager
async def served():
    raise LookupError("not here")
    yield

try:
    run_until_signalled(served, on_serving=lambda: print("serving"))
except LookupError as error:
    print(error)
"""
    with script(source) as process:
        assert process.end() == (0, ["not here"])


def test_process_1_of_a_container_ends_at_once_too() -> None:
    """The kernel spares it signals without a handler, so raising one again does nothing."""
    source = """
import signal
from gateway.server import lifecycle
lifecycle.signal.raise_signal = lambda number: None
lifecycle.end_by_signal(signal.SIGTERM)
"""
    with script(source) as process:
        assert process.end() == (128 + signal.SIGTERM, [])


MEANWHILE = """
import asyncio, contextlib
from gateway.server.lifecycle import run_until_signalled

@contextlib.asynccontextmanager
async def served():
    yield
    print("left", flush=True)

async def meanwhile():
    try:
        print("meanwhile", flush=True)
        BODY
    finally:
        print("over", flush=True)

try:
    run_until_signalled(served, on_serving=lambda: print("serving", flush=True), meanwhile=meanwhile)
except LookupError as error:
    print(error)
"""


def test_what_runs_meanwhile_ends_before_it_is_left() -> None:
    with script(MEANWHILE.replace("BODY", "await asyncio.sleep(60)")) as process:
        assert (process.line(), process.line()) == ("serving", "meanwhile")
        process.signal(signal.SIGTERM)
        assert process.end() == (0, ["over", "left"])


def test_what_it_raises_is_the_end() -> None:
    with script(MEANWHILE.replace("BODY", "raise LookupError('a defect')")) as process:
        assert process.end() == (0, ["serving", "meanwhile", "over", "a defect"])


ALIVE = """
import asyncio, contextlib
from gateway.server.lifecycle import SignOfLife, run_until_signalled

@contextlib.asynccontextmanager
async def served():
    yield
    print("leaving", flush=True)
    await asyncio.sleep(60)

sign = SignOfLife(interval=0.01, tell=lambda: print("alive", flush=True))
run_until_signalled(served, on_serving=lambda: print("serving", flush=True), sign_of_life=sign)
"""


def test_it_says_that_its_loop_turns_also_while_it_drains() -> None:
    with script(ALIVE) as process:
        assert [process.line() for _ in range(4)] == ["serving", "alive", "alive", "alive"]
        process.signal(signal.SIGTERM)
        process.line_with("leaving")
        assert [process.line() for _ in range(3)] == ["alive", "alive", "alive"]
