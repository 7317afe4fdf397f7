"""From the start of the process to the first request that it has answered, and what it then occupies."""

import contextlib
import os
import socket
import statistics
import subprocess
import time

from tests.benchmarks.costs import MEASURED_CORE, cpu_seconds, pinned, resident_bytes
from tests.benchmarks.findings import Finding
from tests.benchmarks.fleet import Fleet
from tests.benchmarks.loads import LOADS, WrongAnswerError, ask
from tests.benchmarks.peers import MEBIBYTE
from tests.integration.processes import Server

_PATIENCE = 20.0
_SETTLED_SECONDS = 1.5  # the change feed has polled once


def measure_start(fleet: Fleet, *, rounds: int) -> list[Finding]:
    """Byte code is compiled already; the first run, which may have to, is not counted."""
    seconds, cpu, resident = zip(*(_start_once(fleet) for _ in range(rounds + 1)), strict=True)
    return [
        Finding(
            scenario="start",
            what="start to first answered request",
            value=statistics.median(seconds[1:]),
            unit="s",
            bound=0.6,
            detail=f"{statistics.median(cpu):.2f} s of CPU",
        ),
        Finding(
            scenario="start", what="resident memory, idle", value=statistics.median(resident), unit="MiB", bound=60
        ),
    ]


def _start_once(fleet: Fleet) -> tuple[float, float, float]:
    """Seconds, CPU seconds, MiB."""
    (argv, port), environment = fleet.new_gateway()
    (request,) = LOADS["one_token"].requests()
    log = fleet.folder / "starting.log"
    began = time.monotonic()
    with log.open("ab") as output:
        process = subprocess.Popen(
            pinned(argv, MEASURED_CORE),
            cwd=fleet.folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(name="starting", port=port, process=process, log=log)
    try:
        _await_answer(request, port)
        taken, cpu = time.monotonic() - began, cpu_seconds(server).total
        time.sleep(_SETTLED_SECONDS)
        return taken, cpu, resident_bytes(server) / MEBIBYTE
    finally:
        process.terminate()
        process.wait(_PATIENCE)


def _await_answer(request: bytes, port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionRefusedError, socket.timeout):
            status, _ = ask(request, port)
            if status != 200:
                raise WrongAnswerError(f"The first answer of a new gateway was {status}.")
            return
        time.sleep(0.002)
    raise WrongAnswerError("A new gateway did not answer.")
