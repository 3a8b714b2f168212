"""From the content model to Anthropic Messages, noting with its path whatever has no place in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from kata_grpc.domain.messages import (
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
from kata_grpc.formats.media import text_of
from kata_grpc.formats.rawjson import JsonError, array_text, object_text, parse, string
from kata_grpc.formats.writing import Origin, Pairs, Writer

if TYPE_CHECKING:
    from collections.abc import Sequence


def write_conversation(messages: Sequence[Message], writer: Writer, path: str) -> tuple[str | None, list[str]]:
    """Return the JSON texts of `system`, None if there is none, and of the messages.

    Neighbouring tool messages become one user message, as the results of parallel calls must stand together.
    """
    system: str | None = None
    texts: list[str] = []
    results: list[str] = []
    for index, message in enumerate(messages):
        at = f"{path}[{index}]"
        for call in message.calls():
            writer.call_names[call.id] = call.name
        if message.role is Role.TOOL and not (message.model or message.metadata_json or message.extra_json):
            results += _blocks(message, writer, at)
            continue
        texts += _results_message(results)
        results = []
        if index == 0 and message.role is Role.SYSTEM:
            system = _write_system(message, writer, at)
        else:
            texts.append(_write_message(message, writer, at))
    return system, texts + _results_message(results)


def write_part(part: Part) -> str:
    """Return the JSON text of a content block in its own spelling."""
    return _block(part, Writer(Origin.OWN), "")


def _results_message(blocks: list[str]) -> list[str]:
    return [object_text([("role", '"user"'), ("content", array_text(blocks))])] if blocks else []


def _write_system(message: Message, writer: Writer, path: str) -> str:
    if message.name:
        writer.lose(f"{path}.name", "has no place in a system prompt")
    if writer.own_members(message, path):
        writer.lose(path, "a system prompt has no place for further keys, model or metadata")
    content = _content(message, writer, path)
    if not content:
        writer.lose(f"{path}.content_form", "a system prompt that is absent has no place")
    return content[0][1] if content else "null"


def _write_message(message: Message, writer: Writer, path: str) -> str:
    if message.role is Role.DEVELOPER or (message.role is Role.SYSTEM and writer.origin is not Origin.OWN):
        writer.lose(f"{path}.role", f"{message.role} has no place among Anthropic messages")
    if message.name:
        writer.lose(f"{path}.name", "has no place in Anthropic Messages")
    role = Role.USER if message.role is Role.TOOL else message.role
    pairs = [("role", string(role)), *_content(message, writer, path), *writer.own_members(message, path)]
    return writer.object(pairs, path)


def _content(message: Message, writer: Writer, path: str) -> Pairs:
    if message.text is not None:
        if message.parts:
            writer.lose(path, "text excludes parts")
        return [("content", string(message.text))]
    if message.parts:
        return [("content", array_text(_blocks(message, writer, path)))]
    return _empty(message.form, writer, f"{path}.content_form")


def _empty(form: ContentForm, writer: Writer, path: str) -> Pairs:
    """Return the content of a message or result that has none."""
    if form is ContentForm.ARRAY:
        return [("content", "[]")]
    if writer.origin is not Origin.OWN:
        writer.lose(path, "Anthropic Messages have no place for null or absent content")
    return [] if form is ContentForm.ABSENT else [("content", "null")]


def _blocks(message: Message, writer: Writer, path: str) -> list[str]:
    """Return the blocks of a message's parts."""
    if message.role is Role.TOOL and not message.answers_only:
        writer.lose(path, "a tool message holds tool results and nothing else")
    blocks = []
    for index, part in enumerate(message.parts):
        at = f"{path}.parts[{index}]"
        if isinstance(part, ToolResult) and message.role not in {Role.TOOL, Role.USER}:
            writer.lose(at, f"a tool result has no place in a message of {message.role}")
        if isinstance(part, ToolCall | Reasoning) and message.role is not Role.ASSISTANT:
            writer.lose(at, f"calls and reasoning have no place in a message of {message.role}")
        if not _spelled_for_nothing(message, part):
            blocks.append(_block(part, writer, at))
    return blocks


def _spelled_for_nothing(message: Message, part: Part) -> bool:
    """Return whether `part` is the empty string that some formats want beside calls, an illegal block here."""
    return part == Text("") and message.form is ContentForm.STRING and len(message.parts) > 1


