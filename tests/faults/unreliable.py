"""Writers that cannot be relied upon: they give up at random, cut their connections, and try again with the same key.

Each call is noted with the times of its start and its end, for the checker of histories.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
from kata.context.v1 import message_service_pb2 as ms

from tests.faults.clients import CALL_SECONDS, Client, dial
from tests.faults.histories import Appended, Attempt, Conflict, Seen
from tests.rpc.appendstreams import info, request
from tests.rpc.serving import read_error

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from tests.faults.workload import Batch, Workload

_ALLOWED = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
_CUT = "Internal error from Core"
"""What a client's own library says when a stream ends in the moment of a write."""
_PAUSE = 0.02
_WINDOW = 12
"""Appends that a stream has unanswered at most."""


@dataclass(slots=True)
class Record:
    """What all callers saw, by context, and what they believe of each."""

    attempts: dict[str, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    versions: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    settled: int = 0
    conflicts: int = 0
    unknown: int = 0
    replays: int = 0

    def note(self, batch: Batch, expected: int | None, invoked: float, outcome: Appended | Conflict | None) -> None:
        returned = time.monotonic() if outcome else float("inf")
        self.attempts[batch.context_id].append(Attempt(invoked, returned, batch.request_id, expected, outcome))
        self.settled += outcome is not None
        match outcome:
            case None:
                self.unknown += 1
            case Conflict(actual):
                self.conflicts += 1
                self.versions[batch.context_id] = actual
            case Appended(_, last, replayed):
                self.replays += replayed
                self.versions[batch.context_id] = max(last, self.versions[batch.context_id])


@dataclass(slots=True)
class Writer:
    """One that writes until told to stop, and then settles what is open."""

    addresses: Sequence[str]
    work: Workload
    record: Record
    stop: asyncio.Event
    chance: random.Random

    def batch(self) -> tuple[Batch, int | None]:
        """Chooses what to write next, on a condition every other time."""
        batch = self.work.next_batch()
        return batch, self.record.versions[batch.context_id] if self.chance.random() < 0.5 else None

    def deadline(self) -> float:
        return self.chance.uniform(0.001, 0.03) if self.chance.random() < 0.15 else CALL_SECONDS

    async def call(self) -> None:
        """Writes by single calls, over one channel for a while."""
        while not self.stop.is_set():
            batch, expected = self.batch()
            settled = False
            while not settled:
                async with dial(self.chance.choice(self.addresses)) as client:
                    for _ in range(self.chance.randint(1, 20)):
                        settled = await self._attempt(client, batch, expected)
                        if settled and self.stop.is_set():
                            return
                        if settled:
                            batch, expected = self.batch()
                            settled = False

    async def _attempt(self, client: Client, batch: Batch, expected: int | None) -> bool:
        """Calls once; tells whether the outcome is known."""
        invoked = time.monotonic()
        condition = {} if expected is None else {"expected_version": expected}
        sending = asyncio.ensure_future(batch.send(client, timeout=self.deadline(), **condition))
        if self.chance.random() < 0.05:  # the line is cut
            await asyncio.wait({sending}, timeout=self.chance.uniform(0, 0.02))
            await client.channel.close()
        await asyncio.wait({sending})
        outcome: Appended | Conflict | None = None
        if not sending.cancelled():
            match sending.exception():
                case None:
                    answer = sending.result()
                    outcome = Appended(answer.first_version, answer.last_version, answer.replayed)
                case grpc.aio.AioRpcError() as error if error.code() is grpc.StatusCode.ABORTED:
                    outcome = _conflict(read_error(error).metadata)
                case grpc.aio.AioRpcError() as error:
                    assert error.code() in _ALLOWED, error
                case grpc.aio.UsageError():  # the channel was closed before the call began
                    pass
                case error:
                    raise error
        self.record.note(batch, expected, invoked, outcome)
        if outcome is None:
            await asyncio.sleep(self.chance.uniform(0, _PAUSE))
        return outcome is not None

    async def stream(self) -> None:
        """Writes by streams, several appends ahead of the answers, and repeats what a cut left unanswered."""
        open_: dict[str, tuple[Batch, int | None]] = {}
        while open_ or not self.stop.is_set():
            async with dial(self.chance.choice(self.addresses)) as client:
                await self._one_stream(client, open_)
            await asyncio.sleep(self.chance.uniform(0, _PAUSE))

    async def _one_stream(self, client: Client, open_: dict[str, tuple[Batch, int | None]]) -> None:
        call: Any = client.messages.StreamAppends(timeout=self.chance.choice((0.2, CALL_SECONDS, CALL_SECONDS)))
        cut_after = self.chance.randint(1, 60)
        sent: dict[int, tuple[Batch, int | None, float]] = {}
        again = list(open_.values())
        number = 0
        try:
            while True:
                appends = []
                while again or (len(sent) < _WINDOW and number < 200 and not self.stop.is_set()):
                    batch, expected = again.pop(0) if again else self.batch()
                    open_[batch.request_id] = batch, expected
                    number += 1
                    sent[number] = batch, expected, time.monotonic()
                    fields: dict[str, Any] = {"request_id": batch.request_id}
                    if expected is not None:
                        fields["expected_version"] = expected
                    append = request(batch.context_id, *batch.messages, **fields)
                    appends.append(ms.NumberedAppend(sequence=number, append=append))
                if appends:
                    await call.write(ms.StreamAppendsRequest(appends=appends))
                if not sent:
                    await call.done_writing()
                    assert await call.read() is grpc.aio.EOF
                    return
                frame = await call.read()
                if frame is grpc.aio.EOF:
                    return
                for outcome in frame.outcomes:
                    self._answered(*sent.pop(outcome.sequence), outcome, open_)
                cut_after -= 1
                if not cut_after:
                    call.cancel()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            code, details = await call.code(), await call.details()
            assert code in _ALLOWED or details == _CUT, (code, details)
        except asyncio.CancelledError:  # how a call that was cancelled here says so, unless the writer is meant
            this = asyncio.current_task()
            if not call.cancelled() or (this is not None and this.cancelling()):
                raise
        finally:
            for batch, expected, invoked in sent.values():
                self.record.note(batch, expected, invoked, None)

    def _answered(
        self,
        batch: Batch,
        expected: int | None,
        invoked: float,
        answer: ms.AppendOutcome,
        open_: dict[str, tuple[Batch, int | None]],
    ) -> None:
        outcome: Appended | Conflict | None = None
        if answer.HasField("appended"):
            batch.acknowledge(answer.appended)
            outcome = Appended(answer.appended.first_version, answer.appended.last_version, answer.appended.replayed)
        elif (why := info(answer)).reason == "VERSION_CONFLICT":
            outcome = _conflict(why.metadata)
        else:
            assert why.reason in ("STORAGE_UNAVAILABLE", "DEADLINE", "SHUTTING_DOWN"), why
        self.record.note(batch, expected, invoked, outcome)
        if outcome is not None:
            del open_[batch.request_id]

    async def look(self) -> None:
        """Reads versions, as those who follow do."""
        while not self.stop.is_set():
            async with dial(self.chance.choice(self.addresses)) as client:
                with suppress(grpc.aio.AioRpcError):
                    for _ in range(50):
                        context_id = self.chance.choice(self.work.contexts)
                        invoked = time.monotonic()
                        version = (await client.get(context_id)).latest_version
                        seen = Attempt(invoked, time.monotonic(), outcome=Seen(version))
                        self.record.attempts[context_id].append(seen)
                        await asyncio.sleep(_PAUSE)
            await asyncio.sleep(_PAUSE)


def _conflict(metadata: Mapping[str, str]) -> Conflict:
    assert int(metadata["versions_since"]) == int(metadata["actual"]) - int(metadata["expected"])
    return Conflict(int(metadata["actual"]))
