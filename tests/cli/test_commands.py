"""What a person sees of the commands: tables, JSON, help, and a sentence when something is wrong."""

from __future__ import annotations

import json
import socket
import sys
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2
from kata.context.v1 import message_service_pb2 as ms

from kata_grpc.cli import COMMANDS
from tests.cli.command import Command, conversation, write_lines
from tests.clients.process import run

if TYPE_CHECKING:
    from pathlib import Path

    from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
    from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

LONG = "A long text, " * 30
HELP = {
    "": ["what to send to the model now", "examples:", ".env.example", *COMMANDS],
    "serve": ["KATA_DATA_DIR", "SIGTERM or Ctrl-C drains", "--listen"],
    "migrate": ["current", "up", "down", "schema"],
    "doctor": ["usage: kata-grpc doctor"],
    "health": ["Exits 0 when it does, and 1 when it does not", "--ca", "KATA_LISTEN"],
    "import": ["one JSON object a line", "adds", "nothing twice", ".jsonl.gz", "default auto", "--jobs", "--tokenizer"],
    "export": ["comes back equal to its line", "Nothing is lost silently", "--all", "exit status is 3", "openai"],
    "window": [
        "newest messages that fit a token budget",
        "default 8000",
        "--at-version",
        "anthropic",
        "shape:",
        "--pin",
    ],
    "policy": ["when and how far a context is compacted", "the tenant's says", "show", "set"],
    "policy show": ["which layer says so", "what they are for", "--tenant-wide", "--json"],
    "policy set": [
        "others\nstay as they are",
        "--file",
        "clearToolResults",
        "--no-enabled",
        "12h",
        "coding_agent",
        "--unset",
    ],
    "compact": [
        "the raw view still has every message",
        "--preview",
        "--target-tokens",
        "--revert [ID]",
        "--reapply ID",
        "--list",
    ],
    "artifacts": ["tool calls and how they went", "--kind", "quantity", "7-9", "--view", "--at-tag", "--json"],
    "history": ["newest first", "--limit", "default 50, 0 for all", "--json", "--kind", "--at-time"],
    "tag": ["List the tags", "--move", "--delete", "--at-tag", "stays where it is until"],
    "tree": ["forked from it", "--all", "--mermaid", "default 50, 0 for all", "--ids"],
    "diff": ["side by side", "by lineage, not by text", "CONTEXT_ID[@VERSION]", "--limit"],
    "redact": ["CONTEXT_ID", "VERSION", "no way back", "--reason", "--dry-run", "--address"],
    "purge": ["no way back", "--dry-run", "--detach-children", "--json"],
    "retention": ["KATA_RETENTION", "--dry-run", "forks read stay", "--list", "--json"],
    "watch": ["until Ctrl+C", "--from-version", "--cursor", "--json"],
    "demo": ["step by step", "leaves nothing behind"],
}


