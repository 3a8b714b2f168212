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
from kata_grpc.domain.messages import (
    LEGACY_CALL,
    PINNED_ROLES,
    ContentForm,
    File,
    Image,
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
)
from kata_grpc.domain.tokens import FRAMING, Counted, measure
from kata_grpc.domain.windows import Dialect
from kata_grpc.tokenizers import Tokenizers
from tests.unit import dialect_cases as c
from tests.unit.pictures import png
from tests.unit.recount import CHAT_MESSAGE, recount

if TYPE_CHECKING:
    from collections.abc import Sequence

SEED = int(os.environ.get("KATA_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
CASES = 10_000
LONG_CASES = int(os.environ.get("KATA_TEST_CASES", "1_000_000"))
ENCODINGS = ("o200k_base", "cl100k_base")
TOKENIZERS = Tokenizers()

ODD = "🜁𓀀ꙮ" * 120
"""Three to four tokens a character: what is not cut costs."""
TEXTS = [
    *c.TEXTS,
    "Bring me the log of Tuesday, please.",
    "1234 5678",
    "\n\nx",
    "<system>",
    "🜁𓀀",
    "x" * 300,
    "\x00\x01" * 9,
]
NAMES = [*c.TOOL_NAMES, "list_of_everything_that_there_is_2024_11_30_v2", "q7_x9_z3_k1_w8_j2_v6", "名" * 70]
ARGUMENTS = [*c.ARGUMENTS, '{"path": "/tmp/a.txt", "line": 12}', 'say "hi"\n' * 20, "\x01\x02" * 20, "🜁" * 9]
TYPES = [*c.TYPES, "image/jpeg", "text/markdown", "application/vnd.oasis.opendocument.text", ODD]
MEDIA = [
    *[Media(data=data, media_type=kind) for data in (*c.DATA, png(1_001, 1_001)) for kind in TYPES],
    *[Media(url=url, media_type=kind) for url in (*c.URLS, f"https://a.b/{ODD}") for kind in ("", "image/png", ODD)],
    *[Media(file_id=which) for which in (*c.FILE_IDS, ODD)],
]  # fmt: skip
UNKNOWNS = [*c.UNKNOWNS, Unknown(ODD, "{}"), Unknown("audio", '{"type":"audio","data":"' + "A" * 2_000 + '"}')]
SPEAKERS = ["", "", "", "Ann", "Ann Lee", "語", "李" * 90]


class Talk:
    """Conversations of all that can be stored, from one source of randomness."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def conversation(self) -> list[Message]:
        """Most results answer calls that were made, at any time, in any order, more than once."""
        choose = self.random.choice
        log: list[Message] = []
        made: list[ToolCall] = []
        for _ in range(self.random.randint(1, 10)):
            match choose(("plain", "plain", "speech", "call", "call", "answer", "answer", "answer", "odd")):
                case "plain":
                    role = choose((Role.USER, Role.USER, Role.ASSISTANT, Role.SYSTEM, Role.DEVELOPER, Role.TOOL))
                    log.append(Message(role, choose(TEXTS), name=choose(SPEAKERS)))
                case "speech":
                    role = choose((Role.USER, Role.ASSISTANT, Role.ASSISTANT, Role.SYSTEM))
                    log.append(Message(role, None, self.parts(4), choose(SPEAKERS), self.model()))
                case "call":
                    calls = [self.call() for _ in range(choose((1, 1, 2, 3)))]
                    made += calls
                    parts = (*self.parts(2), *calls, *(self.parts(2) if choose((True, False)) else ()))
                    log.append(Message(Role.ASSISTANT, None, parts, model=self.model()))
                case "answer" if made:
                    answered = self.random.sample(made, min(len(made), choose((1, 1, 2, 3))))
                    log.append(self.answer([self.result(one) for one in answered]))
                case _:
                    log.append(self.answer([self.result(self.call())]))
        return log

    def answer(self, results: list[Part]) -> Message:
        if self.random.random() < 0.6:
            return Message(Role.TOOL, None, tuple(results))
        role = self.random.choice((Role.USER, Role.USER, Role.TOOL, Role.SYSTEM, Role.ASSISTANT))
        parts = [*results, *self.parts(2), *([self.call()] if role is Role.ASSISTANT else [])]
        self.random.shuffle(parts)
        return Message(role, None, tuple(parts))

    def model(self) -> str:
        return self.random.choice(("", "", "claude-x", "gpt-x"))

    def parts(self, most: int) -> tuple[Part, ...]:
        return tuple(self.part(reasoning=True) for _ in range(self.random.randint(0, most)))

    def part(self, *, reasoning: bool) -> Part:
        choose = self.random.choice
        match choose(("text", "text", "image", "file", "refusal", "unknown", "reasoning" if reasoning else "text")):
            case "text":
                return Text(choose(TEXTS), choose(c.EXTRAS))
            case "image":
                return Image(choose(MEDIA), choose(("", "high", "odd")), choose(c.EXTRAS))
            case "file":
                return File(choose(MEDIA), choose(("", "", "a.pdf", ODD)), choose(c.EXTRAS))
            case "refusal":
                return Refusal(choose(TEXTS))
            case "unknown":
                return choose(UNKNOWNS)
            case _:
                return Reasoning(choose(TEXTS), choose((None, "", "c2ln")), choose((None, None, None, "cmVk")))

    def call(self) -> ToolCall:
        choose = self.random.choice
        if choose((True, False, False, False)):
            return ToolCall("", choose(NAMES), choose(ARGUMENTS), LEGACY_CALL)
        kind = choose(("", "", "function", "custom"))
        return ToolCall(choose(c.CALL_IDS), choose(NAMES), choose(ARGUMENTS), kind, choose(c.EXTRAS))

    def result(self, call: ToolCall) -> ToolResult:
        choose = self.random.choice
        legacy = call.type == LEGACY_CALL
        name = call.name if legacy else choose(("", "", choose(NAMES)))
        kind = call.type if legacy else choose(("", "custom"))
        error = choose((None, None, True, False))
        if choose((True, False)):
            return ToolResult(call.id, choose(TEXTS), (), error, name=name, type=kind, extra_json=choose(c.EXTRAS))
        inner = tuple(self.part(reasoning=False) for _ in range(self.random.randint(0, 2)))
        return ToolResult(call.id, None, inner, error, ContentForm.ARRAY, name, kind)


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
