"""The fixtures of tests over a running server; a conftest imports them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.rpc.serving import FreshDatabase, Running, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(fresh_url: FreshDatabase) -> AsyncIterator[Running]:
    """Serves all tests of a package."""
    async with serve(await fresh_url()) as running:
        yield running
