"""multipart/form-data (RFC 7578) with Django's readings, for a body that is wholly in memory.

Django is more lenient than the RFC: a delimiter counts wherever it stands, a part without Content-Disposition is passed
over, a boundary that never occurs makes an empty form. Clients that work against Django rely on it without knowing.
"""

import base64
import binascii
import html
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gateway.endpoints import media
from gateway.endpoints.answers import RequestError
from gateway.endpoints.fields import UploadedFile

MAX_PART_HEAD_BYTES: Final = 1024  # Django's
# Django allows 1000 fields and 100 files; reading a part's head costs about 20 µs of the loop.
MAX_PARTS: Final = 50

_BOUNDARY: Final = re.compile(r"[ -~]{0,200}[!-~]")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One field or file: the parameters of its Content-Disposition, its Content-Transfer-Encoding and its bytes."""

    disposition: dict[str, str]
    encoding: str
    content: bytes


def parse(body: bytes, content_type: str, charset: str) -> dict[str, str | UploadedFile]:
    """The fields of a form, the last of a name wins and a file wins over a text. Raises `RequestError` (400)."""
    pieces = body.split(b"--" + _boundary(content_type))
    if len(pieces) > MAX_PARTS + 2:  # what stands before the first delimiter and behind the last one is no part
        raise _broken("Too many parts.")
    texts: dict[str, str] = {}
    files: dict[str, UploadedFile] = {}
    for index, piece in enumerate(pieces):
        rest = pieces[index + 1 :]
        part = _part(piece.removesuffix(b"\n").removesuffix(b"\r") if rest else piece)
        if part is None or "name" not in part.disposition:
            continue
        name = _decode(part.disposition["name"], charset).strip()
        if not part.disposition.get("filename"):
            texts[name] = _text(part, charset)
        elif (file := _file(part, charset)) and rest not in ([], [b""]):
            # A file at the very end of the body was not sent to its end: Django forgets it, unlike a text.
            files[name] = file
    return {**texts, **files}


def _broken(text: str) -> RequestError:
    return RequestError(400, {"detail": f"Multipart form parse error - {text}"})


def _boundary(content_type: str) -> bytes:
    if not content_type.startswith("multipart/"):  # case-sensitive in Django, although DRF's choice of parser is not
        raise _broken(f"Invalid Content-Type: {content_type}")
    if not content_type.isascii():
        raise _broken(f"Invalid non-ASCII Content-Type in multipart: {content_type}")
    boundary = media.parse(content_type)[1].get("boundary")
    if not boundary or not _BOUNDARY.fullmatch(boundary):
        raise _broken(f"Invalid boundary in multipart: {boundary}")
    return boundary.encode("ascii")


def _part(piece: bytes) -> _Part | None:
    """None for what has no Content-Disposition, such as the text before the first delimiter."""
    end = piece.find(b"\r\n\r\n", 0, MAX_PART_HEAD_BYTES)
    if end < 0:
        if len(piece) >= MAX_PART_HEAD_BYTES:
            raise _broken("Request max total header size exceeded.")
        return None
    lines = piece[:end].split(b"\r\n")
    disposition = _field(lines, "content-disposition")
    if disposition is None:
        return None
    encoding = _field(lines, "content-transfer-encoding") or ("", {})
    return _Part(disposition=disposition[1], encoding=encoding[0], content=piece[end + 4 :])


def _field(lines: list[bytes], name: str) -> tuple[str, dict[str, str]] | None:
    """Value and parameters of the last readable field of that name: Django passes over those that it cannot read."""
    prefix = f"{name}:"
    for line in reversed(lines):
        if not line.lstrip().lower().startswith(prefix.encode()):
            continue
        try:
            main, parameters = media.parse(line.decode())
            for value in parameters.values():
                value.encode()
        except ValueError:  # not UTF-8, a lone surrogate
            continue
        return main.removeprefix(prefix).strip(), parameters
    return None


def _decode(text: str, charset: str) -> str:
    """Part heads are read as UTF-8, names in them in the charset of the request, as in Django."""
    return text.encode().decode(charset, "replace")


def _text(part: _Part, charset: str) -> str:
    content = part.content
    if part.encoding == "base64":
        with suppress(binascii.Error):
            content = base64.b64decode(content)
    return content.decode(charset, "replace")


def _file(part: _Part, charset: str) -> UploadedFile | None:
    """None for a file name that Django refuses together with its field."""
    name = html.unescape(_decode(part.disposition["filename"], charset)).rsplit("/")[-1].rsplit("\\")[-1]
    name = "".join(char for char in name if char.isprintable())
    if name in ("", ".", ".."):
        return None
    if part.encoding == "base64":
        packed = b"".join(part.content.split())
        try:
            base64.b64decode(packed[: len(packed) // 4 * 4])
        except binascii.Error:
            raise _broken("Could not decode base64 data.") from None
        if len(packed) % 4:
            raise _broken("Could not decode base64 data.")
    return UploadedFile(name)
