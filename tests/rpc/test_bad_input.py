"""Bad input, and what it gets: a typed refusal that lists every violation, and nothing written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from kata.context.v1 import context_pb2, lineage_pb2, window_pb2
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import policy_service_pb2 as ps

from kata_grpc import limits
from tests.rpc import build as b
from tests.rpc.serving import Running, loop, methods, refused, unknown_id

if TYPE_CHECKING:
    from google.protobuf.message import Message as Proto

pytestmark = [loop, pytest.mark.holds("I12")]

SERVICES = [
    *(cs.DESCRIPTOR.services_by_name.values()),
    *(ms.DESCRIPTOR.services_by_name.values()),
    *(ps.DESCRIPTOR.services_by_name.values()),
]
HERE = "the context of the test".ljust(36, "-")
"""Stands for the id of a context that has two messages, and is as long."""
ROLE_LATER: Any = 6
KIND_LATER: Any = 99
MIB = 1024 * 1024


@dataclass(frozen=True)
class Bad:
    """One row: a call, and what it gets."""

    method: str
    request: Proto | bytes
    violations: list[tuple[str, str]] = field(default_factory=list)
    reason: str = "INVALID_FIELD"
    code: grpc.StatusCode = grpc.StatusCode.INVALID_ARGUMENT
    says: str = ""
    """What the message must name."""


def append(*messages: pb.Message, **fields: Any) -> ms.AppendMessagesRequest:
    return ms.AppendMessagesRequest(context_id=HERE, messages=messages, **fields)


def parts(*given: pb.Part, role: pb.Role.ValueType = pb.ROLE_USER) -> ms.AppendMessagesRequest:
    return append(pb.Message(role=role, parts=given))


def window(budget: int, **fields: Any) -> ms.GetWindowRequest:
    return ms.GetWindowRequest(context_id=HERE, token_budget=budget, **fields)


def holding(value: Value) -> Struct:
    return Struct(fields={"k": value})


def nested(depth: int) -> Struct:
    value = Value(bool_value=True)
    for _ in range(depth - 1):
        value = Value(list_value=ListValue(values=[value]))
    return holding(value)


def field_bytes(number: int, payload: bytes) -> bytes:
    """A length-delimited field of up to 127 bytes."""
    assert len(payload) < 128
    return bytes([number << 3 | 2, len(payload)]) + payload


def with_meta(metadata: Struct) -> ms.AppendMessagesRequest:
    return append(b.user("x", metadata=metadata))


SURROGATE = b"\xed\xa0\x80"
NEWER_PART = field_bytes(6, field_bytes(12, b"a kind of a newer client"))
WORD = b.user("x")
NAN, INFINITY = Value(number_value=float("nan")), Value(number_value=float("-inf"))

ROWS: dict[str, Bad] = {
    # ids
    "no id": Bad("GetContext", cs.GetContextRequest(), [("context_id", "REQUIRED")]),
    "an id that is none": Bad("GetContext", cs.GetContextRequest(context_id="42"), [("context_id", "MALFORMED_ID")]),
    "an id in upper case": Bad(
        "DeleteContext",
        cs.DeleteContextRequest(context_id="AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA"),
        [("context_id", "MALFORMED_ID")],
    ),
    "an id with a line break": Bad(
        "UndeleteContext", cs.UndeleteContextRequest(context_id=unknown_id() + "\n"), [("context_id", "MALFORMED_ID")]
    ),
    "no id to update": Bad(
        "UpdateContext",
        cs.UpdateContextRequest(context=context_pb2.Context(name="x")),
        [("context.context_id", "REQUIRED")],
    ),
    "an unknown id": Bad(
        "GetContext",
        cs.GetContextRequest(context_id=unknown_id()),
        reason="CONTEXT_NOT_FOUND",
        code=grpc.StatusCode.NOT_FOUND,
    ),
    "an unknown id to append to": Bad(
        "AppendMessages",
        ms.AppendMessagesRequest(context_id=unknown_id(), messages=[WORD], request_id="r"),
        reason="CONTEXT_NOT_FOUND",
        code=grpc.StatusCode.NOT_FOUND,
    ),
    "a version that is none": Bad("GetMessage", ms.GetMessageRequest(context_id=HERE), [("version", "TOO_SMALL")]),
    "an unknown version": Bad(
        "GetMessage",
        ms.GetMessageRequest(context_id=HERE, version=3),
        reason="MESSAGE_NOT_FOUND",
        code=grpc.StatusCode.NOT_FOUND,
    ),
    # snapshots and tags
    "a time and a tag beside a version": Bad(
        "ListMessages",
        ms.ListMessagesRequest(context_id=HERE, at_version=1, at_time=Timestamp(), at_tag="t"),
        [("at_time", "EXCLUSIVE"), ("at_tag", "EXCLUSIVE")],
        says="excludes at_version and at_tag",
    ),
    "a time before all years": Bad(
        "GetMessage",
        ms.GetMessageRequest(context_id=HERE, version=1, at_time=Timestamp(seconds=-(2**62))),
        [("at_time", "OUT_OF_BOUNDS")],
    ),
    "a time with too many nanoseconds": Bad(
        "ForkContext",
        cs.ForkContextRequest(context_id=HERE, at_time=Timestamp(nanos=1_000_000_000)),
        [("at_time", "OUT_OF_BOUNDS")],
    ),
    "kinds that are none": Bad(
        "ListHistory",
        ms.ListHistoryRequest(context_id=HERE, kinds=[KIND_LATER, ms.REVISION_KIND_TAG]),
        [("kinds[0]", "UNKNOWN_VALUE")],
    ),
    "a tag with everything wrong": Bad(
        "TagVersion",
        cs.TagVersionRequest(context_id="x", at_version=-1, at_tag="two words", request_id="r" * 129),
        [
            ("context_id", "MALFORMED_ID"),
            ("name", "REQUIRED"),
            ("at_tag", "MALFORMED_NAME"),
            ("at_version", "TOO_SMALL"),
            ("at_tag", "EXCLUSIVE"),
            ("request_id", "TOO_LONG"),
        ],
    ),
    "a tag of a name that is none": Bad(
        "DeleteTag", cs.DeleteTagRequest(context_id=HERE, name="é"), [("name", "MALFORMED_NAME")]
    ),
    "an unknown tag": Bad("GetWindow", window(10, at_tag="t"), reason="TAG_NOT_FOUND", code=grpc.StatusCode.NOT_FOUND),
    "a negative page of tags": Bad(
        "ListTags", cs.ListTagsRequest(context_id=HERE, page_size=-1), [("page_size", "TOO_SMALL")]
    ),
    "artifacts of much that is none": Bad(
        "ListArtifacts",
        ps.ListArtifactsRequest(
            context_id="x",
            page_size=-1,
            kinds=[KIND_LATER, 0],
            first_version=-3,
            last_version=-2,
            at_version=-1,
            at_tag="two words",
            view=KIND_LATER,
        ),
        [
            ("context_id", "MALFORMED_ID"),
            ("page_size", "TOO_SMALL"),
            ("kinds[0]", "UNKNOWN_VALUE"),
            ("kinds[1]", "UNKNOWN_VALUE"),
            ("first_version", "TOO_SMALL"),
            ("last_version", "TOO_SMALL"),
            ("view", "UNKNOWN_VALUE"),
            ("at_tag", "MALFORMED_NAME"),
            ("at_version", "TOO_SMALL"),
            ("at_tag", "EXCLUSIVE"),
        ],
    ),
    "artifacts of a range that ends before it begins": Bad(
        "ListArtifacts",
        ps.ListArtifactsRequest(context_id=HERE, first_version=3, last_version=2, show_deleted=True),
        [("last_version", "OUT_OF_BOUNDS"), ("show_deleted", "EXCLUSIVE")],
    ),
    "artifacts of a version that is not there": Bad(
        "ListArtifacts",
        ps.ListArtifactsRequest(context_id=HERE, at_version=3),
        reason="VERSION_OUT_OF_RANGE",
        code=grpc.StatusCode.OUT_OF_RANGE,
    ),
    "an unknown id to show the lineage of": Bad(
        "GetLineage",
        cs.GetLineageRequest(context_id=unknown_id()),
        reason="CONTEXT_NOT_FOUND",
        code=grpc.StatusCode.NOT_FOUND,
    ),
    "a verification of nothing": Bad("VerifyContext", cs.VerifyContextRequest(), [("context_id", "REQUIRED")]),
    "an unknown id to verify": Bad(
        "VerifyContext",
        cs.VerifyContextRequest(context_id=unknown_id()),
        reason="CONTEXT_NOT_FOUND",
        code=grpc.StatusCode.NOT_FOUND,
    ),
    "a lineage of nothing": Bad(
        "GetLineage", cs.GetLineageRequest(page_size=-1), [("context_id", "REQUIRED"), ("page_size", "TOO_SMALL")]
    ),
    "a comparison of nothing": Bad(
        "CompareContexts",
        cs.CompareContextsRequest(
            left=lineage_pb2.ContextPoint(context_id="x", at_version=-1, at_revision=-2), page_size=-1
        ),
        [
            ("left.at_version", "TOO_SMALL"),
            ("left.at_revision", "TOO_SMALL"),
            ("left.context_id", "MALFORMED_ID"),
            ("right.context_id", "REQUIRED"),
            ("page_size", "TOO_SMALL"),
        ],
    ),
    # tokens
    "a page token that is none": Bad(
        "ListContexts", cs.ListContextsRequest(page_token="x"), reason="PAGE_TOKEN_INVALID"
    ),
    "a long page token": Bad(
        "ListMessages",
        ms.ListMessagesRequest(context_id=HERE, page_token="A" * 100_000),
        reason="PAGE_TOKEN_INVALID",
    ),
    "a page token beyond ASCII": Bad(
        "ListHistory", ms.ListHistoryRequest(context_id=HERE, page_token="→"), reason="PAGE_TOKEN_INVALID"
    ),
    "a negative page": Bad(
        "ListMessages",
        ms.ListMessagesRequest(context_id=HERE, page_size=-1, order=9, roles=[0, 1, 77]),
        [
            ("page_size", "TOO_SMALL"),
            ("order", "UNKNOWN_VALUE"),
            ("roles[0]", "UNKNOWN_VALUE"),
            ("roles[2]", "UNKNOWN_VALUE"),
        ],
    ),
    "a negative page of history": Bad(
        "ListHistory",
        ms.ListHistoryRequest(context_id="", page_size=-5, order=3),
        [("context_id", "REQUIRED"), ("page_size", "TOO_SMALL"), ("order", "UNKNOWN_VALUE")],
    ),
    # windows
    "no budget": Bad("GetWindow", window(0), [("token_budget", "OUT_OF_BOUNDS")], says="1 to 10000000"),
    "a negative budget": Bad(
        "GetWindow",
        window(-1, reserve_tokens=-1),
        [("token_budget", "OUT_OF_BOUNDS"), ("reserve_tokens", "OUT_OF_BOUNDS")],
    ),
    "a budget that is too large": Bad(
        "GetWindow", window(10_000_001), [("token_budget", "OUT_OF_BOUNDS")], says="10000001"
    ),
    "options that are out of bounds": Bad(
        "GetWindow",
        window(
            100,
            options=window_pb2.WindowOptions(
                max_messages=-1,
                pinned_versions=[1] * 257,
                pinned_labels=["x"] * 17,
                max_part_tokens=99,
                clear_tool_results=window_pb2.ClearToolResults(exclude_tools=["x"] * 65),
                start_steps=window_pb2.StartSteps(low_water_tokens=100),
            ),
        ),
        [
            ("options.max_messages", "TOO_SMALL"),
            ("options.pinned_versions", "TOO_MANY"),
            ("options.pinned_labels", "TOO_MANY"),
            ("options.max_part_tokens", "TOO_SMALL"),
            ("options.clear_tool_results.exclude_tools", "TOO_MANY"),
            ("options.start_steps.low_water_tokens", "OUT_OF_BOUNDS"),
        ],
    ),
    "labels that are out of bounds": Bad(
        "AppendMessages",
        append(b.user("a", labels=["x"] * 17), b.user("b", labels=["", "x" * 64, "\0"])),
        [
            ("messages[0].labels", "TOO_MANY"),
            ("messages[1].labels[0]", "REQUIRED"),
            ("messages[1].labels[1]", "TOO_LONG"),
            ("messages[1].labels[2]", "NUL_CHARACTER"),
        ],
    ),
    "a budget that is all reserved": Bad(
        "GetWindow", window(100, reserve_tokens=100), [("reserve_tokens", "OUT_OF_BOUNDS")]
    ),
    "a window with everything wrong": Bad(
        "GetWindow",
        ms.GetWindowRequest(
            context_id="x",
            token_budget=2**40,
            reserve_tokens=-(2**60),
            at_version=-1,
            at_revision=-(2**62),
            dialect=9,
            view=-1,
            tokenizer="no spaces",
        ),
        [
            ("context_id", "MALFORMED_ID"),
            ("token_budget", "OUT_OF_BOUNDS"),
            ("reserve_tokens", "OUT_OF_BOUNDS"),
            ("at_version", "TOO_SMALL"),
            ("at_revision", "TOO_SMALL"),
            ("tokenizer", "MALFORMED_NAME"),
            ("dialect", "UNKNOWN_VALUE"),
            ("view", "UNKNOWN_VALUE"),
        ],
    ),
    "a version beyond the latest": Bad(
        "GetWindow",
        window(10, at_version=3),
        reason="VERSION_OUT_OF_RANGE",
        code=grpc.StatusCode.OUT_OF_RANGE,
    ),
    "a resume token that is none": Bad(
        "StreamWindow",
        ms.StreamWindowRequest(context_id=HERE, token_budget=10, resume_token="x"),
        reason="PAGE_TOKEN_INVALID",
    ),
    # watches
    "a watch with everything wrong": Bad(
        "WatchContext",
        ms.WatchContextRequest(context_id="x", from_version=-1, kinds=[1, 0, 99]),
        [
            ("context_id", "MALFORMED_ID"),
            ("from_version", "TOO_SMALL"),
            ("kinds[1]", "UNKNOWN_VALUE"),
            ("kinds[2]", "UNKNOWN_VALUE"),
        ],
    ),
    "a watch from a negative revision": Bad(
        "WatchContext", ms.WatchContextRequest(context_id=HERE, from_revision=-1), [("from_revision", "TOO_SMALL")]
    ),
    "a watch of nothing": Bad("WatchContext", ms.WatchContextRequest(), [("context_id", "REQUIRED")]),
    "a watch of what is not there": Bad(
        "WatchContext",
        ms.WatchContextRequest(context_id=unknown_id()),
        reason="CONTEXT_NOT_FOUND",
        code=grpc.StatusCode.NOT_FOUND,
    ),
    "a watch from a version beyond the latest": Bad(
        "WatchContext",
        ms.WatchContextRequest(context_id=HERE, from_version=3),
        reason="VERSION_OUT_OF_RANGE",
        code=grpc.StatusCode.OUT_OF_RANGE,
        says="from_version is 3; the latest is 2",
    ),
    "a cursor that is none": Bad(
        "WatchContext", ms.WatchContextRequest(context_id=HERE, cursor="x"), reason="PAGE_TOKEN_INVALID"
    ),
    "a long cursor": Bad(
        "WatchContext", ms.WatchContextRequest(context_id=HERE, cursor="A" * 100_000), reason="PAGE_TOKEN_INVALID"
    ),
    # how many, how large
    "no messages": Bad("AppendMessages", append(), [("messages", "REQUIRED")]),
    "1,001 messages": Bad(
        "AppendMessages", append(*[WORD] * 1_001), [("messages", "TOO_MANY_MESSAGES")], says="1001 messages"
    ),
    "1,001 messages, all of them bad": Bad(
        "AppendMessages",
        append(*[pb.Message(role=pb.ROLE_USER)] * 1_001),
        [("messages", "TOO_MANY_MESSAGES"), *((f"messages[{n}]", "REQUIRED") for n in range(1_001))],
        says="and 997 more",
    ),
    "a message that is too large": Bad(
        "AppendMessages",
        append(WORD, b.user("a" * 8 * MIB)),
        [("messages[1]", "TOO_LARGE")],
        says=str(limits.MAX_MESSAGE_BYTES),
    ),
    "a call that is too large": Bad(
        "AppendMessages",
        append(*[b.user("a" * 6 * MIB)] * 3),
        [("messages", "TOO_LARGE")],
        says=str(limits.MAX_CALL_BYTES),
    ),
    "too many parts": Bad(
        "AppendMessages", parts(*[b.text_part("")] * 1_001), [("messages[0].parts", "TOO_MANY")], says="1001 parts"
    ),
    "too many parts of a result": Bad(
        "AppendMessages",
        parts(
            pb.Part(tool_result=pb.ToolResultPart(tool_call_id="1", parts=[b.text_part("")] * 1_001)), role=pb.ROLE_TOOL
        ),
        [("messages[0].parts[0].tool_result.parts", "TOO_MANY")],
    ),
    "long names": Bad(
        "AppendMessages",
        append(b.user("x", name="n" * 257, model="m" * 257, tokenizer="t" * 65, token_count=-1)),
        [
            ("messages[0].name", "TOO_LONG"),
            ("messages[0].model", "TOO_LONG"),
            ("messages[0].tokenizer", "TOO_LONG"),
            ("messages[0].token_count", "TOO_SMALL"),
        ],
    ),
    "a long request_id": Bad(
        "AppendMessages",
        append(WORD, request_id="r" * 129, expected_version=-1),
        [("request_id", "TOO_LONG"), ("expected_version", "TOO_SMALL")],
        says="more than 128",
    ),
    "a request_id with U+0000": Bad(
        "DeleteContext", cs.DeleteContextRequest(context_id=HERE, request_id="\x00"), [("request_id", "NUL_CHARACTER")]
    ),
    # what a newer client may send
    "no role": Bad("AppendMessages", append(pb.Message(text="x")), [("messages[0].role", "REQUIRED")]),
    "an unknown role": Bad(
        "AppendMessages",
        append(WORD, pb.Message(role=ROLE_LATER, text="x")),
        [("messages[1].role", "UNKNOWN_VALUE")],
        says="unknown value 6",
    ),
    "an unknown kind of part": Bad(
        "AppendMessages",
        append(pb.Message.FromString(b"\x20\x01" + NEWER_PART)),
        [("messages[0].parts[0]", "UNKNOWN_VALUE")],
    ),
    "an unknown content form": Bad(
        "AppendMessages",
        append(pb.Message(role=pb.ROLE_USER, text="x", content_form=9)),
        [("messages[0].content_form", "UNKNOWN_VALUE")],
    ),
    "an unknown null": Bad(
        "AppendMessages",
        with_meta(holding(Value(null_value=3))),
        [("messages[0].metadata.k", "UNKNOWN_VALUE")],
    ),
    "an unknown type of call": Bad(
        "AppendMessages",
        parts(pb.Part(tool_call=pb.ToolCallPart(id="1", type="later")), role=pb.ROLE_ASSISTANT),
        [("messages[0].parts[0].tool_call.type", "UNKNOWN_VALUE")],
    ),
    # what a message must be
    "neither text nor parts": Bad(
        "AppendMessages", append(pb.Message(role=pb.ROLE_USER)), [("messages[0]", "REQUIRED")]
    ),
    "neither, with a form that does not say so": Bad(
        "AppendMessages",
        append(pb.Message(role=pb.ROLE_ASSISTANT, content_form=pb.CONTENT_FORM_STRING)),
        [("messages[0]", "REQUIRED")],
    ),
    "text and parts": Bad(
        "AppendMessages", append(b.user("x", parts=[b.text_part("y")])), [("messages[0].text", "EXCLUSIVE")]
    ),
    "text and a form": Bad(
        "AppendMessages",
        append(b.user("x", content_form=pb.CONTENT_FORM_NULL)),
        [("messages[0].content_form", "EXCLUSIVE")],
    ),
    "a part of nothing": Bad("AppendMessages", parts(pb.Part()), [("messages[0].parts[0]", "UNKNOWN_VALUE")]),
    "a result without id": Bad(
        "AppendMessages",
        parts(pb.Part(tool_result=pb.ToolResultPart(text="42")), role=pb.ROLE_TOOL),
        [("messages[0].parts[0].tool_result.tool_call_id", "REQUIRED")],
    ),
    "a call without id": Bad(
        "AppendMessages",
        parts(pb.Part(tool_call=pb.ToolCallPart(name="f")), role=pb.ROLE_ASSISTANT),
        [("messages[0].parts[0].tool_call.id", "REQUIRED")],
    ),
    "a call of the older form without name": Bad(
        "AppendMessages",
        parts(pb.Part(tool_call=pb.ToolCallPart(type="function_call")), role=pb.ROLE_ASSISTANT),
        [("messages[0].parts[0].tool_call.name", "REQUIRED")],
    ),
    "a call id with U+0000": Bad(
        "AppendMessages",
        parts(b.call_part("a\x00"), role=pb.ROLE_ASSISTANT),
        [("messages[0].parts[0].tool_call.id", "NUL_CHARACTER")],
    ),
    "a long call id": Bad(
        "AppendMessages",
        parts(b.call_part("a" * 513, name="n" * 513), role=pb.ROLE_ASSISTANT),
        [("messages[0].parts[0].tool_call.id", "TOO_LONG"), ("messages[0].parts[0].tool_call.name", "TOO_LONG")],
    ),
    "a tool that answers nothing": Bad(
        "AppendMessages",
        append(pb.Message(role=pb.ROLE_TOOL, text="42")),
        [("messages[0].parts", "REQUIRED")],
        says="tool_call_id",
    ),
    "calls and results of the wrong roles": Bad(
        "AppendMessages",
        append(
            pb.Message(role=pb.ROLE_USER, parts=[b.call_part("1")]),
            pb.Message(role=pb.ROLE_ASSISTANT, parts=[b.result_part("1")]),
            pb.Message(role=pb.ROLE_SYSTEM, parts=[b.call_part("1"), b.result_part("1")]),
        ),
        [
            ("messages[0].parts[0].tool_call", "WRONG_ROLE"),
            ("messages[1].parts[0].tool_result", "WRONG_ROLE"),
            ("messages[2].parts[0].tool_call", "WRONG_ROLE"),
            ("messages[2].parts[1].tool_result", "WRONG_ROLE"),
        ],
    ),
    "a call within a result": Bad(
        "AppendMessages",
        parts(
            pb.Part(tool_result=pb.ToolResultPart(tool_call_id="1", parts=[b.text_part("fine"), b.call_part("2")])),
            role=pb.ROLE_TOOL,
        ),
        [("messages[0].parts[0].tool_result.parts[1].tool_call", "WRONG_KIND")],
    ),
    "a result with text and parts": Bad(
        "AppendMessages",
        parts(
            pb.Part(tool_result=pb.ToolResultPart(tool_call_id="1", text="x", parts=[b.text_part("y")])),
            role=pb.ROLE_TOOL,
        ),
        [("messages[0].parts[0].tool_result.text", "EXCLUSIVE")],
    ),
    "media without a source": Bad(
        "AppendMessages",
        parts(pb.Part(image=pb.ImagePart(detail="low")), pb.Part(file=pb.FilePart(filename="a"))),
        [("messages[0].parts[0].image", "REQUIRED"), ("messages[0].parts[1].file", "REQUIRED")],
    ),
    "keys that are no JSON": Bad(
        "AppendMessages",
        append(b.user("x", extra_json="[1]"), pb.Message(role=pb.ROLE_USER, parts=[pb.Part(extra_json="{")])),
        [
            ("messages[0].extra_json", "MALFORMED_JSON"),
            ("messages[1].parts[0].extra_json", "MALFORMED_JSON"),
            ("messages[1].parts[0]", "UNKNOWN_VALUE"),
        ],
    ),
    "an unknown part that is no JSON": Bad(
        "AppendMessages",
        parts(pb.Part(unknown=pb.UnknownPart(type="x", json="nope"))),
        [("messages[0].parts[0].unknown.json", "MALFORMED_JSON")],
    ),
    "JSON nested without end": Bad(
        "AppendMessages",
        parts(pb.Part(unknown=pb.UnknownPart(json="[" * 100_000))),
        [("messages[0].parts[0].unknown.json", "MALFORMED_JSON")],
    ),
    "every bad message of a batch": Bad(
        "AppendMessages",
        append(WORD, pb.Message(role=pb.ROLE_USER), WORD, pb.Message(text="x"), pb.Message(role=ROLE_LATER)),
        [
            ("messages[1]", "REQUIRED"),
            ("messages[3].role", "REQUIRED"),
            ("messages[4].role", "UNKNOWN_VALUE"),
            ("messages[4]", "REQUIRED"),
        ],
    ),
    # metadata
    "NaN": Bad("AppendMessages", with_meta(holding(NAN)), [("messages[0].metadata.k", "NOT_FINITE")]),
    "infinity deep down": Bad(
        "AppendMessages",
        with_meta(holding(Value(struct_value=holding(Value(list_value=ListValue(values=[INFINITY])))))),
        [("messages[0].metadata.k.k[0]", "NOT_FINITE")],
    ),
    "a value that is none": Bad(
        "AppendMessages", with_meta(holding(Value())), [("messages[0].metadata.k", "REQUIRED")]
    ),
    "metadata that is too large": Bad(
        "AppendMessages",
        with_meta(holding(Value(string_value="a" * 65_536))),
        [("messages[0].metadata", "TOO_LARGE")],
        says="65536",
    ),
    "metadata that is too deep": Bad(
        "CreateContext",
        cs.CreateContextRequest(metadata=nested(33)),
        [("metadata.k" + "[0]" * 32, "TOO_DEEP")],
        says="32",
    ),
    "NaN in a context": Bad(
        "CreateContext", cs.CreateContextRequest(metadata=holding(NAN)), [("metadata.k", "NOT_FINITE")]
    ),
    "NaN in an update": Bad(
        "UpdateContext",
        cs.UpdateContextRequest(context=context_pb2.Context(context_id=HERE, metadata=holding(NAN))),
        [("metadata.k", "NOT_FINITE")],
    ),
    # contexts
    "a context with everything wrong": Bad(
        "CreateContext",
        cs.CreateContextRequest(
            name="n" * 257 + "\x00",
            labels={"": "", "k" * 64: "v" * 257},
            tokenizer="o200k base",
            request_id="r" * 129,
            origin=context_pb2.Origin(format="gemini", id="i" * 513, extra_json="nope"),
        ),
        [
            ("name", "TOO_LONG"),
            ("name", "NUL_CHARACTER"),
            ("labels", "REQUIRED"),
            (f"labels[{'k' * 64!r}] key", "TOO_LONG"),
            (f"labels[{'k' * 64!r}]", "TOO_LONG"),
            ("tokenizer", "MALFORMED_NAME"),
            ("origin.format", "UNKNOWN_VALUE"),
            ("origin.id", "TOO_LONG"),
            ("origin.extra_json", "MALFORMED_JSON"),
            ("request_id", "TOO_LONG"),
        ],
    ),
    "too many labels": Bad(
        "CreateContext",
        cs.CreateContextRequest(labels={str(n): "" for n in range(65)}),
        [("labels", "TOO_MANY")],
        says="65 entries",
    ),
    "labels with U+0000": Bad(
        "ListContexts",
        cs.ListContextsRequest(labels={"a": "\x00"}, name_prefix="\x00", page_size=-1),
        [("page_size", "TOO_SMALL"), ("labels['a']", "NUL_CHARACTER"), ("name_prefix", "NUL_CHARACTER")],
    ),
    "a unique name without a name": Bad(
        "CreateContext", cs.CreateContextRequest(unique_name=True), [("name", "REQUIRED")]
    ),
    "an origin that is too large": Bad(
        "CreateContext",
        cs.CreateContextRequest(origin=context_pb2.Origin(format="openai", extra_json='{"a":"' + "a" * MIB + '"}')),
        [("origin.extra_json", "TOO_LARGE")],
    ),
    "an origin with U+0000": Bad(
        "CreateContext",
        cs.CreateContextRequest(origin=context_pb2.Origin(format="openai", id="\x00")),
        [("origin.id", "NUL_CHARACTER")],
    ),
    "an update of what cannot change": Bad(
        "UpdateContext",
        cs.UpdateContextRequest(
            context=context_pb2.Context(context_id=HERE), update_mask=FieldMask(paths=["tokenizer", "name"])
        ),
        [("update_mask", "UNKNOWN_VALUE")],
    ),
    # bytes
    "a lone surrogate": Bad(
        "AppendMessages",
        field_bytes(1, HERE.encode()) + field_bytes(2, b"\x20\x01" + field_bytes(5, SURROGATE)),
        reason="MALFORMED_REQUEST",
    ),
    "a lone surrogate in a name": Bad("CreateContext", field_bytes(1, SURROGATE), reason="MALFORMED_REQUEST"),
    "bytes that are no request": Bad("GetWindow", b"\xff\xff\xff", reason="MALFORMED_REQUEST"),
    "a truncated request": Bad("AppendMessages", append(WORD).SerializeToString()[:-1], reason="MALFORMED_REQUEST"),
}


async def call(server: Running, row: Bad, context_id: str) -> None:
    request = row.request if isinstance(row.request, bytes) else row.request.SerializeToString()
    request = request.replace(HERE.encode(), context_id.encode())
    (service,) = [service for service in SERVICES if row.method in service.methods_by_name]
    path = f"/{service.full_name}/{row.method}"
    if row.method in ("StreamWindow", "WatchContext"):
        async for _ in methods(server.channel).unary_stream(path)(request):
            pass
    else:
        await methods(server.channel).unary_unary(path)(request)


@pytest.mark.parametrize("name", ROWS)
async def test_bad_input(server: Running, name: str) -> None:
    row = ROWS[name]
    context_id = (await server.create()).context_id
    await server.append(context_id, b.user("1"), b.user("2"))
    before = await server.rows()
    error = await refused(call(server, row, context_id))
    assert (error.code, error.reason) == (row.code, row.reason), error.message
    if row.reason == "INVALID_FIELD":
        if len(row.violations) < 20:
            assert sorted(error.violations) == sorted(row.violations)
        else:
            assert len(error.violations) >= 20, "as many as fit"
            assert error.violations == row.violations[: len(error.violations)]
        assert error.metadata == {"violations": str(len(row.violations))}
    assert row.says in error.message
    assert len(error.message) < 2_000
    assert await server.rows() == before, "nothing is written"


def about_messages(row: Bad) -> list[tuple[str, str]]:
    """Returns what is wrong with the messages of an append."""
    return [violation for violation in row.violations if violation[0].startswith("messages")]


BATCHES = {
    name: (row.request.messages, about_messages(row))
    for name, row in ROWS.items()
    if isinstance(row.request, ms.AppendMessagesRequest) and about_messages(row)
}


@pytest.mark.parametrize("name", BATCHES)
async def test_bad_batches_of_an_import(server: Running, name: str) -> None:
    messages, expected = BATCHES[name]
    context_id = (await server.create()).context_id
    bad = ms.ImportBatch(messages=messages)
    frames = [
        ms.ImportMessagesRequest(header=ms.ImportHeader(context_id=context_id, request_id="i")),
        ms.ImportMessagesRequest(batch=ms.ImportBatch(messages=[b.user("fine")])),
        ms.ImportMessagesRequest(batch=bad),
    ]
    error = await refused(server.messages.ImportMessages(iter(frames)))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert set(error.violations) <= set(expected)
    assert len(error.violations) >= min(len(expected), 20)
    assert (await server.get(context_id)).latest_version == 1, "the batch before stays"


@pytest.mark.parametrize("key", ["k" * 60_000, "é" * 30_000, "\U0001f600" * 10_000, "\n" * 60_000])
async def test_an_error_fits_what_clients_take(server: Running, key: str) -> None:
    """More than 8 KiB of trailers, and a client drops the whole error."""
    context_id = (await server.create()).context_id
    bad = b.user("x", metadata=Struct(fields={key: NAN}), name="n" * 257)
    error = await refused(server.append(context_id, *[bad] * 100))
    assert error.metadata == {"violations": "200"}
    assert len(error.violations) >= 3
    assert error.status.ByteSize() < 5_000


async def test_a_long_name_fits_an_error(server: Running) -> None:
    name = "\U0001f600" * 256
    await server.create(name=name, unique_name=True)
    error = await refused(server.create(name=name, unique_name=True))
    assert error.metadata == {"name": name}


async def test_a_bad_header_of_an_import(server: Running) -> None:
    header = ms.ImportHeader(context_id="x", request_id="r" * 101, expected_version=-1)
    error = await refused(server.messages.ImportMessages(iter([ms.ImportMessagesRequest(header=header)])))
    assert sorted(error.violations) == [
        ("header.context_id", "MALFORMED_ID"),
        ("header.expected_version", "TOO_SMALL"),
        ("header.request_id", "TOO_LONG"),
    ]


async def test_a_call_beyond_what_grpc_takes_in(server: Running) -> None:
    context_id = (await server.create()).context_id
    with pytest.raises(grpc.RpcError) as caught:
        await server.append(context_id, *[b.user("a" * 7 * MIB)] * 6)
    assert isinstance(caught.value, grpc.aio.AioRpcError)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(limits.MAX_RECEIVE_BYTES) in (caught.value.details() or "")


async def test_the_largest_calls_are_taken(server: Running) -> None:
    context_id = (await server.create()).context_id
    await server.append(context_id, b.user("word " * (8 * MIB // 5 - 100)), b.user("word " * (7 * MIB // 5)))
    await server.append(context_id, *[b.user("x")] * 1_000)
    await server.append(context_id, pb.Message(role=pb.ROLE_USER, parts=[b.text_part("x")] * 1_000))
    await server.append(context_id, b.user("x", metadata=nested(32), name="n" * 256), request_id="r" * 128)
    await server.create(labels={str(n).rjust(63): "v" * 256 for n in range(64)}, name="é" * 256)
    assert (await server.get(context_id)).latest_version == 1_004
