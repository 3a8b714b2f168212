"""From Anthropic Messages to the content model.

Content blocks become parts one by one, in their order; a block that is not modelled, or would not convert back equal,
stays an Unknown part. `system` becomes a leading system message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc.domain.messages import (
    ContentForm,
    File,
    Image,
    Media,
    Message,
    Part,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from kata_grpc.formats.anthropic.writing import write_part
from kata_grpc.formats.media import bytes_of
from kata_grpc.formats.reading import Content, Members, read_block, read_content

if TYPE_CHECKING:
    from collections.abc import Callable

    from kata_grpc.formats.errors import Violation
    from kata_grpc.formats.rawjson import Node

ROLES = {role.value: role for role in (Role.USER, Role.ASSISTANT, Role.SYSTEM)}


def read_system(members: Members) -> Message | None:
    """Take the system prompt out of a line, as the message that leads its conversation."""
    if members.peek("system") is None:
        return None
    return _message(Role.SYSTEM, read_content(members, "system", _block_reader(Role.SYSTEM)))


def read_message(node: Node, path: str, problems: list[Violation]) -> Message | None:
    """Return the message, or None after noting what is wrong with it."""
    before = len(problems)
    members = Members(node, path, problems)
    if len(problems) > before:
        return None
    spelled = members.text("role")
    if len(problems) == before and spelled not in ROLES:
        members.problem("role", f"{spelled!r} is not a role of Anthropic Messages")
    role = ROLES.get(spelled, Role.USER)
    content = read_content(members, "content", _block_reader(role))
    if len(problems) > before:
        return None
    model = members.optional_text("model")
    return _message(role, content, model, members.extra_json())


def _message(role: Role, content: Content, model: str = "", extra_json: str = "") -> Message:
    told = content.text is not None or content.parts
    form = ContentForm.DERIVED if told else content.form
    return Message(role, content.text, content.parts, model=model, form=form, extra_json=extra_json)


def _block_reader(role: Role | None) -> Callable[[Node], Part]:
    """Return the reader of the blocks of a role's messages, or of a tool result's (None)."""

    def model(block: Members, kind: str) -> Part | None:
        match kind, role:
            case "text", _:
                return Text(block.text("text"), block.extra_json())
            case "image", _:
                source = _read_source(block)
                return None if source is None else Image(source, "", block.extra_json())
            case "document", _:
                source = _read_source(block)
                title = block.optional_text("title")
                return None if source is None else File(source, title, block.extra_json())
            case "thinking", Role.ASSISTANT:
                signature = block.text("signature") if block.peek("signature") else None
                return Reasoning(block.text("thinking"), signature, None, block.extra_json())
            case "redacted_thinking", Role.ASSISTANT:
                return Reasoning("", None, block.text("data"), block.extra_json())
            case "tool_use", Role.ASSISTANT:
                call_id, name, arguments = block.text("id", empty=False), block.text("name"), block.take("input")
                return None if arguments is None else ToolCall(call_id, name, arguments.text, "", block.extra_json())
            case "tool_result", Role.USER:
                return _read_result(block)
            case _:
                return None

    return lambda node: read_block(node, model, write_part)


def _read_result(block: Members) -> ToolResult:
    content = read_content(block, "content", _block_reader(None))
    told = content.text is not None or content.parts
    return ToolResult(
        block.text("tool_use_id", empty=False),
        content.text,
        content.parts,
        block.flag("is_error"),
        ContentForm.DERIVED if told else content.form,
        extra_json=block.extra_json(),
    )


def _read_source(block: Members) -> Media | None:
    """Take out where an image or document is, or return None for a kind of source that is not modelled."""
    source = block.inner("source")
    match source.optional_text("type"):
        case "base64":
            media_type, data = source.text("media_type"), bytes_of(source.text("data"))
            media = None if data is None else Media(data=data, media_type=media_type)
        case "url":
            media = Media(url=source.text("url"))
        case "file":
            media = Media(file_id=source.text("file_id"))
        case _:
            media = None
    block.keep_inner("source", source)
    return media
