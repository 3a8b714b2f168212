"""Compaction without a model, on recorded conversations: what is left of them that was needed, and what it costs.

A conversation is cut at a third, a half and two thirds of its tokens, and compacted there to 20 % of what it had. What
the recorded run needed afterwards is known; asked is whether it is in the window. Beside it stand windows of the same
size without a summary. Shares do not depend on the machine; seconds do, and stand beside those of reading the messages.
"""

from __future__ import annotations

import re
import time
import tracemalloc
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import cycle, islice, pairwise
from typing import TYPE_CHECKING

from kata_grpc.cli.bench import probes
from kata_grpc.cli.bench.figures import Figure, Series, Target, expect, spread
from kata_grpc.cli.bench.probes import Cut, Talk, Window
from kata_grpc.codec import decode_body, encode_body, to_proto
from kata_grpc.compaction import Numbered, State, Summary, extract, summarise
from kata_grpc.domain.contexts import DEFAULT_TOKENIZER
from kata_grpc.domain.messages import Message, Role
from kata_grpc.domain.shaping import clear
from kata_grpc.tokenizers import Tokenizers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kata_grpc.cli.bench.data import Scale
    from kata_grpc.domain.tokens import TextCounter

    Method = Callable[[Cut], Window]

LEAST_TOKENS = 1_000
"""What a conversation has before a cut, at least: a fifth of less is no window."""
PARTS = 3
STEPS = 50
STEP_TOKENS = 12_000
STEP_BUDGET = 4_000
_ENDS = 5
_KEPT_RESULTS = 3
_LOCOMO = "locomo-a"
_GROWING = "aider-chat"
_CITED = re.compile(r"\[v(\d+)\]")
_WORD = re.compile(r"[^\W\d_]{4,}")


@dataclass(slots=True)
class Share:
    """A sum of shares: how many of how many."""

    held: int = 0
    of: int = 0

    def add(self, held: int, of: int) -> None:
        """Add one share."""
        self.held += held
        self.of += of

    @property
    def percent(self) -> float:
        """The share of all."""
        return 100 * self.held / self.of if self.of else 0.0


@dataclass(slots=True)
class Tally:
    """Shares of one probe by source and by method."""

    shares: dict[tuple[str, str], Share] = field(default_factory=dict)

    def add(self, source: str, method: str, held: int, of: int) -> None:
        """Add a share to its source and to all."""
        for name in (source, ""):
            self.shares.setdefault((name, method), Share()).add(held, of)

    def sources(self) -> list[str]:
        """Return the sources, all of them together first."""
        return sorted({source for source, _ in self.shares})


class Compactor:
    """The built-in summariser and its rivals, each of which makes a window of a cut."""

    def __init__(self, count: TextCounter) -> None:
        self.count = count
        self.cost = probes.coster(count)
        self.overhead = self.cost(Numbered(0, Message(Role.SYSTEM, "")))
        self.methods: dict[str, Method] = {
            "summary": self.summarised,
            "trimming": self.trimmed,
            "head and tail": self.ends,
            "clearing": self.cleared,
        }

    def summary(self, cut: Cut) -> Summary:
        """Summarise what is hidden within what the tail leaves of the budget."""
        room = cut.budget - sum(map(self.cost, cut.tail)) - self.overhead
        summary = summarise(cut.hidden, self.count, room, beside=[*cut.talk.pinned, *cut.tail])
        expect(summary.tokens <= max(room, 0), True, f"a summary within {room} tokens of {cut.talk.id}")
        return summary

    def summarised(self, cut: Cut) -> Window:
        """Make the window with a summary."""
        return Window([*cut.talk.pinned, *cut.tail], self.summary(cut).text)

    def trimmed(self, cut: Cut) -> Window:
        """Keep the newest groups that fit."""
        return Window([*cut.talk.pinned, *self._newest(cut.past, cut.budget)])

    def ends(self, cut: Cut) -> Window:
        """Keep the beginning and the end of all that was said, half of the budget each, cut anywhere."""
        text = "\n".join(probes.readable(message) for group in cut.past for _, message in group)
        head, tail = 0, len(text)
        for place in (1 << bit for bit in reversed(range(len(text).bit_length()))):
            if head + place <= len(text) and self.count(text[: head + place]) <= cut.budget // 2:
                head += place
            if tail - place >= 0 and self.count(text[tail - place :]) <= cut.budget // 2:
                tail -= place
        return Window(cut.talk.pinned, text[:head], text[tail:])

    def cleared(self, cut: Cut) -> Window:
        """Clear all tool results but the newest as windows do; where that is not enough, keep the newest groups."""
        answered = [one.version for group in cut.past for one in group if any(True for _ in one.message.results())]
        kept = frozenset(sorted(answered)[-_KEPT_RESULTS:])
        groups = [
            [
                one
                if one.version in kept
                else Numbered(one.version, clear(one.message, one.version, {}, frozenset(), self.count)[0])
                for one in group
            ]
            for group in cut.past
        ]
        return Window([*cut.talk.pinned, *self._newest(groups, cut.budget)])

    def _newest(self, groups: Sequence[probes.Group], room: int) -> list[Numbered]:
        costs = [sum(map(self.cost, group)) for group in groups]
        return [one for group in groups[len(groups) - probes.fitting(costs, room) :] for one in group]


