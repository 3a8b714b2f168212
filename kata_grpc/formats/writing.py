"""Putting JSON objects together from what the content model holds, noting what would be lost.

Shared by the writers of all formats. Knows no format.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING

from kata_grpc.formats.errors import ConversionError, Violation
from kata_grpc.formats.rawjson import JsonError, member_path, object_text, parse, parse_node, string

if TYPE_CHECKING:
    from kata_grpc.domain.messages import Message, Unknown

Pairs = list[tuple[str, str]]
"""Keys and the texts of their values."""


class Origin(Enum):
    """Where messages came from, as the format being written sees it."""

    OWN = auto()
    """The same format: everything has its place, and is spelled as it was."""
    NEUTRAL = auto()
    """The API: further keys and unknown parts are the caller's and are written as they are."""
    FOREIGN = auto()
    """Another format: its further keys and unknown parts have no place here."""


def is_plain(message: Message) -> bool:
    """Return whether `message` is a role and a text and nothing else, as most are."""
    return message.text is not None and not (
        message.parts or message.name or message.model or message.metadata_json or message.extra_json
    )


@dataclass(slots=True)
class Writer:
    """What one writing knows and notes."""

    origin: Origin
    problems: list[Violation] = field(default_factory=list)
    call_names: dict[str, str] = field(default_factory=dict)
    """The tool of each call so far: a result's name that says the same is not lost where names have no place."""

    def lose(self, path: str, reason: str) -> None:
        """Note that something would be lost."""
        self.problems.append(Violation(path, reason))

    def check(self) -> None:
        """Raise ConversionError if anything would be lost."""
        if self.problems:
            raise ConversionError(tuple(self.problems))

    def members(self, text: str, path: str) -> dict[str, str]:
        """Return the members of the object `text`, "" being none, as texts."""
        if not text:
            return {}
        try:
            node = parse_node(text)
        except JsonError as error:
            self.lose(path, f"not JSON: {error}")
            return {}
        if not isinstance(node.value, dict):
            self.lose(path, "not an object without repeated keys")
            return {}
        return {key: member.text for key, member in node.members().items()}

    def extras(self, text: str, path: str) -> dict[str, str]:
        """Return the members of the extra_json of what is at `path`."""
        if text and self.origin is Origin.FOREIGN:
            self.lose(f"{path}.extra_json", "further keys have no place in another format")
            return {}
        return self.members(text, f"{path}.extra_json")

    def inner_extras(self, extras: dict[str, str], key: str, path: str) -> Pairs:
        """Take the members that belong into the inner object `key` out of `extras`."""
        return list(self.members(extras.pop(key, ""), f"{path}.extra_json.{key}").items())

    def own_members(self, message: Message, path: str) -> Pairs:
        """Return the pairs of the fields that no provider knows but a line can hold."""
        pairs = [("model", string(message.model))] if message.model else []
        if message.metadata_json:
            pairs.append(("metadata", message.metadata_json))
        return [*pairs, *self.extras(message.extra_json, path).items()]

    def object(self, pairs: Pairs, path: str) -> str:
        """Return the object of `pairs`, none of which may hide another."""
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                self.lose(f"{path}.extra_json", f"repeats the key {member_path('', key)}")
            seen.add(key)
        return object_text(pairs)

    def unknown(self, part: Unknown, path: str) -> str:
        """Return the text of a part that is not modelled."""
        if self.origin is Origin.FOREIGN:
            self.lose(path, f"a part of type {string(part.type)} has no place in another format")
        elif part.extra_json:
            self.lose(f"{path}.extra_json", "a part of an unknown kind holds its keys itself")
        else:
            try:
                parse(part.json)
            except JsonError as error:
                self.lose(f"{path}.unknown.json", f"not JSON: {error}")
        return part.json
