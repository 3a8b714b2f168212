"""The process that appends to one contender and reads from it; times are taken here, around the calls of the library.

Run as a module in the environment of the libraries, with the contender's name.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import defaultdict, deque
from itertools import count
from typing import TYPE_CHECKING

from bench.peers.libraries import Library, Turn, library
from bench.peers.orders import obey

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

TEXT_BYTES = 600
LAST = 50
_TEXTS = 4096
_FILL_AT_ONCE = 500
_READ_SECONDS = 0.2
_WORDS = (
    "the order was sent on Tuesday but its second parcel never came back to our desk so a colleague asked why and "
    "wrote down what we knew two labels one scan in Leipzig no signature after lunch they called again about refunds "
    "exchange rates a broken hinge missing screws an invoice with the wrong name and some older case"
)


class Appending:
    """One contender, and what it was given."""

    def __init__(self, contender: Library) -> None:
        self._library = contender
        self._turns = turns()
        self._names = count()
        self._newest: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=LAST))
        self._sizes: dict[str, int] = defaultdict(int)

    async def open(self, address: str) -> None:
        """Connect."""
        await self._library.open(address)

    async def fill(self, thread: str, messages: int) -> None:
        """Let a thread grow to a number of messages."""
        while (missing := messages - self._sizes[thread]) > 0:
            await self._append(thread, min(missing, _FILL_AT_ONCE))

    async def rate(self, in_flight: int, seconds: float, size: int, threads: int, history: int) -> dict[str, float]:
        """Keep appends of `size` messages in flight for a while, each to the next of new threads; return the rate."""
        made = [f"rate {next(self._names)}" for _ in range(threads)]
        for thread in made:
            await self.fill(thread, history)
        times: list[float] = []
        started = time.perf_counter()

        async def caller(number: int) -> None:
            # No two calls at a time for one thread: each caller has threads of its own.
            own = made[number::in_flight]
            for turn in count():
                if (begun := time.perf_counter()) - started >= seconds:
                    break
                await self._append(own[turn % len(own)], size)
                times.append(time.perf_counter() - begun)

        await asyncio.gather(*map(caller, range(in_flight)))
        elapsed = time.perf_counter() - started
        times.sort()
        return {
            "rate": len(times) * size / elapsed,
            "p50": times[len(times) // 2],
            "p99": times[min(len(times) - 1, int(len(times) * 0.99))],
        }

    async def appends(self, thread: str, calls: int) -> list[float]:
        """Append to one thread call by call; return the seconds of each."""
        return [await self._timed(self._append(thread, 1)) for _ in range(calls)]

    async def reads(self, thread: str, calls: int) -> list[float]:
        """Read the newest messages of a thread, and compare them; return the seconds of each.

        Quick reads are repeated for a while: they change nothing, and a few say little.
        """
        times: list[float] = []
        while len(times) < calls or sum(times) < _READ_SECONDS:
            started = time.perf_counter()
            texts = await self._library.read_last(thread, LAST)
            times.append(time.perf_counter() - started)
            if texts != list(self._newest[thread]):
                raise ValueError(f"{thread}: what was read is not what was appended")
        return times

    async def close(self) -> None:
        """Disconnect."""
        await self._library.close()

    async def _append(self, thread: str, size: int) -> None:
        batch = [next(self._turns) for _ in range(size)]
        self._sizes[thread] += size
        self._newest[thread].extend(turn.text for turn in batch)
        await self._library.append(thread, batch)

    async def _timed(self, call: Awaitable[None]) -> float:
        started = time.perf_counter()
        await call
        return time.perf_counter() - started


def turns() -> Iterator[Turn]:
    """Yield messages of the same length for ever, user and assistant in turn; no text comes again soon."""
    chosen = random.Random(1)  # noqa: S311 - the same texts for every contender
    words, made = _WORDS.split(), []
    for number in range(_TEXTS):
        text = f"{number} " + " ".join(chosen.choices(words, k=TEXT_BYTES))
        made.append(Turn(number % 2 == 0, text[:TEXT_BYTES]))
    while True:
        yield from made


if __name__ == "__main__":
    obey(Appending(library(sys.argv[1])))
