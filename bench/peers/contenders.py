"""Who is compared: names as the table shows them, the processes that are asked, and what each can do."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kata.context.v1 import message_service_pb2 as pb

from bench.peers.orders import Worker, worker
from kata_grpc.db import connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

OURS, STREAM = "kata", "kata-stream"
FASTEST, FASTEST_SERVED = "langchain", "langchain-grpc"
TITLES = {
    OURS: "Kata over gRPC",
    STREAM: "Kata's append stream",
    FASTEST: "langchain-postgres",
    FASTEST_SERVED: "langchain-postgres behind the same gRPC server",
    "llama-index": "llama-index chat store",
    "langgraph": "LangGraph aupdate_state",
    "openai-agents": "OpenAI Agents SQLAlchemySession",
    "openai-agents-new": "OpenAI Agents, a new session object a call",
    "google-adk": "Google ADK DatabaseSessionService",
}
IN_PROCESS = (FASTEST, "llama-index", "langgraph", "openai-agents", "google-adk")
"""Each library once, in the form that measured best."""
TAKES_SEVERAL = (OURS, FASTEST, "langgraph", "openai-agents")
"""Those that add several messages in one call and one transaction."""
HAS_STREAM = "StreamAppends" in pb.DESCRIPTOR.services_by_name["MessageService"].methods_by_name


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    repetitions: int
    seconds: float
    threads: int
    calls: int
    conversations: int
    adds_at: tuple[int, ...]
    reads_at: tuple[int, ...]
    forked: int
    """Messages of the conversation that is forked; a LangGraph thread stores each state whole."""


FULL = Scale(5, 1.0, 64, 8, 150, (10, 1_000, 5_000), (1_000, 10_000), 500)
QUICK = Scale(2, 0.3, 32, 3, 20, (10, 200, 500), (200, 1_000), 100)


@asynccontextmanager
async def processes(python: Path, url: str, address: str, logs: Path) -> AsyncIterator[Mapping[str, Worker]]:
    """Run a process for each contender; a library has a database of its own on the server of `url`."""
    names = [name for name in TITLES if name != STREAM or HAS_STREAM]
    async with AsyncExitStack() as stack:
        started = {}
        for name in names:
            where = address if name in (OURS, STREAM) else await database(url, name)
            started[name] = await stack.enter_async_context(worker(python, "bench.peers.appending", name, where, logs))
        yield started


async def checkpoint(url: str) -> None:
    """Have the database write out what is owed, so that nobody pays for what others filled."""
    connection = await connect.open_connection(url)
    try:
        await connection.execute("checkpoint")
    finally:
        await connection.close()


async def database(url: str, name: str) -> str:
    """Create a database beside that of `url`, and return its URL."""
    made = name.replace("-", "_")
    connection = await connect.open_connection(url)
    try:
        await connection.execute(f'create database "{made}"')
    finally:
        await connection.close()
    before, _, options = url.partition("?")
    return f"{before.rpartition('/')[0]}/{made}?{options}"
