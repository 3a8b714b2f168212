"""Hidden versions, against a retelling that keeps every version by itself."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kata_grpc.domain.overlays import ALWAYS, Change, Hidden, Run, Why, merged, multirange, split

runs = st.tuples(st.integers(1, 30), st.integers(0, 12)).map(lambda t: Run(t[0], t[0] + t[1]))


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    found = []
    for revision in range(1, draw(st.integers(1, 8))):
        hides = draw(st.booleans())
        found += [Change(*run, revision, hides) for run in merged(draw(st.lists(runs, max_size=4)))]
    erased = draw(st.lists(st.integers(1, 42), max_size=3, unique=True))
    compacted = merged(draw(st.lists(runs, max_size=2)))
    found += [Change(version, version, ALWAYS, True, Why.REDACTED) for version in erased]
    found += [Change(*run, draw(st.integers(0, 9)), True, Why.COMPACTED) for run in compacted]
    return draw(st.permutations(found))


@given(changes())
def test_the_newest_change_holds(given_changes: list[Change]) -> None:
    told: dict[int, Why] = {}
    beneath = {
        v for change in given_changes if change.why is Why.COMPACTED for v in range(change.first, change.last + 1)
    }
    on_top = [change for change in given_changes if change.why is not Why.COMPACTED]
    for change in sorted(on_top, key=lambda change: change.revision):
        for version in range(change.first, change.last + 1):
            if change.hides:
                told[version] = change.why
            else:
                told.pop(version, None)
    told = dict.fromkeys(beneath, Why.COMPACTED) | told
    hidden = Hidden(given_changes)
    assert bool(hidden) == bool(told)
    for version in range(45):
        run = hidden.around(version)
        assert (run is not None) == (version in told)
        assert run is None or (run[0] <= version <= run[1] and run[2] == told[version])
        assert hidden.hides(version, 0) == (version in told)
    for first, last in ((1, 44), (5, 9), (12, 12)):
        spread = {v: why for a, b, why in hidden.runs(first, last) for v in range(a, b + 1)}
        assert spread == {v: why for v, why in told.items() if first <= v <= last}


@given(st.lists(runs, max_size=6))
def test_runs_are_merged_and_split(given_runs: list[Run]) -> None:
    joined = merged(given_runs)
    assert {v for run in joined for v in range(run.first, run.last + 1)} == {
        v for run in given_runs for v in range(run.first, run.last + 1)
    }
    assert all(left.last + 1 < right.first for left, right in pairwise(joined))


def test_long_runs_are_split() -> None:
    assert list(split([Run(1, 2), Run(5, 9_000)])) == [Run(1, 2), Run(5, 4_100), Run(4_101, 8_196), Run(8_197, 9_000)]
    assert multirange([(1, 2), (5, 5)]) == "{[1,2],[5,5]}"
