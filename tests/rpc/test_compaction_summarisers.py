"""Who writes the summary of a compaction: a model over HTTP as it answers and fails, and what is said of it then."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from kata.context.v1 import compaction_pb2 as cp

from tests.rpc.serving import loop, refused, serve
from tests.rpc.test_compaction import begin, commit, compact, compactions, told, versions, view
from tests.rpc.test_compaction_policy import NOW, compaction, set_policy, until
from tests.unit.chat_server import completion, error
from tests.unit.chat_server import serving as chatting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.rpc.serving import Running
    from tests.unit.chat_server import Answer, ChatServer

pytestmark = [loop, pytest.mark.holds("P20")]

SUMMARY = "The goal is to keep the limit of run 4711 at 128 tokens [v2]. Decided: nothing yet. Open: question 8."


@asynccontextmanager
async def with_model(url: str, *answers: Answer, **settings: Any) -> AsyncIterator[tuple[Running, ChatServer]]:
    """A server whose summaries a model writes, and that model."""
    async with chatting(*answers) as chat:
        named = {"summariser": "openai", "summariser_url": chat.url, "summariser_model": "some-model"}
        async with serve(url, **named, **settings) as server:
            yield server, chat


async def test_a_model_writes_the_summary(server: Running) -> None:
    async with with_model(server.url, completion(SUMMARY)) as (other, chat):
        context_id = await told(other, 8)
        done = (await compact(other, context_id, preserve_recent=6)).compaction
        assert (done.summariser, done.model) == ("openai", "some-model-2026")
        assert (done.input_tokens, done.output_tokens, done.attempt) == (700, 30, 1)
        assert done.summary.startswith(SUMMARY)
        assert done.artifacts_kept > 0
        assert "src/kata/window.py" in done.summary, "the artifacts that its text does not name stand behind it"
        window = await view(other, context_id)
        assert versions(window.messages) == [1, 0, *range(26, 34)]
        assert SUMMARY in window.messages[1].text
        # The next one is merged with it.
        await other.append(context_id, *(await view(server, context_id)).messages[-1:])
        await compact(other, context_id, preserve_recent=1)
        assert SUMMARY in chat.requests[-1].user
        assert [line["message"] for line in chat.requests[0].lines()] == list(range(2, 26))


@pytest.mark.parametrize(
    ("answer", "reason", "why"),
    [
        (error(401, "invalid_api_key"), "NO_SUMMARY", "401"),
        (completion("I'm sorry, but I can't help with that."), "SUMMARY_REJECTED", "refused"),
        (completion(""), "SUMMARY_REJECTED", "empty"),
        (completion("Error: 502 Bad Gateway"), "SUMMARY_REJECTED", "error_text"),
        (completion("It was long. " * 4_000), "SUMMARY_REJECTED", "not_shorter"),
    ],
)
async def test_what_a_model_fails_to_write_hides_nothing(
    server: Running, answer: Answer, reason: str, why: str
) -> None:
    async with with_model(server.url, answer, completion(SUMMARY)) as (other, _):
        context_id = await told(other, 8)
        before = await view(other, context_id)
        error = await refused(compact(other, context_id, preserve_recent=6))
        assert error.reason == reason
        assert why in error.metadata["why"]
        (failed,) = await compactions(other, context_id)
        assert (failed.state, failed.revision) == (cp.COMPACTION_STATE_FAILED, 0)
        assert why in failed.reason
        assert list((await view(other, context_id)).messages) == list(before.messages)
        assert (await other.get(context_id)).latest_revision == before.header.snapshot_revision
        again = (await compact(other, context_id, preserve_recent=6)).compaction
        assert (again.state, again.attempt) == (cp.COMPACTION_STATE_COMMITTED, 2)


@pytest.mark.parametrize(
    ("summary", "why"),
    [
        ("", "empty"),
        ("I cannot assist with that request.", "refused"),
        ('{"error": {"message": "Rate limit reached", "type": "requests", "code": 429}}', "error_text"),
        ("It was long. " * 4_000, "not_shorter"),
    ],
)
async def test_callers_are_held_to_the_same(server: Running, summary: str, why: str) -> None:
    context_id = await told(server, 8)
    begun = await begin(server, context_id, preserve_recent=6)
    error = await refused(commit(server, begun, summary))
    assert error.reason == "SUMMARY_REJECTED"
    assert why in error.metadata["why"].split(", ")
    (failed,) = await compactions(server, context_id)
    assert failed.state == cp.COMPACTION_STATE_FAILED


async def test_what_fails_in_the_background_is_left_alone_for_a_while(server: Running) -> None:
    async with with_model(server.url, error(401, "invalid_api_key"), compaction=True) as (other, chat):
        context_id = (await other.create()).context_id
        settings = {"enabled": True, "trigger_groups": 4, "preserve_recent": 2, "debounce": NOW, "cooldown": NOW}
        await set_policy(other, context_id, compaction(**settings))
        messages = (await view(server, await told(server, 8))).messages
        await other.append(context_id, *messages)
        await until(lambda: _failed(other, context_id))
        await other.append(context_id, *messages[-1:])
        await asyncio.sleep(0.5)
        assert [one.state for one in await compactions(other, context_id)] == [cp.COMPACTION_STATE_FAILED]
        assert len(chat.requests) == 1


async def _failed(server: Running, context_id: str) -> bool:
    return any(one.state == cp.COMPACTION_STATE_FAILED for one in await compactions(server, context_id))
