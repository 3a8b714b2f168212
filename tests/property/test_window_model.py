"""The window engine against a plain retelling of its rules, over random logs and random questions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING

import grpc
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import window_pb2

from kata_grpc.codec import decode_body, encode_body
from kata_grpc.domain.tokens import FRAMING, Framing
from kata_grpc.domain.windows import Dialect
from kata_grpc.services import accounting, overlays, tails
from kata_grpc.services import choosing as engine
from kata_grpc.services import windows as reading
from kata_grpc.tokenizers import Tokenizers
from tests.property.reference import Expected, NoStart, Reference, Told, TooSmall, Wanted, groups_of
from tests.rpc import build as b
from tests.rpc.serving import Running, loop, read_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

DIALECTS: dict[window_pb2.Dialect.ValueType, Dialect] = {
    window_pb2.DIALECT_OPENAI_CHAT: Dialect.OPENAI_CHAT,
    window_pb2.DIALECT_OPENAI_RESPONSES: Dialect.OPENAI_RESPONSES,
    window_pb2.DIALECT_ANTHROPIC: Dialect.ANTHROPIC,
    window_pb2.DIALECT_GEMINI: Dialect.GEMINI,
}
ROLES = {
    "user": pb.ROLE_USER,
    "assistant": pb.ROLE_ASSISTANT,
    "system": pb.ROLE_SYSTEM,
    "developer": pb.ROLE_DEVELOPER,
    "tool": pb.ROLE_TOOL,
}
QUICK = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
    derandomize=True,
)
LONG = settings(QUICK, max_examples=3_000, derandomize=False)

# --- what is tried ----------------------------------------------------------------------------------------------------

few_keys = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple)
tokens = st.one_of(st.integers(0, 30), st.just(0), st.integers(100, 400))
plain = st.builds(Told, st.sampled_from(["user", "user", "assistant", "assistant", "system", "developer"]), tokens)
calling = st.builds(Told, st.just("assistant"), tokens, few_keys)
answering = st.builds(
    Told,
    st.sampled_from(["tool", "tool", "user"]),
    tokens,
    st.just(()),
    few_keys,
    st.sampled_from([False, False, True]),
)
one_answer = st.builds(Told, st.just("tool"), tokens, st.just(()), st.sampled_from("abc").map(lambda key: (key,)))
message = st.one_of(plain, plain, calling, one_answer, one_answer, answering)


@dataclass(frozen=True)
class Question:
    dialect: int
    reserve: int
    how: str
    """How the snapshot is named."""
    up_to: float
    """How far into the log the snapshot is, unless it is the latest."""
    near: int
    """Which of the possible windows' costs the budget is chosen by."""
    off: int
    """By how much it is off that cost."""
    pinned: tuple[int, ...]
    most: int
    low_water: float
    """Of the budget, what a step falls to; 0 for no steps."""
    min_gain: int


questions = st.builds(
    Question,
    st.sampled_from(sorted(DIALECTS)),
    st.sampled_from([0, 0, 1, 50]),
    st.sampled_from(["latest", "latest", "version", "as then", "revision", "both", "raw"]),
    st.floats(0, 1),
    st.integers(0, 100),
    st.one_of(st.just(0), st.integers(-2, 2), st.integers(-100, 100)),
    st.one_of(st.just(()), st.just(()), st.lists(st.integers(1, 30), min_size=1, max_size=3).map(tuple)),
    st.sampled_from([0, 0, 0, 1, 2, 5]),
    st.sampled_from([0.0, 0.0, 0.01, 0.5, 0.9]),
    st.sampled_from([0, 0, 20, 300]),
)


