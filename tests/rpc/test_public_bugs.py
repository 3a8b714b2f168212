"""Symptoms of bugs that other libraries had in public, with what happens here instead.

Each names the report that describes the symptom.
"""

from __future__ import annotations

import asyncio

import pytest
from kata.context.v1 import compaction_pb2 as cp
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import window_pb2

from tests.rpc import build as b
from tests.rpc.serving import FreshDatabase, Running, loop, refused, serve
from tests.rpc.test_compaction import LONG, begin, commit, compact, compactions, ranges, revert, told, versions, view
from tests.rpc.test_compaction_policy import NOW, compaction, set_policy, until
from tests.rpc.test_compaction_summarisers import with_model
from tests.unit.chat_server import error

pytestmark = [loop, pytest.mark.holds("P13", "P15", "P16", "P18", "P20", "P21")]


async def test_what_is_written_during_a_compaction_is_not_dropped(server: Running) -> None:
    """BaranziniLab/biorouter#51: a compaction wrote its view of the conversation back, without what came meanwhile."""
    context_id = await told(server, 8)
    begun = await begin(server, context_id, preserve_recent=3)
    meanwhile = [await server.append(context_id, b.user(f"Meanwhile {n}")) for n in range(20)]
    await commit(server, begun, "They looked at src/kata/window.py [v2].")
    window = await view(server, context_id)
    assert [m.text for m in window.messages[-20:]] == [f"Meanwhile {n}" for n in range(20)]
    log = await server.log(context_id)
    assert versions(log) == list(range(1, meanwhile[-1].last_version + 1))


async def test_an_error_is_not_stored_as_the_summary(server: Running) -> None:
    """anthropics/claude-code#57636: the provider's error took the place of the conversation, which was gone."""
    async with with_model(server.url, error(401, "authentication_error", "OAuth token has expired.")) as (other, _):
        context_id = await told(other, 8)
        before = await view(other, context_id)
        assert (await refused(compact(other, context_id))).reason == "NO_SUMMARY"
        assert list((await view(other, context_id)).messages) == list(before.messages)
    # Nor does an error that a caller took for the model's answer.
    begun = await begin(server, context_id)
    text = (
        'API Error: 401 {"type":"error","error":{"type":"authentication_error","message":"OAuth token has expired."}}'
    )
    assert (await refused(commit(server, begun, text))).metadata["why"] == "error_text"
    assert list((await view(server, context_id)).messages) == list(before.messages)
    assert all(one.state == cp.COMPACTION_STATE_FAILED for one in await compactions(server, context_id))


@pytest.mark.parametrize("dialect", window_pb2.Dialect.values()[1:])
async def test_no_cut_parts_a_result_from_its_call(server: Running, dialect: int) -> None:
    """letta-ai/letta#2605: the summary took the call and left its result, which no provider takes."""
    context_id = (await server.create()).context_id
    for turn in range(6):
        await server.append(context_id, b.user(f"Question {turn}: {LONG}"), b.calls(f"a{turn}", f"b{turn}"))
        # The results come late, and apart: other messages stand between them and their call.
        await server.append(
            context_id, b.assistant(LONG), b.result(f"a{turn}"), b.assistant(LONG), b.result(f"b{turn}")
        )
    for preserve_recent in range(12, 0, -1):
        await compact(server, context_id, preserve_recent=preserve_recent)
        window = await server.window(context_id, 1_000_000, dialect=dialect, render=True)
        made = {part.tool_call.id for m in window.messages for part in m.parts if part.HasField("tool_call")}
        answered = {part.tool_result.tool_call_id for m in window.messages for part in m.parts} - {""}
        assert made == answered


async def test_a_threshold_that_cannot_be_got_below_is_no_loop(fresh_url: FreshDatabase) -> None:
    """bytedance/deer-flow#2622: what must be kept was above the threshold, so that each turn compacted again."""
    async with serve(await fresh_url(), compaction=True, compaction_poll=0.1) as server:
        context_id = (await server.create()).context_id
        # The newest ten groups alone cost more than the budget.
        settings = {"enabled": True, "budget_tokens": 1_000, "preserve_recent": 10, "min_gain_tokens": 500}
        await set_policy(server, context_id, compaction(debounce=NOW, cooldown=NOW, **settings))
        await server.append(context_id, *(b.user(f"{n} {LONG}") for n in range(16)))
        await until(lambda: compactions(server, context_id, states=[cp.COMPACTION_STATE_COMMITTED]))
        for turn in range(5):
            await server.append(context_id, b.assistant(f"Turn {turn}"))
            await asyncio.sleep(0.3)
        assert len(await compactions(server, context_id)) == 1, "little is to be gained"


async def test_what_one_branch_compacts_hides_nothing_of_another(server: Running) -> None:
    """cloudflare/agents#2120: the newest compaction of any branch was taken for that of the branch that was read."""
    parent_id = await told(server, 8)
    mine, theirs = [
        (await server.contexts.ForkContext(cs.ForkContextRequest(context_id=parent_id))).context.context_id
        for _ in range(2)
    ]
    first = (await compact(server, mine, preserve_recent=12)).compaction
    before = await view(server, mine)
    await server.append(theirs, *(b.user(f"{n} {LONG}") for n in range(4)))
    second = (await compact(server, theirs, preserve_recent=2)).compaction
    assert ranges(second.ranges) != ranges(first.ranges)
    assert list((await view(server, mine)).messages) == list(before.messages)
    assert (await view(server, parent_id)).header.compaction_id == ""
    assert (await view(server, theirs)).header.compaction_id == second.compaction_id


async def test_what_a_compaction_kept_the_next_one_does_not_forget(server: Running) -> None:
    """earendil-works/pi#2608: what the first compaction kept was in neither the second's summary nor its tail."""
    context_id = await told(server, 8)
    first = (await compact(server, context_id, preserve_recent=9)).compaction
    await server.append(context_id, *(b.user(f"Later {n}: {LONG}") for n in range(6)))
    second = (await compact(server, context_id, preserve_recent=2)).compaction
    window = await view(server, context_id)
    covered = {v for first_version, last in ranges(second.ranges) for v in range(first_version, last + 1)}
    assert covered | set(versions(window.messages)) == set(range(39 + 1))
    kept = {v for run in ranges(second.added_ranges) for v in range(run[0], run[1] + 1)}
    assert set(range(first.ranges[-1].last_version + 1, 34)) <= kept
    await revert(server, context_id)
    assert (await view(server, context_id)).header.compaction_id == first.compaction_id
