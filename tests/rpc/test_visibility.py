"""Who sees a message, whatever has become of it and however it is read: docs/deletion.md, cell by cell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import policy_service_pb2 as ps
from kata.context.v1 import window_pb2

from kata_grpc.cli.exporting import Exporter
from tests.rpc import build as b
from tests.rpc.forks import child_of
from tests.rpc.serving import Running, loop, read_error, refused
from tests.rpc.watching import watching

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from kata.context.v1 import message_pb2 as pb

pytestmark = [loop, pytest.mark.holds("P24")]

DOC = Path(__file__).parents[2] / "docs/deletion.md"
PLENTY = 1_000_000
VERSION = 4
"""The message that things happen to: of seven the fourth, appended by a call of its own."""
SAYS = "fourth in src/fourth.py " + "and so on " * 60

SHOWN, BARE, OUT, SUMMARY = "shown", "without content", "left out", "in the summary"
ANSWERED, NO_CONTEXT, NO_MESSAGE = "answered", "not found", "no such message"

MATRIX: dict[str, dict[str, str]] = {
    "live": {
        "window": SHOWN,
        "AS_THEN": SHOWN,
        "RAW": SHOWN,
        "AS_THEN, show_deleted": SHOWN,
        "RAW, show_deleted": SHOWN,
        "list": SHOWN,
        "history": SHOWN,
        "get": SHOWN,
        "artifacts": SHOWN,
        "watch": SHOWN,
        "export": SHOWN,
        "fork before": SHOWN,
        "fork after": SHOWN,
        "replayed append": ANSWERED,
    },
    "compacted": {
        "window": SUMMARY,
        "AS_THEN": SHOWN,
        "RAW": SHOWN,
        "AS_THEN, show_deleted": SHOWN,
        "RAW, show_deleted": SHOWN,
        "list": SHOWN,
        "history": SHOWN,
        "get": SHOWN,
        "artifacts": SHOWN,
        "watch": SHOWN,
        "export": SHOWN,
        "fork before": SHOWN,
        "fork after": SUMMARY,
        "replayed append": ANSWERED,
    },
    "removed": {
        "window": OUT,
        "AS_THEN": SHOWN,
        "RAW": SHOWN,
        "AS_THEN, show_deleted": SHOWN,
        "RAW, show_deleted": SHOWN,
        "list": OUT,
        "history": SHOWN,
        "get": NO_MESSAGE,
        "artifacts": OUT,
        "watch": SHOWN,
        "export": OUT,
        "fork before": SHOWN,
        "fork after": OUT,
        "replayed append": ANSWERED,
    },
    "redacted": {
        "window": OUT,
        "AS_THEN": OUT,
        "RAW": OUT,
        "AS_THEN, show_deleted": OUT,
        "RAW, show_deleted": OUT,
        "list": BARE,
        "history": BARE,
        "get": BARE,
        "artifacts": OUT,
        "watch": BARE,
        "export": OUT,
        "fork before": OUT,
        "fork after": OUT,
        "replayed append": ANSWERED,
    },
    "in a soft-deleted context": {
        "window": NO_CONTEXT,
        "AS_THEN": NO_CONTEXT,
        "RAW": NO_CONTEXT,
        "AS_THEN, show_deleted": SHOWN,
        "RAW, show_deleted": SHOWN,
        "list": NO_CONTEXT,
        "history": NO_CONTEXT,
        "get": NO_CONTEXT,
        "artifacts": NO_CONTEXT,
        "watch": NO_CONTEXT,
        "export": NO_CONTEXT,
        "fork before": SHOWN,
        "fork after": NO_CONTEXT,
        "replayed append": ANSWERED,
    },
    "purged": {
        "window": NO_CONTEXT,
        "AS_THEN": NO_CONTEXT,
        "RAW": NO_CONTEXT,
        "AS_THEN, show_deleted": NO_CONTEXT,
        "RAW, show_deleted": NO_CONTEXT,
        "list": NO_CONTEXT,
        "history": NO_CONTEXT,
        "get": NO_CONTEXT,
        "artifacts": NO_CONTEXT,
        "watch": NO_CONTEXT,
        "export": NO_CONTEXT,
        "fork before": SHOWN,
        "fork after": NO_CONTEXT,
        "replayed append": NO_CONTEXT,
    },
}
NOT_BUILT = {"search"}
"""Columns of the page that nothing can be asked of yet."""


@dataclass(frozen=True)
class Scene:
    """A context, and a fork of it that was made before anything became of the message."""

    context_id: str
    fork_id: str


# --- what becomes of it -----------------------------------------------------------------------------------------------


async def stay(server: Running, context_id: str) -> None:
    """Leaves everything as it is."""


async def compact(server: Running, context_id: str) -> None:
    request = ps.CompactContextRequest(context_id=context_id, preserve_recent=1)
    ranges = (await server.policies.CompactContext(request)).compaction.ranges
    assert any(run.first_version <= VERSION <= run.last_version for run in ranges)


async def remove(server: Running, context_id: str) -> None:
    ranges = [ms.VersionRange(first_version=VERSION, last_version=VERSION)]
    await server.messages.RemoveMessages(ms.RemoveMessagesRequest(context_id=context_id, ranges=ranges))


async def redact(server: Running, context_id: str) -> None:
    await server.messages.RedactMessages(ms.RedactMessagesRequest(context_id=context_id, versions=[VERSION]))


async def delete(server: Running, context_id: str) -> None:
    await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))


async def purge(server: Running, context_id: str) -> None:
    await delete(server, context_id)
    await server.contexts.PurgeContext(cs.PurgeContextRequest(context_id=context_id, detach_children=True))


BECOMES: dict[str, Callable[[Running, str], Awaitable[None]]] = {
    "live": stay,
    "compacted": compact,
    "removed": remove,
    "redacted": redact,
    "in a soft-deleted context": delete,
    "purged": purge,
}

# --- how it is read ---------------------------------------------------------------------------------------------------


def seen(messages: Iterable[pb.Message]) -> str:
    """Says how the message is among some, of which others are there."""
    messages = list(messages)
    assert any(m.version != VERSION and m.text for m in messages)
    for message in messages:
        derived = message.derived
        if message.HasField("derived") and derived.first_version <= VERSION <= derived.last_version:
            return SUMMARY
        if message.version == VERSION:
            assert message.text in (SAYS, "")
            return SHOWN if message.text else BARE
    return OUT


def window(view: window_pb2.View.ValueType, **fields: Any) -> Callable[[Running, Scene], Awaitable[str]]:
    async def read(server: Running, scene: Scene) -> str:
        frames = await server.stream(scene.context_id, PLENTY, view=view, **fields)
        messages = [m for frame in frames for m in frame.chunk.messages]
        assert list((await server.window(scene.context_id, PLENTY, view=view, **fields)).messages) == messages
        return seen(messages)

    return read


async def list_(server: Running, scene: Scene) -> str:
    return seen(await server.log(scene.context_id))


async def history(server: Running, scene: Scene) -> str:
    page = await server.messages.ListHistory(ms.ListHistoryRequest(context_id=scene.context_id))
    (revision,) = [revision for revision in page.revisions if revision.first_version == VERSION]
    return SHOWN if revision.preview.startswith("fourth") else BARE


async def get(server: Running, scene: Scene) -> str:
    request = ms.GetMessageRequest(context_id=scene.context_id, version=VERSION)
    return SHOWN if (await server.messages.GetMessage(request)).message.text == SAYS else BARE


async def artifacts(server: Running, scene: Scene) -> str:
    page = await server.policies.ListArtifacts(ps.ListArtifactsRequest(context_id=scene.context_id))
    assert (page.first_version, page.last_version) == (1, 7)
    found = [list(artifact.versions) for artifact in page.artifacts if artifact.text == "src/fourth.py"]
    assert found in ([[VERSION]], [])
    return SHOWN if found else OUT


async def watch(server: Running, scene: Scene) -> str:
    async with watching(server.messages, scene.context_id, from_revision=0, include_messages=True) as open_watch:
        frames = await open_watch.caught_up()
    return seen(m for frame in frames for m in frame.event.messages)


async def export(server: Running, scene: Scene) -> str:
    _, messages = await Exporter(server.channel, {}).read(scene.context_id)
    texts = [message.text or "" for message in messages]
    assert "first" in texts
    assert "" not in texts
    return SHOWN if SAYS in texts else OUT


async def fork_before(server: Running, scene: Scene) -> str:
    assert "fork's" in [m.text for m in (await server.window(scene.fork_id, PLENTY)).messages]
    return seen((await server.window(scene.fork_id, PLENTY)).messages)


async def fork_after(server: Running, scene: Scene) -> str:
    return seen((await server.window(await child_of(server, scene.context_id), PLENTY)).messages)


async def append_again(server: Running, scene: Scene) -> str:
    answer = await server.append(scene.context_id, b.user(SAYS), request_id="fourth")
    assert (answer.replayed, answer.first_version, answer.last_version) == (True, VERSION, VERSION)
    assert SAYS.encode() not in answer.SerializeToString()
    return ANSWERED


READS: dict[str, Callable[[Running, Scene], Awaitable[str]]] = {
    "window": window(window_pb2.VIEW_CURRENT),
    "AS_THEN": window(window_pb2.VIEW_AS_THEN, at_version=VERSION),
    "RAW": window(window_pb2.VIEW_RAW),
    "AS_THEN, show_deleted": window(window_pb2.VIEW_AS_THEN, at_version=VERSION, show_deleted=True),
    "RAW, show_deleted": window(window_pb2.VIEW_RAW, show_deleted=True),
    "list": list_,
    "history": history,
    "get": get,
    "artifacts": artifacts,
    "watch": watch,
    "export": export,
    "fork before": fork_before,
    "fork after": fork_after,
    "replayed append": append_again,
}
REFUSALS = {"CONTEXT_NOT_FOUND": NO_CONTEXT, "MESSAGE_NOT_FOUND": NO_MESSAGE}


async def scene(server: Running) -> Scene:
    context_id = (await server.create()).context_id
    await server.append(context_id, b.user("first"), b.user("second " * 60), b.user("third " * 60))
    await server.append(context_id, b.user(SAYS), request_id="fourth")
    await server.append(context_id, b.user("fifth " * 60), b.user("sixth"), b.user("seventh"))
    fork_id = await child_of(server, context_id)
    await server.append(fork_id, b.user("fork's"))
    return Scene(context_id, fork_id)


CELLS = [(state, read) for state, row in MATRIX.items() for read in row]


@pytest.mark.parametrize(("state", "read"), CELLS, ids=[f"{state} - {read}" for state, read in CELLS])
async def test_what_is_seen(server: Running, state: str, read: str) -> None:
    of = await scene(server)
    await BECOMES[state](server, of.context_id)
    try:
        found = await READS[read](server, of)
    except grpc.RpcError as error:
        found = REFUSALS[read_error(error).reason]
    assert found == MATRIX[state][read]


async def test_the_matrix_has_every_cell() -> None:
    assert set(MATRIX) == set(BECOMES)
    assert all(set(row) == set(READS) for row in MATRIX.values())


async def test_the_page_says_the_same() -> None:
    """The first table of the page, turned round there: a row a way to read, a column a state."""
    lines = DOC.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("| read by |"))
    (_, *states), _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines[start : next(n for n in range(start, len(lines) + 1) if not lines[n].startswith("|"))]
    ]
    said = {re.sub(r"[`*]", "", read): dict(zip(states, cells, strict=True)) for read, *cells in rows}
    for read in NOT_BUILT:
        assert set(said.pop(read).values()) == {"not built yet"}
    assert said == {read: {state: MATRIX[state][read] for state in MATRIX} for read in READS}


async def test_lists_and_messages_of_a_deleted_context_are_shown_to_who_asks(server: Running) -> None:
    of = await scene(server)
    whole = await server.log(of.context_id)
    await remove(server, of.context_id)
    await delete(server, of.context_id)
    for view, then in ((window_pb2.VIEW_RAW, {}), (window_pb2.VIEW_AS_THEN, {"at_version": 7})):
        page = ms.ListMessagesRequest(context_id=of.context_id, view=view, show_deleted=True, page_size=2, **then)
        found: list[pb.Message] = []
        while True:
            answer = await server.messages.ListMessages(page)
            found += answer.messages
            page.page_token = answer.next_page_token
            if not page.page_token:
                break
        assert found == whole
        get = ms.GetMessageRequest(context_id=of.context_id, version=VERSION, view=view, show_deleted=True, **then)
        assert (await server.messages.GetMessage(get)).message == whole[VERSION - 1]


async def test_a_deleted_context_has_no_current_view(server: Running) -> None:
    of = await scene(server)
    await delete(server, of.context_id)
    asked = {"context_id": of.context_id, "show_deleted": True}
    refusals = [
        await refused(server.messages.ListMessages(ms.ListMessagesRequest(**asked))),
        await refused(server.messages.GetMessage(ms.GetMessageRequest(version=1, **asked))),
        await refused(server.window(of.context_id, PLENTY, show_deleted=True)),
        await refused(server.stream(of.context_id, PLENTY, show_deleted=True)),
    ]
    assert [refusal.violations for refusal in refusals] == [[("show_deleted", "EXCLUSIVE")]] * 4


async def test_what_a_deleted_context_still_answers(server: Running) -> None:
    of = await scene(server)
    await delete(server, of.context_id)
    assert (await server.get(of.context_id)).HasField("delete_time")
    lineage = await server.contexts.GetLineage(cs.GetLineageRequest(context_id=of.fork_id))
    assert [ancestor.context_id for ancestor in lineage.ancestors] == [of.context_id]
    assert lineage.ancestors[0].HasField("delete_time")
    assert [m.version for m in await server.log(of.fork_id)] == list(range(1, 9))
    for write in (
        server.append(of.context_id, b.user("x")),
        remove(server, of.context_id),
        redact(server, of.context_id),
        compact(server, of.context_id),
    ):
        assert (await refused(write)).reason == "CONTEXT_NOT_FOUND"
    await server.contexts.UndeleteContext(cs.UndeleteContextRequest(context_id=of.context_id))
    assert seen(await server.log(of.context_id)) == SHOWN


async def test_bringing_a_context_back_brings_no_removed_message_back(server: Running) -> None:
    of = await scene(server)
    await remove(server, of.context_id)
    await delete(server, of.context_id)
    await server.contexts.UndeleteContext(cs.UndeleteContextRequest(context_id=of.context_id))
    assert seen(await server.log(of.context_id)) == OUT
    assert seen((await server.window(of.context_id, PLENTY)).messages) == OUT
