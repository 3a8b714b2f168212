"""What a person sees of compactions, policies and artifacts."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import grpc
import pytest
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2, policy_pb2
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

from kata_grpc.cli.policy import SETTINGS
from kata_grpc.domain.policy import PRESETS
from tests.cli.command import Command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.clients.process import ServerProcess

LONG = "We looked at src/kata/window.py and at the log of run 47110; the limit is 128 tokens. " * 8
TURNS = 8


def message(role: message_pb2.Role.ValueType, text: str) -> message_pb2.Message:
    return message_pb2.Message(role=role, text=text)


def talk(contexts: ContextServiceStub, messages: MessageServiceStub, output: str = "all passed") -> str:
    """Eight turns with a tool, the newest of which failed: 33 messages."""
    context_id: str = contexts.CreateContext(cs.CreateContextRequest()).context.context_id
    said = [message(message_pb2.ROLE_SYSTEM, "You help.")]
    for turn in range(1, TURNS + 1):
        call = message_pb2.ToolCallPart(id=f"c{turn}", name="bash", arguments=f'{{"cmd":"pytest t{turn}.py"}}')
        text = "exit code: 2\nE: broken" if turn == TURNS else f"exit code: 0\n{output}"
        result = message_pb2.ToolResultPart(tool_call_id=f"c{turn}", text=text)
        said += [
            message(message_pb2.ROLE_USER, f"Question {turn}: {LONG}"),
            message_pb2.Message(role=message_pb2.ROLE_ASSISTANT, parts=[message_pb2.Part(tool_call=call)]),
            message_pb2.Message(role=message_pb2.ROLE_TOOL, parts=[message_pb2.Part(tool_result=result)]),
            message(message_pb2.ROLE_ASSISTANT, f"Answer {turn}: {LONG}"),
        ]
    messages.AppendMessages(ms.AppendMessagesRequest(context_id=context_id, messages=said))
    return context_id


@pytest.fixture
def told(contexts: ContextServiceStub, messages: MessageServiceStub) -> str:
    return talk(contexts, messages)


def shown(kata: Command, context_id: str, *words: str) -> list[int]:
    window = json.loads(kata.ok("window", context_id, "--budget", "100000", "--json", *words).output)
    return [int(one.get("version", 0)) for one in window["messages"]]


def test_a_compaction_is_shown_made_undone_and_made_again(kata: Command, told: str) -> None:
    everything = list(range(1, 34))
    keep = ("--preserve-recent", "6")
    preview = kata.ok("compact", told, "--preview", *keep).text.splitlines()
    assert preview[0].split() == ["messages", "before", "after", "rung"]
    count, before, most, rung = preview[1].split()
    assert (count, rung) == ("24", "summarise")
    assert preview[2] == "Would be hidden: versions 2 to 25; 24 messages in 18 groups."
    assert preview[3] == f"The view costs {before} tokens, and then {most} at most."
    assert preview[4] == "Groups that stay: 1 system, 5 recent, 1 turn."
    assert re.fullmatch(r"The summary by rule, with \d+ artifacts; \d+ have no room:", preview[5])
    assert preview[7].startswith("Summary of messages 2 to 25, by rule.")
    assert preview[8] == "## Current state"
    assert shown(kata, told) == everything, "a preview writes nothing"
    assert json.loads(kata.ok("compact", told, "--preview", "--json", *keep).output)["groupCount"] == "18"

    done = kata.ok("compact", told, *keep).text.splitlines()
    assert done[:2] == preview[:2]
    assert done[2] == "Hidden: versions 2 to 25; 24 messages in 18 groups."
    cost = re.fullmatch(
        r"The view cost ([\d,]+) tokens, and costs ([\d,]+) now, ([\d,]+) of them for the summary \(builtin\).", done[3]
    )
    assert cost
    assert cost[1] == before
    assert int(cost[2].replace(",", "")) <= int(most.replace(",", "")) < int(before.replace(",", ""))
    made = re.fullmatch(r"Compaction ([-0-9a-f]{36}), revision 2; --revert undoes it.", done[4])
    assert made
    compaction_id = made[1]
    assert shown(kata, told) == [1, 0, *range(26, 34)]
    assert shown(kata, told, "--view", "raw") == everything, "nothing is destroyed"
    assert kata.ok("compact", told, *keep).text == "Nothing to compact: all groups are protected.\n"
    nothing = kata.ok("compact", told, "--preview", *keep).text.splitlines()
    assert nothing[0] == "Nothing would be compacted: all groups are protected."
    assert nothing[1] == f"The view costs {cost[2]} tokens."

    assert kata.ok("compact", told, "--revert").text == "Since revision 3 no compaction is in force.\n"
    assert shown(kata, told) == everything
    again = kata.run("compact", told, "--revert")
    assert (again.status, again.output) == (1, b"")
    assert again.errors.startswith("kata-grpc: FAILED_PRECONDITION: ")
    put = kata.ok("compact", told, "--reapply", compaction_id).text
    assert put == f"Since revision 4 compaction {compaction_id} is in force: hidden: versions 2 to 25.\n"
    assert shown(kata, told) == [1, 0, *range(26, 34)]
    back = json.loads(kata.ok("compact", told, "--revert", compaction_id, "--json").output)
    assert back == {"revision": "5"}


def test_compactions_are_listed_newest_first(kata: Command, told: str) -> None:
    for keep in ("20", "10"):
        kata.ok("compact", told, "--preserve-recent", keep)
    lines = kata.ok("compact", told, "--list").text.splitlines()
    assert lines[0].split() == ["begun", "at", "(UTC)", "compaction", "state", "by", "before", "after", "what"]
    rows = [line.split(maxsplit=7) for line in lines[1:]]
    assert [row[3:5] for row in rows] == [["committed", "request"]] * 2
    assert all(int(row[6].replace(",", "")) < int(row[5].replace(",", "")) for row in rows)
    assert [row[7] for row in rows] == ["hidden: versions 2 to 20", "hidden: versions 2 to 6"]
    listed = [json.loads(line) for line in kata.ok("compact", told, "--list", "--json").lines]
    assert [one["compactionId"] for one in listed] == [row[2] for row in rows]
    assert listed[0]["previousCompactionId"] == listed[1]["compactionId"]
    assert kata.run("compact", told, "--preserve-recent", "0").errors.startswith("kata-grpc: INVALID_ARGUMENT")


def test_what_is_left_out_is_told(kata: Command, contexts: ContextServiceStub, messages: MessageServiceStub) -> None:
    """With a target the cheap rungs come first, and nothing is hidden where they are enough."""
    told = talk(contexts, messages, output="all passed, " * 400)
    target = ("--target-tokens", "9000", "--preserve-recent", "4")
    preview = kata.ok("compact", told, "--preview", *target).text.splitlines()
    assert [line.split()[-1] for line in preview[:2]] == ["rung", "clear_tool_results"]
    assert preview[2].startswith("The view costs ")
    done = kata.ok("compact", told, *target).text.splitlines()
    assert re.fullmatch(r"The view cost [\d,]+ tokens, and costs [\d,]+ now\.", done[2])
    assert kata.ok("compact", told, "--list").text.splitlines()[1].endswith("  results cleared: versions 1 to 12")
    below = kata.ok("compact", told, *target).text
    assert below == "Nothing to compact: the view costs no more than the target.\n"


def settings(text: str) -> dict[str, tuple[str, str]]:
    """Returns value and layer of each setting in a table."""
    rows = [re.fullmatch(r"(\w+) +(built in|tenant|context|request) +(.*)", line) for line in text.splitlines()]
    return {row[1]: (row[3], row[2]) for row in rows if row}


@pytest.fixture
def own(own_server: ServerProcess) -> Iterator[tuple[Command, str]]:
    """A server for one test, which sets the tenant's policy, and a context there."""
    with grpc.insecure_channel(own_server.address) as channel:
        yield Command(own_server.address), talk(ContextServiceStub(channel), MessageServiceStub(channel))


