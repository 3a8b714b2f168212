"""openai-agents with a session object a call, as a server makes one for each request: its SQL is compiled each time."""

from __future__ import annotations

from agents.extensions.memory import SQLAlchemySession

from bench.peers.libraries import openai_agents


class Library(openai_agents.Library):
    """As the other, but that no session is kept."""

    def _session(self, thread: str) -> SQLAlchemySession:
        return SQLAlchemySession(thread, engine=self._engine)
