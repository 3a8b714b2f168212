"""`kata-grpc demo`: what the service does, seen on a real conversation, with a database that is gone afterwards.

Everything goes over the wire, as it would from any other program.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import uvloop
from kata.context.v1 import context_service_pb2, message_pb2, window_pb2
from kata.context.v1 import message_service_pb2 as pb
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.lineage_pb2 import ContextPoint
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub
from kata.context.v1.policy_service_pb2 import CompactContextRequest
from kata.context.v1.policy_service_pb2_grpc import PolicyServiceStub
from rich.text import Text

import kata_grpc.samples
from kata_grpc.app import Server
from kata_grpc.cli import compacting, diff, history, main, tree, window
from kata_grpc.cli.importing import Importer, Report
from kata_grpc.cli.listing import one_line, output
from kata_grpc.cli.remote import Remote
from kata_grpc.config import Settings
from kata_grpc.db import migrate
from kata_grpc.db.embedded import EmbeddedPostgres
from kata_grpc.domain.messages import PINNED_ROLES
from kata_grpc.formats import Conversation, read_conversations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kata.context.v1 import context_pb2
    from rich.console import Console

    from kata_grpc.cli import Commands

DESCRIPTION = """\
Show what the service does, step by step, on a conversation with tool calls: import, windows, retries, conflicts,
history, forks and compaction. Starts a PostgreSQL and a server of its own in a temporary directory, and
leaves nothing behind."""

_FORKS_SHOWN = 50
_DIFFERENCES_SHOWN = 10
_GROUPS_KEPT = 4
_SUMMARY_LINES = 8
_GOOD_LENGTH = range(16, 33)
"""Messages of a conversation that fits a screen and still has something to leave out."""


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    commands.add_parser("demo", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)


def run(_: argparse.Namespace) -> int:
    """Show it."""
    uvloop.run(_demo(output()))
    return 0


async def _demo(console: Console) -> None:
    console.print("Starting PostgreSQL and the server in a temporary directory …")
    with tempfile.TemporaryDirectory(prefix="kata-demo-") as directory:
        async with _serving(Path(directory)) as remote, remote.async_channel() as channel:
            await Demo(console, remote, channel).show()
    console.print("\nDone: server, database and directory are gone. `kata-grpc serve` starts one that stays.")


@asynccontextmanager
async def _serving(directory: Path) -> AsyncIterator[Remote]:
    """Run a database and a server over it."""
    postgres = EmbeddedPostgres(directory)
    await asyncio.to_thread(postgres.start)
    try:
        await migrate.upgrade(postgres.url)
        server = Server(replace(Settings.from_env({}), listen="127.0.0.1:0", database_url=postgres.url))
        try:
            await server.start()
            yield Remote(server.address)
        finally:
            await server.stop(0)
    finally:
        await asyncio.to_thread(postgres.stop)


class Demo:
    """The steps, in order."""

    def __init__(self, console: Console, remote: Remote, channel: grpc.aio.Channel) -> None:
        self._console = console
        self._remote = remote
        self._channel = channel
        self._messages = MessageServiceStub(channel)
        self._step = 0

    async def show(self) -> None:
        """Go through all steps."""
        context = await self._import()
        await self._windows(context)
        await self._append(context)
        self._heading("Everything that happened has a revision, and stays", f"history {context.context_id}")
        listed = await self._messages.ListHistory(pb.ListHistoryRequest(context_id=context.context_id))
        history.show(listed.revisions, self._console)
        await self._fork(context)
        await self._compact(context)

    def _heading(self, text: str, command: str = "") -> None:
        self._step += 1
        self._console.print(Text(f"\n{self._step}. {text}", "bold cyan"))
        if command:
            self._console.print(Text(f"   $ kata-grpc {command}", "bright_black"), soft_wrap=True)
        self._console.print()

    def _say(self, text: str) -> None:
        self._console.print(Text(f"   {text}"), soft_wrap=True)

    async def _import(self) -> context_pb2.Context:
        path, conversation = choose()
        self._heading("A conversation with tool calls is imported", f"import {path.name}")
        importer = Importer(self._remote, self._channel, "", Report())
        context = await importer.conversation(conversation)
        self._say(f"{conversation.id}: {context.message_count} messages, {context.total_tokens:,} tokens.")
        self._say(f"It is now the context {context.context_id} at version {context.latest_version}.")
        again = await importer.conversation(conversation)
        self._say(f"Imported once more, it is the same context with {again.message_count} messages: nothing is twice.")
        return context

    async def _windows(self, context: context_pb2.Context) -> None:
        whole = await self._window(
            context, _rounded(2 * context.total_tokens), "With a large budget the window is all of it"
        )
        ledger = whole.trailer.ledger
        small = _rounded(ledger.pinned_tokens + (whole.header.window_tokens - ledger.pinned_tokens) // 2)
        await self._window(
            context, small, "With a small one: what is pinned, and the newest; a call stays with its results"
        )
        earlier = max(2, context.latest_version // 2)
        title = f"The same budget as of version {earlier}: nothing is overwritten, so every moment can be read again"
        await self._window(context, small, title, earlier)
        self._heading("A budget for which nothing fits is refused, with the numbers")
        try:
            await self._messages.GetWindow(pb.GetWindowRequest(context_id=context.context_id, token_budget=5))
        except grpc.aio.AioRpcError as error:
            self._say(self._remote.explain(error))

    async def _window(
        self, context: context_pb2.Context, budget: int, title: str, at_version: int | None = None
    ) -> pb.GetWindowResponse:
        as_of = f" --at-version {at_version}" if at_version else ""
        self._heading(title, f"window {context.context_id} --budget {budget}{as_of}")
        request = pb.GetWindowRequest(context_id=context.context_id, token_budget=budget, at_version=at_version)
        answer = await self._messages.GetWindow(request)
        window.show(answer, self._console)
        return answer

    async def _append(self, context: context_pb2.Context) -> None:
        self._heading("An append that is repeated with the same request_id happens once")
        request = pb.AppendMessagesRequest(
            context_id=context.context_id,
            messages=[message_pb2.Message(role=message_pb2.ROLE_USER, text="Thank you. Anything else I should know?")],
            request_id="demo-1",
            expected_version=context.latest_version,
        )
        for attempt in ("first", "again"):
            done = await self._messages.AppendMessages(request)
            self._say(f"{attempt}: version {done.last_version}, revision {done.revision}, replayed: {done.replayed}")
        self._heading("An append that expects an older version is refused, so that no writer overtakes another unseen")
        request.request_id = "demo-2"
        try:
            await self._messages.AppendMessages(request)
        except grpc.aio.AioRpcError as error:
            self._say(self._remote.explain(error))

    async def _fork(self, context: context_pb2.Context) -> None:
        at = max(1, context.latest_version // 2)
        self._heading(f"A fork goes on from version {at}: it costs one row, however long the conversation is")
        contexts = ContextServiceStub(self._channel)
        forks: list[context_pb2.Context] = []
        for name, version, text in (
            ("another try", at, "Let us take another way from here."),
            ("and one more", at + 1, "Or this one."),
        ):
            request = context_service_pb2.ForkContextRequest(
                context_id=(forks[-1] if forks else context).context_id,
                at_version=version,
                name=name,
                messages=[message_pb2.Message(role=message_pb2.ROLE_USER, text=text)],
            )
            forks.append((await contexts.ForkContext(request)).context)
            self._say(f"{name}: {forks[-1].context_id} at version {forks[-1].latest_version}")
        first, _ = forks
        self._heading("The tree of forks", f"tree {first.context_id}")
        with self._remote.channel() as channel:
            stub = ContextServiceStub(channel)
            drawn = await asyncio.to_thread(tree.read, stub, first.context_id, _FORKS_SHOWN)
            tree.show([drawn], self._console, marked=first.context_id)
            self._heading(
                "Two branches, side by side from where they parted", f"diff {context.context_id} {first.context_id}"
            )
            left, right = (ContextPoint(context_id=one.context_id) for one in (context, first))
            diff.show(await asyncio.to_thread(diff.read, stub, left, right, _DIFFERENCES_SHOWN), self._console)

    async def _compact(self, context: context_pb2.Context) -> None:
        context_id = context.context_id
        before = await self._view(context, window_pb2.VIEW_CURRENT)
        self._heading(
            "Compaction hides old messages behind a summary, made by rule, without a model",
            f"compact {context_id} --preserve-recent {_GROUPS_KEPT}",
        )
        policies = PolicyServiceStub(self._channel)
        request = CompactContextRequest(context_id=context_id, preserve_recent=_GROUPS_KEPT, request_id="demo-3")
        done = await policies.CompactContext(request)
        compacting.show(done, self._console)
        self._heading("The summary begins with the current state; what it says cites messages, and is quoted")
        for line in done.compaction.summary.splitlines()[:_SUMMARY_LINES]:
            text = Text(f"   {one_line(line)}")
            text.truncate(self._console.width, overflow="ellipsis")
            self._console.print(text)
        self._heading("Nothing is destroyed: the raw view has everything", f"window {context_id} --view raw")
        after = await self._view(context, window_pb2.VIEW_CURRENT)
        raw = await self._view(context, window_pb2.VIEW_RAW)
        for name, view in (("before", before), ("current view", after), ("raw view", raw)):
            header = view.header
            self._say(f"{name}: {header.message_count} messages, {header.window_tokens:,} tokens")
        self._say(f"The raw view and what was there before are the same: {raw.messages == before.messages}")

    async def _view(self, context: context_pb2.Context, view: window_pb2.View.ValueType) -> pb.GetWindowResponse:
        budget = _rounded(2 * context.total_tokens)
        request = pb.GetWindowRequest(context_id=context.context_id, token_budget=budget, view=view)
        return await self._messages.GetWindow(request)


def _rounded(tokens: int) -> int:
    return -(-tokens // 100) * 100


def choose() -> tuple[Path, Conversation]:
    """Find a conversation to show, and its file: a recorded one in KATA_TEST_DATA, or else the longest sample."""
    folder = os.environ.get("KATA_TEST_DATA")
    for path, conversation in _conversations(Path(folder)) if folder else ():
        pinned = any(message.role in PINNED_ROLES for message in conversation.messages[:1])
        if pinned and len(conversation.messages) in _GOOD_LENGTH and _has_calls(conversation):
            return path, conversation
    sample = _conversations(Path(kata_grpc.samples.__path__[0]))
    return max((found for found in sample if _has_calls(found[1])), key=lambda found: len(found[1].messages))


def _conversations(folder: Path) -> Iterator[tuple[Path, Conversation]]:
    for path in sorted(folder.glob("*.jsonl*")):
        for entry in read_conversations(path):
            if entry.conversation is not None:
                yield path, entry.conversation


def _has_calls(conversation: Conversation) -> bool:
    return any(True for message in conversation.messages for _ in message.calls())


if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]]))
