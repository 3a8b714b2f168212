"""The command behind `make bench-peers`: database, server, a process for each library, all measurements, one table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from rich.console import Console

from bench.peers import contenders, forks, histories, rates, windows
from bench.peers.orders import ROOT, OrderError, worker
from kata_grpc.cli.bench.figures import Figure, MeasurementError, show
from kata_grpc.cli.bench.load import Load
from kata_grpc.cli.bench.processes import service
from kata_grpc.cli.bench.rig import client
from kata_grpc.cli.listing import output
from kata_grpc.db.embedded import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Callable

SUBJECTS = ("rates", "histories", "forks", "windows")
DESCRIPTION = """\
Measure Kata beside libraries that keep conversations in PostgreSQL: appends, reads, growth with history, forks, and
windows. Starts an embedded PostgreSQL, a server and a process for each library. Ratios are taken inside one run, one
after the other in each repetition, and are the medians of five. Exits 1 when a target is missed."""


def main() -> int:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(
        "bench-peers", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="short threads, two repetitions; no proof")
    parser.add_argument("--only", nargs="+", choices=SUBJECTS, default=SUBJECTS, metavar="SUBJECT")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of conversations and budgets")  # noqa: S311
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--python", type=Path, default=ROOT / ".venv-peers" / "bin" / "python", help="of the libraries")
    args = parser.parse_args()
    notes = Console(stderr=True, highlight=False)

    def say(what: str) -> None:
        notes.print(f"[dim]measuring: {what}[/]")

    with tempfile.TemporaryDirectory(prefix="kata-peers-", ignore_cleanup_errors=True) as folder:
        # PostgreSQL runs as another user when root starts it, and must be able to enter.
        Path(folder).chmod(0o755)
        load = Load()
        # As it comes, but for room for the pools of all libraries.
        embedded = EmbeddedPostgres(Path(folder) / "database", {"max_connections": "200"})
        embedded.start()
        figures: list[Figure] = []
        sentences: list[str] = [] if contenders.HAS_STREAM else ["Append stream: not in this build."]
        failed = False
        try:
            uvloop.run(_measure(args, Path(folder), embedded.url, say, figures, sentences))
        except (OrderError, MeasurementError) as error:
            print(f"bench-peers: {error}", file=sys.stderr)
            failed = True  # what was measured before is shown
        finally:
            others = load.others()
            embedded.stop()
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "other work": f"{others:.0%}"}
    if args.json:
        print(json.dumps({"machine": machine, "figures": [figure.as_json() for figure in figures]}, indent=2))
    else:
        show(figures, output())
        print("\n".join(sentences))
        print("; ".join(f"{name} {value}" for name, value in machine.items()))
    return int(failed or any(figure.met is False for figure in figures))


async def _measure(
    args: argparse.Namespace,
    home: Path,
    url: str,
    say: Callable[[str], None],
    figures: list[Figure],
    sentences: list[str],
) -> None:
    """Add figures and sentences as they come."""
    scale = contenders.QUICK if args.quick else contenders.FULL
    settings = {"DATABASE_URL": url, "KATA_MIGRATE": "on", "KATA_LOG_LEVEL": "warning"}
    async with service(home, settings) as server:
        if {"rates", "histories"} & set(args.only):
            async with contenders.processes(args.python, url, server.address, home) as workers:
                if "rates" in args.only:
                    figures += await rates.measure(workers, scale, say)
                if "histories" in args.only:
                    figures += await histories.measure(workers, url, scale, say)
        if "forks" in args.only:
            figures += await forks.measure(args.python, url, server.address, home, scale, say)
        if "windows" in args.only:
            where = await contenders.database(url, "windows")
            module = "bench.peers.libraries.langchain_windows"
            async with worker(args.python, module, "langchain-windows", where, home) as theirs, client(server) as ours:
                made, more = await windows.measure(ours, theirs, scale, args.seed, say)
                figures += made
                sentences += more


if __name__ == "__main__":
    sys.exit(main())
