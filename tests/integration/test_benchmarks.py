"""The micro-benchmarks speak to the product's inner parts, so they are run to see that these are still there."""

import subprocess
import sys

from tests.integration.processes import CHECKOUT


def test_micro_benchmarks_run_every_step() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.micro", "--iterations", "70"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("the whole exchange") == 6
    assert "admit, token known" in done.stdout
