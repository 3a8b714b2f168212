"""How many messages a second are added: one message a call with 1 and with 16 in flight, and eight messages a call."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from bench.peers.contenders import (
    FASTEST,
    FASTEST_SERVED,
    OURS,
    STREAM,
    TAKES_SEVERAL,
    TITLES,
    Scale,
)
from kata_grpc.cli.bench.figures import Figure, Target, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.peers.orders import Worker

HISTORY = 10
SEVERAL = 8
_FOUR = Target(">=", 4)
TARGETS = {
    (1, 16, OURS, FASTEST_SERVED): Target(">=", 1.3),
    (1, 16, STREAM, FASTEST): Target(">=", 1.0),
    (1, 16, OURS, "langgraph"): _FOUR,
    (1, 16, OURS, "openai-agents"): _FOUR,
    (1, 16, OURS, "openai-agents-new"): _FOUR,
    (1, 16, OURS, "google-adk"): _FOUR,
    (SEVERAL, 16, OURS, FASTEST): Target(">=", 2),
}
"""By messages a call, calls in flight, and who is compared with whom."""


async def measure(workers: Mapping[str, Worker], scale: Scale, say: Callable[[str], None]) -> list[Figure]:
    """Measure all rates, one contender after the other in each repetition."""
    everyone = [name for name in workers if name != STREAM]
    figures = await _compare(workers, scale, 1, 1, everyone, say)
    figures += await _compare(workers, scale, 1, 16, list(workers), say)
    return figures + await _compare(workers, scale, SEVERAL, 16, TAKES_SEVERAL, say)


async def _compare(
    workers: Mapping[str, Worker],
    scale: Scale,
    size: int,
    in_flight: int,
    names: Sequence[str],
    say: Callable[[str], None],
) -> list[Figure]:
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for repetition in range(scale.repetitions):
        say(f"appends of {size}, {in_flight} in flight, {repetition + 1} of {scale.repetitions}")
        for name in names if repetition % 2 else reversed(names):
            taken[name].append(
                await workers[name].do(
                    "rate",
                    in_flight=in_flight,
                    seconds=scale.seconds,
                    size=size,
                    threads=scale.threads,
                    history=HISTORY,
                )
            )
    pairs = [(OURS, name) for name in names if name not in (OURS, STREAM)]
    pairs += [(STREAM, FASTEST)] if STREAM in names else []
    return [_figure(size, in_flight, one, other, taken) for one, other in pairs]


def _figure(size: int, in_flight: int, one: str, other: str, taken: Mapping[str, list[dict[str, float]]]) -> Figure:
    rates = {name: [found["rate"] for found in taken[name]] for name in (one, other)}
    what = "one message a call" if size == 1 else f"{size} messages a call"
    return Figure(
        key=f"append_{size}_{in_flight}_{one}_{other}",
        title=f"{TITLES[one]}: {what}, {in_flight} in flight ({_times(taken[one])})",
        unit="/s",
        value=statistics.median(rates[one]),
        floor_title=f"{TITLES[other]} ({_times(taken[other])})",
        floor=statistics.median(rates[other]),
        ratio=spread([mine / beside for mine, beside in zip(rates[one], rates[other], strict=True)]),
        target=TARGETS.get((size, in_flight, one, other)),
    )


def _times(taken: Sequence[Mapping[str, float]]) -> str:
    p50, p99 = (1000 * statistics.median(found[which] for found in taken) for which in ("p50", "p99"))
    return f"p50 {p50:.2f} ms, p99 {p99:.2f} ms"
