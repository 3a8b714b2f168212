"""Conversations replayed turn by turn: how much of each window a provider's prompt cache may hold already.

A provider caches what it was sent from the front on. What of a window begins as the window of the turn before did,
message by message, is the most that it can have. Shares do not depend on the machine, so each window is asked for once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from kata.context.v1 import message_service_pb2 as pb
from kata.context.v1 import window_pb2

from kata_grpc.cli.bench import processes
from kata_grpc.cli.bench.data import files
from kata_grpc.cli.bench.figures import Figure, Target, expect
from kata_grpc.cli.bench.rig import client
from kata_grpc.cli.importing import Importer, Report
from kata_grpc.cli.remote import Remote
from kata_grpc.domain.contexts import DEFAULT_TOKENIZER
from kata_grpc.domain.messages import PINNED_ROLES, Role
from kata_grpc.formats import Conversation, read_conversations
from kata_grpc.tokenizers import Tokenizers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from kata.context.v1.message_service_pb2_grpc import MessageServiceAsyncStub

    from kata_grpc.cli.bench.data import Scale
    from kata_grpc.domain.tokens import TextCounter

LOW_WATER = 0.5
"""What of the budget a step leaves: at a quarter the hits are as many and windows smaller, at three quarters fewer."""
_LEAST_TURNS = 50
_LEAST_AGENT_TURNS = 20
"""No recorded run of an agent with tools has 50."""
_DIALECTS = {window_pb2.DIALECT_OPENAI_CHAT: "OPENAI_CHAT", window_pb2.DIALECT_ANTHROPIC: "ANTHROPIC"}
_FULL = (window_pb2.EXCLUSION_REASON_BUDGET, window_pb2.EXCLUSION_REASON_LOW_WATER)


@dataclass(slots=True)
class Tally:
    """Sums over turns, in tokens."""

    sent: int = 0
    cached: int = 0
    new: int = 0
    budget: int = 0
    used: int = 0

    @property
    def hit_rate(self) -> float:
        """The share of what was sent that began as what the turn before sent."""
        return self.cached / self.sent

    @property
    def use(self) -> float:
        """The share of the budget that windows had where not everything fitted."""
        return self.used / self.budget


@dataclass(frozen=True, slots=True)
class Replay:
    """A conversation in a context, with half of its tokens as the budget."""

    stub: MessageServiceAsyncStub
    context_id: str
    budget: int
    turns: Sequence[int]

    async def add_to(
        self, tally: Tally, count: TextCounter, dialect: window_pb2.Dialect.ValueType, low_water: float | None = None
    ) -> None:
        """Ask for the window of every turn, add up what the turn before had sent of it, and check its epoch."""
        request = pb.GetWindowRequest(
            context_id=self.context_id, token_budget=self.budget, dialect=dialect, render=True
        )
        if low_water is not None:
            request.options.start_steps.low_water_tokens = int(low_water * self.budget)
        former: pb.GetWindowResponse | None = None
        sent: list[str] = []
        for version in self.turns:
            request.at_version = version
            later = await self.stub.GetWindow(request)
            messages = _messages(later.rendered_json)
            if any(run.reason in _FULL for run in later.trailer.excluded):
                tally.budget += self.budget
                tally.used += later.header.window_tokens
            if former is not None:
                common = _common(sent, messages)
                _check_epoch(former, later, common >= len(sent) - 1)
                known = set(sent)
                tally.sent += sum(map(count, messages))
                tally.cached += sum(map(count, messages[:common]))
                tally.new += sum(count(message) for message in messages if message not in known)
            former, sent = later, messages


async def measure(home: Path, scale: Scale, say: Callable[[str], None]) -> list[Figure]:
    """Replay on a server with a database of its own."""
    count: TextCounter = cache(Tokenizers().counter(DEFAULT_TOKENIZER))
    figures = []
    async with processes.service(home, {"KATA_DATA_DIR": str(home)}) as server, client(server) as of:
        importer = Importer(Remote(server.address), of.channel, "", Report())
        for key, what, conversations, target in _chosen(scale.replays):
            say(f"{what}, turn by turn")
            replays = []
            for conversation in conversations:
                context = await importer.conversation(conversation)
                turns = list(_turns(conversation))
                replays.append(Replay(of.messages, context.context_id, context.total_tokens // 2, turns))
            for dialect, name in _DIALECTS.items():
                steps, plain = Tally(), Tally()
                for replay in replays:
                    await replay.add_to(steps, count, dialect, LOW_WATER)
                    await replay.add_to(plain, count, dialect)
                turns_of_all = sum(len(replay.turns) for replay in replays)
                title = f"{what}, {turns_of_all:,} turns, {name}"
                figures += _figures(f"{key}_{name.lower()}", title, steps, plain, target)
    return figures


def _figures(key: str, title: str, steps: Tally, plain: Tally, target: Target | None) -> list[Figure]:
    return [
        Figure(
            key=f"replay_hits_{key}",
            title=f"prompt cache hits, start in steps ({steps.new / steps.sent:.0%} of what is sent is new): {title}",
            unit="%",
            value=100 * steps.hit_rate,
            floor_title="plain sliding window",
            floor=100 * plain.hit_rate,
            target=target,
        ),
        Figure(
            key=f"replay_use_{key}",
            title="the same: use of the budget at the turns where not everything fits",
            unit="%",
            value=100 * steps.use,
            floor_title="plain sliding window",
            floor=100 * plain.use,
        ),
    ]


def _chosen(most: int) -> Iterator[tuple[str, str, list[Conversation], Target | None]]:
    """Yield the longest conversations, then the longest runs of agents: a key, what they are, and their target."""
    paths, source = files()
    found = [entry.conversation for path in paths for entry in read_conversations(path)]
    conversations = [conversation for conversation in found if conversation is not None]
    if longest := _longest(conversations, _LEAST_TURNS, most):
        what = f"the {len(longest)} longest conversations of {source}"
        yield "long", what, longest, Target(">=", 90, "value")
    else:
        short = max(conversations, key=lambda one: len(list(_turns(one))))
        yield "long", f"the longest conversation of {source}, said over and over", [_over_and_over(short)], None
    agents = [one for one in conversations if any(True for message in one.messages for _ in message.calls())]
    if longest := _longest(agents, _LEAST_AGENT_TURNS, most):
        yield "agents", f"the {len(longest)} longest runs of agents of {source}", longest, None


def _longest(conversations: Sequence[Conversation], least_turns: int, most: int) -> list[Conversation]:
    """Return the conversations with the most tokens of those that have enough turns."""
    enough = [one for one in conversations if len(list(_turns(one))) >= least_turns]
    count = Tokenizers().count_now

    def tokens(conversation: Conversation) -> int:
        return sum(counted.tokens for counted in count(conversation.messages, DEFAULT_TOKENIZER))

    return sorted(enough, key=tokens, reverse=True)[:most]


def _over_and_over(conversation: Conversation) -> Conversation:
    """Return a conversation that has enough turns of one that has too few."""
    again = tuple(message for message in conversation.messages if message.role not in PINNED_ROLES)
    times = -(-_LEAST_TURNS // len(list(_turns(conversation))))
    return replace(conversation, messages=conversation.messages + again * times)


def _turns(conversation: Conversation) -> Iterator[int]:
    """Yield the versions up to which the model saw the conversation: each before a message of its own."""
    for version, message in enumerate(conversation.messages):
        if message.role is Role.ASSISTANT and version:
            yield version


def _messages(rendered: str) -> list[str]:
    """Take what is sent apart: the system's text, where it goes apart, and each message."""
    sent: Any = json.loads(rendered, object_hook=_as_cached)
    if isinstance(sent, dict):
        sent = [*([sent["system"]] if "system" in sent else []), *sent["messages"]]
    return [json.dumps(message, ensure_ascii=False) for message in sent]


