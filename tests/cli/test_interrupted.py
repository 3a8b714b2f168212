"""Imports that are killed, and imports whose server is: afterwards everything is there, and nothing twice."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING

import grpc
import pytest
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub

from kata_grpc.cli.importing import creation
from kata_grpc.formats import parse_line
from tests.cli.command import Command, conversation, exactly, write_lines

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

    from tests.clients.process import ServerProcess

_SHORT = 300
_LONG = 2_500
_WAIT_SECONDS = 60.0


@pytest.fixture
def conversations() -> list[dict[str, object]]:
    """Many that take one call each, and two that take several batches."""
    short = [conversation(f"short {number}", 6) for number in range(_SHORT)]
    return [conversation("long 1", _LONG), *short, conversation("long 2", _LONG)]


def stored(server: ServerProcess) -> dict[str, int]:
    """The contexts that are there, with how many messages each has."""
    found, token = {}, ""
    with grpc.insecure_channel(server.address) as channel:
        stub = ContextServiceStub(channel)
        while True:
            page = stub.ListContexts(cs.ListContextsRequest(page_size=1_000, page_token=token), timeout=30)
            for context in page.contexts:
                assert context.name not in found, "a conversation is there twice"
                found[context.name] = context.message_count
            token = page.next_page_token
            if not token:
                return found


def wait_for(server: ServerProcess, importing: subprocess.Popen[bytes], contexts: int) -> None:
    """Waits until so many contexts are there."""
    end = time.monotonic() + _WAIT_SECONDS
    while importing.poll() is None and len(stored(server)) < contexts:
        assert time.monotonic() < end, "the import does not get on"
        time.sleep(0.01)


def check_all(kata: Command, conversations: list[dict[str, object]]) -> None:
    """Holds the export against what was to be imported."""
    exported = {json.loads(line)["id"]: exactly(line) for line in kata.ok("export", "--all").lines}
    assert exported == {one["id"]: exactly(json.dumps(one).encode()) for one in conversations}


@pytest.mark.holds("I3", "I4")
def test_a_killed_import_goes_on_where_it_was(
    own_server: ServerProcess, conversations: list[dict[str, object]], tmp_path: Path
) -> None:
    kata = Command(own_server.address)
    path = write_lines(tmp_path / "a.jsonl.gz", *conversations)
    chance = random.Random(7)

    for least in (1, 40, 150):
        with kata.started("import", path) as importing:
            wait_for(own_server, importing, least)
            time.sleep(chance.random() * 0.05)
            importing.kill()
    before = stored(own_server)
    assert 0 < len(before) < len(conversations), "the kill came too late to show anything"
    report = json.loads(kata.ok("import", "--json", path).output)

    assert (report["conversations"], report["errors"]) == (len(conversations), [])
    check_all(kata, conversations)


@pytest.mark.holds("I3", "I4")
def test_an_import_goes_on_when_its_server_was_killed_and_started_again(
    own_server: ServerProcess, conversations: list[dict[str, object]], tmp_path: Path
) -> None:
    kata = Command(own_server.address)
    path = write_lines(tmp_path / "a.jsonl", *conversations)

    with kata.started("import", "--json", path) as importing:
        for least in (5, 150):
            wait_for(own_server, importing, least)
            own_server.kill()
            own_server.start()
        output, errors = importing.communicate(timeout=_WAIT_SECONDS)

    assert (importing.returncode, errors.decode()) == (0, "")
    assert json.loads(output)["conversations"] == len(conversations)
    check_all(kata, conversations)


def test_an_append_between_the_batches_of_a_killed_import_is_not_mixed_in(
    kata: Command, contexts: ContextServiceStub, messages: MessageServiceStub, tmp_path: Path
) -> None:
    """What is left of a conversation is not appended behind something else: it would not come back as it was."""
    one = conversation("cut", 1_200)
    request = creation(parse_line(json.dumps(one).encode()), "")
    context_id = contexts.CreateContext(request).context.context_id
    other = [message_pb2.Message(role=message_pb2.ROLE_USER, text="in between")]
    messages.AppendMessages(ms.AppendMessagesRequest(context_id=context_id, messages=other))

    done = kata.run("import", write_lines(tmp_path / "a.jsonl", one))

    assert done.status == 1
    assert "a.jsonl:1: ABORTED: The context is at version 1, not at 0" in done.errors
    assert contexts.GetContext(cs.GetContextRequest(context_id=context_id)).context.message_count == 1
