"""OpenAI Responses: `{instructions, input}`. Spells what `preparing` decided, and decides nothing.

Item ids are left out: they name items that the provider keeps, and a window is sent as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc.dialects.spelling import content, detail, filename, typed, url
from kata_grpc.domain.messages import File, Image, Part, Role, Text, ToolCall, ToolResult
from kata_grpc.formats.rawjson import array_text, object_text, string

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kata_grpc.dialects.preparing import Entry, Prepared


def render(prepared: Prepared) -> str:
    """Return the JSON text of the object with `instructions`, where there are some, and `input`."""
    items = array_text([text for entry in prepared.entries for text in _items(entry)])
    pairs = [("instructions", string(instructions(prepared.system)))] if prepared.system else []
    return object_text([*pairs, ("input", items)])


def instructions(texts: Iterable[Part]) -> str:
    """Return the text of the system as one."""
    return "\n\n".join(part.text for part in texts if isinstance(part, Text))


def _items(entry: Entry) -> Iterator[str]:
    if entry.role is Role.TOOL:
        yield from map(_output, entry.results)
        return
    if entry.role is not Role.ASSISTANT:
        yield _message(entry.role, content(entry.parts, _block))
        return
    texts = [part.text for part in entry.parts if isinstance(part, Text)]
    # The blocks of an assistant's content would need ids; a string does not, so that each text is a message.
    if not entry.calls and not any(texts):
        yield _message(entry.role, '""')
    for text in filter(None, texts):
        yield _message(entry.role, string(text))
    yield from map(_call, entry.calls)


def _message(role: Role, text: str) -> str:
    return object_text([("role", string(role.value)), ("content", text)])


def _call(call: ToolCall) -> str:
    kind, payload = ("custom_tool_call", "input") if call.type == "custom" else ("function_call", "arguments")
    return typed(kind, ("call_id", string(call.id)), ("name", string(call.name)), (payload, string(call.arguments)))


def _output(result: ToolResult) -> str:
    kind = "custom_tool_call_output" if result.type == "custom" else "function_call_output"
    return typed(kind, ("call_id", string(result.tool_call_id)), ("output", content(result.parts, _block)))


def _block(part: Part) -> str:
    match part:
        case Text(text):
            return typed("input_text", ("text", string(text)), extra_json=part.extra_json)
        case Image(source=source):
            place = ("image_url", string(url(source)))
            if source.file_id is not None:
                place = ("file_id", string(source.file_id))
            return typed("input_image", ("detail", string(detail(part) or "auto")), place, extra_json=part.extra_json)
        case File(source=source):
            return typed("input_file", *_file(part), extra_json=part.extra_json)
        case _:
            raise TypeError(f"{type(part).__name__} was to be left out")


def _file(part: File) -> Iterator[tuple[str, str]]:
    source = part.source
    if source.data is not None:
        yield "file_data", string(url(source))
        yield "filename", string(filename(part.filename, source.media_type))
    elif source.file_id is not None:
        yield "file_id", string(source.file_id)
    else:
        yield "file_url", string(source.url or "")
