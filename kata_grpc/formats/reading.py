"""Taking JSON objects apart: what is modelled is taken out member by member, what remains is kept as its text.

Shared by the readers of all formats. Knows no format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kata_grpc.domain.messages import ContentForm, Part, Unknown
from kata_grpc.formats.errors import Violation
from kata_grpc.formats.rawjson import Node, Repeated, member_path, object_text, parse

if TYPE_CHECKING:
    from collections.abc import Callable


class Members:
    """The members of one object that are not modelled yet; problems go to the list that the reader gave.

    What is not an object is one problem, not one more for each member that is then missing.
    """

    __slots__ = ("_is_object", "_nodes", "_texts", "path", "problems")

    def __init__(self, node: Node | None, path: str, problems: list[Violation]) -> None:
        self.path = path
        self.problems = problems
        self._is_object = False
        self._texts: dict[str, str] = {}
        self._nodes: dict[str, Node] = {}
        if node is None:
            problems.append(Violation(path, "missing"))
        elif isinstance(node.value, dict):
            self._nodes = node.members()
            self._is_object = True
        elif isinstance(node.value, Repeated):
            problems.append(Violation(member_path(path, node.value.key()), "the key is repeated"))
        else:
            problems.append(Violation(path, "not an object"))

    def problem(self, key: str, reason: str) -> None:
        """Note that the member `key` cannot be taken over."""
        if self._is_object:
            self.problems.append(Violation(member_path(self.path, key), reason))

    def peek(self, key: str) -> Node | None:
        """Return a member without taking it."""
        return self._nodes.get(key)

    def take(self, key: str) -> Node | None:
        """Take a member out."""
        return self._nodes.pop(key, None)

    def text(self, key: str, *, empty: bool = True) -> str:
        """Take out a string that must be there."""
        node = self._nodes.pop(key, None)
        if node is None:
            self.problem(key, "missing")
        elif not isinstance(node.value, str):
            self.problem(key, "not a string")
        elif not node.value and not empty:
            self.problem(key, "empty")
        else:
            return node.value
        return ""

    def optional_text(self, key: str) -> str:
        """Take out a string if there is one that is not empty; anything else stays."""
        node = self._nodes.get(key)
        if node is None or not isinstance(node.value, str):
            return ""
        return self.text(key) if node.value else ""

    def flag(self, key: str) -> bool | None:
        """Take out a boolean if there is one; anything else stays."""
        node = self._nodes.get(key)
        if node is None or not isinstance(node.value, bool):
            return None
        del self._nodes[key]
        return node.value

    def inner(self, key: str) -> Members:
        """Take out an object that must be there; give it back with `keep_inner`."""
        problems = self.problems if self._is_object else []
        return Members(self._nodes.pop(key, None), member_path(self.path, key), problems)

    def keep_inner(self, key: str, inner: Members) -> None:
        """Keep what is left of an inner object among the own remains: its key cannot mean anything else there."""
        rest = inner.extra_json()
        if rest:
            self._texts[key] = rest

    def extra_json(self) -> str:
        """Return what remains as the text of one object, or "" if nothing does."""
        rest = [(key, node.text) for key, node in self._nodes.items()] + list(self._texts.items())
        return object_text(rest) if rest else ""


@dataclass(frozen=True, slots=True)
class Content:
    """Content as it was spelled: `form` is never DERIVED."""

    form: ContentForm
    text: str | None = None
    parts: tuple[Part, ...] = ()


def read_content(members: Members, key: str, block: Callable[[Node], Part]) -> Content:
    """Take out content: a string, an array of blocks, null, or not there."""
    node = members.take(key)
    if node is None:
        return Content(ContentForm.ABSENT)
    match node.value:
        case None:
            return Content(ContentForm.NULL)
        case str(text):
            return Content(ContentForm.STRING, text)
        case list():
            return Content(ContentForm.ARRAY, None, tuple(map(block, node.items())))
        case _:
            members.problem(key, "neither a string, an array nor null")
            return Content(ContentForm.NULL)


def read_block(node: Node, model: Callable[[Members, str], Part | None], write: Callable[[Part], str]) -> Part:
    """Return the part that `model` makes of a block if `write` makes the same block of it again, else an Unknown."""
    problems: list[Violation] = []
    members = Members(node, "", problems)
    kind = members.optional_text("type")
    part = model(members, kind) if kind and not problems else None
    if part is None or problems or parse(write(part)) != node.value:
        return Unknown(kind, node.text)
    return part
