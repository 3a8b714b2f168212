"""Windows over the wire: their frames, their numbers, and what they hold in cases that real conversations bring."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import window_pb2

from kata_grpc.domain.tokens import FRAMING
from kata_grpc.limits import FRAME_BYTES, FRAME_MESSAGES
from tests.rpc import build as b
from tests.rpc.serving import Running, loop, refused, serve, unknown_id

pytestmark = loop

PLENTY = 1_000_000
CHAT = FRAMING["openai_chat"]
ANTHROPIC = window_pb2.DIALECT_ANTHROPIC
GEMINI = window_pb2.DIALECT_GEMINI


async def conversation(server: Running, *batches: list[pb.Message], **fields: Any) -> str:
    context = await server.create(**fields)
    for batch in batches:
        await server.append(context.context_id, *batch)
    return context.context_id


async def sizes(server: Running, *messages: pb.Message, tokens: int = 10) -> str:
    """A conversation in which every message has the same count."""
    return await conversation(server, [b.sized(m, tokens) for m in messages], tokenizer=b.SIZED)


def versions(window: ms.GetWindowResponse) -> list[int]:
    return [message.version for message in window.messages]


def excluded(window: ms.GetWindowResponse) -> list[tuple[int, int, str]]:
    return [
        (run.first_version, run.last_version, window_pb2.ExclusionReason.Name(run.reason)[17:])
        for run in window.trailer.excluded
    ]


def fixed(messages: int, items: int = 0, tokens: int = 10) -> int:
    """The cost of a window of so many messages of equal size."""
    return CHAT.cost(tokens * messages, messages, items)


# --- budgets ----------------------------------------------------------------------------------------------------------


@pytest.mark.holds("I5")
async def test_everything_fits(server: Running) -> None:
    context_id = await conversation(server, [b.system("Be brief."), b.user("Hi"), b.assistant("Hello")])
    window = await server.window(context_id, PLENTY)
    assert versions(window) == [1, 2, 3]
    assert not window.trailer.excluded
    assert list(window.messages) == await server.log(context_id)
    header, ledger = window.header, window.trailer.ledger
    assert (header.snapshot_version, header.snapshot_revision, header.tail_first_version) == (3, 1, 2)
    assert (header.message_count, header.policy_revision, header.engine_version) == (3, 0, "2")
    assert (header.tokenizer, header.accuracy) == ("o200k_base", window_pb2.WINDOW_ACCURACY_EXACT)
    assert (header.dialect, header.view) == (window_pb2.DIALECT_OPENAI_CHAT, window_pb2.VIEW_CURRENT)
    content = sum(message.token_count for message in window.messages)
    assert ledger.pinned_tokens == window.messages[0].token_count
    assert ledger.pinned_tokens + ledger.tail_tokens == content
    assert header.window_tokens == CHAT.cost(content, 3, 0)
    assert ledger.overhead_tokens == header.window_tokens - content


@pytest.mark.holds("I5")
@pytest.mark.parametrize("kept", range(1, 6))
async def test_the_newest_that_fit_to_the_token(server: Running, kept: int) -> None:
    context_id = await sizes(server, *(b.user(str(n)) for n in range(6)))
    exact = await server.window(context_id, fixed(kept))
    assert versions(exact) == list(range(7 - kept, 7))
    assert exact.header.window_tokens == fixed(kept)
    assert exact.trailer.ledger.unused_tokens == 0
    assert excluded(exact) == [(1, 6 - kept, "BUDGET")]
    assert versions(await server.window(context_id, fixed(kept + 1) - 1)) == versions(exact)


@pytest.mark.holds("I5")
async def test_reserved_tokens_stay_free(server: Running) -> None:
    context_id = await sizes(server, *(b.user(str(n)) for n in range(6)))
    window = await server.window(context_id, fixed(3) + 500, reserve_tokens=500)
    assert versions(window) == [4, 5, 6]
    assert (window.header.token_budget, window.header.reserve_tokens) == (fixed(3) + 500, 500)
    assert window.trailer.ledger.reserve_tokens == 500
    assert versions(await server.window(context_id, fixed(3) + 500, reserve_tokens=501)) == [5, 6]


async def test_a_window_stops_at_the_first_group_that_does_not_fit(server: Running) -> None:
    big, small = b.sized(b.user("big"), 1_000), [b.sized(b.user("small"), 10) for _ in range(2)]
    context_id = await conversation(server, [small[0], big, small[1]], tokenizer=b.SIZED)
    window = await server.window(context_id, 500)
    assert versions(window) == [3], "no older group is let past one that is too large"
    assert excluded(window) == [(1, 2, "BUDGET")]


async def test_pinned_messages_come_first_wherever_they_stand(server: Running) -> None:
    context_id = await sizes(
        server, b.system("a"), b.user("b"), b.developer("c"), b.user("d"), b.user("e"), b.system("f")
    )
    window = await server.window(context_id, fixed(4))
    assert versions(window) == [1, 3, 5, 6]
    assert window.trailer.ledger.pinned_tokens == 30
    assert window.header.tail_first_version == 5
    assert excluded(window) == [(1, 4, "BUDGET")]


@pytest.mark.parametrize("reserve", [0, 7])
@pytest.mark.parametrize("budget_off", [1, 10])
async def test_budget_too_small_says_what_would_do(server: Running, reserve: int, budget_off: int) -> None:
    context_id = await sizes(server, b.system("a"), b.user("b"), b.calls("1"), b.result("1"))
    needed = fixed(4, items=2) + reserve
    error = await refused(server.window(context_id, needed - budget_off, reserve_tokens=reserve))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "BUDGET_TOO_SMALL")
    assert error.metadata == {
        "required_tokens": str(needed),
        "token_budget": str(needed - budget_off),
        "reserve_tokens": str(reserve),
        "pinned_tokens": str(10 + CHAT.per_message),
        "turn_tokens": str(10 + CHAT.per_message),
        "newest_group_tokens": str(20 + 2 * CHAT.per_message + 2 * CHAT.per_item),
        "tools_tokens": "0",
    }
    again = await server.window(context_id, int(error.metadata["required_tokens"]), reserve_tokens=reserve)
    assert versions(again) == [1, 2, 3, 4]


async def test_pins_alone_too_large(server: Running) -> None:
    context_id = await sizes(server, b.system("a"), tokens=500)
    error = await refused(server.window(context_id, 100))
    assert error.reason == "BUDGET_TOO_SMALL"
    assert error.metadata["newest_group_tokens"] == "0"
    window = await server.window(context_id, int(error.metadata["required_tokens"]))
    assert versions(window) == [1]
    assert window.header.tail_first_version == 0


async def test_an_empty_context_has_an_empty_window(server: Running) -> None:
    context_id = await conversation(server)
    window = await server.window(context_id, 1)
    assert not window.messages
    header = window.header
    assert (header.snapshot_version, header.message_count, header.window_tokens) == (0, 0, 0)
    assert header.tail_first_version == 0
    assert window.trailer.ledger.unused_tokens == 1
    frames = await server.stream(context_id, 1)
    assert [frame.WhichOneof("frame") for frame in frames] == ["header", "trailer"]


@pytest.mark.holds("I5")
async def test_the_largest_budget(server: Running) -> None:
    context_id = await conversation(server, [b.user("x")])
    assert versions(await server.window(context_id, 10_000_000)) == [1]


async def test_messages_without_tokens_are_in_windows(server: Running) -> None:
    context_id = await conversation(server, [b.user(""), b.assistant(""), b.user("")])
    window = await server.window(context_id, PLENTY)
    assert versions(window) == [1, 2, 3]
    stand_ins = 2  # Other dialects say of each empty message of the user's that it is one, at up to 8 tokens.
    assert window.header.window_tokens == CHAT.cost(0, 3, stand_ins)


# --- groups -----------------------------------------------------------------------------------------------------------


@pytest.mark.holds("I6")
async def test_parallel_calls_are_in_or_out_together(server: Running) -> None:
    context_id = await sizes(
        server, b.user("q"), b.calls("1", "2", "3"), b.result("2"), b.result("1"), b.result("3"), b.assistant("done")
    )
    group = fixed(6, items=6)
    assert versions(await server.window(context_id, group)) == [1, 2, 3, 4, 5, 6]
    window = await server.window(context_id, group - 1)
    assert versions(window) == [1, 6], "with the question of the open turn"
    assert window.header.tail_first_version == 6
    assert excluded(window) == [(1, 5, "BUDGET")]


@pytest.mark.holds("I6")
async def test_results_batches_later_among_other_messages(server: Running) -> None:
    batches = [[b.calls("1", "2")], [b.result("1")], [b.user("hurry")], [b.assistant("soon")], [b.result("2")]]
    context_id = await conversation(server, *([b.sized(m, 10) for m in batch] for batch in batches), tokenizer=b.SIZED)
    assert versions(await server.window(context_id, PLENTY)) == [1, 2, 3, 4, 5]
    window = await server.window(context_id, fixed(3))
    assert versions(window) == [3, 4], "the late result belongs to a group that is out"
    assert excluded(window) == [(1, 2, "BUDGET"), (5, 5, "GROUP_OUT")]


@pytest.mark.holds("I6")
async def test_interleaved_results_of_two_turns(server: Running) -> None:
    context_id = await sizes(server, b.calls("1"), b.calls("2"), b.result("1"), b.result("2"), b.user("next"))
    assert versions(await server.window(context_id, PLENTY)) == [1, 2, 3, 4, 5]
    window = await server.window(context_id, fixed(3, items=2))
    assert versions(window) == [2, 4, 5]
    assert excluded(window) == [(1, 1, "BUDGET"), (3, 3, "GROUP_OUT")]


@pytest.mark.holds("I6")
async def test_pending_calls_at_the_end_are_kept_and_named(server: Running) -> None:
    context_id = await conversation(server, [b.user("q"), b.calls("x", "y", "z"), b.result("y")])
    window = await server.window(context_id, PLENTY)
    assert versions(window) == [1, 2, 3]
    assert list(window.trailer.pending_call_ids) == ["x", "z"]
    await server.append(context_id, b.result("x"), b.result("z"))
    assert not (await server.window(context_id, PLENTY)).trailer.pending_call_ids
    then = await server.window(context_id, PLENTY, at_version=3)
    assert list(then.trailer.pending_call_ids) == ["x", "z"], "as it was"


@pytest.mark.holds("I6")
async def test_abandoned_calls_are_passed_over(server: Running) -> None:
    context_id = await conversation(server, [b.user("q"), b.calls("x", "y"), b.result("x"), b.user("never mind")])
    window = await server.window(context_id, PLENTY)
    assert versions(window) == [1, 4]
    assert excluded(window) == [(2, 3, "UNANSWERED_CALL")]
    assert not window.trailer.pending_call_ids
    await server.append(context_id, b.result("y"))
    assert versions(await server.window(context_id, PLENTY)) == [1, 2, 3, 4, 5], "answered after all"
    assert versions(await server.window(context_id, PLENTY, at_version=4)) == [1, 4]


@pytest.mark.holds("I6")
async def test_orphan_results_are_left_out_and_named(server: Running) -> None:
    context_id = await conversation(server, [b.result("gone"), b.user("q"), b.result("gone"), b.assistant("a")])
    window = await server.window(context_id, PLENTY)
    assert versions(window) == [2, 4]
    assert excluded(window) == [(1, 1, "ORPHAN_RESULT"), (3, 3, "ORPHAN_RESULT")]


@pytest.mark.holds("I6")
async def test_a_tool_message_with_more_than_an_orphan_result_is_an_orphan(server: Running) -> None:
    mixed = pb.Message(role=pb.ROLE_TOOL, parts=[b.result_part("gone"), b.text_part("and more")])
    context_id = await conversation(server, [b.user("q"), mixed])
    assert excluded(await server.window(context_id, PLENTY)) == [(2, 2, "ORPHAN_RESULT")]


async def test_only_orphans_give_an_empty_window(server: Running) -> None:
    context_id = await conversation(server, [b.result("gone"), b.result("gone")])
    window = await server.window(context_id, 1)
    assert not window.messages
    assert window.header.window_tokens == 0
    assert excluded(window) == [(1, 2, "ORPHAN_RESULT")]


@pytest.mark.holds("I6")
async def test_a_second_result_for_a_call_is_an_orphan(server: Running) -> None:
    context_id = await conversation(server, [b.calls("1"), b.result("1"), b.result("1"), b.user("next")])
    window = await server.window(context_id, PLENTY)
    assert versions(window) == [1, 2, 4]
    assert excluded(window) == [(3, 3, "ORPHAN_RESULT")]


@pytest.mark.holds("I6")
async def test_a_reused_call_id_belongs_to_the_nearest_unanswered_call(server: Running) -> None:
    context_id = await sizes(
        server, b.calls("1"), b.result("1"), b.user("again"), b.calls("1"), b.result("1"), b.assistant("done")
    )
    window = await server.window(context_id, fixed(4, items=2))
    assert versions(window) == [3, 4, 5, 6]
    assert versions(await server.window(context_id, fixed(4, items=2) - 1)) == [3, 6]


@pytest.mark.holds("I6")
async def test_calls_of_the_older_form_are_matched_by_name(server: Running) -> None:
    call = pb.Part(tool_call=pb.ToolCallPart(name="f", arguments="{}", type="function_call"))
    answer = pb.Part(tool_result=pb.ToolResultPart(name="f", text="1", type="function_call"))
    context_id = await conversation(
        server,
        [
            b.user("q"),
            pb.Message(role=pb.ROLE_ASSISTANT, parts=[call]),
            pb.Message(role=pb.ROLE_TOOL, parts=[answer]),
            pb.Message(role=pb.ROLE_TOOL, parts=[answer]),
        ],
    )
    window = await server.window(context_id, PLENTY)
    assert versions(window) == [1, 2, 3]
    assert excluded(window) == [(4, 4, "ORPHAN_RESULT")]


@pytest.mark.holds("I6")
async def test_results_in_a_users_message(server: Running) -> None:
    answers = pb.Message(role=pb.ROLE_USER, parts=[b.result_part("1"), b.result_part("2"), b.text_part("go on")])
    context_id = await conversation(server, [b.user("q"), b.calls("1", "2"), answers, b.assistant("done")])
    assert versions(await server.window(context_id, PLENTY, dialect=ANTHROPIC)) == [1, 2, 3, 4]


# --- dialects ---------------------------------------------------------------------------------------------------------


@pytest.mark.holds("I6")
@pytest.mark.parametrize("dialect", [ANTHROPIC, GEMINI])
async def test_dialects_that_start_on_a_user(server: Running, dialect: window_pb2.Dialect.ValueType) -> None:
    context_id = await sizes(
        server, b.system("s"), b.user("a"), b.assistant("b"), b.user("c"), b.assistant("d"), tokens=10
    )
    framing = FRAMING["anthropic"]
    room_for_four = framing.cost(40, 4, 0) + framing.per_label
    window = await server.window(context_id, room_for_four, dialect=dialect)
    assert versions(window) == [1, 4, 5], "the assistant's message that would fit may not open it"
    assert excluded(window) == [(1, 2, "BUDGET"), (3, 3, "ILLEGAL_START")]
    assert versions(await server.window(context_id, CHAT.cost(40, 4, 0))) == [1, 3, 4, 5]


@pytest.mark.holds("I6")
async def test_no_user_up_to_the_snapshot(server: Running) -> None:
    context_id = await conversation(server, [b.system("s"), b.assistant("Welcome"), b.user("Hi")])
    error = await refused(server.window(context_id, PLENTY, dialect=ANTHROPIC, at_version=2))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NO_LEGAL_WINDOW")
    assert error.metadata == {"dialect": "anthropic", "snapshot_version": "2"}
    window = await server.window(context_id, PLENTY, dialect=ANTHROPIC)
    assert versions(window) == [1, 3]
    assert excluded(window) == [(2, 2, "ILLEGAL_START")]
    assert versions(await server.window(context_id, PLENTY, dialect=ANTHROPIC, at_version=1)) == [1]


@pytest.mark.holds("I6")
@pytest.mark.parametrize("tokenizer", ["", "cl100k_base"])
async def test_the_turn_does_not_fit(server: Running, tokenizer: str) -> None:
    """The newest group fits, and not beside the user's message that opened the turn: both are required."""
    context_id = await conversation(
        server, [b.user("word " * 300), b.assistant("b"), b.calls("1"), b.result("1"), b.assistant("word " * 20)]
    )
    asked = {"dialect": ANTHROPIC, "tokenizer": tokenizer}
    for budget in (100, 1):
        error = await refused(server.window(context_id, budget, **asked))
        assert error.reason == "BUDGET_TOO_SMALL"
        required = int(error.metadata["required_tokens"])
        assert required > 300
        assert versions(await server.window(context_id, required, **asked)) == [1, 5]
        assert (await refused(server.window(context_id, required - 1, **asked))).reason == "BUDGET_TOO_SMALL"


