"""Whatever is stored, every dialect renders it into what its validator passes, and says what it changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kata_grpc.dialects import What, WindowMessage, arrange, check, render
from kata_grpc.dialects.content import object_of
from kata_grpc.domain.messages import Message, Refusal, Role, Text
from kata_grpc.domain.windows import Dialect
from kata_grpc.formats.rawjson import string
from tests.unit import dialect_cases as c

if TYPE_CHECKING:
    from collections.abc import Iterator

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(QUICK, max_examples=5_000)
dialects = pytest.mark.parametrize("dialect", Dialect)


@st.composite
def windows(draw: st.DrawFn) -> list[WindowMessage]:
    """All of a log, or what remains of it from some version on, with its groups known or not."""
    messages = c.numbered(*draw(c.conversations()))
    if draw(st.booleans()):
        start = draw(st.integers(0, len(messages)))
        messages = [m for m in messages if m.version > start or m.message.role in (Role.SYSTEM, Role.DEVELOPER)]
    if draw(st.booleans()):
        messages = [m._replace(group_version=None) for m in messages]
    return messages


def verify(dialect: Dialect, messages: list[WindowMessage], unanswered: Any) -> None:
    rendered = render(dialect, messages, unanswered)

    assert check(dialect, rendered.json_text) == []
    assert render(dialect, list(reversed(messages)), unanswered) == rendered
    assert "secret" not in rendered.json_text
    found, expected = arguments_in(dialect, rendered.json_text), expected_arguments(dialect, messages, unanswered)
    assert len(found) == len(expected)
    for one, wanted in zip(found, expected, strict=True):
        assert is_wrapped(one) if wanted is None else wanted in (one, f" {one} ")
        assert wanted is None or wanted in rendered.json_text or string(wanted) in rendered.json_text
    assert list(rendered.pending) == unanswered_in(dialect, rendered.json_text)
    versions = [adjustment.version for adjustment in rendered.adjustments]
    assert versions == sorted(versions)
    reported = {a.version for a in rendered.adjustments if a.what is What.DROPPED}
    for message in messages:
        if message.version not in reported:
            for text in said(message.message):
                assert string(text.strip())[1:-1] in rendered.json_text


def said(message: Message) -> Iterator[str]:
    if message.text is not None:
        yield message.text
    yield from (part.text for part in message.parts if isinstance(part, Text | Refusal))


def expected_arguments(dialect: Dialect, messages: list[WindowMessage], unanswered: Any) -> list[str | None]:
    """The arguments of each call in order, byte for byte; None where they are no object and one is wanted."""
    made = [exchange.call for turn in arrange(messages, unanswered).turns for exchange in turn.exchanges]
    if dialect in (Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES):
        return [one.arguments for one in made]
    return [None if one.type == "custom" else object_of(one.arguments) for one in made]


def arguments_in(dialect: Dialect, text: str) -> list[str]:
    match dialect:
        case Dialect.OPENAI_CHAT:
            made = [one for message in json.loads(text) for one in message.get("tool_calls", [])]
            return [one.get("function", {}).get("arguments", one.get("custom", {}).get("input")) for one in made]
        case Dialect.OPENAI_RESPONSES:
            items = json.loads(text)["input"]
            return [
                item.get("arguments", item.get("input")) for item in items if "output" not in item and "name" in item
            ]
        case Dialect.ANTHROPIC:
            return list(raw_members(text, "input"))
        case Dialect.GEMINI:
            return list(raw_members(text, "args"))


def is_wrapped(text: str) -> bool:
    """Whether an object stands for arguments that are none."""
    value = json.loads(text)
    return text == "{}" or (len(value) == 1 and isinstance(value.get("arguments", value.get("input")), str))


def raw_members(text: str, key: str) -> Iterator[str]:
    """The texts of the calls' arguments, as they stand."""
    name = "messages" if key == "input" else "contents"
    for message in raw_list(raw_object(msgspec.Raw(text.encode()))[name]):
        inner = raw_object(message)
        for block in raw_list(inner["content" if key == "input" else "parts"]):
            members = raw_object(block)
            if key == "args" and "function_call" in members:
                yield bytes(raw_object(members["function_call"])["args"]).decode()
            elif key == "input" and bytes(members.get("type", msgspec.Raw())) == b'"tool_use"':
                yield bytes(members["input"]).decode()


def raw_object(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])


def raw_list(raw: msgspec.Raw) -> list[msgspec.Raw]:
    return msgspec.json.decode(raw, type=list[msgspec.Raw]) if bytes(raw).startswith(b"[") else []


def unanswered_in(dialect: Dialect, text: str) -> list[str]:
    """The ids of the calls that have no result, in order."""
    value = json.loads(text)
    made: list[str] = []
    given: set[str] = set()
    match dialect:
        case Dialect.OPENAI_CHAT:
            # Ids may be used again here, so that only the last calls are looked at; the validator has seen the others.
            last = max((place for place, message in enumerate(value) if "tool_calls" in message), default=None)
            made = [] if last is None else [one["id"] for one in value[last]["tool_calls"]]
            given = {message.get("tool_call_id") for message in value[last or 0 :]}
        case Dialect.OPENAI_RESPONSES:
            given = {item["call_id"] for item in value["input"] if "output" in item}
            made = [item["call_id"] for item in value["input"] if "name" in item]
        case Dialect.ANTHROPIC:
            blocks = [b for m in value["messages"] if isinstance(m["content"], list) for b in m["content"]]
            given = {b["tool_use_id"] for b in blocks if b["type"] == "tool_result"}
            made = [b["id"] for b in blocks if b["type"] == "tool_use"]
        case Dialect.GEMINI:
            parts = [part for content in value["contents"] for part in content["parts"]]
            given = {part["function_response"]["id"] for part in parts if "function_response" in part}
            made = [part["function_call"]["id"] for part in parts if "function_call" in part]
    return [one for one in made if one not in given]


@pytest.mark.holds("I6")
@dialects
@given(messages=windows(), unanswered=st.sampled_from(["synthesize", "drop"]))
@QUICK
def test_every_render_passes_its_check(dialect: Dialect, messages: list[WindowMessage], unanswered: Any) -> None:
    verify(dialect, messages, unanswered)


@pytest.mark.torture
@pytest.mark.holds("I6")
@dialects
@given(messages=windows(), unanswered=st.sampled_from(["synthesize", "drop"]))
@LONG
def test_every_render_passes_its_check_at_length(
    dialect: Dialect, messages: list[WindowMessage], unanswered: Any
) -> None:
    verify(dialect, messages, unanswered)