@dataclass(frozen=True)
class Case:
    log: list[Told]
    cuts: list[bool]
    questions: list[Question]
    forks: dict[int, bool] = field(default_factory=dict)
    """Before which batches the context is forked, and whether the parent has gone on before that already."""
    removals: dict[int, tuple[bool, float, int]] = field(default_factory=dict)
    """After which batches messages are removed or restored: those from a part of the log on, some more or all."""
    redactions: list[tuple[float, bool, bool]] = field(default_factory=list)
    """What is erased once all is written: a message by its part of the log, asked for in a fork of the context or in
    itself, and before it whether the context gets a log of its own, with copies."""

    def batches(self) -> list[list[Told]]:
        batches: list[list[Told]] = [[]]
        for place, told in enumerate(self.log):
            batches[-1].append(told)
            if self.cuts[place % len(self.cuts)]:
                batches.append([])
        return [batch for batch in batches if batch]


removals = st.tuples(st.sampled_from([True, True, False]), st.floats(0, 1), st.sampled_from([0, 0, 1, 3, 30]))
redactions = st.tuples(st.floats(0, 1), st.sampled_from([True, False]), st.sampled_from([True, False]))
plain_logs = st.builds(
    Case,
    st.lists(message, max_size=30),
    st.lists(st.booleans(), min_size=1, max_size=8),
    st.lists(questions, min_size=1, max_size=6),
)
forked_and_removed = st.builds(
    Case,
    st.lists(message, min_size=3, max_size=30),
    st.lists(st.sampled_from([False, True, True]), min_size=2, max_size=8),
    st.lists(questions, min_size=2, max_size=6),
    st.dictionaries(st.integers(0, 8), st.booleans(), max_size=4),
    st.dictionaries(st.integers(0, 8), removals, min_size=1, max_size=8),
)
forked_and_redacted = st.builds(
    Case,
    st.lists(message, min_size=3, max_size=30),
    st.lists(st.sampled_from([False, True, True]), min_size=2, max_size=8),
    st.lists(questions, min_size=2, max_size=6),
    st.dictionaries(st.integers(0, 8), st.booleans(), max_size=3),
    st.dictionaries(st.integers(0, 8), removals, max_size=2),
    st.lists(redactions, min_size=1, max_size=4),
)
cases = st.one_of(plain_logs, forked_and_removed, forked_and_redacted)

ASIDE = [Told("system", 7), Told("assistant", 7, ("a", "b")), Told("tool", 7, (), ("a",)), Told("user", 7)]
"""What a parent goes on with, and a fork must never see."""
A_STEP_AT_A_BOUND = Case(
    [Told("user", 0), Told("user", 0), Told("user", 0), Told("assistant", 0), Told("assistant", 0)],
    [False],
    [Question(1, 0, "latest", 0.0, 1, 0, (), 2, 0.5, 0)],
)
"""The bound on messages puts the turn before the tail, and a step's cut stands on the turn."""

NOTHING_BEFORE_THE_TURN = Case(
    [
        *(Told("user", 0) for _ in range(7)),
        Told("tool", 0, (), ("a",)),
        *(Told("user", 0) for _ in range(3)),
        *(Told("assistant", 0) for _ in range(2)),
        Told("tool", 0, (), ("a",)),
        Told("assistant", 0),
    ],
    [True, True, False, False],
    [Question(1, 0, "latest", 0.0, 1, 0, (13,), 2, 0.01, 20)],
    {},
    {0: (True, 0.0, 0), 5: (True, 0.0, 30)},
)
"""Nothing older than the turn is left, which stands before the tail: there is nothing to step over."""

NOTHING_BUT_A_PIN = Case(
    [Told("assistant", 0, ("a", "a")), Told("tool", 0, (), ("a",)), Told("user", 0)],
    [False],
    [Question(1, 0, "latest", 0.0, 0, 36, (3,), 0, 0.0, 0)],
)
"""The running sums say that all fits, and the tail is empty: one group is pinned, the other was abandoned."""

NO_OLDER_TURN = Case(
    [Told("user", 0, (), ("a",), True), Told("user", 0), Told("user", 0), Told("assistant", 0)],
    [False],
    [Question(1, 0, "latest", 0.0, 0, 0, (), 0, 0.0, 0)],
    {},
    {0: (True, 0.25, 1)},
)
"""The turns are removed, and what is left of the user's answers a call: it opens none."""

