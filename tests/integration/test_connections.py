"""Connections are handed out in turn, none is lost, and there are never more than allowed."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from kata_grpc.db import connect
from kata_grpc.db.connections import Connections
from kata_grpc.domain.errors import ShuttingDown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SIZE = 3

pytestmark = pytest.mark.holds("P1", "P2")


@pytest.fixture
async def connections(fresh_db: str) -> AsyncIterator[Connections]:
    opened = Connections(lambda: connect.open_connection(fresh_db), SIZE, idle_seconds=60)
    yield opened
    await opened.close()
    assert (opened._taken, opened._all, opened._idle) == (0, set(), [])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_first_come_first_served(connections: Connections) -> None:
    held = [await connections.take() for _ in range(SIZE)]
    waiting = [asyncio.create_task(connections.take()) for _ in range(5)]
    await asyncio.sleep(0)
    for place, connection in enumerate(held):
        connections.give_back(connection, clean=True)
        await asyncio.sleep(0)
        assert [task.done() for task in waiting] == [n <= place for n in range(5)]
    for task in waiting:
        connections.give_back(await task, clean=True)
    assert len(connections._all) == len(connections._idle) == SIZE


async def test_who_gives_up_while_being_given_one_passes_it_on(connections: Connections) -> None:
    held = [await connections.take() for _ in range(SIZE)]
    first, second = (asyncio.create_task(connections.take()) for _ in range(2))
    await asyncio.sleep(0)
    connections.give_back(held[0], clean=True)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second is held[0]
    for connection in held:
        connections.give_back(connection, clean=True)


async def test_a_broken_connection_leaves_its_place_to_the_next(connections: Connections) -> None:
    held = [await connections.take() for _ in range(SIZE)]
    waiting = asyncio.create_task(connections.take())
    await asyncio.sleep(0)
    held[0].terminate()
    connections.give_back(held[0], clean=False)
    fresh = await waiting
    assert fresh not in held
    assert await fresh.fetchval("select 1") == 1
    held[1].terminate()
    connections.give_back(held[1], clean=True)
    for connection in (held[2], fresh):
        connections.give_back(connection, clean=True)
    assert len(connections._all) == SIZE - 1
    held[2].terminate()
    fresh.terminate()
    again = await connections.take()
    assert await again.fetchval("select 1") == 1, "what broke while it was idle is not handed out"
    connections.give_back(again, clean=True)


async def test_what_cannot_be_opened_leaves_its_place(fresh_db: str) -> None:
    wrong = True

    async def open_one() -> connect.Connection:
        await asyncio.sleep(0.01)
        if wrong:
            raise ConnectionRefusedError
        return await connect.open_connection(fresh_db)

    connections = Connections(open_one, 1, idle_seconds=60)
    for outcome in await asyncio.gather(*(connections.take() for _ in range(3)), return_exceptions=True):
        assert isinstance(outcome, ConnectionRefusedError)
    wrong = False
    connections.give_back(await connections.take(), clean=True)
    await connections.close()


async def test_an_open_transaction_is_rolled_back_before_the_next_one_comes(connections: Connections) -> None:
    connection = await connections.take()
    await connection.execute("begin; create table left_behind (n int)")
    connections.give_back(connection, clean=False)
    await until(lambda: len(connections._idle) == 1)
    again = await connections.take()
    assert again is connection
    assert await again.fetchval("select to_regclass('left_behind')") is None
    connections.give_back(again, clean=True)


async def test_idle_connections_are_closed_and_busy_ones_stay(fresh_db: str) -> None:
    connections = Connections(lambda: connect.open_connection(fresh_db), SIZE, idle_seconds=0.2)
    held = [await connections.take() for _ in range(SIZE)]
    for connection in held[1:]:
        connections.give_back(connection, clean=True)
    await until(lambda: len(connections._all) == 1)
    assert await held[0].fetchval("select 1") == 1
    connections.give_back(held[0], clean=True)
    await until(lambda: not connections._all)
    connections.give_back(await connections.take(), clean=True)
    await connections.close()


async def test_closing_refuses_who_waits_and_lets_the_others_end(connections: Connections) -> None:
    held = [await connections.take() for _ in range(SIZE)]
    waiting = asyncio.create_task(connections.take())
    await asyncio.sleep(0)
    closing = asyncio.create_task(connections.close())
    with pytest.raises(ShuttingDown):
        await waiting
    with pytest.raises(ShuttingDown):
        await connections.take()
    assert await held[0].fetchval("select 1") == 1
    assert not closing.done()
    for connection in held:
        connections.give_back(connection, clean=True)
    await closing


@pytest.mark.parametrize("seed", range(4))
async def test_a_storm_of_takers_that_give_up_break_and_cancel(connections: Connections, seed: int) -> None:
    chance = random.Random(seed)
    served = 0

    async def taker() -> None:
        nonlocal served
        connection = await connections.take()
        clean = False
        try:
            assert len(connections._all) <= SIZE
            fate = chance.random()
            if fate < 0.1:
                connection.terminate()
            elif fate < 0.3:
                await connection.execute("select pg_sleep(0.01)", timeout=0.005)
            else:
                await connection.execute("select 1")
            clean = True
            served += 1
        finally:
            connections.give_back(connection, clean=clean)

    tasks = []
    for _ in range(200):
        tasks.append(asyncio.create_task(taker()))
        if chance.random() < 0.3:
            await asyncio.sleep(chance.random() * 0.01)
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {type(None), asyncio.CancelledError, TimeoutError}
    assert served > 50
    held = [await connections.take() for _ in range(SIZE)]
    assert [await connection.fetchval("select 1") for connection in held] == [1] * SIZE, "all places are there again"
    for connection in held:
        connections.give_back(connection, clean=True)
