"""What is imported comes back: all recorded conversations, in both formats, once however often they are imported."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING

import grpc
import pytest
from kata.context.v1 import context_pb2, message_pb2
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

from tests.cli.command import Command, conversation, data_files, exactly, read_lines, write_lines

if TYPE_CHECKING:
    from pathlib import Path

    from tests.clients.process import ServerProcess

_AGAIN = 4
"""So many of the smallest files are imported twice; all of them would only take longer."""


def bag(lines: list[bytes]) -> Counter[str]:
    """Lines in any order, each by all that it says; the members of its objects in one order."""
    return Counter(json.dumps(exactly(line), sort_keys=True) for line in lines)


def of(contexts: ContextServiceStub, name: str) -> context_pb2.Context:
    """The context of a conversation."""
    (found,) = contexts.ListContexts(cs.ListContextsRequest(name_prefix=name)).contexts
    return found


@pytest.mark.holds("I1")
def test_all_recorded_conversations_come_back_equal_and_are_imported_once(own_server: ServerProcess) -> None:
    kata, files = Command(own_server.address), data_files()
    given = [line for path in files for line in read_lines(path)]
    count = sum(len(json.loads(line)["messages"]) for line in given)

    begun = time.perf_counter()
    report = json.loads(kata.ok("import", "--json", *files).output)
    took = time.perf_counter() - begun
    exported = kata.ok("export", "--all").lines
    few = sorted(files, key=lambda path: path.stat().st_size)[:_AGAIN]
    again = json.loads(kata.ok("import", "--json", *few).output)

    print(f"\nimport: {len(given)} conversations, {count} messages, {took:.1f} s, {count / took:.0f} messages/s")
    # An Anthropic line may spell its system instruction as a message, so that messages of a context may be one more.
    assert report["conversations"] == len(given)
    assert report["messages"] >= count
    assert report["replayed"] == 0
    assert report["errors"] == []
    assert bag(exported) == bag(given)
    assert again["replayed"] == again["messages"] > 0
    assert len(kata.ok("export", "--all").lines) == len(given)


def test_arguments_of_tools_come_back_byte_for_byte(
    kata: Command, contexts: ContextServiceStub, tmp_path: Path
) -> None:
    arguments = '{ "b":1.50,"a" : 1e400, "a": "\\u00e9/\\/", "broken'
    tool_input = b'{"z": 1.50, "a": [1E2, -0.0, 12345678901234567890], "\\u00e9": "\\/"}'
    openai = {
        "id": "bytes/openai",
        "messages": [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}],
            }
        ],
    }
    anthropic = (
        b'{"id": "bytes/anthropic", "messages": [{"role": "assistant", "content": '
        b'[{"type": "tool_use", "id": "1", "name": "f", "input": ' + tool_input + b"}]}]}"
    )
    kata.ok("import", write_lines(tmp_path / "a.jsonl", openai), write_lines(tmp_path / "b.jsonl", anthropic))

    first = kata.ok("export", of(contexts, "bytes/openai").context_id)
    second = kata.ok("export", of(contexts, "bytes/anthropic").context_id)

    assert json.loads(first.output)["messages"][0]["tool_calls"][0]["function"]["arguments"] == arguments
    assert tool_input in second.output


def test_an_import_after_an_append_by_another_program_adds_nothing(
    kata: Command, contexts: ContextServiceStub, messages: MessageServiceStub, tmp_path: Path
) -> None:
    path = write_lines(tmp_path / "a.jsonl", conversation("continued", 5), conversation("continued too", 1_500))
    kata.ok("import", path)
    for name, length in (("continued", 5), ("continued too", 1_500)):
        context = next(
            found
            for found in contexts.ListContexts(cs.ListContextsRequest(name_prefix="continued")).contexts
            if found.name == name
        )
        more = [message_pb2.Message(role=message_pb2.ROLE_USER, text="more")]
        messages.AppendMessages(ms.AppendMessagesRequest(context_id=context.context_id, messages=more))

        report = json.loads(kata.ok("import", "--json", path).output)

        now = contexts.GetContext(cs.GetContextRequest(context_id=context.context_id)).context
        assert report["replayed"] == report["messages"] == 1_505
        assert now.message_count == length + 1


def test_a_conversation_with_a_known_id_and_other_content_is_refused_and_named(
    kata: Command, contexts: ContextServiceStub, tmp_path: Path
) -> None:
    kata.ok("import", write_lines(tmp_path / "a.jsonl", conversation("twice", 2)))
    other = [
        conversation("twice", 3),
        conversation("twice", 2, source="another key"),
        conversation("not twice"),
    ]

    done = kata.run("import", write_lines(tmp_path / "b.jsonl", *other))

    complaint = "the conversation with the id 'twice' was imported before with other content; give it another id"
    assert done.status == 1
    assert sorted(done.errors.splitlines()) == [
        f"kata-grpc: {tmp_path / 'b.jsonl'}:{number}: {complaint}" for number in (1, 2)
    ]
    assert of(contexts, "twice").message_count == 2
    assert of(contexts, "not twice").message_count == 2


def test_export_of_all_in_one_format_names_the_others_and_converts_what_came_by_rpc(
    own_server: ServerProcess, tmp_path: Path
) -> None:
    kata = Command(own_server.address)
    anthropic = {"id": "from anthropic", "system": "Be kind.", "messages": [{"role": "user", "content": "Hello"}]}
    openai = {"id": "from openai", "messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "y"}]}
    kata.ok("import", write_lines(tmp_path / "a.jsonl", anthropic), write_lines(tmp_path / "b.jsonl", openai))
    with grpc.insecure_channel(own_server.address) as channel:
        stub = ContextServiceStub(channel)
        made = stub.CreateContext(cs.CreateContextRequest(name="by rpc")).context.context_id
        told = [message_pb2.Message(role=message_pb2.ROLE_USER, text="Hi")]
        MessageServiceStub(channel).AppendMessages(ms.AppendMessagesRequest(context_id=made, messages=told))
        ids = {found.name: found.context_id for found in stub.ListContexts(cs.ListContextsRequest()).contexts}
    by_rpc = {"id": made, "messages": [{"role": "user", "content": "Hi"}]}

    for wanted, given, other in (("openai", openai, "anthropic"), ("anthropic", anthropic, "openai")):
        done = kata.run("export", "--all", "--format", wanted)
        assert done.status == 3
        assert [json.loads(line) for line in done.lines] == [by_rpc, given]
        left = ids[f"from {other}"]
        assert done.errors == (
            f"kata-grpc: context {left} is not written: it was imported as {other}; name it to have it converted\n"
        )
    assert [json.loads(line) for line in kata.ok("export", "--all").lines] == [by_rpc, openai, anthropic]
    named = kata.ok("export", "--format", "openai", ids["from anthropic"]).lines
    assert [json.loads(line)["messages"] for line in named] == [
        [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}]
    ]


def test_a_conversion_that_would_lose_something_names_the_path_and_the_others_are_written(
    kata: Command, contexts: ContextServiceStub, tmp_path: Path
) -> None:
    thought = {
        "id": "lossy",
        "messages": [
            {"role": "user", "content": "?"},
            {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "xyz"}]},
        ],
    }
    kata.ok(
        "import", write_lines(tmp_path / "a.jsonl", thought), write_lines(tmp_path / "b.jsonl", conversation("fine"))
    )
    lossy, fine = of(contexts, "lossy").context_id, of(contexts, "fine").context_id

    done = kata.run("export", "--format", "openai", lossy, fine)

    assert done.status == 3
    assert [json.loads(line)["id"] for line in done.lines] == ["fine"]
    assert f"kata-grpc: context {lossy} is not written: messages[1].parts[0]" in done.errors
