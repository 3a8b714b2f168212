"""google-adk: DatabaseSessionService, a row an event. The session object is kept, which saves loading it each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.adk.events import Event
from google.adk.sessions import DatabaseSessionService, Session
from google.adk.sessions.base_session_service import GetSessionConfig
from google.genai import types

from bench.peers.libraries import CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.peers.libraries import Turn

_APP, _USER = "bench", "someone"


class Library:
    """The service, and the sessions by thread."""

    _service: DatabaseSessionService

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    async def open(self, address: str) -> None:
        """Connect; the tables come with the first session."""
        url = address.replace("postgresql://", "postgresql+asyncpg://", 1)
        self._service = DatabaseSessionService(db_url=url, pool_size=CONNECTIONS, max_overflow=0)

    async def append(self, thread: str, turns: Sequence[Turn]) -> None:
        """Append events, which the service takes one by one."""
        if thread not in self._sessions:
            self._sessions[thread] = await self._service.create_session(app_name=_APP, user_id=_USER, session_id=thread)
        for turn in turns:
            author, role = ("user", "user") if turn.by_user else ("agent", "model")
            content = types.Content(role=role, parts=[types.Part(text=turn.text)])
            await self._service.append_event(self._sessions[thread], Event(author=author, content=content))

    async def read_last(self, thread: str, count: int) -> list[str]:
        """Load the session with its newest events."""
        session = await self._service.get_session(
            app_name=_APP, user_id=_USER, session_id=thread, config=GetSessionConfig(num_recent_events=count)
        )
        if session is None:
            raise LookupError(thread)
        return [event.content.parts[0].text for event in session.events]

    async def close(self) -> None:
        """Disconnect."""
        await self._service.close()
