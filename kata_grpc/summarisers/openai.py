"""Summaries by a model behind any endpoint that speaks OpenAI's protocol of chat completions.

The key is sent to the address that was configured and nowhere else: redirects are failures. What a service answers is
read up to a bound and never repeated in a log or an error, which could tell keys or content: they name its status.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx2

from kata_grpc.summarisers.acceptance import Rejection, check_text
from kata_grpc.summarisers.aside import Aside
from kata_grpc.summarisers.interface import SummariserFailed
from kata_grpc.summarisers.making import complete, without_artifacts
from kata_grpc.summarisers.prompting import Lines, system_prompt, user_prompt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kata_grpc.summarisers.interface import Summary, SummaryRequest

_log = logging.getLogger(__name__)
# It would log the address of each request, of which the query may be secret.
logging.getLogger("httpx2").setLevel(logging.WARNING)

NAME = "openai"

TEXT_PERCENT = 50
"""What of the target is asked of the model; artifacts get what its text leaves."""
MAX_CALLS = 64
"""How many parts of messages are summarised one after the other."""
MAX_ANSWER = 4 * 1024 * 1024
"""Bytes of an answer."""
ATTEMPTS = 4
_FIRST_WAIT = 0.5
_MOST_WAIT = 30.0
"""A service that wants to be left alone for longer is left alone, by whoever asked for the summary."""
_MARGIN_PERCENT = 10
"""Of a model's context: it counts with a tokenizer that may not be the one here."""
_LEAST_ROOM = 256
"""Tokens of messages for which a call is worth making."""
_RETRIED = frozenset({408, 409, 425, 429})
_OUT_OF_QUOTA = "insufficient_quota"
_NEWER_LIMIT = "max_completion_tokens"
_CODE = re.compile(r"[A-Za-z_]{1,64}")
"""What codes of errors look like, and keys do not."""
_MODEL = re.compile(r"[!-~]{1,200}")
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
"""What some servers leave in front of the answer of a model that reasons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the model is and what it takes. Times are in seconds."""

    url: str = field(repr=False)
    """The base, which `/chat/completions` is put behind; it may have a query."""
    model: str
    api_key: str | None = field(default=None, repr=False)
    connect_timeout: float = 5.0
    timeout: float = 240.0
    """For a whole summary: all of its calls, attempts and waits."""
    max_tokens: int = 4_096
    """Of one answer, what the model thinks included."""
    context_tokens: int = 32_768
    """Of one call, its answer included."""


class _Answer(NamedTuple):
    text: str
    model: str
    input_tokens: int | None
    output_tokens: int | None


class _Failure(Exception):  # noqa: N818 - one attempt of several
    """An attempt failed; `wait` is what the service asked for, and `again` says whether another may do better."""

    def __init__(self, why: str, *, again: bool, wait: float | None = None) -> None:
        self.why = why
        self.again = again
        self.wait = wait
        super().__init__(why)