# --- how it is tried --------------------------------------------------------------------------------------------------


def to_message(told: Told) -> pb.Message:
    if not told.calls and not told.results:
        # An empty message of the user's would cost what stands for it, which the reference does not know.
        empty = "." if told.role == "user" else ""
        return pb.Message(role=ROLES[told.role], text="word " * told.tokens or empty)
    parts = [b.call_part(key) for key in told.calls] + [b.result_part(key) for key in told.results]
    if told.has_more:
        parts.append(b.text_part("more"))
    return pb.Message(role=ROLES[told.role], parts=parts)


@dataclass(frozen=True)
class Stored:
    """Where the log is, its revision after each number of batches, and what was removed from each revision on."""

    context_id: str
    revisions: list[int]
    removed: dict[int, frozenset[int]]
    redacted: frozenset[int]

    def removed_at(self, revision: int) -> frozenset[int]:
        return self.removed[max(known for known in self.removed if known <= revision)]


async def store(server: Running, case: Case) -> Stored:
    """Appends the log, to a context or, with forks, to one after the other; parents go their own ways."""
    context_id, version, revisions = (await server.create(tokenizer=b.SIZED)).context_id, 0, [0]
    removed: dict[int, frozenset[int]] = {0: frozenset()}
    for place, batch in enumerate(case.batches()):
        if place in case.forks:
            aside = [b.sized(to_message(told), 7) for told in ASIDE]
            if case.forks[place]:
                await server.append(context_id, *aside)
            forked = await server.contexts.ForkContext(cs.ForkContextRequest(context_id=context_id, at_version=version))
            await server.append(context_id, *aside)
            context_id = forked.context.context_id
            assert (forked.context.latest_version, forked.context.fork_version) == (version, version)
        appended = await server.append(context_id, *(b.sized(to_message(told), told.tokens) for told in batch))
        assert appended.first_version == version + 1
        version = appended.last_version
        revisions.append(appended.revision)
        if place in case.removals:
            remove, part, more = case.removals[place]
            first = 1 + round(part * (version - 1))
            named = range(first, min(first + more, version) + 1)
            groups, _ = groups_of(case.log[:version])
            concerned = {groups[v - 1] for v in named} - {0}
            whole = {*named, *(v for v, group in enumerate(groups, start=1) if group in concerned)}
            request = {
                "context_id": context_id,
                "ranges": [ms.VersionRange(first_version=named[0], last_version=named[-1])],
            }
            changed: ms.RemoveMessagesResponse | ms.RestoreMessagesResponse
            if remove:
                changed = await server.messages.RemoveMessages(ms.RemoveMessagesRequest(**request))
            else:
                changed = await server.messages.RestoreMessages(ms.RestoreMessagesRequest(**request))
            answered = [range(run.first_version, run.last_version + 1) for run in changed.ranges]
            assert sorted(whole) == [v for run in answered for v in run]
            before = removed[max(removed)]
            removed[changed.revision] = before | whole if remove else before - whole
    return Stored(context_id, revisions, removed, await redact(server, case, context_id))


async def redact(server: Running, case: Case, context_id: str) -> frozenset[int]:
    """Erases messages, and holds the answers to what is erased; returns their versions."""
    redacted: set[int] = set()
    for part, through_fork, flat in case.redactions:
        version = 1 + round(part * (len(case.log) - 1))
        context = await server.get(context_id)
        if flat and context.depth:
            await server.contexts.FlattenContext(cs.FlattenContextRequest(context_id=context_id))
        asked = context_id
        if through_fork:
            asked = (await server.contexts.ForkContext(cs.ForkContextRequest(context_id=context_id))).context.context_id
        request = ms.RedactMessagesRequest(context_id=asked, versions=[version])
        receipt = (await server.messages.RedactMessages(request)).receipt
        assert [(run.first_version, run.last_version) for run in receipt.ranges] == [(version, version)]
        assert bool(receipt.redacted_before) == (version in redacted)
        redacted.add(version)
    return frozenset(redacted)


