"""What OpenAI Chat Completions takes as `messages`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kata.context.checking.findings import join
from kata.context.checking.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Collection

    from kata.context.checking.findings import Findings

_NAME = r"[A-Za-z0-9_-]{1,64}"
_KEYS = {
    "system": ({"role", "content"}, {"name"}),
    "developer": ({"role", "content"}, {"name"}),
    "user": ({"role", "content"}, {"name"}),
    "assistant": ({"role"}, {"content", "name", "refusal", "tool_calls"}),
    "tool": ({"role", "content", "tool_call_id"}, set()),
}
_BLOCKS = {
    "system": {"text"},
    "developer": {"text"},
    "user": {"text", "image_url", "file", "input_audio"},
    "assistant": {"text", "refusal"},
    "tool": {"text"},
}


def check_openai_chat(value: Any, findings: Findings) -> None:
    """Check the array of messages."""
    waiting: Waiting[str] = Waiting()
    for path, message in findings.items(value, "messages", empty=True):
        role = message.get("role") if isinstance(message, dict) else None
        if not isinstance(role, str) or role not in _KEYS:
            findings.add(path, f"must be a message with a role of {', '.join(_KEYS)}")
            continue
        members = findings.members(message, path, *_KEYS[role])
        if "name" in members:
            findings.matching(members["name"], f"{path}.name", _NAME)
        if role == "tool":
            answers = waiting.answer(members.get("tool_call_id"))
            findings.require(answers, f"{path}.tool_call_id", "must answer a call right before it, in call order")
        elif left := waiting.close():
            findings.add(path, f"follows calls without results: {', '.join(left)}")
        if role == "assistant":
            _assistant(members, path, waiting, findings)
        else:
            _content(members.get("content"), f"{path}.content", role, findings)


def _assistant(members: dict[str, Any], path: str, waiting: Waiting[str], findings: Findings) -> None:
    content = members.get("content")
    calls = members.get("tool_calls")
    if content is None:
        findings.require(calls is not None, path, "must have content or tool_calls")
    else:
        _content(content, f"{path}.content", "assistant", findings)
    if members.get("refusal") is not None:
        findings.text(members["refusal"], f"{path}.refusal")
    if calls is None:
        return
    for at, call in findings.items(calls, f"{path}.tool_calls", empty=False):
        kind = call.get("type") if isinstance(call, dict) else None
        findings.one_of(kind, f"{at}.type", {"function", "custom"})
        container, payload = ("custom", "input") if kind == "custom" else ("function", "arguments")
        outer = findings.members(call, at, {"id", "type", container})
        inner = findings.members(outer.get(container), join(at, container), {"name", payload})
        findings.matching(inner.get("name"), f"{at}.{container}.name", _NAME)
        findings.text(inner.get(payload), f"{at}.{container}.{payload}")
        call_id = findings.text(outer.get("id"), f"{at}.id", empty=False)
        findings.require(len(call_id) <= 40, f"{at}.id", "must have at most 40 characters")
        findings.require(call_id not in waiting, f"{at}.id", "must be unique in its message")
        waiting.add(call_id)


def _content(value: Any, path: str, role: str, findings: Findings) -> None:
    if isinstance(value, str):
        return
    blocks = [_block(block, at, _BLOCKS[role], findings) for at, block in findings.items(value, path, empty=False)]
    if "refusal" in blocks:
        findings.require(len(blocks) == 1, path, "must be texts or exactly one refusal")


def _block(block: Any, path: str, kinds: Collection[str], findings: Findings) -> str:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(kind, str) or kind not in kinds:
        findings.add(path, f"must be a block of type {', '.join(sorted(kinds))}")
        return ""
    optional = set() if kind in {"refusal", "input_audio"} else {"prompt_cache_breakpoint"}
    members = findings.members(block, path, {"type", kind}, optional)
    inner = members.get(kind)
    match kind:
        case "text" | "refusal":
            findings.text(inner, f"{path}.{kind}")
        case "image_url":
            image = findings.members(inner, f"{path}.image_url", {"url"}, {"detail"})
            findings.matching(image.get("url"), f"{path}.image_url.url", r"(https?://|data:image/)\S+")
            if "detail" in image:
                findings.one_of(image["detail"], f"{path}.image_url.detail", {"auto", "low", "high", "original"})
        case "file":
            _file(inner, f"{path}.file", findings)
        case _:
            findings.require(isinstance(inner, dict), f"{path}.{kind}", "must be an object")
    return kind


def _file(value: Any, path: str, findings: Findings) -> None:
    members = findings.members(value, path, (), {"file_data", "file_id", "filename"})
    findings.require(("file_data" in members) != ("file_id" in members), path, "must have file_data or file_id")
    for key in members:
        findings.text(members[key], join(path, key), empty=False)
    if "file_data" in members:
        findings.require("filename" in members, path, "must have a filename beside file_data")
