from collections.abc import AsyncIterator

import pytest

from tests.unit.proxy.plane import World, running


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running() as world:
        yield world
