"""Work on many messages beside the event loop: a little of it in a thread, more in a process of its own.

Threads share one interpreter: while one of them computes, each wake of the event loop waits some 5 ms for its turn,
which is felt by every call for as long as the work takes. A process of its own costs a third of a second to start, and
is gone afterwards with all of its memory. Which of the two it was cannot be seen in the result.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from kata_grpc.domain.tokens import countable
from kata_grpc.summarisers.interface import SummariserFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kata_grpc.compaction import Numbered

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

IN_A_THREAD = 256 * 1024
"""How much is done in a thread, in characters: some 60 ms."""
_PER_MESSAGE = 64
"""What a message costs beyond its characters, in characters of the same time."""
_STATE_DIVISOR = 4
"""How much quicker a state is read than messages are."""
_BATCH_MESSAGES = 64
_BATCH = 256 * 1024
"""Characters that are made ready for the pipe at a time, which takes a fraction of a millisecond."""
_NICE = 5
_SERVE = "from kata_grpc.summarisers.aside import serve; serve()"


class Aside:
    """Works beside the event loop, in one process at a time."""

    def __init__(self, in_a_thread: int = IN_A_THREAD) -> None:
        self._in_a_thread = in_a_thread
        self._one = asyncio.Semaphore(1)

    async def work(self, function: Callable[..., Result], messages: Sequence[Numbered], **arguments: Any) -> Result:
        """Return `function(messages, **arguments)`. All of it can be pickled; a cancelled call ends its process."""
        most = self._in_a_thread - len(arguments.get("previous_state", "")) // _STATE_DIVISOR
        if _is_little(messages, most):
            return await asyncio.to_thread(function, messages, **arguments)
        async with self._one:
            return cast("Result", await _in_a_process(function, messages, arguments))


def _is_little(messages: Sequence[Numbered], most: int) -> bool:
    return len(messages) * _PER_MESSAGE <= most and sum(map(_weight, messages)) <= most


def _weight(numbered: Numbered) -> int:
    return _PER_MESSAGE + sum(len(piece) for piece in countable(numbered.message) if isinstance(piece, str))


async def _in_a_process(
    function: Callable[..., Result], messages: Sequence[Numbered], arguments: dict[str, Any]
) -> Any:
    job = pickle.dumps((function, arguments))
    try:
        # Where this process finds its modules the other one does, too. Signals of a terminal are not for it.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _SERVE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            start_new_session=True,
        )
    except OSError as error:
        raise SummariserFailed(f"no process can be started to summarise ({error.strerror})") from error
    assert process.stdin is not None, "it is a pipe"
    assert process.stdout is not None, "it is a pipe"
    assert process.stderr is not None, "it is a pipe"
    try:
        async with asyncio.TaskGroup() as group:
            answer = group.create_task(process.stdout.read())
            said = group.create_task(process.stderr.read())
            group.create_task(_send(process.stdin, job, messages))
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if status != 0:
        _log.error(
            "the process that summarises ended with status %d: %s", status, said.result().decode(errors="replace")
        )
        raise SummariserFailed(f"the process that summarises ended with status {status}")
    return pickle.loads(answer.result())  # noqa: S301 - from a process that was started here


async def _send(pipe: asyncio.StreamWriter, job: bytes, messages: Sequence[Numbered]) -> None:
    try:
        pipe.write(job)
        for batch in _batches(messages):
            pipe.write(pickle.dumps(batch))
            await pipe.drain()
            await asyncio.sleep(0)
        pipe.write(pickle.dumps(None))
        await pipe.drain()
        pipe.close()
    except (BrokenPipeError, ConnectionResetError):
        return  # it ended early, and its status says so


def _batches(messages: Sequence[Numbered]) -> Iterator[list[Numbered]]:
    batch: list[Numbered] = []
    room = _BATCH
    for numbered in messages:
        batch.append(numbered)
        room -= _weight(numbered)
        if room < 0 or len(batch) == _BATCH_MESSAGES:
            yield batch
            batch, room = [], _BATCH
    yield batch


def serve() -> None:
    """Do what comes over standard input, once. Calls are served first where there is not enough time for both."""
    os.nice(_NICE)
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    function, arguments = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
    result = function(_received(sys.stdin.buffer), **arguments)
    with answer:
        pickle.dump(result, answer)


def _received(pipe: BinaryIO) -> Iterator[Numbered]:
    while (batch := pickle.load(pipe)) is not None:  # noqa: S301 - as above
        yield from batch
