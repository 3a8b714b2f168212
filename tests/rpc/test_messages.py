"""Appending, importing and reading messages over the wire."""

from __future__ import annotations

import functools
import operator
from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import Any

import grpc
import pytest
from kata.context.v1 import context_pb2
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import message_service_pb2 as ms

from tests.rpc import build as b
from tests.rpc.serving import Running, loop, refused, unknown_id

pytestmark = loop

ASCENDING, DESCENDING = ms.LIST_ORDER_ASCENDING, ms.LIST_ORDER_DESCENDING
UNKNOWN = "acme/new-model"
OWNED = (
    "context_id", "version", "revision", "create_time", "tokenizer", "token_count", "token_count_source",
)  # fmt: skip


def content(message: pb.Message) -> pb.Message:
    """Returns what the caller sent of a message: all but what the server owns."""
    copy = pb.Message.FromString(message.SerializeToString())
    for field in message.DESCRIPTOR.fields:
        if field.name in OWNED:
            copy.ClearField(field.name)
    return copy


# --- appending --------------------------------------------------------------------------------------------------------


@pytest.mark.holds("I1", "I3", "I7", "P17")
async def test_batches_take_dense_versions_one_revision_and_one_time(server: Running) -> None:
    context_id = (await server.create()).context_id
    answers = [await server.append(context_id, *(b.user(f"{n}") for n in range(size))) for size in (1, 3, 2, 1000)]
    seen = [(answer.first_version, answer.last_version, answer.revision, answer.replayed) for answer in answers]
    assert seen == [(1, 1, 1, False), (2, 4, 2, False), (5, 6, 3, False), (7, 1006, 4, False)]
    log = await server.log(context_id)
    assert [m.version for m in log] == list(range(1, 1007))
    for first, last, revision, _ in seen:
        batch = log[first - 1 : last]
        assert {m.revision for m in batch} == {revision}
        assert len({(m.create_time.seconds, m.create_time.nanos) for m in batch}) == 1
    times = [m.create_time.ToNanoseconds() for m in log]
    assert times == sorted(times)
    context = await server.get(context_id)
    assert (context.message_count, context.latest_version, context.latest_revision) == (1006, 1006, 4)
    assert context.total_tokens == sum(m.token_count for m in log)
    assert context.update_time == log[-1].create_time
    assert answers[-1].context == context


@pytest.mark.holds("I4", "P17")
async def test_a_replay_gets_the_first_answer(server: Running) -> None:
    context_id = (await server.create()).context_id
    batch = [b.user("one"), b.assistant("two")]
    first = await server.append(context_id, *batch, request_id="r1")
    await server.append(context_id, b.user("three"))
    again = await server.append(context_id, *batch, request_id="r1")
    assert again.replayed
    assert (again.first_version, again.last_version, again.revision) == (1, 2, 1)
    assert not first.replayed
    assert again.context.latest_version == 3, "the context is the present one"
    assert len(await server.log(context_id)) == 3


@pytest.mark.holds("I4")
async def test_a_replay_comes_before_the_expected_version(server: Running) -> None:
    context_id = (await server.create()).context_id
    await server.append(context_id, b.user("one"), request_id="r1", expected_version=0)
    again = await server.append(context_id, b.user("one"), request_id="r1", expected_version=0)
    assert again.replayed
    otherwise = await server.append(context_id, b.user("one"), request_id="r1", expected_version=77)
    assert otherwise.replayed, "the expected version is no part of the request's content"


@pytest.mark.holds("I4", "P24")
async def test_a_replay_after_soft_deletion(server: Running) -> None:
    context_id = (await server.create()).context_id
    await server.append(context_id, b.user("one"), request_id="r1")
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))
    again = await server.append(context_id, b.user("one"), request_id="r1")
    assert again.replayed
    assert again.context.HasField("delete_time")
    for fresh in ({}, {"request_id": "r2"}):
        error = await refused(server.append(context_id, b.user("two"), **fresh))
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "CONTEXT_NOT_FOUND")


