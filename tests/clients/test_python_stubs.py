"""Applications with grpcio and the stubs alone: what the published service configs do when a server dies."""

from __future__ import annotations

import asyncio
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import asyncpg
import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import service_config
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.clients.process import ServerProcess

TIMEOUT = 60.0
_QUICK = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200)]
_WAITING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


@pytest.fixture
def calling() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=8) as threads:
        yield threads


def _channel(address: str, config: str) -> grpc.Channel:
    return grpc.insecure_channel(address, options=[("grpc.service_config", config), *_QUICK])


@asynccontextmanager
async def _rows_locked(url: str, *context_ids: str) -> AsyncIterator[None]:
    """Keeps the contexts' rows from being written for the length of the block."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            ids = [UUID(context_id) for context_id in context_ids]
            await connection.fetch("select 1 from contexts where id = any($1) for update", ids)
            yield
    finally:
        await connection.close()


async def _wait_for(url: str, sql: str, wanted: int, *args: object) -> None:
    connection = await asyncpg.connect(url)
    try:
        end = time.monotonic() + TIMEOUT
        while await connection.fetchval(sql, *args) != wanted:
            assert time.monotonic() < end, f"never {wanted}: {sql}"
            await asyncio.sleep(0.02)
    finally:
        await connection.close()


def _code(error: object) -> grpc.StatusCode:
    assert isinstance(error, grpc.Call)
    return error.code()


def _reason(error: object) -> str:
    assert isinstance(error, grpc.Call)
    raw = dict(error.trailing_metadata() or ())["grpc-status-details-bin"]
    assert isinstance(raw, bytes)
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(raw).details[0].Unpack(info)
    return info.reason


@pytest.mark.holds("I4")
async def test_calls_survive_a_server_that_dies_and_comes_back(
    served: ServerProcess, calling: ThreadPoolExecutor
) -> None:
    """A write whose answer was lost is repeated by the config for callers with request ids, and by no other."""
    url = served.url
    with (
        _channel(served.address, service_config()) as plain,
        _channel(served.address, service_config(with_request_ids=True)) as repeating,
    ):
        contexts = ContextServiceStub(plain)
        ids = [contexts.CreateContext(cs.CreateContextRequest(), timeout=TIMEOUT).context.context_id for _ in range(2)]

        def append(channel: grpc.Channel, context_id: str) -> ms.AppendMessagesResponse:
            message = pb.Message(role=pb.ROLE_USER, text="once")
            request = ms.AppendMessagesRequest(context_id=context_id, messages=[message], request_id="append-1")
            return MessageServiceStub(channel).AppendMessages(request, timeout=TIMEOUT, wait_for_ready=True)

        def read() -> cs.GetContextResponse:
            request = cs.GetContextRequest(context_id=ids[0])
            return contexts.GetContext(request, timeout=TIMEOUT, wait_for_ready=True)

        try:
            async with _rows_locked(url, *ids):
                repeated = calling.submit(append, repeating, ids[0])
                not_repeated = calling.submit(append, plain, ids[1])
                await _wait_for(url, _WAITING, 2)
                served.signal(signal.SIGSTOP)
                reading = calling.submit(read)
                await asyncio.sleep(0.2)
                await asyncio.to_thread(served.kill)
            # PostgreSQL carries out what the dead server had asked for.
            await _wait_for(url, "select sum(latest_version)::int from contexts where id = any($1)", 2, ids)

            failure = await asyncio.to_thread(not_repeated.exception, TIMEOUT)
            assert _code(failure) is grpc.StatusCode.UNAVAILABLE

            await asyncio.to_thread(served.start)
            answer = await asyncio.to_thread(repeated.result, TIMEOUT)
            assert answer.replayed
            assert (answer.first_version, answer.last_version) == (1, 1)
            assert (await asyncio.to_thread(reading.result, TIMEOUT)).context.latest_version == 1
        finally:
            await asyncio.to_thread(served.start)


def test_a_typed_error_is_not_repeated_and_is_read_with_the_public_types(address: str) -> None:
    config = service_config(with_request_ids=True)
    with _channel(address, config) as channel, pytest.raises(grpc.RpcError) as caught:
        ContextServiceStub(channel).GetContext(cs.GetContextRequest(context_id=str(uuid4())), timeout=TIMEOUT)

    assert _reason(caught.value) == "CONTEXT_NOT_FOUND"
