"""Autobahn's cases (run by kosoku) through the gateway: each ends as it does against the backend without a gateway.

What a backend does with odd frames is its own; that a tunnel changes nothing of it is ours. So some of these cases fail
on both sides, and must.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration import processes
from tests.integration.data_plane import running_plane

BACKEND = Path(__file__).parent / "websocket_backend.py"
# Framing, pings, reserved bits, opcodes, fragmentation, UTF-8, closing, long and many messages, a little compression.
# Left out: messages of 4 MiB in frames of 64 bytes (9.3, 9.4) and the other 50 of compression, for their time.
CASES = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.1.*", "9.2.*", "9.5.*", "9.6.*", "9.7.*", "10.*", "12.1.1")
LEAST = 270
# Whether an echo still comes before a backend fails a connection is a matter of its timing: both conform.
CONFORMS = {"OK": "OK", "NON-STRICT": "OK"}


def verdicts(port: int, folder: Path) -> dict[str, tuple[str, str]]:
    """Case → how the messages and how the closing were judged."""
    kosoku = Path(sys.executable).parent / "kosoku"
    wanted = [word for case in CASES for word in ("-i", case)]
    # Its exit code is 1 when a case fails; without a report nothing can be read.
    subprocess.run([kosoku, *wanted, "-p", "4", "-o", folder, f"127.0.0.1:{port}"], capture_output=True, timeout=50)
    (results,) = json.loads((folder / "index.json").read_text()).values()
    return {
        case: (CONFORMS.get(result["behavior"], result["behavior"]), result["behaviorClose"])
        for case, result in results.items()
    }


@pytest.mark.timeout(120)
def test_a_tunnel_changes_nothing_of_autobahns_verdicts(tmp_path: Path) -> None:
    route = {"path": "/", "upstream": "ws", "access": "public", "websocket": {"allow_origins": ["*"]}}
    with (
        processes.python_server("websocket-backend", BACKEND, folder=tmp_path) as backend,
        running_plane(tmp_path, further_upstreams={"ws": {"servers": [backend.url]}}, routes=[route]) as plane,
    ):
        direct = verdicts(backend.port, tmp_path / "direct")
        through = verdicts(plane.port, tmp_path / "through")
    assert len(direct) >= LEAST
    assert sum(verdict in ("OK", "INFORMATIONAL") for verdict, _ in direct.values()) >= LEAST
    assert through == direct
