"""Files of lines: plain and zipped, damaged, too long, and never whole in memory."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from kata_grpc.formats import ConversionError, ReadError, read_conversations, read_lines

if TYPE_CHECKING:
    from pathlib import Path

ONE = b'{"id":"1","messages":[{"role":"user","content":"hi"}]}'
TWO = b'{"id":"2","messages":[]}'


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
@pytest.mark.parametrize(
    "data",
    [
        ONE + b"\n" + TWO + b"\n",
        ONE + b"\r\n" + TWO + b"\r\n",
        b"\xef\xbb\xbf" + ONE + b"\n" + TWO,
    ],
)
def test_lines_are_read_whatever_ends_them(tmp_path: Path, name: str, data: bytes) -> None:
    assert [(line.number, line.data) for line in read_lines(write(tmp_path / name, data))] == [(1, ONE), (2, TWO)]


def test_blank_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b"\n  \n" + ONE + b"\n\t\n\n" + TWO + b"\n\n")

    assert [line.number for line in read_lines(path)] == [3, 6]


def test_zipped_is_told_by_content_not_name(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(gzip.compress(ONE))
    (tmp_path / "b.jsonl.gz").write_bytes(ONE)

    assert [line.data for name in ("a.jsonl", "b.jsonl.gz") for line in read_lines(tmp_path / name)] == [ONE, ONE]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    assert list(read_lines(write(tmp_path / "a.jsonl", b""))) == []
    assert list(read_conversations(write(tmp_path / "a.jsonl.gz", b""))) == []


def test_the_position_reaches_the_size_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.gz", (ONE + b"\n") * 1000)

    assert [line.position for line in read_lines(path)][-1] == path.stat().st_size


def test_a_truncated_zipped_file_names_file_and_line(tmp_path: Path) -> None:
    whole = gzip.compress(b"".join(json.dumps({"id": str(i), "messages": []}).encode() + b"\n" for i in range(100_000)))
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    read: list[int] = []

    with pytest.raises(ReadError) as caught:
        read.extend(line.number for line in read_lines(path))

    assert read
    assert str(caught.value) == f"{path}:{read[-1] + 1}: the gzip file is truncated"


@pytest.mark.parametrize(
    "damage", [b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xff\xff\xff", b"\x1f\x8bnot gzip at all"]
)
def test_a_damaged_zipped_file_names_file_and_line(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(damage)

    with pytest.raises(ReadError, match=r"a\.jsonl\.gz:1: the gzip file is damaged"):
        list(read_conversations(path))


@pytest.mark.parametrize("over", [1, 2, 3, len(ONE) // 2])
def test_a_line_over_the_bound_is_refused_with_the_number_and_the_next_is_read(tmp_path: Path, over: int) -> None:
    path = write(tmp_path / "a.jsonl", TWO + b"\n" + ONE + b" " * over + b"\n" + TWO + b"\n")

    assert [line.error for line in read_lines(path, len(ONE) + over)] == [None, None, None]
    first, refused, last = read_lines(path, len(ONE) + over - 1)

    assert (first.number, first.data, first.error) == (1, TWO, None)
    assert (refused.number, refused.data) == (2, b"")
    assert str(refused.error) == f"{path}:2: the line is longer than {len(ONE) + over - 1} bytes"
    assert (last.number, last.data, last.error) == (3, TWO, None)
    entries = list(read_conversations(path, max_line_bytes=len(ONE) + over - 1))
    assert [entry.conversation is None for entry in entries] == [False, True, False]


def test_a_huge_zipped_line_is_refused_without_being_held(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(100):
            file.write(b" " * 1_000_000)
        file.write(b"\n" + ONE)
    bound = 4_000_000
    tracemalloc.start()
    try:
        refused, read = read_conversations(path, max_line_bytes=bound)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 4 * bound
    assert "4000000 bytes" in str(refused.error)
    assert read.conversation is not None


def test_a_refused_line_is_named_and_the_next_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        b'{"id":\n' + ONE + b'\n{"id":"\xff"}\n{"id":3,"messages":[5]}\n' + TWO + b"\n",
    )
    entries = list(read_conversations(path))

    assert [entry.conversation.id if entry.conversation else str(entry.error) for entry in entries] == [
        f"{path}:1: not JSON: Expecting value at character 7",
        "1",
        f"{path}:3: not UTF-8: byte 8 of the line, invalid start byte",
        f"{path}:4: id: not a string",
        "2",
    ]
    assert [type(entry.error) for entry in entries] == [ReadError, type(None), ReadError, ConversionError, type(None)]


def test_a_line_that_tells_nothing_is_in_the_format_of_one_that_does(tmp_path: Path) -> None:
    anthropic = b'{"id":"3","system":"s","messages":[]}'
    path = write(tmp_path / "a.jsonl", b"broken\n" + ONE + b"\n" + anthropic + b"\n")

    formats = [entry.conversation.format for entry in read_conversations(path) if entry.conversation]

    assert formats == ["anthropic", "anthropic"]
    assert [entry.conversation.format for entry in read_conversations(path, "openai") if entry.conversation] == [
        "openai",
        "openai",
    ]
