"""Which format a line is in, told by what only one of them has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from kata_grpc.formats.errors import ConversionError, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kata_grpc.formats.rawjson import Tree

OPENAI_ROLES = {"tool", "function", "developer"}
OPENAI_KEYS = {"tool_calls", "tool_call_id", "function_call", "refusal", "reasoning_content"}
OPENAI_BLOCKS = {"image_url", "input_audio", "refusal", "file"}
ANTHROPIC_BLOCKS = {
    "document",
    "image",
    "mcp_tool_result",
    "mcp_tool_use",
    "redacted_thinking",
    "search_result",
    "server_tool_use",
    "thinking",
    "tool_result",
    "tool_use",
    "web_search_tool_result",
}


def detect(line: Tree) -> Literal["openai", "anthropic"] | None:
    """Return the format of a line, or None if nothing tells, as both then spell it alike.

    Raises ConversionError if the line has marks of both.
    """
    marks: dict[Literal["openai", "anthropic"], str] = {}
    for format_, path in _marks(line):
        marks.setdefault(format_, path)
    if len(marks) > 1:
        reason = (
            f"marks of two formats, openai ({marks['openai']}) and anthropic ({marks['anthropic']}): name the format"
        )
        raise ConversionError((Violation("", reason),))
    return next(iter(marks), None) or ("openai" if _has_system_role(line) else None)


def _has_system_role(line: Tree) -> bool:
    messages = line.get("messages") if isinstance(line, dict) else None
    return isinstance(messages, list) and any(isinstance(m, dict) and m.get("role") == "system" for m in messages)


def _marks(line: Tree) -> Iterator[tuple[Literal["openai", "anthropic"], str]]:
    """Yield what tells a format, with its path."""
    if not isinstance(line, dict):
        return
    if "system" in line:
        yield "anthropic", "system"
    messages = line.get("messages")
    for index, message in enumerate(messages if isinstance(messages, list) else []):
        if not isinstance(message, dict):
            continue
        path = f"messages[{index}]"
        role, content = message.get("role"), message.get("content")
        if isinstance(role, str) and role in OPENAI_ROLES:
            yield "openai", f"{path}.role"
        for key in OPENAI_KEYS & message.keys():
            yield "openai", f"{path}.{key}"
        for number, block in enumerate(content if isinstance(content, list) else []):
            kind = block.get("type") if isinstance(block, dict) else None
            if isinstance(kind, str) and kind in OPENAI_BLOCKS:
                yield "openai", f"{path}.content[{number}].type"
            elif isinstance(kind, str) and kind in ANTHROPIC_BLOCKS:
                yield "anthropic", f"{path}.content[{number}].type"
