"""The bytes of a message that are stored, and sent without being decoded.

The body of a message is the serialization of its `kata.context.v1.Message` without the fields that the server owns. Its
record is the length of the rest, the server's fields but three, the body and a stamp of those three, which the database
gives.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from kata.context.v1 import message_pb2 as pb

from kata_grpc.codec.content import NUMBER_OF_ROLE, ROLE_OF_NUMBER, CodecError, from_proto, to_proto
from kata_grpc.domain.messages import Message, Role, TokenCountSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from uuid import UUID

    from kata_grpc.domain.shaping import Elision
    from kata_grpc.domain.tokens import Counted

STAMP_BYTES = 26
"""The version, revision and create_time at the end of a record, which the append's statement puts there."""
_SOURCES = {
    TokenCountSource.COUNTED: b"\x78\x01",
    TokenCountSource.CALLER: b"\x78\x02",
    TokenCountSource.ESTIMATED: b"\x78\x03",
}
_SOURCE_NUMBERS = {
    TokenCountSource.COUNTED: pb.TOKEN_COUNT_SOURCE_COUNTED,
    TokenCountSource.CALLER: pb.TOKEN_COUNT_SOURCE_CALLER,
    TokenCountSource.ESTIMATED: pb.TOKEN_COUNT_SOURCE_ESTIMATED,
}
_ROLE_FIELDS = {number: b"\x20" + bytes([number]) for number, role in ROLE_OF_NUMBER.items() if role is not Role.TOOL}
"""A message of a tool is never only a text: it answers a call."""
_TEXT_TAG = b"\x2a"
_MORE = 0x80
"""A byte of a number from here on has another one behind it."""


def encode_body(message: pb.Message) -> bytes:
    """Return the canonical body. Take the message over: clear what the server owns and unknown fields."""
    message.ClearField("context_id")
    message.ClearField("version")
    message.ClearField("revision")
    message.ClearField("tokenizer")
    message.ClearField("token_count")
    message.ClearField("token_count_source")
    message.ClearField("create_time")
    message.ClearField("elisions")
    message.ClearField("derived")
    message.ClearField("redact_time")
    message.ClearField("redact_revision")
    message.DiscardUnknownFields()
    return message.SerializeToString(deterministic=True)


def plain_body(message: pb.Message) -> bytes | None:
    """Return the canonical body of a message that sets a role and a text and nothing else; None for any other."""
    text, role = message.text.encode(), _ROLE_FIELDS.get(message.role)
    if not text or role is None:
        return None
    body = b"".join((role, _TEXT_TAG, varint(len(text)), text))
    # Whatever else was set, known or not, would take bytes of its own.
    return body if message.ByteSize() == len(body) else None


def varint(value: int) -> bytes:
    """Return a non-negative number as protobuf spells it."""
    return _SMALL[value] if value < len(_SMALL) else _spelled(value)


def _spelled(value: int) -> bytes:
    spelled = bytearray()
    while value >= _MORE:
        spelled.append(value % _MORE | _MORE)
        value //= _MORE
    spelled.append(value)
    return bytes(spelled)


_SMALL = tuple(map(_spelled, range(4_096)))


@lru_cache(maxsize=4_096)
def context_fields(context_id: UUID, tokenizer: str) -> bytes:
    """Return the fields of a message that say whose it is and how it was counted."""
    return b"\x0a\x24" + str(context_id).encode() + b"\x4a" + varint(len(tokenizer.encode())) + tokenizer.encode()


def record_head(fields: bytes, token_count: int, source: TokenCountSource, body: bytes) -> bytes:
    """Return a record up to its stamp; `fields` are those of `context_fields`."""
    count = varint(token_count)
    size = len(fields) + 1 + len(count) + 2 + len(body) + STAMP_BYTES
    return b"".join((varint(size), fields, b"\x50", count, _SOURCES[source], body))


def body_of(
    record: bytes, fields: bytes, token_count: int, source: TokenCountSource, stamp: tuple[int, int, int]
) -> bytes | None:
    """Return the body in a record, None when it is not that of these fields and this stamp, byte for byte.

    A stamp is version, revision and create_time, that in microseconds.
    """
    before = len(fields) + 1 + len(varint(token_count)) + 2
    start = next((size for size in range(1, 6) if len(varint(max(len(record) - size, 0))) == size), 0) + before
    body = record[start : max(start, len(record) - STAMP_BYTES)]
    whole = record_head(fields, token_count, source, body) + _stamp(*stamp)
    return body if whole == record else None