@pytest.mark.holds("I4")
@pytest.mark.parametrize(
    "other",
    [
        [b.user("two")],
        [b.assistant("one")],
        [b.user("one"), b.user("two")],
        [b.user("one", name="x")],
        [b.user("one", token_count=1)],
        [b.user("one", token_count=1, tokenizer="o200k_base")],
        [pb.Message(role=pb.ROLE_USER, parts=[b.text_part("one")])],
    ],
)
async def test_a_request_id_with_other_content(server: Running, other: list[pb.Message]) -> None:
    context_id = (await server.create()).context_id
    await server.append(context_id, b.user("one"), request_id="r1")
    error = await refused(server.append(context_id, *other, request_id="r1"))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED")
    assert error.metadata == {"request_id": "r1"}
    assert len(await server.log(context_id)) == 1


@pytest.mark.holds("I4")
async def test_a_request_id_of_another_method_is_used_up(server: Running) -> None:
    context_id = (await server.create()).context_id
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id, request_id="r1"))
    await server.contexts.UndeleteContext(cs.UndeleteContextRequest(context_id=context_id))
    assert (await refused(server.append(context_id, b.user("x"), request_id="r1"))).reason == "REQUEST_ID_REUSED"


@pytest.mark.holds("I4")
async def test_fingerprints_do_not_depend_on_what_the_server_owns_or_on_the_order_of_maps(server: Running) -> None:
    context_id = (await server.create()).context_id
    one, two = b.user("x"), b.user("x", version=9, revision=3, context_id="gibberish")
    one.metadata.update({"a": 1, "b": {"c": [1, 2]}})
    two.metadata.update({"b": {"c": [1, 2]}, "a": 1})
    await server.append(context_id, one, request_id="r1")
    assert (await server.append(context_id, two, request_id="r1")).replayed


@pytest.mark.parametrize(("expected", "actual"), [(0, 2), (1, 2), (7, 2)])
async def test_version_conflict(server: Running, expected: int, actual: int) -> None:
    context_id = (await server.create()).context_id
    await server.append(context_id, b.user("1"), b.user("2"), expected_version=0)
    error = await refused(server.append(context_id, b.user("3"), expected_version=expected, request_id="r"))
    assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "VERSION_CONFLICT")
    assert error.metadata == {
        "expected": str(expected),
        "actual": str(actual),
        "versions_since": str(actual - expected),
    }
    done = await server.append(context_id, b.user("3"), expected_version=2, request_id="r")
    assert (done.first_version, done.replayed) == (3, False), "a refused call leaves its request_id free"


async def test_appending_to_nothing(server: Running) -> None:
    missing = unknown_id()
    error = await refused(server.append(missing, b.user("x"), request_id="r", expected_version=3))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "CONTEXT_NOT_FOUND")
    assert error.metadata == {"context_id": missing}


@pytest.mark.holds("I12")
async def test_too_many_open_calls(server: Running) -> None:
    context_id = (await server.create()).context_id
    await server.append(context_id, b.calls(*(f"a{n}" for n in range(256))))
    error = await refused(server.append(context_id, b.calls("one more")))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "TOO_MANY_OPEN_CALLS")
    assert error.metadata == {"context_id": context_id, "max": "256"}
    assert (await server.get(context_id)).latest_version == 1
    await server.append(context_id, b.result("a0"), b.calls("one more"))
    error = await refused(server.append(context_id, b.calls("another")))
    assert error.reason == "TOO_MANY_OPEN_CALLS"
    error = await refused(server.append(context_id, b.calls("another"), expected_version=77))
    assert error.reason == "TOO_MANY_OPEN_CALLS", "limits come before the expected version"
    await server.append(context_id, b.user("what has no call is not concerned"))


# --- token counts -----------------------------------------------------------------------------------------------------


