"""OpenAI Chat Completions: the array of messages. Spells what `preparing` decided, and decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc.dialects.spelling import content, detail, filename, typed, url
from kata_grpc.domain.messages import File, Image, Part, Refusal, Role, Text, ToolCall, Unknown
from kata_grpc.formats.rawjson import array_text, object_text, string

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kata_grpc.dialects.preparing import Entry, Prepared
    from kata_grpc.formats.writing import Pairs


def render(prepared: Prepared) -> str:
    """Return the JSON text of `messages`."""
    return array_text([text for entry in prepared.entries for text in _messages(entry)])


def _messages(entry: Entry) -> list[str]:
    if entry.role is Role.TOOL:
        return [
            object_text(
                [
                    ("role", '"tool"'),
                    ("tool_call_id", string(result.tool_call_id)),
                    ("content", content(result.parts, _block)),
                ]
            )
            for result in entry.results
        ]
    pairs = [("role", string(entry.role.value))]
    if entry.name:
        pairs.append(("name", string(entry.name)))
    if entry.role is Role.ASSISTANT:
        pairs += _assistant(entry)
    else:
        pairs.append(("content", content(entry.parts, _block)))
    return [object_text(pairs)]


def _assistant(entry: Entry) -> Pairs:
    """Return content, refusal and calls: one refusal has a place, beside text as a field of its own."""
    refusals = [part for part in entry.parts if isinstance(part, Refusal)]
    rest: list[Part] = [part for part in entry.parts if not isinstance(part, Refusal)]
    rest += [Text(refusal.text) for refusal in refusals[1:]]
    pairs: Pairs = []
    if rest:
        pairs.append(("content", content(rest, _block)))
    elif refusals:
        pairs.append(("content", array_text([_block(refusals[0])])))
    else:
        pairs.append(("content", "null" if entry.calls else '""'))
    if rest and refusals:
        pairs.append(("refusal", string(refusals[0].text)))
    if entry.calls:
        pairs.append(("tool_calls", array_text(map(_call, entry.calls))))
    return pairs


def _call(call: ToolCall) -> str:
    container, payload = ("custom", "input") if call.type == "custom" else ("function", "arguments")
    body = object_text([("name", string(call.name)), (payload, string(call.arguments))])
    return object_text([("id", string(call.id)), ("type", string(container)), (container, body)])


def _block(part: Part) -> str:
    match part:
        case Text(text):
            return typed("text", ("text", string(text)), extra_json=part.extra_json)
        case Refusal(text):
            return typed("refusal", ("refusal", string(text)))
        case Image(source=source):
            level = detail(part)
            image = object_text([("url", string(url(source)))] + ([("detail", string(level))] if level else []))
            return typed("image_url", ("image_url", image), extra_json=part.extra_json)
        case File(source=source):
            return typed("file", ("file", object_text(_file(part))), extra_json=part.extra_json)
        case Unknown():
            return part.json
        case _:
            raise TypeError(f"{type(part).__name__} was to be left out")


def _file(part: File) -> Sequence[tuple[str, str]]:
    source = part.source
    if source.data is None:
        return [("file_id", string(source.file_id or ""))]
    name = filename(part.filename, source.media_type)
    return [("file_data", string(url(source))), ("filename", string(name))]
