"""The import of real conversations by the command, beside a plain COPY of the rows that it makes."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from kata_grpc.cli.bench.data import SQL, files
from kata_grpc.cli.bench.figures import Figure, MeasurementError, spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kata_grpc.cli.bench.rig import Rig

_COPIES = 5


async def measure(rig: Rig) -> list[Figure]:
    """Measure one import of all files, by the command as a user runs it, its own start included."""
    paths, what = files()
    rig.say(f"import of {what}")
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kata_grpc.cli", "import", "--json", "--address", rig.service.address, *paths),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, complaints = await process.communicate()
    seconds = time.perf_counter() - started
    if process.returncode:
        raise MeasurementError(f"The import failed: {complaints.decode(errors='replace').strip()}")
    report = json.loads(out)
    rows = await rig.connection.fetch(SQL.imported_rows.text)
    columns = list(rows[0].keys())
    copies = [await _copy(rig, columns, rows) for _ in range(_COPIES)]
    rate, floor = report["messages"] / seconds, len(rows) / spread(copies).median
    return [
        Figure(
            key="import_copy",
            title=f"kata-grpc import of {what}: {report['conversations']:,} conversations, {len(rows):,} messages",
            unit="/s",
            value=rate,
            floor_title="plain COPY of the same rows",
            floor=floor,
            ratio=spread([rate * copy / len(rows) for copy in copies]),
        )
    ]


async def _copy(rig: Rig, columns: Sequence[str], rows: Sequence[Any]) -> float:
    """Return the seconds of one COPY into a table of the same columns, constraints and indexes."""
    await rig.connection.execute(SQL.make_copy_table.text)
    started = time.perf_counter()
    await rig.connection.copy_records_to_table("bench_copy", records=rows, columns=columns)
    seconds = time.perf_counter() - started
    await rig.connection.execute(SQL.drop_copy_table.text)
    return seconds
