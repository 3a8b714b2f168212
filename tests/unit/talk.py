"""Conversations of all that can be stored, from one source of randomness: many, quickly, and the same for a seed.

The vocabulary is that of `dialect_cases`, with what costs more when it is sent than when it is stored.
"""

from __future__ import annotations

import random

from kata_grpc.domain.messages import (
    LEGACY_CALL,
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
from tests.unit import dialect_cases as c
from tests.unit.pictures import png

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