@pytest.mark.parametrize("dialect", [d for d in window_pb2.Dialect.values() if d])
async def test_each_dialect_counts_its_own_framing(server: Running, dialect: window_pb2.Dialect.ValueType) -> None:
    context_id = await sizes(server, b.user("a"), b.calls("1", "2"), b.result("1"), b.result("2"))
    name = window_pb2.Dialect.Name(dialect).removeprefix("DIALECT_").lower()
    window = await server.window(context_id, PLENTY, dialect=dialect)
    assert window.header.dialect == dialect
    assert window.header.window_tokens == FRAMING[name].cost(40, 4, 4)


# --- other tokenizers, and how exact counts are -----------------------------------------------------------------------


@pytest.mark.holds("I5", "P16")
async def test_another_tokenizer_is_counted_anew(server: Running) -> None:
    texts = ["Grüße aus Köln — 東京へ行く", "naïve café " * 5, "plain words"]
    context_id = await conversation(server, [b.system(texts[0]), b.user(texts[1]), b.assistant(texts[2])])
    twin = await conversation(
        server, [b.system(texts[0]), b.user(texts[1]), b.assistant(texts[2])], tokenizer="cl100k_base"
    )
    recounted = await server.window(context_id, PLENTY, tokenizer="cl100k_base")
    native = await server.window(twin, PLENTY)
    assert recounted.header.tokenizer == "cl100k_base"
    assert recounted.header.accuracy == window_pb2.WINDOW_ACCURACY_EXACT
    assert recounted.trailer.ledger == native.trailer.ledger
    assert recounted.header.window_tokens != (await server.window(context_id, PLENTY)).header.window_tokens
    assert {m.tokenizer for m in recounted.messages} == {"o200k_base"}, "the messages are as they were"


