"""What is done with messages whoever writes the text: a summary by rule, or what goes with somebody else's."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from kata_grpc.compaction import State, adopt, artifact_section, collect, summarise
from kata_grpc.domain.messages import Reasoning, Text
from kata_grpc.summarisers.acceptance import check_text
from kata_grpc.summarisers.interface import SummariserFailed, Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from kata_grpc.compaction import Numbered
    from kata_grpc.domain.messages import Part
    from kata_grpc.summarisers.aside import Aside
    from kata_grpc.summarisers.interface import SummaryRequest

_HEADING = "\n## Artifacts\n"
_LINE = re.compile(r"\[v\d{1,18}(?:-v\d{1,18})?\] .*")


class Made(NamedTuple):
    """A text, what goes with it, and how many artifacts it kept and dropped."""

    text: str
    state: str
    kept: int
    dropped: int


def summarised(
    messages: Iterable[Numbered],
    *,
    previous_state: str,
    count: Callable[[str], int],
    target_tokens: int,
    beside: Sequence[Numbered],
) -> Made:
    """Summarise by rule."""
    made = summarise(messages, count, target_tokens, previous=_state(previous_state), beside=beside)
    return Made(made.text, made.state.to_json(), len(made.kept) + len(made.held), len(made.dropped))


def completed(
    messages: Iterable[Numbered],
    *,
    previous_state: str,
    count: Callable[[str], int],
    target_tokens: int,
    beside: Sequence[Numbered],
    text: str,
) -> Made:
    """Put the artifacts that a text does not name behind it, in what it leaves of the target."""
    state = collect(messages, _state(previous_state))
    room = target_tokens - count(text + _HEADING)
    while True:
        section = artifact_section(state, count, room, summary=text, beside=beside)
        whole = text + _HEADING + section.text if section.text else text
        over = count(whole) - target_tokens
        if over <= 0 or not section.text:
            break
        room -= over
    kept = len(section.kept) + len(section.held)
    return Made(whole, adopt(state, text).to_json(), kept, len(section.dropped))


def artifacts(
    messages: Iterable[Numbered], *, previous_state: str, count: Callable[[str], int], target_tokens: int
) -> str:
    """Return the lines of artifacts that go behind a summary that is not written yet."""
    return artifact_section(collect(messages, _state(previous_state)), count, target_tokens).text


def adopted(messages: Iterable[Numbered], *, previous_state: str, text: str) -> str:
    """Return the state beside a text that stays as somebody wrote it."""
    return adopt(collect(messages, _state(previous_state)), text).to_json()


def without_artifacts(text: str) -> str:
    """Return what somebody wrote of a text that was completed: the state has its artifacts."""
    written, _, section = text.rpartition(_HEADING)
    return written if all(map(_LINE.fullmatch, section.splitlines())) and written else text


async def complete(
    request: SummaryRequest,
    text: str,
    aside: Aside,
    *,
    summariser: str,
    model: str = "",
    input_tokens: int | None = None,
    output_tokens: int | None = None,
) -> Summary:
    """Make a summary of the text that a model or a person wrote; SummariserFailed if it is none.

    The artifacts of the messages that it does not name stand behind it, and its lines are carried on in the state.
    """
    if why := check_text(text):
        raise SummariserFailed(f"the answer is no summary ({why[0]})", rejection=why[0])
    made = await aside.work(completed, request.messages, **_arguments(request), text=text.strip())
    return Summary(
        text=made.text,
        state=made.state,
        summariser=summariser,
        model=model,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        artifacts_kept=made.kept,
        artifacts_dropped=made.dropped,
    )


async def by_rule(request: SummaryRequest, aside: Aside, *, summariser: str) -> Summary:
    """Summarise by rule."""
    made = await aside.work(summarised, request.messages, **_arguments(request))
    return Summary(
        text=made.text or _of_nothing(request),
        state=made.state,
        summariser=summariser,
        artifacts_kept=made.kept,
        artifacts_dropped=made.dropped,
    )


def _of_nothing(request: SummaryRequest) -> str:
    """Return what is said of messages in which nothing was found to tell, as where they are images: what they are."""
    kinds = Counter(
        type(part).__name__.lower() for one in request.messages for part in one.message.parts if not _is_text(part)
    )
    first, last = request.covered
    held = ", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items()))
    text = f"Messages {first} to {last} have no text to tell of{f' ({held})' if held else ''}."
    return text if request.count(text) <= request.target_tokens else ""


def _is_text(part: Part) -> bool:
    return isinstance(part, Text | Reasoning)


def _arguments(request: SummaryRequest) -> dict[str, Any]:
    return {
        "previous_state": request.previous_state,
        "count": request.count,
        "target_tokens": request.target_tokens,
        "beside": tuple(request.beside),
    }


def _state(text: str) -> State | None:
    return State.from_json(text) if text else None
