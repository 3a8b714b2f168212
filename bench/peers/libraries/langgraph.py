"""langgraph-checkpoint-postgres: AsyncPostgresSaver under a graph of MessagesState, a checkpoint an append.

A saver holds a lock around each of its queries, so each connection has a saver and a graph of its own.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, MessagesState, StateGraph
from psycopg.rows import dict_row

from bench.peers.libraries import CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bench.peers.libraries import Turn


class Library:
    """Graphs, of which a call takes one."""

    def __init__(self) -> None:
        self._connections: list[psycopg.AsyncConnection[dict[str, Any]]] = []
        self._points: defaultdict[str, list[Any]] = defaultdict(list)
        self._idle: asyncio.LifoQueue[Any] = asyncio.LifoQueue()

    async def open(self, address: str) -> None:
        """Connect, and create the tables."""
        drawn = StateGraph(MessagesState)
        drawn.add_node("model", lambda _: {})
        drawn.add_edge(START, "model")
        for number in range(CONNECTIONS):
            connection = await psycopg.AsyncConnection.connect(
                address, autocommit=True, prepare_threshold=0, row_factory=dict_row
            )
            self._connections.append(connection)
            saver = AsyncPostgresSaver(connection)
            if number == 0:
                await saver.setup()
            self._idle.put_nowait(drawn.compile(checkpointer=saver))

    async def append(self, thread: str, turns: Sequence[Turn]) -> None:
        """Update the state, as the node of the model would."""
        messages = [(HumanMessage if turn.by_user else AIMessage)(content=turn.text) for turn in turns]
        async with self._graph() as graph:
            point = await graph.aupdate_state(_config(thread), {"messages": messages}, as_node="model")
        self._points[thread].append(point)

    async def fork(self, thread: str, at: int, turn: Turn) -> None:
        """Update the state of an old checkpoint: what comes of it stands beside what came then, in the same thread."""
        message = (HumanMessage if turn.by_user else AIMessage)(content=turn.text)
        async with self._graph() as graph:
            await graph.aupdate_state(self._points[thread][at - 1], {"messages": [message]}, as_node="model")

    async def history(self, thread: str) -> int:
        """Read all checkpoints, which is the state after each update."""
        async with self._graph() as graph:
            return len([state async for state in graph.aget_state_history(_config(thread))])

    async def read_last(self, thread: str, count: int) -> list[str]:
        """Read the whole state, which is the only way, and cut it."""
        async with self._graph() as graph:
            state = await graph.aget_state(_config(thread))
        return [message.content for message in state.values["messages"][-count:]]

    async def close(self) -> None:
        """Disconnect."""
        for connection in self._connections:
            await connection.close()

    @asynccontextmanager
    async def _graph(self) -> AsyncIterator[Any]:
        graph = await self._idle.get()
        try:
            yield graph
        finally:
            self._idle.put_nowait(graph)


def _config(thread: str) -> dict[str, dict[str, str]]:
    return {"configurable": {"thread_id": thread}}
