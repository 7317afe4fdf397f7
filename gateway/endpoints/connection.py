"""The server's end of a control connection: aiohttp's protocol with this application's manners.

`web.Application` never hears of a request that aiohttp cannot parse: its protocol answers it, in plain text, with a
`Server` field that names Python's and aiohttp's versions, and logs a stack trace for it.
"""

import asyncio
import logging
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp import http as aiohttp_http

from gateway.endpoints.answers import FIXED_FIELDS, error_answer
from gateway.errors import GatewayError, Reason, Refused

LOGGER: Final = logging.getLogger("gateway.endpoints")


def require_c_parsers() -> None:
    """Refuse to run on aiohttp's pure-Python parsers: they let four more smuggling forms pass (checklist 19).

    Nothing reaches them that the data plane has not cut and written anew; this is the second lock on that door.
    """
    if aiohttp_http.HttpRequestParser.__module__ != "aiohttp._http_parser":
        raise GatewayError(
            "aiohttp runs on its pure-Python HTTP parser, which accepts requests that can be read in two ways. "
            "Install an aiohttp wheel with its C extensions and unset AIOHTTP_NO_EXTENSIONS."
        )


class Connection(web.RequestHandler):
    """One connection. `server` is the `AppRunner.server` of the application, after `AppRunner.setup()`.

    Packed bodies stay packed (`auto_decompress=False`): unpacking is where 250 KB become 249 MiB. There is no access
    log: the data plane writes it.
    """

    __slots__ = ()

    def __init__(self, server: web.Server) -> None:
        no_log: Any = None  # what AppRunner passes for "no access log"; the annotation of aiohttp does not know it
        super().__init__(server, loop=asyncio.get_running_loop(), auto_decompress=False, access_log=no_log)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp answers by itself: 400 for a request it cannot parse, 500 for an error on its own side."""
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the answer has been sent already")
        if status == 400:
            LOGGER.warning("request_unreadable error=%s", type(exc).__name__)
            answer = error_answer(Refused(Reason.BAD_REQUEST), challenge="")
        else:
            LOGGER.error("request_failed", exc_info=exc)
            answer = error_answer(Refused(Reason.INTERNAL_ERROR), challenge="")
        answer.headers.update(FIXED_FIELDS)
        # No signal reaches these answers, so aiohttp's own value can only be pre-empted, not removed.
        answer.headers[hdrs.SERVER] = "gateway"
        return answer
