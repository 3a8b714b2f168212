"""Acceptance and completion over recorded conversations: what stands for them stands, whatever went wrong in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kata_grpc.cli.bench import probes
from kata_grpc.cli.bench.compaction import LEAST_TOKENS, PARTS, Compactor
from kata_grpc.compaction import Numbered
from kata_grpc.domain.messages import Role
from kata_grpc.domain.overlays import Run
from kata_grpc.summarisers import Aside, Rejection, SummaryRequest, check, check_text, complete
from kata_grpc.tokenizers import Tokenizers

DATA = Path(os.environ.get("KATA_TEST_DATA", "absent"))
COMPACTOR = Compactor(Tokenizers().counter("o200k_base"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no recorded conversations: KATA_TEST_DATA names no folder")


def test_the_built_in_summaries_of_recorded_runs_stand() -> None:
    seen = 0
    for talk in probes.talks():
        for cut in probes.cuts(talk, COMPACTOR.cost, PARTS, LEAST_TOKENS):
            made = COMPACTOR.summary(cut)
            hidden = sum(map(COMPACTOR.cost, cut.hidden))
            target = cut.budget
            found = check(made.text, tokens=made.tokens, input_tokens=hidden, target_tokens=target)
            assert found == () or made.text == "", (talk.source, made.text[:200])
            seen += bool(made.text)
    assert seen > 500


def test_few_answers_of_recorded_assistants_look_like_none_and_none_that_is_long() -> None:
    """What does, apologises, refuses or is an error: as a summary it would not do."""
    texts = [
        one.message.text
        for talk in probes.talks()
        for group in talk.groups
        for one in group
        if one.message.role is Role.ASSISTANT and one.message.text
    ]
    rejected = [text for text in texts if set(check_text(text)) - {Rejection.EMPTY}]
    assert len(texts) > 9_000
    assert len(rejected) < len(texts) / 50
    assert [text[:200] for text in rejected if len(text) > 600 and not text.startswith("Traceback")] == []


async def test_a_text_beside_recorded_messages_is_completed_within_its_target() -> None:
    longest = sorted(probes.talks(), key=lambda one: -sum(len(group) for group in one.groups))[:20]
    for talk in longest:
        messages = [Numbered(one.version, one.message) for group in talk.groups for one in group]
        messages.sort(key=lambda one: one.version)
        request = SummaryRequest(
            messages=messages,
            covered=Run(messages[0].version, messages[-1].version),
            target_tokens=700,
            count=COMPACTOR.count,
        )
        made = await complete(request, "The user goes on tomorrow.", Aside(10**12), summariser="mine")
        assert made.text.startswith("The user goes on tomorrow.")
        assert COMPACTOR.count(made.text) <= 700
        assert made.artifacts_kept + made.artifacts_dropped > 0
