"""Policies of compaction over the wire: layers, and what is done in the background."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.duration_pb2 import Duration
from kata.context.v1 import compaction_pb2 as cp
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import policy_pb2
from kata.context.v1 import policy_service_pb2 as ps

from tests.rpc import build as b
from tests.rpc.serving import FreshDatabase, Running, loop, refused, serve, unknown_id
from tests.rpc.test_compaction import LONG, compactions, told, view

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [loop, pytest.mark.holds("P18")]

NOW = Duration()


def compaction(**fields: Any) -> policy_pb2.Policy:
    return policy_pb2.Policy(compaction=policy_pb2.CompactionPolicy(**fields))


async def set_policy(
    server: Running, context_id: str, policy: policy_pb2.Policy, **fields: Any
) -> ps.SetPolicyResponse:
    return await server.policies.SetPolicy(ps.SetPolicyRequest(context_id=context_id, policy=policy, **fields))


async def set_tenants(server: Running, policy: policy_pb2.Policy, **fields: Any) -> ps.SetPolicyResponse:
    return await set_policy(server, "", policy, scope=ps.POLICY_SCOPE_TENANT, **fields)


async def effective(server: Running, context_id: str = "", **fields: Any) -> ps.GetPolicyResponse:
    return await server.policies.GetPolicy(ps.GetPolicyRequest(context_id=context_id, **fields))


def layer(response: ps.GetPolicyResponse, field: str) -> str:
    (found,) = [value.layer for value in response.values if value.field == field]
    return ps.PolicyLayer.Name(found).removeprefix("POLICY_LAYER_")


async def until(found: Callable[[], Any], seconds: float = 15) -> Any:
    """Waits for something to be there."""
    end = time.monotonic() + seconds
    while not (result := await found()):
        assert time.monotonic() < end, "it did not come"
        await asyncio.sleep(0.05)
    return result


async def test_layers_lie_over_each_other(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url(), compaction=False) as server:
        context_id = await told(server, 1)
        built_in = await effective(server, context_id)
        assert not built_in.effective.enabled
        assert {value.layer for value in built_in.values} == {ps.POLICY_LAYER_BUILT_IN}
        assert len(built_in.values) == len(built_in.effective.ListFields()) - 0

        first = await set_tenants(server, compaction(preset="chat", budget_tokens=10_000), request_id="t")
        again = await set_tenants(server, compaction(preset="chat", budget_tokens=10_000), request_id="t")
        assert (first.revision, first.replayed, again.revision, again.replayed) == (1, False, 1, True)
        reused = set_tenants(server, compaction(preset="audit"), request_id="t")
        assert (await refused(reused)).reason == "REQUEST_ID_REUSED"
        conflict = set_tenants(server, compaction(), expected_policy_revision=0)
        assert (await refused(conflict)).reason == "VERSION_CONFLICT"
        await set_policy(server, context_id, compaction(preserve_recent=3, threshold=0.7))

        held = await effective(server, context_id)
        assert held.tenant_policy_revision == 1
        assert (held.effective.enabled, held.effective.budget_tokens) == (True, 10_000)
        assert (held.effective.preserve_recent, held.effective.threshold) == (3, 0.7)
        assert list(held.effective.rungs) == [policy_pb2.COMPACTION_RUNG_SUMMARISE]
        layers = {"enabled": "TENANT", "rungs": "TENANT", "preserve_recent": "CONTEXT", "cooldown": "BUILT_IN"}
        assert {field: layer(held, field) for field in layers} == layers
        tenants = await effective(server, scope=ps.POLICY_SCOPE_TENANT)
        assert (tenants.policy.compaction.preset, tenants.policy_revision) == ("chat", 1)
        other = await server.create()
        assert (await effective(server, other.context_id)).effective.preserve_recent == 12


async def test_bad_policies_are_refused_with_all_that_is_wrong(server: Running) -> None:
    context_id = (await server.create()).context_id
    bad = compaction(
        preset="none",
        threshold=2,
        low_water=0.9,
        preserve_recent=0,
        budget_tokens=-1,
        max_part_tokens=5,
        cooldown=Duration(seconds=-1),
        rungs=[policy_pb2.COMPACTION_RUNG_SUMMARISE] * 2,
    )
    assert sorted((await refused(set_policy(server, context_id, bad))).violations) == [
        ("policy.compaction.budget_tokens", "OUT_OF_BOUNDS"),
        ("policy.compaction.cooldown", "OUT_OF_BOUNDS"),
        ("policy.compaction.max_part_tokens", "TOO_SMALL"),
        ("policy.compaction.preserve_recent", "OUT_OF_BOUNDS"),
        ("policy.compaction.preset", "UNKNOWN_VALUE"),
        ("policy.compaction.rungs", "REPEATED"),
        ("policy.compaction.threshold", "OUT_OF_BOUNDS"),
    ]
    low = await refused(set_policy(server, context_id, compaction(low_water=0.9, threshold=0.6)))
    assert low.violations == [("policy.compaction.low_water", "OUT_OF_BOUNDS")]
    rung = policy_pb2.Policy()
    rung.compaction.rungs.append(policy_pb2.COMPACTION_RUNG_UNSPECIFIED)
    assert (await refused(set_policy(server, context_id, rung))).violations == [
        ("policy.compaction.rungs[0]", "UNKNOWN_VALUE")
    ]
    window = policy_pb2.Policy(window={"max_messages": 4})
    assert (await refused(set_tenants(server, window))).violations == [("policy.window", "WRONG_SCOPE")]
    kept = policy_pb2.Policy(retention=policy_pb2.Retention(keep=True))
    assert (await refused(set_tenants(server, kept))).violations == [("policy.retention", "WRONG_SCOPE")]
    named = set_policy(server, context_id, compaction(), scope=ps.POLICY_SCOPE_TENANT)
    assert (await refused(named)).violations == [("context_id", "WRONG_SCOPE")]


EAGER = {"enabled": True, "debounce": NOW, "cooldown": NOW, "min_gain_tokens": 1, "preserve_recent": 2}


async def test_what_outgrows_its_budget_is_compacted_in_the_background(server: Running) -> None:
    context_id = await told(server, 2)
    await set_policy(server, context_id, compaction(budget_tokens=2_000, low_water=0.4, **EAGER))
    await asyncio.sleep(0.3)
    assert not await compactions(server, context_id), "it is not due"
    for turn in range(3, 9):
        await server.append(context_id, b.user(f"Question {turn}: {LONG}"), b.assistant(f"Answer {turn}: {LONG}"))

    async def committed() -> list[cp.Compaction]:
        return [one for one in await compactions(server, context_id) if one.state == cp.COMPACTION_STATE_COMMITTED]

    first, *_ = await until(committed)
    assert first.origin == cp.COMPACTION_ORIGIN_POLICY
    assert first.tokens_before >= 1_600
    assert first.tokens_after <= 800 or first.ranges[-1].last_version >= first.base_version - 8
    await asyncio.sleep(0.3)
    count = len(await committed())
    await asyncio.sleep(0.5)
    assert len(await committed()) == count, "it does not go on for ever"
    window = await view(server, context_id)
    assert window.header.compaction_id

    for turn in range(9, 20):
        await server.append(context_id, b.user(f"Question {turn}: {LONG}"), b.assistant(f"Answer {turn}: {LONG}"))
    await until(lambda: more_than(server, context_id, count))
    await set_policy(server, context_id, compaction(enabled=False))
    await asyncio.sleep(0.3)
    count = len(await committed())
    for turn in range(20, 28):
        await server.append(context_id, b.user(f"Question {turn}: {LONG}"), b.assistant(f"Answer {turn}: {LONG}"))
    await asyncio.sleep(0.5)
    assert len(await committed()) == count, "what is turned off is off"


async def more_than(server: Running, context_id: str, count: int) -> bool:
    states = [one.state for one in await compactions(server, context_id)]
    return states.count(cp.COMPACTION_STATE_COMMITTED) > count


async def test_a_tenants_policy_holds_for_contexts_old_and_new_and_for_forks(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url()) as server:
        old = await told(server, 8)
        await set_tenants(server, compaction(budget_tokens=2_000, low_water=0.4, **EAGER))
        await until(lambda: more_than(server, old, 0))
        new = await told(server, 8)
        await until(lambda: more_than(server, new, 0))
        request = cs.ForkContextRequest(context_id=old, at_version=25)  # within what is hidden
        child = (await server.contexts.ForkContext(request)).context.context_id
        await until(lambda: more_than(server, child, 0))


@pytest.mark.parametrize(
    ("trigger", "all_triggers"),
    [({"trigger_messages": 20}, False), ({"trigger_groups": 15}, False), ({"trigger_messages": 20}, True)],
)
async def test_other_triggers(server: Running, trigger: dict[str, int], all_triggers: bool) -> None:
    context_id = await told(server, 2)
    budget = 10_000_000 if not all_triggers else 500
    await set_policy(
        server,
        context_id,
        compaction(budget_tokens=budget, all_triggers=all_triggers, low_water=0.05, threshold=0.1, **trigger, **EAGER),
    )
    await asyncio.sleep(0.3)
    assert not await compactions(server, context_id)
    for turn in range(12):
        await server.append(context_id, b.user(f"Question {turn}: {LONG}"))
    if budget > 500:
        # Nothing is over what is got down to, so that there is nothing to do: the policy says how far.
        await asyncio.sleep(0.4)
        assert not await compactions(server, context_id)
        return
    await until(lambda: more_than(server, context_id, 0))


async def test_two_servers_share_the_work(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url) as one, serve(url) as two:
        contexts = [await told(one, 8) for _ in range(6)]
        policy = compaction(budget_tokens=2_000, low_water=0.4, **EAGER)
        await asyncio.gather(
            *(set_policy(server, context_id, policy) for context_id in contexts for server in (one, two))
        )
        for context_id in contexts:
            await until(lambda context_id=context_id: more_than(one, context_id, 0))  # type: ignore[misc]
        await asyncio.sleep(0.5)
        for context_id in contexts:
            found = await compactions(one, context_id)
            assert [c.state for c in found].count(cp.COMPACTION_STATE_COMMITTED) == 1, "none was done twice"


@pytest.mark.holds("P18")
async def test_debounce_and_cooldown_hold_it_back(server: Running) -> None:
    context_id = await told(server, 8)
    slow = dict(EAGER, debounce=Duration(seconds=2))
    await set_policy(server, context_id, compaction(budget_tokens=2_000, low_water=0.4, **slow))
    for _ in range(10):
        await server.append(context_id, b.user("still going on"))
        await asyncio.sleep(0.1)
    assert not await compactions(server, context_id)
    await until(lambda: more_than(server, context_id, 0))
    cool = dict(EAGER, cooldown=Duration(seconds=3_600))
    await set_policy(server, context_id, compaction(budget_tokens=2_000, low_water=0.4, **cool))
    for turn in range(9, 16):
        await server.append(context_id, b.user(f"Question {turn}: {LONG}"), b.assistant(f"Answer {turn}: {LONG}"))
    await asyncio.sleep(0.5)
    assert not await more_than(server, context_id, 1)


async def test_policies_of_nothing(server: Running) -> None:
    other = unknown_id()
    assert (await refused(effective(server, other))).reason == "CONTEXT_NOT_FOUND"
    assert (await refused(set_policy(server, other, compaction()))).reason == "CONTEXT_NOT_FOUND"


async def test_what_a_redaction_brought_back_is_compacted_again(fresh_url: FreshDatabase) -> None:
    async with serve(await fresh_url(), compaction=True, compaction_poll=0.2) as server:
        context_id = await told(server, 8)
        settings = {"enabled": True, "trigger_groups": 6, "preserve_recent": 3, "min_gain_tokens": 1}
        await set_policy(server, context_id, compaction(debounce=NOW, cooldown=NOW, **settings))
        await until(lambda: compactions(server, context_id, states=[cp.COMPACTION_STATE_COMMITTED]))
        erased = ms.VersionRange(first_version=2, last_version=2)
        await server.messages.RedactMessages(ms.RedactMessagesRequest(context_id=context_id, ranges=[erased]))

        async def stands_again() -> bool:
            found = await compactions(server, context_id, states=[cp.COMPACTION_STATE_COMMITTED])
            return len(found) > 1 and not found[0].erased and found[-1].erased

        await until(stands_again)
        assert "Question 1:" not in (await compactions(server, context_id))[0].summary
