"""`python -m tests.integration.soak --seconds 60`: a soak with a new seed, or with one that has failed before."""

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from tests.integration.soak.harness import soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.integration.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = soak(Path(folder), seconds=options.seconds, seed=options.seed, kill_every=6.0)
    print(report)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
