"""Provider formats: conversations as OpenAI Chat and Anthropic Messages spell them, to the content model and back.

Conversion loses nothing: what has no place is an error with its path. Nothing here does I/O but `lines`, which reads.
"""

from kata_grpc.formats.conversation import (
    FORMATS,
    Conversation,
    Format,
    Rendered,
    export_line,
    parse_line,
    render_conversation,
)
from kata_grpc.formats.errors import ConversionError, FormatError, ReadError, Violation
from kata_grpc.formats.lines import MAX_LINE_BYTES, Entry, Line, read_conversations, read_lines

__all__ = [
    "FORMATS",
    "MAX_LINE_BYTES",
    "Conversation",
    "ConversionError",
    "Entry",
    "Format",
    "FormatError",
    "Line",
    "ReadError",
    "Rendered",
    "Violation",
    "export_line",
    "parse_line",
    "read_conversations",
    "read_lines",
    "render_conversation",
]
