"""What Anthropic Messages takes as `system` and `messages`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from kata.context.checking.findings import Findings

_ID = r"[A-Za-z0-9_-]+"
_TOOL = r"[A-Za-z0-9_-]{1,128}"
_IMAGES = {"image/png", "image/jpeg", "image/gif", "image/webp"}
_IN_RESULTS = {"text", "image", "document", "search_result"}
_OF_USERS = _IN_RESULTS | {"tool_result", "container_upload"}
_SERVER_RESULTS = {
    f"{tool}_tool_result"
    for tool in ("web_search", "web_fetch", "code_execution", "bash_code_execution", "text_editor_code_execution")
} | {"tool_search_tool_result"}
_OF_ASSISTANTS = {"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"} | _SERVER_RESULTS
_REASONING = {"thinking", "redacted_thinking"}
_KEYS: dict[str, tuple[set[str], set[str]]] = {
    "text": ({"text"}, {"cache_control"}),
    "image": ({"source"}, {"cache_control"}),
    "document": ({"source"}, {"cache_control", "title", "context", "citations"}),
    "search_result": ({"source", "title", "content"}, {"cache_control", "citations"}),
    "container_upload": ({"file_id"}, {"cache_control"}),
    "tool_result": ({"tool_use_id"}, {"content", "is_error", "cache_control"}),
    "tool_use": ({"id", "name", "input"}, {"cache_control"}),
    "thinking": ({"thinking", "signature"}, set()),
    "redacted_thinking": ({"data"}, set()),
    "server_tool_use": ({"id", "name", "input"}, {"cache_control", "caller"}),
    **{kind: ({"tool_use_id", "content"}, {"cache_control", "caller"}) for kind in _SERVER_RESULTS},
}


def check_anthropic(value: Any, findings: Findings) -> None:
    """Check the object."""
    _Checking(findings).whole(value)


class _Checking:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._ids: set[str] = set()
        self._marks: list[tuple[str, bool]] = []

    def whole(self, value: Any) -> None:
        findings = self._findings
        members = findings.members(value, "", {"messages"}, {"system"})
        if "system" in members:
            self._content(members["system"], "system", {"text"})
        before, waiting = "", list[str]()
        messages = list(findings.items(members.get("messages"), "messages", empty=True))
        for path, message in messages:
            inner = findings.members(message, path, {"role", "content"})
            role = inner.get("role")
            findings.one_of(role, f"{path}.role", {"user", "assistant"})
            findings.require(bool(before) or role == "user", path, "the first message must be the user's")
            findings.require(role != before, path, "roles must alternate")
            before = str(role)
            last = path == messages[-1][0]
            if role == "user":
                blocks = self._content(inner.get("content"), f"{path}.content", _OF_USERS)
                self._results(blocks, f"{path}.content", waiting, last=last)
                waiting = []
            else:
                blocks = self._content(inner.get("content"), f"{path}.content", _OF_ASSISTANTS)
                waiting = self._calls(blocks, f"{path}.content")
                self._server_tools(blocks, f"{path}.content")
                self._ending(inner.get("content"), f"{path}.content", last=last)
        self._check_marks()

    def _content(self, value: Any, path: str, kinds: Collection[str]) -> list[dict[str, Any]]:
        """Check content; return its blocks, none where it is a string."""
        if isinstance(value, str):
            self._findings.text(value, path, blank=False)
            return []
        return [block for at, block in self._findings.items(value, path, empty=False) if self._block(block, at, kinds)]

    def _block(self, block: Any, path: str, kinds: Collection[str]) -> bool:
        findings = self._findings
        kind = block.get("type") if isinstance(block, dict) else None
        if not isinstance(kind, str) or kind not in kinds:
            findings.add(path, f"must be a block of type {', '.join(sorted(kinds))}")
            return False
        required, optional = _KEYS[kind]
        members = findings.members(block, path, {"type", *required}, optional)
        if "cache_control" in members:
            self._mark(members["cache_control"], f"{path}.cache_control")
        match kind:
            case "text":
                findings.text(members.get("text"), f"{path}.text", blank=False)
            case "image":
                self._source(members.get("source"), f"{path}.source", image=True)
            case "document":
                self._source(members.get("source"), f"{path}.source", image=False)
            case "thinking":
                findings.text(members.get("thinking"), f"{path}.thinking")
                findings.text(members.get("signature"), f"{path}.signature", empty=False)
            case "redacted_thinking":
                findings.text(members.get("data"), f"{path}.data", empty=False)
            case "tool_use":
                findings.matching(members.get("name"), f"{path}.name", _TOOL)
                findings.require(isinstance(members.get("input"), dict), f"{path}.input", "must be an object")
            case "tool_result":
                self._result(members, path)
            case _:
                pass
        return True

    def _result(self, members: dict[str, Any], path: str) -> None:
        findings = self._findings
        if "is_error" in members:
            findings.require(isinstance(members["is_error"], bool), f"{path}.is_error", "must be true or false")
        if members.get("is_error") is True:
            findings.require("content" in members, path, "an error must have content")
        if "content" in members:
            self._content(members["content"], f"{path}.content", _IN_RESULTS)

    def _source(self, value: Any, path: str, *, image: bool) -> None:
        findings = self._findings
        kind = value.get("type") if isinstance(value, dict) else None
        match kind:
            case "base64":
                members = findings.members(value, path, {"type", "media_type", "data"})
                types = _IMAGES if image else {"application/pdf"}
                findings.one_of(members.get("media_type"), f"{path}.media_type", types)
                findings.matching(members.get("data"), f"{path}.data", r"[A-Za-z0-9+/]+={0,2}")
            case "url":
                members = findings.members(value, path, {"type", "url"})
                findings.matching(members.get("url"), f"{path}.url", r"https://\S+")
            case "file":
                members = findings.members(value, path, {"type", "file_id"})
                findings.matching(members.get("file_id"), f"{path}.file_id", r"file_\S+")
            case "text" if not image:
                members = findings.members(value, path, {"type", "media_type", "data"})
                findings.one_of(members.get("media_type"), f"{path}.media_type", {"text/plain"})
                findings.text(members.get("data"), f"{path}.data")
            case "content" if not image:
                findings.members(value, path, {"type", "content"})
            case _:
                findings.add(path, "must be a source of a known type")

    def _calls(self, blocks: list[dict[str, Any]], path: str) -> list[str]:
        """Return the ids of a message's calls, which are its last blocks."""
        calls: list[str] = []
        for block in blocks:
            if block["type"] == "tool_use":
                call_id = self._findings.matching(block.get("id"), f"{path}.id", _ID)
                self._findings.require(call_id not in self._ids, path, f"the id {call_id!r} must be unique")
                self._ids.add(call_id)
                calls.append(call_id)
            else:
                self._findings.require(not calls, path, "nothing may stand between calls and their results")
        return calls

    def _results(self, blocks: list[dict[str, Any]], path: str, waiting: list[str], *, last: bool) -> None:
        """Check that the results come first, answer the calls right before them, and are in call order."""
        ids = [block.get("tool_use_id") for block in blocks if block["type"] == "tool_result"]
        first = [block["type"] == "tool_result" for block in blocks]
        findings = self._findings
        findings.require(first == sorted(first, reverse=True), path, "results must come first")
        findings.require(
            ids == [call for call in waiting if call in ids], path, "results must answer the calls before, in order"
        )
        partial = last and all(first) and bool(first)
        missing = [call for call in waiting if call not in ids]
        findings.require(not missing or partial, path, f"calls without results: {', '.join(missing)}")

    def _server_tools(self, blocks: list[dict[str, Any]], path: str) -> None:
        open_ids: list[Any] = []
        for block in blocks:
            if block["type"] == "server_tool_use":
                self._findings.matching(block.get("id"), f"{path}.id", r"srvtoolu_[A-Za-z0-9_]+")
                open_ids.append(block.get("id"))
            elif block["type"] in _SERVER_RESULTS:
                use = block.get("tool_use_id")
                if self._findings.require(use in open_ids, path, "the server's result must follow its call"):
                    open_ids.remove(use)
        self._findings.require(not open_ids, path, "the server's call must be followed by its result")

    def _ending(self, content: Any, path: str, *, last: bool) -> None:
        """Check how an assistant's message ends."""
        final = content[-1] if isinstance(content, list) and content else content
        if isinstance(final, dict):
            self._findings.require(str(final.get("type")) not in _REASONING, path, "must not end with reasoning")
            final = final.get("text")
        if last and isinstance(final, str):
            self._findings.require(final == final.rstrip(), path, "the last message must not end with white space")

    def _mark(self, value: Any, path: str) -> None:
        members = self._findings.members(value, path, {"type"}, {"ttl"})
        self._findings.one_of(members.get("type"), f"{path}.type", {"ephemeral"})
        if "ttl" in members:
            self._findings.one_of(members["ttl"], f"{path}.ttl", {"5m", "1h"})
        self._marks.append((path, members.get("ttl") == "1h"))

    def _check_marks(self) -> None:
        self._findings.require(len(self._marks) <= 4, "", "at most 4 blocks may have cache_control")
        lengths = [long for _, long in self._marks]
        self._findings.require(
            lengths == sorted(lengths, reverse=True), "", "a cache mark of 1h must not follow one of 5m"
        )
