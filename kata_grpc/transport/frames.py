"""Answers put together from stored records, without taking them apart.

A record is a Message with its length before it, which is how protobuf writes the element of a repeated field behind the
field's tag: with the tag between them records are the field. A test holds every tag here against the descriptors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc.codec import varint

if TYPE_CHECKING:
    from collections.abc import Sequence

CHUNK_MESSAGES = b"\x0a"
"""The tag of the messages in a WindowChunk."""
_CHUNK = b"\x12"
_RESUME_TOKEN = 2


def field(number: int, payload: bytes) -> bytes:
    """Return a length-delimited field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def repeated(tag: bytes, records: Sequence[bytes]) -> bytes:
    """Return records as the elements of a repeated field."""
    return tag + tag.join(records) if records else b""


def chunk(records: bytes, resume_token: str) -> bytes:
    """Return a frame of the stream with a page of records, between which CHUNK_MESSAGES stands."""
    token = field(_RESUME_TOKEN, resume_token.encode())
    size = varint(len(CHUNK_MESSAGES) + len(records) + len(token))
    return b"".join((_CHUNK, size, CHUNK_MESSAGES, records, token))
