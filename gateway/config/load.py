"""The configuration file, and the secrets that it points to: all that `config` reads from outside."""

import os
import re
import shlex
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.config import parse as parsing
from gateway.config.model import Config
from gateway.config.parse import UnavailableError
from gateway.config.tree import index_lines, line_of, show
from gateway.config.yaml_tree import compose
from gateway.errors import ConfigError, Problem

# A thousand routes are about 100 KiB. PyYAML needs up to 4 s for this much nonsense, and that grows with the size.
MAX_CONFIG_BYTES: Final = 256 * 1024
MAX_SECRET_BYTES: Final = 64 * 1024  # an RSA-16384 private key in PEM is 13 KiB

_MAX_PATH_CHARS: Final = 1024  # a path is only of use whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A configuration and where its values stand, for problems that only show when it is put to use."""

    config: Config
    file: str
    lines: Mapping[str, int]

    def problem(self, yaml_path: str, message: str) -> Problem:
        """A problem at this YAML path, with the line of it or of its nearest parent in the file."""
        return Problem(file=self.file, line=line_of(self.lines, yaml_path), path=yaml_path, message=message)


def load(path: Path, environ: Mapping[str, str]) -> Document:
    """Read a file; `{file: PATH}` in it is relative to its directory. Raises `ConfigError` with all problems."""
    name = str(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError([Problem(file=name, line=0, path="", message=_describe(error))]) from None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(file=name, line=line, path="", message="is not UTF-8; save it as UTF-8")]) from None
    return loads(text, name, environ)


def loads(text: str, name: str, environ: Mapping[str, str]) -> Document:
    """The same from text; `name` is the file that problems name and `{file: PATH}` is relative to."""
    if len(text) > MAX_CONFIG_BYTES:
        message = f"is larger than {MAX_CONFIG_BYTES // 1024} KiB, which no configuration needs"
        raise ConfigError([Problem(file=name, line=0, path="", message=message)])
    root = compose(text, name)
    config = parsing.parse(root, name=name, resolve=_Sources(environ, Path(name).parent))
    return Document(config=config, file=name, lines=index_lines(root))


class _Sources:
    """Where `{env: NAME}` and `{file: PATH}` come from."""

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        self._environ = environ
        self._directory = directory

    def __call__(self, source: str, name: str, *, is_secret: bool) -> str:
        if source == "env":
            return self._variable(name)
        return _read_file(self._directory / name, is_secret=is_secret)

    def _variable(self, name: str) -> str:
        text = self._environ.get(name)
        if text is None:
            raise UnavailableError(f"the environment variable {show(name)} is not set")
        if not text:
            raise UnavailableError(f"the environment variable {show(name)} is empty")
        # Python smuggles bytes that are no UTF-8 into os.environ as lone surrogates, which cannot be encoded again.
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise UnavailableError(f"the environment variable {show(name)} is not UTF-8")
        return text


def read_secret_file(path: Path) -> str:
    """The text of a file that is its owner's alone. Raises `UnavailableError`."""
    return _read_file(path, is_secret=True)


def _read_file(path: Path, *, is_secret: bool) -> str:
    shown = show(str(path), max_chars=_MAX_PATH_CHARS)
    try:
        # Opened first and looked at then, so that what is checked is what is read; O_NONBLOCK, for a FIFO would hang.
        with open(path, "rb", opener=_open_at_once) as stream:
            _refuse_kind(os.fstat(stream.fileno()), path, is_secret=is_secret)
            content = stream.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise UnavailableError(f"the file {shown} {_describe(error)}") from None
    if len(content) > MAX_SECRET_BYTES:
        raise UnavailableError(f"the file {shown} is larger than {MAX_SECRET_BYTES // 1024} KiB")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise UnavailableError(f"the file {shown} is not UTF-8 text") from None
    text = re.sub(r"\r?\n\Z", "", text)  # editors and `echo` end a file with one
    if not text:
        raise UnavailableError(f"the file {shown} is empty")
    return text


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _refuse_kind(status: os.stat_result, path: Path, *, is_secret: bool) -> None:
    shown = show(str(path), max_chars=_MAX_PATH_CHARS)
    if not stat.S_ISREG(status.st_mode):
        raise UnavailableError(f"{shown} is not a regular file")
    if is_secret and _is_open_to_others(status):
        raise UnavailableError(
            f"the file {shown} is open to others than its owner; run: chmod 600 {shlex.quote(str(path))}"
        )


def _is_open_to_others(status: os.stat_result) -> bool:
    """PostgreSQL's rule for its private key: what root hands over in a file of its own, the group may read.

    Kubernetes hands a secret to a container that does not run as root in no other way (`fsGroup`).
    """
    forbidden = stat.S_IRWXG | stat.S_IRWXO
    if status.st_uid == 0 and os.geteuid() != 0:
        forbidden &= ~stat.S_IRGRP
    return bool(status.st_mode & forbidden)


def _describe(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "does not exist"
        case IsADirectoryError():
            return "is a directory; name the file in it"
        case PermissionError():
            return "may not be read by the user that this runs as"
        case _:
            return f"cannot be read: {error.strerror}"
