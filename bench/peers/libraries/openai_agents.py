"""openai-agents: SQLAlchemySession, a row a message. A session's SQL is compiled for each object, so these are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.extensions.memory import SQLAlchemySession
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bench.peers.libraries import CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.libraries import Turn


class Library:
    """An engine, and the sessions by thread."""

    _engine: AsyncEngine

    def __init__(self) -> None:
        self._sessions: dict[str, SQLAlchemySession] = {}

    async def open(self, address: str) -> None:
        """Connect, and create the tables."""
        url = address.replace("postgresql://", "postgresql+asyncpg://", 1)
        self._engine = create_async_engine(url, pool_size=CONNECTIONS, max_overflow=0)
        await SQLAlchemySession("first", engine=self._engine, create_tables=True).get_items()

    async def append(self, thread: str, turns: Sequence[Turn]) -> None:
        """Add items, in one transaction."""
        await self._session(thread).add_items(
            [{"role": "user" if turn.by_user else "assistant", "content": turn.text} for turn in turns]
        )

    async def read_last(self, thread: str, count: int) -> list[str]:
        """Read the newest items."""
        return [str(item["content"]) for item in await self._session(thread).get_items(limit=count)]

    async def close(self) -> None:
        """Disconnect."""
        await self._engine.dispose()

    def _session(self, thread: str) -> SQLAlchemySession:
        if thread not in self._sessions:
            self._sessions[thread] = SQLAlchemySession(thread, engine=self._engine)
        return self._sessions[thread]