@pytest.mark.holds("P16")
async def test_counts_are_the_servers_and_differences_are_named(server: Running) -> None:
    context_id = (await server.create()).context_id
    answer = await server.append(
        context_id,
        b.user("hello world", token_count=2),
        b.user("hello world", token_count=3),
        b.user("hello world", token_count=5, tokenizer="o200k_base"),
        b.user("hello world", token_count=7, tokenizer="cl100k_base"),
        b.user("hello world"),
        request_id="r",
    )
    found = [(d.index, d.given, d.counted) for d in answer.token_count_differences]
    assert found == [(1, 3, 2), (2, 5, 2)], "a count in another tokenizer says nothing about this one"
    assert [m.token_count for m in await server.log(context_id)] == [2] * 5
    assert {m.token_count_source for m in await server.log(context_id)} == {pb.TOKEN_COUNT_SOURCE_COUNTED}


@pytest.mark.holds("P16")
async def test_an_unknown_tokenizer_keeps_the_callers_counts_and_estimates_the_rest(server: Running) -> None:
    context_id = (await server.create(tokenizer=UNKNOWN)).context_id
    answer = await server.append(
        context_id,
        b.user("hello world", token_count=11),
        b.user("hello world", token_count=12, tokenizer=UNKNOWN),
        b.user("hello world", token_count=1, tokenizer="o200k_base"),
        b.user("hello world"),
        b.user("hello world", token_count=0),
    )
    assert not answer.token_count_differences
    log = await server.log(context_id)
    caller, estimated = pb.TOKEN_COUNT_SOURCE_CALLER, pb.TOKEN_COUNT_SOURCE_ESTIMATED
    assert [m.token_count_source for m in log] == [caller, caller, estimated, estimated, caller]
    assert [m.token_count for m in log][:2] == [11, 12]
    assert log[4].token_count == 0
    assert log[2].token_count == log[3].token_count > 2, "an estimate is from above"
    assert {m.tokenizer for m in log} == {UNKNOWN}


@pytest.mark.holds("P16", "I7")
async def test_the_first_append_learns_the_contexts_tokenizer(server: Running) -> None:
    """The server guesses the default tokenizer for a context it has not seen, and must not believe its guess."""
    text = "Grüße, 東京"
    counts = {}
    for tokenizer in ("o200k_base", "cl100k_base", UNKNOWN):
        context_id = (await server.create(tokenizer=tokenizer)).context_id
        await server.append(context_id, b.user(text), b.calls("1"), request_id="r", expected_version=0)
        counts[tokenizer] = (await server.log(context_id))[0].token_count
        await server.append(context_id, b.user(text))
        assert (await server.log(context_id))[2].token_count == counts[tokenizer]
    assert counts["o200k_base"] < counts["cl100k_base"]


@pytest.mark.holds("P16")
async def test_differences_are_named_again_in_a_replay(server: Running) -> None:
    context_id = (await server.create()).context_id
    messages = [b.user("hello world", token_count=9)]
    first = await server.append(context_id, *messages, request_id="r")
    again = await server.append(context_id, *messages, request_id="r")
    assert again.token_count_differences == first.token_count_differences
    assert again.replayed


# --- what is stored ---------------------------------------------------------------------------------------------------

