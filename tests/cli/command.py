"""The command as its users run it: `kata-grpc` as a process, its output as bytes, and the conversations it works on."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kata_grpc.samples
from tests.clients.process import environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_SECONDS = 300.0
_OTHER_KINDS = (".queries.jsonl.gz", ".passages.jsonl.gz")
Tree = Any
"""JSON with objects as tuples of pairs and numbers as their spelling."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left."""

    status: int
    output: bytes
    errors: str

    @property
    def text(self) -> str:
        return self.output.decode()

    @property
    def lines(self) -> list[bytes]:
        return self.output.splitlines()


@dataclass(frozen=True, slots=True)
class Command:
    """`kata-grpc` with a server to talk to."""

    address: str

    def run(self, *words: str | Path, **environ: str) -> Done:
        """Runs a command to its end."""
        done = subprocess.run(
            self._line(words), env=self._environ(environ), capture_output=True, check=False, timeout=_SECONDS
        )
        return Done(done.returncode, done.stdout, done.stderr.decode())

    def ok(self, *words: str | Path, **environ: str) -> Done:
        """Runs a command that must go well and without a complaint."""
        done = self.run(*words, **environ)
        assert (done.status, done.errors) == (0, ""), done.errors
        return done

    @contextmanager
    def started(self, *words: str | Path, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
        """Starts a command; it has ended when the block has."""
        line, environment = self._line(words), self._environ(environ)
        with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                yield process
            finally:
                process.kill()

    def _line(self, words: Iterable[str | Path]) -> list[str]:
        return [sys.executable, "-m", "kata_grpc.cli", *map(str, words)]

    def _environ(self, more: dict[str, str]) -> dict[str, str]:
        return environment(KATA_LISTEN=self.address, **more)


def data_files() -> list[Path]:
    """Find the sample, which has every kind of content, and the recorded conversations in KATA_TEST_DATA."""
    folder = os.environ.get("KATA_TEST_DATA")
    recorded = Path(folder).glob("*.jsonl.gz") if folder else ()
    sample = Path(kata_grpc.samples.__path__[0]).glob("*.jsonl")
    return [path for path in sorted([*sample, *recorded]) if not path.name.endswith(_OTHER_KINDS)]


def read_lines(path: Path) -> list[bytes]:
    """Reads the lines of a file by other means than the program."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()


def exactly(line: bytes) -> Tree:
    """Parses a line so that equality is exact: types, spelling of numbers, and key order in arguments of tools."""
    return _sorted(
        json.loads(line, object_pairs_hook=tuple, parse_int=_number, parse_float=_number, parse_constant=_number), ""
    )


def _number(spelling: str) -> tuple[str, str]:
    return "number", spelling


def _sorted(tree: Tree, key: str) -> Tree:
    """Turns objects into dicts, whose order does not count, but for what stands in the input of a call."""
    if isinstance(tree, list):
        return [_sorted(item, key) for item in tree]
    if not isinstance(tree, tuple) or tree[:1] == ("number",):
        return tree
    if key == "input":
        return ["in this order", *tree]
    members = {name: _sorted(value, name) for name, value in tree}
    assert len(members) == len(tree), "a key is repeated"
    return members


def conversation(name: str, messages: int = 2, **more: object) -> dict[str, object]:
    """A conversation in OpenAI's form; its texts say where they stand."""
    return {
        "id": name,
        "messages": [
            {"role": "assistant" if place % 2 else "user", "content": f"{name}: message {place}"}
            for place in range(messages)
        ],
        **more,
    }


def write_lines(path: Path, *lines: Mapping[str, object] | bytes) -> Path:
    """Writes conversations, or lines as they are, into a file."""
    data = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path
