"""From the content model to OpenAI Chat messages, noting with its path whatever has no place in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

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
from kata_grpc.formats.media import url_of
from kata_grpc.formats.rawjson import array_text, object_text, string
from kata_grpc.formats.writing import Origin, Pairs, Writer, is_plain

if TYPE_CHECKING:
    from collections.abc import Sequence

REASONING, CONTENT, REFUSAL, CALL, LEGACY = range(5)
"""The places of a message, in the order in which a reader takes parts from them."""
PLACE_NAMES = ("reasoning", "content", "a refusal", "a tool call", "a function_call")

Placed = list[tuple[str, Part]]
"""Parts with their paths."""


def write_message(message: Message, writer: Writer, path: str) -> list[str]:
    """Return the JSON texts of the messages that `message` becomes: one, or one for each tool result and the rest."""
    if is_plain(message) and message.role is not Role.TOOL:
        return [f'{{"role":"{message.role.value}","content":{string(message.text or "")}}}']
    parts = [(f"{path}.parts[{index}]", part) for index, part in enumerate(message.parts)]
    count = next((i for i, (_, part) in enumerate(parts) if not isinstance(part, ToolResult)), len(parts))
    results, rest = parts[:count], parts[count:]
    for part_path, part in rest:
        if isinstance(part, ToolResult):
            writer.lose(part_path, "a tool result has no place after other content")
    if message.role is Role.TOOL and (rest or not results):
        writer.lose(path, "a tool message holds tool results and nothing else")
    if results and message.role not in {Role.TOOL, Role.USER}:
        writer.lose(path, "tool results have no place in another role's message")
    whole = bool(rest) or not results
    own = writer.own_members(message, path)
    if message.name and not whole:
        writer.lose(f"{path}.name", "the name of a speaker has no place in a tool message")
    if own and len(results) + whole > 1:
        writer.lose(path, "further keys have no place once the message is taken apart")
    texts = [_result(part, writer, at, [] if whole else own) for at, part in results if isinstance(part, ToolResult)]
    if whole:
        texts.append(
            _speech(message, [item for item in rest if not isinstance(item[1], ToolResult)], writer, path, own)
        )
    return texts


def write_part(part: Part) -> str:
    """Return the JSON text of a content block in its own spelling."""
    return _block(part, Writer(Origin.OWN), "")


def _result(result: ToolResult, writer: Writer, path: str, own: Pairs) -> str:
    legacy = result.type == LEGACY_CALL
    if legacy and result.tool_call_id:
        writer.lose(f"{path}.tool_call_id", "a result of type function_call has no id")
    if not legacy and result.type:
        writer.lose(f"{path}.type", f"{result.type!r} is not a type of OpenAI Chat")
    pairs = [("role", string("function" if legacy else "tool"))]
    if not legacy:
        pairs.append(("tool_call_id", string(result.tool_call_id)))
    if result.name:
        pairs.append(("name", string(result.name)))
    if result.text is not None:
        pairs.append(("content", string(result.text)))
    elif result.parts:
        pairs.append(("content", _array([(f"{path}.parts[{i}]", part) for i, part in enumerate(result.parts)], writer)))
    elif result.form is ContentForm.ARRAY:
        pairs.append(("content", "[]"))
    elif result.form is ContentForm.NULL:
        pairs.append(("content", "null"))
    elif result.form is not ContentForm.ABSENT or writer.origin is not Origin.OWN:
        pairs.append(("content", '""'))
    if result.is_error is not None:
        pairs.append(("is_error", "true" if result.is_error else "false"))
    pairs += [*writer.extras(result.extra_json, path).items(), *own]
    return writer.object(pairs, path)


def _speech(message: Message, parts: Placed, writer: Writer, path: str, own: Pairs) -> str:
    refusal_place = CONTENT if message.form is ContentForm.ARRAY else REFUSAL
    places: dict[int, Placed] = {REASONING: [], CONTENT: [], REFUSAL: [], CALL: [], LEGACY: []}
    last = REASONING
    for part_path, part in parts:
        place = _place(part, refusal_place)
        if place < last:
            writer.lose(part_path, f"{PLACE_NAMES[place]} has no place after {PLACE_NAMES[last]}")
        last = max(place, last)
        places[place].append((part_path, part))
        if message.role is not Role.ASSISTANT and place != CONTENT:
            writer.lose(part_path, f"{PLACE_NAMES[place]} has no place in a message of {message.role}")
    for place in (REASONING, REFUSAL, LEGACY):
        for part_path, _ in places[place][1:]:
            writer.lose(part_path, f"{PLACE_NAMES[place]} has a place only once")
    pairs = [("role", string(message.role))]
    if message.name:
        pairs.append(("name", string(message.name)))
    pairs += _content(message, places[CONTENT], writer, path)
    for part_path, part in places[REASONING][:1] + places[REFUSAL][:1]:
        pairs.append(_beside(part, writer, part_path))
    if places[CALL]:
        calls = [_call(part, writer, at) for at, part in places[CALL] if isinstance(part, ToolCall)]
        pairs.append(("tool_calls", array_text(calls)))
    for part_path, part in places[LEGACY][:1]:
        if isinstance(part, ToolCall):
            pairs.append(("function_call", _legacy_call(part, writer, part_path)))
    return writer.object(pairs + own, path)


def _place(part: Part, refusal_place: int) -> int:
    match part:
        case Reasoning():
            return REASONING
        case Refusal():
            return refusal_place
        case ToolCall():
            return LEGACY if part.type == LEGACY_CALL else CALL
        case _:
            return CONTENT


def _content(message: Message, parts: Placed, writer: Writer, path: str) -> Pairs:
    if message.text is not None:
        if parts:
            writer.lose(path, "text excludes parts that are content")
        return [("content", string(message.text))]
    match message.form:
        case ContentForm.STRING:
            if len(parts) == 1 and isinstance(text := parts[0][1], Text) and not text.extra_json:
                return [("content", string(text.text))]
            writer.lose(f"{path}.content_form", "only one text without further keys can be a string")
        case ContentForm.NULL | ContentForm.ABSENT if parts:
            writer.lose(f"{path}.content_form", f"{message.form} contradicts the parts")
        case ContentForm.ABSENT:
            return []
        case ContentForm.NULL:
            return [("content", "null")]
        case ContentForm.DERIVED if not parts:
            return [("content", "null")]
        case _:
            return [("content", _array(parts, writer))]
    return []


def _array(parts: Sequence[tuple[str, Part]], writer: Writer) -> str:
    return array_text([_block(part, writer, path) for path, part in parts])


def _beside(part: Part, writer: Writer, path: str) -> tuple[str, str]:
    """Return the pair of a reasoning or a refusal that stands beside the content."""
    if part.extra_json:
        writer.lose(f"{path}.extra_json", "a plain string has no place for further keys")
    if isinstance(part, Refusal):
        return "refusal", string(part.text)
    if not isinstance(part, Reasoning):
        raise TypeError(f"{type(part).__name__} stands in the content or among the calls")
    if part.signature is not None:
        writer.lose(f"{path}.reasoning.signature", "has no place in OpenAI Chat")
    if part.redacted_data is not None:
        writer.lose(f"{path}.reasoning.redacted_data", "has no place in OpenAI Chat")
    return "reasoning_content", string(part.text)


def _call(call: ToolCall, writer: Writer, path: str) -> str:
    kind = call.type or "function"
    if kind not in {"function", "custom"}:
        writer.lose(f"{path}.tool_call.type", f"{kind!r} is neither function nor custom")
    container, payload = ("custom", "input") if kind == "custom" else ("function", "arguments")
    extras = writer.extras(call.extra_json, path)
    inner = writer.inner_extras(extras, container, path)
    body = [("name", string(call.name)), (payload, string(call.arguments)), *inner]
    pairs = [("id", string(call.id))]
    if call.type or writer.origin is not Origin.OWN:
        pairs.append(("type", string(kind)))
    return writer.object([*pairs, (container, writer.object(body, path)), *extras.items()], path)


def _legacy_call(call: ToolCall, writer: Writer, path: str) -> str:
    if call.id:
        writer.lose(f"{path}.tool_call.id", "a call of type function_call has no id")
    extras = writer.extras(call.extra_json, path)
    return writer.object([("name", string(call.name)), ("arguments", string(call.arguments)), *extras.items()], path)


def _block(part: Part, writer: Writer, path: str) -> str:
    if isinstance(part, Unknown):
        return writer.unknown(part, path)
    extras = writer.extras(part.extra_json, path)
    match part:
        case Text(text=text):
            pairs = [("type", '"text"'), ("text", string(text))]
        case Refusal(text=text):
            pairs = [("type", '"refusal"'), ("refusal", string(text))]
        case Image(source=source, detail=detail):
            if source.file_id is not None:
                writer.lose(f"{path}.image.file_id", "has no place in OpenAI Chat")
            inner = [("url", string(_url(source, writer, f"{path}.image")))] + (
                [("detail", string(detail))] if detail else []
            )
            inner += writer.inner_extras(extras, "image_url", path)
            pairs = [("type", '"image_url"'), ("image_url", writer.object(inner, path))]
        case File(source=source, filename=filename):
            if source.url is not None and writer.origin is not Origin.OWN and not source.url.startswith("data:"):
                writer.lose(f"{path}.file.url", "has no place in OpenAI Chat")
            place = ("file_data", string(_url(source, writer, f"{path}.file")))
            if source.file_id is not None:
                place = ("file_id", string(source.file_id))
            inner = [place] + ([("filename", string(filename))] if filename else [])
            inner += writer.inner_extras(extras, "file", path)
            pairs = [("type", '"file"'), ("file", writer.object(inner, path))]
        case ToolCall() | ToolResult() | Reasoning():
            writer.lose(path, "has no place in content")
            return object_text(())
        case _:
            assert_never(part)
    return writer.object([*pairs, *extras.items()], path)


def _url(source: Media, writer: Writer, path: str) -> str:
    if source.data is not None:
        return url_of(source.data, source.media_type)
    if source.media_type:
        writer.lose(f"{path}.media_type", "has a place only with data")
    return source.url or ""
