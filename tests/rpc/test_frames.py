"""Bytes that are put together by hand, held against the descriptors and against what protobuf makes of them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import window_pb2

from kata_grpc import preview as previews
from kata_grpc.codec import encode_body
from kata_grpc.limits import FRAME_BYTES, FRAME_MESSAGES, PREVIEW_CHARS
from kata_grpc.transport import frames
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
VARINT, LENGTH_DELIMITED = 0, 2

contents = messages(pb.Message.DESCRIPTOR).map(lambda message: encode_body(pb.Message.FromString(_bytes(message))))
rows: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "version": st.integers(1, 2**62),
        "revision": st.integers(1, 2**62),
        "token_count": st.one_of(st.integers(0, 300), st.integers(0, 2**31 - 1)),
        "token_count_source": st.sampled_from(sorted(SOURCES)),
        "body": contents,
    }
).map(lambda row: {**row, **times(row)})


def _bytes(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def times(row: dict[str, Any]) -> dict[str, Any]:
    """Makes up the one time of the row's revision, in each of its spellings."""
    micros = row["revision"] * 7_919 % 8_000_000_000_000_000
    return {"micros": micros, "create_seconds": micros / 1e6, "create_time": moment(micros)}


def moment(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def number(descriptor: Descriptor, name: str) -> int:
    return descriptor.fields_by_name[name].number


def tag(descriptor: Descriptor, name: str, wire_type: int) -> bytes:
    return frames.varint(number(descriptor, name) << 3 | wire_type)


def expected(row: dict[str, Any], context_id: UUID, tokenizer: str) -> pb.Message:
    """Builds by protobuf what the encoder puts together."""
    message = pb.Message.FromString(row["body"])
    message.context_id, message.tokenizer = str(context_id), tokenizer
    message.version, message.revision = row["version"], row["revision"]
    message.token_count = row["token_count"]
    message.token_count_source = SOURCES[row["token_count_source"]]
    message.create_time.FromMicroseconds(row["micros"])
    return message


def test_tags_of_a_message_are_those_of_its_descriptor() -> None:
    descriptor = pb.Message.DESCRIPTOR
    row = {
        "version": 1,
        "revision": 2,
        "create_seconds": 3.0,
        "create_time": moment(3_000_000),
        "token_count": 4,
        "token_count_source": "counted",
        "body": b"BODY",
    }
    encoded = frames.MessageEncoder(CONTEXT_ID, "t").encode(row)
    spelled = {
        "context_id": (LENGTH_DELIMITED, b"\x24" + str(CONTEXT_ID).encode()),
        "revision": (VARINT, b"\x02"),
        "tokenizer": (LENGTH_DELIMITED, b"\x01t"),
        "create_time": (LENGTH_DELIMITED, b"\x02" + tag(Timestamp.DESCRIPTOR, "seconds", VARINT) + b"\x03"),
        "version": (VARINT, b"\x01"),
        "token_count": (VARINT, b"\x04"),
        "token_count_source": (VARINT, bytes([SOURCES["counted"]])),
    }
    fields = [tag(descriptor, name, wire_type) + value for name, (wire_type, value) in spelled.items()]
    assert encoded == b"".join([*fields, b"BODY"])
    nanos = frames.timestamp(moment(3_000_001))
    assert nanos == b"\x08\x03" + tag(Timestamp.DESCRIPTOR, "nanos", VARINT) + frames.varint(1_000)


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
    message = ms.Revision.FromString(b"\x08" + frames.varint(value))
    assert message.revision % 2**64 == value
    assert len(frames.varint(value)) == max(1, -(-value.bit_length() // 7))


@given(micros=st.integers(0, 250_000_000_000_000_000))
@QUICK
def test_timestamps(micros: int) -> None:
    assert Timestamp.FromString(frames.timestamp(moment(micros))).ToMicroseconds() == micros


@pytest.mark.holds("I1")
@given(given_rows=st.lists(rows, min_size=1, max_size=5))
@QUICK
def test_encoded_messages_are_those_of_protobuf(given_rows: list[dict[str, Any]]) -> None:
    encoder = frames.MessageEncoder(CONTEXT_ID, "o200k_base")
    wanted = [expected(row, CONTEXT_ID, "o200k_base") for row in given_rows]
    assert [pb.Message.FromString(encoder.encode(row)) for row in given_rows] == wanted
    page = ms.ListMessagesResponse.FromString(encoder.repeated(1, given_rows))
    assert list(page.messages) == wanted


@given(
    sizes=st.lists(st.sampled_from([1, 10, 300_000, FRAME_BYTES, FRAME_BYTES + 1]), max_size=40), cut=st.integers(1, 9)
)
@QUICK
def test_where_chunks_end_follows_from_the_messages_alone(sizes: list[int], cut: int) -> None:
    given_rows: list[Any] = [
        {
            "version": version,
            "revision": 1,
            "create_seconds": 1.0,
            "create_time": moment(1_000_000),
            "token_count": 1,
            "token_count_source": "counted",
            "body": b"\x2a" + frames.varint(size) + b"x" * size,
        }
        for version, size in enumerate(sizes, start=1)
    ]

    def chunks(step: int) -> list[frames.Chunk]:
        builder = frames.ChunkBuilder(frames.MessageEncoder(CONTEXT_ID, "t"))
        found = [
            chunk
            for start in range(0, len(given_rows), step)
            for chunk in builder.add(given_rows[start : start + step])
        ]
        return [*found, *builder.rest()]

    whole = chunks(len(given_rows) or 1)
    assert chunks(cut) == whole
    sent = [ms.StreamWindowResponse.FromString(chunk.frame("token")).chunk for chunk in whole]
    assert [chunk.resume_token for chunk in sent] == ["token"] * len(whole)
    parsed = [window_pb2.WindowChunk(messages=chunk.messages) for chunk in sent]
    assert [m.version for chunk in parsed for m in chunk.messages] == [row["version"] for row in given_rows]
    assert [chunk.last_version for chunk in whole] == [chunk.messages[-1].version for chunk in parsed]
    for chunk in parsed:
        assert 1 <= len(chunk.messages) <= FRAME_MESSAGES
        assert len(chunk.messages) == 1 or sum(m.ByteSize() for m in chunk.messages) <= FRAME_BYTES
    for before, after in itertools.pairwise(parsed):
        together = sum(m.ByteSize() for m in before.messages) + after.messages[0].ByteSize()
        assert together > FRAME_BYTES, "a chunk is as large as it may be"


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
    assert previews.preview(body) == plain_preview(message)
    assert len(previews.preview(body[:cut])) <= PREVIEW_CHARS, "a body that is cut anywhere has a preview, too"


@given(text=st.text(st.characters(codec="utf-8"), min_size=50, max_size=3_000))
@QUICK
def test_previews_need_only_the_first_bytes_of_a_text(text: str) -> None:
    body = encode_body(pb.Message(role=pb.ROLE_USER, text=text * 3, name="n" * 256))
    assert previews.preview(body[:4_096]) == (text * 3)[:PREVIEW_CHARS]
