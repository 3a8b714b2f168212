"""What a person sees of erasure: what a purge and retention would take, and what they took."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

from tests.cli.command import Command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.clients.process import ServerProcess

pytestmark = pytest.mark.holds("P24")


@pytest.fixture
def own(own_server: ServerProcess) -> Iterator[tuple[Command, ContextServiceStub, MessageServiceStub]]:
    """A server for one test, by command and by stubs."""
    with grpc.insecure_channel(own_server.address) as channel:
        yield Command(own_server.address), ContextServiceStub(channel), MessageServiceStub(channel)


def told(contexts: ContextServiceStub, messages: MessageServiceStub, name: str) -> str:
    context_id: str = contexts.CreateContext(cs.CreateContextRequest(name=name)).context.context_id
    said = [message_pb2.Message(role=message_pb2.ROLE_USER, text=f"message {n}") for n in range(3)]
    messages.AppendMessages(ms.AppendMessagesRequest(context_id=context_id, messages=said))
    return context_id


def test_a_purge_is_shown_refused_and_done(
    kata: Command, contexts: ContextServiceStub, messages: MessageServiceStub
) -> None:
    context_id = told(contexts, messages, "purged")
    child = contexts.ForkContext(cs.ForkContextRequest(context_id=context_id)).context.context_id
    live = kata.run("purge", context_id)
    assert (live.status, live.output) == (1, b"")
    assert live.errors == f"kata-grpc: FAILED_PRECONDITION: Context {context_id} is not deleted.\n"

    contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))
    read = kata.run("purge", context_id, "--dry-run")
    assert (read.status, "Forks read the log" in read.errors) == (1, True)

    shown = kata.ok("purge", context_id, "--dry-run", "--detach-children").text.splitlines()
    assert shown[0].split() == ["rows", "bytes", "table"]
    assert [line.split()[0::2] for line in shown[1:4]] == [["1", "contexts"], ["3", "messages"], ["3", "revisions"]]
    assert shown[4:] == ["Forks that would get a log of their own: 1"]
    done = json.loads(kata.ok("purge", context_id, "--detach-children", "--json").text)
    assert done["detachedCount"] == "1"
    assert {row["table"]: row["rowCount"] for row in done["receipt"]["erased"]} == {
        "contexts": "1",
        "messages": "3",
        "revisions": "3",
    }
    assert kata.run("purge", context_id).errors.startswith(f"kata-grpc: NOT_FOUND: Context {context_id} was purged")
    assert kata.run("history", context_id).status == 1

    contexts.DeleteContext(cs.DeleteContextRequest(context_id=child))
    assert "Purged. Backups" in kata.ok("purge", child).text
    assert kata.run("purge", str(uuid4())).errors.startswith("kata-grpc: NOT_FOUND: There is no context")


def test_a_redaction_is_shown_done_and_in_the_history(
    kata: Command, contexts: ContextServiceStub, messages: MessageServiceStub
) -> None:
    context_id = told(contexts, messages, "redacted")
    shown = kata.ok("redact", context_id, "1-2", "--dry-run").text.splitlines()
    assert [line.split(maxsplit=3) for line in shown] == [
        ["version", "tokens", "role", "content"],
        ["1", "3", "user", "message 0"],
        ["2", "3", "user", "message 1"],
    ]
    assert kata.run("redact", context_id, "4", "--dry-run").errors.startswith("kata-grpc: NOT_FOUND")
    assert kata.run("redact", context_id, "4").errors.startswith("kata-grpc: OUT_OF_RANGE")
    assert kata.run("redact", context_id, "x").status == 2

    done = kata.ok("redact", context_id, "1", "--reason", "a mistake").text.splitlines()
    assert [line.split() for line in done[:3]] == [["rows", "table"], ["1", "messages"], ["1", "redactions"]]
    assert done[3].startswith("Redacted: versions 1, in 1 log. Until the database has vacuumed")
    again = json.loads(kata.ok("redact", context_id, "1-2", "--json").text)
    assert again["receipt"]["redactedBefore"] == [{"firstVersion": "1", "lastVersion": "1"}]
    assert "Redacted before: versions 1" in kata.ok("redact", context_id, "1").text
    listed = kata.ok("redact", context_id, "1-3", "--dry-run", "--json").lines
    assert [json.loads(line).get("text") for line in listed] == [None, None, "message 2"]
    assert kata.ok("redact", context_id, "1", "--dry-run").text.splitlines()[1].endswith("(redacted)")
    history = kata.ok("history", context_id).text
    assert "versions 1: a mistake" in history
    assert "message 0" not in history

    shown = kata.ok("diff", f"{context_id}@0", context_id).text.splitlines()
    assert [line.split()[-1] for line in shown[-3:]] == ["(redacted)", "(redacted)", "2"]

    exported = kata.run("export", context_id)
    assert exported.status == 0
    assert exported.errors == f"kata-grpc: context {context_id}: 2 redacted messages are left out\n"
    (line,) = exported.lines
    assert [message["content"] for message in json.loads(line)["messages"]] == ["message 2"]


def test_retention_is_shown_first_and_then_done(
    own: tuple[Command, ContextServiceStub, MessageServiceStub], own_server: ServerProcess
) -> None:
    command, contexts, messages = own
    first, base, last = (told(contexts, messages, name) for name in ("first", "base", "last"))
    contexts.ForkContext(cs.ForkContextRequest(context_id=base, name="fork"))
    settings = {"DATABASE_URL": own_server.url, "KATA_RETENTION": "*: count=1 purge=1s"}

    shown = command.ok("retention", "--dry-run", **settings).text.splitlines()
    assert shown == [
        "would be deleted, age: 0",
        "would be deleted, idle: 0",
        "would be deleted, count: 2",
        "would be purged, purge: 0",
        "would stay, as forks read them: 1",
        "purges to finish: 0",
    ]
    listed = command.ok("retention", "--dry-run", "--list", "--json", **settings).lines
    assert [json.loads(line) for line in listed] == [
        {"tenant": "default", "context_id": context_id, "name": name, "reason": "count", "has_forks": name == "base"}
        for context_id, name in ((last, "last"), (base, "base"), (first, "first"))
    ]
    table = command.ok("retention", "--dry-run", "--list", **settings).text.splitlines()
    assert table[0].split() == ["tenant", "context", "what", "why", "name"]
    assert table[2].split(maxsplit=2)[1:] == [base, "stays for its forks  count  base"]
    preview = json.loads(command.ok("retention", "--dry-run", "--json", **settings).text)
    assert preview["gone"] == {"age": 0, "idle": 0, "count": 2, "purge": 0}

    done = json.loads(command.ok("retention", "--json", KATA_LOG_LEVEL="error", **settings).text)
    assert done == preview
    for context_id, is_deleted in ((first, True), (base, False), (last, True)):
        context = contexts.GetContext(cs.GetContextRequest(context_id=context_id)).context
        assert context.HasField("delete_time") == is_deleted

    off = command.ok("retention", DATABASE_URL=own_server.url).text
    assert off.startswith("KATA_RETENTION is not set")
    assert command.run("retention", "--list").status == 2
