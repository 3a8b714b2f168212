"""The bench beside other libraries can ask the service; the libraries themselves are in no environment of the tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench.peers.orders import OrderError, worker

APPENDING = "bench.peers.appending"


async def test_it_appends_to_the_service_and_reads_what_it_appended(address: str, tmp_path: Path) -> None:
    async with worker(Path(sys.executable), APPENDING, "kata", address, tmp_path) as ours:
        await ours.do("fill", thread="long", messages=600)
        assert len(await ours.do("appends", thread="long", calls=3)) == 3
        assert len(await ours.do("reads", thread="long", calls=2)) >= 2

        taken = await ours.do("rate", in_flight=3, seconds=0.2, size=8, threads=6, history=2)

        assert taken["rate"] > 0
        assert 0 < taken["p50"] <= taken["p99"]
        with pytest.raises(OrderError, match=r"kata could not reads: KeyError: 'unknown'"):
            await ours.do("reads", thread="unknown", calls=1)


async def test_a_process_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(OrderError, match="nobody could not open: KeyError: 'nobody'"):
        async with worker(Path(sys.executable), APPENDING, "nobody", "", tmp_path):
            pass
