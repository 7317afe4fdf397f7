"""SIGHUP from the first moment on, each in a process of its own."""

import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from tests.unit.server.scripts import script

SOURCE = """
import asyncio, os, signal
from gateway.server.hangups import HangUps

hang_ups = HangUps()
print("caught", flush=True)

async def main():
    print(await hang_ups.wait(0.01), flush=True)
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGHUP)
    print(await hang_ups.wait(60), flush=True)
    print(await hang_ups.wait(0.01), flush=True)

BEFORE
asyncio.run(main())
"""


def test_one_that_comes_before_anybody_waits_is_kept() -> None:
    with script(SOURCE.replace("BEFORE", "os.kill(os.getpid(), signal.SIGHUP)")) as process:
        assert process.end() == (0, ["caught", "True", "True", "False"])


def test_nothing_is_nothing_and_several_are_one() -> None:
    with script(SOURCE.replace("BEFORE", "")) as process:
        assert process.end() == (0, ["caught", "False", "True", "False"])


@pytest.mark.parametrize("loop", ["uvloop.new_event_loop", "asyncio.new_event_loop"])
def test_one_that_comes_before_anybody_waits_is_one_also_where_the_loop_hears_of_signals(loop: str) -> None:
    source = f"""
import asyncio, os, signal, uvloop
from gateway.server.hangups import HangUps

hang_ups = HangUps()

async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print)
    os.kill(os.getpid(), signal.SIGHUP)
    before = [await hang_ups.wait(60), await hang_ups.wait(0.1)]
    print("rests", flush=True)
    print(before, await hang_ups.wait(60), await hang_ups.wait(0.1), flush=True)

with asyncio.Runner(loop_factory={loop}) as runner:
    runner.run(main())
"""
    with script(source) as process:
        process.line_with("rests")
        time.sleep(0.05)  # it is in the kernel, where no signal handler of Python runs
        process.signal(signal.SIGHUP)
        assert process.end() == (0, ["[True, False] True False"])


def test_the_supervisor_takes_them_without_a_loop() -> None:
    source = """
import os, signal
from gateway.server.hangups import HangUps
hang_ups = HangUps()
print(hang_ups.take())
os.kill(os.getpid(), signal.SIGHUP)
print(hang_ups.take(), hang_ups.take())
"""
    with script(source) as process:
        assert process.end() == (0, ["False", "True False"])


def test_without_its_terminal_it_ends_as_if_it_had_been_told_to() -> None:
    source = """
import fcntl, signal, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from gateway.server.hangups import HangUps
HangUps()
print("caught", flush=True)
while True:
    signal.pause()
"""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", source], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        assert os.read(ours, 100).strip() == b"caught"
        process.send_signal(signal.SIGHUP)
        assert process.poll() is None, "its terminal is there"
        os.close(ours)
        assert process.wait(20) == -signal.SIGTERM
    finally:
        process.kill()
        process.wait()
