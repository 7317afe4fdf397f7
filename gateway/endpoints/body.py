"""The request body of the token endpoints: read within bounds, then parsed by its media type (contract §2)."""

import asyncio
import codecs
import io
import json
import re
from typing import Any, Final, NoReturn
from urllib.parse import parse_qsl

from aiohttp import hdrs, web

from gateway.endpoints import media, multipart
from gateway.endpoints.answers import RequestError
from gateway.errors import Reason, Refused

# Two tokens of 8 KiB each, or a user name and a 4 KiB password written in \u escapes, fit well.
MAX_BODY_BYTES: Final = 64 * 1024
MAX_FORM_FIELDS: Final = 1000  # Django's

# The parser's own bound is Python's stack, which differs by version from 1000 levels to more than a body can hold.
MAX_JSON_DEPTH: Final = 600

# One that is not closed ends with the body: a search that failed would begin again at each quote in it.
# Not possessive, which early releases of Python 3.11 get wrong; nothing behind the text can fail, so nothing goes back.
_JSON_TEXTS: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)


async def read(request: web.Request, *, deadline: float) -> bytes:
    """The whole body. `deadline` (seconds) is for all of it: a body that drips in would hold its connection for ever.

    Raises `RequestError`: 415 for a packed body, which is never unpacked (250 KB can stand for 249 MiB); 413 above
    `MAX_BODY_BYTES`. Raises `Refused`: BODY_TIMEOUT, or BAD_FRAMING when the body breaks off.
    """
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").strip().lower() not in ("", "identity"):
        raise RequestError(415, {"detail": "A request body with a Content-Encoding is not accepted here."}, close=True)
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    try:
        async with asyncio.timeout(deadline):
            while chunk := await request.content.readany():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise _too_large()
    except TimeoutError:
        raise Refused(Reason.BODY_TIMEOUT) from None
    except (web.RequestPayloadError, ConnectionResetError):
        raise Refused(Reason.BAD_FRAMING) from None
    return bytes(body)


def _too_large() -> RequestError:
    return RequestError(413, {"detail": f"The request body is larger than {MAX_BODY_BYTES} bytes."}, close=True)


def parse(body: bytes, content_type: str) -> object:
    """What the body says: a mapping if all is well, any JSON value otherwise; an empty body is an empty mapping.

    `content_type` is the field's value as it came, empty when absent. Raises `RequestError`: 415 for a media type that
    the library does not take, 400 for a body that is not what its type says.
    """
    if not body:
        return {}
    media_type, parameters = _media_type(content_type)
    if media.is_covered("application/json", media_type):
        return _parse_json(body, _charset(parameters))
    if media.is_covered("application/x-www-form-urlencoded", media_type):
        return _parse_form(body, _charset(parameters))
    if media.is_covered("multipart/form-data", media_type):
        return multipart.parse(body, content_type, _charset(parameters))
    raise RequestError(415, {"detail": f'Unsupported media type "{content_type}" in request.'})


def content_type_of(request: web.Request) -> str:
    """The Content-Type as a WSGI server hands it to Django: bytes read as Latin-1, several fields joined."""
    field = ",".join(request.headers.getall(hdrs.CONTENT_TYPE, ()))
    return field.encode("utf-8", "surrogateescape").decode("latin-1")


def _media_type(content_type: str) -> tuple[str, dict[str, str]]:
    if len(content_type) > media.MAX_MEDIA_TYPE_CHARS:
        return "", {}
    try:
        return media.parse(content_type)
    except ValueError:
        return "", {}


def _charset(parameters: dict[str, str]) -> str:
    name = parameters.get("charset", media.DEFAULT_CHARSET)
    try:
        return media.charset(name)
    except LookupError:
        raise RequestError(400, {"detail": f'Unsupported charset "{name}" in request Content-Type header.'}) from None


def _parse_json(body: bytes, charset: str) -> Any:
    try:
        # A stream reader, as in DRF: it passes over a character that is cut off at the very end of the body.
        text = codecs.getreader(charset)(io.BytesIO(body)).read()
        _check_depth(text)
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise RequestError(400, {"detail": f"JSON parse error - {error}"}) from None


def _check_depth(text: str) -> None:
    """The library answers 500 where its stack ends. Raises `ValueError` above `MAX_JSON_DEPTH`."""
    if text.count("[") + text.count("{") <= MAX_JSON_DEPTH:
        return
    depth = 0
    for character in _JSON_TEXTS.sub("", text):  # a password may hold any number of brackets
        if character in "[{":
            depth += 1
            if depth > MAX_JSON_DEPTH:
                raise ValueError("Too many levels of nesting")
        elif character in "]}":
            depth -= 1


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"Out of range float values are not JSON compliant: {name!r}")


def _parse_form(body: bytes, charset: str) -> dict[str, str]:
    try:
        text = body.decode(charset)
    except UnicodeDecodeError:
        text = body.decode("iso-8859-1")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, encoding=charset, max_num_fields=MAX_FORM_FIELDS)
    except ValueError:
        raise RequestError(400, {"detail": f"The form has more than {MAX_FORM_FIELDS} fields."}) from None
    return dict(pairs)
