"""What a longer history costs: one append, and a read of the newest messages, in a thread that grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.peers.contenders import IN_PROCESS, OURS, TITLES, Scale
from kata_grpc.cli.bench.figures import Figure, Series, Target, compared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.peers.orders import Worker

FLAT = Target("<=", 1.25)
"""Kata's, at any length; the others' growth is reported."""
_THREAD = "growing"


async def measure(workers: Mapping[str, Worker], scale: Scale, say: Callable[[str], None]) -> list[Figure]:
    """Let one thread of each contender grow, and measure at each length, in turns."""
    names = (OURS, *IN_PROCESS)
    appends: dict[tuple[str, int], Series] = {}
    reads: dict[tuple[str, int], Series] = {}
    for length in sorted({*scale.adds_at, *scale.reads_at}):
        say(f"a history of {length:,} messages")
        for name in names:
            await workers[name].do("fill", thread=_THREAD, messages=length)
        # Reads first: they leave the length as it is.
        if length in scale.reads_at:
            reads |= {(name, length): series for name, series in (await _in_turns(workers, "reads", scale)).items()}
        if length in scale.adds_at:
            appends |= {(name, length): series for name, series in (await _in_turns(workers, "appends", scale)).items()}
    least = scale.adds_at[0]
    figures = [
        _growth(f"append_growth_{length}", name, "append", appends, length, least)
        for length in scale.adds_at[1:]
        for name in names
    ]
    least, most = scale.reads_at
    return figures + [_growth("read_growth", name, "newest 50 read", reads, most, least) for name in names]


async def _in_turns(workers: Mapping[str, Worker], what: str, scale: Scale) -> dict[str, Series]:
    names = (OURS, *IN_PROCESS)
    series = {name: Series() for name in names}
    for name in names:
        await workers[name].do(what, thread=_THREAD, calls=1)
    for repetition in range(scale.repetitions):
        for name in names if repetition % 2 else reversed(names):
            series[name].repetitions.append(await workers[name].do(what, thread=_THREAD, calls=scale.calls))
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
