"""The orderly end of serving: first tell, then stop accepting, then let end what has begun."""

import asyncio
import logging
from typing import Final, Protocol

logger: Final = logging.getLogger("gateway")


class Serving(Protocol):
    """What serves the connections: `DataPlane`."""

    def begin_draining(self) -> None:
        """Say on every answer that the connection ends with it, and be not ready from now on."""

    async def drain(self, seconds: float) -> int:
        """Close what is idle, give the rest `seconds`, cut what is left then; how many connections that were."""


class Accepting(Protocol):
    """What accepts them: `Listener`."""

    def close(self) -> None:
        """Close the port."""


async def drain(serving: Serving, accepting: Accepting, *, delay: float, patience: float) -> None:
    """Seconds: `delay` until the port is closed, in which load balancers learn of it, and `patience` for the rest."""
    logger.info("draining delay=%gs timeout=%gs", delay, patience)
    serving.begin_draining()
    if delay:
        await asyncio.sleep(delay)
    accepting.close()
    cut = await serving.drain(patience)
    # Exit code 0 all the same, as with nginx and gunicorn: the end was asked for, and it came in the time that was set.
    logger.log(logging.WARNING if cut else logging.INFO, "drained cut_connections=%d", cut)
