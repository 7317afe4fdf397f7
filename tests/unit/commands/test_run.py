"""`gateway run`: how many processes, and what it says. Signals and deaths: tests/integration/test_workers.py."""

import signal
from pathlib import Path

import pytest

from gateway.auth.keys import generate_key
from gateway.cli import main
from tests.unit.server.scripts import script

CONFIGURATION = """\
listen: {{port: 0}}
admin: {{enabled: false}}
log: {{format: text}}
workers: {workers}
tokens: {{signing_key: {{env: KEY}}}}
upstreams: {{app: {{servers: ["http://127.0.0.1:9"]}}}}
routes: [{{path: /, upstream: app}}, {{path: /open, upstream: app, access: public}}]
users: {{sqlite: {folder}/users.sqlite3}}
"""
RUN = f"""
import os, sys
os.environ["KEY"] = {generate_key("HS256")!r}
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
from gateway.cli import main
code = main(["run", "--config", sys.argv[1]])
print("code", code, flush=True)
"""


def write(folder: Path, *, workers: str) -> str:
    path = folder / "gateway.yaml"
    path.write_text(CONFIGURATION.format(workers=workers, folder=folder))
    return str(path)


@pytest.mark.parametrize(("workers", "count", "processes"), [("1", 1, 0), ("auto", 1, 0), ("2", 2, 2)])
def test_one_worker_needs_no_supervisor(tmp_path: Path, workers: str, count: int, processes: int) -> None:
    with script(RUN, write(tmp_path, workers=workers)) as process:
        told = process.line_with(" listening ")
        assert told.endswith(f" workers={count} routes=2")
        assert "url=http://127.0.0.1:" in told
        for _ in range(max(0, processes - 1)):
            process.line_with(" worker_started ")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) == processes
        process.signal(signal.SIGTERM)
        assert process.end()[1][-1] == "code 0"


def test_it_asks_for_a_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run"])
    assert ended.value.code == 2
    assert "--config" in capsys.readouterr().err


def test_a_bad_configuration_starts_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, workers="0")
    with script(RUN, path) as process:
        refused, code = process.end()[1]
    assert refused.startswith(f"{path}:4: workers: must be auto or a whole number from 1 to 256")
    assert code == "code 78"
    assert [entry.name for entry in tmp_path.iterdir()] == ["gateway.yaml"]