@pytest.mark.holds("I5", "P16")
async def test_an_unknown_tokenizer_is_estimated_from_above_and_flagged(server: Running) -> None:
    context_id = await conversation(server, [b.user("some words here"), b.assistant("and some there")])
    exact = await server.window(context_id, PLENTY)
    window = await server.window(context_id, PLENTY, tokenizer="acme/new-model")
    assert window.header.accuracy == window_pb2.WINDOW_ACCURACY_ESTIMATED
    assert window.header.window_tokens > exact.header.window_tokens


@pytest.mark.holds("P16")
async def test_content_that_is_not_text_makes_a_window_estimated(server: Running) -> None:
    image = pb.Message(
        role=pb.ROLE_USER, parts=[pb.Part(image=pb.ImagePart(url="https://example.com/a.png")), b.text_part("what?")]
    )
    context_id = await conversation(server, [image, b.assistant("a cat"), b.user("thanks")])
    assert (await server.window(context_id, PLENTY)).header.accuracy == window_pb2.WINDOW_ACCURACY_ESTIMATED
    newest = await server.window(context_id, 30)
    assert versions(newest) == [2, 3]
    assert newest.header.accuracy == window_pb2.WINDOW_ACCURACY_EXACT


# --- as of ------------------------------------------------------------------------------------------------------------


