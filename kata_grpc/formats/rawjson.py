"""JSON without loss: trees whose equality is exact, nodes that know their own text, and texts joined from texts.

Python's own JSON values lose how a number was spelled and all but the last of repeated keys. Nothing here knows what
a conversation is.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RAW_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
RAW_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
ENCODE = msgspec.json.Encoder().encode
SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
MAX_DEPTH = 128
"""Far below what ends in a RecursionError, so that what was read can be written wherever that is asked for."""
TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class JsonError(ValueError):
    """Text that is not JSON, or not JSON that can be kept."""


class SurrogateError(JsonError):
    """Strings that hold half of a surrogate pair, which no UTF-8 can express; `paths` are theirs."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        super().__init__(f"half of a surrogate pair at {', '.join(path or 'the value itself' for path in paths)}")
        self.paths = paths


class Repeated(tuple[tuple[str, "Tree"], ...]):
    """The members of an object that repeats a key, which a dict would lose."""

    __slots__ = ()

    def key(self) -> str:
        """Return the first key that is repeated."""
        return next(key for key, count in Counter(key for key, _ in self).items() if count > 1)


Tree = None | bool | str | bytes | list["Tree"] | dict[str, "Tree"] | Repeated
"""A JSON value. Numbers are their spelling as bytes, so that 1, 1.0 and "1" all differ."""


CONTAINERS = (dict, list, Repeated)


def _object(pairs: list[tuple[str, Tree]]) -> Tree:
    members = dict(pairs)
    return members if len(members) == len(pairs) else Repeated(pairs)


def _refuse(constant: str) -> Tree:
    raise JsonError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=str.encode, parse_float=str.encode, parse_constant=_refuse
)


def parse(text: str) -> Tree:
    """Return the tree of `text`. Raise JsonError with the reason and the character at which it is not JSON."""
    try:
        tree: Tree = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise JsonError(f"{error.msg} at character {error.pos + 1}") from error
    except RecursionError as error:
        raise JsonError(TOO_DEEP) from error
    level = [tree] if isinstance(tree, CONTAINERS) else []
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise JsonError(TOO_DEEP)
        level = [item for value in level for item in _inside(value) if isinstance(item, CONTAINERS)]
    return tree


def _inside(value: list[Tree] | dict[str, Tree] | Repeated) -> Iterable[Tree]:
    match value:
        case dict():
            return value.values()
        case Repeated():
            return [item for _, item in value]
        case list():
            return value


class Node:
    """A JSON value together with its own text; the nodes inside are found when they are asked for."""

    __slots__ = ("_raw", "value")

    def __init__(self, value: Tree, raw: bytes | msgspec.Raw) -> None:
        self.value = value
        self._raw = raw

    @property
    def text(self) -> str:
        """The text as it came."""
        return bytes(self._raw).decode()

    def members(self) -> dict[str, Node]:
        """Return the members of an object."""
        if not isinstance(self.value, dict):
            raise TypeError("not an object")
        value = self.value
        return {key: Node(value[key], raw) for key, raw in RAW_MEMBERS.decode(self._raw).items()}

    def items(self) -> list[Node]:
        """Return the items of an array."""
        if not isinstance(self.value, list):
            raise TypeError("not an array")
        return list(map(Node, self.value, RAW_ITEMS.decode(self._raw)))


def parse_node(text: str) -> Node:
    """Return the node of `text`. Raise JsonError as `parse` does, SurrogateError among them."""
    tree = parse(text)
    if SURROGATE_ESCAPE.search(text) and (paths := tuple(_lone_surrogates(tree, ""))):
        raise SurrogateError(paths)
    return Node(tree, text.encode())


def _lone_surrogates(tree: Tree, path: str) -> Iterator[str]:
    match tree:
        case str() if not _encodable(tree):
            yield path
        case list():
            for index, item in enumerate(tree):
                yield from _lone_surrogates(item, f"{path}[{index}]")
        case dict() | Repeated():
            for key, item in tree.items() if isinstance(tree, dict) else tree:
                if not _encodable(key):
                    yield member_path(path, key)
                yield from _lone_surrogates(item, member_path(path, key))
        case _:
            pass


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def differences(expected: Tree, actual: Tree, path: str) -> Iterator[str]:
    """Yield the paths at which two trees differ; nothing if they are equal."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in expected.keys() | actual.keys():
            if key not in expected or key not in actual:
                yield member_path(path, key)
            else:
                yield from differences(expected[key], actual[key], member_path(path, key))
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for index, pair in enumerate(zip(expected, actual, strict=True)):
            yield from differences(*pair, f"{path}[{index}]")
    elif expected != actual:
        yield path


def member_path(path: str, key: str) -> str:
    """Return the path of the member `key`, quoted where it is not a plain name."""
    if not PLAIN_KEY.fullmatch(key):
        return f"{path}[{json.dumps(key)}]"
    return f"{path}.{key}" if path else key


def string(text: str) -> str:
    """Return `text` as a JSON string."""
    return ENCODE(text).decode()


def object_text(members: Iterable[tuple[str, str]]) -> str:
    """Return a JSON object of keys and the texts of their values."""
    return "{" + ",".join([f"{string(key)}:{value}" for key, value in members]) + "}"


def array_text(items: Iterable[str]) -> str:
    """Return a JSON array of the texts of its items."""
    return "[" + ",".join(items) + "]"
