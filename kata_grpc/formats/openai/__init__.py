"""OpenAI Chat messages: `reading` takes them in, `writing` gives them back."""

from kata_grpc.formats.openai.reading import read_message
from kata_grpc.formats.openai.writing import write_message

__all__ = ["read_message", "write_message"]
