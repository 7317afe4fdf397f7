"""Files that the configuration names: what is read is what was looked at, and a secret is its owner's alone."""

import contextlib
import os
import shlex
import stat
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO, Final

from gateway.errors import GatewayError, printable


class FileRefused(GatewayError):
    """The text is a sentence about the file, free of what is in it."""


Version = tuple[int, int, int]
"""Of a file: inode, time of the last change to it or its mode, size; a link that is turned leads to another one."""

_ABSENT: Final = (0, 0, 0)


def version_of(path: Path) -> Version:
    """What differs when the file was changed or another one is in its place."""
    try:
        status = path.stat()
    except OSError:
        return _ABSENT
    return (status.st_ino, status.st_ctime_ns, status.st_size)


class NamedFiles:
    """The files that one configuration names, each read once: whoever asks again gets the same bytes.

    So what was checked is what is used, in every process that this is handed to. `versions` are of all that were asked
    for, those included that could not be read, and from before they were.
    """

    def __init__(self) -> None:
        self.versions: dict[Path, Version] = {}
        self._contents: dict[tuple[Path, bool], bytes] = {}

    def note(self, path: Path) -> None:
        """It is about to be read by somebody."""
        self.versions.setdefault(path, version_of(path))

    def read(self, path: Path, *, max_bytes: int, is_secret: bool = False) -> bytes:
        """As `read_file` and `read_secret_file`."""
        content = self._contents.get((path, is_secret))
        if content is None:
            self.note(path)
            read = read_secret_file if is_secret else read_file
            content = self._contents[path, is_secret] = read(path, max_bytes=max_bytes)
        return content

    def but_for(self, paths: Collection[Path]) -> "NamedFiles":
        """The same with `paths` yet to be read."""
        others = NamedFiles()
        others.versions = {path: version for path, version in self.versions.items() if path not in paths}
        others._contents = {key: content for key, content in self._contents.items() if key[0] not in paths}
        return others


def memory_file(content: bytes) -> IO[bytes]:
    """An open file that only its descriptor leads to; on Linux it is on no disk either."""
    has_memory = hasattr(os, "memfd_create")
    file = os.fdopen(os.memfd_create("gateway"), "w+b") if has_memory else tempfile.TemporaryFile()  # noqa: SIM115
    file.write(content)
    file.flush()
    return file


@contextlib.contextmanager
def path_to(content: bytes) -> Iterator[str]:
    """A path with `content` behind it, for OpenSSL, which takes keys from files alone."""
    with memory_file(content) as file:
        file.seek(0)  # where opening the path gives the same open file, as it does on BSD
        yield f"/dev/fd/{file.fileno()}"


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
