"""From starting the command to the first answered call, with the embedded PostgreSQL."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kata.context.v1 import context_service_pb2 as contexts

from kata_grpc.cli.bench import processes
from kata_grpc.cli.bench.figures import Figure, Series, Target
from kata_grpc.cli.bench.rig import client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kata_grpc.cli.bench.data import Scale


async def measure(home: Path, scale: Scale, say: Callable[[str], None]) -> list[Figure]:
    """Measure the first start, which creates and migrates the database, and later ones."""
    say("starts of a server with its own database")
    first = await _start(home)
    later = Series([[await _start(home)] for _ in range(scale.starts)])
    return [
        Figure(key="start_first", title="first start to first answered call (empty directory)", unit="s", value=first),
        Figure(
            key="start_second",
            title="second start to first answered call",
            unit="s",
            value=later.p50,
            p99=later.p99,
            target=Target("<=", 3, "value"),
        ),
    ]


async def _start(home: Path) -> float:
    started = time.perf_counter()
    async with processes.service(home, {"KATA_DATA_DIR": str(home)}) as server, client(server) as of:
        await of.contexts.ListContexts(contexts.ListContextsRequest(page_size=1))
        return time.perf_counter() - started
