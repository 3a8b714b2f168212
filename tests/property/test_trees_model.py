"""Whatever is done to trees of contexts, every answer is what lists say, at every revision, and all of it verifies."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kata_grpc import limits
from tests.property.trees import KINDS, Trees
from tests.rpc.serving import Running, loop

pytestmark = [loop, pytest.mark.holds("I1", "I2", "I6", "I8", "P14", "P15", "P16")]

STEPS = 500
QUICK = settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    derandomize=True,
)
LONG = settings(QUICK, max_examples=20, derandomize=False)

steps = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(0, 2**32 - 1)),
    min_size=STEPS,
    max_size=STEPS,
)
"""What each step does, and the seed of how it does it."""


async def run(server: Running, told: list[tuple[str, int]]) -> None:
    trees = Trees(server)
    for kind, seed in told:
        await trees.step(kind, random.Random(seed))
    await trees.settle(random.Random(len(told)))


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every flattening one of several batches."""
    monkeypatch.setattr(limits, "FLATTEN_MESSAGES", 3)
    monkeypatch.setattr(limits, "FLATTEN_REVISIONS", 3)


@pytest.mark.usefixtures("small_batches")
@given(told=steps)
@QUICK
async def test_trees_of_contexts_are_what_lists_say(server: Running, told: list[tuple[str, int]]) -> None:
    await run(server, told)


@pytest.mark.torture
@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("part", range(10))
@given(told=steps)
@LONG
async def test_trees_of_contexts_are_what_lists_say_for_100_000_steps(
    server: Running, part: int, told: list[tuple[str, int]]
) -> None:
    await run(server, told)
