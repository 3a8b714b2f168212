"""Trees of forks for tests, and what is read of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms

from tests.rpc import build as b

if TYPE_CHECKING:
    from tests.rpc.serving import Running


async def told(server: Running, count: int, **fields: Any) -> str:
    """Makes a context of so many messages, each appended by itself."""
    context_id = (await server.create(**fields)).context_id
    for number in range(1, count + 1):
        await server.append(context_id, b.user(f"m{number}"))
    return context_id


async def fork(server: Running, context_id: str, **fields: Any) -> cs.ForkContextResponse:
    return await server.contexts.ForkContext(cs.ForkContextRequest(context_id=context_id, **fields))


async def child_of(server: Running, context_id: str, **fields: Any) -> str:
    return (await fork(server, context_id, **fields)).context.context_id


async def texts(server: Running, context_id: str) -> list[str]:
    return [message.text for message in await server.log(context_id)]


async def history(server: Running, context_id: str, **fields: Any) -> list[ms.Revision]:
    request = ms.ListHistoryRequest(context_id=context_id, **fields)
    found: list[ms.Revision] = []
    while True:
        page = await server.messages.ListHistory(request)
        found.extend(page.revisions)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token
