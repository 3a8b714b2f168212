"""What sending a message costs beyond its own content and framing: the most of all dialects.

A dialect may send text that is no part of a message: stand-ins, arguments in an object, labels, legal names. Windows
are chosen by sums over messages in whatever dialect is asked for, so that each message carries, from the moment it is
counted, what the dearest of them adds. It is found by construction: the message is prepared by the dialects' own rules,
and what comes out is compared with what went in.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from kata_grpc.dialects.arranging import WindowMessage, arrange
from kata_grpc.dialects.content import media_type, object_of, own_members
from kata_grpc.dialects.openai_responses import instructions
from kata_grpc.dialects.preparing import Entry, prepare
from kata_grpc.dialects.rules import RULES
from kata_grpc.dialects.spelling import filename
from kata_grpc.domain.messages import (
    PINNED_ROLES,
    File,
    Image,
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
from kata_grpc.domain.tokens import FRAMING, Opaque, TextCounter, count_items, countable, measure
from kata_grpc.domain.windows import Dialect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kata_grpc.dialects.arranging import Arranged
    from kata_grpc.dialects.rules import Rules

ERROR_MARK_TOKENS = 4
"""What the framing of a result covers of a mark in its text that it is an error."""
NAME_TOKENS = 16
"""What Gemini's framing of a result covers of its tool's name, which is sent again with it."""

_BEFORE, _SENT = 1, 2
"""The versions of what stands before the message, and of the message."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
"""Names that no dialect changes."""
# What the rules do to neighbours, and to the end of a conversation, only ever takes away.
_RULES = tuple(replace(rules, alternates=False, refuses_final_whitespace=False) for rules in RULES.values())
_NAMES_FILES = (Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES)
"""Dialects in which a file that is sent with its bytes has a name."""


def surcharge(message: Message, count: TextCounter) -> int:
    """Return the most tokens that sending a message costs beyond its content and framing, whatever the dialect."""
    if _is_sent_as_it_is(message, count):
        return 0

    @cache
    def cost(piece: str | Opaque) -> int:
        part = Text(piece) if isinstance(piece, str) else piece
        return measure(Message(Role.USER, None, (part,)), count).tokens

    arranged = arrange((WindowMessage(_BEFORE, None, _before(message)), WindowMessage(_SENT, None, message)))
    own = Counter(_pieces(message))
    return max(0, *(_beyond(message, own, arranged, rules, cost) for rules in _RULES))


# --- ordinary messages ------------------------------------------------------------------------------------------------


def _is_sent_as_it_is(message: Message, count: TextCounter) -> bool:
    """Return whether nothing is added to a message; looks no further than ordinary messages need."""
    # A message of the assistant or the system of which nothing is left is left out, one of the user is not.
    may_be_empty = message.role is Role.ASSISTANT or message.role in PINNED_ROLES
    if message.name and not _NAME.fullmatch(message.name):
        return False
    if not message.parts:
        return may_be_empty or not _is_blank(message.text)
    if message.text is not None or not all(_is_plain(part, count) for part in message.parts):
        return False
    texts = sum([isinstance(part, Text | Refusal) for part in message.parts])
    results = sum([isinstance(part, ToolResult) for part in message.parts])
    if may_be_empty:
        # OPENAI_RESPONSES makes a message of each text of the assistant; a label stands around each of the system.
        return texts <= 1 and not results
    return texts > 0 or results == len(message.parts)


def _is_plain(part: Part, count: TextCounter) -> bool:
    match part:
        case Text() | Refusal():
            return not _is_blank(part.text)
        case ToolResult(parts=()):
            return not _is_blank(part.text)
        case ToolResult():
            return all(isinstance(inner, Text) and not _is_blank(inner.text) for inner in part.parts)
        case ToolCall():
            return _is_plain_call(part, count)
        case _:
            return isinstance(part, Reasoning)


def _is_blank(text: str | None) -> bool:
    return not text or text.isspace()