def test_a_policy_says_what_holds_and_whose_word_it_is(own: tuple[Command, str]) -> None:
    kata, told = own
    first = kata.ok("policy", "show", told).text
    held = settings(first)
    assert set(held) == set(SETTINGS) - {"preset"}
    assert {layer for _, layer in held.values()} == {"built in"}
    assert (held["enabled"][0], held["threshold"][0], held["cooldown"][0]) == ("no", "0.8", "0:01:00")
    assert held["rungs"][0] == "clear_tool_results, elide_parts, summarise"
    for name, preset in PRESETS.items():
        assert re.search(rf"^{name} +{re.escape(preset.purpose)}$", first, re.MULTILINE)

    tenants = settings(
        kata.ok(
            "policy", "set", "--tenant-wide", "--preset", "chat", "--budget-tokens", "128000", "--cooldown", "5m"
        ).text
    )
    assert (tenants["enabled"], tenants["budget_tokens"]) == (("yes", "tenant"), ("128,000", "tenant"))
    held = settings(
        kata.ok(
            "policy", "set", told, "--preserve-recent", "3", "--no-enabled", "--rung", "summarise", "--threshold", "0.7"
        ).text
    )
    assert held["preserve_recent"] == ("3", "context")
    assert held["enabled"] == ("no", "context")
    assert held["rungs"] == ("summarise", "context")
    assert held["threshold"] == ("0.7", "context")
    assert held["budget_tokens"] == ("128,000", "tenant")
    assert held["cooldown"] == ("0:05:00", "tenant")
    assert held["debounce"] == ("0:00:02", "built in")

    changed = settings(kata.ok("policy", "set", told, "--keep-results", "7", "--unset", "enabled").text)
    assert changed["keep_results"] == ("7", "context")
    assert changed["preserve_recent"] == ("3", "context"), "what was not said stays"
    assert changed["enabled"] == ("yes", "tenant")
    assert settings(kata.ok("policy", "show", told).text) == changed
    assert "\npreset: chat\n" in kata.ok("policy", "show", "--tenant-wide").text
    answer = json.loads(kata.ok("policy", "show", "--tenant-wide", "--json").output)
    assert answer["policy"]["compaction"] == {"preset": "chat", "budgetTokens": "128000", "cooldown": "300s"}
    done = json.loads(kata.ok("policy", "set", told, "--trigger-interval", "1.5h", "--all-triggers", "--json").output)
    assert done["compaction"]["triggerInterval"] == "5400s"
    assert done["compaction"]["allTriggers"] is True

    wrong = kata.run("policy", "set", told, "--threshold", "2", "--preserve-recent", "0")
    assert (wrong.status, wrong.output) == (1, b"")
    assert "policy.compaction.threshold: is 2, not 0.1 to 1" in wrong.errors
    assert "policy.compaction.preserve_recent: is 0, not 1 to 10000" in wrong.errors


