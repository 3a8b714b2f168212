"""Anthropic Messages: `{system, messages}`. Spells what `preparing` decided.

One decision is made here, as it needs the order of all blocks: which marks of the prompt cache stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc.dialects.spelling import extra_pairs
from kata_grpc.domain.messages import File, Image, Media, Part, Reasoning, Text, ToolCall, ToolResult, Unknown
from kata_grpc.formats.media import text_of
from kata_grpc.formats.rawjson import array_text, object_text, string

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kata_grpc.dialects.preparing import Entry, Prepared
    from kata_grpc.formats.writing import Pairs

MOST_CACHE_MARKS = 4
_MARK = "cache_control"
_LONG = '"1h"'


def render(prepared: Prepared) -> tuple[str, list[str]]:
    """Return the JSON text of the object with `system`, where there is some, and `messages`; and what was left out."""
    marks = _Marks()
    system = [_block(text, marks) for text in prepared.system]
    messages = [(entry.side.value, _blocks(entry, marks)) for entry in prepared.entries]
    dropped = marks.choose()
    pairs = [("system", _content(system))] if system else []
    texts = [object_text([("role", string(role)), ("content", _content(blocks))]) for role, blocks in messages]
    return object_text([*pairs, ("messages", array_text(texts))]), dropped


class _Marks:
    """The marks of the prompt cache in the order of their blocks."""

    def __init__(self) -> None:
        self._marked: list[Pairs] = []

    def see(self, pairs: Pairs) -> None:
        """Remember a block that may be marked."""
        if any(key == _MARK for key, _ in pairs):
            self._marked.append(pairs)

    def choose(self) -> list[str]:
        """Take marks away until the provider takes the rest: the last four, and none for long after one for short."""
        dropped: list[str] = []
        kept: list[Pairs] = []
        short = False
        for pairs in self._marked[-MOST_CACHE_MARKS:]:
            long = any(key == _MARK and _LONG in value for key, value in pairs)
            if not (long and short):
                kept.append(pairs)
                short = short or not long
        for pairs in self._marked:
            if not any(pairs is one for one in kept):
                pairs[:] = [pair for pair in pairs if pair[0] != _MARK]
                dropped.append("a mark of the prompt cache, of which there are too many or one out of order")
        return dropped


def _content(blocks: Sequence[Pairs]) -> str:
    """Return a string where there is nothing but one plain text, else an array."""
    match blocks:
        case [[("type", '"text"'), ("text", text)]]:
            return text
        case _:
            return array_text(map(object_text, blocks))


def _blocks(entry: Entry, marks: _Marks) -> list[Pairs]:
    return [_block(part, marks) for part in (*entry.results, *entry.parts, *entry.calls)]


def _block(part: Part, marks: _Marks) -> Pairs:
    pairs = extra_pairs(part.json) if isinstance(part, Unknown) else [*_pairs(part), *extra_pairs(part.extra_json)]
    marks.see(pairs)
    return pairs


def _pairs(part: Part) -> Pairs:
    match part:
        case Text(text):
            return [("type", '"text"'), ("text", string(text))]
        case Reasoning(redacted_data=str(data)):
            return [("type", '"redacted_thinking"'), ("data", string(data))]
        case Reasoning(text, signature):
            return [("type", '"thinking"'), ("thinking", string(text)), ("signature", string(signature or ""))]
        case ToolCall():
            return [
                ("type", '"tool_use"'),
                ("id", string(part.id)),
                ("name", string(part.name)),
                ("input", part.arguments),
            ]
        case ToolResult():
            return _result(part)
        case Image(source=source):
            return [("type", '"image"'), ("source", object_text(_source(source)))]
        case File(source=source, filename=name):
            titled = [("title", string(name))] if name else []
            return [("type", '"document"'), ("source", object_text(_source(source))), *titled]
        case _:
            raise TypeError(f"{type(part).__name__} was to be left out")


def _result(result: ToolResult) -> Pairs:
    pairs = [("type", '"tool_result"'), ("tool_use_id", string(result.tool_call_id))]
    if result.parts:
        pairs.append(("content", _content([_block(part, _Marks()) for part in result.parts])))
    if result.is_error is not None:
        pairs.append(("is_error", "true" if result.is_error else "false"))
    return pairs


def _source(source: Media) -> Pairs:
    if source.file_id is not None:
        return [("type", '"file"'), ("file_id", string(source.file_id))]
    if source.data is None:
        return [("type", '"url"'), ("url", string(source.url or ""))]
    if source.media_type == "text/plain":
        return [("type", '"text"'), ("media_type", '"text/plain"'), ("data", string(source.data.decode()))]
    return [("type", '"base64"'), ("media_type", string(source.media_type)), ("data", string(text_of(source.data)))]
