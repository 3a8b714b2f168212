"""Forks: of a long context and a short one, of one with many forks, and windows far from the root and long ago."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import count, cycle
from typing import TYPE_CHECKING

from kata.context.v1 import context_service_pb2, message_pb2
from kata.context.v1 import message_service_pb2 as pb

from kata_grpc.cli.bench.data import SQL, create, prose
from kata_grpc.cli.bench.figures import Figure, Target, alternate, compared, expect, spread
from kata_grpc.cli.bench.rig import TENANT
from kata_grpc.cli.bench.windows import BUDGET
from kata_grpc.limits import MAX_APPEND_MESSAGES, MAX_VERSION_RANGES

if TYPE_CHECKING:
    from uuid import UUID

    from kata_grpc.cli.bench.rig import Client, Rig

_SHORT = 10
_DEPTH = 10
_APART = 6
"""Messages of each context on the way down: the window goes through all of them."""
_FORKS_AT_ONCE = 8
_SHARED_BY = 1_000
_BATCHES = 2
_REMOVED_ONE_IN = (10, 2)


async def measure(rig: Rig) -> list[Figure]:
    """Measure all of it; the long context is forked, and not changed."""
    rig.say("forks of long, short and often forked contexts; windows through ten forks, and as of long ago")
    short, few, many = await create(rig.client.contexts, 3)
    await _append(rig.client, short, _SHORT)
    for parent in (few, many):
        await _append(rig.client, parent, 1)
    await _fork_often(rig.client, many, rig.scale.forks)
    deep = await _deep(rig.client, rig.data.long)
    half = rig.scale.long_messages // 2
    get = rig.client.messages.GetWindow
    windows = {
        "deep": pb.GetWindowRequest(context_id=str(deep), token_budget=BUDGET),
        "latest": pb.GetWindowRequest(context_id=str(rig.data.long), token_budget=BUDGET),
        "then": pb.GetWindowRequest(context_id=str(rig.data.long), token_budget=BUDGET, at_version=half),
    }
    headers = {name: (await get(request)).header for name, request in windows.items()}
    expect(headers["then"].snapshot_version, half, "snapshot of the window as of long ago")
    own = rig.scale.long_messages + _DEPTH * _APART
    expect(headers["deep"].snapshot_version, own, "snapshot of the deep window")
    expect(
        headers["deep"].tail_first_version <= rig.scale.long_messages + 1, True, "depth that the window goes through"
    )
    series = await alternate(
        {
            "of long": lambda: fork(rig.client, rig.data.long),
            "of short": lambda: fork(rig.client, short),
            "after many": lambda: fork(rig.client, many),
            "after few": lambda: fork(rig.client, few),
            **{name: partial(get, request) for name, request in windows.items()},
        },
        repetitions=rig.scale.repetitions,
        calls=rig.scale.calls,
    )
    title = f"window of {BUDGET:,} tokens, GetWindow"
    return [
        compared(
            "fork_length",
            f"ForkContext of {rig.scale.long_messages:,} messages",
            series["of long"],
            f"of {_SHORT}",
            series["of short"],
            target=Target("<=", 1.2),
        ),
        *await _storage(rig, short),
        compared(
            "fork_count",
            f"ForkContext of a context with {rig.scale.forks:,} forks",
            series["after many"],
            "with few",
            series["after few"],
            target=Target("<=", 1.2),
        ),
        compared(
            "window_depth",
            f"{title}, through {_DEPTH} forks ({headers['deep'].message_count} messages)",
            series["deep"],
            f"of the root ({headers['latest'].message_count} messages)",
            series["latest"],
            target=Target("<=", 2),
        ),
        compared(
            "window_as_of",
            f"{title}, as of version {half:,} of {rig.scale.long_messages:,}",
            series["then"],
            "of the latest",
            series["latest"],
            target=Target("<=", 1.2),
        ),
        await _redaction(rig),
        *await _removals(rig),
    ]


async def fork(client: Client, parent: UUID | str) -> str:
    """Fork a context at its newest message; return the child's id."""
    answer = await client.contexts.ForkContext(context_service_pb2.ForkContextRequest(context_id=str(parent)))
    return answer.context.context_id


async def _append(client: Client, context_id: UUID | str, number: int) -> None:
    texts = cycle(prose())
    messages = [message_pb2.Message(role=message_pb2.ROLE_USER, text=next(texts)) for _ in range(number)]
    await client.messages.AppendMessages(pb.AppendMessagesRequest(context_id=str(context_id), messages=messages))


