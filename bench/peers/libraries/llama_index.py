"""llama-index's PostgreSQL chat store: a row a thread, which holds the array of its messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llama_index.core.llms import ChatMessage, MessageRole
from llama_index.storage.chat_store.postgres import PostgresChatStore
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import sessionmaker

from bench.peers.libraries import CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.libraries import Turn


class Library:
    """The store, over an engine with as many connections as the others have."""

    _engine: AsyncEngine
    _store: PostgresChatStore

    async def open(self, address: str) -> None:
        """Connect, and create the table, which the store does with a connection that blocks."""
        blocking = create_engine(address.replace("postgresql://", "postgresql+psycopg://", 1))
        url = address.replace("postgresql://", "postgresql+asyncpg://", 1)
        self._engine = create_async_engine(url, pool_size=CONNECTIONS, max_overflow=0)
        self._store = PostgresChatStore(sessionmaker(blocking), async_sessionmaker(self._engine), table_name="chat")
        blocking.dispose()

    async def append(self, thread: str, turns: Sequence[Turn]) -> None:
        """Add a message; the store adds one at a time, and several only by writing the whole list again."""
        messages = [
            ChatMessage(role=MessageRole.USER if turn.by_user else MessageRole.ASSISTANT, content=turn.text)
            for turn in turns
        ]
        if len(messages) == 1:
            await self._store.async_add_message(thread, messages[0])
        else:
            await self._store.aset_messages(thread, [*await self._whole(thread), *messages])

    async def read_last(self, thread: str, count: int) -> list[str]:
        """Read the whole list, which is the only way, and cut it."""
        return [str(message.content) for message in (await self._whole(thread))[-count:]]

    async def close(self) -> None:
        """Disconnect."""
        await self._engine.dispose()

    async def _whole(self, thread: str) -> list[ChatMessage]:
        # The store declares messages and returns what they were stored as.
        return [ChatMessage.model_validate(stored) for stored in await self._store.aget_messages(thread)]
