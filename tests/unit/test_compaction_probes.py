"""The probes of the bench: what a cut is, what counts as needed, and what a window of each method may hold."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kata_grpc.cli.bench import probes
from kata_grpc.cli.bench.compaction import LEAST_TOKENS, PARTS, Compactor
from kata_grpc.cli.bench.probes import Talk, Window
from kata_grpc.compaction import Numbered
from kata_grpc.domain.messages import Message, Role
from kata_grpc.tokenizers import Tokenizers
from tests.unit import dialect_cases as c

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA = Path(os.environ.get("KATA_TEST_DATA", "absent"))
COMPACTOR = Compactor(Tokenizers().counter("o200k_base"))
FILLER = "and then we talked for a while about other matters of no great weight " * 8


def talk(*messages: Message) -> Talk:
    numbered = [Numbered(version, message) for version, message in enumerate(messages, 1)]
    pinned = [one for one in numbered if one.message.role is Role.SYSTEM]
    return Talk("made", "made/1", pinned, probes.grouped(one for one in numbered if one not in pinned))


def test_groups_hold_the_results_of_their_calls_wherever_they_stand() -> None:
    made = talk(
        c.assistant(c.call("1"), c.call("2")),
        c.user("wait"),
        c.tool(c.result("2")),
        c.tool(c.result("9")),
        c.user(c.result("1")),
    )
    assert [[one.version for one in group] for group in made.groups] == [[1, 3, 5], [2], [4]]


def test_what_is_hidden_is_all_but_what_fits_half_of_a_fifth() -> None:
    made = talk(c.system("Be brief."), *[c.user(f"{number} {FILLER}") for number in range(30)])
    (cut,) = probes.cuts(made, COMPACTOR.cost, 2, LEAST_TOKENS)
    assert [one.version for one in (*cut.hidden, *cut.tail)] == list(range(2, 17))
    assert cut.tokens == sum(COMPACTOR.cost(one) for one in [*cut.hidden, *cut.tail])
    assert (
        sum(map(COMPACTOR.cost, cut.tail)) <= cut.budget // 2 < sum(map(COMPACTOR.cost, [*cut.hidden[-1:], *cut.tail]))
    )
    assert list(probes.cuts(made, COMPACTOR.cost, 2, cut.tokens + 1)) == []


def test_needed_is_what_comes_again_behind_the_cut_not_in_the_tail() -> None:
    past = [c.user(f"{name} {FILLER}") for name in ("a.py", "b.py", "c.py", "", "", "", "", "", "", "b.py")]
    future = [
        c.assistant(f"{FILLER}" * 9 + "a.py d.py", c.call("1", '{"path": "c.py", "city": "New York", "on": true}'))
    ]
    (cut,) = probes.cuts(talk(*past, *future), COMPACTOR.cost, 2, LEAST_TOKENS)
    assert set(cut.needed) == {"a.py", "c.py"}
    assert cut.arguments == ["c.py", "New York"]


def test_a_window_holds_names_as_they_are_written() -> None:
    window = Window([Numbered(1, c.tool(c.result("1", '{"path": "C:\\\\x\\\\a.txt", "n": "b.py"}')))], "[v3] c.py")
    assert window.share(["C:\\x\\a.txt", "b.py", "c.py", "py", "v3"]) == (4, 5)


def taken(cut: probes.Cut, window: Sequence[Numbered], text: str) -> int:
    pins = {one.version for one in cut.talk.pinned}
    return sum(COMPACTOR.cost(one) for one in window if one.version not in pins) + COMPACTOR.count(text)


@pytest.mark.skipif(not DATA.is_dir(), reason="no recorded conversations: KATA_TEST_DATA names no folder")
@pytest.mark.holds("P13")
def test_of_recorded_runs_what_comes_again_is_in_the_window_within_a_fifth_of_the_tokens() -> None:
    """A sample of what `kata-grpc bench --only compaction` measures: of each source a few of its longest."""
    sources: dict[str, list[Talk]] = {}
    for one in probes.talks():
        sources.setdefault(one.source, []).append(one)
    held = of = plain = 0
    for source in ("tau-airline", "swe-agent", "openhands", "sgd", "aider-chat"):
        longest = sorted(sources[source], key=lambda one: -sum(len(group) for group in one.groups))[:12]
        for cut in (cut for one in longest for cut in probes.cuts(one, COMPACTOR.cost, PARTS, LEAST_TOKENS)):
            summary = COMPACTOR.summary(cut)
            framed = COMPACTOR.overhead if summary.text else 0
            assert taken(cut, cut.tail, summary.text) + framed <= cut.budget
            window = Window([*cut.talk.pinned, *cut.tail], summary.text)
            there, asked = window.share(cut.needed)
            held, of, plain = held + there, of + asked, plain + COMPACTOR.trimmed(cut).share(cut.needed)[0]
    assert of > 500
    assert held >= 0.95 * of
    assert plain < 0.5 * of