def _is_plain_call(call: ToolCall, count: TextCounter) -> bool:
    """Return whether a call is sent as it is, and its name is covered where a result repeats it."""
    name = call.name
    return (
        call.type != "custom"
        and _NAME.fullmatch(name) is not None
        and (len(name) <= NAME_TOKENS or count(name) <= NAME_TOKENS)
        and object_of(call.arguments) is not None
    )


# --- all others -------------------------------------------------------------------------------------------------------


def _before(message: Message) -> Message:
    """Return what makes everything of a message sent: the calls that it answers, or else a turn of the user."""
    calls = tuple(ToolCall(result.tool_call_id, result.name, "{}", result.type) for result in message.results())
    return Message(Role.ASSISTANT, None, calls) if calls else Message(Role.USER, ".")


def _beyond(
    message: Message,
    own: Counter[str | Opaque],
    arranged: Arranged,
    rules: Rules,
    cost: Callable[[str | Opaque], int],
) -> int:
    """Return what a message costs more in one dialect than its content and framing; negative where it costs less."""
    framing = FRAMING[rules.dialect]
    sent: Counter[str | Opaque] = Counter()
    messages = items = more = 0
    for entry in prepare(arranged, rules).entries:
        if entry.version == _BEFORE and entry.role is not Role.TOOL:
            continue
        messages += _messages(entry, rules.dialect)
        # The tool's name in a result is its call's, and left to framing and to that call.
        results = [replace(result, name="") for result in entry.results]
        whole = Message(entry.role, None, (*results, *entry.parts, *entry.calls), entry.name)
        items += count_items(whole)
        sent.update(_pieces(whole))
        sent.update(_further(entry.parts, rules.dialect))
        for result in entry.results:
            sent.update(_further(result.parts, rules.dialect))
            if result.is_error and not rules.error_field:
                more -= ERROR_MARK_TOKENS
        match rules.dialect:
            case Dialect.GEMINI:
                more += sum(max(0, cost(call.name) - NAME_TOKENS) for call in entry.calls)
            case Dialect.OPENAI_RESPONSES if entry.role in PINNED_ROLES and len(entry.parts) > 1:
                # Its texts are joined where it is the first message, and a join costs.
                more += max(0, cost(instructions(entry.parts)) - sum(map(cost, _pieces(whole))))
    if message.role in PINNED_ROLES:
        more -= framing.per_label
    if added := sum(cost(piece) * times for piece, times in (sent - own).items()):
        more += added - sum(cost(piece) * times for piece, times in (own - sent).items())
    more += framing.per_message * max(0, messages - 1)
    return more + framing.per_item * (items - count_items(message))


def _messages(entry: Entry, dialect: Dialect) -> int:
    """Count the messages that an entry is sent as; those of results are their items."""
    if entry.role is Role.TOOL:
        return 0
    if dialect is Dialect.OPENAI_RESPONSES and entry.role is Role.ASSISTANT:
        return sum(isinstance(part, Text) and bool(part.text) for part in entry.parts)
    return 1


def _pieces(message: Message) -> Iterator[str | Opaque]:
    """Yield what of a message costs tokens, so that what costs the same is equal."""
    for piece in countable(message):
        match piece:
            case Image(source):
                yield Image(replace(source, media_type=media_type(source)))
            case File(source, name):
                yield name
                yield File(replace(source, media_type=media_type(source)))
            case Reasoning():
                yield replace(piece, extra_json="")
            case str() | Unknown():
                yield piece


def _further(parts: tuple[Part, ...], dialect: Dialect) -> Iterator[str]:
    """Yield texts that are sent with files: a name that one must have, and what tells about a document."""
    for part in parts:
        if isinstance(part, File):
            if part.source.data is not None and not part.filename and dialect in _NAMES_FILES:
                yield filename("", part.source.media_type)
            context = own_members(part.extra_json).get("context")
            if context is not None and isinstance(context.value, str):
                yield context.value