def measure(scale: Scale, say: Callable[[str], None]) -> list[Figure]:
    """Measure everything about compaction without a model."""
    compactor = Compactor(lru_cache(1 << 16)(Tokenizers().counter(DEFAULT_TOKENIZER)))
    say("compaction of recorded conversations, beside windows without a summary")
    conversations = list(probes.talks())
    figures = [*_at_cuts(conversations, compactor), *_recall(conversations, compactor)]
    say(f"{STEPS} compactions of one growing conversation")
    figures += _drift(conversations, compactor)
    say(f"compaction of {scale.compacted_messages:,} messages, beside reading them")
    return figures + _speed(conversations, compactor.count, scale)


def _at_cuts(conversations: Sequence[Talk], compactor: Compactor) -> Iterator[Figure]:
    """Ask for what came again: artifacts, and the arguments of calls."""
    artifacts, arguments = Tally(), Tally()
    counted: Counter[str] = Counter()
    for talk in conversations:
        for cut in probes.cuts(talk, compactor.cost, PARTS, LEAST_TOKENS):
            counted.update((talk.source, ""))
            past = Window([*cut.talk.pinned, *(one for group in cut.past for one in group)])
            known = [value for value in cut.arguments if past.holds(value)]
            for name, method in compactor.methods.items():
                window = method(cut)
                artifacts.add(talk.source, name, *window.share(cut.needed))
                arguments.add(talk.source, name, *window.share(known))
    target = Target(">=", 95, "value")
    yield from _compared("artifacts", "artifacts that come again", artifacts, counted, compactor, target)
    yield from _compared(
        "arguments", "values of later calls that were there before", arguments, counted, compactor, None
    )


def _compared(
    key: str, what: str, tally: Tally, counted: Counter[str], compactor: Compactor, target: Target | None
) -> Iterator[Figure]:
    """Yield a figure for all sources beside each rival, and one for each source beside the best of them."""
    rivals = [name for name in compactor.methods if name != "summary"]
    for source in tally.sources():
        share = tally.shares[source, "summary"]
        if share.of:
            title = f"{source or 'all'}, {counted[source]:,} compactions to 20 %: {share.of:,} {what}, in the window"
            best = max(rivals, key=lambda rival: tally.shares[source, rival].percent)
            for rival in rivals if not source else [best]:
                yield Figure(
                    key="_".join(filter(None, ("compaction", key, source, rival.replace(" ", "_")))),
                    title=title,
                    unit="%",
                    value=share.percent,
                    floor_title=rival,
                    floor=tally.shares[source, rival].percent,
                    target=target if not source else None,
                )