@pytest.mark.holds("I2", "P17")
async def test_as_of_any_version_and_revision(server: Running) -> None:
    batches = [[b.system("s"), b.user("1")], [b.assistant("2"), b.calls("c"), b.result("c")], [b.user("3")]]
    context_id = (await server.create()).context_id
    then: list[ms.GetWindowResponse] = [await server.window(context_id, PLENTY)]
    for batch in batches:
        await server.append(context_id, *batch)
        then.append(await server.window(context_id, PLENTY))
    for revision, ended in enumerate([0, 2, 5, 6]):
        by_revision = await server.window(context_id, PLENTY, at_revision=revision)
        assert by_revision == then[revision]
        as_then = await server.window(context_id, PLENTY, at_version=ended, view=window_pb2.VIEW_AS_THEN)
        assert as_then.header.snapshot_revision == revision
        assert list(as_then.messages) == list(then[revision].messages)
        by_version = await server.window(context_id, PLENTY, at_version=ended)
        assert by_version.header.snapshot_revision == 3
        assert list(by_version.messages) == list(as_then.messages)
    within = await server.window(context_id, PLENTY, at_version=4)
    assert versions(within) == [1, 2, 3, 4]
    assert list(within.trailer.pending_call_ids) == ["c"]
    both = await server.window(context_id, PLENTY, at_version=3, at_revision=2)
    assert versions(both) == [1, 2, 3]
    assert both.header.snapshot_revision == 2


