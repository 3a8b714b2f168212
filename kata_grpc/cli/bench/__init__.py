"""`kata-grpc bench`: measure the service on this machine, every figure beside its floor, in one run.

Owns the order of the measurements. Each module beside this one measures one subject and returns its figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from rich.console import Console

from kata_grpc.cli.bench import (
    agents,
    appends,
    compaction,
    compactions,
    forks,
    imports,
    replay,
    rig,
    starts,
    streams,
    watches,
    windows,
    workers,
    writes,
)
from kata_grpc.cli.bench.data import FULL, QUICK, Scale
from kata_grpc.cli.bench.figures import Figure, show
from kata_grpc.cli.bench.load import Load
from kata_grpc.cli.listing import output
from kata_grpc.db.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from kata_grpc.cli import Commands

# In this order: memory while the server is fresh, windows while the long context is as it was filled.
_ON_THE_RIG = {
    "streams": streams.measure,
    "windows": windows.measure,
    "forks": forks.measure,
    "appends": appends.measure,
    "agents": agents.measure,
    "workers": workers.measure,
    "writes": writes.measure,
    "compactions": compactions.measure,
    "import": imports.measure,
}
_WITHOUT_A_DATABASE = {"compaction": compaction.measure}
SUBJECTS = (*_WITHOUT_A_DATABASE, "starts", "watch", "replay", *_ON_THE_RIG)

DESCRIPTION = """\
Measure the service on this machine: start an embedded PostgreSQL in a temporary directory and a server in a process of
its own, fill a table of two million messages (about 4 GB on disk), and measure every figure beside its floor.

Ratios are taken inside one run, call by call in turn, and are the medians of five repetitions: they hold where times
do not, on a machine that has other work. Exits 1 when a target is missed."""


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = commands.add_parser("bench", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the messages, three repetitions; no proof")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=SUBJECTS,
        default=SUBJECTS,
        metavar="SUBJECT",
        help=f"measure these alone: {', '.join(SUBJECTS)}",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Measure, and print the figures."""
    scale = QUICK if args.quick else FULL
    notes = Console(stderr=True, highlight=False)

    def say(what: str) -> None:
        notes.print(f"[dim]measuring: {what}[/]")

    load = Load()
    figures = [
        figure
        for subject, measure in _WITHOUT_A_DATABASE.items()
        if subject in args.only
        for figure in measure(scale, say)
    ]
    if set(args.only) - set(_WITHOUT_A_DATABASE):
        try:
            _on_a_database(scale, args.only, say, figures)
        except BaseException:
            # What was measured until then took minutes.
            show(figures, notes)
            raise
    others = load.others()
    machine = _machine() | {"other work": f"{others:.0%} of the processors"}
    if args.json:
        print(json.dumps({"machine": machine, "figures": [figure.as_json() for figure in figures]}, indent=2))
    else:
        show(figures, output())
        print("; ".join(f"{name} {value}" for name, value in machine.items()))
    return int(any(figure.met is False for figure in figures))


def _on_a_database(scale: Scale, only: Collection[str], say: Callable[[str], None], figures: list[Figure]) -> None:
    with tempfile.TemporaryDirectory(prefix="kata-bench-", ignore_cleanup_errors=True) as folder:
        # PostgreSQL runs as another user when root starts it, and must be able to enter.
        Path(folder).chmod(0o755)
        for alone in ("starts", "replay"):
            (Path(folder) / alone).mkdir()
        embedded = EmbeddedPostgres(Path(folder) / "database")
        embedded.start()
        try:
            uvloop.run(_measure(Path(folder), embedded.url, scale, only, say, figures))
        finally:
            embedded.stop()


async def _measure(
    home: Path, url: str, scale: Scale, only: Collection[str], say: Callable[[str], None], figures: list[Figure]
) -> None:
    """Add figures as they come."""
    if "starts" in only:
        figures += await starts.measure(home / "starts", scale, say)
    if "watch" in only:
        figures += await watches.measure(home / "watch", url, scale, say)
    if "replay" in only:
        figures += await replay.measure(home / "replay", scale, say)
    if not _ON_THE_RIG.keys() & set(only):
        return
    async with rig.assemble(home, url, scale, say) as of:
        for subject, measure in _ON_THE_RIG.items():
            if subject in only:
                figures += await measure(of)


def _machine() -> dict[str, object]:
    return {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
