"""Random requests out of the descriptors: messages that are mostly well formed, and bytes that are not."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from kata_grpc.limits import MAX_CALL_ID_CHARS
from tests.rpc import build as b

if TYPE_CHECKING:
    from google.protobuf.message import Message as Proto

LIVE, DELETED, UNKNOWN = ("live", "deleted", "unknown")
IDS = {name: name.ljust(36, "-") for name in (LIVE, DELETED, UNKNOWN)}
"""Stand for ids, are as long as ids, and are replaced by them in what is sent."""

_DEPTH = 4


def _mostly(good: st.SearchStrategy[Any], bad: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draws good values often enough that whole requests of them come about."""
    return st.integers(0, 9).flatmap(lambda n: bad if n == 9 else good)


_texts = _mostly(
    st.sampled_from(["", "a", "two words", "openai", "o200k_base", '{"a":1}', "name", "→"]),
    st.one_of(st.text(max_size=12), st.sampled_from(["\x00", "{}", "[", "*", "x" * 600])),
)
_ids = _mostly(st.just(IDS[LIVE]), st.sampled_from([*IDS.values(), "", "42", IDS[LIVE].upper()]))
_keys = _mostly(st.sampled_from("ab"), st.sampled_from(["", "\x00", "k" * (MAX_CALL_ID_CHARS + 1)]))
_tokens = _mostly(st.just(""), st.text("ABCxyz-_=", min_size=1, max_size=60))
_small = st.sampled_from([0, 1, 2, 3, 5, 100])
_numbers = {
    FieldDescriptor.CPPTYPE_INT32: _mostly(_small, st.integers(-(2**31), 2**31 - 1)),
    FieldDescriptor.CPPTYPE_INT64: _mostly(_small, st.integers(-(2**63), 2**63 - 1)),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_DOUBLE: _mostly(st.sampled_from([0.0, -0.0, 1.5, 1e300]), st.floats()),
}


_said = [b.user("q"), b.system("s"), b.assistant(""), b.calls("a"), b.calls("b", "a"), b.result("a"), b.result("b")]
"""Messages that are fine; what is drawn field by field seldom is."""


def _value(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        return messages(field.message_type, depth + 1)
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        assert field.enum_type is not None
        numbers = [value.number for value in field.enum_type.values]
        known = [number for number in numbers if number] if field.name == "role" else numbers
        return _mostly(st.sampled_from(known), st.sampled_from([0, 99, -1]))
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return st.binary(max_size=12)
        if field.name == "context_id":
            return _ids
        if field.name.endswith("token"):
            return _tokens
        return _keys if field.name in ("id", "tool_call_id", "request_id") else _texts
    return _numbers[field.cpp_type]


def _field(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if not field.is_repeated:
        return _value(field, depth)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name
        return st.dictionaries(_texts, _value(entry["value"], depth + 1), max_size=3)
    if field.name == "messages":
        return st.lists(st.one_of(st.sampled_from(_said), _value(field, depth)), min_size=1, max_size=4)
    return st.lists(_value(field, depth), max_size=3)


@cache
def messages(descriptor: Descriptor, depth: int = 0) -> st.SearchStrategy[Proto]:
    """Draws a message of a type; what is nested deeper than a few levels is empty."""
    kind = GetMessageClass(descriptor)
    if depth > _DEPTH:
        return st.builds(kind)
    fields = {field.name: _field(field, depth) for field in descriptor.fields}
    needed = {name: fields.pop(name) for name in ("context_id", "role", "token_budget", "messages") if name in fields}
    return st.fixed_dictionaries(needed, optional=fields).map(lambda values: kind(**values))


@st.composite
def requests(draw: st.DrawFn, descriptor: Descriptor) -> bytes:
    """Draws the bytes of a request: whole, cut off, with some bytes changed, or not a message at all."""
    how = draw(st.sampled_from(["whole"] * 7 + ["cut", "changed", "random"]))
    if how == "random":
        return draw(st.binary(max_size=60))
    data: bytes = draw(messages(descriptor)).SerializeToString()
    if how == "cut" and data:
        return data[: draw(st.integers(0, len(data) - 1))]
    if how == "changed" and data:
        changed = bytearray(data)
        for _ in range(draw(st.integers(1, 4))):
            changed[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
        return bytes(changed)
    return data
