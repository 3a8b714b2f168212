"""From turns to the messages of one dialect, still in the content model: all its rules applied, none of its spelling.

Every renderer starts from this. What is done to a message is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
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
        self._drop_reasoning(turn, "in a system message")
        texts = [part for part in self._parts.fit(turn.parts, Place.SYSTEM, version) if isinstance(part, Text)]
        apart = leading and (rules.system is SystemPlace.LEADING_APART or (first and rules.system is SystemPlace.FIRST_APART))
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
        parts = self._parts.fit(turn.parts, Place.ASSISTANT if assistant else Place.USER, version)
        if assistant:
            parts = self._with_reasoning(turn, parts)
        else:
            self._drop_reasoning(turn, "in a message of the user")
        self._ids.begin_turn()
        exchanges = [self._exchange(exchange, place, version) for place, exchange in enumerate(turn.exchanges)]
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

    def _with_reasoning(self, turn: Turn, parts: list[Part]) -> list[Part]:
        """Put back the reasoning of a turn, all of it byte for byte or none."""
        reasoning = [part for part in turn.parts if isinstance(part, Reasoning)]
        if not reasoning:
            return parts
        if not self._rules.signed_reasoning:
            self._drop_reasoning(turn, "is not sent to this provider")
            return parts
        if turn.model and not any(name in turn.model.lower() for name in _PROVIDERS_MODELS):
            self._drop_reasoning(turn, f"of the model {turn.model!r}, which is another provider's")
            return parts
        if not all(part.signature or part.redacted_data for part in reasoning):
            self._drop_reasoning(turn, "without a signature")
            return parts
        # Only what was fitted alone lies between: count how many parts of the turn each piece of reasoning follows.
        whole: list[Part] = []
        for part in turn.parts:
            if isinstance(part, Reasoning):
                whole.append(Reasoning(part.text, part.signature, part.redacted_data))
            else:
                whole += self._fitted_again(part, parts)
        if not turn.exchanges and isinstance(whole[-1], Reasoning):
            self._drop_reasoning(turn, "that would end its message")
            return parts
        return whole

    def _fitted_again(self, part: Part, parts: list[Part]) -> list[Part]:
        raise NotImplementedError
