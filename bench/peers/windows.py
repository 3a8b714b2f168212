"""Windows of recorded conversations at random budgets: Kata's, and LangChain's `trim_messages` with the same questions.

Each is rendered as a provider gets it and checked by our validators, and its tokens are counted again from the texts of
the messages in it. The recount leaves out the framing of tool calls, which Kata counts from above: nobody is said to
exceed a budget by tokens that a provider might not bill.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from kata.context.v1 import context_service_pb2 as contexts
from kata.context.v1 import message_service_pb2 as pb
from kata.context.v1 import window_pb2

from kata_grpc.cli.bench.figures import Figure, Target, spread
from kata_grpc.codec import to_proto
from kata_grpc.dialects import check
from kata_grpc.domain.contexts import DEFAULT_TOKENIZER
from kata_grpc.domain.tokens import FRAMING
from kata_grpc.formats import FormatError, parse_line, read_lines
from kata_grpc.tokenizers import Tokenizers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bench.peers.contenders import Scale
    from bench.peers.orders import Worker
    from kata_grpc.cli.bench.rig import Client
    from kata_grpc.domain.messages import Message

DIALECTS = {"openai_chat": window_pb2.DIALECT_OPENAI_CHAT, "anthropic": window_pb2.DIALECT_ANTHROPIC}
WAYS = {
    "plain": "trim_messages, no options",
    "documented": "trim_messages, documented options",
    "exact": "the same, given exact counts",
}
BUDGETS = 3
_SHORTEST = 4
_LONGEST = 2_000
_AT_ONCE = 200
_NONE = Target("<=", 0, "value")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A conversation in both systems."""

    name: str
    context_id: str
    messages: list[dict[str, Any]]
    tokens: list[int]
    valid: Mapping[str, bool]
    """By dialect, whether LangChain makes a valid request of the whole conversation: what it gets wrong then, and only
    then, comes of the trimming."""

    def cost(self, dialect: str, places: Sequence[int]) -> int:
        """Return the tokens of some of the messages, without the framing of tool calls."""
        return FRAMING[dialect].cost(sum(self.tokens[place] for place in places), len(places), 0)


@dataclass(slots=True)
class Tally:
    """What came of one way of making windows."""

    seconds: list[float] = field(default_factory=list)
    invalid: int = 0
    over: int = 0
    nothing: int = 0
    """Refusals, and windows without a message of the user."""
    rules: Counter[str] = field(default_factory=Counter)

    def add(self, window: str, dialect: str, *, over: bool) -> None:
        """Count one window."""
        problems = check(dialect, window) if window else []
        if problems or not window:
            self.invalid += 1
            self.rules[problems[0].rule if problems else "the adapter refuses it"] += 1
        self.over += over