class OpenAI:
    """Asks a model; what is too much for one call is summarised part by part, each upon the summary of those before."""

    name = NAME

    def __init__(self, endpoint: Endpoint, aside: Aside | None = None) -> None:
        """Open nothing yet; ValueError where the address is none."""
        self._endpoint = endpoint
        self._aside = aside or Aside()
        try:
            base = httpx2.URL(endpoint.url)
        except httpx2.InvalidURL:
            raise ValueError("it is no address of HTTP") from None
        self._url = base.copy_with(path=base.path.rstrip("/") + "/chat/completions")
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if endpoint.api_key is not None:
            headers["Authorization"] = f"Bearer {endpoint.api_key}"
        timeout = httpx2.Timeout(None, connect=endpoint.connect_timeout)
        self._client = httpx2.AsyncClient(headers=headers, timeout=timeout, follow_redirects=False)
        self._limit = "max_tokens"

    async def summarise(self, request: SummaryRequest) -> Summary:
        """Summarise; SummariserFailed where the model did not, or refused to."""
        try:
            async with asyncio.timeout(self._endpoint.timeout):
                answer = await self._merged(request)
        except TimeoutError:
            raise SummariserFailed(f"there was no summary within {self._endpoint.timeout:g} seconds") from None
        return await complete(
            request,
            answer.text,
            self._aside,
            summariser=self.name,
            model=answer.model,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _merged(self, request: SummaryRequest) -> _Answer:
        """Return the summary of all parts, and what they took together."""
        target = min(request.target_tokens * TEXT_PERCENT // 100, self._endpoint.max_tokens * 3 // 4)
        system = system_prompt(max(target, 1), request.instructions)
        lines = Lines(request.messages, request.count)
        whole = _Answer(without_artifacts(request.previous_text), self._endpoint.model, None, None)
        for _ in range(MAX_CALLS):
            user = await asyncio.to_thread(self._next_part, lines, request, system, whole.text)
            answer = await self._ask(system, user)
            if why := check_text(answer.text):
                raise SummariserFailed(f"the model's answer is no summary ({why[0]})", rejection=why[0])
            whole = _with_sums(answer, whole)
            if not lines.left:
                return whole
        raise SummariserFailed(
            f"the messages take more than {MAX_CALLS} calls of {self._endpoint.context_tokens} tokens"
        )

    def _next_part(self, lines: Lines, request: SummaryRequest, system: str, previous: str) -> str:
        room = self._endpoint.context_tokens * (100 - _MARGIN_PERCENT) // 100 - self._endpoint.max_tokens
        room -= request.count(system) + request.count(user_prompt(previous, request.artifact_section, ()))
        if room < _LEAST_ROOM:
            raise SummariserFailed(f"{self._endpoint.context_tokens} tokens of context leave no room for messages")
        return user_prompt(previous, request.artifact_section, lines.take(room))

    async def _ask(self, system: str, user: str) -> _Answer:
        attempt = 1
        while True:
            try:
                return await self._attempt(system, user)
            except _Failure as failure:
                wait = failure.wait
                if wait is None:
                    wait = _FIRST_WAIT * 2 ** (attempt - 1) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
                if not failure.again or attempt == ATTEMPTS or wait > _MOST_WAIT:
                    raise SummariserFailed(failure.why, retry_after=failure.wait) from None
                _log.info("%s, attempt %d of %d", failure.why, attempt, ATTEMPTS)
            await asyncio.sleep(wait)
            attempt += 1

    async def _attempt(self, system: str, user: str) -> _Answer:
        limit = self._limit
        status, headers, body = await self._post(system, user, limit)
        if status == 400 and limit != _NEWER_LIMIT and _NEWER_LIMIT.encode() in body:
            # Newer models of OpenAI's take the one name, other servers the other.
            self._limit = _NEWER_LIMIT
            status, headers, body = await self._post(system, user, self._limit)
        if 300 <= status < 400:
            raise _Failure(
                f"the model's endpoint answered with a redirect ({status}), which is not followed", again=False
            )
        if status != 200:
            code = _error_code(body)
            raise _Failure(
                f"the model's endpoint answered with HTTP {status}" + (f" ({code})" if code else ""),
                again=(status in _RETRIED or status >= 500) and code != _OUT_OF_QUOTA,
                wait=_retry_after(headers),
            )
        return self._read(body)

    async def _post(self, system: str, user: str, limit: str) -> tuple[int, Mapping[str, str], bytes]:
        payload = {
            "model": self._endpoint.model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
            limit: self._endpoint.max_tokens,
        }
        body = bytearray()
        try:
            async with self._client.stream("POST", self._url, json=payload) as response:
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > MAX_ANSWER:
                        raise _Failure(f"the model's answer has more than {MAX_ANSWER} bytes", again=False)
                return response.status_code, response.headers, bytes(body)
        except httpx2.TransportError as error:
            raise _Failure(f"the model's endpoint cannot be reached ({type(error).__name__})", again=True) from None

    def _read(self, body: bytes) -> _Answer:
        try:
            answer = json.loads(body)
            if answer.get("error"):
                # Some gateways tell of an error of the model's in an answer that is none of theirs.
                code = _error_code(body)
                raise _Failure(
                    "the model's endpoint answered with an error" + (f" ({code})" if code else ""), again=True
                )
            choice = answer["choices"][0]
            message = choice["message"]
            text = _content(message.get("content"))
        except (ValueError, RecursionError, KeyError, IndexError, TypeError, AttributeError):
            raise _Failure("the model's endpoint answered with something that is no completion", again=False) from None
        if message.get("refusal") or choice.get("finish_reason") == "content_filter":
            raise SummariserFailed("the model refused to summarise", rejection=Rejection.REFUSED)
        if choice.get("finish_reason") == "length":
            most = self._endpoint.max_tokens
            raise SummariserFailed(f"the model's answer was cut off at {most} tokens", rejection=Rejection.TOO_LONG)
        model, usage = answer.get("model"), answer.get("usage")
        return _Answer(
            _THOUGHTS.sub("", text).strip(),
            model if isinstance(model, str) and _MODEL.fullmatch(model) else self._endpoint.model,
            _tokens(usage, "prompt_tokens"),
            _tokens(usage, "completion_tokens"),
        )


def _with_sums(answer: _Answer, before: _Answer) -> _Answer:
    """Return an answer with what those before it took added."""
    return answer._replace(
        input_tokens=_sum(before.input_tokens, answer.input_tokens),
        output_tokens=_sum(before.output_tokens, answer.output_tokens),
    )


def _sum(before: int | None, more: int | None) -> int | None:
    return before if more is None else (before or 0) + more


def _content(content: Any) -> str:
    """Return the text of content, which is one or a list of parts; TypeError for anything else."""
    match content:
        case None:
            return ""
        case str():
            return content
        case list():
            return "".join(part["text"] for part in content if part.get("type") == "text")
        case _:
            raise TypeError


def _tokens(usage: Any, name: str) -> int | None:
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**31 else None


def _error_code(body: bytes) -> str:
    """Return the code that an error is known by, if it looks like one: messages may repeat what they were sent."""
    try:
        error = json.loads(body)["error"]
        for name in ("code", "type"):
            if isinstance(code := error.get(name), str) and _CODE.fullmatch(code):
                return code
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return ""
    return ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait that the service names, as a number or a date."""
    said = headers.get("retry-after", "").strip()
    try:
        if said.isascii() and said.replace(".", "", 1).isdecimal():
            return float(said)
        return max(parsedate_to_datetime(said).timestamp() - time.time(), 0.0) if said else None
    except (ValueError, OverflowError):
        return None
