"""What holds of several layers of policies, and when a context is due by it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kata_grpc.domain.policy import (
    BUILT_IN,
    NAMES,
    PRESETS,
    CompactionSettings,
    Layer,
    Measure,
    Rung,
    alarm,
    is_due,
    problems,
    resolve,
)

pytestmark = pytest.mark.holds("P18")


def test_nobody_says_anything() -> None:
    held = resolve()
    assert {name: getattr(held, name) for name in NAMES} == {name: getattr(BUILT_IN, name) for name in NAMES}
    assert set(held.layers.values()) == {Layer.BUILT_IN}
    assert not is_due(held, Measure(10**9, 10**9, 10**9, 10**9)), "it is off"


def test_the_highest_layer_that_speaks_holds() -> None:
    tenant = CompactionSettings(preset="coding_agent", preserve_recent=30, threshold=0.7)
    context = CompactionSettings(preset="chat", keep_results=1)
    held = resolve(tenant, context, CompactionSettings(preserve_recent=2))
    said = {
        "preserve_recent": (2, Layer.REQUEST),
        "threshold": (0.7, Layer.TENANT),
        "low_water": (PRESETS["chat"].settings.low_water, Layer.CONTEXT),
        "rungs": ((Rung.SUMMARISE,), Layer.CONTEXT),
        "keep_results": (1, Layer.CONTEXT),
        "max_part_tokens": (4_000, Layer.TENANT),
        "cooldown_seconds": (60.0, Layer.BUILT_IN),
    }
    assert {name: (getattr(held, name), held.layers[name]) for name in said} == said


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_without_fault_and_only_want_a_budget(preset: str) -> None:
    said = CompactionSettings(preset=preset)
    assert not list(problems("compaction", said))
    assert not is_due(resolve(said), Measure(10**9, 10**6, 10**6))
    held = resolve(said, CompactionSettings(budget_tokens=10_000))
    assert is_due(held, Measure(held.due_tokens, 1, 1))
    assert not is_due(held, Measure(held.due_tokens - 1, 10**6, 10**6, 10**9))
    assert held.target_tokens is not None
    assert held.target_tokens < held.due_tokens


def test_one_trigger_is_enough_or_all_are_needed() -> None:
    said = CompactionSettings(enabled=True, budget_tokens=1_000, trigger_messages=50, trigger_interval_seconds=60)
    some = Measure(900, 10, 10, 10)
    assert is_due(resolve(context=said), some)
    both = resolve(context=said, request=CompactionSettings(all_triggers=True))
    assert not is_due(both, some)
    assert not is_due(both, Measure(900, 50, 10, 10))
    assert is_due(both, Measure(900, 50, 10, 60))


def test_all_of_no_triggers_is_not_due() -> None:
    assert not is_due(resolve(context=CompactionSettings(enabled=True, all_triggers=True)), Measure(9, 9, 9))


counts = st.integers(0, 200)
settings = st.builds(
    CompactionSettings,
    enabled=st.just(True),
    budget_tokens=st.sampled_from([0, 100, 150]),
    threshold=st.sampled_from([0.5, 1.0]),
    trigger_messages=st.sampled_from([0, 20, 90]),
    trigger_groups=st.sampled_from([0, 10, 60]),
    all_triggers=st.booleans(),
)


@given(settings, counts, counts, st.lists(st.tuples(st.integers(0, 9), st.integers(1, 4)), max_size=60))
def test_an_alarm_never_rings_late(
    said: CompactionSettings, tokens: int, messages: int, more: list[tuple[int, int]]
) -> None:
    """Appends one message after the other until the context is due: by then an alarm of some step has rung."""
    policy = resolve(context=said)
    measure = Measure(tokens, messages, messages // 2)
    expected = alarm(policy, measure)
    rung_at = (
        None if expected.tokens is None else measure.tokens + expected.tokens,
        None if expected.messages is None else measure.messages + expected.messages,
    )
    for added, pace in more:
        groups = measure.groups + (measure.messages % pace == 0)
        measure = Measure(measure.tokens + added, measure.messages + 1, groups)
        rings = any(
            at is not None and now >= at for at, now in zip(rung_at, (measure.tokens, measure.messages), strict=True)
        )
        if is_due(policy, measure):
            assert rings
        if rings:
            expected = alarm(policy, measure)
            rung_at = (
                None if expected.tokens is None else measure.tokens + expected.tokens,
                None if expected.messages is None else measure.messages + expected.messages,
            )


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        (CompactionSettings(preset="nothing"), ["preset"]),
        (CompactionSettings(threshold=0.4), ["low_water"]),
        (CompactionSettings(threshold=2.0, preserve_recent=0), ["preserve_recent", "threshold"]),
        (CompactionSettings(max_part_tokens=99), ["max_part_tokens"]),
        (CompactionSettings(rungs=(Rung.SUMMARISE, Rung.SUMMARISE)), ["rungs"]),
        (CompactionSettings(cooldown_seconds=-1), ["cooldown"]),
        (CompactionSettings(max_part_tokens=0, summary_tokens=0, budget_tokens=0), []),
    ],
)
def test_all_that_is_wrong_is_said(said: CompactionSettings, fields: list[str]) -> None:
    assert [violation.field for violation in problems("c", said)] == [f"c.{field}" for field in fields]
