"""A Node application with @grpc/grpc-js and generated/typescript, against the running server."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID

import asyncpg
import grpc
import pytest
import pytest_asyncio
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub

from tests.clients.process import ServerProcess, node_application, run
from tools import nodejs

BEYOND_DOUBLE = 2**53 + 1
"""The first whole number that a JavaScript `number` cannot hold."""


async def _create(address: str) -> str:
    async with grpc.aio.insecure_channel(address) as channel:
        answer = await ContextServiceStub(channel).CreateContext(cs.CreateContextRequest())
        return answer.context.context_id


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def saw(served: ServerProcess) -> dict[str, Any]:
    """What one session of the application saw: beside a row with a huge counter, and one that is locked."""
    application = await asyncio.to_thread(node_application)
    large, locked = [await _create(served.address) for _ in range(2)]
    connection = await asyncpg.connect(served.url)
    try:
        await connection.execute("update contexts set total_tokens = $2 where id = $1", UUID(large), BEYOND_DOUBLE)
        async with connection.transaction():
            await connection.fetch("select 1 from contexts where id = $1 for update", UUID(locked))
            script = (nodejs.node(), "session.mjs", served.address, large, locked)
            done = await asyncio.to_thread(run, *script, cwd=application)
    finally:
        await connection.execute("update contexts set total_tokens = 0 where id = $1", UUID(large))
        await connection.close()
    assert done.status == 0, done.errors
    session: dict[str, Any] = json.loads(done.output)
    return session


@pytest.mark.holds("I4")
def test_an_append_is_one_even_when_it_is_repeated(saw: dict[str, Any]) -> None:
    first, second = saw["appended"], saw["repeated"]
    assert (first["firstVersion"], first["lastVersion"], first["replayed"]) == ("1n", "3n", False)
    assert (second["firstVersion"], second["lastVersion"], second["replayed"]) == ("1n", "3n", True)


def test_a_tool_call_and_its_result_come_back_exactly(saw: dict[str, Any]) -> None:
    asked, called, answered = saw["listed"]
    assert (asked["text"], asked["parts"]) == ("Rain?", [])
    assert called["parts"][0]["kind"]["value"]["arguments"] == '{"city":  "Zürich", "n": 1.0}'
    assert answered["parts"][0]["kind"]["value"]["text"] == "\u0000 dry"


def test_a_window_streams_in_its_grammar_and_can_be_resumed(saw: dict[str, Any]) -> None:
    window = saw["window"]
    assert window["frames"] == ["header", "chunk", "chunk", "trailer"]
    assert window["versions"] == [f"{version}n" for version in range(1, 601)]
    assert window["resumed"] == ["header", "chunk", "trailer"]
    assert window["first_resumed"] == "513n"
    assert window["header"]["messageCount"] == "600n"


def test_an_int64_is_a_bigint_and_exact_both_ways(saw: dict[str, Any]) -> None:
    assert saw["large"]["totalTokens"] == f"{BEYOND_DOUBLE}n"
    info = saw["conflict"]["details"][0]
    assert (saw["conflict"]["code"], info["reason"]) == ("ABORTED", "VERSION_CONFLICT")
    assert (info["metadata"]["expected"], info["metadata"]["actual"]) == (str(BEYOND_DOUBLE), "3")


def test_the_details_of_an_error_can_be_read(saw: dict[str, Any]) -> None:
    info, bad = saw["invalid"]["details"]
    assert (saw["invalid"]["code"], info["reason"], info["domain"]) == (
        "INVALID_ARGUMENT",
        "INVALID_FIELD",
        "kata.context.v1",
    )
    assert [(one["field"], one["reason"]) for one in bad["fieldViolations"]] == [
        ("context_id", "MALFORMED_ID"),
        ("messages[0]", "REQUIRED"),
    ]


def test_a_deadline_ends_a_call_that_waits(saw: dict[str, Any]) -> None:
    assert saw["late"]["code"] == "DEADLINE_EXCEEDED"
    # The server gives up a moment before the client does; on a busy machine the client may be first.
    assert [info["reason"] for info in saw["late"]["details"]] in (["DEADLINE"], [])
