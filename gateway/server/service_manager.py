"""What systemd is told of this process, in the protocol of sd_notify(3): one datagram, no answer.

Without `NOTIFY_SOCKET` nobody asked, and nothing is sent. Only the process that was started tells: a worker never does.
"""

import logging
import os
import socket
from collections.abc import Mapping
from typing import Final

logger: Final = logging.getLogger("gateway")

READY: Final = b"READY=1\nSTATUS=serving"
STOPPING: Final = b"STOPPING=1\nSTATUS=draining"

_SEND_SECONDS: Final = 1.0  # a manager that does not read must not hold up those who are served


def tell(state: bytes, environ: Mapping[str, str] = os.environ) -> None:
    """Never raises: who serves goes on serving when the manager does not hear of it, and says so in the log."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(_SEND_SECONDS)
            # "@" stands for the NUL that begins a name in Linux' abstract namespace.
            sender.sendto(state, "\0" + address[1:] if address.startswith("@") else address)
    except OSError as error:
        logger.warning("service_manager_unreachable %s", error.strerror or error)
