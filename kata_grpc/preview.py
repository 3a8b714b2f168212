"""The beginning of a message's text, from the beginning of its bytes.

A history shows many messages and a message may have megabytes, so that only the first bytes of each record are read and
the protobuf fields are walked as far as they go. Field numbers are those of `kata.context.v1.Message` and `Part`; a
test compares this with the whole message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc.limits import PREVIEW_CHARS

if TYPE_CHECKING:
    from collections.abc import Iterator

_MESSAGE_TEXT, _MESSAGE_PARTS = 5, 6
_PART_TEXT, _PART_REASONING, _PART_CALL, _PART_RESULT, _PART_REFUSAL = 1, 2, 3, 4, 7
_CALL_NAME, _CALL_ARGUMENTS = 2, 3
_RESULT_TEXT, _RESULT_PARTS = 2, 3
_FIRST = 1


def preview_of_record(start: bytes) -> str:
    """Return the preview of a message by the beginning of its record, which has its length before it."""
    _, after_length = _varint(start, 0)
    return preview(start[after_length:])


def preview(start: bytes) -> str:
    """Return at most 100 characters: the text, or that of the first part that has one, or the first tool call."""
    texts: list[bytes] = []
    for number, value in _fields(start):
        if number == _MESSAGE_TEXT:
            texts = [value]
            break
        if number == _MESSAGE_PARTS:
            texts.append(_part(value))
    first = next((text for text in texts if text), b"")
    return first.decode("utf-8", "ignore")[:PREVIEW_CHARS]


def _part(part: bytes) -> bytes:
    for number, value in _fields(part):
        match number:
            case _ if number in (_PART_TEXT, _PART_REASONING, _PART_REFUSAL):
                return _get(value, _FIRST)
            case _ if number == _PART_CALL:
                return _get(value, _CALL_NAME) + b"(" + _get(value, _CALL_ARGUMENTS) + b")"
            case _ if number == _PART_RESULT:
                return _get(value, _RESULT_TEXT) or _part(_get(value, _RESULT_PARTS))
    return b""


def _get(message: bytes, wanted: int) -> bytes:
    return next((value for number, value in _fields(message) if number == wanted), b"")


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and value of the length-delimited fields; the last one may be cut short."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == 0:
            _, position = _varint(data, position)
        elif kind == 2:
            length, position = _varint(data, position)
            yield tag >> 3, data[position : position + length]
            position += length
        else:
            position += 8 if kind == 1 else 4


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return value, position
