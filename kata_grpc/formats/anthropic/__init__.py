"""Anthropic Messages: `reading` takes system prompts and messages in, `writing` gives them back."""

from kata_grpc.formats.anthropic.reading import read_message, read_system
from kata_grpc.formats.anthropic.writing import write_conversation

__all__ = ["read_message", "read_system", "write_conversation"]
