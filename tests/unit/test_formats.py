"""What is refused and why, how things are modelled, and what converts between formats."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kata_grpc.domain.messages import (
    LEGACY_CALL,
    ContentForm,
    File,
    Image,
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
)
from kata_grpc.formats import (
    Conversation,
    ConversionError,
    Format,
    ReadError,
    export_line,
    parse_line,
    render_conversation,
)
from kata_grpc.formats.rawjson import differences, parse

CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
DEEP = "[" * 5_000 + "]" * 5_000


def line(*messages: Any, **other: Any) -> bytes:
    return json.dumps({"id": "x", "messages": messages, **other}).encode()


def raw(message: str) -> bytes:
    return ('{"id":"x","messages":[' + message + "]}").encode()


def violations(data: bytes, name: Format) -> list[str]:
    with pytest.raises(ConversionError) as caught:
        parse_line(data, name)
    return [str(violation) for violation in caught.value.violations]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"[]", ["not an object"]),
        (b"{}", ["id: missing", "messages: missing"]),
        (b'{"id": 5, "messages": {}}', ["id: not a string", "messages: not an array"]),
        (b'{"id": "", "messages": null}', ["id: empty", "messages: not an array"]),
        (b'{"id": "x", "a": 1, "messages": [], "a": 1}', ["a: the key is repeated"]),
        (line("hello"), ["messages[0]: not an object"]),
        (line({"content": "x"}), ["messages[0].role: missing"]),
        (line({"role": None}), ["messages[0].role: not a string"]),
        (line({"role": "bot", "content": "x"}), ["messages[0].role: 'bot' is not a role of OpenAI Chat"]),
        (raw('{"role":"user","content":"a","content":"b"}'), ["messages[0].content: the key is repeated"]),
        (raw('{"role":"user","content":"a","odd key":1,"odd key":1}'), ['messages[0]["odd key"]: the key is repeated']),
        (line({"role": "user", "content": 5}), ["messages[0].content: neither a string, an array nor null"]),
        (line({"role": "tool", "content": "x"}), ["messages[0].tool_call_id: missing"]),
        (line({"role": "tool", "tool_call_id": "", "content": "x"}), ["messages[0].tool_call_id: empty"]),
        (line({"role": "function", "content": "x"}), ["messages[0].name: missing"]),
        (line({"role": "assistant", "tool_calls": {"a": 1}}), ["messages[0].tool_calls: not an array"]),
        (line({"role": "assistant", "tool_calls": ["x"]}), ["messages[0].tool_calls[0]: not an object"]),
        (
            line({"role": "assistant", "tool_calls": [CALL, {"id": None, "type": "magic"}]}),
            [
                "messages[0].tool_calls[1].id: not a string",
                "messages[0].tool_calls[1].type: 'magic' is neither function nor custom",
                "messages[0].tool_calls[1].function: missing",
            ],
        ),
        (
            line({"role": "user"}, {"role": "assistant", "tool_calls": [CALL | {"function": {"arguments": {}}}]}),
            [
                "messages[1].tool_calls[0].function.name: missing",
                "messages[1].tool_calls[0].function.arguments: not a string",
            ],
        ),
        (
            raw('{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f","arguments":"","name":"g"}}]}'),
            ["messages[0].tool_calls[0].function.name: the key is repeated"],
        ),
        (line({"role": "assistant", "function_call": "auto"}), ["messages[0].function_call: not an object"]),
        (
            raw('{"role":"user","content":"a \\ud83d b"},{"role":"user","\\udc00":[{"x":"\\ud83d\\ude00\\ud83d"}]}'),
            [
                "messages[0].content: half of a surrogate pair, not a character",
                'messages[1]["\\udc00"]: half of a surrogate pair, not a character',
                'messages[1]["\\udc00"][0].x: half of a surrogate pair, not a character',
            ],
        ),
    ],
)
def test_bad_openai_lines_name_every_path(data: bytes, expected: list[str]) -> None:
    assert violations(data, "openai") == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (line({"role": "tool", "content": "x"}), ["messages[0].role: 'tool' is not a role of Anthropic Messages"]),
        (
            line({"role": "system", "content": "x"}),
            ["messages[0].role: a leading system message would come back as `system`"],
        ),
        (line(system=5), ["system: neither a string, an array nor null"]),
        (line({"role": "user", "content": {}}), ["messages[0].content: neither a string, an array nor null"]),
        (
            line({"role": "user"}, {"role": "x", "content": 5}, 7),
            [
                "messages[1].role: 'x' is not a role of Anthropic Messages",
                "messages[1].content: neither a string, an array nor null",
                "messages[2]: not an object",
            ],
        ),
    ],
)
def test_bad_anthropic_lines_name_every_path(data: bytes, expected: list[str]) -> None:
    assert violations(data, "anthropic") == expected


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"{", "not JSON: Expecting property name enclosed in double quotes at character 2"),
        (b'{"id": "x"} {}', "not JSON: Extra data at character 13"),
        (b'{"id": NaN}', "not JSON: NaN is not JSON"),
        (b'{"id": -Infinity}', "not JSON: -Infinity is not JSON"),
        (b'{"id": "a\tb"}', "not JSON: Invalid control character at at character 10"),
        (b'{"id": "\xff"}', "not UTF-8: byte 9 of the line, invalid start byte"),
        (b'{"id": "\xed\xa0\x80"}', "not UTF-8: byte 9 of the line, invalid continuation byte"),
        (DEEP.encode(), "not JSON: nested more than 128 levels deep"),
        (b'{"id": ' + b"[" * 128 + b"]" * 128 + b"}", "not JSON: nested more than 128 levels deep"),
    ],
)
def test_lines_that_are_not_json_say_where(data: bytes, reason: str) -> None:
    with pytest.raises(ReadError) as caught:
        parse_line(data)

    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"role": "user", "content": "hi"}, Message(Role.USER, "hi")),
        ({"role": "user", "content": ""}, Message(Role.USER, "")),
        ({"role": "user", "content": None}, Message(Role.USER, form=ContentForm.NULL)),
        ({"role": "user"}, Message(Role.USER, form=ContentForm.ABSENT)),
        ({"role": "user", "content": []}, Message(Role.USER, form=ContentForm.ARRAY)),
        ({"role": "user", "content": [{"type": "text", "text": "a"}]}, Message(Role.USER, parts=(Text("a"),))),
        ({"role": "developer", "content": "a", "name": "n"}, Message(Role.DEVELOPER, "a", name="n")),
        ({"role": "user", "content": "a", "name": ""}, Message(Role.USER, "a", extra_json='{"name":""}')),
        ({"role": "assistant", "content": "a", "model": "m"}, Message(Role.ASSISTANT, "a", model="m")),
        (
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            Message(Role.ASSISTANT, parts=(ToolCall("c", "f", "{}", "function"),)),
        ),
        (
            {"role": "assistant", "tool_calls": [CALL]},
            Message(Role.ASSISTANT, parts=(ToolCall("c", "f", "{}", "function"),), form=ContentForm.ABSENT),
        ),
        (
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            Message(Role.ASSISTANT, parts=(Text(""), ToolCall("c", "f", "{}", "function")), form=ContentForm.STRING),
        ),
        (
            {"role": "assistant", "content": [], "tool_calls": [CALL]},
            Message(Role.ASSISTANT, parts=(ToolCall("c", "f", "{}", "function"),), form=ContentForm.ARRAY),
        ),
        (
            {"role": "assistant", "content": "a", "tool_calls": [], "function_call": None},
            Message(Role.ASSISTANT, "a", extra_json='{"tool_calls":[],"function_call":null}'),
        ),
        (
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "x", "y": 1}},
            Message(Role.ASSISTANT, parts=(ToolCall("", "f", "x", LEGACY_CALL, '{"y":1}'),)),
        ),
        (
            {"role": "function", "name": "f", "content": "r"},
            Message(Role.TOOL, parts=(ToolResult("", "r", name="f", type=LEGACY_CALL),)),
        ),
        (
            {"role": "tool", "tool_call_id": "c", "name": "f", "content": "r", "is_error": True, "z": 1},
            Message(Role.TOOL, parts=(ToolResult("c", "r", is_error=True, name="f"),), extra_json='{"z":1}'),
        ),
        (
            {"role": "tool", "tool_call_id": "c", "content": None, "is_error": None},
            Message(Role.TOOL, parts=(ToolResult("c", form=ContentForm.NULL),), extra_json='{"is_error":null}'),
        ),
        (
            {"role": "assistant", "content": "a", "refusal": None, "reasoning_content": "r"},
            Message(
                Role.ASSISTANT,
                parts=(Reasoning("r"), Text("a")),
                form=ContentForm.STRING,
                extra_json='{"refusal":null}',
            ),
        ),
        ({"role": "assistant", "content": None, "refusal": "no"}, Message(Role.ASSISTANT, parts=(Refusal("no"),))),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            Message(Role.ASSISTANT, parts=(Refusal("no"),), form=ContentForm.ARRAY),
        ),
        (
            {"role": "assistant", "content": [], "refusal": "no"},
            Message(Role.ASSISTANT, form=ContentForm.ARRAY, extra_json='{"refusal":"no"}'),
        ),
        (
            {"role": "user", "content": "a", "tool_calls": [CALL]},
            Message(Role.USER, "a", extra_json='{"tool_calls":[' + json.dumps(CALL) + "]}"),
        ),
    ],
)
def test_openai_messages_are_modelled(message: dict[str, Any], expected: Message) -> None:
    data = line(message)
    conversation = parse_line(data, "openai")

    assert conversation.messages == (expected,)
    assert json.loads(export_line(conversation)) == json.loads(data)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ('{"type":"text","text":"a","b":1.0}', Text("a", '{"b":1.0}')),
        ('{"type":"text","text":1}', Unknown("text", '{"type":"text","text":1}')),
        ('{"type":"text"}', Unknown("text", '{"type":"text"}')),
        ('{"type":"text","text":"a","text":"b"}', Unknown("", '{"type":"text","text":"a","text":"b"}')),
        ('"bare"', Unknown("", '"bare"')),
        ("null", Unknown("", "null")),
        ('{"type":"input_audio","n":1e400}', Unknown("input_audio", '{"type":"input_audio","n":1e400}')),
        (
            '{"type":"image_url","image_url":{"url":"https://e.x/a","detail":"low"}}',
            Image(Media(url="https://e.x/a"), "low"),
        ),
        (
            '{"type":"image_url","image_url":{"url":"data:image/png;base64,AAEC","detail":null}}',
            Image(Media(data=b"\x00\x01\x02", media_type="image/png"), "", '{"image_url":{"detail":null}}'),
        ),
        (
            '{"type":"image_url","image_url":{"url":"data:image/png;base64,AAEC\\n"}}',
            Image(Media(url="data:image/png;base64,AAEC\n")),
        ),
        (
            '{"type":"image_url","image_url":{"url":"data:image/png;base64,AB=="}}',
            Image(Media(url="data:image/png;base64,AB==")),
        ),
        (
            '{"type":"image_url","image_url":"https://e.x/a"}',
            Unknown("image_url", '{"type":"image_url","image_url":"https://e.x/a"}'),
        ),
        ('{"type":"file","file":{"file_id":"f"}}', File(Media(file_id="f"))),
        (
            '{"type":"file","file":{"file_data":"data:application/pdf;base64,AAEC","filename":"a.pdf"}}',
            File(Media(data=b"\x00\x01\x02", media_type="application/pdf"), "a.pdf"),
        ),
        ('{"type":"file","file":{}}', Unknown("file", '{"type":"file","file":{}}')),
    ],
)
def test_openai_blocks_are_modelled_or_kept(block: str, expected: Part) -> None:
    conversation = parse_line(raw('{"role":"user","content":[' + block + "]}"), "openai")

    assert conversation.messages[0].parts == (expected,)


@pytest.mark.parametrize(
    ("role", "block", "expected"),
    [
        ("assistant", '{"type":"thinking","thinking":"t","signature":"s"}', Reasoning("t", "s")),
        ("assistant", '{"type":"thinking","thinking":"t"}', Reasoning("t")),
        ("assistant", '{"type":"redacted_thinking","data":"d"}', Reasoning(redacted_data="d")),
        (
            "assistant",
            '{"type":"tool_use","id":"c","name":"f","input":{ "b":1.0,"a":1e400,"b":[ ] },"x":1}',
            ToolCall("c", "f", '{ "b":1.0,"a":1e400,"b":[ ] }', "", '{"x":1}'),
        ),
        ("user", '{"type":"tool_use","id":"c","name":"f","input":{}}', None),
        ("assistant", '{"type":"tool_use","id":"","name":"f","input":{}}', None),
        ("assistant", '{"type":"tool_use","id":"c","name":"f"}', None),
        ("user", '{"type":"tool_result","tool_use_id":"c"}', ToolResult("c", form=ContentForm.ABSENT)),
        ("user", '{"type":"tool_result","tool_use_id":"c","content":""}', ToolResult("c", "")),
        (
            "user",
            '{"type":"tool_result","tool_use_id":"c","content":[{"type":"tool_result"},{"type":"text","text":"a"}],"is_error":false}',
            ToolResult("c", parts=(Unknown("tool_result", '{"type":"tool_result"}'), Text("a")), is_error=False),
        ),
        ("user", '{"type":"tool_result","content":"x"}', None),
        ("user", '{"type":"tool_result","tool_use_id":"c","content":7}', None),
        ("assistant", '{"type":"tool_result","tool_use_id":"c"}', None),
        (
            "user",
            '{"type":"image","source":{"type":"base64","media_type":"i","data":"AAEC"}}',
            Image(Media(data=b"\x00\x01\x02", media_type="i")),
        ),
        ("user", '{"type":"image","source":{"type":"base64","media_type":"i","data":"AAE"}}', None),
        (
            "user",
            '{"type":"image","source":{"type":"url","url":"u","x":1}}',
            Image(Media(url="u"), "", '{"source":{"x":1}}'),
        ),
        (
            "user",
            '{"type":"document","source":{"type":"file","file_id":"f"},"title":"t"}',
            File(Media(file_id="f"), "t"),
        ),
        ("user", '{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"}}', None),
        ("assistant", '{"type":"server_tool_use","id":"s","name":"web_search","input":{}}', None),
    ],
)
def test_anthropic_blocks_are_modelled_or_kept(role: str, block: str, expected: Part | None) -> None:
    conversation = parse_line(raw(f'{{"role":"{role}","content":[{block}]}}'), "anthropic")

    (part,) = conversation.messages[0].parts
    assert part == (expected or Unknown(json.loads(block)["type"], block))


def test_a_system_prompt_is_the_first_message() -> None:
    text = parse_line(line({"role": "user", "content": "hi"}, system="s"), "anthropic")
    blocks = parse_line(line(system=[{"type": "text", "text": "s", "cache_control": None}]), "anthropic")
    null = parse_line(line(system=None), "anthropic")

    assert text.messages == (Message(Role.SYSTEM, "s"), Message(Role.USER, "hi"))
    assert blocks.messages == (Message(Role.SYSTEM, parts=(Text("s", '{"cache_control":null}'),)),)
    assert null.messages == (Message(Role.SYSTEM, form=ContentForm.NULL),)
    assert text.extra_json == ""


def test_the_other_keys_of_a_line_keep_their_text() -> None:
    data = b'{"z": {"b": 1.0, "a": [1e400], "b": 2}, "id": "x", "messages": [], "\\u00e9": 0.10}'
    conversation = parse_line(data)

    assert conversation.extra_json == '{"z":{"b": 1.0, "a": [1e400], "b": 2},"é":0.10}'
    assert (
        export_line(conversation) == '{"id":"x","messages":[],"z":{"b": 1.0, "a": [1e400], "b": 2},"é":0.10}'.encode()
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (line({"role": "user", "content": "hi"}), "openai"),
        (line({"role": "user", "content": "hi"}, system="s"), "anthropic"),
        (line({"role": "system", "content": "s"}, {"role": "user", "content": "hi"}), "openai"),
        (line({"role": "tool", "tool_call_id": "c", "content": "hi"}), "openai"),
        (
            line({"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]}),
            "anthropic",
        ),
        (line({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}), "openai"),
    ],
)
def test_the_format_of_a_line_is_told_by_its_marks(data: bytes, expected: Format) -> None:
    assert parse_line(data).format == expected


def test_lines_are_read_to_the_depth_that_is_promised() -> None:
    data = b'{"id":"x","messages":[],"deep":' + b"[" * 127 + b"]" * 127 + b"}"

    assert export_line(parse_line(data)) == data


def test_a_line_with_no_marks_takes_the_default() -> None:
    assert parse_line(line({"role": "user", "content": "hi"}), default="anthropic").format == "anthropic"


def test_a_line_with_marks_of_both_formats_is_refused() -> None:
    data = line({"role": "assistant", "content": [{"type": "tool_use"}], "tool_calls": [CALL]})

    with pytest.raises(ConversionError) as caught:
        parse_line(data)

    assert str(caught.value) == (
        "marks of two formats, openai (messages[0].tool_calls) and anthropic (messages[0].content[0].type): "
        "name the format"
    )


# --- between formats ---

RESULTS = (ToolResult("a", "1"), ToolResult("b", parts=(Text("2"),), is_error=True))
CALLS = (ToolCall("a", "f", '{"x":  1.0}'), ToolCall("b", "g", "{}"))


def test_tool_messages_become_one_user_message_and_back() -> None:
    openai: list[dict[str, Any]] = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "q"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":  1.0}'}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "name": "f", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}], "is_error": True},
        {"role": "user", "content": "thanks"},
    ]
    converted = export_line(parse_line(line(*openai)), "anthropic")

    assert b'"input":{"x":  1.0}' in converted
    assert json.loads(converted) == {
        "id": "x",
        "system": "s",
        "messages": [
            {"role": "user", "content": "q"},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1.0}},
                    {"type": "tool_use", "id": "b", "name": "g", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "b",
                        "content": [{"type": "text", "text": "2"}],
                        "is_error": True,
                    },
                ],
            },
            {"role": "user", "content": "thanks"},
        ],
    }
    back = json.loads(export_line(parse_line(converted), "openai"))["messages"]
    assert back == [m | {"content": None} if "tool_calls" in m else _without(m, "name") for m in openai]


def _without(message: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != key}


def test_a_user_message_of_results_and_text_becomes_tool_messages_and_a_user_message() -> None:
    messages = [Message(Role.ASSISTANT, parts=CALLS), Message(Role.USER, parts=(*RESULTS, Text("and?")))]

    assert json.loads(render_conversation(messages, "openai", "anthropic").to_json())[1:] == [
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": [{"type": "text", "text": "2"}], "is_error": True},
        {"role": "user", "content": [{"type": "text", "text": "and?"}]},
    ]


def test_messages_of_the_api_are_spelled_as_a_provider_takes_them() -> None:
    messages = [Message(Role.ASSISTANT, parts=CALLS[:1]), Message(Role.TOOL, parts=(ToolResult("a"),))]

    assert json.loads(render_conversation(messages, "openai").to_json()) == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":  1.0}'}}],
        },
        {"role": "tool", "tool_call_id": "a", "content": ""},
    ]


def test_media_change_their_spelling_between_formats() -> None:
    parts = (
        Image(Media(data=b"\x00\x01\x02", media_type="image/png")),
        Image(Media(url="https://e.x/a")),
        File(Media(data=b"\x00\x01\x02", media_type="application/pdf"), "a.pdf"),
    )
    messages = [Message(Role.USER, parts=parts)]

    openai = export_line(Conversation("", "x", tuple(messages)), "openai")
    anthropic = export_line(Conversation("", "x", tuple(messages)), "anthropic")

    assert parse_line(openai).messages == parse_line(anthropic).messages == tuple(messages)


def test_what_a_caller_keeps_with_a_message_goes_out_beside_it() -> None:
    message = Message(Role.ASSISTANT, "a", model="m", metadata_json='{"k":\n1}')

    assert export_line(Conversation("", "x", (message,))) == (
        b'{"id":"x","messages":[{"role":"assistant","content":"a","model":"m","metadata":{"k": 1}}]}'
    )


def speech(*parts: Part, form: ContentForm = ContentForm.DERIVED) -> Message:
    return Message(Role.ASSISTANT, parts=parts, form=form)


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (speech(Reasoning("t", "s")), "messages[0].parts[0].reasoning.signature"),
        (speech(Reasoning(redacted_data="d")), "messages[0].parts[0].reasoning.redacted_data"),
        (speech(Reasoning("a"), Reasoning("b")), "messages[0].parts[1]"),
        (speech(CALLS[0], Text("late")), "messages[0].parts[1]"),
        (speech(Text("a"), Reasoning("late")), "messages[0].parts[1]"),
        (speech(Text("a", '{"cache_control":{}}')), "messages[0].parts[0].extra_json"),
        (speech(Unknown("server_tool_use", "{}")), "messages[0].parts[0]"),
        (speech(Image(Media(file_id="f"))), "messages[0].parts[0].image.file_id"),
        (speech(File(Media(url="https://e.x"))), "messages[0].parts[0].file.url"),
        (speech(Image(Media(url="u", media_type="m"))), "messages[0].parts[0].image.media_type"),
        (speech(ToolCall("a", "f", "", "magic")), "messages[0].parts[0].tool_call.type"),
        (speech(*RESULTS), "messages[0]"),
        (speech(Text("a"), Text("b"), form=ContentForm.STRING), "messages[0].content_form"),
        (speech(Text("a"), form=ContentForm.NULL), "messages[0].content_form"),
        (Message(Role.USER, parts=(CALLS[0],)), "messages[0].parts[0]"),
        (Message(Role.USER, parts=(Text("a"), RESULTS[0])), "messages[0].parts[1]"),
        (Message(Role.USER, parts=RESULTS, name="n"), "messages[0].name"),
        (Message(Role.TOOL, "a"), "messages[0]"),
        (Message(Role.USER, "a", (Text("b"),)), "messages[0]"),
        (Message(Role.USER, "a", extra_json='{"id":"m"}'), "messages[0].extra_json"),
    ],
)
def test_what_openai_has_no_place_for_is_named(message: Message, path: str) -> None:
    with pytest.raises(ConversionError) as caught:
        render_conversation([message], "openai", "anthropic")

    assert [violation.path for violation in caught.value.violations] == [path]


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (Message(Role.DEVELOPER, "d"), "messages[1].role"),
        (Message(Role.SYSTEM, "late"), "messages[1].role"),
        (Message(Role.USER, "a", name="n"), "messages[1].name"),
        (Message(Role.USER, form=ContentForm.NULL), "messages[1].content_form"),
        (Message(Role.USER, "a", (Text("b"),)), "messages[1]"),
        (speech(Refusal("no")), "messages[1].parts[0]"),
        (speech(Unknown("input_audio", "{}")), "messages[1].parts[0]"),
        (speech(Image(Media(url="u"), "low")), "messages[1].parts[0].image.detail"),
        (speech(Image(Media(url="data:x"))), "messages[1].parts[0].image.url"),
        (speech(Reasoning("a", None, "b")), "messages[1].parts[0].reasoning"),
        (speech(ToolCall("a", "f", "{")), "messages[1].parts[0].tool_call.arguments"),
        (speech(ToolCall("a", "f", "[]")), "messages[1].parts[0].tool_call.arguments"),
        (speech(ToolCall("a", "f", "{}", "custom")), "messages[1].parts[0].tool_call.type"),
        (speech(ToolCall("", "f", "{}", LEGACY_CALL)), "messages[1].parts[0].tool_call.type"),
        (speech(ToolCall("a", "f", "{}", "", '{"index":0}')), "messages[1].parts[0].extra_json"),
        (speech(RESULTS[0]), "messages[1].parts[0]"),
        (Message(Role.USER, parts=(CALLS[0],)), "messages[1].parts[0]"),
        (Message(Role.TOOL, parts=(ToolResult("a", "1", name="f"),)), "messages[1].parts[0].tool_result.name"),
        (Message(Role.TOOL, parts=(ToolResult("", "1", type=LEGACY_CALL),)), "messages[1].parts[0].tool_result.type"),
        (Message(Role.TOOL, parts=(Text("a"),)), "messages[1]"),
    ],
)
def test_what_anthropic_has_no_place_for_is_named(message: Message, path: str) -> None:
    with pytest.raises(ConversionError) as caught:
        render_conversation([Message(Role.SYSTEM, "s"), message], "anthropic", "openai")

    assert [violation.path for violation in caught.value.violations] == [path]


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (Message(Role.USER, "a", extra_json='{"role":"x"}'), "messages[0].extra_json"),
        (Message(Role.USER, "a", extra_json="[]"), "messages[0].extra_json"),
        (Message(Role.USER, "a", extra_json="{"), "messages[0].extra_json"),
        (Message(Role.USER, "a", extra_json='{"a":1,"a":2}'), "messages[0].extra_json"),
        (Message(Role.USER, "a", extra_json='{"a":"\\ud800"}'), "messages[0].extra_json"),
        (Message(Role.USER, "a", metadata_json="{}", extra_json='{"metadata":1}'), "messages[0].extra_json"),
        (speech(Unknown("x", "{")), "messages[0].parts[0].unknown.json"),
        (speech(Unknown("x", "{}", '{"a":1}')), "messages[0].parts[0].extra_json"),
    ],
)
@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_texts_of_the_api_that_make_no_json_are_named(name: Format, message: Message, path: str) -> None:
    with pytest.raises(ConversionError) as caught:
        render_conversation([message], name)

    assert [violation.path for violation in caught.value.violations] == [path]


def test_all_that_would_be_lost_is_named_at_once() -> None:
    conversation = parse_line(
        line({"role": "developer", "content": "d"}, {"role": "assistant", "content": None, "refusal": "no", "x": 1})
    )

    with pytest.raises(ConversionError) as caught:
        export_line(conversation, "anthropic")

    assert [violation.path for violation in caught.value.violations] == [
        "messages[0].role",
        "messages[1].parts[0]",
        "messages[1].extra_json",
    ]


def test_a_line_key_that_the_other_format_means_something_by_is_named() -> None:
    conversation = parse_line(line({"role": "system", "content": "s"}, system="another"), "openai")

    with pytest.raises(ConversionError, match=r"line\.extra_json: repeats the key system"):
        export_line(conversation, "anthropic")


@pytest.mark.parametrize(
    ("expected", "actual", "paths"),
    [
        ('{"a":1,"b":[true]}', '{"b":[true],"a":1}', []),
        ('{"a":1}', '{"a":1.0}', ["a"]),
        ('{"a":1}', '{"a":"1"}', ["a"]),
        ('{"a":1}', '{"a":true}', ["a"]),
        ('{"a":1e2}', '{"a":1E2}', ["a"]),
        ('{"a":{"x y":[1,2]}}', '{"a":{"x y":[1,3]},"b":null}', ['a["x y"][1]', "b"]),
        ('{"a":[1]}', '{"a":[1,2]}', ["a"]),
        ('{"a":{"k":1,"k":2}}', '{"a":{"k":2}}', ["a"]),
        ('{"a":{"k":1,"k":2}}', '{"a":{"k":2,"k":1}}', ["a"]),
    ],
)
def test_the_comparison_that_every_line_passes_is_exact(expected: str, actual: str, paths: list[str]) -> None:
    assert sorted(differences(parse(expected), parse(actual), "")) == paths
    assert (parse(expected) == parse(actual)) == (not paths)
