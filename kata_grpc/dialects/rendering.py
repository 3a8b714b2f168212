"""A window as exactly what a provider's API takes, with a report of every difference. The door of the package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from kata_grpc.dialects import anthropic, gemini, openai_chat, openai_responses
from kata_grpc.dialects.arranging import Adjustment, Unanswered, What, WindowMessage, arrange
from kata_grpc.dialects.preparing import prepare
from kata_grpc.dialects.rules import RULES
from kata_grpc.domain.windows import Dialect

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Rendered:
    """The JSON text, the ids in it of calls that wait for a result, and every difference by version."""

    dialect: Dialect
    json_text: str
    pending: tuple[str, ...]
    adjustments: tuple[Adjustment, ...]


def render(dialect: Dialect, messages: Iterable[WindowMessage], unanswered: Unanswered = "synthesize") -> Rendered:
    """Return messages in a dialect: equal bytes for equal input. Nothing raises, what has no place is reported."""
    arranged = arrange(messages, unanswered)
    prepared = prepare(arranged, RULES[dialect])
    adjustments = [*arranged.adjustments, *prepared.adjustments]
    match dialect:
        case Dialect.OPENAI_CHAT:
            text = openai_chat.render(prepared)
        case Dialect.OPENAI_RESPONSES:
            text = openai_responses.render(prepared)
        case Dialect.ANTHROPIC:
            text, dropped = anthropic.render(prepared)
            adjustments += [Adjustment(0, What.DROPPED, why) for why in dropped]
        case Dialect.GEMINI:
            text = gemini.render(prepared)
        case _:
            assert_never(dialect)
    last = next((entry for entry in reversed(prepared.entries) if entry.calls), None)
    answered = {result.tool_call_id for entry in prepared.entries[-1:] for result in entry.results}
    pending = [call.id for call in last.calls if call.id not in answered] if last and arranged.pending else []
    adjustments.sort(key=lambda adjustment: adjustment.version)
    return Rendered(dialect, text, tuple(pending), tuple(adjustments))
