"""Agents at the same time, each of which appends and then asks for its window, again and again."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import grpc
from kata.context.v1 import context_service_pb2 as contexts
from kata.context.v1 import message_pb2
from kata.context.v1 import message_service_pb2 as pb

from kata_grpc.cli.bench.data import TEXT_BYTES
from kata_grpc.cli.bench.figures import Figure, Series, Target, spread
from kata_grpc.cli.bench.windows import BUDGET
from kata_grpc.limits import MIB

if TYPE_CHECKING:
    from kata_grpc.cli.bench.rig import Rig

AGENTS = 200
HISTORY = 100
"""Messages of each agent's context at the beginning: more than a window holds."""
GROWTH_BYTES = 16 * MIB
"""What counts as flat: the peak from a sixth of the time on, above what was resident then."""
_CREATES_AT_ONCE = 16
_SENTENCE = "the order was sent on Tuesday but its second parcel never came back to our desk "


async def measure(rig: Rig) -> list[Figure]:
    """Measure turns of all agents for a while."""
    seconds = rig.scale.agents_seconds
    rig.say(f"{AGENTS} agents for {seconds:g} s")
    gate = asyncio.Semaphore(_CREATES_AT_ONCE)
    made = await asyncio.gather(*(_context(rig, gate, number) for number in range(AGENTS)))
    times: list[float] = []
    errors: list[str] = []
    until = time.perf_counter() + seconds
    agents = asyncio.gather(*(_agent(rig, context_id, until, times, errors) for context_id in made))
    await asyncio.sleep(seconds / 6)
    before = rig.service.resident()
    rig.service.reset_peak()
    await agents
    growth = rig.service.peak() - before
    turns = Series([times])
    title = f"{AGENTS} agents for {seconds:g} s"
    return [
        Figure(
            key="agents_turn",
            title=f"{title}: a turn, append and window (p99 beside p50; {len(times) / seconds:,.0f} turns/s)",
            unit="ms",
            value=turns.p99 * 1000,
            floor_title="p50",
            floor=turns.p50 * 1000,
            ratio=spread([turns.p99 / turns.p50]),
            target=Target("<=", 10),
        ),
        Figure(
            key="agents_errors",
            title=f"{title}: calls that failed{': ' + errors[0] if errors else ''}",
            unit="",
            value=len(errors),
            target=Target("<=", 0, "value"),
        ),
        Figure(
            key="agents_memory",
            title=f"{title}: the server's memory grows by, from the first sixth on",
            unit="MiB",
            value=growth / MIB,
            target=Target("<", GROWTH_BYTES / MIB, "value"),
        ),
    ]


async def _context(rig: Rig, gate: asyncio.Semaphore, number: int) -> str:
    """Create a context with a history."""
    async with gate:
        created = await rig.client.contexts.CreateContext(contexts.CreateContextRequest(name=f"agent {number}"))
        context_id = created.context.context_id
        messages = [_message(f"{number} {place}") for place in range(HISTORY)]
        await rig.client.messages.AppendMessages(pb.AppendMessagesRequest(context_id=context_id, messages=messages))
    return context_id


async def _agent(rig: Rig, context_id: str, until: float, times: list[float], errors: list[str]) -> None:
    stub, turn = rig.client.messages, 0
    window = pb.GetWindowRequest(context_id=context_id, token_budget=BUDGET)
    while (started := time.perf_counter()) < until:
        turn += 1
        append = pb.AppendMessagesRequest(context_id=context_id, messages=[_message(f"turn {turn}")])
        try:
            await stub.AppendMessages(append)
            await stub.GetWindow(window)
        except grpc.aio.AioRpcError as error:
            errors.append(f"{error.code().name} {error.details()}")
        else:
            times.append(time.perf_counter() - started)


def _message(beginning: str) -> message_pb2.Message:
    text = f"{beginning} {_SENTENCE * 10}"[:TEXT_BYTES]
    return message_pb2.Message(role=message_pb2.ROLE_USER, text=text)
