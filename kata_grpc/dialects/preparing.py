"""From turns to the messages of one dialect, still in the content model: all its rules applied, none of its spelling.

Every renderer starts from this. What is done to a message is reported.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kata_grpc.dialects.arranging import Adjustment, Arranged, Exchange, Turn, What
from kata_grpc.dialects.content import object_of, wrapped
from kata_grpc.dialects.naming import CallIds, legal_name
from kata_grpc.dialects.parts import Parts
from kata_grpc.dialects.rules import Place, SystemPlace
from kata_grpc.domain.messages import LEGACY_CALL, PINNED_ROLES, Part, Reasoning, Role, Text, ToolCall, ToolResult

if TYPE_CHECKING:
    from kata_grpc.dialects.rules import Rules

EMPTY_MESSAGE = "[empty message]"
"""What stands for a user's message of which nothing is left, where empty ones are refused."""
EMPTY_ERROR = "[no output]"
"""What stands for an error without text, where that is refused."""
OPENING = "[the conversation begins before this]"
"""What opens a conversation that would not begin with the user, where it must."""
_PROVIDERS_MODELS = ("claude", "anthropic")


@dataclass(frozen=True, slots=True)
class Entry:
    """A message of the dialect: of a role, or (TOOL) the results of the calls right before it.

    A user's message may hold results too, which then come first.
    """

    role: Role
    version: int
    parts: tuple[Part, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
    name: str = ""
    extra_json: str = ""

    @property
    def side(self) -> Role:
        """Who the provider takes the message for."""
        return Role.USER if self.role is Role.TOOL else self.role


@dataclass(frozen=True, slots=True)
class Prepared:
    """System text that stands apart, and the messages."""

    system: tuple[Text, ...]
    entries: tuple[Entry, ...]
    adjustments: tuple[Adjustment, ...]


def prepare(arranged: Arranged, rules: Rules) -> Prepared:
    """Return the messages of a dialect."""
    return _Preparing(rules).prepared(arranged)


class _Preparing:
    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._parts = Parts(rules)
        self._note = self._parts.note
        self._ids = CallIds(rules)
        self._system: list[Text] = []
        self._entries: list[Entry] = []

    def prepared(self, arranged: Arranged) -> Prepared:
        leading = True
        for place, turn in enumerate(arranged.turns):
            if turn.role in PINNED_ROLES:
                self._add_system(turn, first=place == 0, leading=leading)
            else:
                leading = False
                self._add_turn(turn)
        entries = self._merge(self._open(self._entries)) if self._rules.alternates else self._entries
        if self._rules.refuses_final_whitespace:
            entries = self._trim(entries)
        return Prepared(tuple(self._system), tuple(entries), tuple(self._parts.adjustments))

    # --- system text --------------------------------------------------------------------------------------------------

    def _add_system(self, turn: Turn, *, first: bool, leading: bool) -> None:
        rules, version = self._rules, turn.version
        self._keeps_reasoning(turn)
        texts = [part for part in self._parts.fit(turn.parts, Place.SYSTEM, version) if isinstance(part, Text)]
        apart = leading and (
            rules.system is SystemPlace.LEADING_APART or (first and rules.system is SystemPlace.FIRST_APART)
        )
        if apart:
            if turn.name:
                self._note(version, What.DROPPED, f"the name {turn.name!r} of a system message")
            if any(text.text.strip() for text in texts):
                self._system += texts
            else:
                self._note(version, What.DROPPED, "a system message without text")
        elif rules.system is not SystemPlace.LEADING_APART:
            name = self._speaker(turn)
            self._entries.append(Entry(turn.role, version, tuple(texts), name=name, extra_json=turn.extra_json))
        elif texts:
            self._note(version, What.CHANGED, f"a later {turn.role} message is labelled text of the user")
            label = turn.role.value
            inner = [replace(text, text=f"<{label}>\n{text.text}\n</{label}>") for text in texts]
            self._entries.append(Entry(Role.USER, version, tuple(inner)))
        else:
            self._note(version, What.DROPPED, "a system message without text")

    # --- what participants say ----------------------------------------------------------------------------------------

    def _add_turn(self, turn: Turn) -> None:
        version = turn.version
        assistant = turn.role is Role.ASSISTANT
        keeps = self._keeps_reasoning(turn)
        place = Place.ASSISTANT if assistant else Place.USER
        parts = self._parts.fit(turn.parts, place, version, reasoning=keeps)
        parts = self._without_final_reasoning(turn, parts)
        self._ids.begin_turn()
        exchanges = [self._exchange(exchange, nth, version) for nth, exchange in enumerate(turn.exchanges)]
        calls = tuple(call for call, _ in exchanges)
        if not parts and not calls and self._rules.refuses_blank_text:
            if assistant:
                self._note(version, What.DROPPED, "a message of which nothing is left")
                return
            self._note(version, What.PLACEHOLDER, "a message of which nothing is left")
            parts = [Text(EMPTY_MESSAGE)]
        name = self._speaker(turn)
        self._entries.append(Entry(turn.role, version, tuple(parts), calls, name=name, extra_json=turn.extra_json))
        results = tuple(result for _, result in exchanges if result is not None)
        if results:
            self._entries.append(Entry(Role.TOOL, version, results=results))

    def _drop_reasoning(self, turn: Turn, why: str) -> None:
        if any(isinstance(part, Reasoning) for part in turn.parts):
            self._note(turn.version, What.DROPPED, f"reasoning {why}")

    def _keeps_reasoning(self, turn: Turn) -> bool:
        """Return whether the reasoning of a turn stays: all of it, byte for byte, or none."""
        reasoning = [part for part in turn.parts if isinstance(part, Reasoning)]
        if not reasoning:
            return False
        if not self._rules.signed_reasoning:
            self._drop_reasoning(turn, "that is not sent to this provider")
        elif turn.role is not Role.ASSISTANT:
            self._drop_reasoning(turn, f"in a message of the {turn.role}")
        elif turn.model and not any(name in turn.model.lower() for name in _PROVIDERS_MODELS):
            self._drop_reasoning(turn, f"of {turn.model!r}, which is another provider's model")
        elif not all(bool(part.signature) != bool(part.redacted_data) for part in reasoning):
            self._drop_reasoning(turn, "without a signature")
        else:
            return True
        return False

    def _without_final_reasoning(self, turn: Turn, parts: list[Part]) -> list[Part]:
        """Leave out all reasoning of a turn that would end with some, which is refused."""
        if turn.exchanges or not parts or not isinstance(parts[-1], Reasoning):
            return parts
        self._drop_reasoning(turn, "that would end its message")
        return [part for part in parts if not isinstance(part, Reasoning)]

    # --- calls and results --------------------------------------------------------------------------------------------

    def _exchange(self, exchange: Exchange, place: int, version: int) -> tuple[ToolCall, ToolResult | None]:
        """Return a call and its result under the names that the dialect allows."""
        call = self._call(exchange.call, place, version)
        result = exchange.result
        if result is None:
            return call, None
        at = exchange.result_version
        parts = (Text(result.text),) if result.text is not None else result.parts
        fitted = self._parts.fit(parts, Place.RESULT, at)
        if result.is_error and not self._rules.error_field:
            fitted = self._marked(fitted, at)
        elif result.is_error and not fitted and self._rules.refuses_blank_results:
            self._note(at, What.PLACEHOLDER, "an error without text")
            fitted = [Text(EMPTY_ERROR)]
        extras = self._parts.extras("result", result.extra_json, at)
        return call, ToolResult(
            call.id, None, tuple(fitted), result.is_error, name=call.name, type=call.type, extra_json=extras
        )

    def _marked(self, parts: list[Part], version: int) -> list[Part]:
        """Say in the text of a result that it is an error, unless it says so itself."""
        first = parts[0] if parts else Text("")
        if isinstance(first, Text):
            if first.text.lstrip().lower().startswith("error"):
                return parts
            parts = [replace(first, text=f"Error: {first.text}" if first.text else "Error:"), *parts[1:]]
        else:
            parts = [Text("Error:"), *parts]
        self._note(version, What.CHANGED, "text says that the result is an error, as no field does")
        return parts

    def _call(self, call: ToolCall, place: int, version: int) -> ToolCall:
        rules = self._rules
        call_id = self._ids.give(call.id, version, place)
        if call.type == LEGACY_CALL:
            self._note(version, What.CHANGED, f"the function_call of {call.name!r} is a tool call {call_id!r}")
        elif call_id != call.id:
            self._note(version, What.RENAMED, f"call {call.id!r} is {call_id!r}")
        name = legal_name(call.name, rules.tool_name)
        if name != call.name:
            self._note(version, What.RENAMED, f"tool {call.name!r} is {name!r}")
        kind = "custom" if call.type == "custom" and rules.custom_calls else "function"
        arguments = call.arguments
        if rules.object_arguments and (call.type == "custom" or object_of(arguments) is None):
            arguments, why = wrapped(call)
            self._note(version, What.CHANGED, why)
        return ToolCall(call_id, name, arguments, kind, self._parts.extras("call", call.extra_json, version))

    # --- the whole ----------------------------------------------------------------------------------------------------

    def _speaker(self, turn: Turn) -> str:
        """Return the name under which a participant may speak."""
        if not turn.name:
            return ""
        if self._rules.speaker_name is None:
            self._note(turn.version, What.DROPPED, f"the name {turn.name!r} of the speaker")
            return ""
        name = legal_name(turn.name, self._rules.speaker_name)
        if name != turn.name:
            self._note(turn.version, What.RENAMED, f"speaker {turn.name!r} is {name!r}")
        return name

    def _open(self, entries: list[Entry]) -> list[Entry]:
        """Begin with the user, where the conversation must."""
        if not self._rules.starts_on_user or not entries or entries[0].side is Role.USER:
            return entries
        self._note(0, What.SYNTHESIZED, "a message of the user, with which the conversation must begin")
        return [Entry(Role.USER, 0, (Text(OPENING),)), *entries]

    def _merge(self, entries: list[Entry]) -> list[Entry]:
        """Make one message of neighbours on one side, except of results that must stand alone."""
        merged: list[Entry] = []
        for entry in entries:
            last = merged[-1] if merged else None
            alone = self._rules.results_alone and last is not None and bool(last.results)
            if last is None or last.side is not entry.side or alone:
                merged.append(entry)
                continue
            if last.role is not Role.TOOL:
                self._note(entry.version, What.MERGED, f"with the message before it, of the {entry.side} too")
            merged[-1] = replace(
                last, role=entry.role, parts=last.parts + entry.parts, calls=entry.calls, name="", extra_json=""
            )
        return merged

    def _trim(self, entries: list[Entry]) -> list[Entry]:
        """Let the last message not end with white space, where the assistant's is refused if it does."""
        last = entries[-1] if entries else None
        final = last.parts[-1] if last and last.parts else None
        if not last or last.role is not Role.ASSISTANT or last.calls or not isinstance(final, Text):
            return entries
        text = final.text.rstrip()
        if text == final.text:
            return entries
        self._note(last.version, What.CHANGED, "white space at the end of the last message is left out")
        return [*entries[:-1], replace(last, parts=(*last.parts[:-1], replace(final, text=text)))]