EXACT: dict[str, pb.Message] = {
    "empty": b.user(""),
    "white space": b.user(" \t\n\r\u00a0\u2028 "),
    "nul": b.user("a\x00b\x00"),
    "only nul": b.assistant("\x00"),
    "not normal": b.user("e\u0301 vs \u00e9, \ufeff, \uffff, 👩‍👩‍👧"),
    "special token": b.user("<|endoftext|><|im_start|>system"),
    "null content": pb.Message(role=pb.ROLE_ASSISTANT, content_form=pb.CONTENT_FORM_NULL),
    "empty array": pb.Message(role=pb.ROLE_USER, content_form=pb.CONTENT_FORM_ARRAY),
    "arguments that are no JSON": pb.Message(
        role=pb.ROLE_ASSISTANT,
        parts=[
            b.call_part("1", arguments='{"a": '),
            b.call_part("2", arguments=""),
            b.call_part("3", arguments="\x00"),
        ],
    ),
    "arguments with duplicate keys and odd numbers": pb.Message(
        role=pb.ROLE_ASSISTANT, parts=[b.call_part("1", arguments='{"a":1.0,"a":1e400, "b" :1E+2,"z":-0}\n')]
    ),
    "empty result": pb.Message(
        role=pb.ROLE_TOOL, parts=[pb.Part(tool_result=pb.ToolResultPart(tool_call_id="1", text=""))]
    ),
    "failed result of parts": pb.Message(
        role=pb.ROLE_TOOL,
        parts=[
            pb.Part(
                tool_result=pb.ToolResultPart(
                    tool_call_id="1",
                    is_error=True,
                    parts=[
                        b.text_part("\x00"),
                        pb.Part(image=pb.ImagePart(data=b"\x89PNG\x00", media_type="image/png")),
                    ],
                )
            )
        ],
    ),
    "not a failed result": pb.Message(
        role=pb.ROLE_TOOL, parts=[pb.Part(tool_result=pb.ToolResultPart(tool_call_id="1", is_error=False))]
    ),
    "reasoning": pb.Message(
        role=pb.ROLE_ASSISTANT,
        parts=[
            pb.Part(reasoning=pb.ReasoningPart(text="", signature="c2ln")),
            pb.Part(reasoning=pb.ReasoningPart(redacted_data="AAA=")),
            b.text_part(""),
            pb.Part(refusal=pb.RefusalPart(text="no")),
        ],
    ),
    "media": pb.Message(
        role=pb.ROLE_USER,
        parts=[
            pb.Part(image=pb.ImagePart(url="data:image/png;base64,not canonical", detail="low")),
            pb.Part(file=pb.FilePart(file_id="file-1", filename="a\u0301.pdf")),
            pb.Part(file=pb.FilePart(data=b"", media_type="text/plain")),
        ],
    ),
    "unknown part": pb.Message(
        role=pb.ROLE_USER,
        parts=[pb.Part(unknown=pb.UnknownPart(type="video", json='{"z":1.00,"a":[1,1]} '), extra_json='{"k" : 1}')],
    ),
    "keys of its own": b.user("x", name="Ann", model="m-1", extra_json='{"b":1,"a":2}'),
}


@pytest.mark.holds("I1")
@pytest.mark.parametrize("name", EXACT)
async def test_content_comes_back_exactly(server: Running, name: str) -> None:
    message = EXACT[name]
    context_id = (await server.create()).context_id
    await server.append(context_id, message)
    answer = await server.messages.GetMessage(ms.GetMessageRequest(context_id=context_id, version=1))
    assert content(answer.message) == message
    for name_of in OWNED:
        assert answer.message.HasField("token_count")
        assert getattr(answer.message, name_of) is not None
    assert await server.log(context_id) == [answer.message]
    window = await server.window(context_id, 100_000)
    assert [content(m) for m in window.messages] in ([message], [])
    assert bool(window.messages) == (message.role != pb.ROLE_TOOL), "here a result has no call"


@pytest.mark.holds("I1")
async def test_metadata_comes_back_equal(server: Running) -> None:
    message = b.user("x")
    message.metadata.update({"n": None, "t": True, "f": 0.1, "i": 3, "s": "\x00", "l": [1, [], {}], "o": {"": ""}})
    context_id = (await server.create()).context_id
    await server.append(context_id, message)
    assert content((await server.log(context_id))[0]) == message


# --- importing --------------------------------------------------------------------------------------------------------

Frames = Iterable[ms.ImportMessagesRequest]


def header(context_id: str, **fields: Any) -> ms.ImportMessagesRequest:
    return ms.ImportMessagesRequest(header=ms.ImportHeader(context_id=context_id, **fields))


def batch(*messages: pb.Message) -> ms.ImportMessagesRequest:
    return ms.ImportMessagesRequest(batch=ms.ImportBatch(messages=messages))


async def send(server: Running, frames: Frames) -> ms.ImportMessagesResponse:
    async def stream() -> AsyncIterator[ms.ImportMessagesRequest]:
        for frame in frames:
            yield frame

    return await server.messages.ImportMessages(stream())


