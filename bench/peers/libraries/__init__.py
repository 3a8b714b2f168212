"""One module a library, all of the same four operations: `open`, `append`, `read_last`, `close`.

Each library is used as its documentation says, in the form that measured best: one pool of `CONNECTIONS`, objects that
are dear to make are kept, and never two calls at a time for one thread.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECTIONS = 16
MODULES = {
    "kata": "service",
    "kata-stream": "service_stream",
    "langchain": "langchain",
    "langchain-grpc": "langchain_served",
    "langgraph": "langgraph",
    "openai-agents": "openai_agents",
    "openai-agents-new": "openai_agents_new",
    "google-adk": "google_adk",
    "llama-index": "llama_index",
}
"""Each contender's module, which has a class `Library`."""


class Turn(NamedTuple):
    """A message of plain text."""

    by_user: bool
    text: str


class Library(Protocol):
    """What is measured of each contender."""

    async def open(self, address: str) -> None:
        """Connect, and create what must be there: `address` is a database's URL, for Kata the server's address."""

    async def append(self, thread: str, turns: Sequence[Turn]) -> None:
        """Add messages to a thread durably, in one call where the library can; a new name makes a new thread."""

    async def read_last(self, thread: str, count: int) -> list[str]:
        """Return the texts of the newest messages, oldest first."""

    async def close(self) -> None:
        """Disconnect."""


class Forkable(Library, Protocol):
    """A contender that can go back."""

    async def fork(self, thread: str, at: int, turn: Turn) -> None:
        """Go on with a message from the point after `at` messages that were appended one by one."""

    async def history(self, thread: str) -> int:
        """Read all points that a thread can be forked at; return how many there are."""


def library(name: str) -> Library:
    """Return a contender; only its own library is imported."""
    made: Library = importlib.import_module(f"bench.peers.libraries.{MODULES[name]}").Library()
    return made