@pytest.mark.parametrize(
    ("field", "value", "latest"), [("at_version", 3, 2), ("at_revision", 2, 1), ("at_version", 2**62, 2)]
)
async def test_beyond_the_latest(server: Running, field: str, value: int, latest: int) -> None:
    context_id = await conversation(server, [b.user("1"), b.user("2")])
    error = await refused(server.window(context_id, PLENTY, **{field: value}))
    assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "VERSION_OUT_OF_RANGE")
    assert error.metadata == {"field": field, "value": str(value), "latest": str(latest)}
    assert (await refused(server.stream(context_id, PLENTY, **{field: value}))).reason == "VERSION_OUT_OF_RANGE"


@pytest.mark.holds("I2")
async def test_appends_do_not_change_what_was(server: Running) -> None:
    context_id = await conversation(server, [b.user("1"), b.assistant("2")])
    before = await server.window(context_id, PLENTY)
    await server.append(context_id, b.user("3"))
    assert await server.window(context_id, PLENTY, at_revision=1) == before


@pytest.mark.parametrize("view", [v for v in window_pb2.View.values() if v])
async def test_views_without_overlays_are_equal(server: Running, view: window_pb2.View.ValueType) -> None:
    context_id = await conversation(server, [b.user("1"), b.assistant("2")])
    window = await server.window(context_id, PLENTY, view=view)
    assert window.header.view == view
    assert versions(window) == [1, 2]


