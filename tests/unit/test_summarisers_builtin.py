"""The built-in summariser behind the interface: the same in a thread and in a process, and beside the event loop."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from kata_grpc.compaction import Numbered, State, summarise
from kata_grpc.domain.messages import Image, Media, Message, Role, Text, ToolCall, ToolResult
from kata_grpc.domain.overlays import Run
from kata_grpc.summarisers import Aside, Builtin, Rejection, SummariserFailed, SummaryRequest, check, complete
from kata_grpc.tokenizers import PortableCounter, Tokenizers

if TYPE_CHECKING:
    from collections.abc import Iterable

COUNT = PortableCounter("o200k_base")
IN_A_PROCESS = 0
ROOT = Path(__file__).parents[2]
TEXTS = ["Fix the test in tests/test_a.py of issue ABC-12, please.", "I read src/kata/parse.py:17 and commit 0a1b2c3d."]


def talk(size: int, first: int = 1) -> list[Numbered]:
    def turns() -> Iterable[Message]:
        for number in range(size):
            yield Message(Role.USER, f"{TEXTS[number % 2]} Case {number} of https://kata.example/{number % 97}")
            call = ToolCall(f"call_{number}", "run", f'{{"command": "pytest tests/test_{number % 53}.py"}}')
            yield Message(Role.ASSISTANT, parts=(Text("I run it."), call))
            yield Message(Role.TOOL, parts=(ToolResult(call.id, f"{number % 7} failed, exit code {number % 3}"),))

    return [Numbered(version, message) for version, message in enumerate(islice(turns(), size), first)]


def request(messages: list[Numbered], **more: object) -> SummaryRequest:
    covered = Run(messages[0].version if messages else 1, messages[-1].version if messages else 1)
    return SummaryRequest(messages=messages, covered=covered, **{"target_tokens": 800, "count": COUNT, **more})


async def test_a_process_a_thread_and_a_plain_call_give_the_same() -> None:
    messages = talk(300)
    plain = summarise(messages, Tokenizers().counter("o200k_base"), 800)
    aside, beside = (
        await Builtin(IN_A_PROCESS).summarise(request(messages)),
        await Builtin().summarise(request(messages)),
    )
    assert aside == beside
    assert (aside.text, aside.state, aside.summariser) == (plain.text, plain.state.to_json(), "builtin")
    assert (aside.artifacts_kept, aside.artifacts_dropped) == (len(plain.kept), len(plain.dropped))
    assert check(aside.text, tokens=COUNT(aside.text), input_tokens=20_000, target_tokens=800) == ()


@pytest.mark.parametrize("in_a_thread", [IN_A_PROCESS, 10**9])
async def test_the_next_summary_is_merged_with_the_last_and_counts_what_stays_beside(in_a_thread: int) -> None:
    builtin = Builtin(in_a_thread)
    messages = talk(120)
    first = await builtin.summarise(request(messages[:60]))
    second = await builtin.summarise(request(messages[60:], previous_state=first.state, previous_text=first.text))
    state = State.from_json(second.state)
    assert (state.first, state.last, state.messages) == (1, 120, 120)
    assert "tests/test_a.py" in second.text
    held = await builtin.summarise(request(messages[60:], previous_state=first.state, beside=messages[:3]))
    assert "## Artifacts" in held.text
    assert "kata.example/0" not in held.text.split("## Artifacts")[1]


async def test_where_nothing_fits_nothing_is_said() -> None:
    made = await Builtin().summarise(request(talk(9), target_tokens=5))
    assert made.text == ""
    assert check(made.text, tokens=0, input_tokens=100, target_tokens=5) == (Rejection.EMPTY,)


async def longest_wait(work: asyncio.Future[object]) -> tuple[float, float]:
    waits = []
    while not work.done():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        waits.append(time.perf_counter() - before - 0.001)
    waits.sort()
    return waits[len(waits) // 2], waits[-1]


async def test_messages_without_text_are_said_to_be_so() -> None:
    images = [Numbered(n, Message(Role.USER, parts=(Image(Media(media_type="image/png", data=b"1")),))) for n in (3, 4)]
    made = await Builtin().summarise(request(images))
    assert made.text == "Messages 3 to 4 have no text to tell of (image: 2)."
    assert check(made.text, tokens=COUNT(made.text), input_tokens=1_000, target_tokens=800) == ()
    assert State.from_json(made.state).messages == 2
    assert (await Builtin().summarise(request(images, target_tokens=5))).text == ""


async def test_the_event_loop_goes_on_while_much_is_summarised() -> None:
    """A thread that computes makes each wake of the loop wait 5 ms: half of them are far below that."""
    messages = [Numbered(version, one.message) for version, one in enumerate(islice(cycle(talk(999)), 20_000), 1)]
    work = asyncio.ensure_future(Builtin().summarise(request(messages)))
    median, longest = await longest_wait(work)
    assert State.from_json(work.result().state).messages == 20_000
    assert median < 0.004
    assert longest < 0.25


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


async def begun(builtin: Builtin, messages: list[Numbered]) -> tuple[asyncio.Task[object], psutil.Process]:
    before = set(children())
    work = asyncio.create_task(builtin.summarise(request(messages)))
    while not (new := set(children()) - before):
        await asyncio.sleep(0.01)
    return work, new.pop()


async def test_a_cancelled_call_ends_its_process() -> None:
    builtin = Builtin(IN_A_PROCESS)
    work, process = await begun(builtin, talk(30_000))
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not process.is_running()
    assert (await builtin.summarise(request(talk(30)))).text


async def test_a_process_that_is_killed_is_a_failure_and_the_next_one_is_not() -> None:
    builtin = Builtin(IN_A_PROCESS)
    work, process = await begun(builtin, talk(30_000))
    process.send_signal(signal.SIGKILL)
    with pytest.raises(SummariserFailed, match="ended with status -9"):
        await work
    assert (await builtin.summarise(request(talk(30)))).text


PARENT = """
import asyncio
from tests.unit.test_summarisers_builtin import IN_A_PROCESS, Builtin, request, talk
asyncio.run(Builtin(IN_A_PROCESS).summarise(request(talk(30_000))))
"""


def test_a_process_ends_with_the_server_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT) as parent:
        while not (found := psutil.Process(parent.pid).children()):
            time.sleep(0.01)
        parent.kill()
    psutil.wait_procs(found, timeout=20)
    assert not any(process.is_running() for process in found)


async def test_no_process_that_can_be_started_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/absent/python")
    with pytest.raises(SummariserFailed, match=r"no process can be started to summarise \(No such file or directory\)"):
        await Builtin(IN_A_PROCESS).summarise(request(talk(3)))


async def test_a_counter_that_cannot_be_sent_is_a_mistake_that_is_named() -> None:
    with pytest.raises((AttributeError, pickle.PicklingError), match="lambda"):
        await Builtin(IN_A_PROCESS).summarise(request(talk(3), count=lambda text: len(text) // 4))


def broken(messages: Iterable[Numbered], **_: object) -> str:
    print("this is no answer")
    raise ValueError(f"{len(list(messages))} secret messages")


async def test_what_goes_wrong_in_a_process_is_said_in_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(SummariserFailed) as caught:
        await Aside(IN_A_PROCESS).work(broken, talk(3))
    assert "secret" not in str(caught.value)
    assert "3 secret messages" in caplog.text


def noisy(messages: Iterable[Numbered], **_: object) -> tuple[int, int]:
    print("this is no answer")
    return len(list(messages)), os.getpid()


async def test_what_a_process_prints_is_not_its_answer_and_one_runs_at_a_time() -> None:
    aside = Aside(IN_A_PROCESS)
    running: list[set[int]] = []

    async def watch() -> None:
        while True:
            running.append({child.pid for child in children()})
            await asyncio.sleep(0.005)

    watching = asyncio.create_task(watch())
    answers = await asyncio.gather(*(aside.work(noisy, talk(size)) for size in (1, 200, 3)))
    watching.cancel()
    assert [count for count, _ in answers] == [1, 200, 3]
    assert len({process for _, process in answers} | {os.getpid()}) == 4
    own = {process for _, process in answers}
    assert max(len(now & own) for now in running) == 1


def test_a_counter_is_sent_by_its_name() -> None:
    counter = PortableCounter("claude-sonnet-4")
    sent = pickle.dumps(counter)
    assert len(sent) < 200
    assert (
        pickle.loads(sent)("Hello, 世界")
        == counter("Hello, 世界")
        == Tokenizers().counter("claude-sonnet-4")("Hello, 世界")
    )


async def test_the_text_of_another_gets_the_artifacts_that_it_does_not_name() -> None:
    text = "The user wants tests/test_a.py of ABC-12 fixed [v1]; it still fails."
    made = await complete(request(talk(30)), text, Aside(), summariser="mine", model="some", input_tokens=5)
    assert made.text.startswith(f"{text}\n## Artifacts\n[v")
    assert COUNT(made.text) <= 800
    artifacts = made.text.split("## Artifacts")[1]
    assert "«pytest tests/test_9.py»" in artifacts
    assert "ABC-12" not in artifacts
    assert (made.summariser, made.model, made.input_tokens, made.output_tokens) == ("mine", "some", 5, None)
    merged = await Builtin().summarise(request(talk(9, first=31), previous_state=made.state))
    assert "From an earlier summary [v1] summary: «The user wants tests/test_a.py of ABC-12 fixed" in merged.text


@pytest.mark.parametrize("target", [1, 20, 40, 100, 3_000])
async def test_the_artifacts_take_what_the_text_leaves(target: int) -> None:
    text = "The user wants it fixed [v1]."
    made = await complete(request(talk(30), target_tokens=target), text, Aside(), summariser="mine")
    assert COUNT(made.text) <= max(target, COUNT(text))
    assert made.text.startswith(text)


async def test_the_text_of_another_that_is_none_is_not_completed() -> None:
    with pytest.raises(SummariserFailed) as caught:
        await complete(request(talk(30)), "I'm sorry, I can't help with that.", Aside(), summariser="mine")
    assert caught.value.rejection is Rejection.REFUSED
