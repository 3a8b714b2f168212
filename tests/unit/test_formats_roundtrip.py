"""Conversations come back as they went in: recorded ones, the shipped samples, and generated ones."""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kata_grpc import codec
from kata_grpc.formats import (
    FORMATS,
    Conversation,
    ConversionError,
    Format,
    export_line,
    parse_line,
    read_conversations,
    read_lines,
    render_conversation,
)

SAMPLES = [Path(str(resources.files("kata_grpc").joinpath("samples", f"sample-{name}.jsonl"))) for name in FORMATS]
DATA = Path(os.environ.get("KATA_TEST_DATA", "absent"))
RECORDED = [path for path in sorted(DATA.glob("*.jsonl.gz")) if path.name.count(".") == 2]


def exact(text: str | bytes) -> Any:
    """Return JSON such that equality sees the spelling of numbers and repeated keys, but not the order of keys."""
    return json.loads(
        text,
        object_pairs_hook=lambda pairs: ("object", sorted(pairs, key=lambda pair: str(pair[0]))),
        parse_int=lambda number: ("number", number),
        parse_float=lambda number: ("number", number),
    )


def through_the_body(conversation: Conversation) -> Conversation:
    """Return the conversation as the database would give it back."""
    messages = tuple(codec.decode_body(codec.encode_body(codec.to_proto(m))) for m in conversation.messages)
    assert messages == conversation.messages
    return Conversation(conversation.format, conversation.id, messages, conversation.extra_json)


def raw_members(text: bytes | msgspec.Raw) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(text, type=dict[str, msgspec.Raw])


def raw_items(text: bytes | msgspec.Raw) -> list[msgspec.Raw]:
    """Return the items of an array, none for anything else."""
    return msgspec.json.decode(text, type=list[msgspec.Raw]) if bytes(text).startswith(b"[") else []


def arguments(line: bytes) -> list[object]:
    """Return all tool arguments: the strings of OpenAI, the texts of Anthropic."""
    found: list[object] = []
    for message in map(raw_members, raw_items(raw_members(line)["messages"])):
        calls = json.loads(bytes(message.get("tool_calls", b"null"))) or []
        found += [call.get("function", {}).get("arguments", call.get("custom")) for call in calls]
        for block in map(raw_members, raw_items(message.get("content", b"null"))):
            found.append(bytes(block["input"]) if "input" in block else None)
    return found


@pytest.mark.parametrize("path", [*SAMPLES, *RECORDED], ids=lambda path: path.name)
def test_every_line_of_a_file_comes_back(path: Path) -> None:
    lines = list(read_lines(path))
    entries = list(read_conversations(path))

    assert len(lines) == len(entries) > 0
    for line, entry in zip(lines, entries, strict=True):
        assert entry.error is None
        assert entry.conversation is not None
        written = export_line(through_the_body(entry.conversation))
        assert b"\n" not in written
        assert exact(written) == exact(line.data)
        assert json.loads(written) == json.loads(line.data)
        assert arguments(written) == arguments(line.data)


@pytest.mark.skipif(not RECORDED, reason="no recorded conversations: KATA_TEST_DATA names no folder")
def test_recorded_files_are_told_apart() -> None:
    told = {
        path.name: {entry.conversation.format for entry in read_conversations(path) if entry.conversation}
        for path in RECORDED
    }

    assert told == {path.name: {"anthropic" if path.name.startswith("anthropic") else "openai"} for path in RECORDED}


def parsed(line: bytes, name: Format) -> Conversation | None:
    """Return the conversation, or None if it is refused with a path for every reason."""
    try:
        return parse_line(line, name)
    except ConversionError as error:
        if not all(violation.path for violation in error.violations):
            raise
        return None


def exported(conversation: Conversation, target: Format) -> bytes | None:
    """Return the line, or None if another format has no place for something, named with its path."""
    try:
        return export_line(conversation, target)
    except ConversionError as error:
        if target == conversation.format or not all(violation.path for violation in error.violations):
            raise
        return None


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_a_conversion_that_succeeds_comes_back_in_meaning(path: Path) -> None:
    """To the other format and back: the same roles, texts, calls and results, in the same order."""
    converted = 0
    for entry in read_conversations(path):
        assert entry.conversation is not None
        for target in FORMATS:
            line = exported(entry.conversation, target)
            if line is None:
                continue
            converted += target != entry.conversation.format
            back = parse_line(line, target)
            assert [call for m in back.messages for call in _calls(m)] == [
                call for m in entry.conversation.messages for call in _calls(m)
            ]
    assert converted > 0


def _calls(message: Any) -> list[tuple[str, str, str]]:
    return [(call.id, call.name, call.arguments) for call in message.calls()]


# --- generated lines: mostly in form, with anything anywhere ---

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ids = st.sampled_from(["a", "b", "c", "d", "e", ""])
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(
    ["content", "name", "refusal", "tool_calls", "function_call", "type", "id", "index", "detail", "model", "is_error",
     "metadata", "cache_control", "citations", "usage", "source", "signature", "reasoning_content", "audio", "system"]
)  # fmt: skip