def _recall(conversations: Sequence[Talk], compactor: Compactor) -> Iterator[Figure]:
    """Ask questions about whole conversations: is the evidence in the window, or cited there."""
    asked = probes.questions(_LOCOMO)
    tail, cited, told, ends = Share(), Share(), Share(), Share()
    for talk in conversations:
        if talk.id not in asked:
            continue
        cut = probes.whole(talk, compactor.cost)
        versions = probes.message_ids(talk)
        summary = compactor.summary(cut)
        in_tail = {one.version for one in cut.tail}
        lines: dict[int, str] = {}
        for line in summary.text.splitlines()[1:]:
            for found in _CITED.findall(line):
                lines[int(found)] = lines.get(int(found), "") + line
        trimmed = compactor.trimmed(cut)
        messages = {one.version: one for group in talk.groups for one in group}
        for question in asked[talk.id]:
            words = _words(f"{question['query']} {question.get('answer', '')}")
            for version in (versions[one] for one in question["relevant"] if one in versions):
                tail.add(version in in_tail, 1)
                cited.add(version in in_tail or version in lines, 1)
                told.add(version in in_tail or bool(words & _words(lines.get(version, ""))), 1)
                ends.add(trimmed.holds(probes.readable(messages[version].message)), 1)
    if tail.of:
        title = f"LoCoMo at 20 %, {tail.of:,} messages that answer questions: "
        for key, what, share in (
            ("verbatim", "in the window", tail),
            ("cited", "in the window or cited in the summary, a step away", cited),
            ("told", "in the window, or cited with a word of the question or its answer", told),
        ):
            yield Figure(
                key=f"compaction_recall_{key}",
                title=title + what,
                unit="%",
                value=share.percent,
                floor_title="trimming",
                floor=ends.percent,
            )


def _words(text: str) -> set[str]:
    return set(map(str.lower, _WORD.findall(text)))


@dataclass(frozen=True)
class Step:
    """One of many compactions: what was hidden by all of them, what stays, and what comes before the next one."""

    hidden: probes.Group
    kept: probes.Group
    following: probes.Group
    room: int
    text: str

    @cached_property
    def needed(self) -> list[str]:
        """The artifacts of all that was ever hidden that come again before the next compaction."""
        again = {artifact.text for artifact in extract(self.following)}
        return [one.text for one in extract(self.hidden) if one.kind in probes.ASKED and one.text in again]

    def share(self, text: str) -> Share:
        """Return how many of them are in the window with this summary."""
        return Share(*Window(self.kept, text).share(self.needed))


