"""What of a conversation is still in the window after a compaction, asked of what really came afterwards.

Knows conversations, groups and texts, and no summariser: a window is the texts that a reader of it would see.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kata_grpc.cli.bench.data import files
from kata_grpc.compaction import ArtifactKind, Numbered, extract
from kata_grpc.compaction.artifacts import leaves, parse, stands_in, texts
from kata_grpc.domain.messages import PINNED_ROLES, Image, Message, Role, ToolCall
from kata_grpc.domain.tokens import FRAMING, measure
from kata_grpc.formats import read_conversations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kata_grpc.domain.tokens import TextCounter
    from kata_grpc.formats import Conversation

Group = Sequence[Numbered]
Cost = Callable[[Numbered], int]

SHARE = 5
"""A window after compaction takes one fifth of the tokens before it: 20 %."""
ASKED = frozenset(ArtifactKind) - {ArtifactKind.ARGUMENT}
_CONSOLE = "console"
_MAX_VALUE_CHARS = 200


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation with the messages of the system apart, which no compaction hides."""

    source: str
    id: str
    pinned: Group
    groups: Sequence[Group]


@dataclass(frozen=True)
class Cut:
    """A conversation at the moment of a compaction: what is hidden, what stays, and what really came afterwards.

    Hidden are all groups but the newest that fit half of the budget: a fifth of the tokens of what was there.
    """

    talk: Talk
    past: Sequence[Group]
    tail_groups: int
    future: Sequence[Group]
    tokens: int

    @property
    def budget(self) -> int:
        """The tokens that summary, artifacts and tail may take together; what is pinned stands beside."""
        return self.tokens // SHARE

    @cached_property
    def hidden(self) -> Group:
        """The messages that the summary stands for."""
        return flattened(self.past[: len(self.past) - self.tail_groups])

    @cached_property
    def tail(self) -> Group:
        """The messages that stay."""
        return flattened(self.past[len(self.past) - self.tail_groups :])

    @cached_property
    def needed(self) -> dict[str, ArtifactKind]:
        """The artifacts of what is hidden that occur again in what came afterwards.

        Values of arguments that have no other form are asked for apart.
        """
        again = {artifact.text for artifact in extract(flattened(self.future)) if artifact.kind in ASKED}
        return {one.text: one.kind for one in extract(self.hidden) if one.kind in ASKED and one.text in again}

    @cached_property
    def arguments(self) -> list[str]:
        """The different values that the later calls gave their tools."""
        values: dict[str, None] = {}
        for _, message in flattened(self.future):
            for call in message.calls():
                values.update(dict.fromkeys(argument_values(call)))
        return list(values)


def talks() -> Iterator[Talk]:
    """Yield the conversations of the data, each once.

    Images are left out: what they cost is no text that a summary could hold. Lines of a console that a log kept as
    messages of the system are taken as the user's, who saw them.
    """
    seen = set()
    for path in files()[0]:
        source = Path(path).name.split(".")[0]
        for entry in read_conversations(path):
            if entry.conversation is not None and entry.conversation.id not in seen:
                seen.add(entry.conversation.id)
                yield _talk(source, entry.conversation)


def _talk(source: str, conversation: Conversation) -> Talk:
    numbered = [Numbered(version, _read(message)) for version, message in enumerate(conversation.messages, 1)]
    pinned = [one for one in numbered if one.message.role in PINNED_ROLES]
    return Talk(
        source, conversation.id, pinned, grouped(one for one in numbered if one.message.role not in PINNED_ROLES)
    )


def _read(message: Message) -> Message:
    if message.role in PINNED_ROLES and message.name == _CONSOLE:
        message = replace(message, role=Role.USER)
    return replace(message, parts=tuple(part for part in message.parts if not isinstance(part, Image)))


