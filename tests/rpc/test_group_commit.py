"""Appends that come together are written together, and each has its own outcome."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import grpc
import pytest
from kata.context.v1 import context_service_pb2 as cs

from kata_grpc.repositories import messages as repository
from kata_grpc.repositories.messages import MessageRepository
from kata_grpc.services import appending
from kata_grpc.services.appending import GroupCommit
from tests.faults.waiting import until
from tests.rpc import build as b
from tests.rpc.serving import Running, loop, read_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kata_grpc.domain.messages import Row
    from kata_grpc.repositories.messages import Batch

pytestmark = loop

COMPANY_SECONDS = 2.0
MARGIN_SECONDS = 2.0


class Groups(list[tuple[int, bool]]):
    """How many appends each statement had, and whether it waited."""

    crowd = 0
    """How many appends must have come before the first statement runs, so that some go together for certain."""
    came = 0


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> Groups:
    seen = Groups()
    append, join = MessageRepository.append, GroupCommit.append

    async def noted(self: MessageRepository, batches: Sequence[Batch], *, wait: bool) -> list[Row | None]:
        seen.append((len(batches), wait))
        await until(lambda: seen.came >= seen.crowd, "a crowd of appends")
        return await append(self, batches, wait=wait)

    async def joined(self: GroupCommit, batch: Batch) -> Row | None:
        seen.came += 1
        return await join(self, batch)

    monkeypatch.setattr(repository.MessageRepository, "append", noted)
    monkeypatch.setattr(GroupCommit, "append", joined)
    return seen


async def test_an_append_that_is_alone_goes_alone(server: Running, groups: Groups) -> None:
    context_id = (await server.create()).context_id
    for version in range(1, 4):
        assert (await server.append(context_id, b.user("x"))).first_version == version
    assert groups == [(1, False)] * 3


@pytest.mark.holds("I3", "P5")
async def test_every_append_of_a_group_has_its_own_outcome(server: Running, groups: Groups) -> None:
    """Good ones, replays, reuses, conflicts, calls and results, another tokenizer, none and deleted: all at once."""
    good = [(await server.create()).context_id for _ in range(24)]
    other = (await server.create(tokenizer="cl100k_base")).context_id
    gone = (await server.create()).context_id
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=gone))
    replayed = (await server.create()).context_id
    first = await server.append(replayed, b.user("same"), request_id="r")
    tools = (await server.create()).context_id
    await server.append(tools, b.user("x"), b.calls("1", "2"))

    groups.came, groups.crowd = 0, 16
    calls = {
        **{f"good {n}": server.append(context_id, b.user(f"{n}")) for n, context_id in enumerate(good)},
        "other": server.append(other, b.user("x")),
        "gone": server.append(gone, b.user("x")),
        "missing": server.append(str(uuid4()), b.user("x")),
        "replayed": server.append(replayed, b.user("same"), request_id="r"),
        "reused": server.append(replayed, b.user("not the same"), request_id="r"),
        "conflict": server.append(tools, b.result("1"), expected_version=77),
        "tools": server.append(tools, b.result("2"), expected_version=2),
        "large": server.append((await server.create()).context_id, *[b.user("x")] * 100),
    }
    found: dict[str, Any] = dict(zip(calls, await asyncio.gather(*calls.values(), return_exceptions=True), strict=True))

    reasons = {
        name: read_error(outcome).reason for name, outcome in found.items() if isinstance(outcome, grpc.RpcError)
    }
    assert reasons == {
        "gone": "CONTEXT_NOT_FOUND",
        "missing": "CONTEXT_NOT_FOUND",
        "reused": "REQUEST_ID_REUSED",
        "conflict": "VERSION_CONFLICT",
    }
    for name in [*(f"good {n}" for n in range(24)), "other"]:
        assert (found[name].first_version, found[name].revision) == (1, 1)
    assert found["replayed"].replayed
    assert found["replayed"].first_version == first.first_version
    assert (found["tools"].first_version, found["large"].last_version) == (3, 100)
    for n, context_id in enumerate(good):
        assert [m.text for m in await server.log(context_id)] == [f"{n}"], "each has what was meant for it"
    assert [m.version for m in await server.log(tools)] == [1, 2, 3]
    window = await server.window(tools, 1_000)
    assert list(window.trailer.pending_call_ids) == ["1"]
    assert max(size for size, _ in groups) > 1, "some went together"
    assert all(size == 1 for size, wait in groups if wait)


@pytest.mark.holds("I3", "P5")
async def test_the_same_request_sent_many_times_at_once_is_written_once(server: Running) -> None:
    ids = [(await server.create()).context_id for _ in range(8)]
    answers = await asyncio.gather(
        *(server.append(context_id, b.user("once"), request_id="r") for context_id in ids for _ in range(8))
    )
    assert sum(not answer.replayed for answer in answers) == 8
    assert {(answer.first_version, answer.revision) for answer in answers} == {(1, 1)}
    for context_id in ids:
        assert [m.version for m in await server.log(context_id)] == [1]


@pytest.mark.holds("I4")
async def test_appends_to_one_context_keep_the_order_in_which_they_came(server: Running) -> None:
    context_id = (await server.create()).context_id
    await asyncio.gather(*(server.append(context_id, b.user(f"{n}")) for n in range(100)))
    log = await server.log(context_id)
    assert [m.version for m in log] == list(range(1, 101))
    assert {m.text for m in log} == {f"{n}" for n in range(100)}


async def test_a_context_that_another_transaction_holds_delays_nobody_else(server: Running) -> None:
    held, *free = [(await server.create()).context_id for _ in range(20)]
    connection = await asyncpg.connect(server.url)
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("select from contexts where id = $1 for update", held)
        waiting = [asyncio.ensure_future(server.append(held, b.user("late"))) for _ in range(2)]
        for _ in range(3):
            await asyncio.gather(*(server.append(context_id, b.user("x")) for context_id in free))
        assert not any(task.done() for task in waiting)
        await transaction.rollback()
        assert sorted([answer.first_version for answer in await asyncio.gather(*waiting)]) == [1, 2]
    finally:
        await connection.close()


async def test_a_failure_that_one_append_causes_is_not_the_others(server: Running, groups: Groups) -> None:
    """Makes the database refuse one context's rows by a rule that the service does not know."""
    bad, *good = [(await server.create()).context_id for _ in range(12)]
    groups.crowd = 10
    connection = await asyncpg.connect(server.url)
    try:
        rule = f"alter table revisions add constraint poison check (context_id <> '{bad}') not valid"
        await connection.execute(rule)
        found = await asyncio.gather(
            *(server.append(context_id, b.user("x")) for context_id in [*good[:6], bad, *good[6:]]),
            return_exceptions=True,
        )
    finally:
        await connection.execute("alter table revisions drop constraint poison")
        await connection.close()
    failed = [answer for answer in found if isinstance(answer, grpc.RpcError)]
    assert [error.code() for error in failed] == [grpc.StatusCode.INTERNAL]
    assert found.index(failed[0]) == 6
    assert max(size for size, _ in groups) > 1
    for context_id in good:
        assert [m.version for m in await server.log(context_id)] == [1]
    assert await server.log(bad) == []


