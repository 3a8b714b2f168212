"""What a rendered window costs at least, counted from its JSON alone.

Shares nothing with what chose or rendered the window but the rules for media, which are no text: every string that a
model sees is counted, and the framing that recorded requests had. Ids, roles and types are framing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from kata_grpc.domain.messages import File, Image, Media, Message, Reasoning, Role, Unknown
from kata_grpc.domain.tokens import measure
from kata_grpc.domain.windows import Dialect

Count = Callable[[str], int]

CHAT_PRIME, CHAT_MESSAGE = 3, 4
"""As OpenAI bills plain text: 3 a message, and a token for its role."""
CHAT_CALL = 8
"""A call with its result was billed 7 tokens of framing; one alone at most 8."""
CLAUDE_PRIME, CLAUDE_MESSAGE, CLAUDE_ITEM = 4, 6, 32
"""What is counted for lack of records; a message of results alone is framed by its results."""
MEDIA = 8
NAME_IN_RESULT = 16
"""How much of the name in Gemini's results its framing covers."""
_UNSEEN = frozenset({"type", "id", "tool_use_id", "cache_control", "prompt_cache_breakpoint", "media_type"})


def recount(dialect: Dialect, text: str, count: Count) -> int:
    """The tokens of a rendered window."""
    match dialect:
        case Dialect.OPENAI_CHAT:
            return CHAT_PRIME + sum(_chat(message, count) for message in json.loads(text))
        case Dialect.OPENAI_RESPONSES:
            value = json.loads(text)
            first = CHAT_MESSAGE + count(value["instructions"]) if "instructions" in value else 0
            return CHAT_PRIME + first + sum(_item(item, count) for item in value["input"])
        case Dialect.ANTHROPIC:
            value = _raw_object(text)
            system = _content(json.loads(value["system"]), count) + CLAUDE_MESSAGE if "system" in value else 0
            return CLAUDE_PRIME + system + sum(_claude(message, count) for message in _raw_array(value["messages"]))
        case Dialect.GEMINI:
            value = _raw_object(text)
            system = _gemini(value["system_instruction"], count) if "system_instruction" in value else 0
            return CLAUDE_PRIME + system + sum(_gemini(one, count) for one in _raw_array(value["contents"]))


# --- OpenAI -----------------------------------------------------------------------------------------------------------


def _chat(message: dict[str, Any], count: Count) -> int:
    tokens = CHAT_MESSAGE + _content(message["content"], count) + count(message.get("refusal") or "")
    if name := message.get("name"):
        tokens += 1 + count(name)
    for call in message.get("tool_calls", []):
        made = call[call["type"]]
        tokens += CHAT_CALL + count(made["name"]) + count(made.get("arguments", made.get("input")))
    return tokens


def _item(item: dict[str, Any], count: Count) -> int:
    if "role" in item:
        return CHAT_MESSAGE + _content(item["content"], count)
    if "output" in item:
        return CHAT_MESSAGE + _content(item["output"], count)
    return CHAT_CALL + count(item["name"]) + count(item.get("arguments", item.get("input")))


def _content(content: Any, count: Count) -> int:
    """Content of OpenAI and of Anthropic, but for calls and results."""
    if isinstance(content, str):
        return count(content)
    return sum(_block(block, count) for block in content or ())


