"""What messages cost: which of their texts are counted, what stands for content that is not text, and the framing.

This module knows no tokenizer: the function that counts a text is handed in (`kata_grpc.tokenizers` has them). Where
each number comes from, and how far it is from what providers bill, is in docs/tokens.md.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from kata_grpc.domain.images import Size, image_size
from kata_grpc.domain.messages import (
    File,
    Image,
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    TokenCountSource,
    ToolCall,
    ToolResult,
    Unknown,
)

TextCounter = Callable[[str], int]
"""Counts the tokens of one text; special-token look-alikes are plain text."""

IMAGE_TOKENS = 1_600
"""What an image of unknown size costs: the most that an image of any size does."""
OPAQUE_TOKENS = 12_000
"""What a file of unknown length costs, and the most that bytes which are not text are taken for."""
PDF_PAGE_TOKENS = 3_000

_HEADER_CHARS = 1 << 18
"""How much of a base64 image is decoded to find its size: the header of a JPEG may follow large metadata."""
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{1024,}={0,2}")
_PDF_PAGE = re.compile(rb"/Type\s*/Page\b")
_TEXT_TYPES = ("text/", "application/json", "application/xml", "application/yaml")
_CHARS_PER_OPAQUE_TOKEN = 4


class Counted(NamedTuple):
    """What a message costs without a dialect's framing.

    `items` are the calls, results and media that it frames, and as many more as cover a surcharge.
    """

    tokens: int
    items: int
    source: TokenCountSource


@dataclass(frozen=True, slots=True)
class Framing:
    """The tokens that a dialect adds around content: once, for each message, and for each item at most.

    `per_label` is what a system message costs more that is labelled text of the user, `opening` what a message costs
    that a conversation is opened with where it must begin with the user. `exact` says that without items it is what the
    provider counts, and not a bound.
    """

    prime: int
    per_message: int
    per_item: int
    per_label: int = 0
    opening: int = 0
    exact: bool = False

    def cost(self, tokens: int, messages: int, items: int) -> int:
        """Return what a window costs."""
        return self.prime + tokens + self.per_message * messages + self.per_item * items


FRAMING: Mapping[str, Framing] = MappingProxyType(
    {
        "openai_chat": Framing(prime=3, per_message=4, per_item=8, exact=True),
        "openai_responses": Framing(prime=3, per_message=4, per_item=8),
        "anthropic": Framing(prime=4, per_message=6, per_item=32, per_label=24, opening=24),
        "gemini": Framing(prime=4, per_message=6, per_item=32, per_label=24, opening=24),
    }
)
"""The framing of each dialect, by its value."""

LEAST_PER_ITEM = min(framing.per_item for framing in FRAMING.values())

Opaque = Image | File | Reasoning | Unknown
"""Content whose tokens are not, or not only, those of a text."""


def measure(
    message: Message, count: TextCounter, source: TokenCountSource = TokenCountSource.COUNTED, surcharge: int = 0
) -> Counted:
    """Count a message; `source` says what `count` is, and anything opaque makes it ESTIMATED.

    A `surcharge`, in tokens, becomes as many more items as cover it in every dialect.
    """
    more = -(-surcharge // LEAST_PER_ITEM)
    if message.text is not None and not message.parts and not message.name:
        return Counted(count(message.text), more, source)
    tokens = 1 if message.name else 0
    for piece in countable(message):
        if isinstance(piece, str):
            tokens += count(piece)
        else:
            tokens += _opaque_tokens(piece, count)
            source = TokenCountSource.ESTIMATED
    return Counted(tokens, count_items(message) + more, source)


def countable(message: Message) -> Iterator[str | Opaque]:
    """Yield what of a message costs tokens, in order: texts, and parts that are not only text."""
    if message.name:
        yield message.name
    if message.text is not None:
        yield message.text
    for part in message.parts:
        yield from _countable_part(part)


def _countable_part(part: Part) -> Iterator[str | Opaque]:
    match part:
        case Text(text) | Refusal(text):
            yield text
        case ToolCall():
            yield part.name
            yield part.arguments
        case ToolResult():
            if part.name:
                yield part.name
            if part.text is not None:
                yield part.text
            for inner in part.parts:
                yield from _countable_part(inner)
        case Reasoning(signature=None, redacted_data=None):
            yield part.text
        case Image() | File() | Reasoning() | Unknown():
            yield part


def count_items(message: Message) -> int:
    """Count the calls, results and media, those within results included."""
    items = 0
    for part in message.parts:
        if isinstance(part, ToolCall | ToolResult | Image | File):
            items += 1
        if isinstance(part, ToolResult):
            items += sum(isinstance(inner, Image | File) for inner in part.parts)
    return items


def _opaque_tokens(part: Opaque, count: TextCounter) -> int:
    match part:
        case Image():
            return image_tokens(_size(part.source))
        case File():
            return count(part.filename) + _file_tokens(part.source, count)
        case Reasoning():
            # A signature carries the reasoning itself, of which the text may be a summary.
            sealed = len(part.signature or "") + len(part.redacted_data or "")
            return max(count(part.text), -(-sealed // _CHARS_PER_OPAQUE_TOKEN))
        case Unknown():
            blobs = sum(_blob_tokens(len(found.group())) for found in _BASE64.finditer(part.json))
            return count(_BASE64.sub("", part.json)) + blobs


def image_tokens(size: Size | None) -> int:
    """Return the most that an image of this size costs by the rules of OpenAI's tiles and Anthropic's area."""
    if size is None:
        return IMAGE_TOKENS
    long_side, short_side = _fitted(max(size), min(size), 2_048)
    if short_side > 768:
        long_side, short_side = -(-long_side * 768 // short_side), 768
    tiles = 85 + 170 * -(-long_side // 512) * -(-short_side // 512)
    long_side, short_side = _fitted(max(size), min(size), 1_568)
    area = -(-long_side * short_side // 750)
    return min(IMAGE_TOKENS, max(tiles, area))


def _fitted(long_side: int, short_side: int, most: int) -> tuple[int, int]:
    """Scales down to `most` on the long side, rounding up."""
    if long_side <= most:
        return long_side, short_side
    return most, -(-short_side * most // long_side)


def _size(source: Media) -> Size | None:
    if source.data is not None:
        return image_size(source.data)
    head, comma, encoded = (source.url or "").partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return None
    try:
        return image_size(base64.b64decode(encoded[:_HEADER_CHARS] + "=="))
    except binascii.Error:
        return None


def _file_tokens(source: Media, count: TextCounter) -> int:
    data = source.data
    if data is None:
        return OPAQUE_TOKENS
    if source.media_type.strip().lower().startswith(_TEXT_TYPES):
        return count(data.decode(errors="replace"))
    pages = len(_PDF_PAGE.findall(data)) if data.startswith(b"%PDF") else 0
    return pages * PDF_PAGE_TOKENS or OPAQUE_TOKENS


def _blob_tokens(chars: int) -> int:
    return min(OPAQUE_TOKENS, -(-chars // _CHARS_PER_OPAQUE_TOKEN))
