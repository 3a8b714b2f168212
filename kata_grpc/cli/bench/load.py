"""How much of the machine other work had while something was measured. Reads /proc; measures nothing itself."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class Load:
    """From its making on: what of the processors' time this process and its descendants did not have."""

    def __init__(self) -> None:
        self._started = _machine_seconds(), _own_seconds()

    def others(self) -> float:
        """Return the share of all processors that went to other work, the host's included."""
        (busy, total), own = self._started
        busy_now, total_now = _machine_seconds()
        foreign = (busy_now - busy) - (_own_seconds() - own)
        return max(0.0, foreign / (total_now - total))


def _machine_seconds() -> tuple[float, float]:
    """Return the seconds that the processors were busy, and all of them."""
    user, nice, system, idle, waiting, *rest = map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
    busy = user + nice + system + sum(rest)
    return busy / _TICKS, (busy + idle + waiting) / _TICKS


def _own_seconds() -> float:
    """Return the seconds of this process and its descendants; of an ended one its parent has them."""
    parents, seconds = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            # The name may hold anything, and ends with the last bracket.
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])
        seconds[int(entry.name)] = sum(map(int, fields[11:15])) / _TICKS
    own = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in own} - own:
        own |= more
    return sum(seconds[pid] for pid in own)
