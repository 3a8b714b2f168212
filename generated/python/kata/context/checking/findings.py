"""Collecting what is wrong with a JSON value. Knows no provider, and nothing of how windows are made."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_PLAIN = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that is broken: the path of the value, and the rule in words."""

    path: str
    rule: str

    def __str__(self) -> str:
        return f"{self.path}: {self.rule}" if self.path else self.rule


@dataclass(slots=True)
class Findings:
    """The problems found so far."""

    problems: list[Problem] = field(default_factory=list)

    def add(self, path: str, rule: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(path, rule))

    def require(self, holds: bool, path: str, rule: str) -> bool:
        """Note a problem unless something holds; return whether it does."""
        if not holds:
            self.add(path, rule)
        return holds

    def members(
        self, value: Any, path: str, required: Collection[str], optional: Collection[str] = ()
    ) -> dict[str, Any]:
        """Return the members of an object that has the keys it must have and no others; none if it is no object."""
        if not isinstance(value, dict):
            self.add(path, "must be an object")
            return {}
        for key in required:
            self.require(key in value, path, f"must have the key {key!r}")
        for key in value:
            self.require(key in required or key in optional, join(path, key), "is not a key of this object")
        return value

    def items(self, value: Any, path: str, *, empty: bool) -> Iterator[tuple[str, Any]]:
        """Yield the items of an array with their paths."""
        if not isinstance(value, list):
            self.add(path, "must be an array")
            return
        self.require(empty or bool(value), path, "must not be an empty array")
        for index, item in enumerate(value):
            yield f"{path}[{index}]", item

    def text(self, value: Any, path: str, *, empty: bool = True, blank: bool = True) -> str:
        """Return a string; "" if it is none."""
        if not isinstance(value, str):
            self.add(path, "must be a string")
            return ""
        if not empty:
            self.require(bool(value), path, "must not be empty")
        if not blank:
            self.require(bool(value.strip()), path, "must not be blank")
        return value

    def matching(self, value: Any, path: str, pattern: str) -> str:
        """Return a string that must match a pattern."""
        text = self.text(value, path)
        self.require(re.fullmatch(pattern, text) is not None, path, f"must match {pattern}")
        return text

    def one_of(self, value: Any, path: str, choices: Collection[str]) -> None:
        """Check a string that is one of a few."""
        self.require(isinstance(value, str) and value in choices, path, f"must be one of {', '.join(sorted(choices))}")


def join(path: str, key: str) -> str:
    """Return the path of a member."""
    if not _PLAIN.fullmatch(key):
        return f"{path}[{key!r}]"
    return f"{path}.{key}" if path else key
