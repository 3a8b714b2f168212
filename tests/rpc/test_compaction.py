"""Compactions over the wire: what they hide and show, what they are safe against, and how they are undone."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.duration_pb2 import Duration
from kata.context.v1 import compaction_pb2 as cp
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import policy_service_pb2 as ps
from kata.context.v1 import window_pb2

from tests.rpc import build as b
from tests.rpc.serving import Running, loop, refused, unknown_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kata.context.v1 import message_pb2 as pb

pytestmark = [loop, pytest.mark.holds("I1", "P23")]

PLENTY = 1_000_000
LONG = "We looked at src/kata/window.py and at the log of run 4711; the limit is 128 tokens. " * 8


async def told(server: Running, turns: int, **fields: Any) -> str:
    """A conversation of turns, each a question, a call with its result, and an answer: four messages."""
    context_id = (await server.create(**fields)).context_id
    await server.append(context_id, b.system("You help."))
    for turn in range(1, turns + 1):
        await server.append(
            context_id,
            b.user(f"Question {turn}: {LONG}"),
            b.calls(f"c{turn}"),
            b.result(f"c{turn}"),
            b.assistant(f"Answer {turn}: {LONG}"),
        )
    return context_id


async def compact(server: Running, context_id: str, **fields: Any) -> ps.CompactContextResponse:
    return await server.policies.CompactContext(ps.CompactContextRequest(context_id=context_id, **fields))


async def begin(server: Running, context_id: str, **fields: Any) -> ps.BeginCompactionResponse:
    return await server.policies.BeginCompaction(ps.BeginCompactionRequest(context_id=context_id, **fields))


async def commit(
    server: Running, begun: ps.BeginCompactionResponse, summary: str, **fields: Any
) -> ps.CommitCompactionResponse:
    one = begun.compaction
    fields = {"token": one.token, **fields}
    return await server.policies.CommitCompaction(
        ps.CommitCompactionRequest(
            context_id=one.context_id, compaction_id=one.compaction_id, summary=summary, **fields
        )
    )


async def revert(server: Running, context_id: str, **fields: Any) -> ps.RevertCompactionResponse:
    return await server.policies.RevertCompaction(ps.RevertCompactionRequest(context_id=context_id, **fields))


async def preview(server: Running, context_id: str, **fields: Any) -> ps.PreviewCompactionResponse:
    return await server.policies.PreviewCompaction(ps.PreviewCompactionRequest(context_id=context_id, **fields))


async def compactions(server: Running, context_id: str, **fields: Any) -> list[cp.Compaction]:
    response = await server.policies.ListCompactions(ps.ListCompactionsRequest(context_id=context_id, **fields))
    return list(response.compactions)


def versions(messages: Sequence[pb.Message]) -> list[int]:
    return [message.version for message in messages]


def ranges(runs: Sequence[ms.VersionRange]) -> list[tuple[int, int]]:
    return [(run.first_version, run.last_version) for run in runs]


async def view(server: Running, context_id: str, **fields: Any) -> ms.GetWindowResponse:
    """Reads a view, and holds the stream, whole and resumed after each frame, to be the same."""
    window = await server.window(context_id, PLENTY, **fields)
    frames = await server.stream(context_id, PLENTY, **fields)
    assert [m for frame in frames for m in frame.chunk.messages] == list(window.messages)
    assert frames[0].header == window.header
    assert frames[-1].trailer == window.trailer
    for place, frame in enumerate(frames):
        if token := frame.chunk.resume_token:
            rest = await server.stream(context_id, PLENTY, resume_token=token, **fields)
            assert [m for f in rest for m in f.chunk.messages] == [
                m for f in frames[place + 1 :] for m in f.chunk.messages
            ]
            assert rest[-1].trailer == window.trailer
    return window


async def test_old_groups_are_hidden_behind_a_summary(server: Running) -> None:
    context_id = await told(server, 8)
    before = await view(server, context_id)
    done = (await compact(server, context_id, preserve_recent=6)).compaction
    assert done.state == cp.COMPACTION_STATE_COMMITTED
    assert (done.revision, done.origin, done.summariser) == (10, cp.COMPACTION_ORIGIN_REQUEST, "builtin")
    # Of eight turns the newest two are six groups; all before them but the system's message is hidden.
    assert ranges(done.ranges) == ranges(done.added_ranges) == [(2, 25)]
    assert (done.group_count, done.message_count) == (18, 24)
    assert 0 < done.summary_tokens <= done.summary_target_tokens
    assert done.tokens_after == done.tokens_before - done.added_tokens + done.summary_tokens

    window = await view(server, context_id)
    assert versions(window.messages) == [1, 0, *range(26, 34)]
    summary = window.messages[1]
    assert summary.derived.compaction_id == window.header.compaction_id == done.compaction_id
    assert (summary.derived.first_version, summary.derived.last_version) == (2, 25)
    assert summary.text.startswith("[kata:summary:")
    assert done.summary in summary.text
    assert "src/kata/window.py" in summary.text
    assert window.trailer.ledger.summary_tokens == summary.token_count == done.summary_tokens
    assert [(r.first_version, r.last_version, r.reason) for r in window.trailer.excluded] == [
        (2, 25, window_pb2.EXCLUSION_REASON_COMPACTED)
    ]
    assert window.header.window_tokens < before.header.window_tokens
    assert window.header.message_count == len(window.messages)

    raw = await view(server, context_id, view=window_pb2.VIEW_RAW)
    assert list(raw.messages) == list(before.messages) == await server.log(context_id), "nothing was destroyed"
    then = await view(server, context_id, view=window_pb2.VIEW_AS_THEN, at_version=33)
    assert list(then.messages) == list(before.messages), "that is what was sent then"


@pytest.mark.parametrize("dialect", window_pb2.Dialect.values()[1:])
async def test_every_provider_takes_a_window_with_a_summary(server: Running, dialect: int) -> None:
    context_id = await told(server, 8)
    await compact(server, context_id, preserve_recent=5)
    for budget in (PLENTY, 1_200, 900):
        window = await server.window(context_id, budget, dialect=dialect, render=True)
        assert window.header.window_tokens <= budget
        text = window.rendered_json
        assert text.count("[kata:summary:") == 1
        first = json.loads(text)
        said = first if isinstance(first, list) else first.get("messages") or first.get("input") or first["contents"]
        assert "user" in [turn.get("role") for turn in said[:2]]
    small = await refused(server.window(context_id, 100, dialect=dialect))
    assert small.reason == "BUDGET_TOO_SMALL"
    required = int(small.metadata["required_tokens"])
    assert (await server.window(context_id, required, dialect=dialect)).header.window_tokens == required


async def test_a_second_compaction_is_built_upon_the_first(server: Running) -> None:
    context_id = await told(server, 6)
    first = (await compact(server, context_id, preserve_recent=6)).compaction
    for turn in range(7, 10):
        await server.append(context_id, b.user(f"Question {turn}: {LONG}"), b.assistant(f"Answer {turn}: {LONG}"))
    second = (await compact(server, context_id, preserve_recent=4)).compaction
    assert second.previous_compaction_id == first.compaction_id
    assert ranges(second.added_ranges) == [(first.ranges[0].last_version + 1, 27)]
    assert ranges(second.ranges) == [(2, 27)]
    assert "Question 1" in second.summary, "the goal is never displaced"
    window = await view(server, context_id)
    assert versions(window.messages) == [1, 0, 28, 29, 30, 31]
    listed = await compactions(server, context_id)
    assert [one.compaction_id for one in listed] == [second.compaction_id, first.compaction_id]


async def test_what_is_protected_stays(server: Running) -> None:
    context_id = await told(server, 4)
    await server.append(context_id, b.calls("open"))
    for turn in range(5, 9):
        await server.append(context_id, b.assistant(f"Note {turn}: {LONG}"))
    await server.policies.SetPolicy(
        ps.SetPolicyRequest(context_id=context_id, policy={"window": {"pinned_versions": [7]}})
    )
    found = await preview(server, context_id, preserve_recent=2)
    held = {one.version: one.protection for one in found.held}
    assert held == {
        1: cp.COMPACTION_PROTECTION_SYSTEM,
        7: cp.COMPACTION_PROTECTION_PINNED,
        14: cp.COMPACTION_PROTECTION_TURN,
        18: cp.COMPACTION_PROTECTION_PENDING,
        21: cp.COMPACTION_PROTECTION_RECENT,
        22: cp.COMPACTION_PROTECTION_RECENT,
    }
    done = (await compact(server, context_id, preserve_recent=2)).compaction
    # The group of 7 has its result at 8.
    assert ranges(done.ranges) == ranges(found.ranges) == [(2, 6), (9, 13), (15, 17), (19, 20)]
    assert done.tokens_before == found.tokens_before
    window = await view(server, context_id)
    # The open call stays in the log's view and is out of the window as ever, until its result comes.
    assert versions(window.messages) == [1, 7, 8, 14, 0, 21, 22]
    await server.append(context_id, b.result("open"))
    assert versions((await view(server, context_id)).messages) == [1, 7, 8, 14, 18, 0, 21, 22, 23]


async def test_who_pins_what_is_hidden_gets_it(server: Running) -> None:
    context_id = await told(server, 6)
    done = (await compact(server, context_id, preserve_recent=3)).compaction
    assert ranges(done.ranges) == [(2, 21)]
    for pins in ([6], [3, 21], [21, 20]):
        window = await view(server, context_id, options={"pinned_versions": pins})
        shown = set(versions(window.messages))
        assert shown >= {1, 0, 22, 23, 24, 25, *pins}
        rendered = await server.window(context_id, PLENTY, options={"pinned_versions": pins}, render=True)
        assert len(rendered.messages) == len(shown)
        assert rendered.rendered_json.count("[kata:summary:") == 1


async def test_target_tokens_bounds_what_is_hidden(server: Running) -> None:
    context_id = await told(server, 12)
    now = (await preview(server, context_id)).tokens_before
    for share in (0.9, 0.5):
        found = await preview(server, context_id, target_tokens=int(now * share), preserve_recent=2)
        assert found.tokens_after <= now * share
        assert found.tokens_after > now * share - 1_000, "and no more than that"
    assert (await preview(server, context_id, target_tokens=now)).nothing == cp.NOTHING_TO_COMPACT_BELOW_TARGET
    assert (await compact(server, context_id, target_tokens=now)).nothing == cp.NOTHING_TO_COMPACT_BELOW_TARGET
    assert (await preview(server, context_id, preserve_recent=100)).nothing == cp.NOTHING_TO_COMPACT_ALL_PROTECTED
    assert (await preview(server, (await server.create()).context_id)).nothing == cp.NOTHING_TO_COMPACT_EMPTY
    assert not await compactions(server, context_id)
    refusal = await refused(begin(server, context_id, preserve_recent=100))
    assert (refusal.reason, refusal.metadata["why"]) == ("NOTHING_TO_COMPACT", "all_protected")


async def test_a_caller_makes_the_summary(server: Running) -> None:
    context_id = await told(server, 6)
    begun = await begin(server, context_id, preserve_recent=6, request_id="r1")
    assert begun.compaction.state == cp.COMPACTION_STATE_BEGUN
    assert "src/kata/window.py" in begun.artifact_section
    assert str(begun.compaction.summary_target_tokens) in begun.instructions
    assert len(begun.fingerprint) == 32
    again = await begin(server, context_id, preserve_recent=6, request_id="r1")
    assert again.replayed
    assert (again.compaction, again.fingerprint) == (begun.compaction, begun.fingerprint)
    assert versions((await view(server, context_id)).messages) == list(range(1, 26)), (
        "nothing is hidden before a commit"
    )

    for text in ("grows", "on"):
        await server.append(context_id, b.user(text))
    done = await commit(server, begun, "They looked at window.py [v2].", request_id="r2", summariser="mine/1")
    assert (done.compaction.summariser, done.replayed) == ("mine/1", False)
    replayed = await commit(server, begun, "They looked at window.py [v2].", request_id="r2", summariser="mine/1")
    assert replayed.replayed
    assert replayed.compaction == done.compaction
    assert (await refused(commit(server, begun, "other", request_id="r2"))).reason == "REQUEST_ID_REUSED"
    window = await view(server, context_id)
    assert versions(window.messages) == [1, 0, *range(18, 28)]
    assert window.messages[1].text.endswith("\nThey looked at window.py [v2].")
    stale = await refused(commit(server, begun, "Once more."))
    assert (stale.reason, stale.metadata["state"]) == ("COMPACTION_STALE", "committed")

    later = await begin(server, context_id, preserve_recent=2)
    assert later.previous_summary == "They looked at window.py [v2]."
    built_in = (await compact_after(server, later)).compaction
    assert "They looked at window.py" in built_in.summary, "what somebody else said is in the next summary"


async def compact_after(server: Running, begun: ps.BeginCompactionResponse) -> ps.CompactContextResponse:
    one = begun.compaction
    request = ps.AbandonCompactionRequest(
        context_id=one.context_id, compaction_id=one.compaction_id, token=one.token, reason="changed my mind"
    )
    for _ in range(2):
        given_up = (await server.policies.AbandonCompaction(request)).compaction
        assert (given_up.state, given_up.reason) == (cp.COMPACTION_STATE_ABANDONED, "changed my mind")
    return await compact(server, one.context_id, preserve_recent=2)


async def test_one_compaction_at_a_time_and_a_lease_that_ended_is_taken_over(server: Running) -> None:
    context_id = await told(server, 6)
    first = await begin(server, context_id, preserve_recent=6, lease=Duration(seconds=1))
    refusal = await refused(compact(server, context_id))
    assert refusal.reason == "COMPACTION_IN_PROGRESS"
    assert refusal.metadata["compaction_id"] == first.compaction.compaction_id
    await asyncio.sleep(1.1)
    second = await begin(server, context_id, preserve_recent=6)
    assert second.compaction.token == first.compaction.token + 1
    stale = await refused(commit(server, first, "Too late."))
    assert (stale.reason, stale.metadata["state"]) == ("COMPACTION_STALE", "expired")
    wrong = await refused(commit(server, second, "Whose?", token=first.compaction.token))
    assert wrong.reason == "COMPACTION_STALE"
    await commit(server, second, "In time.")
    states = [one.state for one in await compactions(server, context_id)]
    assert states == [cp.COMPACTION_STATE_COMMITTED, cp.COMPACTION_STATE_EXPIRED]
    only = await compactions(server, context_id, states=[cp.COMPACTION_STATE_EXPIRED])
    assert [one.token for one in only] == [1]


@pytest.mark.parametrize("summary", ["", " \n", LONG * 40])
async def test_a_summary_that_is_none_leaves_everything_as_it_was(server: Running, summary: str) -> None:
    context_id = await told(server, 6)
    before = await view(server, context_id)
    begun = await begin(server, context_id, preserve_recent=6)
    refusal = await refused(commit(server, begun, summary))
    assert refusal.reason == "SUMMARY_REJECTED"
    assert (await view(server, context_id)) == before
    (failed,) = await compactions(server, context_id)
    assert (failed.state, failed.reason) == (cp.COMPACTION_STATE_FAILED, refusal.metadata["why"])


@pytest.mark.parametrize("change", ["remove", "restore", "other"])
async def test_a_commit_holds_to_what_was_begun(server: Running, change: str) -> None:
    context_id = await told(server, 6)
    runs = [ms.VersionRange(first_version=6, last_version=6)]
    if change == "restore":
        await server.messages.RemoveMessages(ms.RemoveMessagesRequest(context_id=context_id, ranges=runs))
    begun = await begin(server, context_id, preserve_recent=6, lease=Duration(seconds=1))
    if change == "remove":
        await server.messages.RemoveMessages(ms.RemoveMessagesRequest(context_id=context_id, ranges=runs))
    elif change == "restore":
        await server.messages.RestoreMessages(ms.RestoreMessagesRequest(context_id=context_id, ranges=runs))
    else:
        await asyncio.sleep(1.1)
        await compact(server, context_id)
    before = await view(server, context_id)
    assert (await refused(commit(server, begun, "As it was."))).reason == "COMPACTION_STALE"
    assert await view(server, context_id) == before


async def test_what_is_removed_later_is_in_no_summary(server: Running) -> None:
    context_id = await told(server, 6)
    first = (await compact(server, context_id, preserve_recent=12)).compaction
    second = (await compact(server, context_id, preserve_recent=6)).compaction
    assert second.previous_compaction_id == first.compaction_id
    gone = [ms.VersionRange(first_version=second.added_ranges[0].first_version, last_version=11)]
    await server.messages.RemoveMessages(ms.RemoveMessagesRequest(context_id=context_id, ranges=gone))
    window = await view(server, context_id)
    assert window.header.compaction_id == first.compaction_id, "the summary that tells of it holds no more"
    await server.messages.RemoveMessages(
        ms.RemoveMessagesRequest(context_id=context_id, ranges=[ms.VersionRange(first_version=2, last_version=2)])
    )
    window = await view(server, context_id)
    assert not window.header.compaction_id
    assert 2 not in versions(window.messages)
    third = (await compact(server, context_id, preserve_recent=6)).compaction
    assert not third.previous_compaction_id
    assert (await view(server, context_id)).header.compaction_id == third.compaction_id
    assert "Question 1:" not in third.summary


async def test_reverting_is_a_revision_and_so_is_applying_again(server: Running) -> None:
    context_id = await told(server, 6)
    whole = await view(server, context_id)
    first = (await compact(server, context_id, preserve_recent=12)).compaction
    one = await view(server, context_id)
    second = (await compact(server, context_id, preserve_recent=6)).compaction
    two = await view(server, context_id)

    undone = await revert(server, context_id, request_id="r")
    assert undone.in_force.compaction_id == first.compaction_id
    assert undone.revision == second.revision + 1
    again = await revert(server, context_id, request_id="r")
    assert (again.replayed, again.revision) == (True, undone.revision)
    assert list((await view(server, context_id)).messages) == list(one.messages)
    refusal = await refused(revert(server, context_id, compaction_id=second.compaction_id))
    assert refusal.reason == "COMPACTION_NOT_IN_FORCE"
    none = await revert(server, context_id, compaction_id=first.compaction_id)
    assert not none.HasField("in_force")
    assert list((await view(server, context_id)).messages) == list(whole.messages)
    assert (await refused(revert(server, context_id))).reason == "COMPACTION_NOT_IN_FORCE"
    redone = await revert(server, context_id, compaction_id=second.compaction_id, reapply=True)
    assert redone.in_force.compaction_id == second.compaction_id
    assert list((await view(server, context_id)).messages) == list(two.messages)
    assert (await refused(revert(server, context_id, compaction_id=unknown_id()))).reason == "COMPACTION_NOT_FOUND"

    for revision, served in (
        (first.revision - 1, whole),
        (first.revision, one),
        (second.revision, two),
        (undone.revision, one),
        (none.revision, whole),
        (redone.revision, two),
    ):
        at = await view(server, context_id, at_revision=revision, view=window_pb2.VIEW_AS_THEN)
        assert list(at.messages) == list(served.messages), "as it was served then"
    page = await server.messages.ListHistory(
        ms.ListHistoryRequest(context_id=context_id, kinds=[ms.REVISION_KIND_COMPACT, ms.REVISION_KIND_REVERT])
    )
    assert [(r.kind, r.compaction.compaction_id) for r in page.revisions] == [
        (ms.REVISION_KIND_COMPACT, second.compaction_id),
        (ms.REVISION_KIND_REVERT, ""),
        (ms.REVISION_KIND_REVERT, first.compaction_id),
        (ms.REVISION_KIND_COMPACT, second.compaction_id),
        (ms.REVISION_KIND_COMPACT, first.compaction_id),
    ]


async def test_forks_have_what_was_in_force_where_they_left(server: Running) -> None:
    context_id = await told(server, 8)
    first = (await compact(server, context_id, preserve_recent=12)).compaction
    second = (await compact(server, context_id, preserve_recent=6)).compaction
    split = second.added_ranges[0].first_version + 4

    async def fork(**fields: Any) -> str:
        request = cs.ForkContextRequest(context_id=context_id, **fields)
        return (await server.contexts.ForkContext(request)).context.context_id

    latest, inside, before = await fork(), await fork(at_version=split), await fork(at_revision=first.revision)
    for child, expected in ((latest, second), (inside, first), (before, first)):
        window = await view(server, child)
        assert window.header.compaction_id == expected.compaction_id
        await server.append(child, b.user("on"))
        assert (await view(server, child)).messages[-1].text == "on"
    assert versions((await view(server, inside)).messages)[-2] == split, "all behind the first summary is there"

    mine = (await compact(server, latest, preserve_recent=2)).compaction
    assert mine.previous_compaction_id == second.compaction_id
    assert (await view(server, latest)).header.compaction_id == mine.compaction_id
    assert (await view(server, context_id)).header.compaction_id == second.compaction_id, "the parent knows nothing"
    await revert(server, context_id)
    assert (await view(server, inside)).header.compaction_id == first.compaction_id
    assert (await view(server, latest)).header.compaction_id == mine.compaction_id
    undone = await revert(server, latest)
    assert undone.in_force.compaction_id == second.compaction_id

    child = await fork(at_version=33)
    await server.contexts.FlattenContext(cs.FlattenContextRequest(context_id=latest))
    assert (await view(server, latest)).header.compaction_id == second.compaction_id
    assert child


async def test_derived_messages_are_refused_as_input(server: Running) -> None:
    context_id = await told(server, 6)
    await compact(server, context_id, preserve_recent=6)
    window = await view(server, context_id)
    summary = window.messages[1]
    refusal = await refused(server.append(context_id, summary))
    assert ("messages[0].derived", "DERIVED") in refusal.violations
    typed = b.user(summary.text)
    assert (await refused(server.append(context_id, typed))).violations == [("messages[0].text", "DERIVED")]
    part = b.user("", parts=[b.text_part(summary.text)])
    part.ClearField("text")
    assert (await refused(server.append(context_id, part))).violations == [("messages[0].parts[0].text", "DERIVED")]
    await server.append(context_id, b.assistant(summary.text))  # what a model says is kept, whatever it is


@pytest.mark.holds("I4")
async def test_a_repeated_compaction_is_one(server: Running) -> None:
    context_id = await told(server, 8)
    first = await compact(server, context_id, preserve_recent=6, request_id="r")
    again = await compact(server, context_id, preserve_recent=6, request_id="r")
    assert (again.replayed, again.compaction) == (True, first.compaction)
    assert (await refused(compact(server, context_id, preserve_recent=5, request_id="r"))).reason == "REQUEST_ID_REUSED"
    assert (await refused(begin(server, context_id, request_id="r", preserve_recent=2))).reason == "REQUEST_ID_REUSED"
    assert len(await compactions(server, context_id)) == 1


@pytest.mark.holds("I10")
async def test_another_tenants_compactions_are_not_there(server: Running) -> None:
    context_id = await told(server, 4)
    other = unknown_id()
    for call in (
        preview(server, other),
        compact(server, other),
        begin(server, other),
        revert(server, other),
        server.policies.ListCompactions(ps.ListCompactionsRequest(context_id=other)),
    ):
        assert (await refused(call)).reason == "CONTEXT_NOT_FOUND"
    gone = ps.AbandonCompactionRequest(context_id=context_id, compaction_id=unknown_id(), token=1)
    assert (await refused(server.policies.AbandonCompaction(gone))).reason == "COMPACTION_NOT_FOUND"


async def test_appends_go_on_while_a_summary_is_made(server: Running) -> None:
    context_id = await told(server, 6)
    begun = await begin(server, context_id, preserve_recent=6)
    answers = await asyncio.gather(*(server.append(context_id, b.user(f"beside {n}")) for n in range(40)))
    assert sorted(answer.last_version for answer in answers) == list(range(26, 66))
    done = (await commit(server, begun, "Meanwhile forty messages came.")).compaction
    window = await view(server, context_id)
    assert versions(window.messages) == [1, 0, *range(done.ranges[-1].last_version + 1, 66)]


async def test_a_summary_is_erased_whatever_became_of_those_whose_messages_it_tells(server: Running) -> None:
    parent_id = await told(server, 8)
    forked = await server.contexts.ForkContext(cs.ForkContextRequest(context_id=parent_id))
    context_id = forked.context.context_id
    done = (await compact(server, context_id, preserve_recent=3)).compaction
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=parent_id))
    await server.contexts.PurgeContext(cs.PurgeContextRequest(context_id=parent_id, detach_children=True))
    assert (await view(server, context_id)).header.compaction_id == done.compaction_id
    erased = ms.VersionRange(first_version=2, last_version=2)
    await server.messages.RedactMessages(ms.RedactMessagesRequest(context_id=context_id, ranges=[erased]))
    (gone,) = await compactions(server, context_id)
    assert (gone.erased, gone.summary) == (True, "")
    verified = await server.contexts.VerifyContext(cs.VerifyContextRequest(context_id=context_id))
    assert not verified.HasField("difference")


async def test_the_newest_groups_stay_though_the_newest_message_is_hidden(server: Running) -> None:
    context_id = (await server.create()).context_id
    await server.append(context_id, *(b.user(f"{n} {LONG}") for n in range(6)), b.calls("late"))
    # The call is answered by the last message, and hidden with that answer.
    await server.append(context_id, b.user(LONG), b.assistant(LONG), b.result("late"))
    done = (await compact(server, context_id, preserve_recent=1)).compaction
    assert ranges(done.ranges) == [(1, 7), (10, 10)]
    again = await preview(server, context_id, preserve_recent=1)
    assert again.nothing == cp.NOTHING_TO_COMPACT_ALL_PROTECTED
    assert [(g.version, g.protection) for g in again.held] == [
        (8, cp.COMPACTION_PROTECTION_TURN),
        (9, cp.COMPACTION_PROTECTION_RECENT),
    ]


async def test_the_newest_visible_question_stays(server: Running) -> None:
    context_id = await told(server, 8)
    # What opened the turn was removed: the one before it opens what is left.
    removed = ms.VersionRange(first_version=30, last_version=30)
    await server.messages.RemoveMessages(ms.RemoveMessagesRequest(context_id=context_id, ranges=[removed]))
    seen = await preview(server, context_id, preserve_recent=1)
    assert [(g.version, g.protection) for g in seen.held] == [
        (1, cp.COMPACTION_PROTECTION_SYSTEM),
        (26, cp.COMPACTION_PROTECTION_TURN),
        (33, cp.COMPACTION_PROTECTION_RECENT),
    ]
