"""Windows as a provider's API takes them."""

from __future__ import annotations

import json

import pytest
from kata.context.v1 import message_pb2, window_pb2

from kata_grpc.dialects import check
from kata_grpc.domain.windows import Dialect
from tests.rpc import build as b
from tests.rpc.serving import Running, loop

pytestmark = [loop, pytest.mark.holds("I6", "P16")]

DIALECTS = {dialect: window_pb2.Dialect.Value(f"DIALECT_{dialect.name}") for dialect in Dialect}


async def conversation(server: Running) -> str:
    """A turn with parallel calls whose results came in completion order, and later text in between."""
    context_id = (await server.create()).context_id
    await server.append(context_id, b.system("Be brief."), b.user("Weather in Bern and Zug?"))
    await server.append(context_id, b.calls("bern", "zug"))
    await server.append(context_id, b.result("zug"), b.result("bern"), b.assistant("Dry in both."), b.user("Thanks!"))
    return context_id


@pytest.mark.parametrize("dialect", Dialect)
async def test_every_dialect_gets_what_its_api_takes(server: Running, dialect: Dialect) -> None:
    context_id = await conversation(server)
    window = await server.window(context_id, 8_000, dialect=DIALECTS[dialect], render=True)
    assert check(dialect, window.rendered_json) == []
    again = await server.window(context_id, 8_000, dialect=DIALECTS[dialect], render=True)
    assert again == window
    bare = await server.window(context_id, 8_000, dialect=DIALECTS[dialect])
    assert bare.rendered_json == ""
    assert bare.messages == window.messages
    assert bare.header == window.header


async def test_results_stand_in_call_order_behind_their_call(server: Running) -> None:
    context_id = await conversation(server)
    window = await server.window(context_id, 8_000, render=True)
    roles = [message.role for message in window.messages]
    assert roles[3:5] == [message_pb2.ROLE_TOOL] * 2
    rendered = json.loads(window.rendered_json)
    assert [message["role"] for message in rendered] == [
        *("system", "user", "assistant", "tool", "tool", "assistant", "user")
    ]
    assert [message["tool_call_id"] for message in rendered if message["role"] == "tool"] == ["bern", "zug"]
    assert not window.adjustments, "an order is no loss"


async def test_anthropic_takes_the_system_text_apart_and_results_in_one_message(server: Running) -> None:
    context_id = await conversation(server)
    window = await server.window(context_id, 8_000, dialect=window_pb2.DIALECT_ANTHROPIC, render=True)
    rendered = json.loads(window.rendered_json)
    assert rendered["system"] == "Be brief."
    assert [message["role"] for message in rendered["messages"]] == ["user", "assistant", "user", "assistant", "user"]
    results = rendered["messages"][2]["content"]
    assert [block["tool_use_id"] for block in results] == ["bern", "zug"]
