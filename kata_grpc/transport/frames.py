"""Stored messages as the bytes that are sent, without taking them apart.

A body is the serialization of a Message without the fields that the server owns, and protobuf reads concatenated fields
as one message, so that a row becomes a Message by putting those fields before its body. A test holds every tag here
against the descriptors.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from kata_grpc.limits import FRAME_BYTES, FRAME_MESSAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from uuid import UUID

    from kata_grpc.domain.messages import Row

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SOURCES = {"counted": b"\x78\x01", "caller": b"\x78\x02", "estimated": b"\x78\x03"}
_LAST_SEVEN_BITS = tuple(bytes((bits,)) for bits in range(0x80))
_SEVEN_BITS = tuple(bytes((bits | 0x80,)) for bits in range(0x80))
_COLUMNS = itemgetter("version", "revision", "create_seconds", "token_count", "token_count_source", "body")


def varint(value: int) -> bytes:
    """Return a non-negative number as protobuf spells it."""
    if value < 0x80:
        return _LAST_SEVEN_BITS[value]
    return _SEVEN_BITS[value & 0x7F] + varint(value >> 7)


def field(number: int, payload: bytes) -> bytes:
    """Return a length-delimited field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def timestamp(time: datetime) -> bytes:
    """Return a google.protobuf.Timestamp."""
    since = time - _EPOCH
    return _timestamp(since.days * 86_400 + since.seconds, since.microseconds)


def _timestamp(seconds: int, micros: int) -> bytes:
    return b"\x08" + varint(seconds) + (b"\x10" + varint(micros * 1_000) if micros else b"")


@lru_cache(maxsize=16_384)
def _first_field(size: int) -> bytes:
    return b"\x0a" + varint(size)


@lru_cache(maxsize=4_096)
def _counted(tokens: int, source: str) -> bytes:
    return b"\x50" + varint(tokens) + _SOURCES[source]


class MessageEncoder:
    """Encodes the messages of one context."""

    def __init__(self, context_id: UUID, tokenizer: str) -> None:
        self._context = field(1, str(context_id).encode())
        self._tokenizer = field(9, tokenizer.encode())
        self._revision = 0
        self._of_revision = b""

    def encode(self, row: Row) -> bytes:
        """Return a Message."""
        return b"".join(self.pieces(row))

    def pieces(self, row: Row) -> tuple[bytes, bytes, bytes, bytes]:
        """Return a Message as its pieces, the last of which is the stored body, not copied."""
        version, revision, create_seconds, tokens, source, body = _COLUMNS(row)
        if revision != self._revision:
            self._revision = revision
            # A double holds the microseconds of this century and the next.
            created = _timestamp(*divmod(round(create_seconds * 1_000_000), 1_000_000))
            self._of_revision = b"".join(
                (self._context, b"\x18", varint(revision), self._tokenizer, field(12, created))
            )
        return self._of_revision, b"\x10" + varint(version), _counted(tokens, source), body

    def repeated(self, number: int, rows: Iterable[Row]) -> bytes:
        """Return rows as a repeated field of Messages."""
        return b"".join([field(number, self.encode(row)) for row in rows])


class Chunk(NamedTuple):
    """A run of messages: the `messages` field of a WindowChunk in pieces, and its last message's version."""

    pieces: list[bytes]
    last_version: int

    def frame(self, resume_token: str) -> bytes:
        """Return the chunk as a frame of the stream; only here its bytes are put together."""
        token = field(2, resume_token.encode())
        size = sum(map(len, self.pieces)) + len(token)
        return b"".join((b"\x12", varint(size), *self.pieces, token))


class ChunkBuilder:
    """Cuts a window's messages into chunks: where it cuts follows from the messages, not from how they are read."""

    def __init__(self, encoder: MessageEncoder) -> None:
        self._encoder = encoder
        self._pieces: list[bytes] = []
        self._count = 0
        self._bytes = 0
        self._last = 0

    def add(self, rows: Sequence[Row]) -> Iterator[Chunk]:
        """Take rows in; yield each chunk that is full."""
        pieces_of = self._encoder.pieces
        append, extend = self._pieces.append, self._pieces.extend
        for row in rows:
            own, place, counted, body = pieces = pieces_of(row)
            size = len(own) + len(place) + len(counted) + len(body)
            if self._count and (self._bytes + size > FRAME_BYTES or self._count >= FRAME_MESSAGES):
                yield self._take()
                append, extend = self._pieces.append, self._pieces.extend
            append(_first_field(size))
            extend(pieces)
            self._count += 1
            self._bytes += size
            self._last = row["version"]

    def rest(self) -> Iterator[Chunk]:
        """Yield the last chunk, if there is one."""
        if self._count:
            yield self._take()

    def _take(self) -> Chunk:
        chunk = Chunk(self._pieces, self._last)
        self._pieces = []
        self._count = self._bytes = 0
        return chunk