async def measure(
    ours: Client, theirs: Worker, scale: Scale, seed: int, say: Callable[[str], None]
) -> tuple[list[Figure], list[str]]:
    """Ask both the same questions; return figures, and sentences about them."""
    chosen = random.Random(seed)  # noqa: S311 - the seed is printed, and repeats the run
    conversations = await _load(ours, theirs, scale, chosen, say)
    tallies = {(dialect, way): Tally() for dialect in DIALECTS for way in ("kata", *WAYS)}
    asked: Counter[str] = Counter()
    say(f"windows of {len(conversations)} conversations")
    for conversation in conversations:
        for _ in range(BUDGETS):
            for dialect in (dialect for dialect, valid in conversation.valid.items() if valid):
                total = conversation.cost(dialect, range(len(conversation.tokens)))
                budget = chosen.randint(max(32, total // 20), max(33, total))
                asked[dialect] += 1
                await _kata(ours, conversation, budget, dialect, tallies[dialect, "kata"])
                for way in WAYS:
                    await _trimmed(theirs, conversation, budget, dialect, way, tallies[dialect, way])
    figures = [
        figure for dialect in DIALECTS if asked[dialect] for figure in _figures(dialect, tallies, asked[dialect])
    ]
    return figures, list(_sentences(tallies, conversations, seed))


async def _kata(ours: Client, conversation: Recorded, budget: int, dialect: str, tally: Tally) -> None:
    request = pb.GetWindowRequest(
        context_id=conversation.context_id, token_budget=budget, dialect=DIALECTS[dialect], render=True
    )
    started = time.perf_counter()
    try:
        window = await ours.messages.GetWindow(request)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
            raise
        tally.nothing += 1
        return
    tally.seconds.append(time.perf_counter() - started)
    places = [message.version - 1 for message in window.messages]
    over = conversation.cost(dialect, places) > budget or window.header.window_tokens > budget
    tally.add(window.rendered_json, dialect, over=over)


async def _trimmed(theirs: Worker, conversation: Recorded, budget: int, dialect: str, way: str, tally: Tally) -> None:
    framing = FRAMING[dialect]
    costs = [framing.prime, *(tokens + framing.per_message for tokens in conversation.tokens)]
    window = await theirs.do(
        "window",
        conversation=conversation.name,
        budget=budget,
        settings="documented" if way == "exact" else way,
        dialect=dialect,
        costs=costs if way == "exact" else None,
    )
    tally.seconds.append(window["seconds"])
    if not any(conversation.messages[place]["role"] == "user" for place in window["kept"]):
        tally.nothing += 1
    tally.add(
        window["json"],
        dialect,
        over=conversation.cost(dialect, window["kept"]) > budget,
    )


async def _load(
    ours: Client, theirs: Worker, scale: Scale, chosen: random.Random, say: Callable[[str], None]
) -> list[Recorded]:
    """Store a sample of the conversations in both systems."""
    files, what = _files()
    say(f"conversations of {what}")
    lines = [line.data for path in files for line in read_lines(path)]
    chosen.shuffle(lines)
    tokenizers = Tokenizers()
    loaded: list[Recorded] = []
    for data in lines:
        if len(loaded) == scale.conversations:
            break
        try:
            conversation = parse_line(data, "openai")
        except FormatError:
            continue
        if not _SHORTEST <= len(conversation.messages) <= _LONGEST or not _can_be_taken(conversation.messages):
            continue
        name = f"{len(loaded)} {conversation.id}"
        raw = json.loads(data)["messages"]
        whole = await theirs.do("load", conversation=name, messages=raw)
        counted = await tokenizers.count(conversation.messages, DEFAULT_TOKENIZER)
        context_id = await _create(ours, conversation.messages)
        valid = {dialect: bool(text) and not check(dialect, text) for dialect, text in whole.items()}
        loaded.append(Recorded(name, context_id, raw, [found.tokens for found in counted], valid))
    tokenizers.close()
    return loaded


def _can_be_taken(messages: Sequence[Message]) -> bool:
    """Whether LangChain can read a conversation at all: it knows calls of functions alone."""
    return not any(call.type == "custom" for message in messages for call in message.calls())


async def _create(ours: Client, messages: Sequence[Message]) -> str:
    created = await ours.contexts.CreateContext(contexts.CreateContextRequest())
    context_id = created.context.context_id
    for first in range(0, len(messages), _AT_ONCE):
        batch = [to_proto(message) for message in messages[first : first + _AT_ONCE]]
        await ours.messages.AppendMessages(pb.AppendMessagesRequest(context_id=context_id, messages=batch))
    return context_id


def _files() -> tuple[list[Path], str]:
    """Return the files of conversations in OpenAI's form, and what they are."""
    folder = os.environ.get("KATA_TEST_DATA", "")
    # A name with a second dot is something about a conversation file, not one.
    paths = sorted(Path(folder).glob("*.jsonl*")) if folder else []
    found = [path for path in paths if path.name.split(".")[1] == "jsonl" and not path.name.startswith("anthropic")]
    if found:
        return found, "KATA_TEST_DATA"
    return [Path(str(resources.files("kata_grpc") / "samples" / "sample-openai.jsonl"))], "the shipped sample"


def _figures(dialect: str, tallies: Mapping[tuple[str, str], Tally], windows: int) -> Iterator[Figure]:
    ours = tallies[dialect, "kata"]
    for way, title in WAYS.items():
        theirs = tallies[dialect, way]
        for key, what in (("invalid", "windows that the API would refuse"), ("over", "windows over their budget")):
            yield Figure(
                key=f"windows_{dialect}_{way}_{key}",
                title=f"Kata's GetWindow, {dialect}: {what}, of {windows:,}",
                unit="",
                value=getattr(ours, key),
                floor_title=title,
                floor=getattr(theirs, key),
                target=_NONE,
            )
    mine, beside = statistics.median(ours.seconds), statistics.median(tallies[dialect, "documented"].seconds)
    yield Figure(
        key=f"windows_{dialect}_time",
        title=f"Kata's GetWindow, {dialect}: time of a window, rendered",
        unit="ms",
        value=mine * 1000,
        floor_title=f"{WAYS['documented']}, list read from PostgreSQL",
        floor=beside * 1000,
        ratio=spread([mine / beside]),
    )


def _sentences(tallies: Mapping[tuple[str, str], Tally], conversations: Sequence[Recorded], seed: int) -> Iterator[str]:
    yield f"Windows: {len(conversations)} conversations, {BUDGETS} budgets each, seed {seed}."
    for dialect in DIALECTS:
        out = sum(not conversation.valid[dialect] for conversation in conversations)
        yield f"{dialect}: {out} left out, of which LangChain makes no valid request even whole."
    for (dialect, way), tally in tallies.items():
        rules = "; ".join(f"{count} × {rule}" for rule, count in tally.rules.most_common(3))
        yield (
            f"{dialect}, {WAYS.get(way, 'Kata')}: {tally.invalid} refused by the validator, {tally.over} over budget, "
            f"{tally.nothing} without a message of the user or refused{': ' + rules if rules else ''}."
        )
