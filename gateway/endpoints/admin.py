"""What probes ask, an application of its own: the data plane has no way to it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from gateway.endpoints.answers import add_fixed_fields, error_answer, json_answer
from gateway.endpoints.view import on_expect
from gateway.errors import Reason, Refused

OK: Final = "ok"

Check = Callable[[], str]
"""`OK`, or in a word or two what is not well."""
Scrape = Callable[[str], Awaitable[tuple[bytes, str]]]
"""Accept field → body and content type."""


def build_admin_application(*, readiness: Mapping[str, Check], scrape: Scrape) -> web.Application:
    """`/healthz`: the process answers. `/readyz`: all of `readiness` is well, with `?verbose` what of it is not.

    `/metrics`: what `scrape` gives.
    """
    application = web.Application(middlewares=[_not_found_for_all_refusals])
    application.on_response_prepare.append(add_fixed_fields)
    handlers = {"/healthz": _answer_healthz, "/readyz": _readyz(readiness), "/metrics": _metrics(scrape)}
    for path, handler in handlers.items():
        application.router.add_get(path, handler, expect_handler=on_expect)
    application.router.add_route("*", "/{path:.*}", _answer_not_found, expect_handler=on_expect)
    return application


async def _answer_healthz(_request: web.Request) -> web.Response:
    return _last_answer(json_answer(200, {"status": OK}))


def _readyz(readiness: Mapping[str, Check]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer_readyz(request: web.Request) -> web.Response:
        checks = {name: check() for name, check in readiness.items()}
        is_ready = all(said == OK for said in checks.values())
        body: dict[str, Any] = {"status": OK if is_ready else "unavailable"}
        if "verbose" in request.query:
            body["checks"] = checks
        return _last_answer(json_answer(200 if is_ready else 503, body))

    return answer_readyz


def _metrics(scrape: Scrape) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer_metrics(request: web.Request) -> web.Response:
        body, content_type = await scrape(request.headers.get(hdrs.ACCEPT, ""))
        return _last_answer(web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type}))

    return answer_metrics


async def _answer_not_found(_request: web.Request) -> web.Response:
    return _last_answer(error_answer(Refused(Reason.NO_ROUTE), challenge=""))


@web.middleware
async def _not_found_for_all_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Targets that are no path (`OPTIONS *`) fit no route, and aiohttp's own answer is plain text."""
    try:
        return await handler(request)
    except web.HTTPException:
        return await _answer_not_found(request)


def _last_answer(answer: web.Response) -> web.Response:
    """A connection is for one request: it has a time to end, and a client must not meet that with its next one."""
    answer.force_close()
    return answer