async def _fork_often(client: Client, parent: UUID, number: int) -> None:
    async def some(share: int) -> None:
        for _ in range(share):
            await fork(client, parent)

    await asyncio.gather(*(some(number // _FORKS_AT_ONCE) for _ in range(_FORKS_AT_ONCE)))


async def _deep(client: Client, root: UUID) -> str:
    """Fork a context, the fork, and so on, each with messages of its own; return the last."""
    context_id = str(root)
    for _ in range(_DEPTH):
        context_id = await fork(client, context_id)
        await _append(client, context_id, _APART)
    return context_id


async def _redaction(rig: Rig) -> Figure:
    """Redact messages one by one, which many forks share, or one."""
    by_many, by_one = await create(rig.client.contexts, 2)
    for parent in (by_many, by_one):
        # More than there are calls: each erases a message that was not erased before.
        for _ in range(_BATCHES):
            await _append(rig.client, parent, MAX_APPEND_MESSAGES)
    await _fork_often(rig.client, by_many, _SHARED_BY)
    await fork(rig.client, by_one)
    versions = {by_many: count(1), by_one: count(1)}

    async def redact(parent: UUID) -> None:
        request = pb.RedactMessagesRequest(context_id=str(parent), versions=[next(versions[parent])])
        await rig.client.messages.RedactMessages(request)

    series = await alternate(
        {"by many": lambda: redact(by_many), "by one": lambda: redact(by_one)},
        repetitions=rig.scale.repetitions,
        calls=rig.scale.calls,
    )
    return compared(
        "redact_shared",
        f"RedactMessages of a message that {_SHARED_BY:,} forks share",
        series["by many"],
        "one fork",
        series["by one"],
        target=Target("<=", 1.2),
    )


async def _removals(rig: Rig) -> list[Figure]:
    """Read windows of contexts of which one message in ten, or in two, was removed, and of one that is whole."""
    number = rig.scale.forks
    whole, *cut = await create(rig.client.contexts, 1 + len(_REMOVED_ONE_IN))
    requests = {"whole": pb.GetWindowRequest(context_id=str(whole), token_budget=BUDGET)}
    await _append_many(rig.client, whole, max(_REMOVED_ONE_IN) * number)
    for context_id, step in zip(cut, _REMOVED_ONE_IN, strict=True):
        await _append_many(rig.client, context_id, step * number)
        for first in range(1, step * number, step * MAX_VERSION_RANGES):
            versions = range(first, min(first + step * MAX_VERSION_RANGES, step * number), step)
            ranges = [pb.VersionRange(first_version=version, last_version=version) for version in versions]
            await rig.client.messages.RemoveMessages(
                pb.RemoveMessagesRequest(context_id=str(context_id), ranges=ranges)
            )
        requests[str(step)] = pb.GetWindowRequest(context_id=str(context_id), token_budget=BUDGET)
    get = rig.client.messages.GetWindow
    counts = {name: (await get(request)).header.message_count for name, request in requests.items()}
    series = await alternate(
        {name: partial(get, request) for name, request in requests.items()},
        repetitions=rig.scale.repetitions,
        calls=rig.scale.calls,
    )
    return [
        compared(
            f"window_removals_{step}",
            f"window of {BUDGET:,} tokens over {number:,} single removals, one message in {step} ({counts[str(step)]})",
            series[str(step)],
            f"without ({counts['whole']} messages)",
            series["whole"],
            # Of one in two a window reads twice the rows: that is written down.
            target=Target("<=", 1.5) if step > 2 else None,
        )
        for step in _REMOVED_ONE_IN
    ]


async def _append_many(client: Client, context_id: UUID, number: int) -> None:
    for first in range(0, number, MAX_APPEND_MESSAGES):
        await _append(client, context_id, min(MAX_APPEND_MESSAGES, number - first))


async def _storage(rig: Rig, short: UUID) -> list[Figure]:
    """Count what a fork of the long context is in the database, beside one of the short."""
    stored = await rig.prepared(SQL.fork_storage)
    (of_long,), (of_short,) = [await stored(await fork(rig.client, of), TENANT) for of in (rig.data.long, short)]
    title = f"a fork of {rig.scale.long_messages:,} messages: "
    return [
        Figure(
            key="fork_rows",
            title=f"{title}rows of contexts, revisions and messages",
            unit="",
            value=of_long["rows"],
            floor_title=f"of {_SHORT}",
            floor=of_short["rows"],
            target=Target("<=", 2, of="value"),
        ),
        Figure(
            key="fork_bytes",
            title=f"{title}bytes of its rows",
            unit="",
            value=of_long["bytes"],
            floor_title=f"of {_SHORT}",
            floor=of_short["bytes"],
            ratio=spread([of_long["bytes"] / of_short["bytes"]]),
            target=Target("<=", 1.2),
        ),
    ]
