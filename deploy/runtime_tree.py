"""Copies the Python that runs this into a folder, with the shared libraries that it and further trees need and no more.

    python runtime_tree.py FOLDER TREE...

What comes out is the root of an image without shell, package manager or other programs. It works for any Python on a
glibc system, since it asks this one where its parts are: the official images have them in /usr/local, Debian in /usr.
"""

import re
import shutil
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

# Nothing imports them here, and together they are more than all that is left.
UNUSED = {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "pydoc_data", "venv", "xmlrpc"}
UNUSED |= {"curses", "_pyrepl", "__phello__", "__pycache__", "site-packages", "dist-packages"}
UNUSED_PATTERNS = ("config-*", "*.a", "_test*", "_tkinter*", "_curses*", "_dbm*", "_gdbm*", "readline*", "_xxtestfuzz*")


def main(folder: Path, trees: Iterable[Path]) -> None:
    standard_library = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(standard_library, below(folder, standard_library), ignore=is_unused)
    libraries = [so for tree in (below(folder, standard_library), *trees) for so in sorted(tree.rglob("*.so"))]
    python = Path(sys.executable)
    # Where /lib64 is a link to /usr/lib64, programs name their loader by it.
    merged = [path for path in Path("/").glob("lib*") if path.is_symlink()]
    for path in [*merged, *chain(python), *(link for each in linked([python, *libraries]) for link in chain(each))]:
        copy(path, folder)
    copy_certificates(folder)


def below(folder: Path, path: Path) -> Path:
    return folder / path.relative_to("/")


def is_unused(_folder: str, names: list[str]) -> set[str]:
    matching = shutil.ignore_patterns(*UNUSED_PATTERNS)(_folder, names)
    return {name for name in names if name in UNUSED} | matching


def chain(path: Path) -> Iterator[Path]:
    """The path and what it points to, one link after another, in folders that are none themselves."""
    while True:
        path = path.parent.resolve() / path.name
        yield path
        if not path.is_symlink():
            return
        path = path.parent / path.readlink()


def copy(path: Path, folder: Path) -> None:
    target = below(folder, path)
    if not target.is_symlink() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target, follow_symlinks=False)


def linked(files: Iterable[Path]) -> list[Path]:
    """What the loader loads with them, and the loader itself."""
    found: set[str] = set()
    for file in files:
        said = subprocess.run(["ldd", file], capture_output=True, text=True, check=False).stdout  # noqa: S603, S607
        found.update(re.findall(r"(?:=> |^\s*)(/\S+) \(0x", said, re.MULTILINE))
    return [Path(name) for name in sorted(found)]


def copy_certificates(folder: Path) -> None:
    """The system's authorities, where this Python's OpenSSL looks for them."""
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    target = below(folder, bundle)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(bundle, target)
    default = below(folder, Path(ssl.get_default_verify_paths().openssl_cafile))
    default.parent.mkdir(parents=True, exist_ok=True)
    if not default.exists():
        default.symlink_to(bundle)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
