"""Whether the client can take JSON, by DRF's rules (contract §7)."""

from typing import Final

from aiohttp import hdrs, web

from gateway.endpoints import media
from gateway.endpoints.answers import RequestError

# DRF's bounds on what it reads of an Accept field.
MAX_ACCEPT_CHARS: Final = 8192
MAX_ACCEPT_ENTRIES: Final = 64

# The library answers text/html with its browsable pages; here whoever asks for them gets JSON.
_RENDERED: Final = ("application/json", "text/html")


def require_acceptable(request: web.Request) -> None:
    """Raises `RequestError`: 404 for a `?format=` other than json, 406 for an Accept that admits neither JSON nor HTML.

    Quality values count for nothing, as in DRF: `application/json;q=0` is answered with JSON.
    """
    if request.query.get("format", "") not in ("", "json", "api"):
        raise RequestError(404, {"detail": "Not found."})
    accepted = _accepted(",".join(request.headers.getall(hdrs.ACCEPT, ("*/*",))))
    if not any(media.is_covered(ours, theirs) for theirs in accepted for ours in _RENDERED):
        raise RequestError(406, {"detail": "Could not satisfy the request Accept header."})


def _accepted(field: str) -> list[str]:
    if len(field) > MAX_ACCEPT_CHARS:
        # Cut behind a comma: the rest of a cut entry could read as a media type of its own.
        field = field[: field.rfind(",", 0, MAX_ACCEPT_CHARS) + 1]
    entries = [entry for entry in map(str.strip, field.split(",")) if 0 < len(entry) <= media.MAX_MEDIA_TYPE_CHARS]
    return [_media_type(entry) for entry in entries[:MAX_ACCEPT_ENTRIES]]


def _media_type(entry: str) -> str:
    try:
        return media.parse(entry)[0]
    except ValueError:
        return ""  # admits nothing
