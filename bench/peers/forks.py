"""Going back: a fork at the middle of a conversation, what it writes, and the list of points to go back to.

Beside Kata is LangGraph alone, the one of these libraries that goes back: it updates the state of an old checkpoint.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from bench.peers.contenders import OURS, Scale, checkpoint, database
from bench.peers.orders import worker
from kata_grpc.cli.bench.figures import Figure, Series, compared, expect
from kata_grpc.db import connect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PEER = "langgraph"
_TABLES = "select format('%I', tablename) as name from pg_tables where schemaname = 'public' order by 1"
_THREAD = "forked"


async def measure(
    python: Path, url: str, address: str, logs: Path, scale: Scale, say: Callable[[str], None]
) -> list[Figure]:
    """Let both have a conversation of the same length, then go back in it, in turns."""
    say(f"forks of a conversation of {scale.forked:,} messages")
    peer_url = await database(url, "forks")
    urls = {OURS: url, PEER: peer_url}
    forks = {name: Series() for name in urls}
    histories = {name: Series() for name in urls}
    async with AsyncExitStack() as stack:
        workers = {
            name: await stack.enter_async_context(worker(python, "bench.peers.forking", name, where, logs))
            for name, where in ((OURS, address), (PEER, peer_url))
        }
        for filled in workers.values():
            await filled.do("fill", thread=_THREAD, messages=scale.forked)
        await checkpoint(url)
        middle = scale.forked // 2
        for repetition in range(scale.repetitions):
            for name in urls if repetition % 2 else reversed(urls):
                times = await workers[name].do("histories", thread=_THREAD, points=scale.forked, calls=scale.calls)
                histories[name].repetitions.append(times)
        for repetition in range(scale.repetitions):
            for name in urls if repetition % 2 else reversed(urls):
                times = await workers[name].do("forks", thread=_THREAD, at=middle, calls=scale.calls)
                forks[name].repetitions.append(times)
        written = {}
        for name, where in urls.items():
            before = await _stored(where)
            await workers[name].do("forks", thread=_THREAD, at=middle, calls=1)
            after = await _stored(where)
            written[name] = tuple(new - old for old, new in zip(before, after, strict=True))
            expect(written[name][0] > 0, True, f"{name}: rows of a fork")
    title = f"fork of {scale.forked:,} messages at {middle:,}, with one more"
    beside = "LangGraph aupdate_state of an old checkpoint"
    return [
        compared("fork_peer", f"Kata over gRPC: {title}", forks[OURS], beside, forks[PEER]),
        *(
            Figure(
                key=f"fork_peer_{what.split()[0]}",
                title=f"Kata: {what} that it writes",
                unit="",
                value=written[OURS][place],
                floor_title=beside,
                floor=written[PEER][place],
            )
            for place, what in enumerate(("rows", "bytes of rows"))
        ),
        compared(
            "history_peer",
            f"Kata over gRPC: ListHistory of {scale.forked:,} messages",
            histories[OURS],
            "LangGraph aget_state_history",
            histories[PEER],
        ),
    ]


async def _stored(url: str) -> tuple[int, int]:
    """Count the rows of a database, and their bytes."""
    connection = await connect.open_connection(url)
    try:
        counts = []
        for table in await connection.fetch(_TABLES):
            sql = f"select count(*), coalesce(sum(pg_column_size(t.*)), 0)::bigint from {table['name']} t"  # noqa: S608
            counts += await connection.fetch(sql)
    finally:
        await connection.close()
    return sum(rows for rows, _ in counts), sum(size for _, size in counts)