def _block(part: Part, writer: Writer, path: str) -> str:
    if isinstance(part, Unknown):
        return writer.unknown(part, path)
    extras = writer.extras(part.extra_json, path)
    match part:
        case Text(text=text):
            pairs = [("type", '"text"'), ("text", string(text))]
        case Reasoning():
            pairs = _reasoning(part, writer, path)
        case ToolCall():
            pairs = _call(part, writer, path)
        case ToolResult():
            pairs = _result(part, writer, path)
        case Image(source=source, detail=detail):
            if detail:
                writer.lose(f"{path}.image.detail", "has no place in Anthropic Messages")
            inner = _source(source, writer, f"{path}.image") + writer.inner_extras(extras, "source", path)
            pairs = [("type", '"image"'), ("source", writer.object(inner, path))]
        case File(source=source, filename=filename):
            inner = _source(source, writer, f"{path}.file") + writer.inner_extras(extras, "source", path)
            pairs = [("type", '"document"'), ("source", writer.object(inner, path))]
            pairs += [("title", string(filename))] if filename else []
        case Refusal():
            writer.lose(path, "a refusal has no place in Anthropic Messages")
            pairs = []
        case _:
            assert_never(part)
    return writer.object([*pairs, *extras.items()], path)


def _reasoning(part: Reasoning, writer: Writer, path: str) -> Pairs:
    if part.redacted_data is not None:
        if part.text or part.signature is not None:
            writer.lose(f"{path}.reasoning", "is either readable or redacted")
        return [("type", '"redacted_thinking"'), ("data", string(part.redacted_data))]
    pairs = [("type", '"thinking"'), ("thinking", string(part.text))]
    return pairs if part.signature is None else [*pairs, ("signature", string(part.signature))]


def _call(call: ToolCall, writer: Writer, path: str) -> Pairs:
    if call.type not in {"", "function"}:
        writer.lose(f"{path}.tool_call.type", f"{call.type!r} has no place in Anthropic Messages")
    try:
        arguments = parse(call.arguments)
    except JsonError as error:
        writer.lose(f"{path}.tool_call.arguments", f"not JSON: {error}")
    else:
        # A tuple is an object that repeats a key: legal JSON, and kept as its text.
        if writer.origin is not Origin.OWN and not isinstance(arguments, dict | tuple):
            writer.lose(f"{path}.tool_call.arguments", "not a JSON object")
    return [("type", '"tool_use"'), ("id", string(call.id)), ("name", string(call.name)), ("input", call.arguments)]


def _result(result: ToolResult, writer: Writer, path: str) -> Pairs:
    if result.type:
        writer.lose(f"{path}.tool_result.type", f"{result.type!r} has no place in Anthropic Messages")
    if result.name and result.name != writer.call_names.get(result.tool_call_id):
        writer.lose(f"{path}.tool_result.name", "has no place, and no call before it has this name")
    pairs = [("type", '"tool_result"'), ("tool_use_id", string(result.tool_call_id))]
    if result.text is not None:
        pairs.append(("content", string(result.text)))
    elif result.parts:
        blocks = [_block(part, writer, f"{path}.parts[{index}]") for index, part in enumerate(result.parts)]
        pairs.append(("content", array_text(blocks)))
    elif result.form is ContentForm.ARRAY:
        pairs.append(("content", "[]"))
    elif result.form is ContentForm.NULL and writer.origin is Origin.OWN:
        pairs.append(("content", "null"))
    if result.is_error is not None:
        pairs.append(("is_error", "true" if result.is_error else "false"))
    return pairs


def _source(source: Media, writer: Writer, path: str) -> Pairs:
    if source.data is not None:
        data = string(text_of(source.data))
        return [("type", '"base64"'), ("media_type", string(source.media_type)), ("data", data)]
    if source.media_type:
        writer.lose(f"{path}.media_type", "has a place only with data")
    if source.file_id is not None:
        return [("type", '"file"'), ("file_id", string(source.file_id))]
    url = source.url or ""
    if url.startswith("data:") and writer.origin is not Origin.OWN:
        writer.lose(f"{path}.url", "a data URI has a place only as canonical base64")
    return [("type", '"url"'), ("url", string(url))]
