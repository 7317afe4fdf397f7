"""The demo's legacy backend: it knows nothing of tokens and shows each request as it received it."""

import contextlib
import socket
from collections.abc import AsyncIterator

from aiohttp import web


@contextlib.asynccontextmanager
async def serving(listener: socket.socket) -> AsyncIterator[None]:
    """Serve on a bound socket, which is closed at the end."""
    # auto_decompress off: a packed body is shown as it came, too.
    runner = web.ServerRunner(web.Server(_show, access_log=None, auto_decompress=False), shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()


async def _show(request: web.BaseRequest) -> web.Response:
    """The request as text: its line, its fields, its body."""
    version = f"HTTP/{request.version.major}.{request.version.minor}"
    lines = [f"{request.method} {request.raw_path} {version}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    body = (await request.read()).decode(errors="replace")
    return web.Response(text="\n".join([*lines, "", body]).rstrip() + "\n")
