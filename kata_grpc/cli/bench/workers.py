"""Two worker processes beside one, under a load generator in C, and who had the processors meanwhile.

Each h2load repeats one append to a context of its own: a gRPC call is a POST of five bytes and a message. What counts
is what was committed, as the contexts say themselves; h2load sees HTTP only.
"""

from __future__ import annotations

import asyncio
import shutil
import struct
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kata.context.v1 import context_service_pb2 as contexts
from kata.context.v1 import message_pb2
from kata.context.v1 import message_service_pb2 as pb

from kata_grpc.cli.bench import processes
from kata_grpc.cli.bench.data import TEXT_BYTES
from kata_grpc.cli.bench.figures import Figure, MeasurementError, spread
from kata_grpc.cli.bench.load import parent_of, seconds_of
from kata_grpc.cli.bench.rig import client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from kata_grpc.cli.bench.rig import Client, Rig

COUNTS = (1, 2)
_PATH = "kata.context.v1.MessageService/AppendMessages"
_GENERATORS = 8
_CONNECTIONS = 2
_IN_FLIGHT = 4
"""Of each connection."""
_SECONDS = 2.0
_WARMUP_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Taken:
    """A stretch of load: what was committed a second, and the shares of the processor time that it took."""

    rate: float
    generators: float
    workers: float
    database: float


async def measure(rig: Rig) -> list[Figure]:
    """Measure servers of one and of two workers, one after the other in each repetition."""
    program = shutil.which("h2load")
    if program is None:
        rig.say("skipped: h2load is not installed (Debian: nghttp2-client; 'make deps' as root installs it)")
        return []
    rig.say("workers under h2load")
    taken: dict[int, list[Taken]] = {workers: [] for workers in COUNTS}
    for _ in range(rig.scale.repetitions):
        for workers in COUNTS:
            taken[workers].append(await _loaded(rig, program, workers))
    one, two = taken[1], taken[2]
    return [
        Figure(
            key="workers_rate",
            title=f"appends under h2load, 2 workers ({_shares(two)})",
            unit="/s",
            value=spread([found.rate for found in two]).median,
            floor_title=f"1 worker ({_shares(one)})",
            floor=spread([found.rate for found in one]).median,
            ratio=spread([more.rate / less.rate for more, less in zip(two, one, strict=True)]),
        )
    ]


def _shares(taken: Sequence[Taken]) -> str:
    parts = ("generators", "workers", "database")
    named = (f"{part} {spread([getattr(found, part) for found in taken]).median:.0%}" for part in parts)
    return f"of processor time {', '.join(named)}"


async def _loaded(rig: Rig, program: str, workers: int) -> Taken:
    """Put a server of its own under load for a while."""
    database = parent_of(rig.connection.get_server_pid())
    environ = {"DATABASE_URL": rig.url, "KATA_LOG_LEVEL": "warning", "KATA_WORKERS": str(workers)}
    async with processes.service(rig.home, environ) as server, client(server) as of:
        made = [await of.contexts.CreateContext(contexts.CreateContextRequest()) for _ in range(_GENERATORS)]
        ids = [created.context.context_id for created in made]
        async with _generators(program, server.address, ids) as generators:
            await asyncio.sleep(_WARMUP_SECONDS)
            started, before = time.perf_counter(), await _committed(of, ids)
            pids = (*generators, server.process.pid, database)
            at_first = [seconds_of(pid) for pid in pids]
            await asyncio.sleep(_SECONDS)
            seconds, after = time.perf_counter() - started, await _committed(of, ids)
            *loading, working, storing = (now - then for now, then in zip(map(seconds_of, pids), at_first, strict=True))
    if after == before:
        raise MeasurementError("The measurement is wrong: no append of h2load was committed.")
    total = sum(loading) + working + storing
    return Taken((after - before) / seconds, sum(loading) / total, working / total, storing / total)


@asynccontextmanager
async def _generators(program: str, address: str, ids: Sequence[str]) -> AsyncIterator[list[int]]:
    """Run an h2load for each context; yield their process ids."""
    running = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number, context_id in enumerate(ids):
                body = Path(folder) / str(number)
                body.write_bytes(_body(context_id))
                running.append(
                    await asyncio.create_subprocess_exec(
                        *(program, "-d", body, "-H", "content-type: application/grpc", "-H", "te: trailers"),
                        *("-c", str(_CONNECTIONS), "-m", str(_IN_FLIGHT), "-t", "1"),
                        *("-D", str(round(10 * (_SECONDS + _WARMUP_SECONDS))), f"http://{address}/{_PATH}"),
                        stdin=asyncio.subprocess.DEVNULL,
                        stdout=asyncio.subprocess.DEVNULL,
                    )
                )
            yield [process.pid for process in running]
        finally:
            for process in running:
                if process.returncode is None:
                    process.terminate()
                await process.wait()


def _body(context_id: str) -> bytes:
    """Return an append as gRPC frames it."""
    message = message_pb2.Message(role=message_pb2.ROLE_USER, text=("every word of this is old " * 40)[:TEXT_BYTES])
    data = pb.AppendMessagesRequest(context_id=context_id, messages=[message]).SerializeToString()
    return struct.pack(">?I", False, len(data)) + data


async def _committed(of: Client, ids: Sequence[str]) -> int:
    found = [await of.contexts.GetContext(contexts.GetContextRequest(context_id=one)) for one in ids]
    return sum(answer.context.latest_version for answer in found)
