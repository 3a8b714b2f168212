"""The checker of histories: it takes what can have happened, and nothing else."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.faults.histories import Appended, Attempt, Conflict, Entry, Seen, violations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UNKNOWN = None


def attempt(
    invoked: float,
    returned: float,
    key: str = "",
    outcome: Appended | Conflict | Seen | None = UNKNOWN,
    expected: int | None = None,
) -> Attempt:
    return Attempt(invoked, returned if outcome else math.inf, key, expected, outcome)


A, B = Entry("a", 1, 2), Entry("b", 3, 3)
WROTE_A, WROTE_B = Appended(1, 2), Appended(3, 3)

GOOD: dict[str, tuple[list[Attempt], list[Entry]]] = {
    "nothing": ([], []),
    "one after the other": ([attempt(0, 1, "a", WROTE_A), attempt(2, 3, "b", WROTE_B)], [A, B]),
    "at the same time, in either order": ([attempt(0, 5, "b", WROTE_B), attempt(1, 4, "a", WROTE_A)], [A, B]),
    "lost, and never written": ([attempt(0, 1, "x"), attempt(2, 3, "a", WROTE_A)], [A]),
    "lost, and written long afterwards": ([attempt(0, 1, "b"), attempt(5, 6, "a", WROTE_A)], [A, B]),
    "lost, and found by a repetition": (
        [attempt(0, 1, "a"), attempt(2, 3, "a", replace(WROTE_A, replayed=True))],
        [A],
    ),
    "a conflict before": (
        [attempt(0, 1, "x", Conflict(0), expected=2), attempt(0, 2, "a", WROTE_A)],
        [A],
    ),
    "a conflict and then the version that was expected": (
        [attempt(0, 1, "b", Conflict(0), 2), attempt(2, 3, "a", WROTE_A), attempt(4, 5, "b", WROTE_B, 2)],
        [A, B],
    ),
    "readers between the writes": (
        [
            attempt(0, 1, "", Seen(0)),
            attempt(1, 9, "a", WROTE_A),
            attempt(2, 3, "", Seen(0)),
            attempt(2, 4, "", Seen(2)),
            attempt(4, 9, "b", WROTE_B),
            attempt(5, 9, "", Seen(3)),
        ],
        [A, B],
    ),
}

BAD: dict[str, tuple[list[Attempt], list[Entry]]] = {
    "lost": ([attempt(0, 1, "a", WROTE_A)], []),
    "doubled in the log": ([attempt(0, 1, "a", WROTE_A)], [A, Entry("a", 3, 4)]),
    "doubled by a second write": ([attempt(0, 1, "a", WROTE_A), attempt(2, 3, "a", WROTE_A)], [A]),
    "from nowhere": ([], [A]),
    "from one who only found it": ([attempt(0, 1, "a", replace(WROTE_A, replayed=True))], [A]),
    "a gap": ([attempt(0, 1, "b", WROTE_B)], [B]),
    "an overlap": ([attempt(0, 1, "a", WROTE_A), attempt(0, 1, "c", Appended(2, 3))], [A, Entry("c", 2, 3)]),
    "told another place": ([attempt(0, 1, "a", Appended(1, 1))], [A]),
    "a replay told another place": (
        [attempt(0, 1, "a", WROTE_A), attempt(2, 3, "a", Appended(2, 3, replayed=True))],
        [A],
    ),
    "against the order of time": ([attempt(0, 1, "b", WROTE_B), attempt(2, 3, "a", WROTE_A)], [A, B]),
    "written before it was asked for": (
        [attempt(0, 1, "", Seen(2)), attempt(2, 3, "a", WROTE_A)],
        [A],
    ),
    "a reader that sees what was gone by": (
        [attempt(0, 1, "a", WROTE_A), attempt(2, 3, "b", WROTE_B), attempt(4, 5, "", Seen(2))],
        [A, B],
    ),
    "two readers that disagree": (
        [attempt(0, 9, "a", WROTE_A), attempt(1, 2, "", Seen(2)), attempt(3, 4, "", Seen(0))],
        [A],
    ),
    "half a batch seen": ([attempt(0, 9, "a", WROTE_A), attempt(1, 2, "", Seen(1))], [A]),
    "not where it was to stand": (
        [attempt(0, 1, "a", WROTE_A), attempt(2, 3, "b", WROTE_B, expected=0)],
        [A, B],
    ),
    "lost, and not where it was to stand": ([attempt(0, 1, "a", WROTE_A), attempt(0, 1, "b", UNKNOWN, 0)], [A, B]),
    "a conflict without one": ([attempt(0, 1, "x", Conflict(0), expected=0)], []),
    "a conflict without a condition": ([attempt(0, 1, "x", Conflict(0))], []),
    "a conflict with what came later": (
        [attempt(0, 1, "x", Conflict(2), expected=0), attempt(2, 3, "a", WROTE_A)],
        [A],
    ),
    "a conflict in place of a replay": (
        [attempt(0, 1, "a", WROTE_A, expected=0), attempt(2, 3, "a", Conflict(2), expected=0)],
        [A],
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_it_takes_what_can_have_happened(name: str) -> None:
    assert violations(*GOOD[name]) == []


@pytest.mark.parametrize("name", BAD)
def test_it_finds_what_cannot(name: str) -> None:
    assert violations(*BAD[name])


# --- against a search through all orders ------------------------------------------------------------------------------

KEYS: Mapping[str, tuple[int, int | None]] = {"a": (2, None), "b": (1, 2), "c": (1, None)}
"""Size and expected version of what is asked for under each key."""


def search(history: Sequence[Attempt], log: Sequence[Entry]) -> bool:
    """Wing and Gong: try every order that time allows, call by call, against the register itself."""
    final = {entry.key: (entry.first, entry.last) for entry in log}
    if len(final) < len(log):
        return False

    def found(left: frozenset[int], version: int, claims: Mapping[str, tuple[int, int]]) -> bool:
        if all(history[n].outcome is None for n in left) and claims == final:
            return True
        first_end = min((history[n].returned for n in left), default=math.inf)
        for n in left:
            one = history[n]
            if one.invoked > first_end:
                continue
            now, held, outcome = version, claims, one.outcome
            if not one.key:
                answer: Appended | Conflict | Seen = Seen(version)
            elif one.key in claims:
                answer = Appended(*claims[one.key], replayed=True)
            elif one.expected is not None and one.expected != version:
                answer = Conflict(version)
            else:
                now = version + KEYS[one.key][0]
                held = {**claims, one.key: (version + 1, now)}
                answer = Appended(version + 1, now)
            if outcome in (None, answer) and found(left - {n}, now, held):
                return True
        return False

    return found(frozenset(range(len(history))), 0, {})


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Attempt], list[Entry]]:
    """Draws what a real register answers to calls in some order, and then changes a thing or two."""
    version, claims, log = 0, dict[str, tuple[int, int]](), []
    history = []
    for moment in range(draw(st.integers(1, 6))):
        key = draw(st.sampled_from(["", *KEYS, *KEYS]))
        size, expected = KEYS.get(key, (0, None))
        answer: Appended | Conflict | Seen | None = Seen(version)
        if key in claims:
            answer = Appended(*claims[key], replayed=True)
        elif key and expected is not None and expected != version:
            answer = Conflict(version)
        elif key:
            claims[key] = (version + 1, version + size)
            log.append(Entry(key, *claims[key]))
            version += size
            answer = Appended(*claims[key])
        start, end = moment - draw(st.integers(0, 3)), moment + draw(st.integers(0, 3))
        if key and draw(st.integers(0, 3)) == 0:
            answer = None
        history.append(Attempt(start, math.inf if answer is None else end, key, expected, answer))
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(history) - 1))
        one = history[place]
        match draw(st.integers(0, 4)), one.outcome:
            case 0, Appended():
                one = replace(one, outcome=replace(one.outcome, replayed=not one.outcome.replayed))
            case 1, Appended():
                one = replace(one, outcome=Appended(one.outcome.first + 1, one.outcome.last + 1))
            case 2, Conflict() | Seen():
                changed = draw(st.integers(0, 4))
                one = replace(one, outcome=Seen(changed) if isinstance(one.outcome, Seen) else Conflict(changed))
            case 3, Appended() | Conflict() | Seen():
                one = replace(one, invoked=one.invoked + 2, returned=one.returned + 2)
            case _ if log and draw(st.booleans()):
                log.pop()
            case _:
                pass
        history[place] = one
    return history, log


@given(histories())
@settings(max_examples=2_000, deadline=None)
def test_it_agrees_with_a_search_through_all_orders(drawn: tuple[list[Attempt], list[Entry]]) -> None:
    possible = search(*drawn)
    event("possible" if possible else "impossible")
    assert (not violations(*drawn)) == possible
