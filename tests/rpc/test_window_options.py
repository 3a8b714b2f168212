"""What the options of a window do, over the wire: pins, bounds, starts that move in steps, parts that are left out."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from typing import Any

import grpc
import pytest
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import window_pb2

from kata_grpc.dialects import check
from kata_grpc.domain.tokens import FRAMING
from kata_grpc.domain.windows import Dialect
from kata_grpc.tokenizers import Tokenizers
from tests.rpc import build as b
from tests.rpc.serving import Running, loop, refused

pytestmark = loop

PLENTY = 1_000_000
CHAT = FRAMING["openai_chat"]
count = Tokenizers().counter("o200k_base")


async def told(server: Running, *messages: pb.Message, tokens: int = 0) -> str:
    """A conversation; in which every message has the same count where one is given."""
    if tokens:
        messages = tuple(b.sized(message, tokens) for message in messages)
    context = await server.create(tokenizer=b.SIZED if tokens else "")
    await server.append(context.context_id, *messages)
    return context.context_id


def options(**fields: Any) -> window_pb2.WindowOptions:
    return window_pb2.WindowOptions(**fields)


def versions(window: ms.GetWindowResponse) -> list[int]:
    return [message.version for message in window.messages]


def reasons(window: ms.GetWindowResponse) -> list[tuple[int, int, str]]:
    return [
        (run.first_version, run.last_version, window_pb2.ExclusionReason.Name(run.reason)[17:])
        for run in window.trailer.excluded
    ]


async def whole(server: Running, context_id: str, budget: int, **fields: Any) -> ms.GetWindowResponse:
    """The window, which must be the same as a stream, resumed at any frame."""
    window = await server.window(context_id, budget, **fields)
    frames = await server.stream(context_id, budget, **fields)
    assert frames[0].header == window.header
    assert [m for frame in frames[1:-1] for m in frame.chunk.messages] == list(window.messages)
    assert frames[-1].trailer == window.trailer
    for place, frame in enumerate(frames[1:-1], start=1):
        resumed = await server.stream(context_id, budget, resume_token=frame.chunk.resume_token, **fields)
        assert [f.SerializeToString() for f in resumed] == [
            f.SerializeToString() for f in (frames[0], *frames[place + 1 :])
        ]
    return window


# --- pins -------------------------------------------------------------------------------------------------------------


@pytest.mark.holds("I6")
async def test_a_pinned_message_brings_its_group(server: Running) -> None:
    log = [b.user("a"), b.calls("1"), b.result("1"), *(b.user(str(n)) for n in range(8))]
    context_id = await told(server, *log, tokens=10)
    budget = CHAT.cost(40, 4, 2)
    window = await whole(server, context_id, budget, options=options(pinned_versions=[3]))
    assert versions(window) == [2, 3, 10, 11], "the call of the pinned result is in, too"
    assert window.trailer.ledger.pinned_tokens == 20
    assert (window.header.first_version, window.header.last_version) == (2, 11)
    assert (window.header.tail_first_version, window.header.message_count) == (10, 4)


async def test_pins_by_label(server: Running) -> None:
    marked = b.user("the goal", labels=["goal", 'odd "label" {\\}'])
    log = [marked, b.assistant("yes"), b.user("more", labels=["other"]), *(b.user(str(n)) for n in range(8))]
    context_id = await told(server, *log, tokens=10)
    assert (await server.log(context_id))[0].labels == ["goal", 'odd "label" {\\}']
    budget = CHAT.cost(30, 3, 0)
    for label in marked.labels:
        window = await whole(server, context_id, budget, options=options(pinned_labels=[label]))
        assert versions(window) == [1, 10, 11]
    assert versions(await server.window(context_id, budget, options=options(pinned_labels=["none"]))) == [9, 10, 11]


async def test_a_pinned_answer_opens_no_conversation_that_must_begin_with_the_user(server: Running) -> None:
    context_id = await told(server, b.user("a"), b.assistant("keep this"), *(b.user("word " * 50) for _ in range(5)))
    window = await server.window(
        context_id, 120, dialect=window_pb2.DIALECT_ANTHROPIC, options=options(pinned_versions=[2]), render=True
    )
    assert versions(window) == [2, 7]
    assert check(Dialect.ANTHROPIC, window.rendered_json) == []
    texts = json.dumps(json.loads(window.rendered_json), ensure_ascii=False)
    assert count(texts) <= window.header.window_tokens + 40, "the message that opens it is counted"


async def test_pins_beyond_the_latest_version(server: Running) -> None:
    context_id = await told(server, b.user("a"))
    error = await refused(server.window(context_id, 100, options=options(pinned_versions=[1, 9])))
    assert (error.code, error.reason) == (grpc.StatusCode.OUT_OF_RANGE, "VERSION_OUT_OF_RANGE")
    assert error.metadata == {"field": "options.pinned_versions", "value": "9", "latest": "1"}


async def test_pins_that_do_not_fit(server: Running) -> None:
    context_id = await told(server, b.user("a"), b.user("b"), b.user("c"), tokens=100)
    error = await refused(server.window(context_id, 250, options=options(pinned_versions=[1, 2])))
    assert error.reason == "BUDGET_TOO_SMALL"
    assert int(error.metadata["required_tokens"]) == CHAT.cost(300, 3, 0)
    assert int(error.metadata["pinned_tokens"]) == 200 + 2 * CHAT.per_message


# --- bounds -----------------------------------------------------------------------------------------------------------


async def test_a_bound_on_messages_keeps_groups_whole(server: Running) -> None:
    log = [b.system("s"), b.user("a"), b.calls("1", "2"), b.result("1"), b.result("2"), b.user("b"), b.assistant("c")]
    context_id = await told(server, *log, tokens=10)
    for most, expected in ((2, [1, 6, 7]), (4, [1, 6, 7]), (5, [1, 3, 4, 5, 6, 7]), (0, [1, 2, 3, 4, 5, 6, 7])):
        window = await whole(server, context_id, PLENTY, options=options(max_messages=most))
        assert versions(window) == expected
    window = await server.window(context_id, PLENTY, options=options(max_messages=4))
    assert reasons(window) == [(1, 5, "MAX_MESSAGES")]
    window = await server.window(context_id, PLENTY, options=options(max_messages=1))
    assert versions(window) == [1, 6, 7], "the message that opened the turn is always in"


# --- starts that move in steps ----------------------------------------------------------------------------------------


@pytest.mark.holds("I5", "I6")
@pytest.mark.parametrize("dialect", [window_pb2.DIALECT_OPENAI_CHAT, window_pb2.DIALECT_ANTHROPIC])
async def test_the_start_stays_until_the_budget_is_full(server: Running, dialect: window_pb2.Dialect.ValueType) -> None:
    log = [b.user("q") if n % 2 == 0 else b.assistant("a") for n in range(80)]
    context_id = await told(server, *log, tokens=10)
    budget = FRAMING["openai_chat" if dialect == window_pb2.DIALECT_OPENAI_CHAT else "anthropic"].cost(200, 20, 0)
    asked = {"dialect": dialect, "options": options(start_steps=window_pb2.StartSteps(low_water_tokens=budget // 2))}
    before: ms.GetWindowResponse | None = None
    starts, plain, least = set(), set(), budget
    for version in range(1, 81):
        window = await server.window(context_id, budget, at_version=version, **asked)
        assert window.header.window_tokens <= budget
        if version >= 30:
            starts.add(window.header.first_version)
            plain.add(
                (await server.window(context_id, budget, at_version=version, dialect=dialect)).header.first_version
            )
            least = min(least, window.header.window_tokens)
        if before is not None and before.header.window_epoch == window.header.window_epoch:
            assert list(window.messages[: len(before.messages)]) == list(before.messages), "it only grows"
        before = window
    assert len(starts) <= 7
    assert len(plain) >= 20
    assert least >= budget * 0.4
    assert before is not None
    assert (await whole(server, context_id, budget, **asked)).header == before.header


async def test_a_step_says_what_it_gave_up(server: Running) -> None:
    context_id = await told(server, *(b.user(str(n)) for n in range(30)), tokens=10)
    budget = CHAT.cost(100, 10, 0)
    window = await server.window(
        context_id, budget, options=options(start_steps=window_pb2.StartSteps(low_water_tokens=budget // 2))
    )
    start = window.header.tail_first_version
    assert reasons(window) in ([(1, start - 1, "BUDGET")], [(1, 20, "BUDGET"), (21, start - 1, "LOW_WATER")])


async def test_a_step_that_gains_too_little_is_passed_over(server: Running) -> None:
    context_id = await told(server, *(b.user(str(n)) for n in range(60)), tokens=10)
    budget = CHAT.cost(200, 20, 0)
    starts = []
    for version in range(20, 61):
        steps = window_pb2.StartSteps(low_water_tokens=budget - 20, min_gain_tokens=70)
        window = await server.window(context_id, budget, at_version=version, options=options(start_steps=steps))
        starts.append(window.header.tail_first_version)
    moved = [after - before for before, after in pairwise(starts) if after != before]
    assert moved
    assert all(by * (10 + CHAT.per_message) >= 70 for by in moved)


# --- parts that are left out ------------------------------------------------------------------------------------------

LONG = "\n".join(f"line {n} of a long output: {'äöü ' * (n % 7)}" for n in range(2_000))


@pytest.mark.holds("I2", "I5")
@pytest.mark.parametrize("tokenizer", ["", "cl100k_base"])
async def test_a_long_part_keeps_head_and_tail(server: Running, tokenizer: str) -> None:
    result = pb.Message(role=pb.ROLE_TOOL, parts=[b.result_part("1", LONG)])
    context_id = await told(server, b.user("q"), b.calls("1"), result, b.assistant("done"))
    asked = {"options": options(max_part_tokens=300), "tokenizer": tokenizer}
    window = await whole(server, context_id, 1_000, **asked)
    assert versions(window) == [1, 2, 3, 4]
    shaped = window.messages[2]
    text = shaped.parts[0].tool_result.text
    (elision,) = shaped.elisions
    assert text.startswith("line 0 of a long output")
    assert text.endswith(LONG[-20:])
    assert elision.kind == pb.ELISION_KIND_ELIDED
    assert (elision.part, elision.characters) == (0, len(LONG))
    assert elision.sha256 == hashlib.sha256(LONG.encode()).digest()
    assert elision.sha256.hex()[:16] in text
    assert "message 3 part 0" in text
    assert shaped.token_count <= 300 + 2
    assert window.header.window_tokens <= 1_000
    fetched = await server.messages.GetMessage(ms.GetMessageRequest(context_id=context_id, version=3))
    assert fetched.message.parts[0].tool_result.text == LONG
    await server.append(context_id, b.user("and now?"))
    later = await server.window(context_id, 2_000, **asked)
    assert later.messages[2] == shaped, "the room that is left changes nothing"


async def test_what_is_never_shortened(server: Running) -> None:
    arguments = json.dumps({"text": LONG})
    call = pb.Message(role=pb.ROLE_ASSISTANT, parts=[b.call_part("1", arguments=arguments)])
    log = [b.system(LONG), b.user(LONG), call, b.result("1"), b.user(LONG, labels=["keep"])]
    context_id = await told(server, *log)
    window = await server.window(context_id, PLENTY, options=options(max_part_tokens=200, pinned_labels=["keep"]))
    assert [bool(m.elisions) for m in window.messages] == [False, True, False, False, False]
    assert window.messages[2].parts[0].tool_call.arguments == arguments


def clearing(keep: int, **fields: Any) -> window_pb2.WindowOptions:
    return options(clear_tool_results=window_pb2.ClearToolResults(keep_results=keep, **fields))


async def tool_run(server: Running, steps: int, *, tools: tuple[str, ...] = ("tool",), words: int = 100) -> str:
    log = [b.user("q")]
    for n in range(steps):
        call = b.call_part(str(n), tools[n % len(tools)])
        log.append(pb.Message(role=pb.ROLE_ASSISTANT, parts=[call]))
        log.append(pb.Message(role=pb.ROLE_TOOL, parts=[b.result_part(str(n), f"result {n} " * words)]))
    return await told(server, *log)


def cleared(window: ms.GetWindowResponse) -> list[int]:
    return [m.version for m in window.messages if any(e.kind == pb.ELISION_KIND_CLEARED for e in m.elisions)]


@pytest.mark.holds("I2", "I5", "I6")
async def test_old_results_are_cleared(server: Running) -> None:
    context_id = await tool_run(server, 8)
    window = await whole(
        server,
        context_id,
        PLENTY,
        options=clearing(3),
    )
    assert versions(window) == list(range(1, 18))
    assert cleared(window) == [3, 5, 7, 9, 11]
    text = window.messages[2].parts[0].tool_result.text
    assert text.startswith("[result left out: ")
    assert "message 3 part 0" in text
    rendered = await server.window(context_id, PLENTY, options=clearing(3), render=True)
    assert check(Dialect.OPENAI_CHAT, rendered.rendered_json) == []
    assert window.header.window_tokens < (await server.window(context_id, PLENTY)).header.window_tokens / 2
    small = await whole(server, context_id, window.header.window_tokens, options=clearing(3))
    assert versions(small) == versions(window), "what is cleared leaves room for what is older"


async def test_results_of_named_tools_stay(server: Running) -> None:
    context_id = await tool_run(server, 8, tools=("search", "read"))
    window = await whole(server, context_id, PLENTY, options=clearing(2, exclude_tools=["read"]))
    assert cleared(window) == [3, 7, 11]


async def test_nothing_is_cleared_for_too_little(server: Running) -> None:
    context_id = await tool_run(server, 8)
    assert cleared(await server.window(context_id, PLENTY, options=clearing(3, min_gain_tokens=100_000))) == []
    some = cleared(await server.window(context_id, PLENTY, options=clearing(3, min_gain_tokens=500)))
    assert some
    assert len(some) <= 5


async def test_clearing_moves_in_steps(server: Running) -> None:
    context_id = await tool_run(server, 40, words=20)
    sets, epochs = [], set()
    for version in range(3, 82, 2):
        window = await server.window(context_id, PLENTY, at_version=version, options=clearing(2, min_gain_tokens=400))
        sets.append(len(cleared(window)))
        epochs.add(window.header.window_epoch)
    assert sets == sorted(sets)
    assert sets[-1] > 20
    assert len(set(sets)) < 15
    assert len(epochs) == len(set(sets))


@pytest.mark.holds("I2")
async def test_equal_requests_have_equal_bytes_on_other_workers_and_after_other_writes(server: Running) -> None:
    context_id, other = await tool_run(server, 20), await tool_run(server, 3)
    asked = {"options": clearing(2), "at_version": 30, "render": True}
    one = await server.window(context_id, 3_000, **asked)
    await server.append(other, b.user("unrelated"))
    two = await server.window(context_id, 3_000, **asked)
    assert one.SerializeToString() == two.SerializeToString()
    assert len(one.trailer.content_sha256) == 32
    plain = await server.window(context_id, 3_000, at_version=30)
    assert plain.trailer.content_sha256 != one.trailer.content_sha256
