"""Windows in a shape that the command asks for or the policy holds, and what they say about themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2
from kata.context.v1 import message_service_pb2 as ms

if TYPE_CHECKING:
    from pathlib import Path

    from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
    from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

    from tests.cli.command import Command

ANSWER = "a line that a tool has to say about many things " * 30
TURNS = 6


def _turn(number: int) -> list[message_pb2.Message]:
    """A question, a call, its long result and an answer; every second call is of another tool."""
    tool = "search" if number % 2 else "look"
    call = message_pb2.ToolCallPart(id=f"call {number}", name=tool, arguments="{}")
    result = message_pb2.ToolResultPart(tool_call_id=f"call {number}", text=ANSWER)
    return [
        message_pb2.Message(role=message_pb2.ROLE_USER, text=f"question {number}", labels=[f"turn {number}"]),
        message_pb2.Message(role=message_pb2.ROLE_ASSISTANT, parts=[message_pb2.Part(tool_call=call)]),
        message_pb2.Message(role=message_pb2.ROLE_TOOL, parts=[message_pb2.Part(tool_result=result)]),
        message_pb2.Message(role=message_pb2.ROLE_ASSISTANT, text=f"answer {number}"),
    ]


def _made(contexts: ContextServiceStub, messages: MessageServiceStub) -> str:
    made: str = contexts.CreateContext(cs.CreateContextRequest()).context.context_id
    for number in range(1, TURNS + 1):
        messages.AppendMessages(ms.AppendMessagesRequest(context_id=made, messages=_turn(number)))
    return made


@pytest.fixture(scope="module")
def agent(contexts: ContextServiceStub, messages: MessageServiceStub) -> str:
    """Six turns with a tool: the question of turn n has version 4 n - 3, its result 4 n - 1."""
    return _made(contexts, messages)


def _window(kata: Command, context: str, *words: str | Path) -> Any:
    return json.loads(kata.ok("window", context, "--json", *words).output)


def _versions(window: Any) -> list[int]:
    return [int(message["version"]) for message in window["messages"]]


def _shortened(window: Any) -> dict[int, str]:
    return {
        int(message["version"]): message["elisions"][0]["kind"]
        for message in window["messages"]
        if "elisions" in message
    }


def test_the_options_reach_the_window(kata: Command, agent: str) -> None:
    last = list(range(21, 25))

    assert _versions(_window(kata, agent, "--max-messages", "4")) == last
    assert _versions(_window(kata, agent, "--max-messages", "4", "--pin", "1", "--pin", "6")) == [1, 6, 7, *last]
    assert _versions(_window(kata, agent, "--max-messages", "4", "--pin-label", "turn 2")) == [5, *last]
    elided = _shortened(_window(kata, agent, "--max-part-tokens", "100"))
    assert elided == dict.fromkeys(range(3, 25, 4), "ELISION_KIND_ELIDED")
    cleared = _shortened(_window(kata, agent, "--keep-results", "2", "--exclude-tool", "look"))
    assert cleared == dict.fromkeys((3, 11), "ELISION_KIND_CLEARED")
    assert _shortened(_window(kata, agent, "--keep-results", "2", "--min-gain", "100000")) == {}


def test_a_low_water_mark_keeps_the_start(kata: Command, agent: str) -> None:
    windows = [
        _window(kata, agent, "--budget", "1200", "--low-water", "200", "--at-version", str(version))
        for version in (21, 23, 24)
    ]

    assert len({window["header"]["windowEpoch"] for window in windows}) == 1
    assert "EXCLUSION_REASON_LOW_WATER" in {run["reason"] for run in windows[0]["trailer"]["excluded"]}


def test_an_option_that_does_nothing_alone_is_refused(kata: Command, agent: str) -> None:
    done = kata.run("window", agent, "--exclude-tool", "look", "--min-gain", "5")

    assert done.status == 2
    assert "--exclude-tool needs --keep-results." in done.errors
    assert "--min-gain needs --keep-results or --low-water." in done.errors


def test_room_for_tools_is_in_the_bar(kata: Command, agent: str, tmp_path: Path) -> None:
    (tmp_path / "tools.json").write_text(json.dumps([{"type": "function", "function": {"name": "look"}}]))

    assert "■ tools " in kata.ok("window", agent, "--tools", tmp_path / "tools.json").text
    missing = kata.run("window", agent, "--tools", tmp_path / "none.json")
    assert missing.status == 2
    assert "none.json: No such file or directory" in missing.errors


@pytest.mark.parametrize("width", ["80", "120"])
def test_a_window_is_explained(kata: Command, agent: str, tmp_path: Path, width: str) -> None:
    (tmp_path / "tools.json").write_text("[]")
    shape = ["--budget", "1200", "--reserve", "120", "--low-water", "200", "--pin-label", "turn 1"]
    shape += ["--tools", str(tmp_path / "tools.json")]
    header = _window(kata, agent, *shape)["header"]

    shown = kata.ok("window", agent, "--explain", *shape, COLUMNS=width).text

    rows = {line.split()[0]: line.split() for line in shown.splitlines() if line.split()}
    parts = ["pinned", "tail", "overhead", "tools", "reserve", "unused"]
    assert sum(int(rows[part][1].replace(",", "")) for part in parts) == 1_200
    assert rows["reserve"][:3] == ["reserve", "120", "10.0%"]
    assert rows["accuracy"][1:4] == ["an", "upper", "bound:"]
    assert rows["epoch"][1].rstrip(",") == header["windowEpoch"]
    assert len(rows["SHA-256"][1]) == 64
    assert "policy     the built-in one" in shown
    assert "given up, so that the start then stays for long" in shown
    assert "older than what fits the budget" in shown
    assert "no tool result" in shown
    assert all(
        len(line.rstrip()) <= int(width) for line in shown.splitlines() if "■" not in line and " of " not in line
    )


def test_what_is_shortened_is_explained(kata: Command, agent: str) -> None:
    elided = kata.ok("window", agent, "--explain", "--max-part-tokens", "100").text
    cleared = kata.ok("window", agent, "--explain", "--keep-results", "5").text

    assert elided.count("a long text, of which head and tail stay") == TURNS
    assert cleared.count("a tool result from long ago") == 1


def test_a_policy_is_shown_and_set(
    kata: Command, contexts: ContextServiceStub, messages: MessageServiceStub, tmp_path: Path
) -> None:
    context = _made(contexts, messages)
    path = tmp_path / "policy.json"
    path.write_text('{"window": {"max_messages": 4, "pinned_versions": [1]}}')

    assert "policy" not in json.loads(kata.ok("policy", "show", context, "--json").output)
    done = kata.ok("policy", "set", context, "--file", path, "--json")
    assert json.loads(done.output) == {"window": {"maxMessages": 4, "pinnedVersions": ["1"]}}
    assert json.loads(kata.ok("policy", "show", context, "--json").output)["policy"] == json.loads(done.output)
    assert 'window: {"maxMessages": 4, "pinnedVersions": ["1"]}' in kata.ok("policy", "show", context).text
    assert _versions(_window(kata, context)) == [1, *range(21, 25)]
    assert f"set by revision {TURNS + 1}" in kata.ok("window", context, "--explain").text

    path.write_bytes(done.output)
    assert kata.ok("policy", "set", context, "--file", path, "--json").output == done.output
    path.write_text('{"widow": {}}')
    wrong = kata.run("policy", "set", context, "--file", path)
    assert wrong.status == 2
    assert "--file: " in wrong.errors
    assert "widow" in wrong.errors
    assert "Traceback" not in wrong.errors