@pytest.mark.holds("I3", "P12")
async def test_an_import(server: Running) -> None:
    context_id = (await server.create()).context_id
    batches = [batch(b.user(f"{n}a"), b.assistant(f"{n}b")) for n in range(5)]
    answer = await send(server, [header(context_id, request_id="i", expected_version=0), *batches])
    assert (answer.batch_count, answer.replayed_batch_count) == (5, 0)
    assert (answer.first_version, answer.last_version) == (1, 10)
    assert answer.context == await server.get(context_id)
    assert [m.text for m in await server.log(context_id)] == [f"{n}{s}" for n in range(5) for s in "ab"]
    assert [m.revision for m in await server.log(context_id)] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]


@pytest.mark.holds("I3", "I4", "P12")
async def test_an_import_that_broke_goes_on(server: Running) -> None:
    context_id = (await server.create()).context_id
    opening = header(context_id, request_id="i", expected_version=0)
    batches = [batch(b.user(f"{n}")) for n in range(6)]
    call = server.messages.ImportMessages()
    for frame in (opening, *batches[:3]):
        await call.write(frame)
    while (await server.get(context_id)).latest_version < 2:
        pass
    call.cancel()
    kept = (await server.get(context_id)).latest_version
    assert kept >= 2
    answer = await send(server, [opening, *batches])
    assert answer.batch_count == 6
    assert answer.replayed_batch_count >= kept
    assert (answer.first_version, answer.last_version) == (1, 6)
    assert [m.text for m in await server.log(context_id)] == [f"{n}" for n in range(6)]
    again = await send(server, [opening, *batches])
    assert (again.batch_count, again.replayed_batch_count) == (6, 6)


@pytest.mark.holds("I4", "I9")
@pytest.mark.parametrize("there", [0, 1, 2, 3, 7, 8, 21])
async def test_an_import_tells_where_to_go_on(server: Running, there: int) -> None:
    """A header alone asks; the stream that goes on sends nothing again."""
    context_id = (await server.create()).context_id
    batches = [batch(b.user(f"{n}")) for n in range(there + 3)]
    if there:
        answer = await send(server, [header(context_id, request_id="i", expected_version=0), *batches[:there]])
        assert answer.next_batch == there
    asked = await send(server, [header(context_id, request_id="i")])
    assert (asked.next_batch, asked.batch_count, asked.context.latest_version) == (there, 0, there)
    going_on = header(context_id, request_id="i", first_batch=asked.next_batch, expected_version=there)
    answer = await send(server, [going_on, *batches[there:]])
    assert (answer.next_batch, answer.batch_count, answer.replayed_batch_count) == (there + 3, 3, 0)
    assert (answer.first_version, answer.last_version) == (there + 1, there + 3)
    whole = await send(server, [header(context_id, request_id="i", expected_version=0), *batches])
    assert (whole.replayed_batch_count, whole.next_batch) == (there + 3, there + 3)
    assert [m.text for m in await server.log(context_id)] == [f"{n}" for n in range(there + 3)]


async def test_an_import_leaves_no_gap(server: Running) -> None:
    context_id = (await server.create()).context_id
    await send(server, [header(context_id, request_id="i"), batch(b.user("0")), batch(b.user("1"))])
    error = await refused(send(server, [header(context_id, request_id="i", first_batch=3), batch(b.user("3"))]))
    assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "VERSION_OUT_OF_RANGE")
    assert error.metadata == {"field": "header.first_batch", "value": "3", "latest": "2"}
    error = await refused(send(server, [header(unknown_id(), request_id="i", first_batch=1)]))
    assert error.reason == "CONTEXT_NOT_FOUND"
    for wrong in (header(context_id, first_batch=1), header(context_id, request_id="i", first_batch=-1)):
        error = await refused(send(server, [wrong]))
        assert error.reason == "INVALID_FIELD"


@pytest.mark.holds("I3")
async def test_what_an_import_read_before_a_bad_batch_is_kept(server: Running) -> None:
    context_id = (await server.create()).context_id
    large = batch(*[b.user("word " * 100)] * 1_000)
    error = await refused(send(server, [header(context_id, request_id="i"), large, batch(pb.Message()), large]))
    assert error.reason == "INVALID_FIELD"
    assert (await server.get(context_id)).latest_version == 1_000
    assert (await send(server, [header(context_id, request_id="i")])).next_batch == 1


