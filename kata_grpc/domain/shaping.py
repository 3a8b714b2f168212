"""Messages as a window sends them where they are not sent whole: oversize parts elided, old tool results cleared.

What becomes of a message is a fixed function of the message and of the rule, never of the room that is left, so that
its bytes stay the same from window to window. What is left out is named in its place with its size, its digest and
where the whole of it stands. Calls, reasoning and images are never touched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from kata_grpc.domain.messages import ContentForm, Message, Part, Text, ToolResult
from kata_grpc.domain.overlays import Run, within
from kata_grpc.domain.tokens import measure

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kata_grpc.domain.tokens import TextCounter

_DIGEST_CHARS = 16


@dataclass(frozen=True, slots=True)
class Elision:
    """What of one part is not sent: `inner` is the place in a tool result's own parts, None for the part itself."""

    part: int
    inner: int | None
    cleared: bool
    characters: int
    tokens: int
    sha256: bytes


Shaped = tuple[Message, tuple[Elision, ...]]


@dataclass(frozen=True, slots=True)
class Reshaping:
    """What a compaction leaves out of messages that it does not hide, by their versions.

    Tool results of `cleared` are cleared, texts of `elided` that are longer than `max_part_tokens` are elided.
    """

    cleared: tuple[Run, ...] = ()
    elided: tuple[Run, ...] = ()
    max_part_tokens: int = 0

    def __bool__(self) -> bool:
        """Whether anything is left out."""
        return bool(self.cleared or self.elided)

    @property
    def last(self) -> int:
        """The last version of which something may be left out; 0 without one."""
        return max((runs[-1].last for runs in (self.cleared, self.elided) if runs), default=0)

    def clears(self, version: int) -> bool:
        """Whether tool results of a message are cleared."""
        return within(self.cleared, version)

    def longest(self, version: int) -> int:
        """How many tokens a text of a message may have; 0 for no bound."""
        return self.max_part_tokens if within(self.elided, version) else 0


def elide(message: Message, version: int, most: int, count: TextCounter) -> Shaped:
    """Return the message with no text longer than `most` tokens, which are at least 100."""
    shaper = _Shaper(version, most, count)
    if message.text is not None and not message.parts:
        return replace(message, text=shaper.text(message.text, 0, None)), tuple(shaper.elisions)
    parts = tuple(shaper.part(part, place) for place, part in enumerate(message.parts))
    return (replace(message, parts=parts) if shaper.elisions else message), tuple(shaper.elisions)


def clear(
    message: Message, version: int, tools: Mapping[str, str], exclude: frozenset[str], count: TextCounter
) -> Shaped:
    """Return the message with a short text for each tool result, but those of tools to `exclude`.

    `tools` names the tool of each call by the call's key. A result that is no longer than its stand-in stays.
    """
    elisions: list[Elision] = []
    parts: list[Part] = []
    for place, part in enumerate(message.parts):
        if isinstance(part, ToolResult) and (part.name or tools.get(part.key, "")) not in exclude:
            whole = _texts(part)
            tokens = measure(Message(message.role, parts=(part,)), count).tokens
            elision = Elision(place, None, True, sum(map(len, whole)), tokens, _digest("\n".join(whole)))
            stand_in = f"[result left out: {_which(elision, version)}]"
            if count(stand_in) < tokens:
                elisions.append(elision)
                part = replace(part, text=stand_in, parts=(), form=ContentForm.DERIVED)  # noqa: PLW2901 - it stands for it
        parts.append(part)
    return (replace(message, parts=tuple(parts)) if elisions else message), tuple(elisions)


def _texts(result: ToolResult) -> list[str]:
    if result.text is not None:
        return [result.text]
    return [part.text for part in result.parts if isinstance(part, Text)]


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def _which(elision: Elision, version: int) -> str:
    inner = "" if elision.inner is None else f".{elision.inner}"
    return (
        f"{elision.characters} characters, {elision.tokens} tokens, message {version} part {elision.part}{inner}, "
        f"sha256 {elision.sha256.hex()[:_DIGEST_CHARS]}"
    )


class _Shaper:
    def __init__(self, version: int, most: int, count: TextCounter) -> None:
        self._version = version
        self._most = most
        self._count = count
        self.elisions: list[Elision] = []

    def part(self, part: Part, place: int) -> Part:
        match part:
            case Text(text):
                return replace(part, text=self.text(text, place, None))
            case ToolResult(text=str(text)):
                return replace(part, text=self.text(text, place, None))
            case ToolResult():
                inner = tuple(
                    replace(one, text=self.text(one.text, place, at)) if isinstance(one, Text) else one
                    for at, one in enumerate(part.parts)
                )
                return replace(part, parts=inner)
            case _:
                return part

    def text(self, text: str, place: int, inner: int | None) -> str:
        """Keep the head and the tail of a text that is too long, and say between them what is left out."""
        # A token is at least a byte, and a character at most four.
        if len(text) * 4 <= self._most or (tokens := self._count(text)) <= self._most:
            return text
        elision = Elision(place, inner, False, len(text), tokens, _digest(text))
        self.elisions.append(elision)
        marker = f"\n[… left out of {_which(elision, self._version)} …]\n"
        chars = len(text) * max(self._most - self._count(marker), 0) // tokens
        while True:
            head = text[: chars - chars // 2]
            elided = f"{head}{marker}{text[len(text) - chars // 2 :]}"
            if not chars or self._count(elided) <= self._most:
                return elided
            chars = chars * 7 // 8
