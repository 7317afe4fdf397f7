"""The token endpoints, running: the server of their application and the data plane's connections to it."""

import asyncio
from typing import Final

from aiohttp import web, web_app

from gateway.proxy.upstream_pool import UpstreamPool

_LOOK_SECONDS: Final = 0.1


class ControlPlane:
    """`runner` has been set up; `pool` has its connections, and both end with this."""

    def __init__(self, runner: web.AppRunner, pool: UpstreamPool) -> None:
        self.pool = pool
        self._runner = runner

    async def retire(self) -> None:
        """Close when the last request that has begun is over; nobody brings it another one."""
        self.pool.close()
        # Not an event: it would have to be asked for at the end of each request, for the sake of one reload.
        while self.pool.is_busy:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        await self.close()

    async def close(self) -> None:
        self.pool.close()
        await self._runner.cleanup()
        # aiohttp 3.14 keeps the handlers of every application in a cache without bound, and with them the application:
        # 20 KiB for each reload. What is still served is put in there again by its next request.
        web_app._cached_build_middleware.cache_clear()
