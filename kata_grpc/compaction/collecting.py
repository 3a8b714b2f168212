"""What of messages goes into the state of a summary: one look at each message, in order.

The rules read words of English; a conversation in another language keeps its goal, requests, results, failures, open
questions and artifacts, for which no word is read, and fewer decisions.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from kata_grpc.compaction.artifacts import Outcome, Runs, failure, mentions, parse, texts
from kata_grpc.compaction.state import MAX_LEDGER, MAX_NOTES, Entry, Note, Section, State, ranked
from kata_grpc.domain.messages import Refusal, Role, Text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kata_grpc.compaction.artifacts import Numbered, ToolRun
    from kata_grpc.domain.messages import Message

NOTE_CHARS = 600
"""The most of a text that a note holds; a summary may quote less of it."""
_READ_CHARS = 4_000
"""How much of each end of a text is read for sentences."""
_MAX_KEY_CHARS = 400
_MAX_ARGUMENT_CHARS = 80
_SENTENCE = re.compile(r"(?:[^.!?。！？\n]++|[.!?]++(?=\S)){1,40}+[.!?。！？]*+")
_LEAST_SENTENCE = 6
_DECISIONS_PER_MESSAGE = 3
_DECISION = re.compile(
    r"(?i)\b(?:decid(?:e|ed|ing)|let'?s|let us|we(?:'ll| will| should| need)|i(?:'ll| will|'d like| want| need)"
    r"|agreed?|instead|confirm(?:ed)?|prefer|must|should(?:n't| not)?|don't|do not|never|always|please|fixed|done"
    r"|works?|root cause|because|the (?:problem|issue|fix|reason) (?:is|was))\b"
)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_KEYWORD = re.compile(r"[^\W\d_]{3,24}")
_TOPIC_WORDS = 2
_TOPIC_CHARS = 400
"""How much of a message is read for words that tell what it is about."""
_SPILL = 2
"""Lists grow to this many times their bound before they are cut to it, so that cutting costs little."""


class _Topic(NamedTuple):
    """The different words at the beginning of a message."""

    version: int
    speaker: str
    words: list[str]


class Collector:
    """Adds messages, in the order of their versions, to the state of the summary before them."""

    def __init__(self, previous: State | None = None) -> None:
        state = previous or State()
        self._first, self._last, self._messages = state.first, state.last, state.messages
        self._notes: dict[Section, list[Note]] = {section: [] for section in Section}
        for note in state.notes:
            self._notes[note.section].append(note)
        self._ledger = {entry.text: entry for entry in state.ledger}
        self._runs = Runs()
        self._words: Counter[str] = Counter()
        self._topics: list[_Topic] = []
        self._spoken = 0

    def add(self, numbered: Numbered) -> None:
        """Take what a message holds."""
        version, message = numbered
        self._first = self._first or version
        self._last = version
        self._messages += 1
        self._add_artifacts(version, message)
        for run in self._runs.feed(numbered):
            self._add_run(run)
        if not message.answers_only and (said := spoken(message)):
            self._add_said(version, message, said)

    def state(self) -> State:
        """Return the state after the messages, within its bounds."""
        for run in self._runs.unanswered():
            self._note(Section.FAILURE, run.version, _key(run), "no answer", _key(run))
        self._runs = Runs()
        for topic in self._telling():
            rarest = self._rarest(topic)
            words = " ".join(word for word in topic.words if word in rarest)
            self._note(Section.TOPIC, topic.version, topic.speaker, words)
        self._topics = []
        notes = (
            note
            for section, found in self._notes.items()
            for note in (found[: MAX_NOTES[section]] if section is Section.GOAL else found[-MAX_NOTES[section] :])
        )
        return State(self._first, self._last, self._messages, tuple(notes), tuple(self._top()))

    def _top(self) -> list[Entry]:
        return ranked(self._ledger.values(), self._last)[:MAX_LEDGER]

    def _add_artifacts(self, version: int, message: Message) -> None:
        found = mentions(message)
        ledger, crowd = self._ledger, len(found.found)
        for text, kind in found.found.items():
            used = text in found.arguments
            entry = ledger.get(text)
            ledger[text] = (
                entry.seen(version, crowd, used=used) if entry else Entry(text, kind, (version,), 1, int(used), crowd)
            )
        if len(ledger) > _SPILL * MAX_LEDGER:
            self._ledger = {entry.text: entry for entry in self._top()}

    def _add_run(self, run: ToolRun) -> None:
        key = _key(run)
        exit_code = "" if run.exit_code is None else f"exit {run.exit_code}: "
        if run.outcome.abnormal:
            word = "timed out: " if run.outcome is Outcome.TIMED_OUT else "failed: "
            self._note(Section.FAILURE, run.result_version, key, f"{word}{exit_code}{run.detail}", key)
            return
        failures = self._notes[Section.FAILURE]
        for place, note in enumerate(failures):
            if note.key == key:
                failures[place] = note._replace(settled=True)
        self._note(Section.RESULT, run.result_version, key, f"{exit_code}{run.detail}", key)

    def _add_said(self, version: int, message: Message, said: str) -> None:
        speaker = message.role.value
        self._notes[Section.QUESTION] = [note for note in self._notes[Section.QUESTION] if note.speaker == speaker]
        if message.role is Role.USER:
            self._note(Section.REQUEST if self._notes[Section.GOAL] else Section.GOAL, version, speaker, said)
        if error := failure(said):
            self._note(Section.FAILURE, version, speaker, error)
        if any(isinstance(part, Refusal) for part in message.parts):
            self._note(Section.FAILURE, version, speaker, f"refused: {said}")
        ends = said if len(said) <= 2 * _READ_CHARS else f"{said[:_READ_CHARS]}\n{said[-_READ_CHARS:]}"
        decided = 0
        for sentence in dict.fromkeys(map(str.strip, _SENTENCE.findall(ends))):
            if 2 * sum(map(str.isalpha, sentence)) < max(len(sentence), 2 * _LEAST_SENTENCE):
                continue
            if sentence.endswith(("?", "？")):
                self._note(Section.QUESTION, version, speaker, sentence)
            elif decided < _DECISIONS_PER_MESSAGE and _DECISION.search(sentence):
                decided += 1
                self._note(Section.DECISION, version, speaker, sentence)
        if words := list(dict.fromkeys(map(str.lower, _KEYWORD.findall(said[:_TOPIC_CHARS])))):
            self._spoken += 1
            self._words.update(words)
            self._topics.append(_Topic(version, speaker, words))
            if len(self._topics) > _SPILL * MAX_NOTES[Section.TOPIC]:
                self._topics = self._telling()

    def _note(self, section: Section, version: int, speaker: str, text: str, key: str = "") -> None:
        note = note_of(section, version, speaker, text, key)
        notes = self._notes[section]
        if note.text and not (section is Section.GOAL and notes):
            notes.append(note)
            if len(notes) > _SPILL * MAX_NOTES[section]:
                del notes[: -MAX_NOTES[section]]

    def _rarest(self, topic: _Topic) -> list[str]:
        """Return the words that tell a message from others; one that a message in eight has tells nothing.

        So no list of such words is needed, whatever the language.
        """
        common = max(2, self._spoken // 8)
        rare = sorted((self._words[word], -len(word), word) for word in topic.words if self._words[word] <= common)
        return [word for *_, word in rare[:_TOPIC_WORDS]]

    def _telling(self) -> list[_Topic]:
        """Return the topics with the rarest words, as many as are remembered, in their order."""

        def rarity(topic: _Topic) -> tuple[float, int]:
            return sum(1 / self._words[word] for word in self._rarest(topic)), topic.version

        best = sorted(self._topics, key=rarity, reverse=True)[: MAX_NOTES[Section.TOPIC]]
        return sorted(best, key=lambda topic: topic.version)


def note_of(section: Section, version: int, speaker: str, text: str, key: str = "") -> Note:
    """Make a note of the beginning of a text, on one line and without what cannot be printed or stored."""
    speaker, line, key = (_UNPRINTABLE.sub("", " ".join(one[: 2 * NOTE_CHARS].split())) for one in (speaker, text, key))
    return Note(section, version, speaker, line[:NOTE_CHARS], key)


def collect(messages: Iterable[Numbered], previous: State | None = None) -> State:
    """Return the state of a summary of messages behind those of a previous one."""
    collector = Collector(previous)
    for numbered in messages:
        collector.add(numbered)
    return collector.state()


def spoken(message: Message) -> str:
    """Return what a message says to the reader: its texts and refusals, not its calls, results and reasoning."""
    if message.text is not None and not message.parts:
        return message.text
    said = [] if message.text is None else [message.text]
    for part in message.parts:
        if isinstance(part, Text | Refusal):
            said.extend(texts(part))
    return "\n".join(said)


def _key(run: ToolRun) -> str:
    """Return a call as it is told: its tool, and the beginnings of its arguments."""
    parsed = parse(run.arguments)
    if isinstance(parsed, dict):
        told = ", ".join(f"{name}={_beginning(value)}" for name, value in parsed.items())
    else:
        told = _beginning(run.arguments)
    key = _UNPRINTABLE.sub("", " ".join(f"{run.name[:_MAX_KEY_CHARS]}({told})".split()))
    return key[:_MAX_KEY_CHARS]


def _beginning(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    short = " ".join(text[: 2 * _MAX_ARGUMENT_CHARS].split())
    return short if len(short) <= _MAX_ARGUMENT_CHARS else f"{short[:_MAX_ARGUMENT_CHARS]}…"