def _block(block: dict[str, Any], count: Count) -> int:
    match block:
        case {"type": "text" | "input_text", "text": text} | {"type": "refusal", "refusal": text}:
            return count(text)
        case {"type": "image_url", "image_url": {"url": url}} | {"type": "input_image", "image_url": url}:
            return MEDIA + _media(Image(Media(url=url)), count)
        case {"type": "input_image", "file_id": which}:
            return MEDIA + _media(Image(Media(file_id=which)), count)
        case {"type": "file", "file": file} | ({"type": "input_file"} as file):
            if "file_data" not in file:
                return MEDIA + _media(File(Media(file_id="file")), count)
            head, _, encoded = file["file_data"].partition(";base64,")
            data = Media(data=base64.b64decode(encoded), media_type=head.removeprefix("data:"))
            return MEDIA + _media(File(data, file["filename"]), count)
        case {"type": "image", "source": source}:
            return MEDIA + _media(Image(_source(source)), count)
        case {"type": "document", "source": {"type": "text" | "base64" | "url" | "file"} as source}:
            return MEDIA + _media(File(_source(source)), count) + count(block.get("context", ""))
        case {"type": "thinking"}:
            return _media(Reasoning(block["thinking"], block["signature"]), count)
        case {"type": "redacted_thinking"}:
            return _media(Reasoning("", None, block["data"]), count)
        case {"type": "input_audio"}:
            return _media(Unknown("input_audio", json.dumps(block["input_audio"])), count)
        case _:
            return sum(map(count, _strings(block)))


def _media(part: Image | File | Reasoning | Unknown, count: Count) -> int:
    return measure(Message(Role.USER, None, (part,)), count).tokens


def _strings(value: Any) -> Iterator[str]:
    """All strings of a provider's own block, but those that are framing."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key not in _UNSEEN:
                yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


# --- Anthropic and Gemini ---------------------------------------------------------------------------------------------


def _claude(message: str, count: Count) -> int:
    content = _raw_object(message)["content"]
    if content.startswith('"'):
        return CLAUDE_MESSAGE + count(json.loads(content))
    tokens, alone = 0, True
    for text in _raw_array(content):
        block = json.loads(text)
        alone = alone and block["type"] == "tool_result"
        match block["type"]:
            case "tool_use":
                tokens += CLAUDE_ITEM + count(block["name"]) + count(_raw_object(text)["input"])
            case "tool_result":
                tokens += CLAUDE_ITEM + _content(block.get("content"), count)
            case _:
                tokens += _block(block, count)
    return tokens if alone else tokens + CLAUDE_MESSAGE


def _source(source: dict[str, Any]) -> Media:
    match source["type"]:
        case "base64":
            return Media(data=base64.b64decode(source["data"]), media_type=source["media_type"])
        case "text":
            return Media(data=source["data"].encode(), media_type="text/plain")
        case _:
            return Media(url="https://")


def _gemini(content: str, count: Count) -> int:
    tokens, alone = 0, True
    for text in _raw_array(_raw_object(content)["parts"]):
        part = json.loads(text)
        alone = alone and "function_response" in part
        match part:
            case {"text": said}:
                tokens += count(said)
            case {"function_call": {"name": name}}:
                tokens += CLAUDE_ITEM + count(name) + count(_raw_object(_raw_object(text)["function_call"])["args"])
            case {"function_response": {"name": name, "response": response}}:
                name_tokens = max(0, count(name) - NAME_IN_RESULT)
                tokens += CLAUDE_ITEM + name_tokens + sum(map(count, _strings(response)))
            case {"inline_data": {"mime_type": kind, "data": encoded}}:
                source = Media(data=base64.b64decode(encoded), media_type=kind)
                tokens += MEDIA + _media(Image(source) if kind.startswith("image/") else File(source), count)
            case {"file_data": {"mime_type": kind}}:
                source = Media(url="https://")
                tokens += MEDIA + _media(Image(source) if kind.startswith("image/") else File(source), count)
            case _:
                raise AssertionError(f"unknown part {part}")
    return tokens if alone else tokens + CLAUDE_MESSAGE


def _raw_object(text: str) -> dict[str, str]:
    """The members of an object as they are spelled."""
    return {key: bytes(raw).decode() for key, raw in msgspec.json.decode(text, type=dict[str, msgspec.Raw]).items()}


def _raw_array(text: str) -> list[str]:
    return [bytes(raw).decode() for raw in msgspec.json.decode(text, type=list[msgspec.Raw])]
