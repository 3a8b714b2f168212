"""The tables of docs/policy.md say what the code does."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kata_grpc.domain.policy import BUILT_IN, NAMES, PRESETS, CompactionSettings, problems

TEXT = (Path(__file__).parents[2] / "docs" / "policy.md").read_text(encoding="utf-8")
_SECONDS = "_seconds"


def table(heading: str) -> dict[str, list[str]]:
    """Returns the cells behind the first one of each row of the first table below a heading."""
    below = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in below.splitlines() if line.startswith("| `")
    ]
    return {row[0].strip("`"): row[1:] for row in rows}


def spelled(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value)
    number = f"{value:,}" if isinstance(value, int) else f"{value:g}"
    return f"{number} s" if name.endswith(_SECONDS) else number


def test_every_setting_stands_with_its_default() -> None:
    found = {name: row[0] for name, row in table("Settings").items()}
    assert found == {name.removesuffix(_SECONDS): spelled(name, getattr(BUILT_IN, name)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_bounds_are_those_that_are_held(name: str) -> None:
    bounds = re.fullmatch(r"([\d.,]+) to ([\d.,]+)(?: s)?", table("Settings")[name.removesuffix(_SECONDS)][1])
    if bounds is None:
        assert isinstance(getattr(BUILT_IN, name), bool | tuple)
        return
    kind = type(getattr(BUILT_IN, name))
    least, most = (kind(bound.replace(",", "")) for bound in bounds.groups())
    step = 0.001 if kind is float else 1
    # The share to get down to must be below the one at which it is time, whichever of them is looked at.
    beside = CompactionSettings(low_water=0.05) if name == "threshold" else CompactionSettings(threshold=1.0)

    def refused(value: float) -> bool:
        return any(
            one.field == f"p.{name.removesuffix(_SECONDS)}" for one in problems("p", replace(beside, **{name: value}))
        )

    assert [refused(value) for value in (least - step, least, most, most + step)] == [True, False, False, True]


def test_every_preset_stands_with_what_it_says() -> None:
    expected = {
        name: [
            preset.purpose,
            ", ".join(
                f"{setting} {spelled(setting, value)}"
                for setting in NAMES
                if (value := getattr(preset.settings, setting)) is not None
            ),
        ]
        for name, preset in PRESETS.items()
    }
    assert table("Presets") == expected