@pytest.mark.holds("I3")
async def test_nothing_is_written_after_a_batch_that_was_refused(server: Running) -> None:
    """Those behind it were read and prepared by then."""
    context_id = (await server.create()).context_id
    await send(server, [header(context_id, request_id="i"), batch(b.user("0")), batch(b.user("1"))])
    others = [batch(b.user(text)) for text in ("0", "another", "2", "3", "4")]
    error = await refused(send(server, [header(context_id, request_id="i"), *others]))
    assert error.reason == "REQUEST_ID_REUSED"
    assert [m.text for m in await server.log(context_id)] == ["0", "1"]


async def test_an_import_without_batches(server: Running) -> None:
    context_id = (await server.create()).context_id
    answer = await send(server, [header(context_id)])
    assert (answer.batch_count, answer.first_version, answer.last_version) == (0, 0, 0)
    assert answer.context.context_id == context_id
    assert (await refused(send(server, [header(unknown_id())]))).reason == "CONTEXT_NOT_FOUND"


async def test_an_import_of_other_batches_under_the_same_id(server: Running) -> None:
    context_id = (await server.create()).context_id
    await send(server, [header(context_id, request_id="i"), batch(b.user("1")), batch(b.user("2"))])
    error = await refused(send(server, [header(context_id, request_id="i"), batch(b.user("1")), batch(b.user("x"))]))
    assert error.reason == "REQUEST_ID_REUSED"
    assert error.metadata == {"request_id": "i/1"}


async def test_an_import_onto_another_version(server: Running) -> None:
    context_id = (await server.create()).context_id
    await server.append(context_id, b.user("1"))
    error = await refused(send(server, [header(context_id, expected_version=0), batch(b.user("2"))]))
    assert error.reason == "VERSION_CONFLICT"
    await send(server, [header(context_id, expected_version=1), batch(b.user("2")), batch(b.user("3"))])
    assert (await server.get(context_id)).latest_version == 3


async def test_frames_in_the_wrong_order(server: Running) -> None:
    context_id = (await server.create()).context_id
    fine = batch(b.user("1"))
    wrong: list[tuple[Frames, int]] = [
        ([], 0),
        ([fine], 0),
        ([ms.ImportMessagesRequest()], 0),
        ([header(context_id), header(context_id)], 0),
        ([header(context_id), fine, ms.ImportMessagesRequest()], 1),
    ]
    kept = 0
    for frames, committed in wrong:
        error = await refused(send(server, frames))
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert error.violations == [("frame", "WRONG_FRAME")]
        kept += committed
        assert (await server.get(context_id)).latest_version == kept


# --- reading ----------------------------------------------------------------------------------------------------------


async def test_one_message(server: Running) -> None:
    context_id = (await server.create()).context_id
    await server.append(context_id, b.user("1"), b.assistant("2"))
    answer = await server.messages.GetMessage(ms.GetMessageRequest(context_id=context_id, version=2))
    assert (answer.message.text, answer.message.version, answer.message.context_id) == ("2", 2, context_id)
    error = await refused(server.messages.GetMessage(ms.GetMessageRequest(context_id=context_id, version=3)))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "MESSAGE_NOT_FOUND")
    assert error.metadata == {"context_id": context_id, "version": "3"}
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))
    error = await refused(server.messages.GetMessage(ms.GetMessageRequest(context_id=context_id, version=1)))
    assert error.reason == "CONTEXT_NOT_FOUND"


async def walk(server: Running, context_id: str, **fields: Any) -> list[list[int]]:
    """Lists a log page by page."""
    request = ms.ListMessagesRequest(context_id=context_id, **fields)
    pages = []
    while True:
        page = await server.messages.ListMessages(request)
        pages.append([m.version for m in page.messages])
        if not page.next_page_token:
            return pages
        request.page_token = page.next_page_token


