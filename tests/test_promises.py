"""Each invariant and pitfall of the design that is built has tests that carry its number."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
BUILT = {
    *(f"I{number}" for number in range(1, 13)),
    *(f"P{number}" for number in (1, 2, 3, 5, 6, 7, 8, 9, 10, 12, 14, 16, 17, 19)),
}
"""The other pitfalls come with deletion, compaction and search."""


def test_every_promise_has_a_test() -> None:
    marks = re.compile(r'holds\(((?:"[IP]\d+"(?:, )?)+)\)')
    held = {
        number
        for path in TESTS.rglob("test_*.py")
        for found in marks.findall(path.read_text(encoding="utf-8"))
        for number in re.findall(r"[IP]\d+", found)
    }
    assert BUILT - held == set()
