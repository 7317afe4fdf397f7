"""Files that the configuration names: what is refused, and who else may read a secret."""

import os
import shlex
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.files import FileRefused, NamedFiles, path_to, read_file, read_secret_file, version_of

READERS = pytest.mark.parametrize("read", [read_file, read_secret_file])
Read = Callable[..., bytes]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(b"\x00content\n")
    path.chmod(0o600)
    return path


def refusal(read: Read, path: Path, *, max_bytes: int = 100) -> str:
    with pytest.raises(FileRefused) as refused:
        read(path, max_bytes=max_bytes)
    return str(refused.value)


@READERS
def test_a_file_is_read_as_it_is(read: Read, path: Path) -> None:
    assert read(path, max_bytes=9) == b"\x00content\n"


@READERS
def test_a_file_is_bounded(read: Read, path: Path) -> None:
    path.write_bytes(b"x" * 2049)
    assert refusal(read, path, max_bytes=2048) == f"the file {path} is larger than 2 KiB"


@READERS
def test_what_holds_nothing_or_is_not_there_is_refused(read: Read, path: Path, tmp_path: Path) -> None:
    path.write_bytes(b"")
    assert refusal(read, path) == f"the file {path} is empty"
    assert refusal(read, tmp_path / "nope") == f"the file {tmp_path}/nope does not exist"
    assert refusal(read, tmp_path) == f"the file {tmp_path} is a directory; name the file in it"
    assert refusal(read, path / "below") == f"the file {path}/below cannot be read: Not a directory"


@READERS
def test_what_would_hang_or_never_end_is_refused(read: Read, tmp_path: Path) -> None:
    pipe, door = tmp_path / "pipe", tmp_path / "socket"
    os.mkfifo(pipe, 0o600)
    assert refusal(read, pipe) == f"the file {pipe} is not a regular file"
    assert refusal(read, Path("/dev/zero")) == "the file /dev/zero is not a regular file"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(door))
        assert refusal(read, door).startswith(f"the file {door} cannot be read: ")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not read it")
@READERS
def test_who_may_not_read_it_is_told_so(read: Read, path: Path) -> None:
    path.parent.chmod(0o711)
    os.seteuid(65532)
    try:
        message = refusal(read, path)
    finally:
        os.seteuid(0)
    # On the way to the file or at the file itself.
    assert message == f"the file {path} may not be read by the user that this runs as"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o777])
def test_s88_a_secret_that_is_open_to_others_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    assert refusal(read_secret_file, path) == (
        f"the file {path} is open to others than its owner; run: chmod 600 {path}"
    )
    assert read_file(path, max_bytes=100)


def test_s88_what_a_link_leads_to_is_looked_at(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    assert read_secret_file(tmp_path / "link", max_bytes=100)
    path.chmod(0o644)
    assert "is open to others" in refusal(read_secret_file, tmp_path / "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of root")
def test_s88_the_group_may_read_what_root_hands_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.chmod(0o440)
    assert "is open to others" in refusal(read_secret_file, path), "root itself needs no group"
    monkeypatch.setattr(os, "geteuid", lambda: 65532)
    assert read_secret_file(path, max_bytes=100)
    for mode in (0o460, 0o450, 0o444):
        path.chmod(mode)
        assert "is open to others" in refusal(read_secret_file, path)
    path.chmod(0o440)
    os.chown(path, 65532, 0)
    assert "is open to others" in refusal(read_secret_file, path)


def test_the_chmod_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    path = tmp_path / "my key; rm x"
    path.write_bytes(b"x")
    path.chmod(0o644)
    _, _, command = refusal(read_secret_file, path).partition("run: ")
    assert shlex.split(command) == ["chmod", "600", str(path)]


def test_a_name_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2Jb\u202e"
    assert refusal(read_file, path) == f"the file {tmp_path}/a\\x1b[2Jb\\u202e does not exist"
    path.write_bytes(b"x")
    path.chmod(0o644)
    assert refusal(read_secret_file, path).isprintable()


def test_named_files_are_read_once_and_known_also_when_they_are_not_there(tmp_path: Path) -> None:
    path, missing = tmp_path / "a", tmp_path / "b"
    path.write_text("first")
    files = NamedFiles()
    assert files.read(path, max_bytes=10) == b"first"
    with pytest.raises(FileRefused):
        files.read(missing, max_bytes=10)
    version = version_of(path)
    path.write_text("second")
    missing.write_text("there")
    assert files.read(path, max_bytes=10) == b"first"
    assert files.versions[path] == version != version_of(path)
    assert files.versions[missing] != version_of(missing)
    others = files.but_for({path})
    assert others.read(path, max_bytes=10) == b"second"
    assert files.read(path, max_bytes=10) == b"first"


def test_s88_as_a_secret_a_file_is_looked_at_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    path.chmod(0o644)
    files = NamedFiles()
    assert files.read(path, max_bytes=10)
    with pytest.raises(FileRefused, match="is open to others"):
        files.read(path, max_bytes=10, is_secret=True)


def test_a_file_in_memory_has_a_path_as_long_as_it_is_used() -> None:
    with path_to(b"content") as path:
        assert Path(path).read_bytes() == b"content"
        assert Path(path).read_bytes() == b"content"
    assert not Path(path).exists()


def test_s88_without_files_in_memory_it_is_one_that_nobody_else_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.memfd_create")
    with path_to(b"content") as path:
        assert Path(path).read_bytes() == b"content"
