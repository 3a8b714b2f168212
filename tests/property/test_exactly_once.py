"""Writes in any sequence, to two server processes over one database, against a plain model of what they must do.

Creations, appends with and without request_id and expected_version, by call and by stream, repetitions with the same
and with other content, changes, deletions, and copies of a request at the same time. After every step the whole context
is read from one of the servers and compared.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule, run_state_machine_as_test
from kata.context.v1 import context_pb2
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub
from kata.context.v1.message_service_pb2_grpc import MessageServiceStub

from tests.faults.processes import StartServer, start_server
from tests.property.register import Answer, Change, Done, Refusal, Register, Said
from tests.rpc import build as b

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.rpc.serving import FreshDatabase

__all__ = ["start_server"]

SECONDS = 30
QUICK = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
LONG = settings(QUICK, max_examples=600, stateful_step_count=60, derandomize=False)

SAID = st.lists(
    st.sampled_from([Said("a"), Said("b"), Said("a b"), Said(calls=1), Said(calls=250)]), min_size=1, max_size=3
)
KEYS = st.sampled_from(["", "", "k", "l", "m"])
SERVER = st.integers(0, 1)
HOW = st.sampled_from(["call", "stream"])


@dataclass
class Tracked:
    """A context and its model."""

    context_id: str
    register: Register


class Stubs:
    """One server."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.contexts = ContextServiceStub(channel)
        self.messages = MessageServiceStub(channel)


def refusal(details: bytes) -> Refusal:
    """Reads the reason and the numbers of a refusal."""
    info = error_details_pb2.ErrorInfo()
    status_pb2.Status.FromString(details).details[0].Unpack(info)
    if info.reason != "VERSION_CONFLICT":
        return Refusal(info.reason)
    expected, actual = int(info.metadata["expected"]), int(info.metadata["actual"])
    assert int(info.metadata["versions_since"]) == actual - expected
    return Refusal(info.reason, expected, actual)


def answer(call: Callable[[], Any]) -> Any:
    """Calls, and returns the answer or the refusal."""
    try:
        return call()
    except grpc.RpcError as error:
        return refusal(dict(error.trailing_metadata() or ())["grpc-status-details-bin"])


def place(appended: Any) -> Answer:
    if isinstance(appended, Refusal):
        return appended
    return Done(appended.revision, appended.first_version, appended.last_version, appended.replayed)


def message(said: Said) -> pb.Message:
    return b.calls(*map(str, range(said.calls))) if said.calls else b.user(said.text)


def told(found: pb.Message) -> Said:
    return Said(found.text, len(found.parts))


