"""What a compaction would do, over any log: which groups stay, what is cut and hidden, and what the view costs then."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kata_grpc.domain.compactions import (
    MAX_COVERED_RUNS,
    Limits,
    Nothing,
    Plan,
    Protection,
    plan,
    summary_target,
)
from kata_grpc.domain.messages import PINNED_ROLES, Role
from kata_grpc.domain.overlays import Run
from kata_grpc.domain.policy import Rung
from kata_grpc.domain.windows import Cost, Entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kata_grpc.domain.shaping import Reshaping

pytestmark = pytest.mark.holds("I1", "P18", "P23")

Entries = list[tuple[Entry, bool]]


def talk(*tokens: int, role: Role = Role.USER) -> Entries:
    return [(Entry(version, version, role, count, 0), True) for version, count in enumerate(tokens, 1)]


def planned(entries: Sequence[tuple[Entry, bool]], limits: Limits, **known: object) -> Plan:
    given_by_default = {"hidden": Cost(), "summary_tokens": 0, "turn": 0, "open_groups": (), "pinned": ()}
    return plan(entries, (), **{**given_by_default, **known}, limits=limits)


@st.composite
def logs(draw: st.DrawFn) -> Entries:
    """Messages of which some answer a group before them, of any role, visible or not."""
    entries: Entries = []
    starts: list[int] = []
    for version in range(1, draw(st.integers(0, 40)) + 1):
        role = draw(st.sampled_from([Role.USER, Role.ASSISTANT, Role.ASSISTANT, Role.TOOL, Role.SYSTEM]))
        group = version
        if role is Role.TOOL:
            group = draw(st.sampled_from(starts)) if starts and draw(st.booleans()) else 0
        elif role is Role.ASSISTANT:
            starts.append(version)
        tokens = draw(st.sampled_from([0, 10, 100, 500, 3_000]))
        visible = not any(e.version == group and not v for e, v in entries) and draw(st.integers(0, 9)) > 0
        entries.append((Entry(version, group, role, tokens, int(role is Role.TOOL)), visible))
    return entries


all_limits = st.builds(
    Limits,
    preserve_recent=st.integers(1, 6),
    target=st.one_of(st.none(), st.integers(0, 20_000)),
    min_gain=st.sampled_from([0, 1_000]),
    summary_tokens=st.sampled_from([0, 100, 2_000]),
    rungs=st.permutations(list(Rung)).flatmap(lambda order: st.integers(1, 3).map(lambda n: tuple(order[:n]))),
    keep_results=st.integers(0, 3),
    max_part_tokens=st.just(200),
)


def cuts(entries: Entries) -> Mapping[Rung, Mapping[int, int]]:
    """What messages would cost if they were cut."""
    return {
        Rung.CLEAR_TOOL_RESULTS: {e.version: 40 for e, _ in entries if e.role is Role.TOOL and e.tokens > 40},
        Rung.ELIDE_PARTS: {e.version: 200 for e, _ in entries if e.tokens > 200 and e.role not in PINNED_ROLES},
    }


@given(logs(), all_limits, st.data())
def test_any_plan_is_sound(entries: Entries, limits: Limits, data: st.DataObject) -> None:
    groups = sorted({e.group_version for e, v in entries if v and e.group_version and e.role not in PINNED_ROLES})
    chosen = st.sets(st.sampled_from(groups), max_size=3) if groups else st.just(set())
    turn, open_groups, pinned = data.draw(st.sampled_from([0, *groups])), data.draw(chosen), data.draw(chosen)
    found = planned(entries, limits, turn=turn, open_groups=open_groups, pinned=pinned, shorter=cuts(entries))

    hidden = {v for run in found.added for v in range(run.first, run.last + 1)}
    visible = {e.version: e for e, shown in entries if shown}
    of_group = {group: {v for v, e in visible.items() if e.group_version == group} for group in groups}
    for members in of_group.values():
        assert members <= hidden or members.isdisjoint(hidden), "no group is split"
    protected = {turn, *open_groups, *pinned, *groups[-limits.preserve_recent :]} - {0}
    untouched = {v for group in protected for v in of_group.get(group, ())}
    untouched |= {v for v, e in visible.items() if e.role in PINNED_ROLES}
    assert hidden.isdisjoint(untouched), "what is protected stays"
    reshaped = {v for v in visible if found.reshaping.clears(v) or found.reshaping.longest(v)}
    assert all(visible[v].role in PINNED_ROLES for v in reshaped & untouched), "and stays whole"
    assert {held.first for held in found.held} == {v for v, e in visible.items() if e.role in PINNED_ROLES} | (
        protected & set(groups)
    )

    assert found.before == sum(e.tokens for e in visible.values() if e.in_windows)
    if found.nothing is None:
        assert found.after <= found.before - max(1, limits.min_gain)
        assert found.after == found.before - found.freed - found.gain + found.summary_target
        assert [step.rung for step in found.steps] == [r for r in limits.rungs if r in {s.rung for s in found.steps}]
        if limits.target is not None and found.after > limits.target and Rung.SUMMARISE in limits.rungs:
            eligible = [group for group in groups if group not in protected]
            assert found.groups in (len(eligible), 0), "all that may be hidden is, or it gains nothing"
    elif found.nothing is Nothing.BELOW_TARGET:
        assert limits.target is not None
        assert found.before <= limits.target
    elif found.nothing is Nothing.EMPTY:
        assert not groups
    assert len(found.covered) <= MAX_COVERED_RUNS


@given(logs(), all_limits)
def test_what_is_done_once_is_not_to_be_done_again(entries: Entries, limits: Limits) -> None:
    limits = replace(limits, min_gain=0)
    first = planned(entries, limits, shorter=cuts(entries))
    assume(first.nothing is None and limits.target is not None)
    done = {v for run in first.covered for v in range(run.first, run.last + 1)}
    left = [(e._replace(tokens=_cut(e, first.reshaping)), shown) for e, shown in entries if e.version not in done]
    again = plan(
        left,
        first.covered,
        hidden=Cost(first.hidden_tokens, first.hidden_messages),
        summary_tokens=first.summary_target,
        turn=0,
        open_groups=(),
        pinned=(),
        limits=limits,
        reshaping=first.reshaping,
        shorter={
            rung: {v: n for v, n in those.items() if not _is_cut(first.reshaping, rung, v)}
            for rung, those in cuts(entries).items()
        },
    )
    assert again.before == first.after
    if first.after <= (limits.target or 0):
        assert again.nothing is Nothing.BELOW_TARGET
    assert set(first.reshaping.cleared) <= set(again.reshaping.cleared) or again.steps


def _cut(entry: Entry, reshaping: Reshaping) -> int:
    if entry.role is Role.TOOL and entry.tokens > 40 and reshaping.clears(entry.version):
        return 40
    return (
        min(entry.tokens, 200) if reshaping.longest(entry.version) and entry.role not in PINNED_ROLES else entry.tokens
    )


def _is_cut(reshaping: Reshaping, rung: Rung, version: int) -> bool:
    return reshaping.clears(version) if rung is Rung.CLEAR_TOOL_RESULTS else bool(reshaping.longest(version))


def test_everything_but_the_newest_goes_without_a_target() -> None:
    found = planned(talk(*[1_000] * 10), Limits(3, None))
    assert (found.added, found.groups, found.gain) == ((Run(1, 7),), 7, 7_000)
    assert (found.summary_target, found.after) == (1_400, 4_400)
    assert [held.why for held in found.held] == [Protection.RECENT] * 3


def test_a_target_takes_as_little_as_it_must() -> None:
    found = planned(talk(*[1_000] * 10), Limits(3, 8_000))
    assert found.groups == 3
    assert found.after == 7_600
    fewer = planned(talk(*[1_000] * 10), Limits(3, found.after + 1_000))
    assert fewer.groups < found.groups


def test_the_cheapest_rung_is_enough_where_it_is() -> None:
    entries = talk(*[1_000] * 10, role=Role.TOOL)
    limits = Limits(2, 7_500, rungs=tuple(Rung), keep_results=1, max_part_tokens=200)
    found = planned(entries, limits, shorter=cuts(entries))
    assert [(s.rung, s.messages, s.before, s.after) for s in found.steps] == [
        (Rung.CLEAR_TOOL_RESULTS, 3, 10_000, 7_120)
    ]
    assert (found.reshaping.cleared, found.covered, found.summary_target) == ((Run(1, 3),), (), 0)


def test_the_newest_results_are_kept() -> None:
    entries = talk(*[1_000] * 10, role=Role.TOOL)
    found = planned(entries, Limits(1, 0, rungs=(Rung.CLEAR_TOOL_RESULTS,), keep_results=4), shorter=cuts(entries))
    assert found.reshaping.cleared == (Run(1, 6),)


@pytest.mark.parametrize(
    ("entries", "limits", "why"),
    [
        ([], Limits(1, None), Nothing.EMPTY),
        (talk(100, role=Role.SYSTEM), Limits(1, None), Nothing.EMPTY),
        (talk(1_000, 1_000), Limits(2, None), Nothing.ALL_PROTECTED),
        (talk(*[1_000] * 9), Limits(2, 9_000), Nothing.BELOW_TARGET),
        (talk(50, 50, 50), Limits(1, None), Nothing.GAIN_TOO_SMALL),
        (talk(*[1_000] * 4), Limits(1, None, min_gain=5_000), Nothing.GAIN_TOO_SMALL),
    ],
)
def test_why_there_is_nothing_to_do(entries: Entries, limits: Limits, why: Nothing) -> None:
    assert planned(entries, limits).nothing is why


@given(st.integers(0, 10_000), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**4))
def test_a_summary_is_shorter_than_what_it_stands_for(wanted: int, hidden: int, gain: int, previous: int) -> None:
    assert 0 <= summary_target(wanted, hidden + gain, gain, previous) <= (gain + previous) // 2
