"""Gemini generateContent: `{system_instruction, contents}`. Spells what `preparing` decided, and decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc.domain.messages import File, Image, Media, Part, Role, Text, ToolCall, ToolResult
from kata_grpc.formats.media import text_of
from kata_grpc.formats.rawjson import array_text, object_text, string

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kata_grpc.dialects.preparing import Entry, Prepared


def render(prepared: Prepared) -> str:
    """Return the JSON text of the object with `system_instruction`, where there is some, and `contents`."""
    pairs = [("system_instruction", _parts(prepared.system))] if prepared.system else []
    return object_text([*pairs, ("contents", array_text(map(_contents, prepared.entries)))])


def _parts(parts: Iterable[Part]) -> str:
    return object_text([("parts", array_text(map(_part, parts)))])


def _contents(entry: Entry) -> str:
    role = "model" if entry.role is Role.ASSISTANT else "user"
    parts = array_text(map(_part, (*entry.results, *entry.parts, *entry.calls)))
    return object_text([("role", string(role)), ("parts", parts)])


def _part(part: Part) -> str:
    match part:
        case Text(text):
            return object_text([("text", string(text))])
        case ToolCall():
            call = [("id", string(part.id)), ("name", string(part.name)), ("args", part.arguments)]
            return object_text([("function_call", object_text(call))])
        case ToolResult():
            return object_text([("function_response", _response(part))])
        case Image(source=source) | File(source=source):
            return object_text([_media(source)])
        case _:
            raise TypeError(f"{type(part).__name__} was to be left out")


def _response(result: ToolResult) -> str:
    """Return a response: one text as a string, several as an array, under the key that says whether it is an error."""
    texts = [string(part.text) for part in result.parts if isinstance(part, Text)]
    value = texts[0] if len(texts) == 1 else array_text(texts) if texts else '""'
    response = object_text([("error" if result.is_error else "output", value)])
    return object_text([("id", string(result.tool_call_id)), ("name", string(result.name)), ("response", response)])


def _media(source: Media) -> tuple[str, str]:
    kind = ("mime_type", string(source.media_type))
    if source.data is not None:
        return "inline_data", object_text([kind, ("data", string(text_of(source.data)))])
    return "file_data", object_text([kind, ("file_uri", string(source.url or ""))])