@pytest.fixture(scope="module")
def told(
    kata: Command,
    contexts: ContextServiceStub,
    messages: MessageServiceStub,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """A context whose messages would spoil a careless table: long, on many lines, wide, and full of codes."""
    made: str = contexts.CreateContext(cs.CreateContextRequest(name="told")).context.context_id
    texts = ["Be [bold]brief[/].", LONG, "one\r\ntwo\nthree\x1b[31mred\x07", "宽" * 200, "the last"]
    roles = [message_pb2.ROLE_SYSTEM, *[message_pb2.ROLE_USER, message_pb2.ROLE_ASSISTANT] * 2]
    for role, text in zip(roles, texts, strict=True):
        batch = [message_pb2.Message(role=role, text=text)]
        messages.AppendMessages(ms.AppendMessagesRequest(context_id=made, messages=batch))
    return made


@pytest.mark.parametrize("command", ["window", "history"])
@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_table_keeps_its_narrow_columns_and_cuts_the_text(kata: Command, told: str, command: str, width: int) -> None:
    lines = kata.ok(command, told, COLUMNS=str(width)).text.splitlines()

    heading = lines[0].split()
    rows = [line for line in lines[1:] if line.lstrip()[:1].isdigit()][:5]
    assert (
        heading
        == {
            "window": ["version", "role", "tokens", "message"],
            "history": ["revision", "versions", "time", "(UTC)", "kind", "role", "what"],
        }[command]
    )
    assert len(rows) == 5
    assert {row.split()[0] for row in rows} == set("12345")
    long = next(row for row in rows if "A long" in row)
    assert long.endswith("…")
    assert len(long) <= max(width, 80)
    assert any("assistant" in row for row in rows)
    if command == "window":
        place = lines[0].index("message")
        assert [row[place] for row in sorted(rows)] == ["B", "A", "o", "宽", "t"]


@pytest.mark.parametrize("command", ["window", "history"])
def test_without_a_terminal_a_preview_is_whole_and_holds_no_codes(kata: Command, told: str, command: str) -> None:
    shown = kata.ok(command, told).text

    assert LONG[:100].rstrip() in shown
    assert "Be [bold]brief[/]." in shown
    assert "one⏎two⏎three␛[31mred␇" in shown
    assert "\x1b" not in shown
    assert not any(line.endswith(" ") for line in shown.splitlines() if "message" not in line and "■" not in line)


def test_a_window_shows_the_budget_and_what_is_out(kata: Command, told: str) -> None:
    shown = kata.ok("window", told, "--budget", "240", "--reserve", "10").text

    assert "of 240 tokens (o200k_base, openai_chat), 3 messages, version 5, revision 5" in shown
    assert "not in the window: 1 to 3, 1 of them in whatever the budget: older than what fits the budget" in shown
    assert "■ pinned" in shown
    assert "■ reserve 10" in shown


def test_windows_and_histories_for_machines(kata: Command, told: str) -> None:
    window = json.loads(kata.ok("window", told, "--json", "--at-version", "3", "--dialect", "anthropic").output)
    history = [json.loads(line) for line in kata.ok("history", told, "--json", "--limit", "2").lines]
    whole = kata.ok("history", told, "--json", "--limit", "0").lines

    assert window["header"]["snapshotVersion"] == "3"
    assert window["header"]["dialect"] == "DIALECT_ANTHROPIC"
    assert [message["version"] for message in window["messages"]] == ["1", "2", "3"]
    assert window["messages"][2]["text"] == "one\r\ntwo\nthree\x1b[31mred\x07"
    assert "ledger" in window["trailer"]
    assert [revision["revision"] for revision in history] == ["5", "4"]
    assert len(whole) == 5


def test_tags_are_set_shown_and_read_at(
    kata: Command, contexts: ContextServiceStub, messages: MessageServiceStub
) -> None:
    context_id: str = contexts.CreateContext(cs.CreateContextRequest()).context.context_id
    for text in "12345":
        batch = [message_pb2.Message(role=message_pb2.ROLE_USER, text=text)]
        messages.AppendMessages(ms.AppendMessagesRequest(context_id=context_id, messages=batch))

    kata.ok("tag", context_id, "third", "--at-version", "3")
    one = kata.ok("tag", context_id, "now").text.splitlines()
    assert one[0].split() == ["version", "revision", "set", "at", "(UTC)", "tag"]
    assert (one[1].split()[:2], one[1].split()[-1]) == (["5", "6"], "now")
    taken = kata.run("tag", context_id, "now")
    assert (taken.status, taken.output) == (1, b"")
    assert "ALREADY_EXISTS" in taken.errors
    moved = json.loads(kata.ok("tag", context_id, "now", "--move", "--at-tag", "third", "--json").output)
    assert (moved["name"], moved["version"], moved["revision"]) == ("now", "3", "5")

    listed = [line.split() for line in kata.ok("tag", context_id).text.splitlines()[1:]]
    assert [(line[0], line[-1]) for line in listed] == [("3", "now"), ("3", "third")]
    window = json.loads(kata.ok("window", context_id, "--json", "--at-tag", "third").output)
    assert (window["header"]["snapshotVersion"], window["header"]["snapshotRevision"]) == ("3", "5")
    (line,) = kata.ok("export", "--at-tag", "third", context_id).lines
    assert len(json.loads(line)["messages"]) == 3

    assert kata.ok("tag", context_id, "now", "--delete").output == b""
    shown = kata.ok("history", context_id, "--kind", "tag", "--kind", "untag").text.splitlines()
    assert [line.split()[0] for line in shown[1:]] == ["9", "8", "7", "6"]
    assert shown[1].split(maxsplit=3)[-1].split(maxsplit=1) == ["untag", "now (was version 3, revision 5)"]
    assert shown[2].endswith("now → version 3, revision 5 (was version 5, revision 6)")
    assert shown[4].endswith("third → version 3, revision 5")


def test_commands_as_of_a_time(kata: Command, told: str) -> None:
    history = [json.loads(line) for line in kata.ok("history", told, "--json", "--kind", "append").lines]
    times = {revision["revision"]: revision["createTime"] for revision in history}
    window = json.loads(kata.ok("window", told, "--json", "--at-time", times["2"]).output)
    assert window["header"]["snapshotRevision"] == "2"
    naive = times["2"].removesuffix("Z")
    assert json.loads(kata.ok("history", told, "--json", "--at-time", naive).lines[0])["revision"] == "2"
    assert len(json.loads(kata.ok("export", "--at-time", times["3"], told).output)["messages"]) == 3
    assert json.loads(kata.ok("export", "--at-time", "2020-01-01", told).output)["messages"] == []

    wrong = kata.run("window", told, "--at-time", "yesterday")
    assert (wrong.status, "'yesterday' is no time in ISO 8601" in wrong.errors) == (2, True)
    both = kata.run("history", told, "--at-time", naive, "--at-tag", "t")
    assert both.status == 1
    assert "at_time: excludes at_tag" in both.errors
    beyond = kata.run("export", "--at-version", "99", told)
    assert (beyond.status, "OUT_OF_RANGE" in beyond.errors) == (1, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["export", "--all", "--at-version", "1"], "name those to export"),
        (["tag", str(uuid4()), "--move"], "NAME is missing"),
        (["tag", str(uuid4()), "--at-version", "1"], "NAME is missing"),
        (["tag", str(uuid4()), "t", "--delete", "--at-version", "1"], "--delete deletes the tag"),
        (["policy", "show"], "Say whose policy"),
        (["policy", "show", str(uuid4()), "--tenant-wide"], "Say whose policy"),
        (["policy", "set", str(uuid4())], "Say what to set"),
        (["policy", "set", str(uuid4()), "--preset", "chat", "--unset", "preset"], "preset: is given and unset."),
        (["policy", "set", str(uuid4()), "--cooldown", "soon"], "'soon' is no time such as 90s"),
        (["compact", str(uuid4()), "--revert", "--target-tokens", "9"], "--target-tokens: only for a compaction"),
        (["compact", str(uuid4()), "--list", "--preview"], "not allowed with argument"),
        (["artifacts", str(uuid4()), "--range", "-"], "'-' is no version"),
        (["artifacts", str(uuid4()), "--range", "a-b"], "'a-b' is no version"),
    ],
)
def test_arguments_that_do_not_go_together(kata: Command, words: list[str], says: str) -> None:
    done = kata.run(*words)
    assert (done.status, done.output) == (2, b"")
    assert says in done.errors


