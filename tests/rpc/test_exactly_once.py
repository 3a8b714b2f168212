"""What a request_id promises, for every method that takes one: one write and one answer, however often it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc
import pytest
from kata.context.v1 import context_pb2
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import message_service_pb2 as ms

from tests.rpc import build as b
from tests.rpc.appendstreams import AppendStream, info, request
from tests.rpc.serving import Running, loop, methods, read_error, refused, serve

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

    from tests.rpc.serving import FreshDatabase

pytestmark = [loop, pytest.mark.holds("I4")]

Mutation = Callable[[Running, str, str, str], Awaitable[Any]]
"""Calls with a context, a request_id and some content; returns an answer with `replayed`, or raises."""


async def create(server: Running, _: str, request_id: str, content: str) -> Any:
    return await server.contexts.CreateContext(cs.CreateContextRequest(name=content, request_id=request_id))


async def update(server: Running, context_id: str, request_id: str, content: str) -> Any:
    context = context_pb2.Context(context_id=context_id, name=content)
    return await server.contexts.UpdateContext(cs.UpdateContextRequest(context=context, request_id=request_id))


async def delete(server: Running, context_id: str, request_id: str, content: str) -> Any:
    if content != "first":
        return await update(server, context_id, request_id, content)
    return await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id, request_id=request_id))


async def undelete(server: Running, context_id: str, request_id: str, content: str) -> Any:
    if content != "first":
        return await update(server, context_id, request_id, content)
    undo = cs.UndeleteContextRequest(context_id=context_id, request_id=request_id)
    return await server.contexts.UndeleteContext(undo)


async def fork(server: Running, context_id: str, request_id: str, content: str) -> Any:
    request = cs.ForkContextRequest(context_id=context_id, name=content, request_id=request_id)
    return await server.contexts.ForkContext(request)


async def remove(server: Running, context_id: str, request_id: str, content: str) -> Any:
    version = 1 if content == "first" else 2
    ranges = [ms.VersionRange(first_version=version, last_version=version)]
    request = ms.RemoveMessagesRequest(context_id=context_id, ranges=ranges, request_id=request_id)
    return await server.messages.RemoveMessages(request)


async def restore(server: Running, context_id: str, request_id: str, content: str) -> Any:
    version = 1 if content == "first" else 2
    ranges = [ms.VersionRange(first_version=version, last_version=version)]
    request = ms.RestoreMessagesRequest(context_id=context_id, ranges=ranges, request_id=request_id)
    return await server.messages.RestoreMessages(request)


async def redact(server: Running, context_id: str, request_id: str, content: str) -> Any:
    versions = [1 if content == "first" else 2]
    request = ms.RedactMessagesRequest(context_id=context_id, versions=versions, request_id=request_id)
    return await server.messages.RedactMessages(request)


async def tag(server: Running, context_id: str, request_id: str, content: str) -> Any:
    request = cs.TagVersionRequest(context_id=context_id, name=content, request_id=request_id)
    return await server.contexts.TagVersion(request)


async def untag(server: Running, context_id: str, request_id: str, content: str) -> Any:
    request = cs.DeleteTagRequest(context_id=context_id, name=content, request_id=request_id)
    return await server.contexts.DeleteTag(request)


async def flatten(server: Running, context_id: str, request_id: str, content: str) -> Any:
    if content != "first":
        return await update(server, context_id, request_id, content)
    request = cs.FlattenContextRequest(context_id=context_id, request_id=request_id)
    return await server.contexts.FlattenContext(request)


async def purge(server: Running, context_id: str, request_id: str, content: str) -> Any:
    detach = content != "first"
    request = cs.PurgeContextRequest(context_id=context_id, request_id=request_id, detach_children=detach)
    return await server.contexts.PurgeContext(request)


async def append(server: Running, context_id: str, request_id: str, content: str) -> Any:
    return await server.append(context_id, b.user(content), request_id=request_id)


class Failed(Exception):  # noqa: N818 - what an outcome says
    """A refusal within a stream."""


async def stream(server: Running, context_id: str, request_id: str, content: str) -> Any:
    one = AppendStream.open(server.messages)
    number = await one.append(context_id, b.user(content), request_id=request_id)
    outcome = (await one.rest())[number]
    if outcome.HasField("failure"):
        raise Failed(outcome)
    return outcome.appended


async def import_(server: Running, context_id: str, request_id: str, content: str) -> Any:
    """Imports one batch: its answer is that of the append."""
    frames = [
        ms.ImportMessagesRequest(header=ms.ImportHeader(context_id=context_id, request_id=request_id)),
        ms.ImportMessagesRequest(batch=ms.ImportBatch(messages=[b.user(content)])),
    ]
    answer = await server.messages.ImportMessages(iter(frames))
    return ms.AppendMessagesResponse(
        first_version=answer.first_version, last_version=answer.last_version, replayed=answer.replayed_batch_count == 1
    )


MUTATIONS: dict[str, Mutation] = {
    "CreateContext": create,
    "UpdateContext": update,
    "DeleteContext": delete,
    "UndeleteContext": undelete,
    "ForkContext": fork,
    "RemoveMessages": remove,
    "RestoreMessages": restore,
    "RedactMessages": redact,
    "TagVersion": tag,
    "DeleteTag": untag,
    "FlattenContext": flatten,
    "PurgeContext": purge,
    "AppendMessages": append,
    "StreamAppends": stream,
    "ImportMessages": import_,
}
ON_A_CONTEXT = sorted(set(MUTATIONS) - {"CreateContext", "PurgeContext"})


def takes_request_id(message: Descriptor, depth: int = 2) -> bool:
    return depth > 0 and any(
        field.name == "request_id" or (field.message_type and takes_request_id(field.message_type, depth - 1))
        for field in message.fields
    )


async def test_every_method_that_takes_a_request_id_is_here() -> None:
    services = (cs.DESCRIPTOR.services_by_name["ContextService"], ms.DESCRIPTOR.services_by_name["MessageService"])
    taking = {
        method.name
        for service in services
        for method in service.methods
        if takes_request_id(method.input_type, 3 if method.client_streaming else 1)
    }
    assert taking == set(MUTATIONS)


async def prepared(server: Running, name: str) -> str:
    """Makes a context that the mutation can be done to."""
    context_id = (await server.create()).context_id
    if name in ("UndeleteContext", "PurgeContext"):
        await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))
    if name in ("RemoveMessages", "RestoreMessages", "RedactMessages"):
        await server.append(context_id, b.user("x"), b.user("y"))
    if name == "DeleteTag":
        await tag(server, context_id, "", "first")
    if name == "FlattenContext":
        await server.append(context_id, b.user("inherited"))
        forked = await server.contexts.ForkContext(cs.ForkContextRequest(context_id=context_id))
        return forked.context.context_id
    return context_id


def unmarked(answer: Any) -> tuple[object, ...]:
    """What an answer and its repetitions have in common: the id of what was created, or the place of a change."""
    fields = {field.name for field in answer.DESCRIPTOR.fields}
    if fields >= {"revision", "first_version"}:
        return (answer.first_version, answer.last_version, answer.revision)
    if "receipt" in fields:
        return (answer.receipt.SerializeToString(deterministic=True),)
    return (answer.revision,) if "revision" in fields else (answer.context.context_id,)


async def reason(call: Awaitable[Any]) -> str:
    try:
        await call
    except Failed as failed:
        outcome: ms.AppendOutcome = failed.args[0]
        return info(outcome).reason
    except grpc.RpcError as error:
        return read_error(error).reason
    return ""


@pytest.mark.parametrize("name", MUTATIONS)
async def test_a_repetition_is_answered_as_the_first_and_writes_nothing(server: Running, name: str) -> None:
    mutate, key = MUTATIONS[name], uuid4().hex
    context_id = await prepared(server, name)
    first = await mutate(server, context_id, key, "first")
    before = await server.rows()
    again = await mutate(server, context_id, key, "first")
    assert (first.replayed, again.replayed) == (False, True)
    assert unmarked(again) == unmarked(first)
    assert await server.rows() == before


@pytest.mark.parametrize("name", MUTATIONS)
async def test_other_content_under_a_used_id_is_refused(server: Running, name: str) -> None:
    mutate, key = MUTATIONS[name], uuid4().hex
    context_id = await prepared(server, name)
    await mutate(server, context_id, key, "first")
    before = await server.rows()
    assert await reason(mutate(server, context_id, key, "second")) == "REQUEST_ID_REUSED"
    assert await server.rows() == before


@pytest.mark.parametrize("name", MUTATIONS)
async def test_copies_at_the_same_time_are_one_write(server: Running, name: str) -> None:
    mutate, key = MUTATIONS[name], uuid4().hex
    context_id = await prepared(server, name)
    before = await server.rows()
    answers = await asyncio.gather(*(mutate(server, context_id, key, "first") for _ in range(8)))
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 7
    assert len({unmarked(answer) for answer in answers}) == 1
    change = -2 if name == "PurgeContext" else 1  # it takes those of creation and deletion away
    assert (await server.rows())["revisions"] == before["revisions"] + change


@pytest.mark.holds("P24")
@pytest.mark.parametrize("name", ON_A_CONTEXT)
async def test_a_repetition_is_answered_when_the_context_is_deleted(server: Running, name: str) -> None:
    mutate, key = MUTATIONS[name], uuid4().hex
    context_id = await prepared(server, name)
    first = await mutate(server, context_id, key, "first")
    if name != "DeleteContext":
        await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))
    again = await mutate(server, context_id, key, "first")
    assert again.replayed
    assert unmarked(again) == unmarked(first)


async def test_the_key_lives_as_long_as_its_context(fresh_url: FreshDatabase) -> None:
    """Hundreds of changes and a restart later, on another server."""
    url = await fresh_url()
    async with serve(url) as server:
        context_id = (await server.create(request_id="c")).context_id
        first = await server.append(context_id, b.user("x"), request_id="r")
        await asyncio.gather(*(server.append(context_id, b.user("y"), request_id=f"{n}") for n in range(300)))
    async with serve(url) as server:
        again = await server.append(context_id, b.user("x"), request_id="r")
        assert again.replayed
        assert unmarked(again) == unmarked(first)
        assert (await server.create(request_id="c")).context_id == context_id


# --- what is the same request -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("nested", [False, True])
async def test_fields_of_newer_clients_do_not_make_another_request(server: Running, nested: bool) -> None:
    """They are dropped, wherever they stand, before the request is compared."""
    context_id = (await server.create()).context_id
    message = pb.Message(role=pb.ROLE_USER, parts=[b.text_part("x")])
    await server.append(context_id, message, request_id="r")
    unknown = b"\xfa\x3f\x03new"  # field 1023
    part = b.text_part("x").SerializeToString() + (unknown if nested else b"")
    role = pb.Message(role=pb.ROLE_USER).SerializeToString()
    (tag,) = (field.number << 3 | 2 for field in pb.Message.DESCRIPTOR.fields if field.name == "parts")
    body = role + bytes((tag, len(part))) + part + (b"" if nested else unknown)
    raw = request(context_id, request_id="r").SerializeToString() + b"\x12" + bytes((len(body),)) + body
    path = "/kata.context.v1.MessageService/AppendMessages"
    call = methods(server.channel).unary_unary(path, response_deserializer=ms.AppendMessagesResponse.FromString)
    assert (await call(raw)).replayed


async def test_the_order_of_fields_on_the_wire_does_not_matter(server: Running) -> None:
    context_id = (await server.create()).context_id
    role, text = pb.Message(role=pb.ROLE_USER), pb.Message(text="x")
    await server.append(context_id, b.user("x"), request_id="r")
    for parts in ((role, text), (text, role)):
        body = b"".join(part.SerializeToString() for part in parts)
        raw = b"\x12" + bytes((len(body),)) + body + request(context_id, request_id="r").SerializeToString()
        path = "/kata.context.v1.MessageService/AppendMessages"
        call = methods(server.channel).unary_unary(path, response_deserializer=ms.AppendMessagesResponse.FromString)
        assert (await call(raw)).replayed


async def test_the_order_of_maps_and_a_default_spelled_out_do_not_matter(server: Running) -> None:
    key = uuid4().hex
    labels = {f"k{n}": str(n) for n in range(9)}
    first = await server.create(labels=labels, request_id=key)
    again = await server.create(labels=dict(reversed(labels.items())), tokenizer="o200k_base", request_id=key)
    assert again.context_id == first.context_id


# --- the order of checks ----------------------------------------------------------------------------------------------


async def test_checks_come_in_order(server: Running) -> None:
    """A request that everything speaks against is refused for the first of it, and so on as one after another goes."""
    context_id = (await server.create()).context_id
    calls = b.calls(*(f"c{n}" for n in range(200)))
    await server.append(context_id, calls, request_id="r")
    await server.append(context_id, b.calls(*(f"d{n}" for n in range(56))))
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))

    bad = await refused(server.append(context_id, pb.Message(), request_id="r", expected_version=9))
    assert bad.reason == "INVALID_FIELD", "what is no request at all comes before everything"
    other = await refused(server.append(context_id, b.user("other"), request_id="r", expected_version=9))
    assert other.reason == "REQUEST_ID_REUSED"
    replay = await server.append(context_id, calls, request_id="r", expected_version=9)
    assert replay.replayed, "before existence, limits and the expected version"
    gone = await refused(server.append(context_id, calls, request_id="n", expected_version=9))
    assert gone.reason == "CONTEXT_NOT_FOUND", "before limits and the expected version"
    await server.contexts.UndeleteContext(cs.UndeleteContextRequest(context_id=context_id))
    limit = await refused(server.append(context_id, calls, request_id="n", expected_version=9))
    assert limit.reason == "TOO_MANY_OPEN_CALLS", "before the expected version"
    late = await refused(server.append(context_id, b.user("x"), request_id="n", expected_version=9))
    assert (late.code, late.reason) == (grpc.StatusCode.ABORTED, "VERSION_CONFLICT")
    assert late.metadata == {"expected": "9", "actual": "2", "versions_since": "-7"}
    done = await server.append(context_id, b.user("x"), request_id="n", expected_version=2)
    assert (done.first_version, done.replayed) == (3, False), "none of it used the id up"