def grouped(messages: Iterable[Numbered]) -> Sequence[Group]:
    """Part messages into groups: results stand with the nearest earlier call that they answer."""
    groups: list[list[Numbered]] = []
    open_calls: dict[str, list[Numbered]] = {}
    for numbered in messages:
        answered = [result.key for result in numbered.message.results() if result.key in open_calls]
        if answered and numbered.message.answers_only:
            open_calls[answered[0]].append(numbered)
        else:
            groups.append([numbered])
        for call in numbered.message.calls():
            open_calls[call.key] = groups[-1]
    return groups


def coster(count: TextCounter) -> Cost:
    """Return what a message costs in a window of OpenAI Chat."""
    framing = FRAMING["openai_chat"]

    def cost(numbered: Numbered) -> int:
        counted = measure(numbered.message, count)
        return framing.cost(counted.tokens, 1, counted.items) - framing.prime

    return cost


def cuts(talk: Talk, cost: Cost, parts: int, least: int) -> Iterator[Cut]:
    """Yield a conversation at each of its `parts` by tokens but the last, where at least so many came before."""
    costs = [sum(map(cost, group)) for group in talk.groups]
    total = sum(costs)
    for part in range(1, parts):
        place = passed = 0
        while place < len(costs) and passed * parts < total * part:
            passed += costs[place]
            place += 1
        if passed >= least and place < len(costs):
            past = talk.groups[:place]
            yield Cut(talk, past, fitting(costs[:place], passed // SHARE // 2), talk.groups[place:], passed)


def fitting(costs: Sequence[int], room: int) -> int:
    """Return how many of the newest groups fit."""
    count = 0
    for cost in reversed(costs):
        if (room := room - cost) < 0:
            break
        count += 1
    return count


def whole(talk: Talk, cost: Cost) -> Cut:
    """Return a conversation at its end."""
    costs = [sum(map(cost, group)) for group in talk.groups]
    return Cut(talk, talk.groups, fitting(costs, sum(costs) // SHARE // 2), [], sum(costs))


class Window:
    """The texts of a window, and whether a name stands in it as it is written, with no part of a name around it."""

    def __init__(self, messages: Iterable[Numbered], *more: str) -> None:
        self._text = "\n".join([*(readable(message) for _, message in messages), *more])

    def holds(self, name: str) -> bool:
        """Whether a name is there, not as a part of another."""
        return stands_in(name, self._text)

    def share(self, names: Iterable[str]) -> tuple[int, int]:
        """Return how many of the names are there, and how many there are."""
        held = [self.holds(name) for name in names]
        return sum(held), len(held)


def readable(message: Message) -> str:
    """Return all that can be read of a message; of JSON, its strings as well as they are meant."""
    read = [] if message.text is None else [message.text]
    for part in message.parts:
        read += texts(part)
    return "\n".join([*read, *(value for text in read if (parsed := parse(text)) for value in leaves(parsed))])


def argument_values(call: ToolCall) -> list[str]:
    """Return the values of a call's arguments, at any depth, but long ones, which are content, and truth values."""
    return [value for value in leaves(parse(call.arguments)) if 1 < len(value) <= _MAX_VALUE_CHARS]


def flattened(groups: Iterable[Group]) -> Group:
    """Return the messages of groups in the order of their versions."""
    return sorted((numbered for group in groups for numbered in group), key=lambda numbered: numbered.version)


def message_ids(talk: Talk) -> dict[str, int]:
    """Return the versions of the messages that have an id in the data."""
    ids = {}
    for version, message in flattened(talk.groups):
        if message.extra_json and isinstance(found := json.loads(message.extra_json).get("id"), str):
            ids[found] = version
    return ids


def questions(source: str) -> dict[str, list[dict[str, Any]]]:
    """Return the questions about the conversations of a file that have evidence in messages, by conversation."""
    asked: dict[str, list[dict[str, Any]]] = {}
    for path in files()[0]:
        beside = Path(path).with_name(f"{source}.queries.jsonl.gz")
        if Path(path).name.split(".")[0] == source and beside.exists():
            with gzip.open(beside, "rt", encoding="utf-8") as lines:
                for question in map(json.loads, lines):
                    if question["relevant"]:
                        asked.setdefault(question["conversation"], []).append(question)
    return asked
