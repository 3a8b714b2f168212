"""Files that cannot be read as a whole: what is wrong is named by file, line and path, and the rest is imported."""

from __future__ import annotations

import gzip
import json
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
import pytest
from kata.context.v1 import context_service_pb2 as cs

from tests.cli.command import Command, conversation, write_lines

if TYPE_CHECKING:
    from pathlib import Path

    from kata.context.v1.context_service_pb2_grpc import ContextServiceStub

MIB = 1024 * 1024

LINES = {
    "not JSON": (b'{"id": "x", "messages": [}', "not JSON: Expecting value at character 26"),
    "cut": (b'{"id": "x", "messages": [{"role": "us', "not JSON: Unterminated string"),
    "not an object": (b"[1, 2]", "not an object"),
    "NaN": (b'{"id": "x", "messages": [], "usage": NaN}', "not JSON: NaN is not JSON"),
    "not UTF-8": (b'{"id": "\xff", "messages": []}', "not UTF-8: byte 9 of the line"),
    "half a surrogate pair": (
        b'{"id": "x", "messages": [{"role": "user", "content": "\\ud800"}]}',
        "messages[0].content: half of a surrogate pair",
    ),
    "no id": (b'{"messages": []}', "id: missing"),
    "an id of another type": (b'{"id": 5, "messages": []}', "id: not a string"),
    "an empty id": (b'{"id": "", "messages": []}', "id: empty"),
    "an id that is too long": (b'{"id": "' + b"x" * 600 + b'", "messages": []}', "origin.id"),
    "no messages": (b'{"id": "x"}', "messages: missing"),
    "messages of another type": (b'{"id": "x", "messages": {}}', "messages: not an array"),
    "a message of another type": (b'{"id": "x", "messages": [7]}', "messages[0]: not an object"),
    "no role": (b'{"id": "x", "messages": [{"content": "a"}]}', "messages[0].role: missing"),
    "an unknown role": (b'{"id": "x", "messages": [{"role": "king", "content": "a"}]}', "messages[0].role"),
    "a repeated key": (b'{"id": "x", "id": "y", "messages": []}', "id: the key is repeated"),
    "a result without id": (
        b'{"id": "x", "messages": [{"role": "user", "content": "?"}, {"role": "tool", "content": "a"}]}',
        "messages[1].tool_call_id: missing",
    ),
    "nested too deeply": (b'{"id": "x", "messages": [], "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "deep"),
    "a message over the limit": (
        json.dumps(conversation("too large", 1) | {"messages": [{"role": "user", "content": "x" * 9 * MIB}]}).encode(),
        "messages[0]",
    ),
}


def names(contexts: ContextServiceStub, prefix: str) -> set[str]:
    page = contexts.ListContexts(cs.ListContextsRequest(name_prefix=prefix, page_size=1_000))
    return {context.name for context in page.contexts}


def test_lines_that_are_refused_are_named_and_the_others_imported(
    kata: Command, contexts: ContextServiceStub, tmp_path: Path
) -> None:
    lines: list[dict[str, object] | bytes] = []
    for number, (line, _) in enumerate(LINES.values()):
        lines += [conversation(f"beside bad lines {number}"), line]
    path = write_lines(tmp_path / "bad.jsonl", *lines)

    done = kata.run("import", "--json", path)

    report = json.loads(done.output)
    assert done.status == 1
    assert names(contexts, "beside bad lines") == {f"beside bad lines {number}" for number in range(len(LINES))}
    errors = dict(error.removeprefix(f"{path}:").split(": ", 1) for error in report["errors"])
    assert sorted(errors, key=int) == [str(2 * number) for number in range(1, len(LINES) + 1)]
    for number, (name, (_, expected)) in enumerate(LINES.items(), 1):
        assert expected in errors[str(2 * number)], name
    assert all(f"kata-grpc: {error}" in done.errors for error in report["errors"])


def test_all_that_is_wrong_with_a_line_is_named(kata: Command, tmp_path: Path) -> None:
    line = b'{"id": "x", "messages": [{"role": "king", "content": 1}, 5, {"content": "a"}]}'
    done = kata.run("import", write_lines(tmp_path / "a.jsonl", line))
    assert done.status == 1
    for path in ("messages[0].role", "messages[1]", "messages[2].role"):
        assert path in done.errors


def test_a_truncated_file_is_imported_up_to_its_end(
    kata: Command, contexts: ContextServiceStub, tmp_path: Path
) -> None:
    whole = write_lines(tmp_path / "whole.jsonl.gz", *(conversation(f"cut off {n}", 40) for n in range(50)))
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(whole.read_bytes()[: -whole.stat().st_size // 3])
    after = write_lines(tmp_path / "after.jsonl", conversation("cut off, the next file"))

    done = kata.run("import", cut, after)

    found = names(contexts, "cut off")
    assert done.status == 1
    assert f"{cut}:{len(found)}: the gzip file is truncated" in done.errors
    assert 1 < len(found) <= 50
    assert "cut off, the next file" in found


@pytest.mark.holds("I12")
def test_a_line_of_100_mb_is_refused_without_being_held_and_the_next_is_imported(
    kata: Command, contexts: ContextServiceStub, tmp_path: Path
) -> None:
    path = tmp_path / "huge.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(
            json.dumps(conversation("before a huge line")).encode() + b'\n{"id": "huge", "messages": [{"role": "'
        )
        for _ in range(100):
            file.write(b"x" * MIB)
        file.write(b'"}]}\n' + json.dumps(conversation("after a huge line")).encode() + b"\n")

    largest = 0
    with kata.started("import", path) as importing:
        while importing.poll() is None:
            with suppress(psutil.NoSuchProcess, subprocess.TimeoutExpired):
                largest = max(largest, psutil.Process(importing.pid).memory_info().rss)
                importing.wait(0.02)
        _, errors = importing.communicate()

    assert importing.returncode == 1
    assert f"{path}:2: the line is longer than {64 * MIB} bytes" in errors.decode()
    assert names(contexts, "before a huge line") | names(contexts, "after a huge line") == {
        "before a huge line",
        "after a huge line",
    }
    assert largest < 400 * MIB


def test_files_that_are_not_there_or_empty(kata: Command, tmp_path: Path) -> None:
    empty = write_lines(tmp_path / "empty.jsonl")
    done = kata.run("import", tmp_path / "missing.jsonl", empty, tmp_path)
    assert done.status == 1
    assert done.text.strip() == "0 conversations with 0 messages"
    assert done.errors.splitlines() == [
        f"kata-grpc: {tmp_path / 'missing.jsonl'}: there is no such file",
        f"kata-grpc: {tmp_path}: there is no such file",
    ]


def test_real_output_of_models_is_kept(kata: Command, contexts: ContextServiceStub, tmp_path: Path) -> None:
    odd = {
        "id": "odd but real",
        "messages": [
            {"role": "user", "content": ""},
            {"role": "assistant", "content": " \n\t"},
            {"role": "user", "content": "a\x00b \u2028 \U0001f600"},
            {"role": "assistant", "content": None},
        ],
    }
    kata.ok("import", write_lines(tmp_path / "a.jsonl", odd))
    (context,) = contexts.ListContexts(cs.ListContextsRequest(name_prefix="odd but real")).contexts
    assert json.loads(kata.ok("export", context.context_id).output) == odd
