"""The contexts that are measured: created by calls, filled by SQL as appends would fill them, and recounted.

A million appends take minutes and say nothing about the million-and-first; the statements of `fill.sql` write the same
columns in one go, and `recount` holds every row against the one before.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from dataclasses import dataclass
from importlib import resources
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from kata.context.v1 import context_service_pb2 as contexts

from kata_grpc.cli.bench.figures import expect
from kata_grpc.codec import encode_body, to_proto
from kata_grpc.db.query import load
from kata_grpc.domain.contexts import DEFAULT_TOKENIZER
from kata_grpc.domain.messages import Message, Role
from kata_grpc.limits import MAX_APPEND_MESSAGES
from kata_grpc.tokenizers import Tokenizers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kata.context.v1.context_service_pb2_grpc import ContextServiceAsyncStub

    from kata_grpc.db.connect import Connection

SQL = load("kata_grpc.cli.bench", "fill.sql")
SHORT_MESSAGES = 1_000
TEXT_BYTES = 600
_TEXTS = 64
_CREATES_AT_ONCE = 16
_SYSTEM = "You are a careful assistant. Answer from the conversation, and say so when you do not know."
_WORDS = (
    "the order was sent on Tuesday but its second parcel never came back to our desk, so a colleague asked why and "
    "wrote down what we knew: two labels, one scan in Leipzig, no signature; after lunch they called again about "
    "refunds, exchange rates, a broken hinge, missing screws, an invoice with the wrong name and some older case"
)
_LONG_WORDS = (
    "information development international organization environment performance understanding communication "
    "responsibility administration relationship implementation infrastructure representation transportation"
)
"""A token each, so that 100,000 messages stay within the largest budget."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is filled and how often it is measured."""

    long_messages: int = 1_000_000
    stream_messages: int = 100_000
    repetitions: int = 5
    calls: int = 200
    starts: int = 5
    replays: int = 10
    compacted_messages: int = 100_000
    agents_seconds: float = 60.0
    forks: int = 10_000


FULL = Scale()
QUICK = Scale(
    long_messages=100_000,
    stream_messages=20_000,
    repetitions=3,
    calls=50,
    starts=2,
    replays=2,
    compacted_messages=10_000,
    agents_seconds=10.0,
    forks=1_000,
)


@dataclass(frozen=True, slots=True)
class Filled:
    """The contexts, by what they are for."""

    long: UUID
    shorts: Sequence[UUID]
    stream: UUID
    rows: int


def files() -> tuple[Sequence[str], str]:
    """Return the files with conversations, and what they are."""
    folder = os.environ.get("KATA_TEST_DATA", "")
    # A name with a second dot is something about a conversation file, not one.
    found = (
        sorted(path for path in Path(folder).glob("*.jsonl*") if path.name.split(".")[1] == "jsonl") if folder else []
    )
    if found:
        return [str(path) for path in found], "KATA_TEST_DATA"
    samples = resources.files("kata_grpc") / "samples"
    return [str(entry) for entry in samples.iterdir() if entry.name.endswith(".jsonl")], "the shipped sample"


def texts(words: str, seed: int) -> list[str]:
    """Return different texts of the same length made of `words`."""
    chosen = random.Random(seed)  # noqa: S311 - the same texts in every run
    from_words = words.split()
    made = []
    for _ in range(_TEXTS):
        text = ""
        while len(text) < TEXT_BYTES:
            text += chosen.choice(from_words) + " "
        made.append(text[:TEXT_BYTES])
    return made


def prose() -> list[str]:
    """Return the texts that most messages have."""
    return texts(_WORDS, 1)


async def fill(connection: Connection, stub: ContextServiceAsyncStub, scale: Scale) -> Filled:
    """Create and fills the contexts: one of them is half of all messages."""
    shorts = (scale.long_messages - scale.stream_messages) // SHORT_MESSAGES
    long, stream, *rest = await create(stub, shorts + 2)
    dense = texts(_LONG_WORDS, 2)
    await _fill(connection, [long], scale.long_messages, prose())
    await _fill(connection, rest, SHORT_MESSAGES, prose())
    await _fill(connection, [stream], scale.stream_messages, dense)
    expect(await connection.fetchval(SQL.recount.text), 0, "generated rows that no append would have written")
    await connection.execute("vacuum (analyze)")
    await connection.execute("checkpoint")
    return Filled(long, rest, stream, 2 * scale.long_messages)


async def create(stub: ContextServiceAsyncStub, count: int) -> list[UUID]:
    """Create empty contexts."""
    gate = asyncio.Semaphore(_CREATES_AT_ONCE)

    async def one(number: int) -> UUID:
        async with gate:
            created = await stub.CreateContext(contexts.CreateContextRequest(name=f"bench {number}"))
        return UUID(created.context.context_id)

    return await asyncio.gather(*map(one, range(count)))


async def _fill(connection: Connection, ids: Sequence[UUID], count: int, of: Sequence[str]) -> None:
    messages = [Message(Role.SYSTEM, _SYSTEM)]
    messages += [Message(Role.ASSISTANT if place % 2 else Role.USER, text) for place, text in enumerate(of)]
    counts = [counted.tokens for counted in await Tokenizers().count(messages, DEFAULT_TOKENIZER)]
    bodies = [encode_body(to_proto(message)) for message in messages]
    batch = min(count, MAX_APPEND_MESSAGES)
    running = list(accumulate(counts[1:]))
    async with connection.transaction():
        await connection.execute(SQL.fill_messages.text, ids, count, batch, bodies, counts, running)
        await connection.execute(SQL.fill_revisions.text, ids, json.dumps([[None, ""]] * batch).encode())
        await connection.execute(SQL.fill_contexts.text, ids, count)