def _drift(conversations: Sequence[Talk], compactor: Compactor) -> Iterator[Figure]:
    """Compact one growing conversation over and over, each summary from the one before and what came since.

    The conversation is a developer's log, its sessions one behind the other. In a fifth of all tokens so far there is
    room for as much as at first; in ever the same number there is not, whoever summarises: beside it stands a summary
    of everything at once, in as many tokens.
    """
    parts = list(islice(_steps(conversations, compactor), STEPS + 1))
    if len(parts) <= STEPS:
        return
    growing = list(_compactions(parts, compactor, lambda tokens: tokens // probes.SHARE))
    shares = [step.share(step.text) for step in growing]
    first, last = _mean(shares[:_ENDS]), _mean(shares[-_ENDS:])
    title = f"{STEPS} compactions of a growing conversation, one every {STEP_TOKENS:,} tokens"
    yield Figure(
        key="compaction_drift",
        title=f"{title}, each to 20 % of all so far: points of artifact recall lost, first {_ENDS} to last {_ENDS}",
        unit="",
        value=first - last,
        floor_title=f"% recall of the first {_ENDS}",
        floor=first,
        target=Target("<=", 5, "value"),
    )
    ending = list(_compactions(parts, compactor, lambda _: STEP_BUDGET))[-_ENDS:]
    at_once = [summarise(step.hidden, compactor.count, step.room, beside=step.kept).text for step in ending]
    yield Figure(
        key="compaction_drift_fixed",
        title=f"{title}, each to {STEP_BUDGET:,} tokens: artifacts that come again, in the window, last {_ENDS}",
        unit="%",
        value=_mean([step.share(step.text) for step in ending]),
        floor_title="all summarised at once",
        floor=_mean([step.share(text) for step, text in zip(ending, at_once, strict=True)]),
    )


def _compactions(
    parts: Sequence[list[probes.Group]], compactor: Compactor, budget: Callable[[int], int]
) -> Iterator[Step]:
    state: State | None = None
    tail: list[probes.Group] = []
    hidden: list[Numbered] = []
    tokens = 0
    for part, following in pairwise(parts):
        tokens += sum(compactor.cost(one) for group in part for one in group)
        groups = [*tail, *part]
        stay = probes.fitting([sum(map(compactor.cost, group)) for group in groups], budget(tokens) // 2)
        gone, tail = groups[: len(groups) - stay], groups[len(groups) - stay :]
        now, kept = probes.flattened(gone), probes.flattened(tail)
        hidden += now
        room = budget(tokens) - sum(map(compactor.cost, kept)) - compactor.overhead
        summary = summarise(now, compactor.count, room, previous=state, beside=kept)
        expect(summary.tokens <= room, True, f"a summary within {room} tokens")
        # Through its stored form, as the next compaction would read it.
        state = State.from_json(summary.state.to_json())
        yield Step(tuple(hidden), kept, probes.flattened(following), room, summary.text)


def _steps(conversations: Sequence[Talk], compactor: Compactor) -> Iterator[list[probes.Group]]:
    """Yield as many groups as come between two compactions, numbered through."""
    part: list[probes.Group] = []
    tokens = version = 0
    for talk in conversations:
        for group in talk.groups if talk.source == _GROWING else ():
            numbered = [Numbered(version + place, one.message) for place, one in enumerate(group, 1)]
            version += len(group)
            part.append(numbered)
            tokens += sum(map(compactor.cost, numbered))
            if tokens >= STEP_TOKENS:
                yield part
                part, tokens = [], 0


def _mean(shares: Sequence[Share]) -> float:
    return Share(sum(share.held for share in shares), sum(share.of for share in shares)).percent


def _speed(conversations: Sequence[Talk], count: TextCounter, scale: Scale) -> list[Figure]:
    """Compact many messages at once, as they are read from their stored bytes."""
    real = (one.message for talk in conversations for group in talk.groups for one in group)
    bodies = list(islice(cycle([encode_body(to_proto(message)) for message in real]), scale.compacted_messages))

    def read() -> Iterator[Numbered]:
        return (Numbered(version, decode_body(body)) for version, body in enumerate(bodies, 1))

    def compact() -> Summary:
        return summarise(read(), count, STEP_BUDGET)

    series = {"compact": Series([[]]), "read": Series([[]])}
    for _ in range(scale.repetitions):
        for name, operation in (("read", lambda: sum(1 for _ in read())), ("compact", compact)):
            started = time.perf_counter()
            operation()
            series[name].repetitions.append([time.perf_counter() - started])
    for one in series.values():
        del one.repetitions[0]
    tracemalloc.start()
    compact()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    seconds = series["compact"].p50
    title = f"compaction of {len(bodies):,} messages at once ({len(bodies) / seconds:,.0f} messages/s)"
    return [
        Figure(
            key="compaction_seconds",
            title=title,
            unit="s",
            value=seconds,
            floor_title="reading them from their bytes",
            floor=series["read"].p50,
            ratio=spread(
                [whole / floor for whole, floor in zip(series["compact"].medians, series["read"].medians, strict=True)]
            ),
        ),
        Figure(
            key="compaction_memory",
            title="the same: most memory at a time, beside the bytes of the messages",
            unit="MiB",
            value=peak / (1 << 20),
            floor_title="the bytes",
            floor=sum(map(len, bodies)) / (1 << 20),
        ),
    ]
