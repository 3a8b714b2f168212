"""What a person sees of forks: the tree, its Mermaid, and two branches side by side."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from rich.cells import cell_len

from tests.cli.command import Command

if TYPE_CHECKING:
    from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

    from tests.clients.process import ServerProcess

NAME = 'a "name" [bold]of\n<many> #marks & `ticks`'


@dataclass(frozen=True)
class Forks:
    """Root of three messages; left at 2 with two more, deleted; below it deep; right at 3; wide with 60 forks."""

    root: str
    left: str
    deep: str
    right: str
    wide: str


@pytest.fixture(scope="module")
def forks(contexts: ContextServiceStub, messages: MessageServiceStub) -> Forks:
    def fork(parent: str, at: int, name: str, *texts: str) -> str:
        said = [message_pb2.Message(role=message_pb2.ROLE_ASSISTANT, text=text) for text in texts]
        request = cs.ForkContextRequest(context_id=parent, at_version=at, name=name, messages=said)
        made: str = contexts.ForkContext(request).context.context_id
        return made

    root: str = contexts.CreateContext(cs.CreateContextRequest(name=NAME)).context.context_id
    told = [message_pb2.Message(role=message_pb2.ROLE_USER, text=f"message {n}") for n in range(1, 4)]
    messages.AppendMessages(ms.AppendMessagesRequest(context_id=root, messages=told))
    left = fork(root, 2, "left", "one\x1b[31m way", "on and on " * 30)
    deep = fork(left, 3, "")
    right = fork(root, 3, "right", "宽" * 100)
    wide = fork(right, 4, "wide")
    for number in range(60):
        fork(wide, 4, f"fork {number}")
    contexts.DeleteContext(cs.DeleteContextRequest(context_id=left))
    contexts.TagVersion(cs.TagVersionRequest(context_id=right, name="reviewed", at_version=2))
    return Forks(root, left, deep, right, wide)


def test_a_tree_shows_what_a_context_comes_from_and_what_comes_from_it(kata: Command, forks: Forks) -> None:
    shown = kata.ok("tree", forks.left).text
    lines = shown.splitlines()

    assert lines[0].startswith(f'a "name" [bold]of⏎<many> #marks & `ticks`  {forks.root[:8]}  3 messages, ')
    assert lines[1].startswith(f"└── left  {forks.left[:8]}  at 2: +2 messages, ")
    assert lines[1].endswith(" tokens  deleted  ◀")
    assert lines[2].startswith(f"    └── {forks.deep[:8]}  at 3: +0 messages, ")
    assert len(lines) == 3, "the other branch is not below it"
    whole = kata.ok("tree", forks.root, "--ids").text
    assert [f"{context_id}  " in whole for context_id in (forks.deep, forks.right, forks.wide)] == [True] * 3


def test_tags_stand_with_their_versions(kata: Command, forks: Forks) -> None:
    (line,) = [line for line in kata.ok("tree", forks.root).text.splitlines() if forks.right[:8] in line]
    assert line.endswith("  #reviewed at 2")
    (found,) = [one for line in kata.ok("tree", forks.right, "--json").lines if (one := json.loads(line)).get("tags")]
    assert (found["contextId"], found["tags"][0]["name"], found["tags"][0]["version"]) == (forks.right, "reviewed", "2")
    assert "<br>#35;reviewed at 2" in kata.ok("tree", forks.root, "--mermaid").text


def test_many_forks_are_shown_as_far_as_asked(kata: Command, forks: Forks) -> None:
    lines = kata.ok("tree", forks.wide).text.splitlines()
    assert len(lines) == 3 + 50 + 1
    assert "… more forks; --forks 0 shows all" in lines[-1]
    assert [line.split()[2] for line in lines[3:-1]] == [str(n) for n in range(50)]
    assert len(kata.ok("tree", forks.wide, "--forks", "60").text.splitlines()) == 63
    assert len(kata.ok("tree", forks.wide, "--forks", "0").text.splitlines()) == 63


def test_a_tree_for_machines(kata: Command, forks: Forks) -> None:
    found = [json.loads(line) for line in kata.ok("tree", forks.root, "--forks", "0", "--json").lines]
    known = {context["contextId"]: context for context in found}
    assert len(found) == len(known) == 65
    assert found[0]["contextId"] == forks.root
    for place, context in enumerate(found[1:], start=1):
        assert context["parentId"] in [before["contextId"] for before in found[:place]], "parents come first"
    assert known[forks.left]["forkVersion"] == "2"
    assert {context_id for context_id, context in known.items() if "deleteTime" in context} == {forks.left}


def test_all_contexts_are_a_forest(own_server: ServerProcess) -> None:
    kata = Command(own_server.address)
    assert kata.ok("tree", "--all").text == ""
    made = {}
    with grpc.insecure_channel(own_server.address) as channel:
        stub = ContextServiceStub(channel)
        for name in ("first", "second"):
            made[name] = stub.CreateContext(cs.CreateContextRequest(name=name)).context.context_id
        for number in range(3):
            fork = cs.ForkContextRequest(context_id=made["first"], name=f"fork {number}")
            stub.ForkContext(fork)
        stub.DeleteContext(cs.DeleteContextRequest(context_id=made["first"]))
    lines = kata.ok("tree", "--all", "--forks", "2").text.splitlines()
    assert [line.strip("└─├ ").split("  ")[0] for line in lines] == [
        "first",
        "fork 0",
        "fork 1",
        "… more forks; --forks 0 shows all",
        "second",
    ]
    assert "deleted" in lines[0]
    of_one = kata.ok("tree", made["first"], "--json").lines
    of_all = [line for line in kata.ok("tree", "--all", "--json").lines if b'"second"' not in line]
    assert list(map(json.loads, of_all)) == list(map(json.loads, of_one)), "the same, whichever way it was read"


def test_mermaid(kata: Command, forks: Forks) -> None:
    lines = kata.ok("tree", forks.left, "--mermaid").text.splitlines()
    root, left, deep = ("c" + context_id.replace("-", "") for context_id in (forks.root, forks.left, forks.deep))

    assert lines[0] == "flowchart LR"
    name = "a #quot;name#quot; [bold]of⏎#lt;many#gt; #35;marks #amp; #96;ticks#96;"
    assert lines[1].startswith(f'  {root}["{name}<br>{forks.root[:8]}<br>3 messages, ')
    assert f"  {root} -->|2| {left}" in lines
    assert f"  {left} -->|3| {deep}" in lines
    assert lines[-1] == f"  class {left} deleted"
    assert all(line.count('"') in (0, 2) for line in lines)


@pytest.mark.parametrize("width", [60, 100, 200])
def test_two_branches_side_by_side(kata: Command, forks: Forks, width: int) -> None:
    shown = kata.ok("diff", forks.root, forks.right, COLUMNS=str(width)).text
    assert shown.startswith(f"shared up to version 3, common ancestor {forks.root}\n")
    lines = kata.ok("diff", f"{forks.deep}@3", f"{forks.right}@4", COLUMNS=str(width)).text.splitlines()
    heading = next(place for place, line in enumerate(lines) if line.startswith("version  role"))
    rows = lines[heading + 1 :]
    assert [row.split()[0] for row in rows] == ["3", "4"]
    assert "assistant" in rows[0]
    assert "user" in rows[0]
    assert rows[1].rstrip().endswith("…")
    assert all(cell_len(row) <= width for row in rows)
    if width == 200:
        assert "one␛[31m way" in rows[0]
        assert "message 3" in rows[0]


def test_a_long_difference_is_cut_where_it_was_asked(kata: Command, forks: Forks) -> None:
    shown = kata.ok("diff", f"{forks.root}@0", forks.root, "--limit", "2").text
    assert "shared up to version 0" in shown
    assert "… 1 more on the right; --limit 0 shows all" in shown
    assert "message 2" in shown
    assert "message 3" not in shown
    whole = kata.ok("diff", f"{forks.root}@0", forks.root, "--limit", "0").text
    assert "message 3" in whole
    assert "more on" not in whole
    assert "0 messages since" in kata.ok("diff", forks.root, forks.root).text


def test_a_difference_for_machines(kata: Command, forks: Forks) -> None:
    found = json.loads(kata.ok("diff", forks.right, forks.root + "@1", "--json").output)
    assert (found["commonAncestorId"], found["sharedVersion"]) == (forks.root, "1")
    assert [message["version"] for message in found["leftMessages"]] == ["2", "3", "4"]
    assert "rightMessages" not in found
    assert found["left"]["messageCount"] == "3"


def test_contexts_that_cannot_be_compared(kata: Command, forks: Forks) -> None:
    missing = str(uuid4())
    done = kata.run("diff", forks.root, missing)
    assert (done.status, done.output) == (1, b"")
    assert f"NOT_FOUND: There is no context {missing}." in done.errors
    done = kata.run("diff", forks.root, f"{forks.root}@x")
    assert done.status == 2
    assert "has no version behind @" in done.errors
