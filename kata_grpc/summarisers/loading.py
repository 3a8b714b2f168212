"""Which summariser the settings name: the built-in one, a model behind an endpoint, or a plug-in's.

A plug-in is a distribution with an entry point in the group `kata_grpc.summarisers`: something that is called without
arguments and gives a `Summariser`. It is somebody else's code: whatever goes wrong in it is a summary less.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Protocol, cast

from kata_grpc.compaction import State
from kata_grpc.summarisers import builtin
from kata_grpc.summarisers.builtin import Builtin
from kata_grpc.summarisers.interface import SummariserFailed, Summary

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from kata_grpc.summarisers.interface import Summariser, SummaryRequest

_log = logging.getLogger(__name__)

GROUP = "kata_grpc.summarisers"
CALLER = "caller"
"""What summaries of callers are stored under."""
OPENAI = "openai"
_OWN = frozenset({builtin.NAME, OPENAI, CALLER})
_NAME = re.compile(r"[!-~]{1,64}")


class SummariserSettings(Protocol):
    """The settings of summarisers. Times are in seconds."""

    @property
    def summariser(self) -> str:
        """`builtin`, `openai`, or the name of an entry point."""
        ...

    @property
    def summariser_url(self) -> str | None:
        """Of the endpoint; set for `openai`."""
        ...

    @property
    def summariser_model(self) -> str | None:
        """Of the endpoint; set for `openai`."""
        ...

    @property
    def summariser_api_key(self) -> str | None:
        """Of the endpoint."""
        ...

    @property
    def summariser_connect_timeout(self) -> float:
        """For one connection."""
        ...

    @property
    def summariser_timeout(self) -> float:
        """For a whole summary, the built-in one excepted."""
        ...

    @property
    def summariser_max_tokens(self) -> int:
        """Of one answer."""
        ...

    @property
    def summariser_context_tokens(self) -> int:
        """Of one call."""
        ...


class SummariserUnavailable(Exception):  # noqa: N818 - named for what is the case, as the errors of the domain
    """The summariser that the settings name cannot be had; the message is a sentence that says why."""


def load(settings: SummariserSettings) -> Summariser:
    """Return the summariser that the settings name; SummariserUnavailable where there is none."""
    if settings.summariser == builtin.NAME:
        return Builtin()
    if settings.summariser == OPENAI:
        return _openai(settings)
    return _Guarded(_plugin(settings.summariser), settings.summariser_timeout)


def _openai(settings: SummariserSettings) -> Summariser:
    # Only who uses a model waits for a client of HTTP.
    from kata_grpc.summarisers.openai import Endpoint, OpenAI  # noqa: PLC0415

    assert settings.summariser_url is not None, "the settings were validated"
    assert settings.summariser_model is not None, "the settings were validated"
    endpoint = Endpoint(
        url=settings.summariser_url,
        model=settings.summariser_model,
        api_key=settings.summariser_api_key,
        connect_timeout=settings.summariser_connect_timeout,
        timeout=settings.summariser_timeout,
        max_tokens=settings.summariser_max_tokens,
        context_tokens=settings.summariser_context_tokens,
    )
    try:
        return OpenAI(endpoint)
    except ValueError as error:
        raise SummariserUnavailable(f"KATA_SUMMARISER_URL cannot be used: {error}.") from error


def _plugin(name: str) -> Summariser:
    installed = entry_points(group=GROUP)
    found = installed.select(name=name)
    if not found:
        names = ", ".join([builtin.NAME, OPENAI, *sorted(installed.names)])
        raise SummariserUnavailable(f"KATA_SUMMARISER is {name}, which is no summariser that is installed: {names}.")
    if len(found) > 1:
        origins = " and ".join(sorted(_origin(one) for one in found))
        raise SummariserUnavailable(f"KATA_SUMMARISER is {name}, which is in {origins}: remove all but one.")
    (entry,) = found
    try:
        summariser = entry.load()()
    except Exception as error:  # a plug-in may raise anything
        why = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")
        raise SummariserUnavailable(f"The summariser {name} of {_origin(entry)} cannot be loaded: {why}.") from error
    if problem := _problem(summariser):
        raise SummariserUnavailable(f"The summariser {name} of {_origin(entry)} {problem}.")
    return cast("Summariser", summariser)


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value


def _problem(summariser: Any) -> str:
    """Return what a plug-in's object lacks of a summariser."""
    for method in ("summarise", "close"):
        if not inspect.iscoroutinefunction(getattr(summariser, method, None)):
            return f"has no coroutine function {method}"
    name = getattr(summariser, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return "has no name of 1 to 64 visible ASCII characters"
    if name in _OWN:
        return f"calls itself {name}, as another one does"
    return ""


class _Guarded:
    """A plug-in's summariser, of which nothing escapes but summaries and SummariserFailed, in time."""

    def __init__(self, summariser: Summariser, timeout: float) -> None:
        self._summariser = summariser
        self._timeout = timeout
        self.name = summariser.name

    async def summarise(self, request: SummaryRequest) -> Summary:
        """Have it summarise."""
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                summary = await self._summariser.summarise(request)
        except SummariserFailed:
            raise
        except Exception as error:  # a plug-in may raise anything
            if limit.expired():
                raise SummariserFailed(f"there was no summary within {self._timeout:g} seconds") from None
            _log.exception("the summariser %s failed", self.name)
            raise SummariserFailed(f"the summariser {self.name} failed ({type(error).__name__})") from error
        # The next summary is made of the state, whoever makes it: a bad one would be in the way for ever.
        if not await _is_sound(summary):
            raise SummariserFailed(f"the summariser {self.name} gave no summary with a state")
        return summary

    async def close(self) -> None:
        """Close it."""
        try:
            await self._summariser.close()
        except Exception:  # noqa: BLE001 - a plug-in may raise anything, and what it was is logged
            _log.exception("the summariser %s could not be closed", self.name)


async def _is_sound(summary: Any) -> bool:
    """Whether a plug-in gave a summary of which the next one can be made."""
    if not isinstance(summary, Summary):
        return False
    texts: list[Any] = [summary.text, summary.state, summary.summariser, summary.model]
    if not all(isinstance(text, str) for text in texts):
        return False
    try:
        await asyncio.to_thread(State.from_json, summary.state)
    except ValueError:
        return False
    return True
