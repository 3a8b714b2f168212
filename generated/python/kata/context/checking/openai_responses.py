"""What OpenAI Responses takes as `instructions` and `input`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kata.context.checking.findings import join
from kata.context.checking.waiting import Waiting

if TYPE_CHECKING:
    from kata.context.checking.findings import Findings

_WORD = r"[A-Za-z0-9_-]{1,64}"
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_OUTPUTS = {"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call"}


def check_openai_responses(value: Any, findings: Findings) -> None:
    """Check the object."""
    members = findings.members(value, "", {"input"}, {"instructions"})
    if "instructions" in members:
        findings.text(members["instructions"], "instructions", blank=False)
    state = _Calls(findings)
    for path, item in findings.items(members.get("input"), "input", empty=True):
        kind = str(item.get("type", "message")) if isinstance(item, dict) else ""
        if kind in _CALLS:
            state.call(item, path, kind)
        elif kind in _OUTPUTS:
            state.output(item, path, kind)
        elif kind == "message":
            state.message(path)
            _message(item, path, findings)
        else:
            findings.add(path, "must be a message, a call or the output of one")


class _Calls:
    """Calls that stand together and their outputs, which follow in the same order."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._ids: set[str] = set()
        self._waiting: Waiting[tuple[str, str]] = Waiting()
        self._answering = False

    def call(self, item: Any, path: str, kind: str) -> None:
        payload = _CALLS[kind]
        members = self._findings.members(item, path, {"type", "call_id", "name", payload})
        call_id = self._findings.matching(members.get("call_id"), f"{path}.call_id", _WORD)
        self._findings.matching(members.get("name"), f"{path}.name", _WORD)
        self._findings.text(members.get(payload), join(path, payload))
        self._findings.require(call_id not in self._ids, f"{path}.call_id", "must be unique")
        if self._answering:
            self.message(path)
        self._ids.add(call_id)
        self._waiting.add((call_id, kind))

    def output(self, item: Any, path: str, kind: str) -> None:
        members = self._findings.members(item, path, {"type", "call_id", "output"})
        answers = self._waiting.answer((members.get("call_id"), _OUTPUTS[kind]))
        self._findings.require(answers, f"{path}.call_id", "must answer a call right before it, in call order")
        self._answering = True
        _content(members.get("output"), f"{path}.output", self._findings)

    def message(self, path: str) -> None:
        """Whatever follows calls, all of them are answered."""
        if left := self._waiting.close():
            self._findings.add(path, f"follows calls without outputs: {', '.join(str(call[0]) for call in left)}")
        self._answering = False


def _message(item: Any, path: str, findings: Findings) -> None:
    members = findings.members(item, path, {"role", "content"}, {"type"})
    findings.one_of(members.get("role"), f"{path}.role", {"user", "assistant", "system", "developer"})
    content = members.get("content")
    if members.get("role") == "assistant":
        findings.text(content, f"{path}.content")
    else:
        _content(content, f"{path}.content", findings)


def _content(value: Any, path: str, findings: Findings) -> None:
    """Check a string or an array of input blocks."""
    if isinstance(value, str):
        return
    for at, block in findings.items(value, path, empty=False):
        mark = {"prompt_cache_breakpoint"}
        match block.get("type") if isinstance(block, dict) else None:
            case "input_text":
                findings.text(findings.members(block, at, {"type", "text"}, mark).get("text"), f"{at}.text")
            case "input_image":
                members = findings.members(block, at, {"type", "detail"}, {"image_url", "file_id", *mark})
                findings.one_of(members.get("detail"), f"{at}.detail", {"auto", "low", "high", "original"})
                _one_source(members, {"image_url", "file_id"}, at, findings)
                if "image_url" in members:
                    findings.matching(members["image_url"], f"{at}.image_url", r"(https?://|data:image/)\S+")
            case "input_file":
                sources = {"file_data", "file_url", "file_id"}
                members = findings.members(block, at, {"type"}, {*sources, "filename", *mark})
                _one_source(members, sources, at, findings)
                if "file_data" in members:
                    findings.text(members.get("filename"), f"{at}.filename", empty=False)
            case _:
                findings.add(at, "must be a block of type input_text, input_image or input_file")


def _one_source(members: dict[str, Any], keys: set[str], path: str, findings: Findings) -> None:
    given = [key for key in keys if key in members]
    findings.require(len(given) == 1, path, f"must have one of {', '.join(sorted(keys))}")
    for key in given:
        findings.text(members[key], join(path, key), empty=False)
