"""Files that the configuration names: what is read is what was looked at, and a secret is its owner's alone."""

import os
import shlex
import stat
from pathlib import Path

from gateway.errors import GatewayError, printable


class FileRefused(GatewayError):
    """The text is a sentence about the file, free of what is in it."""


def read_file(path: Path, *, max_bytes: int) -> bytes:
    """A regular file that is not empty. Raises `FileRefused`."""
    return _read(path, max_bytes, is_secret=False)


def read_secret_file(path: Path, *, max_bytes: int) -> bytes:
    """The same, of a file that nobody but its owner can read. Raises `FileRefused`."""
    return _read(path, max_bytes, is_secret=True)


def describe(error: OSError) -> str:
    """Why a file cannot be read, as a sentence that goes on from its name."""
    match error:
        case FileNotFoundError():
            return "does not exist"
        case IsADirectoryError():
            return "is a directory; name the file in it"
        case PermissionError():
            return "may not be read by the user that this runs as"
        case _:
            return f"cannot be read: {error.strerror}"


def _read(path: Path, max_bytes: int, *, is_secret: bool) -> bytes:
    shown = f"the file {printable(str(path))}"
    try:
        # Opened first and looked at then, so that what is checked is what is read; O_NONBLOCK, for a FIFO would hang.
        with open(path, "rb", opener=_open_at_once) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FileRefused(f"{shown} is not a regular file")
            if is_secret and _is_open_to_others(status):
                run = f"chmod 600 {shlex.quote(str(path))}"
                raise FileRefused(f"{shown} is open to others than its owner; run: {printable(run)}")
            content = stream.read(max_bytes + 1)
    except OSError as error:
        raise FileRefused(f"{shown} {describe(error)}") from None
    if len(content) > max_bytes:
        raise FileRefused(f"{shown} is larger than {max_bytes // 1024} KiB")
    if not content:
        raise FileRefused(f"{shown} is empty")
    return content


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _is_open_to_others(status: os.stat_result) -> bool:
    """PostgreSQL's rule for its private key: what root hands over in a file of its own, the group may read.

    Kubernetes hands a secret to a container that does not run as root in no other way (`fsGroup`).
    """
    forbidden = stat.S_IRWXG | stat.S_IRWXO
    if status.st_uid == 0 and os.geteuid() != 0:
        forbidden &= ~stat.S_IRGRP
    return bool(status.st_mode & forbidden)
