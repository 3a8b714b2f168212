"""Windows of recorded conversations, at random versions and budgets, in every dialect: each passes its validator.

The windows are cut by the pure engine. `-s` prints the seed and the figures; KATA_TEST_SEED repeats a run.
"""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from anthropic.types import MessageParam as AnthropicMessage
from anthropic.types import TextBlockParam
from google.genai.types import Content as GeminiContent
from hypothesis import HealthCheck, given, settings
from openai.types.chat import ChatCompletionMessageParam
from openai.types.responses import ResponseInputParam
from pydantic import TypeAdapter

from kata_grpc.dialects import WindowMessage, check, render
from kata_grpc.domain.windows import Dialect
from kata_grpc.formats import FORMATS, read_conversations
from tests.unit import dialect_cases as c

DATA = Path(os.environ.get("KATA_TEST_DATA", "absent"))
RECORDED = [path for path in sorted(DATA.glob("*.jsonl.gz")) if path.name.count(".") == 2]
SAMPLES = [Path(str(resources.files("kata_grpc.samples").joinpath(f"sample-{name}.jsonl"))) for name in FORMATS]
CASES = 5_000 if RECORDED else 500
TYPED_CASES = 500
SEED = int(os.environ.get("KATA_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)


@cache
def logs(path: Path) -> list[c.Log]:
    found = []
    for entry in read_conversations(path):
        assert entry.conversation is not None
        found.append(c.Log.of(entry.conversation.messages))
    return [log for log in found if log.messages]


@dataclass(frozen=True)
class Case:
    path: str
    number: int
    version: int
    budget: int
    dialect: Dialect
    messages: list[WindowMessage]


def sample(count: int, seed: int) -> Iterator[Case]:
    """Yield windows, every file as often as any other; where the engine refuses, more budget is asked for."""
    choose = random.Random(seed)
    paths = RECORDED or SAMPLES
    for _ in range(count):
        path = choose.choice(paths)
        number = choose.randrange(len(logs(path)))
        log = logs(path)[number]
        version = choose.randint(1, len(log.messages))
        dialect = choose.choice(list(Dialect))
        budget = choose.randint(1, log.cost(version) + 20)
        while (messages := log.window(version, budget, dialect)) is None and budget < 2 * log.cost(version) + 100:
            budget *= 2
        if messages is not None:
            yield Case(path.name, number, version, budget, dialect, messages)


@pytest.mark.holds("I2", "I6")
def test_windows_of_recorded_conversations_pass() -> None:
    print(f"\nKATA_TEST_SEED={SEED}")
    done: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    for case in sample(CASES, SEED):
        rendered = render(case.dialect, case.messages)
        assert check(case.dialect, rendered.json_text) == [], f"seed {SEED}: {case}"
        done[case.dialect] += 1
        changed.update(f"{case.dialect} {adjustment.what}" for adjustment in rendered.adjustments)
    print(f"{dict(done)}\n{dict(sorted(changed.items()))}")

    assert done.total() >= CASES * 0.9


@pytest.mark.torture
@pytest.mark.timeout(0)
@pytest.mark.holds("I2", "I6")
@pytest.mark.parametrize("path", RECORDED or SAMPLES, ids=lambda path: path.name)
def test_all_windows_of_recorded_conversations_pass(path: Path) -> None:
    """Every version of every conversation, at a tenth, a half and all of what it costs, in every dialect."""
    done = 0
    for number, log in enumerate(logs(path)):
        for version in range(1, len(log.messages) + 1):
            for dialect in Dialect:
                seen: set[int] = set()
                for share in (0.1, 0.5, 1.0):
                    messages = log.window(version, int(log.cost(version) * share) + 20, dialect)
                    if messages is None or len(messages) in seen:
                        continue
                    seen.add(len(messages))
                    done += 1
                    text = render(dialect, messages).json_text
                    assert check(dialect, text) == [], (path.name, number, version, share, dialect)
    print(f"\n{path.name}: {done} windows")


# --- the providers' own published types -------------------------------------------------------------------------------


def adapters() -> Mapping[Dialect, Callable[[Any], None]]:
    chat: TypeAdapter[Any] = TypeAdapter(list[ChatCompletionMessageParam])
    responses: TypeAdapter[Any] = TypeAdapter(ResponseInputParam)
    anthropic: TypeAdapter[Any] = TypeAdapter(list[AnthropicMessage])
    system: TypeAdapter[Any] = TypeAdapter(str | list[TextBlockParam])
    contents: TypeAdapter[Any] = TypeAdapter(list[GeminiContent])
    instruction: TypeAdapter[Any] = TypeAdapter(GeminiContent)

    def check_anthropic(value: Any) -> None:
        exhaust(anthropic.validate_python(value["messages"]))
        exhaust(system.validate_python(value.get("system", "")))

    def check_gemini(value: Any) -> None:
        contents.validate_json(json.dumps(value["contents"]))
        instruction.validate_json(json.dumps(value.get("system_instruction", {})))

    return {
        Dialect.OPENAI_CHAT: lambda value: exhaust(chat.validate_python(value)),
        Dialect.OPENAI_RESPONSES: lambda value: exhaust(responses.validate_python(value["input"])),
        Dialect.ANTHROPIC: check_anthropic,
        Dialect.GEMINI: check_gemini,
    }


def exhaust(value: Any) -> None:
    """Look at everything: what a type calls an Iterable is validated only when it is read."""
    if isinstance(value, Mapping):
        for inner in value.values():
            exhaust(inner)
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for inner in value:
            exhaust(inner)


@pytest.fixture(scope="module")
def published() -> Mapping[Dialect, Callable[[Any], None]]:
    return adapters()


@pytest.mark.holds("I6")
def test_windows_are_of_the_providers_published_types(published: Mapping[Dialect, Callable[[Any], None]]) -> None:
    print(f"\nKATA_TEST_SEED={SEED}")
    for case in sample(TYPED_CASES, SEED + 1):
        published[case.dialect](json.loads(render(case.dialect, case.messages).json_text))


@pytest.mark.holds("I6")
@pytest.mark.parametrize("dialect", Dialect)
@given(messages=c.conversations())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_stored_is_of_the_providers_published_types(
    published: Mapping[Dialect, Callable[[Any], None]], dialect: Dialect, messages: Any
) -> None:
    published[dialect](json.loads(render(dialect, c.numbered(*messages)).json_text))
