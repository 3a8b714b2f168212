"""Trees of contexts told in lists, and the service beside them: each step does the same to both and compares.

A context is a list of messages and a list of revisions, each of which says what is removed since: so the model knows
the answer at every revision there ever was. What is in a window is the reference's to say.

What is done to contexts is a method of `Trees` a kind, found by its name; so is what is asked of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import lineage_pb2, window_pb2
from kata.context.v1 import message_service_pb2 as ms

from kata_grpc.domain.tokens import FRAMING
from tests.property.compacted import Compacting, Compaction, spread, standing
from tests.property.reference import Reference, Standing, Told, Wanted, groups_of
from tests.property.test_window_model import DIALECTS, ask, to_message
from tests.rpc import build as b
from tests.rpc.forks import history
from tests.rpc.serving import refused

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from kata.context.v1 import message_pb2 as pb

    from tests.rpc.serving import Running

MOST = 30
DEEPEST = 32
NAMES = ("one", "two", "three")
DOINGS = {
    "create": 1,
    "append": 18,
    "fork": 4,
    "remove": 7,
    "restore": 2,
    "tag": 3,
    "untag": 1,
    "delete": 1,
    "undelete": 2,
    "flatten": 3,
    "redact": 2,
    "purge": 2,
    "compact": 12,
    "begin": 5,
    "commit": 6,
    "revert": 3,
    "reapply": 3,
}
"""What is done to contexts, and how often as against the others."""
QUESTIONS = {"window": 5, "listing": 4, "history": 2, "lineage": 1, "comparison": 3, "tags": 1}
KINDS = ["rest", *(kind for kinds in (DOINGS, QUESTIONS) for kind, weight in kinds.items() for _ in range(weight))]
"""Of steps. The first one does nothing: what fails is retold with as many of it as can be."""


class Entry(NamedTuple):
    """A message: who appended it, by which revision, and what it says."""

    owner: str
    revision: int
    told: Told
    message: pb.Message


@dataclass(frozen=True)
class Did:
    """A revision: who made it, the versions that it appended, the newest one after it, and what is removed since."""

    owner: str
    kind: str
    first: int
    last: int
    removed: frozenset[int]
    touched: frozenset[int] = frozenset()
    """What it removed or restored."""
    compaction: Compaction | None = None
    """What is in force since."""
    puts: bool = False
    """Whether this revision put it in force."""

    def until(self, version: int) -> Did:
        """Returns what a fork at a version has of it."""
        return replace(
            self,
            first=self.first if self.first <= version else 0,
            last=min(self.last, version),
            removed=frozenset(v for v in self.removed if v <= version),
            touched=frozenset(v for v in self.touched if v <= version),
        )


@dataclass
class Model:
    """A context."""

    parent: str = ""
    fork: tuple[int, int] = (0, 0)
    log: list[Entry] = field(default_factory=list)
    revisions: list[Did] = field(default_factory=list)
    tags: dict[str, tuple[int, int]] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    """In whose log each message is read."""
    reads: list[str] = field(default_factory=list)
    """The other logs that it reads, also those of which it has no message."""
    deleted: bool = False
    children: list[str] = field(default_factory=list)
    begun: Compaction | None = None
    """The compaction that was begun last, if it was not committed."""

    @property
    def latest(self) -> tuple[int, int]:
        """The version and revision that it is at."""
        return len(self.log), len(self.revisions)

    @property
    def under_way(self) -> bool:
        """Whether no other compaction may be begun: an erasure of what it is made of ends one."""
        return self.begun is not None and not self.begun.erased

    def version_at(self, revision: int) -> int:
        return self.revisions[revision - 1].last if revision else 0

    def removed_at(self, revision: int) -> frozenset[int]:
        return self.revisions[revision - 1].removed if revision else frozenset()

    def told(self, version: int) -> list[Told]:
        return [entry.told for entry in self.log[:version]]

    def hidden(self, version: int, removed: frozenset[int]) -> set[int]:
        groups, _ = groups_of(self.told(version))
        return {v for v, group in enumerate(groups, start=1) if v in removed or group in removed}

    def put(self, revision: int) -> int:
        """The revision that put in force what is so at another one; 0 where none did."""
        return next((n for n in range(revision, 0, -1) if self.revisions[n - 1].puts), 0)

    def do(self, context_id: str, kind: str, first: int = 0, **changes: Any) -> int:
        """Takes a revision, and returns it; what does not change is as it was."""
        before = self.revisions[-1] if self.revisions else Did("", "", 0, 0, frozenset())
        did = Did(context_id, kind, first, len(self.log), before.removed, compaction=before.compaction)
        self.revisions.append(replace(did, puts="compaction" in changes, **changes))
        return len(self.revisions)


FITTING: dict[str, Callable[[Model], bool]] = {
    "untag": lambda model: bool(model.tags),
    "undelete": lambda model: model.deleted,
    "flatten": lambda model: bool(model.reads),
    "purge": lambda model: model.deleted,
}
"""Contexts of which a step is not refused: most steps of the kind are of one of them."""


@dataclass(frozen=True)
class Place:
    """A snapshot: how it is named in a request, and what it is."""

    named: dict[str, Any]
    version: int
    revision: int


class Trees(Compacting):
    """The service and the models."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.models: dict[str, Model] = {}
        self.erased = set()
        self.compactions = []

    async def step(self, kind: str, rng: random.Random) -> None:
        """Does one thing to one context, or asks one thing of it."""
        if kind == "rest":
            return
        if not self.models or kind == "create":
            if len(self.models) < MOST:
                self.models[(await self.server.create(tokenizer=b.SIZED)).context_id] = Model()
            return
        context_ids = list(self.models)
        if kind in FITTING and rng.random() < 0.8:
            context_ids = [one for one, model in self.models.items() if FITTING[kind](model)] or context_ids
        # Often one of the newest, so that forks are forked.
        context_id = rng.choice(context_ids[-3:] if rng.random() < 0.3 else context_ids)
        await getattr(self, kind)(context_id, self.models[context_id], rng)

    async def settle(self, rng: random.Random) -> None:
        """Asks everything of every context, at every revision that is its own, and has it verified."""
        for context_id, model in self.models.items():
            await self.verify(context_id)
            if model.deleted:
                await self.undelete(context_id, model, rng)
            for question in QUESTIONS:
                await getattr(self, question)(context_id, model, rng)
            for revision in range(model.fork[1], len(model.revisions) + 1):
                place = Place({"at_revision": revision}, model.version_at(revision), revision)
                await self.shown(context_id, model, place, window_pb2.VIEW_CURRENT)

    async def verify(self, context_id: str) -> None:
        model = self.models[context_id]
        verified = await self.server.contexts.VerifyContext(cs.VerifyContextRequest(context_id=context_id))
        assert not verified.HasField("difference"), verified.difference
        assert (verified.version, verified.revision) == model.latest

    # --- what is done -------------------------------------------------------------------------------------------------

    async def append(self, context_id: str, model: Model, rng: random.Random) -> None:
        told = [say(rng) for _ in range(rng.randint(1, 4))]
        messages = [b.sized(to_message(one), one.tokens) for one in told]
        for version, message in enumerate(messages, start=len(model.log) + 1):
            if not message.parts:
                message.text = f"{context_id} {version}"
        appended = await self.live(model, self.server.append(context_id, *messages))
        if appended is None:
            return
        first, revision = len(model.log) + 1, len(model.revisions) + 1
        pairs = zip(told, messages, strict=True)
        model.sources += [context_id] * len(told)
        model.log += [Entry(context_id, revision, one, message) for one, message in pairs]
        assert (appended.first_version, appended.last_version) == (first, len(model.log))
        assert appended.revision == model.do(context_id, "APPEND", first) == revision

    async def fork(self, context_id: str, model: Model, rng: random.Random) -> None:
        if len(self.models) == MOST or len(model.reads) == DEEPEST:
            return
        place = self.place(model, rng)
        forked = await self.live(
            model, self.server.contexts.ForkContext(cs.ForkContextRequest(context_id=context_id, **place.named))
        )
        if forked is None:
            return
        version, revision = place.version, place.revision
        child_id = forked.context.context_id
        child = Model(context_id, (version, revision), model.log[:version], reads=[*model.reads, context_id])
        child.sources = model.sources[:version]
        child.revisions = [did.until(version) for did in model.revisions[:revision]]
        child.do(child_id, "FORK", removed=frozenset(v for v in model.removed_at(revision) if v <= version))
        self.models[child_id] = child
        model.children.append(child_id)
        _, unanswered = groups_of(child.told(version))
        assert list(forked.pending_call_ids) == sorted({key for keys in unanswered.values() for key in keys})

    async def remove(self, context_id: str, model: Model, rng: random.Random) -> None:
        await self.overlay(context_id, model, rng, removes=True)

    async def restore(self, context_id: str, model: Model, rng: random.Random) -> None:
        await self.overlay(context_id, model, rng, removes=False)

    async def overlay(self, context_id: str, model: Model, rng: random.Random, *, removes: bool) -> None:
        if not model.log:
            return
        first = rng.randint(1, len(model.log))
        last = min(first + rng.choice([0, 1, 3, 10, 30]), len(model.log))
        named = range(first, last + 1)
        ranges = [ms.VersionRange(first_version=first, last_version=last)]
        messages = self.server.messages
        call: Awaitable[ms.RemoveMessagesResponse | ms.RestoreMessagesResponse]
        if removes:
            call = messages.RemoveMessages(ms.RemoveMessagesRequest(context_id=context_id, ranges=ranges))
        else:
            call = messages.RestoreMessages(ms.RestoreMessagesRequest(context_id=context_id, ranges=ranges))
        changed = await self.live(model, call)
        if changed is None:
            return
        groups, _ = groups_of(model.told(len(model.log)))
        concerned = {groups[v - 1] for v in named} - {0}
        whole = {*named, *(v for v, group in enumerate(groups, start=1) if group in concerned)}
        assert sorted(whole) == list(spread(changed.ranges))
        before = model.removed_at(len(model.revisions))
        after = before | whole if removes else before - whole
        assert changed.revision == model.do(
            context_id, "REMOVE" if removes else "RESTORE", removed=after, touched=frozenset(whole)
        )

    async def tag(self, context_id: str, model: Model, rng: random.Random) -> None:
        name, move = rng.choice(NAMES), rng.random() < 0.5
        place = self.place(model, rng)
        request = cs.TagVersionRequest(context_id=context_id, name=name, move=move, **place.named)
        call = self.server.contexts.TagVersion(request)
        if not model.deleted and name in model.tags and not move:
            assert (await refused(call)).reason == "TAG_EXISTS"
        elif tagged := await self.live(model, call):
            assert tagged.revision == model.do(context_id, "TAG")
            model.tags[name] = place.version, place.revision
            assert (tagged.tag.version, tagged.tag.revision) == model.tags[name]

    async def untag(self, context_id: str, model: Model, rng: random.Random) -> None:
        name = rng.choice(NAMES)
        call = self.server.contexts.DeleteTag(cs.DeleteTagRequest(context_id=context_id, name=name))
        if not model.deleted and name not in model.tags:
            assert (await refused(call)).reason == "TAG_NOT_FOUND"
        elif deleted := await self.live(model, call):
            assert deleted.revision == model.do(context_id, "UNTAG")
            del model.tags[name]

    async def delete(self, context_id: str, model: Model, _: random.Random) -> None:
        call = self.server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=context_id))
        if deleted := await self.live(model, call):
            assert deleted.context.latest_revision == model.do(context_id, "DELETE")
            model.deleted = True

    async def undelete(self, context_id: str, model: Model, _: random.Random) -> None:
        call = self.server.contexts.UndeleteContext(cs.UndeleteContextRequest(context_id=context_id))
        if not model.deleted:
            assert (await refused(call)).reason == "CONTEXT_NOT_DELETED"
            return
        assert (await call).context.latest_revision == model.do(context_id, "UNDELETE")
        model.deleted = False

    async def flatten(self, context_id: str, model: Model, _: random.Random) -> None:
        call = self.server.contexts.FlattenContext(cs.FlattenContextRequest(context_id=context_id))
        if not model.reads and not model.deleted:
            assert (await refused(call)).reason == "CONTEXT_IS_FLAT"
        elif flattened := await self.live(model, call):
            assert flattened.context.depth == 0
            assert flattened.revision == self.flattened(context_id, model)

    @staticmethod
    def flattened(context_id: str, model: Model) -> int:
        model.reads, model.sources = [], [context_id] * len(model.log)
        return model.do(context_id, "FLATTEN")

    async def redact(self, context_id: str, model: Model, rng: random.Random) -> None:
        """Erases messages of a context, which are so in every log then, and those alone."""
        if not model.log:
            return
        first = rng.randint(1, len(model.log))
        last = min(first + rng.choice([0, 0, 1, 2]), len(model.log))
        request = ms.RedactMessagesRequest(
            context_id=context_id, ranges=[ms.VersionRange(first_version=first, last_version=last)]
        )
        redacted = await self.live(model, self.server.messages.RedactMessages(request))
        if redacted is None:
            return
        named = {(model.log[version - 1].owner, version) for version in range(first, last + 1)}
        assert set(spread(redacted.receipt.redacted_before)) == {version for _, version in named & self.erased}
        logs = {
            log: sum(
                source == log and (entry.owner, version) in named - self.erased
                for version, (source, entry) in enumerate(zip(of_log.sources, of_log.log, strict=True), start=1)
            )
            for log, of_log in self.models.items()
        }
        assert {log.context_id: log.message_count for log in redacted.receipt.logs} == {
            k: n for k, n in logs.items() if n
        }
        self.erase_summaries(named - self.erased)
        self.erased |= named
        assert redacted.revision == model.do(context_id, "REDACT")

    async def purge(self, context_id: str, model: Model, rng: random.Random) -> None:
        """Erases a deleted context; where others read its log, only with copies of it for them."""
        detach = rng.random() < 0.5
        request = cs.PurgeContextRequest(context_id=context_id, detach_children=detach)
        call = self.server.contexts.PurgeContext(request)
        readers = [reader for reader, other in self.models.items() if context_id in other.reads]
        if not model.deleted or (readers and not detach):
            reason = "CONTEXT_HAS_FORKS" if model.deleted else "CONTEXT_NOT_DELETED"
            assert (await refused(call)).reason == reason
            return
        assert (await call).detached_count == len(readers)
        for reader in readers:
            self.flattened(reader, self.models[reader])
        del self.models[context_id]
        if model.parent in self.models:
            self.models[model.parent].children.remove(context_id)
        assert (await refused(self.server.get(context_id))).reason == "CONTEXT_NOT_FOUND"

    # --- what is asked ------------------------------------------------------------------------------------------------

    async def window(self, context_id: str, model: Model, rng: random.Random) -> None:
        """Asks for a window of a snapshot in a view, with a budget near the cost of one that there could be."""
        place, view = self.place(model, rng), rng.choice(VIEWS)
        dialect = rng.choice(sorted(DIALECTS))
        request = ms.GetWindowRequest(context_id=context_id, dialect=dialect, view=view, **place.named)
        if model.deleted:
            request.token_budget = 1
            await self.live(model, self.server.messages.GetWindow(request))
            return
        removed = self.removed(model, place, view)
        pinned = tuple(rng.sample(range(1, place.version + 1), min(place.version, rng.choice([0, 0, 1, 3]))))
        wanted = Wanted(pinned, most=rng.choice([0, 0, 0, 2, 5]))
        compaction = Standing()
        if view != window_pb2.VIEW_RAW:
            compaction = standing(model, place.version, self.revision(model, place, view))
        framing, erased = FRAMING[DIALECTS[dialect]], self.erased_of(model)
        reference = Reference(model.told(place.version), framing, wanted, removed, erased, compaction)
        costs = reference.costs(starts_on_user=DIALECTS[dialect].starts_on_user)
        request.token_budget = max(1, rng.choice(costs) + rng.choice([0, 0, 0, 1, -1, 50, -50]))
        options = window_pb2.WindowOptions(pinned_versions=wanted.pinned, max_messages=wanted.most)
        request.options.CopyFrom(options)
        whole = Place({}, *model.latest)
        await ask(self.server, request, reference, await self.shown(context_id, model, whole, window_pb2.VIEW_RAW))

    async def listing(self, context_id: str, model: Model, rng: random.Random) -> None:
        """Lists a snapshot in a view, from either end, in pages of any size."""
        place, view = self.place(model, rng), rng.choice(VIEWS)
        found = await self.shown(context_id, model, place, view)
        if model.deleted:
            return
        order = ms.LIST_ORDER_DESCENDING
        size = rng.choice([1, 3, 7, 1_000])
        request = ms.ListMessagesRequest(context_id=context_id, view=view, order=order, page_size=size, **place.named)
        backwards: list[pb.Message] = []
        while True:
            page = await self.server.messages.ListMessages(request)
            backwards += page.messages
            if not page.next_page_token or len(backwards) > 20:
                break
            request.page_token = page.next_page_token
        assert backwards == found[::-1][: len(backwards)]
        assert page.next_page_token or len(backwards) == len(found)

    async def shown(
        self, context_id: str, model: Model, place: Place, view: window_pb2.View.ValueType
    ) -> list[pb.Message]:
        """Holds what a view has of a snapshot to the model; returns it."""
        found = await self.live(model, self.server.log(context_id, view=view, **place.named))
        if found is None:
            return []
        hidden = model.hidden(place.version, self.removed(model, place, view))
        entries = [
            (version, entry)
            for version, entry in enumerate(model.log[: place.version], start=1)
            if version not in hidden
        ]
        assert [(m.version, m.context_id, m.revision, m.token_count) for m in found] == [
            (version, entry.owner, entry.revision, entry.told.tokens) for version, entry in entries
        ]
        assert [(m.role, m.text, list(m.parts), m.HasField("redact_time")) for m in found] == [
            (entry.message.role, "", [], True)
            if (entry.owner, version) in self.erased
            else (entry.message.role, entry.message.text, list(entry.message.parts), False)
            for version, entry in entries
        ]
        listed: list[pb.Message] = found
        return listed

    async def history(self, context_id: str, model: Model, rng: random.Random) -> None:
        """Holds the history and the context itself to the model."""
        context = await self.server.get(context_id)
        assert (context.latest_version, context.latest_revision) == model.latest
        assert context.total_tokens == sum(entry.told.tokens for entry in model.log)
        assert context.HasField("delete_time") == model.deleted
        assert context.depth == len(model.reads)
        ascending = {"order": ms.LIST_ORDER_ASCENDING, "page_size": rng.choice([3, 1_000])}
        found = await self.live(model, history(self.server, context_id, **ascending))
        if found is None:
            return
        assert [r.revision for r in found] == list(range(1, len(model.revisions) + 1))
        assert await history(self.server, context_id, page_size=rng.choice([3, 1_000])) == found[::-1]
        kinds = [ms.RevisionKind.Name(r.kind).removeprefix("REVISION_KIND_") for r in found]
        assert [
            (r.context_id, kind, r.first_version, r.last_version) for r, kind in zip(found, kinds, strict=True)
        ] == [
            # Only an append has a first version.
            (did.owner, did.kind, did.first, did.last)
            for did in model.revisions
        ]
        if not found:
            return
        # A time is behind the newest revision of its stamp.
        time = rng.choice(found).create_time
        revision = max(r.revision for r in found if r.create_time.ToNanoseconds() <= time.ToNanoseconds())
        place = Place({"at_time": time}, model.version_at(revision), revision)
        await self.shown(context_id, model, place, window_pb2.VIEW_CURRENT)

    async def lineage(self, context_id: str, model: Model, _: random.Random) -> None:
        found = await self.server.contexts.GetLineage(cs.GetLineageRequest(context_id=context_id, page_size=1_000))
        assert [a.context_id for a in found.ancestors] == [one for one in self.line(context_id) if one in self.models][
            :-1
        ]
        assert [c.context_id for c in found.children] == model.children
        relatives = [*found.ancestors, found.context, *found.children]
        assert [r.HasField("delete_time") for r in relatives] == [self.models[r.context_id].deleted for r in relatives]
        assert [(r.latest_version, r.latest_revision) for r in relatives] == [
            self.models[r.context_id].latest for r in relatives
        ]
        sources = [s.context_id for s in found.segments for _ in range(s.first_version, s.last_version + 1)]
        assert sources == model.sources

    async def comparison(self, context_id: str, model: Model, rng: random.Random) -> None:
        other_id = rng.choice(list(self.models))
        other = self.models[other_id]
        sides = []
        for one_id, one in ((context_id, model), (other_id, other)):
            revision = rng.choice([len(one.revisions), rng.randint(0, len(one.revisions))])
            point = lineage_pb2.ContextPoint(context_id=one_id, at_revision=revision)
            sides.append((point, one.log[: one.version_at(revision)]))
        (left, left_log), (right, right_log) = sides
        request = cs.CompareContextsRequest(left=left, right=right, page_size=1_000)
        call = self.server.contexts.CompareContexts(request)
        found = await self.live(replace(model, deleted=model.deleted or other.deleted), call)
        if found is None:
            return
        pairs = enumerate(zip(left_log, right_log, strict=False))
        shared = next((n for n, (a, c) in pairs if a.owner != c.owner), min(len(left_log), len(right_log)))
        lines = self.line(context_id), self.line(other_id)
        ancestor = next((one for one in reversed(lines[0]) if one in lines[1]), "")
        assert (found.common_ancestor_id, found.shared_version) == (ancestor, shared)
        for messages, side, log in (
            (found.left_messages, found.left, left_log[shared:]),
            (found.right_messages, found.right, right_log[shared:]),
        ):
            assert [m.context_id for m in messages] == [entry.owner for entry in log]
            assert (side.message_count, side.total_tokens) == (len(log), sum(entry.told.tokens for entry in log))

    async def tags(self, context_id: str, model: Model, _: random.Random) -> None:
        found = await self.live(model, self.server.contexts.ListTags(cs.ListTagsRequest(context_id=context_id)))
        if found is not None:
            assert {tag.name: (tag.version, tag.revision) for tag in found.tags} == model.tags

    # --- what is there ------------------------------------------------------------------------------------------------

    def place(self, model: Model, rng: random.Random) -> Place:
        """Chooses a snapshot, and how it is named."""
        latest_version, latest_revision = model.latest
        how = rng.choice(["latest", "version", "revision", "both", "tag"])
        revision = rng.randint(0, latest_revision)
        if how == "version":
            version = rng.randint(0, latest_version)
            return Place({"at_version": version}, version, latest_revision)
        if how == "revision":
            return Place({"at_revision": revision}, model.version_at(revision), revision)
        if how == "both":
            version = rng.randint(0, model.version_at(revision))
            return Place({"at_version": version, "at_revision": revision}, version, revision)
        if how == "tag" and model.tags:
            name = rng.choice(sorted(model.tags))
            return Place({"at_tag": name}, *model.tags[name])
        return Place({}, latest_version, latest_revision)

    @staticmethod
    def removed(model: Model, place: Place, view: window_pb2.View.ValueType) -> frozenset[int]:
        """What is removed of a snapshot in a view."""
        return frozenset() if view == window_pb2.VIEW_RAW else model.removed_at(Trees.revision(model, place, view))

    @staticmethod
    def revision(model: Model, place: Place, view: window_pb2.View.ValueType) -> int:
        """Of which revision a view is."""
        if view == window_pb2.VIEW_AS_THEN and set(place.named) == {"at_version"}:
            return model.log[place.version - 1].revision if place.version else 0
        return place.revision

    def line(self, context_id: str) -> list[str]:
        """A context and those that it comes from, the root first; before one that was purged nobody knows."""
        line = [context_id]
        while line[-1] in self.models and (parent := self.models[line[-1]].parent):
            line.append(parent)
        return line[::-1]


VIEWS = (window_pb2.VIEW_CURRENT, window_pb2.VIEW_AS_THEN, window_pb2.VIEW_RAW)


def say(rng: random.Random) -> Told:
    """Makes a message up: talk, calls of few ids, answers that come late, twice or to nothing."""
    tokens = rng.choice([0, 1, 5, 30, rng.randint(0, 400)])
    keys = tuple(rng.choice("abc") for _ in range(rng.choice([1, 1, 2, 3])))
    kind = rng.random()
    if kind < 0.55:
        return Told(rng.choice(["user", "user", "assistant", "assistant", "system", "developer"]), tokens)
    if kind < 0.75:
        return Told("assistant", tokens, keys)
    return Told(rng.choice(["tool", "tool", "user"]), tokens, (), keys, rng.random() < 0.2)