def test_imports_for_machines(kata: Command, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", conversation("for machines", 3), conversation("for machines too", 4))
    first = json.loads(kata.ok("import", "--json", "--jobs", "1", path).output)
    again = json.loads(kata.ok("import", "--json", path).output)
    assert first == {"conversations": 2, "messages": 7, "replayed": 0, "errors": []}
    assert again == {"conversations": 2, "messages": 7, "replayed": 7, "errors": []}
    assert kata.ok("import", path).text == "2 conversations with 7 messages, 7 of them there already\n"


@pytest.mark.parametrize(
    "command",
    [
        *("window", "policy show", "policy set --enabled", "history", "tag", "export", "tree", "artifacts", "compact"),
        *("compact --preview", "compact --list", "compact --revert"),
    ],
)
def test_a_context_that_is_not_there(kata: Command, command: str) -> None:
    missing = str(uuid4())
    words = command.split()
    done = kata.run(*words[:-1], missing, words[-1]) if words[-1].startswith("--") else kata.run(*words, missing)
    assert (done.status, done.output) == (1, b"")
    assert f"NOT_FOUND: There is no context {missing}." in done.errors
    assert len(done.errors.splitlines()) == 1


def test_export_goes_on_after_a_context_that_is_not_there(kata: Command, told: str) -> None:
    done = kata.run("export", "not an id", str(uuid4()), told)
    assert done.status == 1
    assert [json.loads(line)["id"] for line in done.lines] == [told]
    assert "context not an id: INVALID_ARGUMENT: context_id" in done.errors


def test_everything_that_is_wrong_with_a_request_is_said(kata: Command) -> None:
    done = kata.run("window", "not an id", "--budget", "0", "--reserve", "-1")
    assert done.status == 1
    for path in ("context_id: ", "token_budget: ", "reserve_tokens: "):
        assert path in done.errors
    assert "Traceback" not in done.errors


@pytest.mark.parametrize(
    "command",
    [
        *("import", "export", "window", "policy show", "history", "tag", "tree", "redact", "purge", "health"),
        *("compact", "artifacts"),
    ],
)
def test_a_server_that_is_not_there_is_said_in_one_sentence(command: str, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
        words: list[str | Path] = [] if command == "health" else [str(uuid4())]
        if command == "import":
            words = [write_lines(tmp_path / "a.jsonl", *map(conversation, "abcdefghijkl"))]
        if command == "redact":
            words.append("1")
        done = Command(address).run(*command.split(), *words)
    assert done.status == 1
    assert done.errors.startswith(f"kata-grpc: No server answers at {address}: start one with `kata-grpc serve`")
    assert len(done.errors.splitlines()) == 1


@pytest.mark.parametrize("command", HELP)
def test_help_is_readable(command: str) -> None:
    done = run(sys.executable, "-m", "kata_grpc.cli", *command.split(), "--help", COLUMNS="120")
    assert (done.status, done.errors) == (0, "")
    assert [phrase for phrase in HELP[command] if phrase not in done.output] == []
    assert all(len(line) <= 120 for line in done.output.splitlines())


def test_every_command_has_its_help_tested() -> None:
    # `bench` measures for minutes and is tested beside its figures.
    assert set(COMMANDS) - {"bench"} <= set(HELP)
