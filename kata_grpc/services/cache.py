"""A dictionary of bounded size for facts that never change."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(OrderedDict[K, V]):
    """Keeps the `size` entries that were written last."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def __setitem__(self, key: K, value: V) -> None:
        """Write an entry and forget the oldest above the bound."""
        super().__setitem__(key, value)
        if len(self) > self._size:
            self.popitem(last=False)
