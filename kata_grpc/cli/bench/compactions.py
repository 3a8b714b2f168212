"""CompactContext of a long context of recorded messages by the service, beside reading what it hides."""

from __future__ import annotations

import time
from itertools import cycle, islice
from typing import TYPE_CHECKING

from kata.context.v1 import compaction_pb2
from kata.context.v1 import message_service_pb2 as pb
from kata.context.v1 import policy_service_pb2 as ps
from kata.context.v1.policy_service_pb2_grpc import PolicyServiceStub

from kata_grpc.cli.bench import probes
from kata_grpc.cli.bench.data import create
from kata_grpc.cli.bench.figures import Figure, Series, expect, spread
from kata_grpc.codec import to_proto
from kata_grpc.limits import MAX_PAGE, MIB

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from kata.context.v1 import message_pb2

    from kata_grpc.cli.bench.rig import Rig

_BATCH = 100
_SECONDS = 300.0


async def measure(rig: Rig) -> list[Figure]:
    """Compact a context as often as it is measured, and take it back each time."""
    count = rig.scale.compacted_messages
    rig.say(f"CompactContext of {count:,} recorded messages")
    (context_id,) = await create(rig.client.contexts, 1)
    messages = _recorded(count)
    while batch := list(islice(messages, _BATCH)):
        await rig.client.messages.AppendMessages(pb.AppendMessagesRequest(context_id=str(context_id), messages=batch))
    stub = PolicyServiceStub(rig.client.channel)
    compact = ps.CompactContextRequest(context_id=str(context_id))
    revert = ps.RevertCompactionRequest(context_id=str(context_id))
    series = {"compact": Series(), "read": Series()}
    memory = 0
    for _ in range(rig.scale.repetitions):
        series["read"].repetitions.append([await _read(rig, context_id, count)])
        before = rig.service.resident()
        rig.service.reset_peak()
        started = time.perf_counter()
        done = (await stub.CompactContext(compact, timeout=_SECONDS)).compaction
        series["compact"].repetitions.append([time.perf_counter() - started])
        memory = max(memory, rig.service.peak() - before)
        expect(done.state, compaction_pb2.COMPACTION_STATE_COMMITTED, "state of the compaction")
        expect(done.message_count > count // 2, True, "that most is hidden")
        await stub.RevertCompaction(revert)
    seconds = series["compact"].p50
    return [
        Figure(
            key="compact_context",
            title=f"CompactContext of {count:,} messages ({count / seconds:,.0f} messages/s)",
            unit="s",
            value=seconds,
            floor_title="ListMessages of all",
            floor=series["read"].p50,
            ratio=spread(
                [whole / floor for whole, floor in zip(series["compact"].medians, series["read"].medians, strict=True)]
            ),
        ),
        Figure(
            key="compact_context_memory",
            title="the same: the server's memory grows by, the process that summarises beside it not counted",
            unit="MiB",
            value=memory / MIB,
        ),
    ]


def _recorded(count: int) -> Iterator[message_pb2.Message]:
    real = (to_proto(one.message) for talk in probes.talks() for group in talk.groups for one in group)
    return islice(cycle([message for message in real if message.text or message.parts]), count)


async def _read(rig: Rig, context_id: UUID, count: int) -> float:
    """Return the seconds that listing all messages takes."""
    started = time.perf_counter()
    request = pb.ListMessagesRequest(context_id=str(context_id), page_size=MAX_PAGE)
    found = 0
    while True:
        page = await rig.client.messages.ListMessages(request)
        found += len(page.messages)
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    expect(found, count, "messages that are read")
    return time.perf_counter() - started
