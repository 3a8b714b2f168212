"""Processor time: of processes, and how much of the machine other work had. Reads /proc; measures nothing itself."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class Load:
    """From its making on: what of the processors' time this process and its descendants did not have."""

    def __init__(self) -> None:
        self._started = _machine_seconds(), seconds_of(os.getpid())

    def others(self) -> float:
        """Return the share of all processors that went to other work, the host's included."""
        (busy, total), own = self._started
        busy_now, total_now = _machine_seconds()
        foreign = (busy_now - busy) - (seconds_of(os.getpid()) - own)
        return max(0.0, foreign / (total_now - total))


def _machine_seconds() -> tuple[float, float]:
    """Return the seconds that the processors were busy, and all of them."""
    user, nice, system, idle, waiting, *rest = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
    busy = user + nice + system + sum(rest)
    return busy / _TICKS, (busy + idle + waiting) / _TICKS


def parent_of(pid: int) -> int:
    """Return the parent of a process."""
    return int(_stat(Path(f"/proc/{pid}"))[1])


def seconds_of(pid: int) -> float:
    """Return the seconds of a process and its descendants; of an ended one its parent has them."""
    parents, seconds = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = _stat(entry)
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
        seconds[int(entry.name)] = sum(map(int, fields[11:15])) / _TICKS
    own = {pid}
    while more := {child for child, parent in parents.items() if parent in own} - own:
        own |= more
    return sum(seconds.get(one, 0.0) for one in own)


def _stat(entry: Path) -> list[str]:
    # The name may hold anything, and ends with the last bracket.
    return (entry / "stat").read_text().rpartition(")")[2].split()
