"""The append's storage layer alone: group commit, repository and pool in a process without gRPC.

Run as a module: the database's URL, the seconds of each measurement and how many appends wait at a time are arguments,
ids of contexts come on standard input. Prints the rates.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from hashlib import sha256
from itertools import cycle
from typing import TYPE_CHECKING
from uuid import UUID

import uvloop

from kata_grpc.cli.bench.data import TEXT_BYTES
from kata_grpc.cli.bench.figures import MeasurementError, expect
from kata_grpc.codec import context_fields, encode_body, record_head, to_proto
from kata_grpc.db.pool import Database, PoolOptions
from kata_grpc.domain.contexts import DEFAULT_TOKENIZER, TenantId
from kata_grpc.domain.messages import Message, Role, TokenCountSource
from kata_grpc.repositories.messages import Batch, MessageRepository, NewMessage
from kata_grpc.services.appending import GroupCommit

if TYPE_CHECKING:
    from collections.abc import Sequence

TOKENS = 120
_TENANT = TenantId("default")


async def rates(url: str, seconds: float, waiting: Sequence[int], contexts: Sequence[UUID]) -> list[float]:
    """Measure in a process of its own; return appends a second, by how many wait at a time."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, url, str(seconds), *map(str, waiting)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate(json.dumps(list(map(str, contexts))).encode())
    if process.returncode:
        raise MeasurementError("The storage layer alone failed; its words are above.")
    found: list[float] = json.loads(out)
    return found


def _batch(context_id: UUID) -> Batch:
    body = encode_body(to_proto(Message(Role.USER, "a word " * (TEXT_BYTES // 7))))
    digest = sha256(body).digest()
    head = record_head(context_fields(context_id, DEFAULT_TOKENIZER), TOKENS, TokenCountSource.COUNTED, body)
    new = NewMessage(Role.USER, TOKENS, 0, TokenCountSource.COUNTED, True, digest, head)
    return Batch(context_id, _TENANT, DEFAULT_TOKENIZER, None, None, digest, digest, None, [new])


async def _measure(url: str, seconds: float, waiting: Sequence[int], contexts: Sequence[UUID]) -> list[float]:
    database = await Database.open(url, PoolOptions())
    try:
        group = GroupCommit(MessageRepository(database))
        batches = list(map(_batch, contexts))
        return [await _rate(group, batches, seconds, count) for count in waiting]
    finally:
        await database.close()


async def _rate(group: GroupCommit, batches: Sequence[Batch], seconds: float, waiting: int) -> float:
    turns = cycle(batches)
    started = time.perf_counter()

    async def append() -> int:
        done = 0
        while time.perf_counter() - started < seconds:
            expect(await group.append(next(turns)) is not None, True, "an append to the storage layer")
            done += 1
        return done

    done = sum(await asyncio.gather(*(append() for _ in range(waiting))))
    return done / (time.perf_counter() - started)


if __name__ == "__main__":
    url_, seconds_, *waiting_ = sys.argv[1:]
    ids = [UUID(text) for text in json.load(sys.stdin)]
    os.write(1, json.dumps(uvloop.run(_measure(url_, float(seconds_), list(map(int, waiting_)), ids))).encode())
