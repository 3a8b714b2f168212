"""What a longer history costs: one append, and a read of the newest messages, in threads of several lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.peers.contenders import IN_PROCESS, OURS, TITLES, Scale, checkpoint
from kata_grpc.cli.bench.figures import Figure, Series, Target, compared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.peers.orders import Worker

FLAT = Target("<=", 1.25)
"""Kata's, at any length; the others' growth is reported."""


async def measure(workers: Mapping[str, Worker], url: str, scale: Scale, say: Callable[[str], None]) -> list[Figure]:
    """Fill a thread of each length for each contender, then measure all of them in turns."""
    names = (OURS, *IN_PROCESS)
    lengths = sorted({*scale.adds_at, *scale.reads_at})
    for name in names:
        say(f"{TITLES[name]}: threads of up to {lengths[-1]:,} messages")
        for length in lengths:
            await workers[name].do("fill", thread=f"length {length}", messages=length)
    await checkpoint(url)
    reads = await _in_turns(workers, "reads", scale.reads_at, scale, say)
    appends = await _in_turns(workers, "appends", scale.adds_at, scale, say)
    least = scale.adds_at[0]
    figures = [
        _growth(f"append_growth_{length}", name, "append", appends, length, least)
        for length in scale.adds_at[1:]
        for name in names
    ]
    least, most = scale.reads_at
    return figures + [_growth("read_growth", name, "newest 50 read", reads, most, least) for name in names]


async def _in_turns(
    workers: Mapping[str, Worker], what: str, lengths: Sequence[int], scale: Scale, say: Callable[[str], None]
) -> dict[tuple[str, int], Series]:
    """Measure the lengths of a contender right after each other: what they are compared with is their own."""
    names = (OURS, *IN_PROCESS)
    series = {(name, length): Series() for name in names for length in lengths}
    for name, length in series:
        await workers[name].do(what, thread=f"length {length}", calls=1)
    for repetition in range(scale.repetitions):
        say(f"{what} at each length, {repetition + 1} of {scale.repetitions}")
        for name, length in series if repetition % 2 else reversed(series):
            times = await workers[name].do(what, thread=f"length {length}", calls=scale.calls)
            series[name, length].repetitions.append(times)
    return series


def _growth(
    key: str, name: str, what: str, series: Mapping[tuple[str, int], Series], length: int, least: int
) -> Figure:
    return compared(
        f"{key}_{name}",
        f"{TITLES[name]}: {what}, history of {length:,}",
        series[name, length],
        f"history of {least:,}",
        series[name, least],
        target=FLAT if name == OURS else None,
    )