def ask_for(
    question: Question, case: Case, stored: Stored, framing_of: Mapping[str, Framing]
) -> tuple[ms.GetWindowRequest, Reference]:
    """Returns the question as a request, and the reference that knows the answer."""
    ends = list(accumulate(map(len, case.batches()), initial=0))
    request = ms.GetWindowRequest(dialect=window_pb2.Dialect.ValueType(question.dialect))
    snapshot, removed = len(case.log), stored.removed_at(10**9)
    if question.how != "latest":
        snapshot = round(question.up_to * len(case.log))
    if question.how == "revision":
        batches = round(question.up_to * (len(ends) - 1))
        request.at_revision = stored.revisions[batches]
        snapshot = ends[batches]
        removed = stored.removed_at(request.at_revision)
    elif question.how != "latest":
        request.at_version = snapshot
    if question.how == "as then":
        request.view = window_pb2.VIEW_AS_THEN
        batches = next((number for number, end in enumerate(ends) if snapshot <= end), 0)
        removed = stored.removed_at(stored.revisions[batches])
    elif question.how == "raw":
        request.view, removed = window_pb2.VIEW_RAW, frozenset()
    elif question.how == "both":
        request.at_revision = stored.revisions[-1]
        removed = stored.removed_at(request.at_revision)
    dialect = DIALECTS[question.dialect]
    wanted = Wanted(tuple(v for v in question.pinned if v <= len(case.log)), question.most)
    reference = Reference(case.log[:snapshot], framing_of[dialect], wanted, removed, stored.redacted)
    costs = reference.costs(starts_on_user=dialect.starts_on_user)
    request.token_budget = max(1, costs[question.near % len(costs)] + question.reserve + question.off)
    request.reserve_tokens = min(question.reserve, request.token_budget - 1)
    options = window_pb2.WindowOptions(pinned_versions=wanted.pinned, max_messages=wanted.most)
    if question.low_water:
        room = request.token_budget - request.reserve_tokens
        low = int(room * question.low_water)
        options.start_steps.low_water_tokens = low
        options.start_steps.min_gain_tokens = question.min_gain
        reference.wanted = replace(wanted, step=room - low, min_gain=question.min_gain)
    request.options.CopyFrom(options)
    return request, reference


def per_version(excluded: Sequence[window_pb2.ExcludedRange]) -> dict[int, str]:
    """Spreads ranges out, holding them to be disjoint and in order."""
    found: dict[int, str] = {}
    for run in excluded:
        assert run.first_version <= run.last_version
        reason = window_pb2.ExclusionReason.Name(run.reason).removeprefix("EXCLUSION_REASON_")
        for version in range(run.first_version, run.last_version + 1):
            assert version > max(found, default=0), "ranges are disjoint and in order"
            found[version] = reason
    return found


def check_ledger(response: ms.GetWindowResponse) -> None:
    header, ledger = response.header, response.trailer.ledger
    parts = (ledger.pinned_tokens, ledger.summary_tokens, ledger.tail_tokens, ledger.overhead_tokens)
    assert all(part >= 0 for part in (*parts, ledger.unused_tokens))
    assert sum(parts) == header.window_tokens <= header.token_budget - header.reserve_tokens
    assert sum(parts) + ledger.reserve_tokens + ledger.unused_tokens == header.token_budget


def check_groups_whole(messages: Sequence[pb.Message], reference: Reference) -> None:
    """No group is split, no result stands without its call, no call in the middle without its result."""
    versions = {message.version for message in messages}
    for version in versions:
        group = reference.groups[version - 1]
        assert group, "no orphan"
        assert set(reference.members(group)) <= versions, "no split group"
        assert group == reference.newest or group not in reference.unanswered


