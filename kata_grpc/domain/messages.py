"""What a message is: roles, parts and the content model that every provider's format maps onto.

This module holds the shape only. How it is stored and sent is `kata_grpc.codec`; how providers spell it is
`kata_grpc.formats`. Texts are kept exactly as they came, and JSON that must survive is kept as its text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Role(StrEnum):
    """Who speaks."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    DEVELOPER = "developer"
    TOOL = "tool"


PINNED_ROLES = frozenset({Role.SYSTEM, Role.DEVELOPER})
"""Roles whose messages stand in every window."""


class ContentForm(StrEnum):
    """How a source spelled content, where the parts cannot tell."""

    DERIVED = ""
    ABSENT = "absent"
    NULL = "null"
    STRING = "string"
    ARRAY = "array"


class TokenCountSource(StrEnum):
    """How a stored token count came about."""

    COUNTED = "counted"
    CALLER = "caller"
    ESTIMATED = "estimated"


LEGACY_CALL = "function_call"
"""The `type` of calls and results in OpenAI's older form, which are matched by tool name, having no id."""


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of plain text."""

    text: str
    extra_json: str = ""


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A model's reasoning: passed on whole or left out whole."""

    text: str = ""
    signature: str | None = None
    redacted_data: str | None = None
    extra_json: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A request to run a tool; `arguments` is the original text, valid JSON or not."""

    id: str
    name: str
    arguments: str
    type: str = ""
    extra_json: str = ""

    @property
    def key(self) -> str:
        """The name under which a result finds this call."""
        return f"{LEGACY_CALL}:{self.name}" if self.type == LEGACY_CALL else self.id


@dataclass(frozen=True, slots=True)
class ToolResult:
    """A tool's answer: `text` when it is plain text, else `parts`; with neither, `form` says why."""

    tool_call_id: str
    text: str | None = None
    parts: tuple[Part, ...] = ()
    is_error: bool | None = None
    form: ContentForm = ContentForm.DERIVED
    name: str = ""
    type: str = ""
    extra_json: str = ""

    @property
    def key(self) -> str:
        """The name of the call that this answers."""
        return f"{LEGACY_CALL}:{self.name}" if self.type == LEGACY_CALL else self.tool_call_id


@dataclass(frozen=True, slots=True)
class Media:
    """Where an image or a file is: exactly one of `url`, `data` and `file_id` is set."""

    url: str | None = None
    data: bytes | None = None
    file_id: str | None = None
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """An image, by reference or bytes."""

    source: Media
    detail: str = ""
    extra_json: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """A file, by reference or bytes."""

    source: Media
    filename: str = ""
    extra_json: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A model's refusal."""

    text: str
    extra_json: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A part of a kind that is not modelled, kept as its JSON text."""

    type: str
    json: str
    extra_json: str = ""


Part = Text | Reasoning | ToolCall | ToolResult | Image | File | Refusal | Unknown


@dataclass(frozen=True, slots=True)
class Message:
    """What one participant said.

    `text` is the whole message when it is plain text, and then `parts` is empty. `metadata_json` is the caller's own
    data and `extra_json` the unmodelled keys of an imported message, each the text of one JSON object or "". By its
    `labels` a window can pin it.
    """

    role: Role
    text: str | None = None
    parts: tuple[Part, ...] = ()
    name: str = ""
    model: str = ""
    form: ContentForm = ContentForm.DERIVED
    metadata_json: str = ""
    extra_json: str = ""
    labels: tuple[str, ...] = ()

    def calls(self) -> Iterator[ToolCall]:
        """Yield the tool calls, in order."""
        return (part for part in self.parts if isinstance(part, ToolCall))

    def results(self) -> Iterator[ToolResult]:
        """Yield the tool results, in order."""
        return (part for part in self.parts if isinstance(part, ToolResult))

    @property
    def answers_only(self) -> bool:
        """Whether the message holds tool results and nothing else."""
        return bool(self.parts) and all(isinstance(part, ToolResult) for part in self.parts)


class Row(Protocol):
    """A row of the database, by column name: what passes from a repository to the wire without being copied."""

    def __getitem__(self, column: str, /) -> Any:
        """Return a column's value."""
        ...
