"""Stored messages as the bytes that are sent, without taking them apart.

A body is the serialization of a Message without the fields that the server owns, and protobuf reads concatenated fields
as one message, so that a row becomes a Message by putting those fields before its body. A test holds every tag here
against the descriptors.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kata_grpc.limits import FRAME_BYTES, FRAME_MESSAGES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from uuid import UUID

    from kata_grpc.domain.messages import Row

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SOURCES = {"counted": b"\x78\x01", "caller": b"\x78\x02", "estimated": b"\x78\x03"}


def varint(value: int) -> bytes:
    """Return a non-negative number as protobuf spells it."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, payload: bytes) -> bytes:
    """Return a length-delimited field."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def timestamp(time: datetime) -> bytes:
    """Return a google.protobuf.Timestamp."""
    since = time - _EPOCH
    seconds = since.days * 86_400 + since.seconds
    nanos = since.microseconds * 1_000
    return b"\x08" + varint(seconds) + (b"\x10" + varint(nanos) if nanos else b"")


class MessageEncoder:
    """Encodes the messages of one context."""

    def __init__(self, context_id: UUID, tokenizer: str) -> None:
        self._context = field(1, str(context_id).encode())
        self._tokenizer = field(9, tokenizer.encode())
        self._revision = 0
        self._of_revision = b""

    def encode(self, row: Row) -> bytes:
        """Return a Message."""
        if row["revision"] != self._revision:
            self._revision = row["revision"]
            self._of_revision = b"".join(
                (
                    self._context,
                    b"\x18",
                    varint(self._revision),
                    self._tokenizer,
                    field(12, timestamp(row["create_time"])),
                )
            )
        return b"".join(
            (
                self._of_revision,
                b"\x10",
                varint(row["version"]),
                b"\x50",
                varint(row["token_count"]),
                _SOURCES[row["token_count_source"]],
                row["body"],
            )
        )

    def repeated(self, number: int, rows: Iterable[Row]) -> bytes:
        """Return rows as a repeated field of Messages."""
        return b"".join([field(number, self.encode(row)) for row in rows])


class ChunkBuilder:
    """Cuts a window's messages into chunks: where it cuts follows from the messages, not from how they are read."""

    def __init__(self, encoder: MessageEncoder) -> None:
        self._encoder = encoder
        self._parts: list[bytes] = []
        self._bytes = 0
        self._last = 0

    def add(self, rows: Sequence[Row]) -> Iterator[tuple[bytes, int]]:
        """Take rows in; yield each chunk that is full: its `messages` field, and the version of its last message."""
        encode = self._encoder.encode
        for row in rows:
            message = encode(row)
            size = len(message)
            if self._parts and (self._bytes + size > FRAME_BYTES or len(self._parts) >= FRAME_MESSAGES):
                yield self._take()
            self._parts.append(b"\x0a" + varint(size) + message)
            self._bytes += size
            self._last = row["version"]

    def rest(self) -> Iterator[tuple[bytes, int]]:
        """Yield the last chunk, if there is one."""
        if self._parts:
            yield self._take()

    def _take(self) -> tuple[bytes, int]:
        chunk = b"".join(self._parts), self._last
        self._parts = []
        self._bytes = 0
        return chunk
