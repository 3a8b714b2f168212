"""A window never costs more than its budget, in any dialect, whatever is stored: counted again from what is rendered.

Conversations are generated, windows cut by the pure engine. `-s` prints the seed and the figures; KATA_TEST_SEED
repeats a run.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

import pytest

from kata_grpc.dialects import render, surcharge
from kata_grpc.dialects.preparing import OPENING
from kata_grpc.dialects.surcharge import ERROR_MARK_TOKENS
from kata_grpc.domain.messages import PINNED_ROLES, Message
from kata_grpc.domain.tokens import FRAMING, Counted, measure
from kata_grpc.domain.windows import Dialect
from kata_grpc.tokenizers import Tokenizers
from tests.unit import dialect_cases as c
from tests.unit.recount import CHAT_MESSAGE, recount
from tests.unit.talk import TEXTS, Talk

if TYPE_CHECKING:
    from collections.abc import Sequence

SEED = int(os.environ.get("KATA_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
CASES = 10_000
LONG_CASES = int(os.environ.get("KATA_TEST_CASES", "1_000_000"))
ENCODINGS = ("o200k_base", "cl100k_base")
TOKENIZERS = Tokenizers()


class Budgets:
    """Windows at random versions and budgets, each counted again."""

    def __init__(self, encoding: str) -> None:
        self.count = cache(TOKENIZERS.counter(encoding))
        self.done: Counter[str] = Counter()
        self.to_the_token = 0

    def counted(self, message: Message) -> Counted:
        return measure(message, self.count, surcharge=surcharge(message, self.count))

    def hold(self, messages: Sequence[Message], choose: random.Random) -> None:
        """Holds one window of the conversation in each dialect to its budget."""
        log = c.Log.of(messages, self.counted)
        for dialect in Dialect:
            version = choose.randint(1, len(messages))
            framing = FRAMING[dialect]
            whole = framing.prime + sum(e.cost.framed(framing) + framing.per_label for e in log.entries[:version])
            for budget in (choose.randint(1, whole), whole):
                if cut := log.cut(version, budget, dialect):
                    break
            else:
                continue  # No window of this log may begin.
            window, cost = cut
            if choose.random() < 0.5:
                window = [message._replace(group_version=None) for message in window]
            rendered = render(dialect, window, "drop").json_text
            sent = recount(dialect, rendered, self.count)
            assert sent <= cost <= budget, f"{dialect}, {sent} > {cost} of {budget}: {window}\n{rendered}"
            self.done[dialect] += 1
            self.to_the_token += sent == cost


def hold(cases: int, seed: int) -> None:
    print(f"\nKATA_TEST_SEED={seed}")
    talk, checked = Talk(seed), [Budgets(encoding) for encoding in ENCODINGS]
    done = conversations = 0
    while done < cases:
        budgets = checked[conversations % 2]
        try:
            budgets.hold(talk.conversation(), talk.random)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, conversation {conversations}: {error}") from None
        conversations += 1
        done = sum(one.done.total() for one in checked)
    to_the_token = sum(one.to_the_token for one in checked)
    print(f"{done} windows of {conversations} conversations, {to_the_token} of them to the token")


@pytest.mark.holds("I5")
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_framing_covers_what_is_left_to_it(encoding: str) -> None:
    count = TOKENIZERS.counter(encoding)
    texts = [text for text in TEXTS if text.strip()]
    for dialect in (Dialect.ANTHROPIC, Dialect.GEMINI):
        framing = FRAMING[dialect]
        assert count(OPENING) + framing.per_message <= framing.opening
        for role in PINNED_ROLES:
            labelled = [count(f"<{role}>\n{text}\n</{role}>") - count(text) for text in texts]
            assert max(labelled) <= framing.per_label
    assert max(count(f"Error: {text}") - count(text) for text in TEXTS) <= ERROR_MARK_TOKENS
    # A result is a message of its own, and no more was ever billed for it with its call.
    assert FRAMING[Dialect.OPENAI_CHAT].per_item >= CHAT_MESSAGE + ERROR_MARK_TOKENS


@pytest.mark.holds("I5")
def test_no_window_is_over_its_budget() -> None:
    hold(CASES, SEED)


@pytest.mark.torture
@pytest.mark.timeout(0)
@pytest.mark.holds("I5")
def test_no_window_of_very_many_is_over_its_budget() -> None:
    hold(LONG_CASES, SEED)
