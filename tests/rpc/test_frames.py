"""Bytes that are put together by hand, held against the descriptors and against what protobuf makes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import window_pb2

from kata_grpc import preview as previews
from kata_grpc.codec import (
    STAMP_BYTES,
    context_fields,
    decode_body,
    decode_record,
    decode_records,
    encode_body,
    plain_body,
    record_head,
    varint,
)
from kata_grpc.domain.messages import TokenCountSource
from kata_grpc.limits import PREVIEW_CHARS
from kata_grpc.transport import frames, lineages
from kata_grpc.transport.convert import timestamp
from tests.fuzz.requests import messages
from tests.rpc import build as b
from tests.rpc.serving import Running, loop

if TYPE_CHECKING:
    from types import ModuleType

    from google.protobuf.descriptor import Descriptor

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
CONTEXT_ID = uuid4()
SOURCES = {
    "counted": pb.TOKEN_COUNT_SOURCE_COUNTED,
    "caller": pb.TOKEN_COUNT_SOURCE_CALLER,
    "estimated": pb.TOKEN_COUNT_SOURCE_ESTIMATED,
}

contents = messages(pb.Message.DESCRIPTOR).map(lambda message: encode_body(pb.Message.FromString(_bytes(message))))
MOST = 2**35 - 1
"""The largest number that a stamp holds."""


def _bytes(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def number(descriptor: Descriptor, name: str) -> int:
    return descriptor.fields_by_name[name].number


@pytest.mark.holds("I1")
@loop
async def test_records_are_what_protobuf_makes_of_the_columns(fresh_db: str) -> None:
    """Compares the database's bytes with protobuf's, at both ends of each length that a number can have."""
    numbers = sorted({min(max(1, 2 ** (7 * n) + off), MOST) for n in range(6) for off in (-1, 0, 1)})
    connection = await asyncpg.connect(fresh_db)
    try:
        for place, version in enumerate(numbers):
            source = sorted(SOURCES)[place % 3]
            revision, tokens, micros = numbers[-place], min(version, 2**31 - 1), version * 7_919 % 8_000_000_000_000_000
            tokenizer = "t" * (1 + place)
            body = encode_body(pb.Message(role=pb.ROLE_USER, text="x" * min(version, 3_000_000)))
            stamp = await connection.fetchval("select kata_stamp($1, $2, $3)", version, revision, micros)
            fields = CONTEXT_ID, tokenizer, tokens, source
            head = await connection.fetchval("select kata_head($1, $2, $3, $4, $5)", len(body), *fields)
            record = record_head(context_fields(CONTEXT_ID, tokenizer), tokens, TokenCountSource(source), body) + stamp
            assert len(stamp) == STAMP_BYTES
            assert record == head + body + stamp, "as an append writes it, and as a migration does"
            page = ms.ListMessagesResponse.FromString(b"\x0a" + record + b"\x0a" + record)
            message = pb.Message.FromString(body)
            message.context_id, message.tokenizer = str(CONTEXT_ID), tokenizer
            message.version, message.revision = version, revision
            message.token_count, message.token_count_source = tokens, SOURCES[source]
            message.create_time.FromMicroseconds(micros)
            assert list(page.messages) == [message, message]
            assert decode_record(record) == decode_body(body)
            assert list(decode_records(record + b"__" + record, 2)) == [(version, decode_body(body))] * 2
            taken_out = "select kata_body($1, $2, $3, $4, $5, $6)"
            assert await connection.fetchval(taken_out, record, *fields, stamp) == body
            for wrong in (stamp[:-1] + b"\x7f", stamp[1:], stamp + b"\x00"):
                assert await connection.fetchval(taken_out, record, *fields, wrong) is None
            assert await connection.fetchval(taken_out, record, uuid4(), *fields[1:], stamp) is None
            assert await connection.fetchval(taken_out, record[: place * 4], *fields, stamp) is None
    finally:
        await connection.close()


@loop
async def test_field_numbers_of_answers_are_those_of_their_descriptors(server: Running) -> None:
    """What is written under a wrong number arrives as an unknown field."""
    context_id = (await server.create()).context_id
    await server.append(context_id, b.system("s"), b.user("x"), b.calls("1"), b.user("y"))
    page = await server.messages.ListMessages(ms.ListMessagesRequest(context_id=context_id, page_size=2))
    assert len(page.messages) == 2
    assert page.next_page_token
    window = await server.window(context_id, 100)
    assert window.header.context_id == context_id
    assert window.trailer.excluded
    stream = await server.stream(context_id, 100)
    assert [frame.WhichOneof("frame") for frame in stream] == ["header", "chunk", "trailer"]
    assert stream[1].chunk.resume_token
    message = await server.messages.GetMessage(ms.GetMessageRequest(context_id=context_id, version=1))
    assert message.message.text == "s"
    for answer in (page, window, *stream, message):
        known = type(answer).FromString(answer.SerializeToString())
        known.DiscardUnknownFields()
        assert known.SerializeToString(deterministic=True) == answer.SerializeToString(deterministic=True)


def test_field_numbers_of_previews_are_those_of_the_descriptors() -> None:
    def numbers(module: ModuleType, prefix: str, descriptor: Descriptor, **names: str) -> None:
        for name, field_name in names.items():
            assert getattr(module, f"_{prefix}_{name}") == number(descriptor, field_name)

    numbers(previews, "MESSAGE", pb.Message.DESCRIPTOR, TEXT="text", PARTS="parts")
    numbers(
        previews,
        "PART",
        pb.Part.DESCRIPTOR,
        TEXT="text",
        REASONING="reasoning",
        CALL="tool_call",
        RESULT="tool_result",
        REFUSAL="refusal",
    )
    numbers(previews, "CALL", pb.ToolCallPart.DESCRIPTOR, NAME="name", ARGUMENTS="arguments")
    numbers(previews, "RESULT", pb.ToolResultPart.DESCRIPTOR, TEXT="text", PARTS="parts")
    for descriptor in (pb.TextPart.DESCRIPTOR, pb.ReasoningPart.DESCRIPTOR, pb.RefusalPart.DESCRIPTOR):
        assert number(descriptor, "text") == previews._FIRST


@given(value=st.integers(0, 2**64 - 1))
@QUICK
def test_varints(value: int) -> None:
    message = ms.Revision.FromString(b"\x08" + varint(value))
    assert message.revision % 2**64 == value
    assert len(varint(value)) == max(1, -(-value.bit_length() // 7))


@given(
    message=st.one_of(
        messages(pb.Message.DESCRIPTOR),
        st.builds(pb.Message, role=st.sampled_from(pb.Role.values()), text=st.text()),
    )
)
@QUICK
def test_a_plain_body_is_the_body_of_a_message_that_is_a_role_and_a_text(message: pb.Message) -> None:
    bare = pb.Message(role=message.role, text=message.text)
    is_plain = message == bare and bool(message.text) and message.role not in (pb.ROLE_UNSPECIFIED, pb.ROLE_TOOL)
    assert plain_body(message) == (encode_body(bare) if is_plain else None)


def test_unknown_fields_are_nothing_of_a_plain_body() -> None:
    message = pb.Message(role=pb.ROLE_USER, text="hi")
    message.MergeFromString(b"\xfa\x7f\x01x")  # field 2047, which no version knows
    assert plain_body(message) is None


@given(micros=st.integers(0, 250_000_000_000_000_000))
@QUICK
def test_timestamps(micros: int) -> None:
    assert timestamp(moment(micros)).ToMicroseconds() == micros


@given(bodies=st.lists(contents, max_size=5), token=st.text(st.characters(codec="utf-8")))
@QUICK
def test_pages_and_chunks_of_records_are_those_of_protobuf(bodies: list[bytes], token: str) -> None:
    records = [varint(len(body)) + body for body in bodies]
    wanted = [pb.Message.FromString(body) for body in bodies]
    page = ms.ListMessagesResponse.FromString(frames.repeated(frames.CHUNK_MESSAGES, records))
    assert list(page.messages) == wanted
    sides = cs.CompareContextsResponse.FromString(
        frames.repeated(lineages.LEFT_MESSAGES, records) + frames.repeated(lineages.RIGHT_MESSAGES, records[1:])
    )
    assert (list(sides.left_messages), list(sides.right_messages)) == (wanted, wanted[1:])
    if records:
        sent = ms.StreamWindowResponse.FromString(frames.chunk(frames.CHUNK_MESSAGES.join(records), token)).chunk
        assert sent == window_pb2.WindowChunk(messages=wanted, resume_token=token)


def plain_preview(message: pb.Message) -> str:
    """Tells the beginning of a message from the whole of it."""
    if message.HasField("text"):
        return message.text[:PREVIEW_CHARS]
    return next((text for text in map(plain_part, message.parts) if text), "")[:PREVIEW_CHARS]


def plain_part(part: pb.Part) -> str:
    match part.WhichOneof("kind"):
        case "text" | "reasoning" | "refusal" as kind:
            return str(getattr(part, kind).text)
        case "tool_call":
            return f"{part.tool_call.name}({part.tool_call.arguments})"
        case "tool_result":
            inner = part.tool_result.parts
            return part.tool_result.text or (plain_part(inner[0]) if inner else "")
        case _:
            return ""


@given(body=contents, cut=st.integers(0, 200))
@QUICK
def test_previews_are_the_beginning_of_the_message(body: bytes, cut: int) -> None:
    message = pb.Message.FromString(body)
    assume("\ufffd" not in str(message))
    record = varint(len(body)) + body
    assert previews.preview_of_record(record) == plain_preview(message)
    assert len(previews.preview_of_record(record[:cut])) <= PREVIEW_CHARS, (
        "a body that is cut anywhere has a preview, too"
    )


@given(text=st.text(st.characters(codec="utf-8"), min_size=50, max_size=3_000))
@QUICK
def test_previews_need_only_the_first_bytes_of_a_text(text: str) -> None:
    body = encode_body(pb.Message(role=pb.ROLE_USER, text=text * 3, name="n" * 256))
    assert previews.preview_of_record((varint(len(body)) + body)[:4_096]) == (text * 3)[:PREVIEW_CHARS]
