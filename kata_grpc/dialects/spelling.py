"""JSON objects of a dialect, put together from texts so that what must stay byte for byte does.

Shared by the renderers; knows none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc.dialects.content import own_members
from kata_grpc.domain.messages import Image, Media, Text
from kata_grpc.formats.media import url_of
from kata_grpc.formats.rawjson import array_text, object_text, string

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kata_grpc.domain.messages import Part
    from kata_grpc.formats.writing import Pairs

DETAILS = frozenset({"auto", "low", "high", "original"})
"""The levels of detail at which OpenAI looks at images."""


def typed(kind: str, *pairs: tuple[str, str], extra_json: str = "") -> str:
    """Return the object of a type, with its further keys."""
    return object_text([("type", string(kind)), *pairs, *extra_pairs(extra_json)])


def extra_pairs(extra_json: str) -> Pairs:
    """Return the members of an extra_json that was allowed."""
    return [(key, node.text) for key, node in own_members(extra_json).items()]


def content(parts: Sequence[Part], block: Callable[[Part], str]) -> str:
    """Return a string where there is nothing but one plain text, else an array of blocks."""
    match parts:
        case []:
            return '""'
        case [Text(text, extra_json="")]:
            return string(text)
        case _:
            return array_text([block(part) for part in parts])


def url(source: Media) -> str:
    """Return a URL, or the data as one."""
    return source.url or "" if source.data is None else url_of(source.data, source.media_type)


def detail(image: Image) -> str:
    """Return the level of detail of an image, "" where it is none that OpenAI knows."""
    return image.detail if image.detail in DETAILS else ""


def filename(given: str, media_type: str) -> str:
    """Return the name of a file that is sent with its bytes, which must have one."""
    subtype = media_type.partition("/")[2].partition("+")[0]
    return given or f"file.{subtype or 'bin'}"
