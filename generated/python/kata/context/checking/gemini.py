"""What Gemini takes as `system_instruction` and `contents`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kata.context.checking.findings import Findings

_NAME = r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}"
_ID = r"[A-Za-z0-9_-]{1,64}"
_MIME = r"[a-z]+/[A-Za-z0-9.+_-]+"


def check_gemini(value: Any, findings: Findings) -> None:
    """Check the object."""
    members = findings.members(value, "", {"contents"}, {"system_instruction"})
    if "system_instruction" in members:
        system = findings.members(members["system_instruction"], "system_instruction", {"parts"})
        for path, part in findings.items(system.get("parts"), "system_instruction.parts", empty=False):
            inner = findings.members(part, path, {"text"})
            findings.text(inner.get("text"), f"{path}.text", blank=False)
    ids: set[str] = set()
    before, waiting = "", list[tuple[str, str]]()
    contents = list(findings.items(members.get("contents"), "contents", empty=True))
    for path, content in contents:
        inner = findings.members(content, path, {"role", "parts"})
        role = inner.get("role")
        findings.one_of(role, f"{path}.role", {"user", "model"})
        kinds = [
            _part(part, at, str(role), findings)
            for at, part in findings.items(inner.get("parts"), f"{path}.parts", empty=False)
        ]
        now = "results" if "function_response" in kinds else str(role)
        findings.require(bool(before) or now == "user", path, "the first content must be the user's")
        findings.require(before != now, path, "roles must alternate")
        findings.require(now != "results" or set(kinds) == {"function_response"}, path, "responses must stand alone")
        last = path == contents[-1][0]
        if waiting or now == "results":
            _answer(inner["parts"] if now == "results" else [], path, waiting, findings, last=last)
        waiting = _calls(inner.get("parts"), f"{path}.parts", ids, findings)
        before = now


def _part(part: Any, path: str, role: str, findings: Findings) -> str:
    kinds = {"text", "function_call"} if role == "model" else {"text", "function_response", "inline_data", "file_data"}
    if not isinstance(part, dict) or len(part) != 1 or not part.keys() <= kinds:
        findings.add(path, f"must have one of {', '.join(sorted(kinds))}")
        return ""
    kind, value = str(*part), next(iter(part.values()))
    at = f"{path}.{kind}"
    match kind:
        case "text":
            findings.text(value, at, blank=False)
        case "inline_data":
            members = findings.members(value, at, {"mime_type", "data"})
            findings.matching(members.get("mime_type"), f"{at}.mime_type", _MIME)
            findings.matching(members.get("data"), f"{at}.data", r"[A-Za-z0-9+/]+={0,2}")
        case "file_data":
            members = findings.members(value, at, {"mime_type", "file_uri"})
            findings.matching(members.get("mime_type"), f"{at}.mime_type", _MIME)
            findings.matching(members.get("file_uri"), f"{at}.file_uri", r"(https|gs)://\S+")
        case "function_call":
            members = findings.members(value, at, {"id", "name", "args"})
            findings.require(isinstance(members.get("args"), dict), f"{at}.args", "must be an object")
            _named(members, at, findings)
        case _:
            members = findings.members(value, at, {"id", "name", "response"})
            findings.require(isinstance(members.get("response"), dict), f"{at}.response", "must be an object")
            _named(members, at, findings)
    return kind


def _named(members: dict[str, Any], path: str, findings: Findings) -> None:
    findings.matching(members.get("name"), f"{path}.name", _NAME)
    findings.matching(members.get("id"), f"{path}.id", _ID)


def _calls(parts: Any, path: str, ids: set[str], findings: Findings) -> list[tuple[str, str]]:
    """Return the ids and names of the calls of a content, which are its last parts."""
    calls: list[tuple[str, str]] = []
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, dict) and isinstance(call := part.get("function_call"), dict):
            call_id = str(call.get("id"))
            findings.require(call_id not in ids, path, f"the id {call_id!r} must be unique")
            ids.add(call_id)
            calls.append((call_id, str(call.get("name"))))
        else:
            findings.require(not calls, path, "nothing may follow calls but their responses")
    return calls


def _answer(parts: Any, path: str, waiting: list[tuple[str, str]], findings: Findings, *, last: bool) -> None:
    """Check that there is one response a call, in call order; of the last calls some may be missing."""
    given = [part.get("function_response") for part in parts if isinstance(part, dict)]
    found = [(answer.get("id"), answer.get("name")) for answer in given if isinstance(answer, dict)]
    findings.require(
        found == [call for call in waiting if call in found], path, "responses must answer the calls before, in order"
    )
    missing = [name for call_id, name in waiting if (call_id, name) not in found]
    findings.require(not missing or (last and bool(found)), path, f"calls without responses: {', '.join(missing)}")
