"""Each invariant and pitfall of the design that is built has tests that carry its number."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
BUILT = {
    *(f"I{number}" for number in (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12)),
    *(f"P{number}" for number in (1, 2, 3, 5, 6, 7, 8, 9, 10, 12, 16, 17, 19)),
}
"""I8 and the other pitfalls come with forks, compaction and search."""


def test_every_promise_has_a_test() -> None:
    marks = re.compile(r'holds\(((?:"[IP]\d+"(?:, )?)+)\)')
    held = {
        number
        for path in TESTS.rglob("test_*.py")
        for found in marks.findall(path.read_text(encoding="utf-8"))
        for number in re.findall(r"[IP]\d+", found)
    }
    assert BUILT - held == set()
