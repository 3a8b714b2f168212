"""Messages in short words, for tests."""

from __future__ import annotations

from typing import Any

from kata.context.v1 import message_pb2 as pb

SIZED = "test/sizes"
"""A tokenizer that the server does not have: counts are those that the caller gives, so that a test chooses them."""


def user(text: str, **fields: Any) -> pb.Message:
    return pb.Message(role=pb.ROLE_USER, text=text, **fields)


def assistant(text: str, **fields: Any) -> pb.Message:
    return pb.Message(role=pb.ROLE_ASSISTANT, text=text, **fields)


def system(text: str, **fields: Any) -> pb.Message:
    return pb.Message(role=pb.ROLE_SYSTEM, text=text, **fields)


def developer(text: str, **fields: Any) -> pb.Message:
    return pb.Message(role=pb.ROLE_DEVELOPER, text=text, **fields)


def call_part(call_id: str, name: str = "tool", arguments: str = "{}") -> pb.Part:
    return pb.Part(tool_call=pb.ToolCallPart(id=call_id, name=name, arguments=arguments))


def result_part(call_id: str, text: str = "42") -> pb.Part:
    return pb.Part(tool_result=pb.ToolResultPart(tool_call_id=call_id, text=text))


def text_part(text: str) -> pb.Part:
    return pb.Part(text=pb.TextPart(text=text))


def calls(*call_ids: str, **fields: Any) -> pb.Message:
    """An assistant's message that calls tools."""
    return pb.Message(role=pb.ROLE_ASSISTANT, parts=[call_part(call_id) for call_id in call_ids], **fields)


def result(*call_ids: str, **fields: Any) -> pb.Message:
    """A tool's message that answers calls."""
    return pb.Message(role=pb.ROLE_TOOL, parts=[result_part(call_id) for call_id in call_ids], **fields)


def sized(message: pb.Message, tokens: int) -> pb.Message:
    """Gives a message its count in the tokenizer SIZED."""
    message.token_count = tokens
    message.tokenizer = SIZED
    return message