async def check(server: Running, case: Case) -> None:
    stored = await store(server, case)
    log = await server.log(stored.context_id, view=window_pb2.VIEW_RAW)
    assert [m.token_count for m in log] == [told.tokens for told in case.log]
    hidden = Reference(case.log, FRAMING[Dialect.OPENAI_CHAT], removed=stored.removed_at(10**9)).hidden
    assert await server.log(stored.context_id) == [m for m in log if m.version not in hidden]
    assert {m.version for m in log if m.HasField("redact_time")} == stored.redacted
    assert not any(m.text or m.parts for m in log if m.version in stored.redacted)
    for question in case.questions:
        request, reference = ask_for(question, case, stored, FRAMING)
        request.context_id = stored.context_id
        await ask(server, request, reference, log)


async def check_recounted(server: Running, case: Case, tokenizers: Tokenizers) -> None:
    """Asks in a tokenizer that is not the context's, so that every count is made anew."""
    stored = await store(server, case)
    log = await server.log(stored.context_id, view=window_pb2.VIEW_RAW)
    counts = tokenizers.count_now([decode_body(encode_body(to_message(told))) for told in case.log], "cl100k_base")
    recounted = replace(
        case, log=[replace(told, tokens=counted.tokens) for told, counted in zip(case.log, counts, strict=True)]
    )
    for question in case.questions:
        request, reference = ask_for(question, recounted, stored, FRAMING)
        reference.stored = case.log[: len(reference.log)]
        request.context_id = stored.context_id
        request.tokenizer = "cl100k_base"
        await ask(server, request, reference, log)


async def ask(server: Running, request: ms.GetWindowRequest, reference: Reference, log: Sequence[pb.Message]) -> None:
    room = request.token_budget - request.reserve_tokens
    on_user = DIALECTS[request.dialect].starts_on_user
    expected = reference.window(room, starts_on_user=on_user)
    event(type(expected).__name__ + (" with hidden messages" if reference.hidden else ""))
    streaming = ms.StreamWindowRequest.FromString(request.SerializeToString())
    try:
        response = await server.messages.GetWindow(request)
    except grpc.RpcError as error:
        refused = read_error(error)
        if isinstance(expected, NoStart):
            assert refused.reason == "NO_LEGAL_WINDOW"
            return
        assert refused.reason == "BUDGET_TOO_SMALL", refused
        assert isinstance(expected, TooSmall), (expected, refused.message)
        required = int(refused.metadata["required_tokens"])
        assert required == expected.required + request.reserve_tokens > request.token_budget
        request.token_budget = required
        again = await server.messages.GetWindow(request)
        assert again.header.window_tokens == expected.required, "the least budget that works, and it does"
        return
    assert isinstance(expected, Expected), (expected, response)
    header, trailer = response.header, response.trailer
    messages = list(response.messages)
    if reference.after:
        place = sum(version <= reference.after for version in expected.versions)
        summary = messages.pop(place)
        assert summary.derived.last_version == reference.stands_for
        assert summary.token_count == trailer.ledger.summary_tokens == reference.summary
    assert [m.version for m in messages] == expected.versions
    assert messages == [log[version - 1] for version in expected.versions], "as they stand in the log"
    assert header.message_count == len(response.messages)
    assert header.window_tokens == reference.whole(expected.run, starts_on_user=on_user)
    assert header.tail_first_version == expected.tail_first
    assert trailer.ledger.pinned_tokens == expected.pinned_tokens
    assert trailer.ledger.tail_tokens == expected.tail_tokens
    assert list(trailer.pending_call_ids) == expected.pending
    out = per_version(trailer.excluded)
    assert {v: reason for v, reason in out.items() if v not in expected.versions} == expected.out
    always = {*reference.pins, reference.turn, *(v for start in reference.kept for v in reference.members(start))}
    assert not any(v in out for v in expected.versions if v not in always)
    check_ledger(response)
    check_groups_whole(messages, reference)

    assert header.snapshot_version == len(reference.log)
    assert header.tokenizer == (request.tokenizer or b.SIZED)
    counted = header.accuracy != window_pb2.WINDOW_ACCURACY_ESTIMATED
    assert counted == bool(request.tokenizer) or not expected.versions, "the context's counts are its callers'"
    assert header.first_version == min(expected.versions, default=0)
    assert header.last_version == max(expected.versions, default=0)

    sent = [frame async for frame in server.messages.StreamWindow(streaming)]
    assert sent[0].header == header
    assert [m for frame in sent[1:-1] for m in frame.chunk.messages] == list(response.messages)
    assert sent[-1].trailer == trailer
    if chunks := sent[1:-1]:
        place = request.token_budget % len(chunks)
        streaming.resume_token = chunks[place].chunk.resume_token
        rest = [frame async for frame in server.messages.StreamWindow(streaming)]
        assert rest == [sent[0], *chunks[place + 1 :], sent[-1]], "resuming gives what was missing"


