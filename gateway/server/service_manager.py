"""What systemd is told of this process, in the protocol of sd_notify(3): one datagram, no answer.

Without `NOTIFY_SOCKET` nobody asked, and nothing is sent. Only the process that was started tells: a worker never does.
"""

import logging
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

logger: Final = logging.getLogger("gateway")

READY: Final = b"READY=1\nSTATUS=serving"
REFUSED: Final = b"READY=1\nSTATUS=serving; the last reload was refused"
STOPPING: Final = b"STOPPING=1\nSTATUS=draining"
ALIVE: Final = b"WATCHDOG=1"

_SEND_SECONDS: Final = 1.0  # a manager that does not read must not hold up those who are served


def reloading() -> bytes:
    """To be followed by READY or REFUSED. The time tells the manager that this is about what it has asked for."""
    return b"RELOADING=1\nMONOTONIC_USEC=%d\nSTATUS=reloading" % (time.monotonic_ns() // 1000)


def tell(state: bytes, environ: Mapping[str, str] = os.environ) -> None:
    """Never raises: who serves goes on serving when the manager does not hear of it, and says so in the log."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            # A sign of life that finds no room is not missed: those before it have not been read yet.
            sender.settimeout(0 if state == ALIVE else _SEND_SECONDS)
            # "@" stands for the NUL that begins a name in Linux' abstract namespace.
            sender.sendto(state, "\0" + address[1:] if address.startswith("@") else address)
    except OSError as error:
        logger.warning("service_manager_unreachable %s", error.strerror or error)


def watchdog_interval(environ: Mapping[str, str] = os.environ) -> float | None:
    """Seconds between two signs of life, half of what the manager waits for one; None when it wants none of us."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # inherited from somebody who is watched himself
    return int(microseconds) / 2e6
