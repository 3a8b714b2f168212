"""Orders from the driver to a process in the libraries' environment: a JSON line each, answered by a line each.

An order is the name of a method in `do`, and the method's arguments. Standard library and uvloop only: both sides
import this module.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).resolve().parents[2]
_MAX_LINE = 256 * 1024 * 1024
_STOP_SECONDS = 20.0


class OrderError(Exception):
    """What a process could not do, in its own words."""


def obey(target: object) -> None:
    """Carry out the orders that come on standard input, until it ends."""
    uvloop.run(_obey(target))


async def _obey(target: object) -> None:
    # Whatever a library prints goes where its complaints go.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        try:
            answer = {"done": await getattr(target, order.pop("do"))(**order)}
        except Exception as error:  # noqa: BLE001 - a library may raise anything; whoever ordered is told
            traceback.print_exc()
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that takes orders."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    async def do(self, order: str, **arguments: object) -> Any:
        """Give an order, and return what came of it."""
        if self.process.stdin is None or self.process.stdout is None:
            raise TypeError("the process was started with pipes")
        self.process.stdin.write(json.dumps({"do": order, **arguments}).encode() + b"\n")
        await self.process.stdin.drain()
        line = await self.process.stdout.readline()
        answer = json.loads(line) if line else {"failed": self._last_words()}
        if "failed" in answer:
            raise OrderError(f"{self.name} could not {order}: {answer['failed']}")
        return answer["done"]

    def _last_words(self) -> str:
        return (self.log.read_text(errors="replace").strip().splitlines() or ["it ended and said nothing"])[-1]


@asynccontextmanager
async def worker(python: Path, module: str, name: str, address: str, logs: Path) -> AsyncIterator[Worker]:
    """Run a module of the libraries' environment for a contender, connected to `address`."""
    log = logs / f"{name}.log"
    with log.open("wb") as complaints:
        process = await asyncio.create_subprocess_exec(
            *(python, "-m", module, name),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=complaints,
            limit=_MAX_LINE,
        )
    started = Worker(name, process, log)
    try:
        await started.do("open", address=address)
        yield started
        await started.do("close")
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