@pytest.fixture(scope="module")
def tokenizers() -> Iterator[Tokenizers]:
    tokenizers = Tokenizers()
    yield tokenizers
    tokenizers.close()


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every window a large one: found by the running sums, read by pages, sent in chunks, all of two messages."""
    for module in (tails, reading):
        monkeypatch.setattr(module, "LOOK_MOST", 2)
        monkeypatch.setattr(module, "LOOK_LEAST", 1)
    for module in (engine, reading):
        monkeypatch.setattr(module, "PINNED_MOST", 1)
    monkeypatch.setattr(tails, "_COSTS_PAGE", 2)
    monkeypatch.setattr(tails, "_SEEN_MOST", 3)
    monkeypatch.setattr(overlays, "_SPAN", 2)
    monkeypatch.setattr(engine, "_PINNED_PAGE", 2)
    monkeypatch.setattr(reading, "_DIGESTS_AT_ONCE", 3)
    monkeypatch.setattr(accounting, "FRAME_BYTES", 64)
    monkeypatch.setattr(accounting, "_ENDS_AT_ONCE", 1)
    monkeypatch.setattr(reading, "FRAME_MESSAGES", 2)
    monkeypatch.setattr(reading, "FRAME_BYTES", 300)  # less than two messages, as it happens, or more


# --- tests ------------------------------------------------------------------------------------------------------------

pytestmark = [loop, pytest.mark.holds("I2", "I5", "I6", "I8", "P16")]


@example(case=NO_OLDER_TURN)
@given(case=cases)
@QUICK
async def test_windows_are_those_of_the_reference(server: Running, case: Case) -> None:
    await check(server, case)


@pytest.mark.holds("I9")
@pytest.mark.usefixtures("small_steps")
@example(case=A_STEP_AT_A_BOUND)
@example(case=NOTHING_BUT_A_PIN)
@given(case=cases)
@QUICK
async def test_windows_found_by_running_sums_are_those_of_the_reference(server: Running, case: Case) -> None:
    await check(server, case)


@example(case=NOTHING_BEFORE_THE_TURN)
@given(case=cases)
@QUICK
async def test_recounted_windows_are_those_of_the_reference(
    server: Running, tokenizers: Tokenizers, case: Case
) -> None:
    await check_recounted(server, case, tokenizers)


@pytest.mark.torture
@given(case=cases)
@LONG
async def test_windows_are_those_of_the_reference_for_long(server: Running, case: Case) -> None:
    await check(server, case)


@pytest.mark.torture
@pytest.mark.usefixtures("small_steps")
@given(case=cases)
@LONG
async def test_windows_found_by_running_sums_are_those_of_the_reference_for_long(server: Running, case: Case) -> None:
    await check(server, case)


@pytest.mark.torture
@pytest.mark.usefixtures("small_steps")
@given(case=cases)
@LONG
async def test_recounted_windows_are_those_of_the_reference_for_long(
    server: Running, tokenizers: Tokenizers, case: Case
) -> None:
    await check_recounted(server, case, tokenizers)
