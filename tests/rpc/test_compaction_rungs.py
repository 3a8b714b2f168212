"""The rungs that hide nothing: old tool results cleared and long texts elided, before anything is summarised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.duration_pb2 import Duration
from kata.context.v1 import compaction_pb2 as cp
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import policy_pb2, window_pb2
from kata.context.v1 import policy_service_pb2 as ps

from tests.rpc import build as b
from tests.rpc.serving import FreshDatabase, Running, loop, serve
from tests.rpc.test_compaction import begin, commit, compact, compactions, preview, ranges, revert, versions, view
from tests.rpc.test_compaction_policy import compaction, set_policy, until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kata.context.v1 import message_service_pb2 as ms

pytestmark = [loop, pytest.mark.holds("I1", "P23")]

CLEAR = policy_pb2.COMPACTION_RUNG_CLEAR_TOOL_RESULTS
ELIDE = policy_pb2.COMPACTION_RUNG_ELIDE_PARTS
SUMMARISE = policy_pb2.COMPACTION_RUNG_SUMMARISE
LISTING = "src/kata/window.py has 128 lines, and run 4711 failed with exit code 2. " * 20
ESSAY = "The limit is a matter of taste, some say; others measure it first and then decide. " * 120


def answered(call_id: str, text: str) -> pb.Message:
    return pb.Message(role=pb.ROLE_TOOL, parts=[b.result_part(call_id, text)])


async def worked(server: Running, turns: int = 10) -> str:
    """A conversation of turns: a question, of which the third is long, a call with a long result, and an answer."""
    context_id = (await server.create()).context_id
    await server.append(context_id, b.system("You help."))
    for turn in range(1, turns + 1):
        question = f"Question {turn}. {ESSAY if turn == 3 else ''}"
        await server.append(
            context_id,
            b.user(question),
            b.calls(f"c{turn}"),
            answered(f"c{turn}", f"{turn}: {LISTING}"),
            b.assistant(f"Answer {turn}."),
        )
    return context_id


async def verify(server: Running, context_id: str) -> None:
    found = await server.contexts.VerifyContext(cs.VerifyContextRequest(context_id=context_id))
    assert not found.HasField("difference"), found.difference


def tokens(window: ms.GetWindowResponse) -> int:
    """What a view costs: its content, without the framing."""
    return sum(message.token_count for message in window.messages)


def cleared(messages: Sequence[pb.Message]) -> list[int]:
    return [m.version for m in messages if m.elisions and m.elisions[0].kind == pb.ELISION_KIND_CLEARED]


def elided(messages: Sequence[pb.Message]) -> list[int]:
    return [m.version for m in messages if m.elisions and m.elisions[0].kind == pb.ELISION_KIND_ELIDED]


def steps(of: cp.Compaction | ps.PreviewCompactionResponse) -> list[int]:
    """The rungs that did something, each of which goes on where the one before ended."""
    for step, following in zip(of.steps, of.steps[1:], strict=False):
        assert step.tokens_after == following.tokens_before
    assert all(step.tokens_after < step.tokens_before for step in of.steps)
    return [step.rung for step in of.steps]


def result_of(turn: int) -> int:
    return 4 * turn


async def test_old_results_are_cleared_before_anything_is_hidden(server: Running) -> None:
    context_id = await worked(server)
    before = await view(server, context_id)
    # Of ten results the newest five stay, and of the rest as many are cleared as it takes.
    target = tokens(before) - 500
    seen = await preview(server, context_id, target_tokens=target, preserve_recent=3)
    assert (await view(server, context_id)).header == before.header, "a preview writes nothing"
    done = (await compact(server, context_id, target_tokens=target, preserve_recent=3)).compaction
    assert list(seen.steps) == list(done.steps)
    assert (seen.tokens_before, seen.tokens_after) == (done.tokens_before, done.tokens_after)
    assert steps(done) == [CLEAR]
    assert done.steps[0].message_count == 2
    assert (ranges(done.ranges), ranges(done.cleared_ranges), done.summary) == ([], [(1, result_of(2))], "")
    assert done.state == cp.COMPACTION_STATE_COMMITTED

    window = await view(server, context_id)
    assert window.header.compaction_id == done.compaction_id
    assert window.header.window_epoch != before.header.window_epoch
    assert versions(window.messages) == versions(before.messages)
    assert cleared(window.messages) == [result_of(1), result_of(2)]
    assert tokens(before) == done.tokens_before
    assert tokens(window) == done.tokens_after <= target

    raw = await view(server, context_id, view=window_pb2.VIEW_RAW)
    assert list(raw.messages) == list(before.messages)
    then = await view(server, context_id, view=window_pb2.VIEW_AS_THEN, at_version=41)
    assert list(then.messages) == list(before.messages)
    assert (await revert(server, context_id)).in_force.compaction_id == ""
    assert list((await view(server, context_id)).messages) == list(before.messages)
    await revert(server, context_id, compaction_id=done.compaction_id, reapply=True)
    assert list((await view(server, context_id)).messages) == list(window.messages)
    await verify(server, context_id)


async def test_rungs_are_taken_in_order_as_far_as_is_needed(server: Running) -> None:
    context_id = await worked(server)
    settings: dict[str, Any] = {"max_part_tokens": 700, "keep_results": 2}
    await set_policy(server, context_id, compaction(**settings))
    before = tokens(await view(server, context_id))
    first = (await compact(server, context_id, target_tokens=before - 100, preserve_recent=4)).compaction
    assert steps(first) == [CLEAR]
    second = (await compact(server, context_id, target_tokens=2_500, preserve_recent=4)).compaction
    assert steps(second) == [CLEAR, ELIDE]
    assert second.previous_compaction_id == first.compaction_id
    window = await view(server, context_id)
    # Of four recent groups the oldest is the question before: the results of eight turns may be cleared.
    assert cleared(window.messages) == [result_of(turn) for turn in range(1, 9)]
    assert elided(window.messages) == [10]
    assert second.max_part_tokens == 700
    assert tokens(window) == second.tokens_after == (await preview(server, context_id)).tokens_before
    assert second.tokens_before == first.tokens_after

    third = (await compact(server, context_id, target_tokens=1_300, preserve_recent=4)).compaction
    assert steps(third) == [SUMMARISE]
    window = await view(server, context_id)
    assert tokens(window) == third.tokens_after <= 1_300
    assert 0 in versions(window.messages)
    last = third.ranges[-1].last_version
    assert cleared(window.messages) == [v for turn in range(1, 9) if (v := result_of(turn)) > last], "they stay so"
    assert "window.py" in third.summary, "the summary is made of what was said, not of what was left of it"

    # Clearing goes on with a summary that stands already.
    await server.append(context_id, *told_again())
    fourth = (await compact(server, context_id, target_tokens=third.tokens_after + 1_500, preserve_recent=2)).compaction
    assert CLEAR in steps(fourth)
    if SUMMARISE not in steps(fourth):
        assert (fourth.summary, fourth.summariser) == (third.summary, third.summariser)
        assert ranges(fourth.ranges) == ranges(third.ranges)
    window = await view(server, context_id)
    assert tokens(window) == fourth.tokens_after
    await verify(server, context_id)


def told_again() -> list[pb.Message]:
    """More of the same."""
    turns = [
        (b.user(f"More {turn}."), b.calls(f"m{turn}"), answered(f"m{turn}", f"{turn}: {LISTING}"), b.assistant("So."))
        for turn in range(8)
    ]
    return [message for turn in turns for message in turn]


async def test_what_is_protected_stays_whole(server: Running) -> None:
    context_id = await worked(server)
    pins = policy_pb2.Policy(compaction=policy_pb2.CompactionPolicy(rungs=[CLEAR, ELIDE], keep_results=1))
    pins.window.pinned_versions.append(result_of(2))
    await set_policy(server, context_id, pins)
    # A call that waits for its other result.
    await server.append(context_id, b.user("And?"), b.calls("x", "y"), answered("x", LISTING))
    done = (await compact(server, context_id, target_tokens=0, preserve_recent=4)).compaction
    window = await view(server, context_id)
    results = {m.version for m in window.messages if m.role == pb.ROLE_TOOL}
    pending = window.messages[-1].version
    # The newest result is kept; of the newest four groups the oldest is the last turn's call.
    assert results - set(cleared(window.messages)) == {result_of(2), result_of(10), pending}
    assert tokens(window) == done.tokens_after
    assert not done.ranges, "the policy does not summarise"


@pytest.mark.parametrize("dialect", window_pb2.Dialect.values()[1:])
async def test_windows_of_every_dialect_and_tokenizer(server: Running, dialect: int) -> None:
    context_id = await worked(server)
    await compact(server, context_id, target_tokens=4_500, preserve_recent=3)
    for budget in (100_000, 3_000, 1_500):
        window = await server.window(context_id, budget, dialect=dialect, render=True)
        assert window.header.window_tokens <= budget
        assert cleared(window.messages) or budget < 100_000
    other = await server.window(context_id, 100_000, dialect=dialect, tokenizer="claude-sonnet-4-5")
    assert cleared(other.messages)
    options = window_pb2.WindowOptions(clear_tool_results=window_pb2.ClearToolResults(keep_results=0))
    asked = await server.window(context_id, 100_000, dialect=dialect, options=options)
    assert set(cleared(asked.messages)) == {result_of(turn) for turn in range(1, 11)}, "both are obeyed"


async def test_forks_have_what_is_within_them(server: Running) -> None:
    context_id = await worked(server)
    done = (await compact(server, context_id, target_tokens=2_500, preserve_recent=3)).compaction
    above = await server.contexts.ForkContext(cs.ForkContextRequest(context_id=context_id))
    last = done.cleared_ranges[-1].last_version
    below = await server.contexts.ForkContext(cs.ForkContextRequest(context_id=context_id, at_version=last - 1))
    window = await view(server, context_id)
    in_fork = await view(server, above.context.context_id)
    assert cleared(in_fork.messages) == cleared(window.messages)
    assert not cleared((await view(server, below.context.context_id)).messages), "the cut was made of more than it has"
    await server.contexts.FlattenContext(cs.FlattenContextRequest(context_id=above.context.context_id))
    flat = await view(server, above.context.context_id)
    assert cleared(flat.messages) == cleared(window.messages)
    for fork in (above, below):
        await verify(server, fork.context.context_id)


async def test_a_caller_only_summarises(server: Running) -> None:
    context_id = await worked(server)
    begun = await begin(server, context_id, target_tokens=3_000, preserve_recent=3)
    assert steps(begun.compaction) == [SUMMARISE]
    done = (await commit(server, begun, "They looked at src/kata/window.py [v4] in run 4711.")).compaction
    window = await view(server, context_id)
    assert tokens(window) == done.tokens_after
    assert not cleared(window.messages)


async def test_the_background_takes_the_cheap_rung_and_rests(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url(), compaction=True, compaction_poll=0.2) as server:
        context_id = (await server.create()).context_id
        now = Duration()
        settings = {"preset": "coding_agent", "budget_tokens": 5_000, "min_gain_tokens": 200, "preserve_recent": 3}
        await set_policy(server, context_id, compaction(debounce=now, cooldown=now, keep_results=1, **settings))
        source = await worked(server, 14)
        await server.append(context_id, *(await view(server, source)).messages)
        await until(lambda: compactions(server, context_id, states=[cp.COMPACTION_STATE_COMMITTED]))
        (done, *_) = await compactions(server, context_id)
        assert steps(done)[0] == CLEAR
        window = await view(server, context_id)
        assert tokens(window) == done.tokens_after <= 2_000
        count = len(await compactions(server, context_id))
        await server.append(context_id, b.user("One more."))
        assert len(await compactions(server, context_id)) == count


async def test_a_summary_that_gains_nothing_is_not_made(server: Running) -> None:
    context_id = await worked(server, 4)
    await set_policy(server, context_id, compaction(keep_results=0))
    done = (await compact(server, context_id, target_tokens=1_300 + 900, preserve_recent=2)).compaction
    assert steps(done)[0] == CLEAR
    assert tokens(await view(server, context_id)) == done.tokens_after
