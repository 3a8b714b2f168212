"""From OpenAI Chat messages to the content model.

What a message's parts are, in this order: reasoning, content, refusal, calls. Anything else of a message stays in its
`extra_json`. Whether the result converts back equal is checked by the caller for messages, here for content blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
)
from kata_grpc.formats.media import media_of_url
from kata_grpc.formats.openai.writing import write_part
from kata_grpc.formats.rawjson import Node, member_path
from kata_grpc.formats.reading import Content, Members, read_block, read_content

if TYPE_CHECKING:
    from kata_grpc.formats.errors import Violation

SPEAKERS = {role.value: role for role in (Role.USER, Role.ASSISTANT, Role.SYSTEM, Role.DEVELOPER)}


def read_message(node: Node, path: str, problems: list[Violation]) -> Message | None:
    """Return the message, or None after noting what is wrong with it."""
    match node.value:
        case {"role": str(role), "content": str(text), **rest} if role in SPEAKERS and not rest:
            return Message(SPEAKERS[role], text)
    before = len(problems)
    members = Members(node, path, problems)
    if len(problems) > before:
        return None
    role = members.text("role")
    if len(problems) > before:
        return None
    match role:
        case "tool" | "function":
            message = _read_result(members, legacy=role == "function")
        case _ if role in SPEAKERS:
            message = _read_speech(members, SPEAKERS[role])
        case _:
            members.problem("role", f"{role!r} is not a role of OpenAI Chat")
            return None
    return None if len(problems) > before else message


def _read_result(members: Members, *, legacy: bool) -> Message:
    content = read_content(members, "content", _read_content_block)
    call_id = "" if legacy else members.text("tool_call_id", empty=False)
    name = members.text("name", empty=False) if legacy else members.optional_text("name")
    by_form = content.text is not None or content.parts
    result = ToolResult(
        call_id,
        content.text,
        content.parts,
        members.flag("is_error"),
        ContentForm.DERIVED if by_form else content.form,
        name,
        LEGACY_CALL if legacy else "",
    )
    return Message(Role.TOOL, None, (result,), model=members.optional_text("model"), extra_json=members.extra_json())


def _read_speech(members: Members, role: Role) -> Message:
    content = read_content(members, "content", _read_content_block)
    before: list[Part] = []
    after: list[Part] = []
    if role is Role.ASSISTANT:
        reasoning = members.peek("reasoning_content")
        if reasoning is not None and isinstance(reasoning.value, str):
            before.append(Reasoning(members.text("reasoning_content")))
        refusal = members.peek("refusal")
        if refusal is not None and isinstance(refusal.value, str) and not _refusals_in_array(content):
            after.append(Refusal(members.text("refusal")))
        after += _read_calls(members)
    text, parts, form = _place(content, before, after)
    name = members.optional_text("name")
    model = members.optional_text("model")
    return Message(role, text, parts, name, model, form, extra_json=members.extra_json())


def _refusals_in_array(content: Content) -> bool:
    """Return whether a refusal would be read back as an item of the content array."""
    return content.form is ContentForm.ARRAY and (
        not content.parts or any(isinstance(part, Refusal) for part in content.parts)
    )


def _place(content: Content, before: list[Part], after: list[Part]) -> tuple[str | None, tuple[Part, ...], ContentForm]:
    """Return text, parts and form such that the form is given only where text and parts cannot tell it."""
    beside = bool(before or after)
    match content.form:
        case ContentForm.STRING if not beside:
            return content.text, (), ContentForm.DERIVED
        case ContentForm.STRING:
            return None, (*before, Text(content.text or ""), *after), ContentForm.STRING
        case ContentForm.NULL if beside:
            return None, (*before, *after), ContentForm.DERIVED
        case ContentForm.ARRAY if not _refusals_in_array(content):
            return None, (*before, *content.parts, *after), ContentForm.DERIVED
        case form:
            return None, (*before, *content.parts, *after), form


def _read_calls(members: Members) -> list[Part]:
    calls: list[Part] = []
    node = members.peek("tool_calls")
    if node is not None and node.value:
        members.take("tool_calls")
        if isinstance(node.value, list):
            path = member_path(members.path, "tool_calls")
            calls += [
                _read_call(Members(item, f"{path}[{index}]", members.problems))
                for index, item in enumerate(node.items())
            ]
        else:
            members.problem("tool_calls", "not an array")
    legacy = members.peek("function_call")
    if legacy is not None and legacy.value is not None:
        call = members.inner("function_call")
        name, arguments = call.text("name"), call.text("arguments")
        calls.append(ToolCall("", name, arguments, LEGACY_CALL, call.extra_json()))
    return calls


def _read_call(call: Members) -> ToolCall:
    call_id = call.text("id", empty=False)
    kind = call.text("type") if call.peek("type") else ""
    if kind not in {"", "function", "custom"}:
        call.problem("type", f"{kind!r} is neither function nor custom")
    container, payload = ("custom", "input") if kind == "custom" else ("function", "arguments")
    inner = call.inner(container)
    name, arguments = inner.text("name"), inner.text(payload)
    call.keep_inner(container, inner)
    return ToolCall(call_id, name, arguments, kind, call.extra_json())


def _read_content_block(node: Node) -> Part:
    return read_block(node, _model_block, write_part)


def _model_block(block: Members, kind: str) -> Part | None:
    match kind:
        case "text":
            return Text(block.text("text"), block.extra_json())
        case "refusal":
            return Refusal(block.text("refusal"), block.extra_json())
        case "image_url":
            image = block.inner("image_url")
            source = media_of_url(image.text("url"))
            detail = image.optional_text("detail")
            block.keep_inner("image_url", image)
            return Image(source, detail, block.extra_json())
        case "file":
            file = block.inner("file")
            data, file_id = file.optional_text("file_data"), file.peek("file_id")
            if not data and file_id is None:
                return None
            source = media_of_url(data) if data else Media(file_id=file.text("file_id"))
            filename = file.optional_text("filename")
            block.keep_inner("file", file)
            return File(source, filename, block.extra_json())
        case _:
            return None
