"""Each rule of each dialect, on the smallest conversation that needs it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kata_grpc.dialects import What, check, render
from kata_grpc.dialects.preparing import EMPTY_ERROR, EMPTY_MESSAGE, OPENING
from kata_grpc.domain.messages import (
    LEGACY_CALL,
    File,
    Image,
    Media,
    Message,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
)
from kata_grpc.domain.windows import Dialect
from tests.unit.dialect_cases import PDF, PNG, assistant, call, numbered, result, spoken, system, tool, user

CHAT, RESPONSES, ANTHROPIC, GEMINI = (
    Dialect.OPENAI_CHAT,
    Dialect.OPENAI_RESPONSES,
    Dialect.ANTHROPIC,
    Dialect.GEMINI,
)
DATA_URI = "data:image/png;base64,iVBORw0KGgoAAAAAAAAAAAAAAAAAAAAA"
pytestmark = pytest.mark.holds("I6")


def sent(dialect: Dialect, *messages: Message) -> Any:
    """What is sent, having passed the validator."""
    rendered = render(dialect, numbered(*messages))
    assert check(dialect, rendered.json_text) == []
    return json.loads(rendered.json_text)


def reported(dialect: Dialect, *messages: Message) -> list[tuple[int, What]]:
    return [(a.version, a.what) for a in render(dialect, numbered(*messages)).adjustments]


# --- the shape of the whole -------------------------------------------------------------------------------------------

EXCHANGE = (
    system("be kind"),
    user("go"),
    assistant("let me", call("a", '{"q": 1.0}'), call("b")),
    tool(result("b", "2")),
    tool(result("a", "1")),
    assistant("done"),
)


def test_chat_is_an_array_with_a_message_a_result() -> None:
    assert sent(CHAT, *EXCHANGE) == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "go"},
        {
            "role": "assistant",
            "content": "let me",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"q": 1.0}'}},
                {"id": "b", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {"role": "assistant", "content": "done"},
    ]


def test_responses_has_instructions_and_items() -> None:
    assert sent(RESPONSES, *EXCHANGE) == {
        "instructions": "be kind",
        "input": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "let me"},
            {"type": "function_call", "call_id": "a", "name": "look", "arguments": '{"q": 1.0}'},
            {"type": "function_call", "call_id": "b", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "1"},
            {"type": "function_call_output", "call_id": "b", "output": "2"},
            {"role": "assistant", "content": "done"},
        ],
    }


def test_anthropic_has_system_apart_and_all_results_in_one_message() -> None:
    assert sent(ANTHROPIC, *EXCHANGE) == {
        "system": "be kind",
        "messages": [
            {"role": "user", "content": "go"},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "let me"},
                    {"type": "tool_use", "id": "a", "name": "look", "input": {"q": 1.0}},
                    {"type": "tool_use", "id": "b", "name": "look", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                    {"type": "tool_result", "tool_use_id": "b", "content": "2"},
                ],
            },
            {"role": "assistant", "content": "done"},
        ],
    }


def test_gemini_has_an_instruction_apart_and_all_responses_in_one_content() -> None:
    assert sent(GEMINI, *EXCHANGE) == {
        "system_instruction": {"parts": [{"text": "be kind"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "go"}]},
            {
                "role": "model",
                "parts": [
                    {"text": "let me"},
                    {"function_call": {"id": "a", "name": "look", "args": {"q": 1.0}}},
                    {"function_call": {"id": "b", "name": "look", "args": {}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"function_response": {"id": "a", "name": "look", "response": {"output": "1"}}},
                    {"function_response": {"id": "b", "name": "look", "response": {"output": "2"}}},
                ],
            },
            {"role": "model", "parts": [{"text": "done"}]},
        ],
    }


@pytest.mark.parametrize("dialect", Dialect)
def test_nothing_is_reported_where_nothing_changed(dialect: Dialect) -> None:
    assert reported(dialect, *EXCHANGE) == []


@pytest.mark.parametrize(
    ("dialect", "empty"),
    [(CHAT, []), (RESPONSES, {"input": []}), (ANTHROPIC, {"messages": []}), (GEMINI, {"contents": []})],
)
def test_an_empty_window_is_empty(dialect: Dialect, empty: Any) -> None:
    assert sent(dialect) == empty


# --- system -----------------------------------------------------------------------------------------------------------

SYSTEMS = (system("one"), spoken(Role.DEVELOPER, "two"), user("go"), assistant("yes"), system("three"), user("on"))


def test_chat_keeps_every_system_message_in_its_place_and_role() -> None:
    roles = [message["role"] for message in sent(CHAT, *SYSTEMS)]

    assert roles == ["system", "developer", "user", "assistant", "system", "user"]


def test_responses_takes_the_first_apart() -> None:
    value = sent(RESPONSES, *SYSTEMS)

    assert value["instructions"] == "one"
    assert [item["role"] for item in value["input"]] == ["developer", "user", "assistant", "system", "user"]


@pytest.mark.parametrize("dialect", [ANTHROPIC, GEMINI])
def test_leading_ones_stand_apart_and_later_ones_are_labelled_text_of_the_user(dialect: Dialect) -> None:
    value = sent(dialect, *SYSTEMS)

    system_blocks = value["system"] if dialect is ANTHROPIC else value["system_instruction"]["parts"]
    assert [block["text"] for block in system_blocks] == ["one", "two"]
    last = value["messages" if dialect is ANTHROPIC else "contents"][-1]
    texts = [block["text"] for block in last["content" if dialect is ANTHROPIC else "parts"]]
    assert texts == ["<system>\nthree\n</system>", "on"]
    assert reported(dialect, *SYSTEMS) == [(5, What.CHANGED), (6, What.MERGED)]


# --- first role, alternation, empty text ------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", [ANTHROPIC, GEMINI])
def test_a_conversation_begins_with_the_user(dialect: Dialect) -> None:
    first = sent(dialect, assistant("hello"))["messages" if dialect is ANTHROPIC else "contents"][0]

    assert first["role"] == "user"
    assert OPENING in json.dumps(first)
    assert reported(dialect, assistant("hello")) == [(0, What.SYNTHESIZED)]


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES])
def test_a_conversation_may_begin_with_the_assistant(dialect: Dialect) -> None:
    assert reported(dialect, assistant("hello"), assistant("anyone?")) == []


@pytest.mark.parametrize("dialect", [ANTHROPIC, GEMINI])
def test_neighbours_of_one_role_are_merged(dialect: Dialect) -> None:
    value = sent(dialect, user("a"), user("b"), assistant("c"), assistant("d", call("x")), tool(result("x")), user("e"))

    messages = value["messages" if dialect is ANTHROPIC else "contents"]
    assert [m["role"] for m in messages][:2] == ["user", "assistant" if dialect is ANTHROPIC else "model"]
    if dialect is ANTHROPIC:
        assert [block["type"] for block in messages[2]["content"]] == ["tool_result", "text"]
    else:
        assert [list(part) for part in messages[2]["parts"]] == [["function_response"]]
        assert messages[3] == {"role": "user", "parts": [{"text": "e"}]}


@pytest.mark.parametrize("dialect", [ANTHROPIC, GEMINI])
def test_blank_text_is_left_out_and_a_message_of_the_user_never_vanishes(dialect: Dialect) -> None:
    log = user("  "), assistant("\n"), user("", "x"), assistant(" ", call("a")), tool(result("a"))

    assert EMPTY_MESSAGE in json.dumps(sent(dialect, *log))
    assert (2, What.DROPPED) in reported(dialect, *log)


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES])
def test_blank_text_is_kept_where_it_is_taken(dialect: Dialect) -> None:
    value = sent(dialect, user(" "), assistant(""), user("\n"))

    messages = value if dialect is CHAT else value["input"]
    assert [message["content"] for message in messages] == [" ", "", "\n"]


def test_only_the_last_message_loses_white_space_at_its_end() -> None:
    value = sent(ANTHROPIC, user("a "), assistant("b \n"), user("c"), assistant("d \n"))

    assert [message["content"] for message in value["messages"]] == ["a ", "b \n", "c", "d"]


# --- results ----------------------------------------------------------------------------------------------------------


def answered(*results: ToolResult) -> tuple[Message, ...]:
    return user("go"), assistant(call("a")), tool(*results)


def test_an_error_is_flagged_by_a_field_or_in_the_text() -> None:
    log = answered(result("a", "no such file", is_error=True))

    assert sent(ANTHROPIC, *log)["messages"][-1]["content"][0]["is_error"] is True
    response = sent(GEMINI, *log)["contents"][-1]["parts"][0]["function_response"]["response"]
    assert response == {"error": "no such file"}
    assert sent(CHAT, *log)[-1]["content"] == "Error: no such file"
    assert sent(RESPONSES, *log)["input"][-1]["output"] == "Error: no such file"
    assert sent(CHAT, *answered(result("a", "ERROR 5", is_error=True)))[-1]["content"] == "ERROR 5"


def test_an_error_without_text_gets_some_where_it_must() -> None:
    block = sent(ANTHROPIC, *answered(result("a", "", is_error=True)))["messages"][-1]["content"][0]

    assert block["content"] == EMPTY_ERROR
    assert "content" not in sent(ANTHROPIC, *answered(result("a", "")))["messages"][-1]["content"][0]


def test_an_image_in_a_result_goes_where_it_can() -> None:
    log = answered(ToolResult("a", None, (Text("see"), Image(Media(data=PNG)))))

    block = sent(ANTHROPIC, *log)["messages"][-1]["content"][0]["content"][1]
    assert block["source"]["media_type"] == "image/png"
    assert sent(RESPONSES, *log)["input"][-1]["output"][1]["image_url"] == DATA_URI
    assert sent(CHAT, *log)[-1]["content"][1]["text"] == "[image: image/png, 24 bytes]"
    response = sent(GEMINI, *log)["contents"][-1]["parts"][0]["function_response"]["response"]
    assert response == {"output": ["see", "[image: image/png, 24 bytes]"]}
    assert reported(CHAT, *log) == reported(GEMINI, *log) == [(3, What.PLACEHOLDER)]


@pytest.mark.parametrize("dialect", Dialect)
def test_calls_that_wait_are_named_as_they_stand(dialect: Dialect) -> None:
    log = numbered(user("go"), assistant(call("a"), call("call" * 20)), tool(result("a")))
    rendered = render(dialect, log)

    assert check(dialect, rendered.json_text) == []
    (waiting,) = rendered.pending
    assert waiting in rendered.json_text
    assert waiting.startswith("callcall")


# --- reasoning --------------------------------------------------------------------------------------------------------

THOUGHT = Reasoning("hm", "c2ln")


@pytest.mark.parametrize("dialect", [CHAT, RESPONSES, GEMINI])
def test_reasoning_goes_to_no_other_provider(dialect: Dialect) -> None:
    assert "hm" not in json.dumps(sent(dialect, user("a"), assistant(THOUGHT, "b")))
    assert reported(dialect, user("a"), assistant(THOUGHT, "b")) == [(2, What.DROPPED)]


def test_signed_reasoning_goes_back_as_it_came() -> None:
    sealed = Reasoning("", None, "c2VhbGVk")
    value = sent(ANTHROPIC, user("a"), assistant(THOUGHT, sealed, "b", call("x")), tool(result("x")))

    assert value["messages"][1]["content"][:2] == [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "c2VhbGVk"},
    ]


@pytest.mark.parametrize(
    "turn",
    [
        assistant(THOUGHT, Reasoning("unsigned"), "b"),
        assistant(THOUGHT, "b", model="gpt-5"),
        assistant("b", THOUGHT),
        assistant(THOUGHT, Reasoning("both", "c2ln", "c2ln"), "b"),
    ],
    ids=["one is not signed", "another provider's", "at the end", "neither readable nor sealed"],
)
def test_reasoning_is_left_out_whole(turn: Message) -> None:
    assert sent(ANTHROPIC, user("a"), turn, user("c"))["messages"][1] == {"role": "assistant", "content": "b"}
    assert reported(ANTHROPIC, user("a"), turn, user("c")) == [(2, What.DROPPED)]


# --- ids, names, arguments --------------------------------------------------------------------------------------------

REUSED = (
    user("go"), assistant(call("a")), tool(result("a", "1")), assistant(call("a")), tool(result("a", "2")), user("ok")
)  # fmt: skip


@pytest.mark.parametrize("dialect", [RESPONSES, ANTHROPIC, GEMINI])
def test_an_id_used_again_is_renamed_with_its_result(dialect: Dialect) -> None:
    text = render(dialect, numbered(*REUSED)).json_text

    assert text.count('"a_v4"') == text.count('"a"') == 2
    assert reported(dialect, *REUSED) == [(4, What.RENAMED)]


def test_an_id_used_again_is_kept_where_that_is_allowed() -> None:
    assert reported(CHAT, *REUSED) == []


def test_an_id_twice_in_one_turn_is_renamed_everywhere() -> None:
    log = user("go"), assistant(call("a"), call("a")), tool(result("a", "last"), result("a", "first"))

    assert [message["tool_call_id"] for message in sent(CHAT, *log)[2:]] == ["a", "a_v2"]


def test_illegal_ids_stay_apart_from_each_other() -> None:
    log = user("go"), assistant(call("f.x:0"), call("f_x_0"), call("f-x:0")), tool(result("f.x:0"))
    ids = [block["id"] for block in sent(ANTHROPIC, *log)["messages"][1]["content"]]

    assert len(set(ids)) == 3
    assert ids[1] == "f_x_0"
    assert sent(CHAT, *log)[1]["tool_calls"][0]["id"] == "f.x:0"


@pytest.mark.parametrize(
    ("dialect", "name"), [(CHAT, "_b-c"), (RESPONSES, "_b-c"), (ANTHROPIC, "_b-c"), (GEMINI, ".b-c")]
)
def test_names_of_tools_are_made_legal(dialect: Dialect, name: str) -> None:
    expected = f"_{name}" if dialect is GEMINI else name
    log = user("go"), assistant(call("a", name=".b-c")), tool(result("a"))

    assert f'"{expected}"' in render(dialect, numbered(*log)).json_text
    assert sent(dialect, *log)


def test_a_speaker_has_a_name_in_chat_only() -> None:
    assert sent(CHAT, user("a", name="Ann Lee"))[0]["name"] == "Ann_Lee"
    assert reported(CHAT, user("a", name="Ann")) == []
    assert reported(ANTHROPIC, user("a", name="Ann")) == [(1, What.DROPPED)]


@pytest.mark.parametrize("text", ['{"b":1e3,"a": 1.0}', '{ "x" : "\\u00e9" }', "not json", "", "[1]", '{"a":1,"a":2}'])
def test_arguments_are_kept_as_text_in_openai(text: str) -> None:
    log = user("go"), assistant(call("a", text)), tool(result("a"))

    assert sent(CHAT, *log)[1]["tool_calls"][0]["function"]["arguments"] == text
    assert sent(RESPONSES, *log)["input"][1]["arguments"] == text


@pytest.mark.parametrize("dialect", [ANTHROPIC, GEMINI])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"b":1e3,"a": 1.0}', '{"b":1e3,"a": 1.0}'),
        ("not json", '{"arguments":"not json"}'),
        ("[1]", '{"arguments":"[1]"}'),
        ('{"a":1,"a":2}', '{"arguments":"{\\"a\\":1,\\"a\\":2}"}'),
        (" ", "{}"),
    ],
)
def test_arguments_are_an_object_elsewhere(dialect: Dialect, text: str, expected: str) -> None:
    log = numbered(user("go"), assistant(call("a", text)), tool(result("a")))
    rendered = render(dialect, log)

    assert expected in rendered.json_text
    assert [a.what for a in rendered.adjustments] == ([] if text == expected else [What.CHANGED])


def test_custom_tools_and_legacy_functions() -> None:
    custom = user("go"), assistant(ToolCall("a", "patch", "*** begin", "custom")), tool(result("a"))
    legacy = (
        user("go"),
        assistant(ToolCall("", "look", "{}", LEGACY_CALL)),
        tool(ToolResult("", "found", name="look", type=LEGACY_CALL)),
    )

    assert sent(CHAT, *custom)[1]["tool_calls"][0]["custom"] == {"name": "patch", "input": "*** begin"}
    assert sent(RESPONSES, *custom)["input"][2]["type"] == "custom_tool_call_output"
    assert sent(ANTHROPIC, *custom)["messages"][1]["content"][0]["input"] == {"input": "*** begin"}
    for dialect in Dialect:
        assert '"call_v2_0"' in render(dialect, numbered(*legacy)).json_text
        assert reported(dialect, *legacy) == [(2, What.CHANGED)]
        assert sent(dialect, *legacy)


# --- content ----------------------------------------------------------------------------------------------------------


def test_images_and_files_in_their_spellings() -> None:
    log = (user("see", Image(Media(data=PNG), "high"), File(Media(data=PDF), "a.pdf")),)

    chat = sent(CHAT, *log)[0]["content"]
    assert chat[1]["image_url"] == {"url": DATA_URI, "detail": "high"}
    assert chat[2]["file"]["filename"] == "a.pdf"
    responses = sent(RESPONSES, *log)["input"][0]["content"]
    assert [block["type"] for block in responses] == ["input_text", "input_image", "input_file"]
    anthropic = sent(ANTHROPIC, *log)["messages"][0]["content"]
    assert [block["source"]["media_type"] for block in anthropic[1:]] == ["image/png", "application/pdf"]
    gemini = sent(GEMINI, *log)["contents"][0]["parts"]
    assert [part["inline_data"]["mime_type"] for part in gemini[1:]] == ["image/png", "application/pdf"]


@pytest.mark.parametrize(
    ("part", "taken", "text"),
    [
        (Image(Media(url="https://a.b/c.png")), {CHAT, RESPONSES, ANTHROPIC, GEMINI}, "https://a.b/c.png"),
        (Image(Media(url="http://a.b/c")), {CHAT, RESPONSES}, "[image: http://a.b/c]"),
        (Image(Media(url="https://a.b/c")), {CHAT, RESPONSES, ANTHROPIC}, "[image: https://a.b/c]"),
        (Image(Media(data=b"II*\x00", media_type="image/tiff")), set(), "[image: image/tiff, 4 bytes]"),
        (Image(Media(file_id="file-1")), {RESPONSES}, "[image: id file-1]"),
        (File(Media(file_id="file_1")), {ANTHROPIC}, "[file: id file_1]"),
        (File(Media(url="https://a.b/c.pdf"), "c"), {RESPONSES, ANTHROPIC, GEMINI}, "[file: c, https://a.b/c.pdf]"),
        (Unknown("input_audio", '{"type":"input_audio","input_audio":{}}'), {CHAT}, "[content of type input_audio]"),
        (
            Unknown("search_result", '{"type":"search_result","source":"s","title":"t","content":[]}'),
            {ANTHROPIC},
            "[content of type search_result]",
        ),
        (Unknown("search_result", "[]"), set(), "[content of type search_result]"),
    ],
)
def test_what_has_no_place_is_named_in_a_text(part: Any, taken: set[Dialect], text: str) -> None:
    for dialect in Dialect:
        rendered = render(dialect, numbered(user("see", part)))
        assert check(dialect, rendered.json_text) == []
        expected = [] if dialect in taken else [What.PLACEHOLDER]
        assert [a.what for a in rendered.adjustments] == expected, dialect
        if dialect not in taken:
            assert json.dumps(text) in rendered.json_text


def test_the_servers_own_calls_go_back_with_their_results_or_not_at_all() -> None:
    use = Unknown("server_tool_use", '{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}')
    found = Unknown(
        "web_search_tool_result", '{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[]}'
    )

    assert reported(ANTHROPIC, user("a"), assistant(use, found, "b")) == []
    assert reported(ANTHROPIC, user("a"), assistant(use, "b")) == [(2, What.PLACEHOLDER)]
    assert reported(ANTHROPIC, user("a"), assistant(found, use, "b")) == [(2, What.PLACEHOLDER)] * 2


def test_a_refusal_is_one_where_there_are_refusals_and_text_elsewhere() -> None:
    log = user("a"), assistant(Refusal("I can't"))

    assert sent(CHAT, *log)[1]["content"] == [{"type": "refusal", "refusal": "I can't"}]
    assert sent(CHAT, user("a"), assistant("well", Refusal("no")))[1]["refusal"] == "no"
    assert sent(ANTHROPIC, *log)["messages"][1]["content"] == "I can't"
    assert reported(ANTHROPIC, *log) == [(2, What.CHANGED)]


def test_further_keys_go_to_the_provider_whose_they_are() -> None:
    marked = Text("a", '{"cache_control":{"type":"ephemeral"},"annotations":[]}')
    log = (Message(Role.USER, None, (marked,), metadata_json='{"m":1}', extra_json='{"e":1}'),)

    assert sent(ANTHROPIC, *log)["messages"][0]["content"] == [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
    ]
    assert sent(CHAT, *log) == [{"role": "user", "content": "a"}]


def test_marks_of_the_cache_are_the_last_four_and_long_before_short() -> None:
    short, long = '{"cache_control":{"type":"ephemeral"}}', '{"cache_control":{"type":"ephemeral","ttl":"1h"}}'
    texts = [Text(str(place), extra) for place, extra in enumerate([long, long, long, short, long, short])]

    blocks = sent(ANTHROPIC, user(*texts))["messages"][0]["content"]

    assert [block["text"] for block in blocks if "cache_control" in block] == ["2", "3", "5"]
