"""The validator finds what each provider refuses, and says where."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from kata_grpc.dialects import check, render
from kata_grpc.domain.messages import Image, Media, Reasoning
from kata_grpc.domain.windows import Dialect
from tests.unit.dialect_cases import PNG, assistant, call, numbered, result, system, tool, user

CHAT, RESPONSES, ANTHROPIC, GEMINI = (
    Dialect.OPENAI_CHAT,
    Dialect.OPENAI_RESPONSES,
    Dialect.ANTHROPIC,
    Dialect.GEMINI,
)
pytestmark = pytest.mark.holds("I6")

WHOLE = numbered(
    system("be kind"),
    user("see", Image(Media(data=PNG))),
    assistant(Reasoning("hm", "c2ln"), "let me", call("a"), call("b")),
    tool(result("a", "1", is_error=True)),
    tool(result("b", "2")),
    assistant("done"),
    user("thanks"),
)
Steps = tuple[str | int, ...]
DELETE = object()


def broken(dialect: Dialect, steps: Steps, value: Any) -> str:
    """A good conversation, with one thing in it replaced."""
    whole = json.loads(render(dialect, WHOLE).json_text)
    place = whole
    for step in steps[:-1]:
        place = place[step]
    if value is DELETE:
        del place[steps[-1]]
    elif isinstance(place, list) and steps[-1] == len(place):
        place.append(value)
    else:
        place[steps[-1]] = value(copy.deepcopy(place[steps[-1]])) if callable(value) else value
    return json.dumps(whole)


TOOL_USE = {"type": "tool_use", "id": "z", "name": "n", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "z"}
CASES: list[tuple[Dialect, Steps, Any, str, str]] = [
    (CHAT, (0, "role"), "console", "messages[0]", "a role of"),
    (CHAT, (0, "content"), [], "messages[0].content", "must not be an empty array"),
    (CHAT, (0, "content"), [{"type": "image_url"}], "messages[0].content[0]", "type text"),
    (CHAT, (0, "metadata"), {}, "messages[0].metadata", "is not a key"),
    (CHAT, (0, "name"), "Ann Lee", "messages[0].name", "must match"),
    (CHAT, (1, "content", 1, "image_url", "url"), "ftp://x", "messages[1].content[1].image_url.url", "must match"),
    (CHAT, (1, "content", 1, "image_url", "detail"), "odd", "messages[1].content[1].image_url.detail", "one of"),
    (CHAT, (1, "content", 2), {"type": "file", "file": {}}, "messages[1].content[2].file", "file_data or file_id"),
    (CHAT, (2, "tool_calls"), [], "messages[2].tool_calls", "must not be an empty array"),
    (CHAT, (2, "tool_calls", 0, "id"), "b", "messages[2].tool_calls[1].id", "unique"),
    (CHAT, (2, "tool_calls", 0, "id"), "x" * 41, "messages[2].tool_calls[0].id", "at most 40"),
    (CHAT, (2, "tool_calls", 0, "function", "name"), "a.b", "messages[2].tool_calls[0].function.name", "must match"),
    (CHAT, (2, "tool_calls", 0, "function", "arguments"), {}, "messages[2].tool_calls[0].function.arguments", "string"),
    (CHAT, (3,), DELETE, "messages[4]", "follows calls without results: a"),
    (CHAT, (4,), DELETE, "messages[4]", "follows calls without results: b"),
    (CHAT, (3, "tool_call_id"), "z", "messages[3].tool_call_id", "must answer a call"),
    (CHAT, (4, "tool_call_id"), "a", "messages[4].tool_call_id", "must answer a call"),
    (CHAT, (5, "content"), None, "messages[5]", "content or tool_calls"),
    (CHAT, (5, "content"), [{"type": "refusal", "refusal": "x"}] * 2, "messages[5].content", "exactly one refusal"),
    (RESPONSES, ("instructions",), " ", "instructions", "must not be blank"),
    (RESPONSES, ("messages",), [], "messages", "is not a key"),
    (RESPONSES, ("input", 0, "role"), "tool", "input[0].role", "must be one of"),
    (RESPONSES, ("input", 0, "content", 0, "type"), "text", "input[0].content[0]", "input_text"),
    (RESPONSES, ("input", 0, "content", 1, "detail"), DELETE, "input[0].content[1]", "key 'detail'"),
    (RESPONSES, ("input", 1, "content"), [], "input[1].content", "string"),
    (RESPONSES, ("input", 2, "call_id"), "b", "input[3].call_id", "unique"),
    (RESPONSES, ("input", 2, "id"), "fc_1", "input[2].id", "is not a key"),
    (RESPONSES, ("input", 4), DELETE, "input[5]", "follows calls without outputs: a"),
    (RESPONSES, ("input", 4, "call_id"), "b", "input[5].call_id", "must answer a call"),
    (RESPONSES, ("input", 4), {"role": "user", "content": "x"}, "input[4]", "follows calls without outputs: a, b"),
    (RESPONSES, ("input", 4, "type"), "custom_tool_call_output", "input[4].call_id", "must answer a call"),
    (RESPONSES, ("input", 7), {"type": "item_reference", "id": "x"}, "input[7]", "must be a message"),
    (ANTHROPIC, ("system",), "", "system", "must not be blank"),
    (ANTHROPIC, ("messages", 0), DELETE, "messages[0]", "must be the user's"),
    (ANTHROPIC, ("messages", 0, "role"), "system", "messages[0].role", "must be one of"),
    (ANTHROPIC, ("messages", 5), {"role": "assistant", "content": " x"}, "", ""),
    (ANTHROPIC, ("messages", 5), {"role": "user", "content": "x"}, "messages[5]", "alternate"),
    (ANTHROPIC, ("messages", 5), {"role": "assistant", "content": "x "}, "messages[5].content", "white space"),
    (ANTHROPIC, ("messages", 0, "content"), [], "messages[0].content", "must not be an empty array"),
    (ANTHROPIC, ("messages", 0, "content", 0, "text"), "\n", "messages[0].content[0].text", "must not be blank"),
    (ANTHROPIC, ("messages", 0, "content", 1, "source", "media_type"), "image/tiff",
     "messages[0].content[1].source.media_type", "must be one of"),
    (ANTHROPIC, ("messages", 0, "content", 1, "source"), {"type": "url", "url": "http://x"},
     "messages[0].content[1].source.url", "must match"),
    (ANTHROPIC, ("messages", 0, "content", 2), TOOL_USE, "messages[0].content[2]", "must be a block"),
    (ANTHROPIC, ("messages", 0, "content", 2), RESULT, "messages[0].content", "results must"),
    (ANTHROPIC, ("messages", 1, "content", 0, "signature"), DELETE, "messages[1].content[0]", "key 'signature'"),
    (ANTHROPIC, ("messages", 1, "content", 4), {"type": "text", "text": "x"},
     "messages[1].content", "nothing may stand"),
    (ANTHROPIC, ("messages", 1, "content", 2, "id"), "a.b", "messages[1].content.id", "must match"),
    (ANTHROPIC, ("messages", 1, "content", 2, "id"), "b", "messages[1].content", "must be unique"),
    (ANTHROPIC, ("messages", 1, "content", 2, "input"), "{}", "messages[1].content[2].input", "must be an object"),
    (ANTHROPIC, ("messages", 1, "content", 0),
     {"type": "server_tool_use", "id": "srvtoolu_1", "name": "x", "input": {}},
     "messages[1].content", "followed by its result"),
    (ANTHROPIC, ("messages", 2, "content", 0), DELETE, "messages[2].content", "calls without results: a"),
    (ANTHROPIC, ("messages", 2, "content"), lambda blocks: blocks[::-1], "messages[2].content", "in order"),
    (ANTHROPIC, ("messages", 2, "content"), lambda blocks: [*blocks, blocks[0]], "messages[2].content", "in order"),
    (ANTHROPIC, ("messages", 2, "content", 0, "content"), DELETE, "messages[2].content[0]", "must have content"),
    (ANTHROPIC, ("messages", 3, "content"), [{"type": "thinking", "thinking": "", "signature": "x"}],
     "messages[3].content", "must not end with reasoning"),
    (ANTHROPIC, ("messages", 4, "content"),
     [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}] * 5, "", "at most 4"),
    (GEMINI, ("system_instruction", "parts"), [], "system_instruction.parts", "must not be an empty array"),
    (GEMINI, ("contents", 0), DELETE, "contents[0]", "must be the user's"),
    (GEMINI, ("contents", 0, "role"), "assistant", "contents[0].role", "must be one of"),
    (GEMINI, ("contents", 0, "parts", 0, "text"), "", "contents[0].parts[0].text", "must not be blank"),
    (GEMINI, ("contents", 0, "parts", 1, "inline_data", "mime_type"), "",
     "contents[0].parts[1].inline_data.mime_type", "must match"),
    (GEMINI, ("contents", 1, "parts", 1, "function_call", "args"), "{}",
     "contents[1].parts[1].function_call.args", "must be an object"),
    (GEMINI, ("contents", 1, "parts", 1, "function_call", "name"), "9",
     "contents[1].parts[1].function_call.name", "must match"),
    (GEMINI, ("contents", 1, "parts", 1, "function_call", "id"), "b", "contents[1].parts", "must be unique"),
    (GEMINI, ("contents", 1, "parts", 3), {"text": "x"}, "contents[1].parts", "nothing may follow"),
    (GEMINI, ("contents", 2, "parts", 0), DELETE, "contents[2]", "calls without responses: look"),
    (GEMINI, ("contents", 2, "parts"), lambda parts: parts[::-1], "contents[2]", "in order"),
    (GEMINI, ("contents", 2, "parts", 2), {"text": "x"}, "contents[2]", "stand alone"),
    (GEMINI, ("contents", 2), {"role": "user", "parts": [{"text": "x"}]}, "contents[2]", "calls without responses"),
    (GEMINI, ("contents", 5), {"role": "user", "parts": [{"text": "x"}]}, "contents[5]", "alternate"),
]  # fmt: skip


@pytest.mark.parametrize("dialect", Dialect)
def test_a_good_conversation_has_no_problem(dialect: Dialect) -> None:
    assert check(dialect, render(dialect, WHOLE).json_text) == []


@pytest.mark.parametrize(
    ("dialect", "steps", "value", "path", "rule"),
    CASES,
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_a_provider_refuses_is_found_where_it_is(
    dialect: Dialect, steps: Steps, value: Any, path: str, rule: str
) -> None:
    problems = check(dialect, broken(dialect, steps, value))

    if not rule:
        assert problems == []
    else:
        assert any(problem.path == path and rule in problem.rule for problem in problems), problems


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(
    "text", ["", "{", "[NaN]", '{"a":1,"a":1}', "17", "null", "[[]]", '{"messages":{}}', "[" * 9999]
)
def test_what_is_no_conversation_at_all_is_a_problem_and_no_error(dialect: Dialect, text: str) -> None:
    problems = check(dialect, text)

    assert problems
    assert all(str(problem) for problem in problems)


@pytest.mark.parametrize("dialect", Dialect)
def test_any_value_in_any_place_is_a_problem_and_no_error(dialect: Dialect) -> None:
    """Every value of a good conversation, replaced by values of every other kind."""
    whole = json.loads(render(dialect, WHOLE).json_text)

    def places(value: Any, steps: Steps) -> list[Steps]:
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return [steps, *(place for step, item in inner for place in places(item, (*steps, step)))]

    for steps in places(whole, ())[1:]:
        values: list[Any] = [None, True, 0, "", [], {}, [[]], [{}], {"type": []}]
        for value in values:
            check(dialect, broken(dialect, steps, value))


@pytest.mark.parametrize("dialect", Dialect)
def test_the_last_calls_may_wait_and_no_others(dialect: Dialect) -> None:
    waiting = render(dialect, WHOLE[:4]).json_text

    assert check(dialect, waiting) == []
    assert "b" in render(dialect, WHOLE[:4]).pending
