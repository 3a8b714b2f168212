"""The policy of a context, over the wire: what windows follow where a request says nothing."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import policy_pb2, window_pb2
from kata.context.v1 import policy_service_pb2 as ps

from tests.rpc import build as b
from tests.rpc.serving import FreshDatabase, Running, loop, refused, serve, unknown_id

pytestmark = loop

PLENTY = 1_000_000


def policy(**options: Any) -> policy_pb2.Policy:
    return policy_pb2.Policy(window=window_pb2.WindowOptions(**options))


async def put(server: Running, context_id: str, wanted: policy_pb2.Policy, **fields: Any) -> ps.SetPolicyResponse:
    return await server.policies.SetPolicy(ps.SetPolicyRequest(context_id=context_id, policy=wanted, **fields))


async def told(server: Running, count: int = 6) -> str:
    context_id = (await server.create()).context_id
    await server.append(context_id, *(b.user(str(n)) for n in range(count)))
    return context_id


def versions(window: ms.GetWindowResponse) -> list[int]:
    return [message.version for message in window.messages]


async def test_windows_follow_the_policy_where_the_request_says_nothing(server: Running) -> None:
    context_id = await told(server)
    unset = await server.policies.GetPolicy(ps.GetPolicyRequest(context_id=context_id))
    assert (unset.HasField("policy"), unset.policy_revision) == (False, 0)
    answer = await put(server, context_id, policy(max_messages=2, pinned_versions=[1]))
    assert (answer.revision, answer.replayed) == (2, False)
    got = await server.policies.GetPolicy(ps.GetPolicyRequest(context_id=context_id))
    assert (got.policy, got.policy_revision) == (answer.policy, 2)

    window = await server.window(context_id, PLENTY)
    assert versions(window) == [1, 5, 6]
    assert window.header.policy_revision == 2
    over = window_pb2.WindowOptions(max_messages=1, pinned_versions=[2])
    assert versions(await server.window(context_id, PLENTY, options=over)) == [1, 2, 6], "pins of both hold"
    off = window_pb2.WindowOptions(max_messages=0)
    assert versions(await server.window(context_id, PLENTY, options=off)) == [1, 2, 3, 4, 5, 6]


@pytest.mark.holds("I2")
async def test_a_window_as_of_an_earlier_revision_follows_the_policy_of_then(server: Running) -> None:
    context_id = await told(server)
    await put(server, context_id, policy(max_messages=3))
    then = await server.window(context_id, PLENTY)
    await put(server, context_id, policy(max_messages=1))
    await server.append(context_id, b.user("more"))
    assert versions(await server.window(context_id, PLENTY)) == [7]
    for revision, expected in ((1, [1, 2, 3, 4, 5, 6]), (2, [4, 5, 6]), (3, [6])):
        window = await server.window(context_id, PLENTY, at_revision=revision)
        assert versions(window) == expected
        assert window.header.policy_revision == (revision if revision > 1 else 0)
    assert await server.window(context_id, PLENTY, at_revision=2) == then
    as_then = await server.window(context_id, PLENTY, at_version=6, view=window_pb2.VIEW_AS_THEN)
    assert (versions(as_then), as_then.header.policy_revision) == ([1, 2, 3, 4, 5, 6], 0)


@pytest.mark.holds("I4")
async def test_setting_a_policy_is_repeatable(server: Running) -> None:
    context_id = await told(server)
    first = await put(server, context_id, policy(max_messages=3), request_id="p")
    await put(server, context_id, policy(max_messages=4))
    again = await put(server, context_id, policy(max_messages=3), request_id="p", expected_policy_revision=9)
    assert again.replayed
    assert (again.policy, again.revision) == (first.policy, first.revision)
    error = await refused(put(server, context_id, policy(max_messages=5), request_id="p"))
    assert error.reason == "REQUEST_ID_REUSED"


async def test_setting_a_policy_that_another_has_set(server: Running) -> None:
    context_id = await told(server)
    await put(server, context_id, policy(max_messages=3), expected_policy_revision=0)
    error = await refused(put(server, context_id, policy(max_messages=4), expected_policy_revision=0))
    assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "VERSION_CONFLICT")
    assert (error.metadata["expected"], error.metadata["actual"]) == ("0", "2")


async def test_the_history_shows_policies(server: Running) -> None:
    context_id = await told(server)
    await put(server, context_id, policy(max_messages=3), request_id="p")
    history = await server.messages.ListHistory(ms.ListHistoryRequest(context_id=context_id))
    newest = history.revisions[0]
    assert (newest.kind, newest.revision, newest.last_version) == (ms.REVISION_KIND_POLICY, 2, 6)
    assert newest.request_id == "p"


async def test_refused_policies(server: Running) -> None:
    context_id = await told(server)
    error = await refused(
        put(
            server,
            context_id,
            policy(
                max_messages=-1,
                pinned_versions=[0],
                pinned_labels=["", "x" * 64],
                max_part_tokens=99,
                clear_tool_results=window_pb2.ClearToolResults(keep_results=-1, min_gain_tokens=-1),
                start_steps=window_pb2.StartSteps(low_water_tokens=-1, min_gain_tokens=-1),
            ),
            request_id="r" * 129,
        )
    )
    assert [field for field, _ in error.violations] == [
        "policy.window.max_messages",
        "policy.window.pinned_versions[0]",
        "policy.window.pinned_labels[0]",
        "policy.window.pinned_labels[1]",
        "policy.window.max_part_tokens",
        "policy.window.clear_tool_results.keep_results",
        "policy.window.clear_tool_results.min_gain_tokens",
        "policy.window.start_steps.low_water_tokens",
        "policy.window.start_steps.min_gain_tokens",
        "request_id",
    ]
    error = await refused(put(server, context_id, policy(pinned_versions=[7])))
    assert (error.reason, error.metadata["latest"]) == ("VERSION_OUT_OF_RANGE", "6")
    assert (await refused(put(server, unknown_id(), policy()))).reason == "CONTEXT_NOT_FOUND"
    unknown = ps.GetPolicyRequest(context_id=unknown_id())
    assert (await refused(server.policies.GetPolicy(unknown))).reason == "CONTEXT_NOT_FOUND"
    assert (await server.get(context_id)).latest_revision == 1, "nothing was written"


async def test_a_deleted_context_has_no_policy(server: Running) -> None:
    context_id = await told(server)
    await put(server, context_id, policy(max_messages=3), request_id="p")
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))
    got = server.policies.GetPolicy(ps.GetPolicyRequest(context_id=context_id))
    assert (await refused(got)).reason == "CONTEXT_NOT_FOUND"
    assert (await refused(put(server, context_id, policy()))).reason == "CONTEXT_NOT_FOUND"
    assert (await put(server, context_id, policy(max_messages=3), request_id="p")).replayed


@pytest.mark.holds("I10")
async def test_another_tenant_has_no_such_policy(fresh_url: FreshDatabase) -> None:
    url = await fresh_url()
    async with serve(url) as server, serve(url, tenant="other") as other:
        context_id = await told(server)
        await put(server, context_id, policy(max_messages=3))
        got = other.policies.GetPolicy(ps.GetPolicyRequest(context_id=context_id))
        assert (await refused(got)).reason == "CONTEXT_NOT_FOUND"
        assert (await refused(put(other, context_id, policy()))).reason == "CONTEXT_NOT_FOUND"
