"""Readers that ask for a large window and take nothing: they hold no connection, little memory, and not for ever."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from kata.context.v1 import message_service_pb2 as ms

from kata_grpc.app import Server
from kata_grpc.config import Settings
from kata_grpc.transport.calls import Writer
from tests.faults.clients import dial
from tests.faults.stalled import HEADERS, read_to_the_end, stalled_call
from tests.faults.waiting import direct, nothing_held, until
from tests.rpc import build as b
from tests.rpc.serving import serve

if TYPE_CHECKING:
    from tests.faults.processes import StartServer
    from tests.rpc.serving import FreshDatabase

_READERS = 50
_MESSAGES = 100_000
_BYTES_OF_A_MESSAGE = 600
_MOST_BYTES_OF_A_READER = 4 * 2**20
"""A page of 2 MiB, a chunk of 1 MiB made of it, and what gRPC buffers; of the 60 MB of the window."""
_POOL = 2
_PATH = "/kata.context.v1.MessageService/StreamWindow"


@dataclass(frozen=True, slots=True)
class LongLog:
    """A context with many messages, in a database of its own."""

    url: str
    context_id: str

    @property
    def request(self) -> bytes:
        """All of it, as a stream."""
        return ms.StreamWindowRequest(context_id=self.context_id, token_budget=10_000_000).SerializeToString()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def long_log(fresh_url: FreshDatabase) -> LongLog:
    url = await fresh_url()
    async with serve(url) as running:
        context_id = (await running.create(tokenizer=b.SIZED)).context_id
        batch = [b.sized(b.user("x" * _BYTES_OF_A_MESSAGE), 10) for _ in range(1_000)]
        for _ in range(_MESSAGES // len(batch)):
            await running.append(context_id, *batch)
    return LongLog(url, context_id)


def _open(stack: ExitStack, address: str, log: LongLog) -> list[socket.socket]:
    """Readers of both kinds: held back by the protocol, and by the socket."""
    windows = [65_535 if number % 2 else None for number in range(_READERS)]
    return [stack.enter_context(stalled_call(address, _PATH, log.request, window)) for window in windows]


async def _begun(readers: list[socket.socket]) -> None:
    """Waits until messages are there for each reader."""

    def begun() -> bool:
        return all(len(reader.recv(2_000, socket.MSG_PEEK)) == 2_000 for reader in readers)

    await until(lambda: asyncio.to_thread(begun), "the beginning of all streams", 60)


@pytest.mark.holds("I11", "P1")
async def test_stalled_readers_hold_no_connection_and_little_memory(
    long_log: LongLog, start_server: StartServer
) -> None:
    server = await start_server(DATABASE_URL=long_log.url, KATA_POOL_MAX=str(_POOL))
    async with server.dialed() as client, direct(long_log.url) as other:
        request = ms.StreamWindowRequest.FromString(long_log.request)
        assert [frame.WhichOneof("frame") async for frame in client.messages.StreamWindow(request)][-1] == "trailer"
        before = server.resident()
        with ExitStack() as stack:
            await _begun(_open(stack, server.address, long_log))
            await nothing_held(other, _POOL)
            stalled = server.resident()
            context_id = await client.create()
            for number in range(1, 51):  # the pool serves others
                assert (await client.append(context_id, [b.user("x")], timeout=5)).last_version == number
            await client.messages.GetWindow(ms.GetWindowRequest(context_id=long_log.context_id, token_budget=8_000))
            assert [frame.WhichOneof("frame") async for frame in client.messages.StreamWindow(request)][-1] == "trailer"
            await nothing_held(other, _POOL)
            grown = max(stalled, server.resident()) - before
        print(f"\n{_READERS} stalled readers: {grown / 2**20:.0f} MiB")
        assert grown < _READERS * _MOST_BYTES_OF_A_READER
        await nothing_held(other, _POOL)


@pytest.mark.holds("I11", "I12")
async def test_stalled_readers_are_let_go(long_log: LongLog) -> None:
    stall = 1.0
    settings = Settings(listen="127.0.0.1:0", database_url=long_log.url, pool_max=_POOL)
    server = Server(settings, stall_seconds=stall)
    others = _writers()  # of tests before, should anything still hold them
    await server.start()
    try:
        with ExitStack() as stack:
            readers = _open(stack, server.address, long_log)
            await _begun(readers)
            begun = time.monotonic()
            await until(
                lambda: not [one for one in _writers() if one not in others], "the end of all streams", 30, pause=0.1
            )
            print(f"\n{_READERS} stalled readers were let go {time.monotonic() - begun:.1f} s after all had begun")
            # The reason waits for a reader who comes back.
            assert await asyncio.to_thread(read_to_the_end, readers[0]) == HEADERS
        async with dial(server.address) as client, direct(long_log.url) as other:
            await client.create()
            await nothing_held(other, _POOL)
    finally:
        await server.stop(1)


def _writers() -> list[Writer]:
    """The streams that are being written by servers of this process."""
    gc.collect()  # a refusal and its traceback hold each other
    return [one for one in gc.get_objects() if isinstance(one, Writer)]
