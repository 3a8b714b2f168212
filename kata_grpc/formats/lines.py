"""Lines of `.jsonl` and `.jsonl.gz` files, one at a time and never longer than a bound."""

from __future__ import annotations

import gzip
import io
import itertools
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from kata_grpc.formats.conversation import Conversation, Format, parse_line
from kata_grpc.formats.detection import detect
from kata_grpc.formats.errors import FormatError, ReadError
from kata_grpc.formats.rawjson import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINE_BYTES = 64 * 1024 * 1024
GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
DETECTION_LINES = 1_000
"""Where no line tells its format, no more than these are read twice."""
BUFFER_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not blank, or the error of one that is over the bound, whose data is then not held.

    `position` is how far its file has been read, in bytes of the file.
    """

    number: int
    data: bytes
    position: int
    error: ReadError | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """What a line held: a conversation, or the error that it gave."""

    line: int
    position: int
    conversation: Conversation | None
    error: FormatError | None


def read_lines(path: Path | str, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """Yield the lines of a file, gzip or not. Raises ReadError for a truncated or damaged file."""
    path = Path(path)
    number = 0
    with path.open("rb") as file:
        zipped = file.read(2) == GZIP_MAGIC
        file.seek(0)
        stream = _unzip(file) if zipped else file
        try:
            while data := stream.readline(max_line_bytes + 2):
                number += 1
                ended = data.endswith(b"\n")
                cut = not ended and len(data) == max_line_bytes + 2
                if number == 1:
                    data = data.removeprefix(BYTE_ORDER_MARK)
                data = data.rstrip(b"\r\n")
                if cut or len(data) > max_line_bytes:
                    while not ended and (rest := stream.readline(BUFFER_BYTES)):
                        ended = rest.endswith(b"\n")
                    error = ReadError(f"the line is longer than {max_line_bytes} bytes", f"{path}:{number}")
                    yield Line(number, b"", file.tell(), error)
                elif data and not data.isspace():
                    yield Line(number, data, file.tell())
        except EOFError as cause:
            raise ReadError("the gzip file is truncated", f"{path}:{number + 1}") from cause
        except (gzip.BadGzipFile, zlib.error) as cause:
            raise ReadError(f"the gzip file is damaged: {cause}", f"{path}:{number + 1}") from cause


def read_conversations(
    path: Path | str,
    format: Format | Literal["auto"] = "auto",  # noqa: A002  # the word of the command line
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Iterator[Entry]:
    """Yield what each line of a file holds; a line that is refused does not end the file. Raises as `read_lines` does.

    With "auto", a line that both formats spell alike is in the format of the first line that tells.
    """
    default = _first_format(path, max_line_bytes) if format == "auto" else format
    for line in read_lines(path, max_line_bytes):
        if line.error is not None:
            yield Entry(line.number, line.position, None, line.error)
            continue
        try:
            yield Entry(line.number, line.position, parse_line(line.data, format, default), None)
        except FormatError as error:
            yield Entry(line.number, line.position, None, error.at(f"{path}:{line.number}"))


def _first_format(path: Path | str, max_line_bytes: int) -> Format:
    """Return the format of the first line that tells it, among the first lines of a file."""
    try:
        for line in itertools.islice(read_lines(path, max_line_bytes), DETECTION_LINES):
            try:
                found = detect(parse(line.data.decode()))
            except ValueError:
                # The line gets its error when it is read.
                continue
            if found:
                return found
    except ReadError:
        # So does the file.
        return "openai"
    return "openai"


class _Unzipped(io.RawIOBase):
    """What a gzip file holds, piece by piece, so that all before the point of a damage is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = gzip.GzipFile(fileobj=file, mode="rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # what BufferedReader gives
        data = self._file.read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _unzip(file: BinaryIO) -> io.BufferedReader:
    return io.BufferedReader(_Unzipped(file), BUFFER_BYTES)
