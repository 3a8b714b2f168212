"""Single parts under the rules of a dialect: passed on, or replaced by text that names what has no place.

Decides about one part at a time; what depends on a whole turn is decided in `preparing`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kata_grpc.dialects.arranging import Adjustment, What
from kata_grpc.dialects.content import can_send, media_type, own_members, stand_in
from kata_grpc.dialects.rules import Place
from kata_grpc.domain.messages import File, Image, Media, Part, Reasoning, Refusal, Text, ToolCall, ToolResult, Unknown
from kata_grpc.formats.rawjson import Node, Tree, object_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kata_grpc.dialects.rules import Rules

_MARK = '"cache_control"'
_SERVER_TOOL_ID = "srvtoolu_"
_RESULT_SUFFIX = "_tool_result"
_DOCUMENT_SOURCES = ({"type": "text", "media_type": "text/plain"}, {"type": "content"})


@dataclass(slots=True)
class Parts:
    """The rules for parts, and the report."""

    rules: Rules
    adjustments: list[Adjustment] = field(default_factory=list)

    def note(self, version: int, what: What, why: str) -> None:
        """Report a difference."""
        self.adjustments.append(Adjustment(version, what, why))

    def fit(self, parts: Iterable[Part], place: Place, version: int, *, reasoning: bool = False) -> list[Part]:
        """Return the parts as they can stand in `place`; reasoning as it is, where it may stay."""
        parts = list(parts)
        paired = _paired(parts)
        fitted: list[Part] = []
        for part in parts:
            if isinstance(part, Reasoning):
                if reasoning:
                    fitted.append(replace(part, extra_json=""))
                continue
            if isinstance(part, ToolCall | ToolResult):
                self.note(version, What.DROPPED, f"a {type(part).__name__} has no place in the {place}'s content")
                continue
            one = self._fit(part, place, version, paired)
            blank = isinstance(one, Text) and not one.text.strip()
            refused = self.rules.refuses_blank_results if place is Place.RESULT else self.rules.refuses_blank_text
            if blank and refused:
                self.note(version, What.DROPPED, "blank text")
            else:
                fitted.append(one)
        return fitted

    def _fit(self, part: Part, place: Place, version: int, paired: frozenset[str]) -> Part:
        nested = place is Place.RESULT
        match part:
            case Text():
                return replace(part, extra_json=self.extras("text", part.extra_json, version, nested=nested))
            case Image(source=source) if can_send(part, place, self.rules.images):
                source = replace(source, media_type=media_type(source))
                return Image(source, part.detail, self.extras("image", part.extra_json, version, nested=nested))
            case File(source=source) if can_send(part, place, self.rules.files) and self._readable(source):
                source = replace(source, media_type=media_type(source))
                return File(source, part.filename, self.extras("file", part.extra_json, version, nested=nested))
            case Refusal(text) if self.rules.refusals and place is Place.ASSISTANT:
                return Refusal(text)
            case Unknown() if self._is_own(part, place, paired):
                return part
            case Refusal():
                self.note(version, What.CHANGED, "a refusal stands as text")
            case _:
                kind = part.type or "unknown" if isinstance(part, Unknown) else type(part).__name__.lower()
                self.note(version, What.PLACEHOLDER, f"{kind} has no place in the {place}'s content")
        return Text(stand_in(part))

    def _readable(self, source: Media) -> bool:
        """Return whether text that is sent as text is UTF-8 and more than white space."""
        if source.data is None or not self.rules.refuses_blank_results or media_type(source) != "text/plain":
            return True
        try:
            return bool(source.data.decode().strip())
        except UnicodeDecodeError:
            return False

    def _is_own(self, part: Unknown, place: Place, paired: frozenset[str]) -> bool:
        """Return whether a part that is not modelled is one of this provider's own, complete and in its place."""
        rule = self.rules.pass_through.get(part.type)
        if rule is None or place not in rule[0]:
            return False
        value = _value(part)
        if value is None or value.get("type") != part.type or not rule[1] <= value.keys():
            return False
        if part.json.count(_MARK) > (place is not Place.RESULT and _MARK[1:-1] in value and _marks_well(part)):
            return False
        match part.type:
            case "server_tool_use":
                return value["id"] in paired
            case "document":
                source = value["source"]
                return isinstance(source, dict) and any(known.items() <= source.items() for known in _DOCUMENT_SOURCES)
            case kind if kind.endswith(_RESULT_SUFFIX):
                return value["tool_use_id"] in paired
            case _:
                return True

    def extras(self, kind: str, text: str, version: int, *, nested: bool = False) -> str:
        """Return of further keys those that are fields of the provider, "" if there are none; within results none."""
        if not text:
            return ""
        allowed = frozenset() if nested else self.rules.extras.get(kind, frozenset())
        members = own_members(text)
        kept = [(key, node.text) for key, node in members.items() if key in allowed and _in_form(key, node)]
        if dropped := sorted(members.keys() - {key for key, _ in kept}):
            self.note(version, What.DROPPED, f"further keys of a {kind}: {', '.join(dropped)}")
        return object_text(kept) if kept else ""


def _marks_well(part: Unknown) -> bool:
    """Return whether the mark of the prompt cache on a part has its form."""
    return _in_form(_MARK[1:-1], own_members(part.json)[_MARK[1:-1]])


def _in_form(key: str, node: Node) -> bool:
    """Return whether the value of a provider's field is one that it takes."""
    match key, node.value:
        case "cache_control", {"type": "ephemeral", **rest}:
            return not rest or (rest.keys() == {"ttl"} and rest["ttl"] in {"5m", "1h"})
        case "prompt_cache_breakpoint", {"mode": "explicit", **rest}:
            return not rest or (rest.keys() == {"ttl"} and rest["ttl"] in {"30m", "12h"})
        case "citations", {"enabled": bool(), **rest}:
            return not rest
        case "context", str(text):
            return bool(text.strip())
        case _:
            return False


def _paired(parts: Iterable[Part]) -> frozenset[str]:
    """Return the ids of the server's own tool calls that are followed by their one result."""
    called: list[str] = []
    answered: list[str] = []
    for part in parts:
        value = _value(part) if isinstance(part, Unknown) else None
        if value is None or not isinstance(part, Unknown):
            continue
        if part.type == "server_tool_use" and isinstance(use := value.get("id"), str):
            called.append(use)
        elif part.type.endswith(_RESULT_SUFFIX) and isinstance(use := value.get("tool_use_id"), str) and use in called:
            answered.append(use)
    return frozenset(
        use
        for use in answered
        if called.count(use) == answered.count(use) == 1
        and use.startswith(_SERVER_TOOL_ID)
        and use.replace("_", "").isalnum()
        and use.isascii()
    )


def _value(part: Unknown) -> dict[str, Tree] | None:
    """Return the object that a part which is not modelled holds; None where it holds none."""
    members = own_members(part.json)
    return {key: node.value for key, node in members.items()} or None
