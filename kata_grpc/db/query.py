"""Named SQL from `.sql` files: the only form in which SQL text reaches the driver.

A file holds blocks that start with `-- name: list_messages_after`; the comment lines below the name say what the
query is for and list its parameters. This module reads and checks the blocks; it runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

_NAME = re.compile(r"^-- name: *(\S*) *$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Query:
    """One statement, with the name that it has in its file."""

    name: str
    text: str


class Queries(Mapping[str, Query]):
    """The statements of one file, as `queries.list_messages_after` or by key."""

    def __init__(self, origin: str, queries: Mapping[str, Query]) -> None:
        self._origin = origin
        self._queries = dict(queries)

    def __getattr__(self, name: str) -> Query:
        try:
            return self._queries[name]
        except KeyError:
            raise AttributeError(f"{self._origin} has no query named {name}") from None

    def __getitem__(self, name: str) -> Query:
        return self._queries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._queries)

    def __len__(self) -> int:
        return len(self._queries)


def load(package: str, filename: str) -> Queries:
    """Read `filename` (a path relative to `package`); ValueError names the block that breaks the format."""
    return parse(filename, resources.files(package).joinpath(filename).read_text(encoding="utf-8"))


def parse(origin: str, source: str) -> Queries:
    """Split the text of a file into its queries."""
    preamble, *pieces = _NAME.split(source)
    if any(line and not line.startswith("--") for line in map(str.strip, preamble.splitlines())):
        raise ValueError(f"{origin}: SQL before the first '-- name:' line")
    queries: dict[str, Query] = {}
    for name, block in zip(pieces[::2], pieces[1::2], strict=True):
        lines = block.strip().splitlines()
        start = next((number for number, line in enumerate(lines) if not line.startswith("--")), len(lines))
        text = "\n".join(lines[start:]).strip().removesuffix(";").rstrip()
        if not name.isidentifier() or name in queries or hasattr(Queries, name):
            raise ValueError(f"{origin}: {name!r} is no name for a query, or stands twice")
        if start == 0 or not text:
            raise ValueError(f"{origin}: {name} needs a comment that says what it is for, and a statement")
        queries[name] = Query(name, text)
    return Queries(origin, queries)
