"""LangChain's windows: `trim_messages` over a list read from PostgreSQL, as the APIs of OpenAI and Anthropic get it.

Run as a module it takes orders. What a provider gets is what LangChain's own adapters make of the messages.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import (
    BaseMessage,
    convert_to_messages,
    convert_to_openai_messages,
    trim_messages,
)
from langchain_core.messages.utils import count_tokens_approximately

from bench.peers.libraries import langchain
from bench.peers.orders import obey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "documented": {"include_system": True, "start_on": "human", "end_on": ("human", "tool")},
}
"""Options beside the strategy "last": none, and those that the documentation of `trim_messages` gives for chats."""


_KEYS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "tool_calls"},
    "tool": {"role", "content", "tool_call_id"},
}


class Windows:
    """Conversations in the table, and the adapter for Anthropic, which is asked for requests and sends none."""

    def __init__(self) -> None:
        self._library = langchain.Library()
        self._anthropic = ChatAnthropic(model_name="claude-sonnet-4-5", api_key="none", timeout=None, stop=None)

    async def open(self, address: str) -> None:
        """Connect."""
        await self._library.open(address)

    async def load(self, conversation: str, messages: list[dict[str, Any]]) -> dict[str, str]:
        """Store a conversation in OpenAI's form; return it whole, as each API gets it.

        Keys that the API does not take are left out: recorded conversations have some, and nothing would be valid.
        """
        converted = convert_to_messages(
            [{key: value for key, value in message.items() if key in _KEYS[message["role"]]} for message in messages]
        )
        for place, message in enumerate(converted):
            message.id = str(place)
        await self._library.add(conversation, converted)
        return {dialect: self._rendered(dialect, converted) for dialect in ("openai_chat", "anthropic")}

    async def window(
        self, conversation: str, budget: int, settings: str, dialect: str, costs: list[int] | None
    ) -> dict[str, Any]:
        """Read a conversation and trim it; return the seconds, the places of what was kept, and what the API gets.

        `costs` are the exact tokens that come once and those of each message; without them LangChain guesses.
        """
        counter = _exact(costs) if costs else count_tokens_approximately
        started = time.perf_counter()
        messages = await self._library.whole(conversation)
        kept = trim_messages(messages, max_tokens=budget, token_counter=counter, strategy="last", **SETTINGS[settings])
        seconds = time.perf_counter() - started
        return {
            "seconds": seconds,
            "kept": [int(str(message.id)) for message in kept],
            "json": self._rendered(dialect, kept),
        }

    async def close(self) -> None:
        """Disconnect."""
        await self._library.close()

    def _rendered(self, dialect: str, messages: list[BaseMessage]) -> str:
        """Return the conversation of a request; "" where the adapter refuses to make one."""
        try:
            if dialect == "openai_chat":
                return json.dumps(convert_to_openai_messages(messages))
            # What is sent has no public name.
            request = self._anthropic._get_request_payload(messages)
            return json.dumps({key: request[key] for key in ("system", "messages") if key in request})
        except (ValueError, KeyError, TypeError, IndexError):
            return ""


def _exact(costs: Sequence[int]) -> Callable[[list[BaseMessage]], int]:
    prime, *each = costs
    return lambda messages: prime + sum(each[int(str(message.id))] for message in messages)


if __name__ == "__main__":
    obey(Windows())
