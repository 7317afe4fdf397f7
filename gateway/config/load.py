"""The configuration file, and the secrets that it points to: all that `config` reads from outside."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.config import parse as parsing
from gateway.config.model import Config
from gateway.config.parse import UnavailableError
from gateway.config.sections.admin import Admin
from gateway.config.tree import Node, index_lines, index_references, line_of, show
from gateway.config.yaml_tree import compose
from gateway.errors import ConfigError, Problem, printable
from gateway.files import FileRefused, NamedFiles, describe

# A thousand routes are about 100 KiB. PyYAML needs up to 4 s for this much nonsense, and that grows with the size.
MAX_CONFIG_BYTES: Final = 256 * 1024
MAX_SECRET_BYTES: Final = 64 * 1024  # an RSA-16384 private key in PEM is 13 KiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A configuration and where its values stand, for problems that only show when it is put to use.

    `references` has what is written at each YAML path whose value comes from outside, as `{env: NAME}`. `files` has
    what has been read beside it. `digest` is a number of the file's text alone, nothing of a secret.
    """

    config: Config
    file: str
    lines: Mapping[str, int]
    references: Mapping[str, str]
    files: NamedFiles = field(default_factory=NamedFiles)
    digest: int = 0

    def problem(self, yaml_path: str, message: str) -> Problem:
        """A problem at this YAML path, with the line of it or of its nearest parent in the file."""
        return Problem(file=self.file, line=line_of(self.lines, yaml_path), path=yaml_path, message=message)


def load(path: Path, environ: Mapping[str, str], files: NamedFiles | None = None) -> Document:
    """Read a file; `{file: PATH}` in it is relative to its directory. Raises `ConfigError` with all problems.

    What it names is read through `files`, which so knows the paths also when this raises.
    """
    files = files or NamedFiles()
    files.note(path)
    return loads(_read_text(path), str(path), environ, files)


def load_to_compare(path: Path, environ: Mapping[str, str], *, by_name: bool) -> tuple[Config, bool]:
    """A configuration, and whether all its secrets could be read; the others, or with `by_name` all of them, are only
    what they are called. So it can be compared where its secrets are not, and never be run. Raises `ConfigError`."""
    sources = _ComparedSources(environ, path.parent, NamedFiles(), by_name=by_name)
    config = parsing.parse(_compose(_read_text(path), str(path)), name=str(path), resolve=sources)
    return config, sources.has_all


def load_admin(path: Path, environ: Mapping[str, str]) -> Admin:
    """The section `admin` alone, so that neither secrets nor the problems of other sections keep it from being read."""
    root = _compose(_read_text(path), str(path))
    admin: Admin = parsing.parse_section(
        root, "admin", name=str(path), resolve=_Sources(environ, path.parent, NamedFiles())
    )
    return admin


def _read_text(path: Path) -> str:
    name = str(path)
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError([Problem(file=name, line=0, path="", message=describe(error))]) from None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(file=name, line=line, path="", message="is not UTF-8; save it as UTF-8")]) from None
    return text


def loads(text: str, name: str, environ: Mapping[str, str], files: NamedFiles | None = None) -> Document:
    """The same from text; `name` is the file that problems name and `{file: PATH}` is relative to."""
    files = files or NamedFiles()
    root = _compose(text, name)
    config = parsing.parse(root, name=name, resolve=_Sources(environ, Path(name).parent, files))
    return Document(
        config=config,
        file=name,
        lines=index_lines(root),
        references=index_references(root),
        files=files,
        digest=_digest(text),
    )


def _digest(text: str) -> int:
    """As many bits as a float64 keeps."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


def _compose(text: str, name: str) -> Node:
    if len(text) > MAX_CONFIG_BYTES:
        message = f"is larger than {MAX_CONFIG_BYTES // 1024} KiB, which no configuration needs"
        raise ConfigError([Problem(file=name, line=0, path="", message=message)])
    return compose(text, name)


class _Sources:
    """Where `{env: NAME}` and `{file: PATH}` come from."""

    def __init__(self, environ: Mapping[str, str], directory: Path, files: NamedFiles) -> None:
        self._environ = environ
        self._directory = directory
        self._files = files

    def __call__(self, source: str, name: str, *, is_secret: bool) -> str:
        if source == "env":
            return self._variable(name)
        return self._text(self._directory / name, is_secret=is_secret)

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

    def _text(self, path: Path, *, is_secret: bool) -> str:
        try:
            content = self._files.read(path, max_bytes=MAX_SECRET_BYTES, is_secret=is_secret)
        except FileRefused as refusal:
            raise UnavailableError(str(refusal)) from None
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            raise UnavailableError(f"the file {printable(str(path))} is not UTF-8 text") from None
        text = re.sub(r"\r?\n\Z", "", text)  # editors and `echo` end a file with one
        if not text:
            raise UnavailableError(f"the file {printable(str(path))} is empty")
        return text


class _ComparedSources(_Sources):
    """With names in the place of secrets. `has_all` tells whether none had to be replaced."""

    def __init__(self, environ: Mapping[str, str], directory: Path, files: NamedFiles, *, by_name: bool) -> None:
        super().__init__(environ, directory, files)
        self._by_name = by_name
        self.has_all = True

    def __call__(self, source: str, name: str, *, is_secret: bool) -> str:
        if not is_secret:
            return super().__call__(source, name, is_secret=is_secret)
        if self._by_name:
            return f"{source}: {name}"
        try:
            return super().__call__(source, name, is_secret=is_secret)
        except UnavailableError:
            self.has_all = False
            return f"{source}: {name}"
