"""What is carried from one compaction to the next: verbatim notes with their versions, and a ledger of artifacts.

What a new range holds is added to what is there, and what ranks lowest is forgotten. Nothing is ever said again in
other words, so that the hundredth summary quotes the first message as the first summary did.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from kata_grpc.compaction.artifacts import ArtifactKind

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_LEDGER = 16_384
"""How many artifacts are remembered: several times what a summary can hold."""
MAX_VERSIONS = 8
"""How many versions of an artifact are remembered: the first and the newest."""
_FORMAT = 1
# The weights of a need were chosen on every second cut of the recorded conversations; the others give the same recall.
_MOST_MENTIONS = 16
_HALF_LIFE_VERSIONS = 20
_CROWD = 4


class Section(StrEnum):
    """What a note tells."""

    GOAL = "goal"
    REQUEST = "request"
    FAILURE = "failure"
    RESULT = "result"
    QUESTION = "question"
    DECISION = "decision"
    EARLIER = "earlier"
    TOPIC = "topic"


MAX_NOTES = {
    Section.GOAL: 1,
    Section.REQUEST: 64,
    Section.FAILURE: 32,
    Section.RESULT: 32,
    Section.QUESTION: 8,
    Section.DECISION: 24,
    Section.EARLIER: 64,
    Section.TOPIC: 2_048,
}
"""How many notes of each section are remembered."""


class Note(NamedTuple):
    """A line of a summary: who or what it is from, and what that said, verbatim.

    `key` tells one call from another, so that a later success closes a failure; `settled` says that one did.
    """

    section: Section
    version: int
    speaker: str
    text: str
    key: str = ""
    settled: bool = False


class Entry(NamedTuple):
    """What is known of an artifact: `mentions` counts messages, `uses` those that gave it to a tool as an argument.

    `crowd` is how many artifacts the least crowded message had that holds it: one of a few was meant, one of hundreds
    was listed.
    """

    text: str
    kind: ArtifactKind
    versions: tuple[int, ...]
    mentions: int
    uses: int
    crowd: int

    def seen(self, version: int, crowd: int, *, used: bool) -> Entry:
        """Add a message that holds the artifact."""
        first, *rest = self.versions
        versions = (first, *rest[2 - MAX_VERSIONS :], version)
        return Entry(self.text, self.kind, versions, self.mentions + 1, self.uses + used, min(self.crowd, crowd))


@dataclass(frozen=True, slots=True)
class State:
    """What a summary is rendered from: `first` and `last` are the versions that it covers between them."""

    first: int = 0
    last: int = 0
    messages: int = 0
    notes: tuple[Note, ...] = ()
    ledger: tuple[Entry, ...] = ()

    def to_json(self) -> str:
        """Return the state as JSON, to be stored beside its summary."""
        return json.dumps(
            {
                "format": _FORMAT,
                "covers": [self.first, self.last, self.messages],
                "notes": self.notes,
                "ledger": self.ledger,
            },
            ensure_ascii=True,
            separators=(",", ":"),
        )

    @classmethod
    def from_json(cls, text: str) -> State:
        """Read what `to_json` wrote; ValueError for anything else."""
        try:
            stored: Any = json.loads(text)
            if stored["format"] != _FORMAT:
                raise ValueError(f"the state of a summary has format {stored['format']}, not {_FORMAT}")
            notes = (Note(Section(section), *rest) for section, *rest in stored["notes"])
            ledger = (
                Entry(name, ArtifactKind(kind), tuple(versions), *rest)
                for name, kind, versions, *rest in stored["ledger"]
            )
            first, last, messages = stored["covers"]
            return cls(first, last, messages, tuple(notes), tuple(ledger))
        except (KeyError, TypeError) as error:
            raise ValueError(f"this is no state of a summary: {error}") from error


def ranked(entries: Iterable[Entry], last: int) -> list[Entry]:
    """Order artifacts by how likely each is to be needed again, the likeliest first; the order is total."""
    return sorted(entries, key=lambda entry: (-need(entry, last), entry.text))


def need(entry: Entry, last: int) -> float:
    """Return a weight of an artifact after version `last`: what is used, said often, lately and by few is needed."""
    weight = min(entry.mentions, _MOST_MENTIONS) ** 0.75 + 1.5 * min(entry.uses, _MOST_MENTIONS)
    age = (last - entry.versions[-1]) / _HALF_LIFE_VERSIONS
    return float(weight / (1 + age) ** 0.75 / max(entry.crowd, _CROWD) ** 0.2)