async def test_pages_in_both_orders(server: Running) -> None:
    context_id = (await server.create()).context_id
    await server.append(context_id, *(b.user(str(n)) for n in range(7)))
    assert await walk(server, context_id, page_size=3) == [[1, 2, 3], [4, 5, 6], [7]]
    assert await walk(server, context_id, page_size=3, order=ASCENDING) == [[1, 2, 3], [4, 5, 6], [7]]
    assert await walk(server, context_id, page_size=3, order=DESCENDING) == [[7, 6, 5], [4, 3, 2], [1]]
    for order in (ASCENDING, DESCENDING):
        assert len(await walk(server, context_id, page_size=7, order=order)) == 1, "a token only where more may follow"
        assert len(await walk(server, context_id, page_size=2**31 - 1, order=order)) == 1
    assert await walk(server, (await server.create()).context_id) == [[]]


async def test_default_and_largest_page(server: Running) -> None:
    context_id = (await server.create()).context_id
    for _ in range(2):
        await server.append(context_id, *(b.user(str(n)) for n in range(600)))
    assert [len(page) for page in await walk(server, context_id)] == [100] * 12
    assert [len(page) for page in await walk(server, context_id, page_size=5_000)] == [1_000, 200]


async def test_pages_of_some_roles(server: Running) -> None:
    context_id = (await server.create()).context_id
    await server.append(context_id, b.system("1"), b.user("2"), b.assistant("3"), b.user("4"), b.assistant("5"))
    roles = [pb.ROLE_USER, pb.ROLE_SYSTEM]
    for size in (1, 2, 3):
        pages = await walk(server, context_id, page_size=size, roles=roles)
        assert functools.reduce(operator.iadd, pages, []) == [1, 2, 4]
        pages = await walk(server, context_id, page_size=size, roles=roles, order=DESCENDING)
        assert functools.reduce(operator.iadd, pages, []) == [4, 2, 1]
    assert functools.reduce(operator.iadd, await walk(server, context_id, roles=[pb.ROLE_TOOL]), []) == []


async def test_a_page_ends_at_two_mebibytes_or_one_message(server: Running) -> None:
    context_id = (await server.create()).context_id
    for kib in (900, 900, 900, 3_000, 10, 10):
        await server.append(context_id, b.user("a" * 1_024 * kib))
    assert await walk(server, context_id) == [[1, 2], [3], [4], [5, 6]]
    assert await walk(server, context_id, order=DESCENDING) == [[6, 5], [4], [3, 2], [1]]


async def test_a_walk_ends_where_the_log_ended_at_its_start(server: Running) -> None:
    context_id = (await server.create()).context_id
    await server.append(context_id, *(b.user(str(n)) for n in range(4)))
    for order in (ASCENDING, DESCENDING):
        latest = (await server.get(context_id)).latest_version
        request = ms.ListMessagesRequest(context_id=context_id, page_size=2, order=order)
        page = await server.messages.ListMessages(request)
        await server.append(context_id, b.user("later"))
        seen = [m.version for m in page.messages]
        while page.next_page_token:
            request.page_token = page.next_page_token
            page = await server.messages.ListMessages(request)
            seen.extend(m.version for m in page.messages)
        assert sorted(seen) == list(range(1, latest + 1))


@pytest.mark.holds("I10")
async def test_page_tokens_belong_to_their_walk(server: Running) -> None:
    context_id = (await server.create()).context_id
    other = (await server.create()).context_id
    for somewhere in (context_id, other):
        await server.append(somewhere, b.user("1"), b.user("2"))
    request = ms.ListMessagesRequest(context_id=context_id, page_size=1)
    token = (await server.messages.ListMessages(request)).next_page_token
    history = ms.ListHistoryRequest(context_id=context_id, page_token=token)
    calls: list[Awaitable[Any]] = [
        server.messages.ListMessages(ms.ListMessagesRequest(context_id=other, page_token=token)),
        server.messages.ListMessages(ms.ListMessagesRequest(context_id=context_id, page_token=token, order=DESCENDING)),
        server.messages.ListMessages(
            ms.ListMessagesRequest(context_id=context_id, page_token=token, roles=[pb.ROLE_USER])
        ),
        server.messages.ListHistory(history),
        server.contexts.ListContexts(cs.ListContextsRequest(page_token=token)),
    ]
    for call in calls:
        error = await refused(call)
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_MISMATCH")
        assert error.metadata == {"field": "page_token"}
    request.page_token, request.page_size = token, 50
    assert [m.version for m in (await server.messages.ListMessages(request)).messages] == [2], "the size may change"
    for bad in (token[::-1], token[:-4], "x", "\x00", "ä", token + "=", "." + token):
        request.page_token = bad
        error = await refused(server.messages.ListMessages(request))
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID"), bad