class ExactlyOnce(RuleBasedStateMachine):
    """Does to the service what it does to the model."""

    contexts = Bundle("contexts")

    def __init__(self, servers: Sequence[Stubs]) -> None:
        super().__init__()
        self.servers = servers
        self.run = uuid4().hex
        self.created: dict[str, Tracked] = {}
        self.sent: list[tuple[Tracked, list[Said], str, int | None]] = []
        self.touched: Tracked | None = None

    def key(self, key: str) -> str:
        """Request_ids of creations count for the tenant: each run has its own."""
        return key and f"{self.run}-{key}"

    @rule(target=contexts, key=KEYS, name=st.sampled_from("xy"), server=SERVER)
    def create(self, key: str, name: str, server: int) -> Any:
        request = cs.CreateContextRequest(name=name, request_id=self.key(key))
        found = answer(lambda: self.servers[server].contexts.CreateContext(request, timeout=SECONDS))
        before = self.created.get(key) if key else None
        if before is None:
            assert not found.replayed
            tracked = Tracked(found.context.context_id, Register(name))
            tracked.register.created(self.key(key))
            self.created[key] = self.touched = tracked
            return tracked
        asked, _ = before.register.claims[self.key(key)]
        if asked == ("CreateContext", name):
            assert found.replayed
            assert found.context.context_id == before.context_id
        else:
            assert found == Refusal("REQUEST_ID_REUSED")
        return multiple()

    @rule(of=contexts, said=SAID, key=KEYS, behind=st.sampled_from([None, None, 0, 0, 1]), server=SERVER, how=HOW)
    def append(self, of: Tracked, said: list[Said], key: str, behind: int | None, server: int, how: str) -> None:
        expected = None if behind is None else max(0, len(of.register.log) - behind)
        self._append(of, said, self.key(key), expected, server, how)

    @rule(place_of=st.integers(0, 1_000), server=SERVER, how=HOW)
    def repeat(self, place_of: int, server: int, how: str) -> None:
        """Sends an old append again, as it was."""
        if self.sent:
            self._append(*self.sent[place_of % len(self.sent)], server, how)

    @rule(place_of=st.integers(0, 1_000), said=SAID, expected=st.sampled_from([None, 0, 7]), server=SERVER, how=HOW)
    def repeat_otherwise(self, place_of: int, said: list[Said], expected: int | None, server: int, how: str) -> None:
        """Sends other content, or another expected_version, under an old request_id."""
        if self.sent:
            of, before, key, _ = self.sent[place_of % len(self.sent)]
            self._append(of, before if expected == 7 else said, key, expected, server, how)

    @rule(of=contexts, said=SAID, key=st.sampled_from(["k", "l", "n"]), copies=st.integers(2, 6), guarded=st.booleans())
    def append_at_once(self, of: Tracked, said: list[Said], key: str, copies: int, guarded: bool) -> None:
        """Sends copies of one append to both servers at the same time: one writes, all are told the same."""
        request = self._request(of, said, self.key(key), len(of.register.log) if guarded else None)
        calls = [self.servers[n % 2].messages.AppendMessages.future(request, timeout=SECONDS) for n in range(copies)]
        expected = request.expected_version if guarded else None
        wanted = [of.register.append(said, self.key(key), expected) for _ in range(copies)]
        found = [place(answer(call.result)) for call in calls]
        assert sorted(map(repr, found)) == sorted(map(repr, wanted))
        self.touched = of

    @rule(
        of=contexts,
        method=st.sampled_from(["UpdateContext", "DeleteContext", "UndeleteContext", "UndeleteContext"]),
        key=KEYS,
        name=st.sampled_from("xy"),
        server=SERVER,
    )
    def change(self, of: Tracked, method: Change, key: str, name: str, server: int) -> None:
        contexts, request_id = self.servers[server].contexts, self.key(key)
        name = name if method == "UpdateContext" else ""
        found: Any
        if method == "UpdateContext":
            context = context_pb2.Context(context_id=of.context_id, name=name)
            update = cs.UpdateContextRequest(context=context, request_id=request_id)
            found = answer(lambda: contexts.UpdateContext(update, timeout=SECONDS))
        elif method == "DeleteContext":
            delete = cs.DeleteContextRequest(context_id=of.context_id, request_id=request_id)
            found = answer(lambda: contexts.DeleteContext(delete, timeout=SECONDS))
        else:
            undelete = cs.UndeleteContextRequest(context_id=of.context_id, request_id=request_id)
            found = answer(lambda: contexts.UndeleteContext(undelete, timeout=SECONDS))
        if not isinstance(found, Refusal):
            found = Done(found.revision, replayed=found.replayed)
        wanted = of.register.change(method, request_id, name)
        if isinstance(wanted, Done):  # a replay of an append would be one of another method
            wanted = Done(wanted.revision, replayed=wanted.replayed)
        assert found == wanted
        self.touched = of

    @invariant()
    def the_context_is_what_the_model_says(self) -> None:
        if self.touched is None:
            return
        of, self.touched = self.touched, None
        server = self.servers[len(of.register.history) % 2]
        register = of.register
        context = server.contexts.GetContext(cs.GetContextRequest(context_id=of.context_id), timeout=SECONDS).context
        assert context.HasField("delete_time") == register.deleted
        assert (context.name, context.latest_version, context.message_count, context.latest_revision) == (
            register.name,
            len(register.log),
            len(register.log),
            len(register.history),
        )
        if register.deleted:
            return
        listing = ms.ListMessagesRequest(context_id=of.context_id, page_size=1_000)
        log = server.messages.ListMessages(listing, timeout=SECONDS).messages
        assert [m.version for m in log] == list(range(1, len(log) + 1))
        assert list(map(told, log)) == register.log
        revisions = ms.ListHistoryRequest(context_id=of.context_id, page_size=1_000, order=ms.LIST_ORDER_ASCENDING)
        found = [
            (r.request_id, r.revision, r.first_version, r.last_version if r.first_version else 0)
            for r in server.messages.ListHistory(revisions, timeout=SECONDS).revisions
        ]
        assert found == [(key, done.revision, done.first, done.last) for key, done in register.history]

    def _append(
        self, of: Tracked, said: list[Said], request_id: str, expected: int | None, server: int, how: str
    ) -> None:
        messages, request = self.servers[server].messages, self._request(of, said, request_id, expected)
        if how == "call":
            found = answer(lambda: messages.AppendMessages(request, timeout=SECONDS))
        else:
            frame = ms.StreamAppendsRequest(appends=[ms.NumberedAppend(sequence=1, append=request)])
            ((outcome,),) = [f.outcomes for f in messages.StreamAppends(iter([frame]), timeout=SECONDS)]
            failed = outcome.HasField("failure")
            found = refusal(outcome.failure.SerializeToString()) if failed else outcome.appended
        assert place(found) == of.register.append(said, request_id, expected)
        self.sent.append((of, said, request_id, expected))
        self.touched = of

    def _request(
        self, of: Tracked, said: list[Said], request_id: str, expected: int | None
    ) -> ms.AppendMessagesRequest:
        request = ms.AppendMessagesRequest(context_id=of.context_id, messages=map(message, said), request_id=request_id)
        if expected is not None:
            request.expected_version = expected
        return request


async def _run(fresh_url: FreshDatabase, start_server: StartServer, how_long: settings) -> None:
    url = await fresh_url()
    servers = [await start_server(DATABASE_URL=url) for _ in range(2)]

    def run() -> None:
        with ExitStack() as stack:
            channels = [stack.enter_context(grpc.insecure_channel(server.address)) for server in servers]
            stubs = [Stubs(channel) for channel in channels]
            run_state_machine_as_test(lambda: ExactlyOnce(stubs), settings=how_long)

    await asyncio.to_thread(run)


@pytest.mark.holds("I1", "I3", "I4", "P15")
async def test_any_sequence_of_writes(fresh_url: FreshDatabase, start_server: StartServer) -> None:
    await _run(fresh_url, start_server, QUICK)


@pytest.mark.torture
@pytest.mark.timeout(3_600)
@pytest.mark.holds("I1", "I3", "I4", "P15")
async def test_any_sequence_of_writes_for_long(fresh_url: FreshDatabase, start_server: StartServer) -> None:
    await _run(fresh_url, start_server, LONG)
