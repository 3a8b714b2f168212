"""Calls whose results follow one by one, in call order. Knows no provider."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

Call = TypeVar("Call")


class Waiting(Generic[Call]):
    """The calls of one turn that have no result yet."""

    def __init__(self) -> None:
        self._to_come: deque[Call] = deque()
        self._skipped: list[Call] = []

    def __contains__(self, call: object) -> bool:
        return call in self._to_come

    def add(self, call: Call) -> None:
        """Wait for the result of a call."""
        self._to_come.append(call)

    def answer(self, call: object) -> bool:
        """Take a result; return whether it was waited for, and no result of a later call came first."""
        if call not in self._to_come:
            return False
        while (first := self._to_come.popleft()) != call:
            self._skipped.append(first)
        return True

    def close(self) -> list[Call]:
        """Wait no longer; return the calls without a result."""
        left = [*self._skipped, *self._to_come]
        self._skipped.clear()
        self._to_come.clear()
        return left