def shaped(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects of these members, now and then without some, or with others beside or over them."""
    whole = st.fixed_dictionaries(members)
    partly = st.fixed_dictionaries({}, optional=members)
    extra = st.dictionaries(keys | texts, anything, min_size=1, max_size=2)
    widened = st.tuples(whole | partly, extra).map(lambda pair: pair[0] | pair[1])
    return st.sampled_from([whole] * 8 + [widened, partly]).flatmap(lambda strategy: strategy)


def content(blocks: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return texts | st.lists(blocks, max_size=3) | st.none()


data = st.binary(max_size=6).map(lambda b: json.loads(msgspec.json.encode(b))) | texts
text_block = shaped(type=st.just("text"), text=texts)
openai_block = (
    text_block
    | shaped(type=st.just("refusal"), refusal=texts)
    | shaped(
        type=st.just("image_url"),
        image_url=shaped(url=texts | data.map("data:image/png;base64,{}".format), detail=texts),
    )
    | shaped(
        type=st.just("file"), file=shaped(file_data=data.map("data:;base64,{}".format), file_id=texts, filename=texts)
    )
    | anything
)
openai_call = shaped(id=ids, type=st.just("function"), function=shaped(name=texts, arguments=texts)) | shaped(
    id=ids, type=st.just("custom"), custom=shaped(name=texts, input=texts)
)
openai_message = (
    shaped(role=st.sampled_from(["user", "system", "developer"]), content=content(openai_block), name=texts)
    | shaped(
        role=st.just("assistant"),
        content=content(openai_block),
        tool_calls=st.lists(openai_call, max_size=3) | st.none(),
        refusal=texts | st.none(),
        reasoning_content=texts,
    )
    | shaped(role=st.just("assistant"), function_call=shaped(name=texts, arguments=texts))
    | shaped(role=st.just("function"), name=ids, content=content(openai_block))
    | shaped(role=st.just("tool"), tool_call_id=ids, content=content(openai_block), is_error=st.booleans())
)
source = (
    shaped(type=st.just("base64"), media_type=texts, data=data)
    | shaped(type=st.just("url"), url=texts)
    | shaped(type=st.just("file"), file_id=texts)
)
anthropic_leaf = (
    text_block
    | shaped(type=st.just("image"), source=source)
    | shaped(type=st.just("document"), source=source, title=texts)
)
anthropic_block = (
    anthropic_leaf
    | shaped(type=st.just("thinking"), thinking=texts, signature=texts)
    | shaped(type=st.just("redacted_thinking"), data=texts)
    | shaped(type=st.just("tool_use"), id=ids, name=texts, input=anything)
    | shaped(type=st.just("tool_result"), tool_use_id=ids, content=content(anthropic_leaf), is_error=st.booleans())
    | anything
)
anthropic_message = shaped(
    role=st.sampled_from(["user", "assistant", "assistant", "user", "system"]), content=content(anthropic_block)
)
lines = {
    "openai": shaped(id=ids, messages=st.lists(openai_message, max_size=4)),
    "anthropic": shaped(id=ids, messages=st.lists(anthropic_message, max_size=4), system=content(text_block)),
}


@pytest.mark.parametrize("name", FORMATS)
@given(draw=st.data())
def test_a_generated_line_comes_back_or_is_refused_with_paths(name: Format, draw: st.DataObject) -> None:
    line = json.dumps(draw.draw(lines[name])).encode()
    conversation = parsed(line, name)

    assert conversation is None or exact(export_line(through_the_body(conversation))) == exact(line)


@pytest.mark.parametrize("name", FORMATS)
@given(draw=st.data())
def test_a_line_in_form_is_never_refused(name: Format, draw: st.DataObject) -> None:
    """Whatever blocks hold: only what stands outside of content can be refused."""
    blocks = openai_block if name == "openai" else anthropic_block
    message = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": content(blocks)})
    line = json.dumps({"id": "x", "messages": draw.draw(st.lists(message, max_size=3))}).encode()

    assert exact(export_line(through_the_body(parse_line(line, name)))) == exact(line)


@pytest.mark.parametrize("name", FORMATS)
@given(draw=st.data())
def test_any_conversation_renders_in_any_format_or_is_refused_with_paths(name: Format, draw: st.DataObject) -> None:
    line = json.dumps({"id": "x"} | draw.draw(lines[name])).encode()
    conversation = parsed(line, name)
    for target in FORMATS if conversation else ():
        assert conversation is not None
        written = exported(conversation, target)
        if written is not None:
            rendered = json.loads(render_conversation(conversation.messages, target, name).to_json())
            whole = json.loads(written)
            assert (rendered if target == "openai" else rendered["messages"]) == whole["messages"]
