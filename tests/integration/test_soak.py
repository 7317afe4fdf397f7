"""Everything at once, and nobody gets what is another's: the short form of `python -m tests.integration.soak`."""

import secrets
from pathlib import Path

from tests.integration.soak.harness import soak


def test_s3_s72_s75_s77_s84_a_soak_with_faults_mixes_nothing_and_leaks_nothing(tmp_path: Path) -> None:
    seed = secrets.token_hex(4)
    print(f"seed {seed}")
    report = soak(tmp_path, seconds=6, seed=seed, kill_every=4)
    assert report.ledger.kills
    assert not report.violations, str(report)
