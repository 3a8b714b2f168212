"""Trees of forks against lists: after whatever was done, each log and each pair is what the lists say."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import lineage_pb2
from kata.context.v1 import message_service_pb2 as ms

from kata_grpc import limits
from tests.rpc import build as b
from tests.rpc.forks import fork, history
from tests.rpc.serving import Running, loop, refused

pytestmark = [loop, pytest.mark.holds("I1", "I8", "P14", "P15")]

PLENTY = 1_000_000
MOST = 20


@dataclass
class Model:
    """What a context has: of each version who appended it, and of each revision who made it and its latest version."""

    parent: str
    log: list[str]
    revisions: list[tuple[str, int]]
    flat: bool


class Trees:
    """The service and the model, side by side."""

    def __init__(self, server: Running, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self.models: dict[str, Model] = {}
        self.erased: set[tuple[str, int]] = set()
        """What was redacted: who appended it, and its version."""
        self.done: Counter[str] = Counter()

    async def step(self) -> None:
        """Does one thing to a context, or makes one."""
        if not self.models or (len(self.models) < MOST and self.random.random() < 0.1):
            context_id = (await self.server.create()).context_id
            self.models[context_id] = Model("", [], [], flat=True)
            return
        context_id = self.random.choice(list(self.models))
        model = self.models[context_id]
        (what,) = self.random.choices(
            ("append", "fork", "flatten", "redact", "check"), (5, 3 if len(self.models) < MOST else 0, 1, 1, 3)
        )
        self.done[what] += 1
        await getattr(self, what)(context_id, model)

    async def append(self, context_id: str, model: Model) -> None:
        count = self.random.randint(1, 4)
        await self.server.append(context_id, *(b.user(f"{context_id} {len(model.log) + n}") for n in range(count)))
        model.log += [context_id] * count
        model.revisions.append((context_id, len(model.log)))

    async def fork(self, context_id: str, model: Model) -> None:
        revision = self.random.randint(0, len(model.revisions)) if self.random.random() < 0.5 else None
        known = model.revisions if revision is None else model.revisions[:revision]
        newest = known[-1][1] if known else 0
        version = self.random.randint(0, newest) if self.random.random() < 0.6 else None
        child = (await fork(self.server, context_id, at_version=version, at_revision=revision)).context.context_id
        at = newest if version is None else version
        revisions = [(made_by, min(latest, at)) for made_by, latest in known]
        self.models[child] = Model(context_id, model.log[:at], [*revisions, (child, at)], flat=False)

    async def flatten(self, context_id: str, model: Model) -> None:
        call = self.server.contexts.FlattenContext(cs.FlattenContextRequest(context_id=context_id))
        if model.flat:
            assert (await refused(call)).reason == "CONTEXT_IS_FLAT"
            return
        assert (await call).context.depth == 0
        model.flat = True
        model.revisions.append((context_id, len(model.log)))

    async def redact(self, context_id: str, model: Model) -> None:
        """Erases messages of a context, which are so in every other one then, and in those alone."""
        if not model.log:
            return
        first = self.random.randint(1, len(model.log))
        last = min(first + self.random.randint(0, 2), len(model.log))
        run = ms.VersionRange(first_version=first, last_version=last)
        receipt = (
            await self.server.messages.RedactMessages(ms.RedactMessagesRequest(context_id=context_id, ranges=[run]))
        ).receipt
        named = {(model.log[version - 1], version) for version in range(first, last + 1)}
        before = {v for one in receipt.redacted_before for v in range(one.first_version, one.last_version + 1)}
        assert before == {version for _, version in named & self.erased}
        logs: Counter[str] = Counter()
        for other, of_other in self.models.items():
            own = (number for number, made_by in enumerate(of_other.log, 1) if of_other.flat or made_by == other)
            logs[other] = sum((of_other.log[v - 1], v) in named - self.erased for v in own)
        assert {log.context_id: log.message_count for log in receipt.logs} == +logs
        self.erased |= named
        model.revisions.append((context_id, len(model.log)))

    async def check(self, context_id: str, model: Model) -> None:
        context = await self.server.get(context_id)
        assert (context.latest_version, context.latest_revision) == (len(model.log), len(model.revisions))
        log = await self.server.log(context_id)
        erased = [(made_by, version) in self.erased for version, made_by in enumerate(model.log, start=1)]
        assert [m.HasField("redact_time") for m in log] == erased
        assert [(m.context_id, m.version, m.text) for m in log] == [
            (made_by, version, "" if erased[version - 1] else f"{made_by} {version - 1}")
            for version, made_by in enumerate(model.log, start=1)
        ]
        assert context.total_tokens == sum(m.token_count for m in log)
        visible = [m for m in log if not m.HasField("redact_time")]
        assert list((await self.server.window(context_id, PLENTY)).messages) == visible
        backwards = ms.ListMessagesRequest(context_id=context_id, page_size=1_000, order=ms.LIST_ORDER_DESCENDING)
        assert list((await self.server.messages.ListMessages(backwards)).messages) == log[::-1]
        revisions = await history(self.server, context_id, order=ms.LIST_ORDER_ASCENDING, page_size=5)
        assert [(r.context_id, r.last_version) for r in revisions] == model.revisions
        assert await history(self.server, context_id, page_size=3) == revisions[::-1]
        revision = self.random.randint(0, len(model.revisions))
        then = await self.server.window(context_id, PLENTY, at_revision=revision)
        newest = model.revisions[revision - 1][1] if revision else 0
        assert list(then.messages) == [m for m in visible if m.version <= newest]
        found = await self.server.contexts.GetLineage(cs.GetLineageRequest(context_id=context_id))
        assert [a.context_id for a in found.ancestors] == self._line(context_id)[:-1]
        children = {child for child, other in self.models.items() if other.parent == context_id}
        assert {c.context_id for c in found.children} == children
        await self._compare(context_id, self.random.choice(list(self.models)))

    async def _compare(self, left: str, right: str) -> None:
        logs = self.models[left].log, self.models[right].log
        shared = next((n for n, (a, c) in enumerate(zip(*logs, strict=False)) if a != c), min(map(len, logs)))
        lines = self._line(left), self._line(right)
        ancestor = next((one for one in reversed(lines[0]) if one in lines[1]), "")
        points = [lineage_pb2.ContextPoint(context_id=context_id) for context_id in (left, right)]
        request = cs.CompareContextsRequest(left=points[0], right=points[1], page_size=1_000)
        found = await self.server.contexts.CompareContexts(request)
        assert (found.common_ancestor_id, found.shared_version) == (ancestor, shared)
        assert [m.context_id for m in found.left_messages] == logs[0][shared:]
        assert [m.context_id for m in found.right_messages] == logs[1][shared:]
        assert (found.left.message_count, found.right.message_count) == tuple(len(log) - shared for log in logs)

    def _line(self, context_id: str) -> list[str]:
        line = [context_id]
        while parent := self.models[line[-1]].parent:
            line.append(parent)
        return line[::-1]


async def run(server: Running, seed: int, steps: int) -> None:
    trees = Trees(server, seed)
    for _ in range(steps):
        await trees.step()
    for context_id, model in trees.models.items():
        await trees.check(context_id, model)
    assert min(trees.done[what] for what in ("append", "fork", "flatten", "redact", "check")) > 0


@pytest.mark.parametrize("seed", range(3))
async def test_trees_of_forks_are_what_lists_say(server: Running, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FLATTEN_MESSAGES", 3)
    monkeypatch.setattr(limits, "FLATTEN_REVISIONS", 3)
    await run(server, seed, 200)


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(100, 150))
async def test_many_trees_of_forks(server: Running, seed: int) -> None:
    await run(server, seed, 300)