# --- history ----------------------------------------------------------------------------------------------------------

CALL_PREVIEW = "tool({})"


async def test_history(server: Running) -> None:
    context_id = (await server.create(name="n", request_id=f"create-{unknown_id()}")).context_id
    await server.append(context_id, b.user("é" * 150), b.assistant("x"), request_id="r1")
    await server.contexts.UpdateContext(
        cs.UpdateContextRequest(context=context_pb2.Context(context_id=context_id, name="m"))
    )
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id, request_id="r3"))
    await server.contexts.UndeleteContext(cs.UndeleteContextRequest(context_id=context_id))
    await server.append(context_id, b.calls("1"))
    await server.append(context_id, b.result("1"))
    request = ms.ListHistoryRequest(context_id=context_id)
    newest_first = list((await server.messages.ListHistory(request)).revisions)
    request.order = ASCENDING
    oldest_first = list((await server.messages.ListHistory(request)).revisions)
    assert newest_first == oldest_first[::-1]
    kinds = [ms.RevisionKind.Name(r.kind).removeprefix("REVISION_KIND_") for r in oldest_first]
    assert kinds == ["APPEND", "UPDATE", "DELETE", "UNDELETE", "APPEND", "APPEND"]
    assert [r.revision for r in oldest_first] == [1, 2, 3, 4, 5, 6]
    assert [(r.first_version, r.last_version) for r in oldest_first] == [(1, 2), (0, 2), (0, 2), (0, 2), (3, 3), (4, 4)]
    assert [r.preview for r in oldest_first] == ["é" * 100, "", "", "", CALL_PREVIEW, "42"]
    assert [r.request_id for r in oldest_first] == ["r1", "", "r3", "", "", ""]
    unset, user, model, tool = pb.ROLE_UNSPECIFIED, pb.ROLE_USER, pb.ROLE_ASSISTANT, pb.ROLE_TOOL
    assert [r.role for r in oldest_first] == [user, unset, unset, unset, model, tool]
    times = [r.create_time.ToNanoseconds() for r in oldest_first]
    assert times == sorted(times)
    assert oldest_first[0].create_time == (await server.log(context_id))[0].create_time


async def test_pages_of_history_in_both_orders(server: Running) -> None:
    context_id = (await server.create()).context_id
    for n in range(5):
        await server.append(context_id, b.user(str(n)))
    for order, expected in ((DESCENDING, [5, 4, 3, 2, 1]), (ASCENDING, [1, 2, 3, 4, 5])):
        request = ms.ListHistoryRequest(context_id=context_id, page_size=2, order=order)
        pages = []
        while True:
            page = await server.messages.ListHistory(request)
            pages.append([r.revision for r in page.revisions])
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        assert pages == [expected[:2], expected[2:4], expected[4:]]
    empty = (await server.create()).context_id
    assert not (await server.messages.ListHistory(ms.ListHistoryRequest(context_id=empty))).revisions
    error = await refused(server.messages.ListHistory(ms.ListHistoryRequest(context_id=unknown_id())))
    assert error.reason == "CONTEXT_NOT_FOUND"


@pytest.mark.parametrize("name", EXACT)
async def test_previews_are_the_beginning_of_the_text(server: Running, name: str) -> None:
    message = EXACT[name]
    context_id = (await server.create()).context_id
    await server.append(context_id, message)
    (revision,) = (await server.messages.ListHistory(ms.ListHistoryRequest(context_id=context_id))).revisions
    assert len(revision.preview) <= 100
    if message.HasField("text"):
        assert revision.preview == message.text[:100]
