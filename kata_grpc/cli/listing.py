"""Lines of columns for a person: narrow columns keep their width, the text at the end gets what is left of a line.

Knows no command.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Literal

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from kata_grpc.preview import preview

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from google.protobuf.descriptor import EnumDescriptor
    from kata.context.v1.message_pb2 import Message
    from kata.context.v1.message_service_pb2 import VersionRange

Column = tuple[str, Literal["left", "right"]]

_GAP = "  "
_LEAST_TEXT = 20
"""However narrow the terminal is, this much of a text is shown."""
_PIPE_COLUMNS = 200
"""Without a terminal nothing wraps, so that a preview is shown whole."""
_VISIBLE = str.maketrans(
    {"\n": "⏎", "\t": " ", "\x7f": "␡"} | {chr(code): chr(0x2400 + code) for code in range(32) if code not in (9, 10)}
)


def output() -> Console:
    """Return where a command shows its result."""
    unbounded = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, width=_PIPE_COLUMNS if unbounded else None)


def one_line(text: str) -> str:
    """Return a text on one line, its control characters made visible: what a message says never reaches a terminal."""
    return text.replace("\r\n", "\n").translate(_VISIBLE)


def print_rows(console: Console, columns: Sequence[Column], text_column: str, rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their headings; each has a cell for every column, and a text at its end."""
    lines = [(*(name for name, _ in columns), text_column), *((*row[:-1], one_line(row[-1])) for row in rows)]
    widths = [max(cell_len(line[place]) for line in lines) for place in range(len(columns))]
    taken = sum(widths) + len(_GAP) * len(columns)
    room = max(_LEAST_TEXT, console.width - taken)
    for number, line in enumerate(lines):
        shown = Text(style="bold" if number == 0 else "")
        for cell, width, (_, side) in zip(line[:-1], widths, columns, strict=True):
            padding = " " * (width - cell_len(cell))
            shown.append(padding + cell if side == "right" else cell + padding).append(_GAP)
        text = Text(line[-1])
        text.truncate(room, overflow="ellipsis")
        shown.append_text(text)
        shown.rstrip()
        console.print(shown, soft_wrap=True)


def enum_word(enum: EnumDescriptor, number: int) -> str:
    """Return the name of a value in small letters, without what all names of its kind begin with."""
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    value = enum.values_by_number.get(number)
    return value.name.removeprefix(prefix).lower() if value else str(number)


def enum_words(enum: EnumDescriptor) -> list[str]:
    """Return the names of all values but the unspecified one."""
    return [enum_word(enum, value.number) for value in enum.values if value.number]


def version_ranges(ranges: Iterable[VersionRange]) -> str:
    """Return ranges of versions in words."""
    runs = [(run.first_version, run.last_version) for run in ranges]
    return "versions " + ", ".join(f"{first}" if first == last else f"{first} to {last}" for first, last in runs)


def beginning(message: Message) -> str:
    """Return how a message begins, on one line."""
    if message.HasField("redact_time"):
        return "(redacted)"
    return one_line(preview(message.SerializeToString(deterministic=True)))