def _as_cached(sent: dict[str, Any]) -> dict[str, Any]:
    """Spell equal content equally: marks of the cache move and are no part of it, and one text needs no array."""
    sent.pop("cache_control", None)
    for key in ("system", "content"):
        if isinstance(sent.get(key), str):
            sent[key] = [{"type": "text", "text": sent[key]}]
    return sent


def _common(former: Sequence[object], later: Sequence[object]) -> int:
    """Return how many items from the front on are equal."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(former, later, strict=False))))


def _check_epoch(former: pb.GetWindowResponse, later: pb.GetWindowResponse, begins_so: bool) -> None:
    """Hold the epoch to its promise: equal exactly where the later window goes on where the former one ended.

    Sent messages may differ in the last one, which grows where the dialect wants the next one joined to it; and calls
    that waited for results may be gone, or sent with those.
    """
    if former.trailer.pending_call_ids:
        return
    before, now = ([message.version for message in window.messages] for window in (former, later))
    goes_on = _common(before, now) == len(before)
    same = former.header.window_epoch == later.header.window_epoch
    where = f"from version {former.header.snapshot_version} to {later.header.snapshot_version}"
    expect(same, goes_on, f"equal window_epoch {where} of {former.header.context_id}")
    expect(begins_so or not same, True, f"equal beginning of what is sent {where} of {former.header.context_id}")
