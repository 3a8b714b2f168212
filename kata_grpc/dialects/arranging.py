"""From messages in the order they arrived to turns in the order a model takes them.

Results stand right behind their calls, found by call ids and never by adjacency. Nothing here knows a provider. Every
message that is dropped, moved or made up is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, NamedTuple

from kata_grpc.domain.messages import PINNED_ROLES, Message, Part, Reasoning, Role, Text, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NO_RESULT = "No result: this call was never answered."
"""What a call that was abandoned is answered with."""

Unanswered = Literal["synthesize", "drop"]
"""What becomes of calls that were abandoned: an error result is made up, or they are left out."""


class What(StrEnum):
    """How a rendered window differs from the messages in it."""

    DROPPED = "dropped"
    CHANGED = "changed"
    PLACEHOLDER = "placeholder"
    RENAMED = "renamed"
    MOVED = "moved"
    MERGED = "merged"
    SYNTHESIZED = "synthesized"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """One difference, of the message `version`, with its reason; version 0 stands for no message."""

    version: int
    what: What
    why: str


class WindowMessage(NamedTuple):
    """A message of a window.

    `group_version` is as the log has it: the message that its group starts with, 0 for a result without a call; None
    where it is not known, and results are then matched by their ids alone.
    """

    version: int
    group_version: int | None
    message: Message


@dataclass(frozen=True, slots=True)
class Exchange:
    """A call and its result; None while it waits for one."""

    call: ToolCall
    result: ToolResult | None = None
    result_version: int = 0
    synthesized: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """What one participant said, without calls and results, and the calls with their results in call order."""

    version: int
    role: Role
    parts: tuple[Part, ...]
    exchanges: tuple[Exchange, ...] = ()
    name: str = ""
    model: str = ""
    extra_json: str = ""


@dataclass(frozen=True, slots=True)
class Arranged:
    """Turns, the calls of the last one that wait for a result, and what was done to the messages."""

    turns: tuple[Turn, ...]
    pending: tuple[ToolCall, ...]
    adjustments: tuple[Adjustment, ...]


@dataclass(slots=True)
class _Slot:
    """A call, where it was made, and the result that was found for it."""

    version: int
    group: int
    call: ToolCall
    result: ToolResult | None = None
    result_version: int = 0


def arrange(messages: Iterable[WindowMessage], unanswered: Unanswered = "synthesize") -> Arranged:
    """Return the turns of messages.

    Calls of the newest group that have no result stay as they are: they are pending, and their turn is the last. Any
    other call without a result was abandoned, and `unanswered` says what becomes of it.
    """
    ordered = sorted({message.version: message for message in messages}.values())
    return _Arranging(ordered, unanswered).arranged()


class _Arranging:
    """One arranging: calls by key, and what is noted on the way."""

    def __init__(self, messages: Sequence[WindowMessage], unanswered: Unanswered) -> None:
        self._messages = messages
        self._unanswered = unanswered
        self._adjustments: list[Adjustment] = []
        self._slots: dict[int, list[_Slot]] = {}
        self._open: dict[str, list[_Slot]] = {}
        self._newest = 0
        self._waiting = 0

    def arranged(self) -> Arranged:
        """Match results, then build the turns."""
        for item in self._messages:
            self._match(item)
        open_in = [
            s.version for slots in self._slots.values() for s in slots if not s.result and s.group == self._newest
        ]
        self._waiting = max(open_in, default=0)
        turns: list[Turn] = []
        waiting: Turn | None = None
        for item in self._messages:
            turn = self._turn(item)
            if turn is None:
                continue
            if any(exchange.result is None for exchange in turn.exchanges):
                waiting = turn
            else:
                if waiting is not None:
                    self._note(
                        turn.version, What.MOVED, f"before the calls of {waiting.version}, which wait for results"
                    )
                turns.append(turn)
        pending: tuple[ToolCall, ...] = ()
        if waiting is not None:
            turns.append(waiting)
            pending = tuple(exchange.call for exchange in waiting.exchanges if exchange.result is None)
        return Arranged(tuple(turns), pending, tuple(self._adjustments))

    def _note(self, version: int, what: What, why: str) -> None:
        self._adjustments.append(Adjustment(version, what, why))

    def _match(self, item: WindowMessage) -> None:
        """Find the calls that a message answers, and register those that it makes."""
        version, group, message = item
        newest = self._newest_group(item)
        found = 0
        for result in message.results():
            slot = self._open_call(result.key, newest)
            if slot is not None:
                slot.result, slot.result_version = result, version
                found = max(found, slot.group)
            elif result.key in self._open:
                self._note(version, What.DROPPED, f"a second result of call {result.key!r}")
            else:
                self._note(version, What.DROPPED, f"a result without its call {result.key!r}")
        start = found or (0 if message.answers_only or message.role is Role.TOOL else version)
        if message.role in PINNED_ROLES:
            return
        start = start if group is None else group
        self._newest = max(self._newest, start)
        calls = list(message.calls())
        if message.role is not Role.ASSISTANT:
            for call in calls:
                self._note(version, What.DROPPED, f"call {call.key!r}: only an assistant makes calls")
            return
        for call in calls:
            slot = _Slot(version, start, call)
            self._slots.setdefault(version, []).append(slot)
            self._open.setdefault(call.key, []).append(slot)

    @staticmethod
    def _newest_group(item: WindowMessage) -> int | None:
        """Return the newest group that results of a message may belong to; None where any may be."""
        version, group, message = item
        if group == version and (message.answers_only or message.role is Role.TOOL):
            # No log has such a group: whoever says so does not know.
            return None
        # A message that starts a group of its own, in spite of its results, answers nothing.
        return 0 if group == version else group

    def _open_call(self, key: str, newest: int | None) -> _Slot | None:
        """Take out the newest call of this key that has no result yet."""
        waiting = self._open.get(key, [])
        for place in range(len(waiting) - 1, -1, -1):
            if newest is None or waiting[place].group <= newest:
                return waiting.pop(place)
        return None

    def _turn(self, item: WindowMessage) -> Turn | None:
        """Return the turn of a message; None where it holds nothing but results."""
        version, _, message = item
        if message.answers_only or (message.role is Role.TOOL and not message.parts and message.text is None):
            return None
        role = message.role
        if role is Role.TOOL:
            self._note(version, What.CHANGED, "content beside tool results is the user's")
            role = Role.USER
        exchanges = tuple(self._exchanges(version))
        parts = tuple(self._spoken(message, version))
        slots = self._slots.get(version, [])
        if len(exchanges) < len(slots) and any(isinstance(part, Reasoning) for part in parts):
            # A signature covers the calls that follow it, so that none of the reasoning may stay.
            self._note(version, What.DROPPED, "the reasoning of a turn of which a call is dropped")
            parts = tuple(part for part in parts if not isinstance(part, Reasoning))
        return Turn(version, role, parts, exchanges, message.name, message.model, message.extra_json)

    def _spoken(self, message: Message, version: int) -> Iterator[Part]:
        """Yield what is neither call nor result."""
        if message.text is not None:
            yield Text(message.text)
        called = False
        for part in message.parts:
            if isinstance(part, ToolCall):
                called = True
            elif not isinstance(part, ToolResult):
                if called:
                    self._note(version, What.MOVED, "content stands before the calls of its turn")
                yield part

    def _exchanges(self, version: int) -> Iterator[Exchange]:
        for slot in self._slots.get(version, []):
            call, result = slot.call, slot.result
            if result is not None:
                yield Exchange(call, result, slot.result_version)
            elif version == self._waiting:
                yield Exchange(call)
            elif self._unanswered == "drop":
                self._note(version, What.DROPPED, f"call {call.key!r}, which was never answered")
            else:
                self._note(version, What.SYNTHESIZED, f"a result of call {call.key!r}, which was never answered")
                answer = ToolResult(call.id, NO_RESULT, is_error=True, name=call.name, type=call.type)
                yield Exchange(call, answer, version, synthesized=True)