def test_every_setting_can_be_set() -> None:
    assert list(SETTINGS) == [field.name for field in policy_pb2.CompactionPolicy.DESCRIPTOR.fields]


def test_a_whole_policy_is_set_from_a_file(kata: Command, told: str, tmp_path: Path) -> None:
    kata.ok("policy", "set", told, "--preset", "audit")
    path = tmp_path / "policy.json"
    path.write_text("{}")
    held = settings(kata.ok("policy", "set", told, "--file", path).text)
    assert {layer for _, layer in held.values()} == {"built in"}
    path.write_text('{"compaction": {"preset": "chat", "threshold": 0.9}}')
    held = settings(kata.ok("policy", "set", told, "--file", path, "--threshold", "0.7").text)
    assert (held["threshold"], held["preserve_recent"]) == (("0.7", "context"), ("12", "context"))


def test_artifacts_are_listed_by_kind_and_range(kata: Command, told: str) -> None:
    lines = kata.ok("artifacts", told).text.splitlines()
    assert lines[0].split() == ["kind", "versions", "artifact"]
    rows = [re.split(r" {2,}", line, maxsplit=2) for line in lines[1:]]
    assert ["path", "2, 5, 6 and 13 more", "src/kata/window.py"] in rows
    assert ["quantity", "2, 5, 6 and 13 more", "128 tokens"] in rows
    calls = [row for row in rows if row[0] == "tool_call"]
    assert rows[-TURNS:] == calls, "calls are last"
    assert calls[0][1:] == ["3, 4", 'c1 bash({"cmd":"pytest t1.py"}) answered, exit code 0: exit code: 0']
    assert calls[-1][2] == 'c8 bash({"cmd":"pytest t8.py"}) failed, exit code 2: exit code: 2'

    some = kata.ok("artifacts", told, "--kind", "path", "--kind", "tool_call", "--range", "3-8").text.splitlines()
    assert [line.split()[0] for line in some[1:]] == ["path", "path", "path", "tool_call", "tool_call"]
    ends = {"7": {7}, "7-": set(range(7, 34)), "-9": set(range(1, 10))}
    for words, within in ends.items():
        listed = [json.loads(line) for line in kata.ok("artifacts", told, "--json", f"--range={words}").lines]
        assert {int(one["run"]["version"]) for one in listed if "run" in one} <= within
        assert {int(v) for one in listed if "run" not in one for v in one["versions"]} <= within
        assert listed
    early = [json.loads(line) for line in kata.ok("artifacts", told, "--json", "--at-version", "3").lines]
    assert early[-1]["run"]["outcome"] == "TOOL_OUTCOME_UNANSWERED"
    kata.ok("compact", told)
    assert kata.ok("artifacts", told).text.splitlines() == lines, "what is compacted is listed"


def test_artifacts_of_many_pages_are_each_listed_once(
    kata: Command, contexts: ContextServiceStub, messages: MessageServiceStub
) -> None:
    context_id: str = contexts.CreateContext(cs.CreateContextRequest()).context.context_id
    for _ in range(2):
        said = [message(message_pb2.ROLE_USER, f"see f{number % 3}.py") for number in range(600)]
        messages.AppendMessages(ms.AppendMessagesRequest(context_id=context_id, messages=said))
    lines = kata.ok("artifacts", context_id).text.splitlines()
    assert [re.split(r" {2,}", line) for line in lines[1:]] == [
        ["path", f"{number}, {number + 3}, {number + 6} and 397 more", f"f{number - 1}.py"] for number in (1, 2, 3)
    ]
