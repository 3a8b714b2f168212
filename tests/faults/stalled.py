"""A client that asks for a stream and then reads nothing: HTTP/2 by hand, because every real client reads ahead."""

from __future__ import annotations

import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS = 1
"""The frame type of an answer's beginning, and of the status at its end."""
_DATA, _RESET, _SETTINGS, _WINDOW_UPDATE = 0, 3, 4, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_INITIAL_WINDOW_SIZE = 4
_LARGEST_WINDOW = 2**31 - 1
_DEFAULT_WINDOW = 65_535
_STREAM = 1


@contextmanager
def stalled_call(address: str, path: str, request: bytes, window: int | None = None) -> Iterator[socket.socket]:
    """Makes a call and takes nothing of the answer.

    With a `window` the protocol's flow control holds the server back after that many bytes; without one only the
    socket does, whose buffers are small.
    """
    host, _, port = address.rpartition(":")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect((host, int(port)))
        settings = struct.pack(">HI", _INITIAL_WINDOW_SIZE, _LARGEST_WINDOW if window is None else window)
        more = b""
        if window is None:
            more = _frame(_WINDOW_UPDATE, 0, 0, struct.pack(">I", _LARGEST_WINDOW - _DEFAULT_WINDOW))
        headers = b"\x83\x86" + b"".join(
            b"\x00" + bytes((len(name),)) + name + bytes((len(value),)) + value
            for name, value in (
                (b":path", path.encode()),
                (b":authority", b"localhost"),
                (b"content-type", b"application/grpc"),
                (b"te", b"trailers"),
            )
        )
        connection.sendall(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, settings)
            + more
            + _frame(HEADERS, _END_HEADERS, _STREAM, headers)
            + _frame(_DATA, _END_STREAM, _STREAM, b"\x00" + struct.pack(">I", len(request)) + request)
        )
        yield connection


def read_to_the_end(connection: socket.socket) -> int:
    """Reads what a stalled call left in the pipe, up to the end of its stream; returns the type of the last frame."""
    with connection.makefile("rb") as stream:
        while head := stream.read(9):
            length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            stream.read(length)
            if kind == _RESET or (kind in {_DATA, HEADERS} and flags & _END_STREAM):
                return kind
    return -1


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