async def test_deleted_and_unknown_contexts(server: Running) -> None:
    context_id = await conversation(server, [b.user("1")])
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))
    for absent in (context_id, unknown_id()):
        assert (await refused(server.window(absent, 10))).reason == "CONTEXT_NOT_FOUND"
        assert (await refused(server.stream(absent, 10))).reason == "CONTEXT_NOT_FOUND"


# --- streams ----------------------------------------------------------------------------------------------------------


async def long_one(server: Running, count: int, size: int) -> str:
    context_id = (await server.create(tokenizer=b.SIZED)).context_id
    batch = []
    for n in range(count):
        batch.append(b.sized(b.user(f"{n} " + "x" * size), 10))
        if len(batch) == 500:
            await server.append(context_id, b.sized(b.system(f"pin {n}"), 5), *batch)
            batch = []
    await server.append(context_id, *batch, b.sized(b.user("last"), 10))
    return context_id


@pytest.mark.holds("I2", "I5", "I9")
@pytest.mark.parametrize("budget", [20_000, PLENTY])
async def test_long_streams_resume_at_every_chunk(server: Running, budget: int) -> None:
    context_id = await long_one(server, 3_000, 600)
    request = ms.StreamWindowRequest(context_id=context_id, token_budget=budget)
    raw = server.channel.unary_stream(
        "/kata.context.v1.MessageService/StreamWindow",
        request_serializer=ms.StreamWindowRequest.SerializeToString,
        response_deserializer=bytes,
    )
    frames = [frame async for frame in raw(request)]
    parsed = [ms.StreamWindowResponse.FromString(frame) for frame in frames]
    assert [f.WhichOneof("frame") for f in parsed] == ["header", *["chunk"] * (len(parsed) - 2), "trailer"]
    assert len(parsed) > 4
    for frame in parsed[1:-1]:
        assert 1 <= len(frame.chunk.messages) <= FRAME_MESSAGES
        assert sum(m.ByteSize() for m in frame.chunk.messages) <= FRAME_BYTES
    whole = await server.window(context_id, budget)
    assert whole.header == parsed[0].header
    assert whole.trailer == parsed[-1].trailer
    assert list(whole.messages) == [m for frame in parsed[1:-1] for m in frame.chunk.messages]
    assert whole.header.message_count == len(whole.messages)
    assert sum(m.token_count for m in whole.messages) + CHAT.prime + CHAT.per_message * len(whole.messages) == (
        whole.header.window_tokens
    )
    await server.append(context_id, b.sized(b.user("later"), 10))
    for place, frame in enumerate(parsed[1:-1], start=1):
        request.resume_token = frame.chunk.resume_token
        rest = [frame async for frame in raw(request)]
        assert rest == [frames[0], *frames[place + 1 :]], "the same bytes, whatever was appended since"


@pytest.mark.holds("I2")
async def test_streams_resume_on_another_server(server: Running) -> None:
    context_id = await long_one(server, 1_200, 10)
    frames = await server.stream(context_id, PLENTY)
    async with serve(server.url) as other:
        rest = await other.stream(context_id, PLENTY, resume_token=frames[1].chunk.resume_token)
        assert rest == [frames[0], *frames[2:]]


