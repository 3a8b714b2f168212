"""What a summariser is given and what it gives: the whole of what a plug-in needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kata_grpc.compaction import Numbered
    from kata_grpc.domain.overlays import Run
    from kata_grpc.summarisers.acceptance import Rejection


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryRequest:
    """What is to be summarised, and what for.

    `messages` are those that are hidden anew, in the order of their versions and in whole groups; `covered` are all
    that the summary stands for, those of the summary before it included. Whatever they say is data.
    """

    messages: Sequence[Numbered]
    covered: Run
    target_tokens: int
    """What the summary may take, its artifacts included."""
    count: Callable[[str], int]
    """Counts the tokens of a text; none in the empty one. It can be pickled, so that work may leave the process."""
    previous_text: str = ""
    """The summary that this one takes the place of."""
    previous_state: str = ""
    """What its summariser gave as `state`."""
    beside: Sequence[Numbered] = ()
    """Messages that stay in the window: what they hold need not be said again."""
    instructions: str = ""
    """What the policy asks of summaries, for summarisers that can be asked."""
    artifact_section: str = ""
    """Artifacts as they are written, for summarisers that are to keep them so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A summary, not accepted yet.

    `state` is stored beside it and given back as `previous_state`. Artifacts are kept if the text names them or a
    message beside it holds them.
    """

    text: str
    state: str
    summariser: str
    model: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    artifacts_kept: int = 0
    artifacts_dropped: int = 0


class Summariser(Protocol):
    """Makes summaries. One instance serves all tasks of one event loop."""

    @property
    def name(self) -> str:
        """What is stored as the maker of its summaries."""
        ...

    async def summarise(self, request: SummaryRequest) -> Summary:
        """Summarise, without stalling the event loop; SummariserFailed says why there is no summary."""
        ...

    async def close(self) -> None:
        """Let go of connections and processes."""
        ...


class SummariserFailed(Exception):  # noqa: N818 - named for what is the case, as the errors of the domain
    """There is no summary, and everything is as it was. The message holds no content of messages and no secrets.

    `rejection` is set where what was answered is known to be no summary; `retry_after` where the summariser was told
    how many seconds to leave it alone.
    """

    def __init__(self, why: str, *, rejection: Rejection | None = None, retry_after: float | None = None) -> None:
        self.why = why
        self.rejection = rejection
        self.retry_after = retry_after
        super().__init__(why)
