"""`make demo`: goes through all steps, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.clients.process import run

if TYPE_CHECKING:
    from collections.abc import Iterator


def _working_in(folder: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder):
                yield process
        except psutil.Error:
            continue


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "sample"])
def test_the_demo_shows_every_step_and_leaves_nothing_behind(tmp_path: Path, recorded: bool) -> None:
    data = os.environ.get("KATA_TEST_DATA", "")
    if recorded and not data:
        pytest.skip("no recorded conversations: KATA_TEST_DATA names no folder")

    done = run(
        sys.executable,
        "-m",
        "kata_grpc.cli.demo",
        TMPDIR=str(tmp_path),
        COLUMNS="100",
        KATA_TEST_DATA=data if recorded else "",
    )

    assert (done.status, done.errors) == (0, "")
    assert re.findall(r"^(\d+)\. ", done.output, re.MULTILINE) == [str(step) for step in range(1, 15)]
    assert done.output.count("tokens (o200k_base, openai_chat)") == 3
    assert "nothing is twice" in done.output
    assert "of them in whatever the budget: older than what fits the budget" in done.output
    assert "FAILED_PRECONDITION: The pinned messages" in done.output
    assert "replayed: False" in done.output
    assert "replayed: True" in done.output
    assert "ABORTED: The context is at version" in done.output
    assert "append  user" in done.output
    assert re.search(
        r"└── another try  [0-9a-f]{8}  at \d+: \+1 message, [\d,]+ tokens  ◀\n    └── and one more  ", done.output
    )
    assert re.search(r"^shared up to version \d+, common ancestor [-0-9a-f]{36}$", done.output, re.MULTILINE)
    cost = re.search(r"The view cost ([\d,]+) tokens, and costs ([\d,]+) now, .*\(builtin\)\.", done.output)
    assert cost
    before, after = (int(tokens.replace(",", "")) for tokens in cost.groups())
    assert after < before
    assert re.search(r"^   ## Current state\n   Goal \[v\d+\] user: «", done.output, re.MULTILINE)
    counts = {
        name: tuple(int(number.replace(",", "")) for number in numbers)
        for name, *numbers in re.findall(
            r"^   (before|current view|raw view): ([\d,]+) messages, ([\d,]+) tokens$", done.output, re.MULTILINE
        )
    }
    assert counts["raw view"] == counts["before"] > counts["current view"]
    assert "are the same: True" in done.output
    assert list(tmp_path.iterdir()) == []
    assert list(_working_in(tmp_path)) == []