def _stamp(version: int, revision: int, micros: int) -> bytes:
    """Return what `kata_stamp` puts at the end of a record."""
    seconds, micros = divmod(micros, 1_000_000)
    place = b"\x10" + _number(version) + b"\x18" + _number(revision)
    return place + b"\x62\x0c\x08" + _number(seconds) + b"\x10" + _number(micros * 1_000)


def _number(value: int) -> bytes:
    """Return a number in five bytes, as `kata_number` spells it."""
    return bytes([*(value >> shift & 0x7F | _MORE for shift in range(0, 28, 7)), value >> 28 & 0x7F])


def tombstone_record(
    context_id: UUID,
    tokenizer: str,
    role: Role,
    token_count: int,
    source: TokenCountSource,
    redact_time: datetime,
    redact_revision: int,
    stamp: bytes,
) -> bytes:
    """Return the record of a message whose content was erased; `stamp` is as an append's statement makes it."""
    left = pb.Message(role=NUMBER_OF_ROLE[role], redact_revision=redact_revision)
    left.redact_time.FromDatetime(redact_time)
    body = left.SerializeToString(deterministic=True)
    return record_head(context_fields(context_id, tokenizer), token_count, source, body) + stamp


def is_tombstone(body: bytes, role: Role, redact_revision: int) -> bool:
    """Tell whether a body is what `tombstone_record` leaves."""
    message = pb.Message.FromString(body)
    left = pb.Message(role=NUMBER_OF_ROLE[role], redact_revision=redact_revision, redact_time=message.redact_time)
    return left.SerializeToString(deterministic=True) == body


def decode_body(body: bytes) -> Message:
    """Return the message of a body. Raises CodecError for what is none."""
    try:
        return from_proto(pb.Message.FromString(body))
    except DecodeError as error:
        raise CodecError(str(error)) from error


def decode_record(record: bytes) -> Message:
    """Return the message of a record."""
    ((_, message),) = decode_records(record, 0)
    return message


def reshaped_record(
    record: bytes, message: Message, elisions: Sequence[Elision], counted: Counted, tokenizer: str
) -> bytes:
    """Return the record of a message that is not sent as it is stored, with what was left out of it."""
    stored = pb.Message.FromString(record[_length(record)[1] :])
    sent = to_proto(message)
    sent.context_id, sent.version, sent.revision = stored.context_id, stored.version, stored.revision
    sent.create_time.CopyFrom(stored.create_time)
    sent.tokenizer, sent.token_count = tokenizer, counted.tokens
    sent.token_count_source = _SOURCE_NUMBERS[counted.source]
    for elision in elisions:
        sent.elisions.add(
            part=elision.part,
            inner_part=elision.inner,
            kind=pb.ELISION_KIND_CLEARED if elision.cleared else pb.ELISION_KIND_ELIDED,
            characters=elision.characters,
            tokens=elision.tokens,
            sha256=elision.sha256,
        )
    own = sent.SerializeToString(deterministic=True)
    return varint(len(own)) + own


def derived_record(
    message: Message, counted: Counted, tokenizer: str, context_id: UUID, compaction_id: UUID, first: int, last: int
) -> bytes:
    """Return the record of a message that no one appended: it has no version, revision or time."""
    sent = to_proto(message)
    sent.context_id = str(context_id)
    sent.tokenizer, sent.token_count = tokenizer, counted.tokens
    sent.token_count_source = _SOURCE_NUMBERS[counted.source]
    sent.derived.compaction_id = str(compaction_id)
    sent.derived.first_version, sent.derived.last_version = first, last
    own = sent.SerializeToString(deterministic=True)
    return varint(len(own)) + own


def _length(record: bytes, start: int = 0) -> tuple[int, int]:
    """Return the length that stands before a record, and where what it is the length of begins."""
    size = shift = 0
    more = True
    while more:
        more = record[start] >= _MORE
        size |= (record[start] % _MORE) << shift
        shift += 7
        start += 1
    return size, start


def decode_records(records: bytes, separator: int) -> Iterator[tuple[int, Message]]:
    """Yield version and message of records that stand one after the other, that many bytes between two."""
    start = 0
    while start < len(records):
        size, start = _length(records, start)
        message = pb.Message.FromString(records[start : start + size])
        yield message.version, from_proto(message)
        start += size + separator