async def test_a_crowd_is_waited_for_and_one_that_stays_away_is_not_waited_for_again(
    server: Running, groups: Groups, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appending, "_COMPANY_SECONDS", COMPANY_SECONDS)
    contexts = [(await server.create()).context_id for _ in range(9)]

    async def together(count: int) -> float:
        started = time.monotonic()
        groups.came = 0
        await asyncio.gather(*(server.append(context_id, b.user("x")) for context_id in contexts[:count]))
        return time.monotonic() - started

    groups.crowd = 9
    await together(9)
    assert groups == [(1, False), (8, False)], "the first found nobody and went at once"
    groups.crowd = 0
    await together(4)
    assert groups[2:] == [(4, False)], "each waited for half of those who had been there before"
    assert await together(1) < COMPANY_SECONDS + MARGIN_SECONDS, "the others did not come again"
    assert await together(1) < COMPANY_SECONDS, "and nobody is expected any more"
    assert groups[3:] == [(1, False)] * 2


async def test_messages_are_written_the_same_one_by_one_and_together(server: Running) -> None:
    """One by one they go by the statement for plain messages, but for the call; together by the one for batches."""
    labelled = b.user("labelled", labels=["goal", 'quoted "x"'])
    said = [b.system("s"), b.calls("1"), b.user("u"), b.assistant("a", name="n"), b.developer("é" * 200), labelled]
    one_by_one, together = [(await server.create()).context_id for _ in range(2)]
    for message in said:
        await server.append(one_by_one, message)
    await server.append(together, *said)

    rows = """
        select version, role, group_version, token_count, item_count, token_count_source, total_tokens, total_items,
               inexact_messages, pinned_tokens, pinned_messages, pinned_items, turn_version, open_calls, digest, labels,
               octet_length(record) as bytes
        from messages where context_id = $1::text::uuid order by version
        """
    contexts = """
        select latest_version, total_tokens, total_items, inexact_messages, pinned_tokens, pinned_messages,
               pinned_items, turn_version, open_calls
        from contexts where id = $1::text::uuid
        """
    for query in (rows, contexts):
        found = [list(map(dict, await server.query(query, context_id))) for context_id in (one_by_one, together)]
        assert found[0] == found[1]
    for context_id in (one_by_one, together):
        assert [m.text for m in await server.log(context_id)] == [m.text for m in said]
