"""The content model through protobuf and back, and what the stored bytes promise."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import struct_pb2, timestamp_pb2
from hypothesis import given
from hypothesis import strategies as st
from kata.context.v1 import message_pb2 as pb

from kata_grpc import codec
from kata_grpc.domain.messages import (
    ContentForm,
    File,
    Image,
    Media,
    Message,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
maybe = st.none() | texts
medias = (
    st.builds(Media, url=texts, media_type=texts)
    | st.builds(Media, data=st.binary(max_size=20), media_type=texts)
    | st.builds(Media, file_id=texts, media_type=texts)
)
leaves = (
    st.builds(Text, texts, texts)
    | st.builds(Reasoning, texts, maybe, maybe, texts)
    | st.builds(ToolCall, texts, texts, texts, texts, texts)
    | st.builds(Image, medias, texts, texts)
    | st.builds(File, medias, texts, texts)
    | st.builds(Refusal, texts, texts)
    | st.builds(Unknown, texts, texts, texts)
)
results = st.builds(
    ToolResult,
    texts,
    maybe,
    st.lists(leaves, max_size=3).map(tuple),
    st.none() | st.booleans(),
    st.sampled_from(ContentForm),
    texts,
    texts,
    texts,
)
metadata = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
metadata_texts = st.dictionaries(texts, metadata, max_size=3).map(
    lambda value: codec.metadata_to_json(_struct(value)),
)
messages = st.builds(
    Message,
    st.sampled_from(Role),
    maybe,
    st.lists(leaves | results, max_size=4).map(tuple),
    texts,
    texts,
    st.sampled_from(ContentForm),
    st.just("") | metadata_texts,
    texts,
)


def _struct(value: dict[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(value)
    return struct


@given(messages)
def test_every_message_comes_back_from_its_body_and_the_body_is_canonical(message: Message) -> None:
    body = codec.encode_body(codec.to_proto(message))

    assert codec.decode_body(body) == message
    assert codec.encode_body(codec.to_proto(codec.decode_body(body))) == body


@pytest.mark.holds("I1")
@given(messages)
def test_a_body_followed_by_the_servers_fields_is_the_whole_message(message: Message) -> None:
    server = pb.Message(context_id="c", version=7, revision=3, tokenizer="o200k_base", token_count=0)
    server.create_time.CopyFrom(timestamp_pb2.Timestamp(seconds=1))
    server.token_count_source = pb.TOKEN_COUNT_SOURCE_COUNTED
    whole = codec.to_proto(message)
    whole.MergeFrom(server)

    assert pb.Message.FromString(codec.encode_body(codec.to_proto(message)) + server.SerializeToString()) == whole


def test_a_body_holds_nothing_that_the_server_owns() -> None:
    message = pb.Message(role=pb.ROLE_USER, text="hi", context_id="c", version=7, revision=3, tokenizer="t")
    message.token_count = 1
    message.token_count_source = pb.TOKEN_COUNT_SOURCE_CALLER
    message.create_time.seconds = 1
    message.MergeFromString(b"\xfa\x7f\x01x")  # field 2047, which no version knows

    assert codec.encode_body(message) == codec.encode_body(pb.Message(role=pb.ROLE_USER, text="hi"))


@pytest.mark.parametrize("text", ["", " ", "\x00", "a\x00b", "\u2028", "🌞", "\ufffd"])
def test_text_is_kept_exactly(text: str) -> None:
    message = Message(Role.USER, text)

    assert codec.decode_body(codec.encode_body(codec.to_proto(message))) == message


def test_absent_and_empty_differ() -> None:
    absent = Message(Role.TOOL, parts=(ToolResult("a", form=ContentForm.ABSENT), Reasoning("x")))
    empty = Message(Role.TOOL, parts=(ToolResult("a", "", is_error=False), Reasoning("x", "", "")))

    assert codec.decode_body(codec.encode_body(codec.to_proto(absent))) == absent
    assert codec.decode_body(codec.encode_body(codec.to_proto(empty))) == empty


@pytest.mark.parametrize(
    ("given_text", "canonical"),
    [
        ("{}", "{}"),
        ('{"b": 1, "a": [true, null, "x"]}', '{"a":[true,null,"x"],"b":1}'),
        ('{"a\\u0000": "\\u0000"}', '{"a\\u0000":"\\u0000"}'),
        ('{"n": [1.0, -0.0, 0.5, 9007199254740992, 1e300]}', '{"n":[1,-0.0,0.5,9007199254740992,1e+300]}'),
    ],
)
def test_metadata_becomes_canonical_text(given_text: str, canonical: str) -> None:
    message = Message(Role.USER, "x", metadata_json=given_text)

    stored = codec.decode_body(codec.encode_body(codec.to_proto(message)))

    assert stored.metadata_json == canonical
    assert codec.decode_body(codec.encode_body(codec.to_proto(stored))) == stored


@pytest.mark.parametrize(
    "text", ["[1]", "x", '{"a": NaN}', '{"a": Infinity}', '{"a": 1e400}', '{"a": 1' + "0" * 400 + "}"]
)
def test_metadata_that_no_struct_holds_is_refused(text: str) -> None:
    with pytest.raises(codec.CodecError):
        codec.to_proto(Message(Role.USER, "x", metadata_json=text))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_metadata_that_no_json_holds_is_refused(number: float) -> None:
    with pytest.raises(codec.CodecError):
        codec.from_proto(pb.Message(role=pb.ROLE_USER, text="x", metadata=_struct({"a": [number]})))


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(codec.CodecError, match="surrogate at 1"):
        codec.to_proto(Message(Role.USER, "x\ud800"))


@pytest.mark.parametrize(
    "message",
    [
        pb.Message(text="no role"),
        pb.Message(role=99, text="a newer role"),
        pb.Message(role=pb.ROLE_USER, parts=[pb.Part()]),
        pb.Message(role=pb.ROLE_USER, content_form=99),
        pb.Message(role=pb.ROLE_USER, parts=[pb.Part(image=pb.ImagePart())]),
        pb.Message(role=pb.ROLE_TOOL, parts=[pb.Part(tool_result=pb.ToolResultPart(content_form=99))]),
    ],
)
def test_what_the_model_does_not_know_is_refused_not_mapped(message: pb.Message) -> None:
    with pytest.raises(codec.CodecError):
        codec.from_proto(message)