async def test_chunks_end_at_a_mebibyte_or_one_message(server: Running) -> None:
    sizes_kib = [300, 300, 300, 300, 3_000, 100, 100]
    context_id = await conversation(server, *[[b.user("a" * 1_024 * kib)] for kib in sizes_kib])
    frames = await server.stream(context_id, 10_000_000)
    assert [[m.version for m in frame.chunk.messages] for frame in frames[1:-1]] == [[1, 2, 3], [4], [5], [6, 7]]


async def test_resume_tokens_belong_to_their_request(server: Running) -> None:
    context_id = await conversation(server, [b.user("1")])
    token = (await server.stream(context_id, 100))[1].chunk.resume_token
    other = await conversation(server, [b.user("1")])
    calls: list[tuple[str, int, dict[str, Any]]] = [
        (context_id, 101, {}),
        (context_id, 100, {"reserve_tokens": 1}),
        (context_id, 100, {"dialect": ANTHROPIC}),
        (other, 100, {}),
    ]
    for where, budget, fields in calls:
        error = await refused(server.stream(where, budget, resume_token=token, **fields))
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_MISMATCH")
        assert error.metadata == {"field": "resume_token"}
    tampered = token[:-3] + ("AAA" if token[-3:] != "AAA" else "BBB")
    for bad in (tampered, "x", "ä", "===", token + "A", token[:-1], "A" * 10_000):
        error = await refused(server.stream(context_id, 100, resume_token=bad))
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID"), bad


@pytest.mark.holds("I11")
async def test_a_stream_that_nobody_reads_holds_no_connection(server: Running) -> None:
    context_id = await long_one(server, 3_000, 2_000)
    call = server.messages.StreamWindow(ms.StreamWindowRequest(context_id=context_id, token_budget=PLENTY))
    first = await call.read()
    assert isinstance(first, ms.StreamWindowResponse)
    assert first.WhichOneof("frame") == "header"
    await asyncio.sleep(0.3)
    (row,) = await server.query(
        "select count(*) filter (where state <> 'idle') as busy, "
        "count(*) filter (where xact_start is not null) as open "
        "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    )
    assert (row["busy"], row["open"]) == (0, 0)
    call.cancel()


@pytest.mark.holds("I5", "P16")
async def test_get_and_stream_are_one_window(server: Running) -> None:
    messages = [b.system("s"), b.user("q"), b.calls("1", "2"), b.result("2"), b.user("?"), b.result("1"), b.user("!")]
    context_id = await conversation(server, messages)
    for dialect in window_pb2.Dialect.values():
        for budget in range(1, 220, 9):
            try:
                window = await server.window(context_id, budget, dialect=dialect)
            except grpc.RpcError:
                error = await refused(server.window(context_id, budget, dialect=dialect))
                assert (await refused(server.stream(context_id, budget, dialect=dialect))).status == error.status
                continue
            frames = await server.stream(context_id, budget, dialect=dialect)
            assert frames[0].header == window.header
            assert [m for f in frames for m in f.chunk.messages] == list(window.messages)
            assert frames[-1].trailer == window.trailer
            ledger = window.trailer.ledger
            assert budget == sum(
                (ledger.pinned_tokens, ledger.tail_tokens, ledger.overhead_tokens, ledger.unused_tokens)
            )


async def test_tool_schemas_are_counted_and_taken_off_the_budget(server: Running) -> None:
    context_id = await sizes(server, b.user("a"), b.user("b"))
    tools = '[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]'
    roomy = await server.window(context_id, 1_000, tools_json=tools)
    tokens = roomy.trailer.ledger.tools_tokens
    assert versions(roomy) == [1, 2]
    assert tokens > 8
    assert versions(await server.window(context_id, fixed(2) + tokens, tools_json=tools)) == [1, 2]
    assert versions(await server.window(context_id, fixed(2) + tokens - 1, tools_json=tools)) == [2]
    error = await refused(server.window(context_id, fixed(1) + tokens - 1, tools_json=tools))
    assert error.metadata["required_tokens"] == str(fixed(1) + tokens)
    assert error.metadata["tools_tokens"] == str(tokens)
    malformed = await refused(server.window(context_id, 1_000, tools_json="[{"))
    assert (malformed.code, malformed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
