"""langchain-postgres: PostgresChatMessageHistory, a row a message, read as a whole."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import NAMESPACE_OID, uuid5

import psycopg
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_postgres import PostgresChatMessageHistory

from bench.peers.libraries import CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from bench.peers.libraries import Turn

_TABLE = "chat_history"


class Library:
    """Connections, of which a call takes one."""

    def __init__(self) -> None:
        self._connections: list[psycopg.AsyncConnection] = []
        self._idle: asyncio.LifoQueue[psycopg.AsyncConnection] = asyncio.LifoQueue()

    async def open(self, address: str) -> None:
        """Connect, and create the table."""
        for _ in range(CONNECTIONS):
            connection = await psycopg.AsyncConnection.connect(address)
            self._connections.append(connection)
            self._idle.put_nowait(connection)
        await PostgresChatMessageHistory.acreate_tables(self._connections[0], _TABLE)

    async def append(self, thread: str, turns: Sequence[Turn]) -> None:
        """Add messages, in one transaction."""
        await self.add(thread, [(HumanMessage if turn.by_user else AIMessage)(content=turn.text) for turn in turns])

    async def read_last(self, thread: str, count: int) -> list[str]:
        """Read the whole list, which is the only way, and cut it."""
        return [str(message.content) for message in (await self.whole(thread))[-count:]]

    async def add(self, thread: str, messages: Sequence[BaseMessage]) -> None:
        """Add any messages."""
        async with self._history(thread) as history:
            await history.aadd_messages(messages)

    async def whole(self, thread: str) -> list[BaseMessage]:
        """Read all messages."""
        async with self._history(thread) as history:
            messages: list[BaseMessage] = await history.aget_messages()
        return messages

    async def close(self) -> None:
        """Disconnect."""
        for connection in self._connections:
            await connection.close()

    @asynccontextmanager
    async def _history(self, thread: str) -> AsyncIterator[PostgresChatMessageHistory]:
        connection = await self._idle.get()
        try:
            session = str(uuid5(NAMESPACE_OID, thread))
            yield PostgresChatMessageHistory(_TABLE, session, async_connection=connection)
        finally:
            self._idle.put_nowait(connection)
