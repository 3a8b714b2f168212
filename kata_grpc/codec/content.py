"""The one mapping between the content model and its protobuf form.

This module does not validate: it refuses only what it cannot express.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from google.protobuf import struct_pb2
from kata.context.v1 import message_pb2 as pb

from kata_grpc.domain.messages import (
    ContentForm,
    File,
    Image,
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_EXACT_INTEGER = 2**53
"""Up to here every integer is a double of its own, so metadata may spell it without a fraction."""

ROLE_OF_NUMBER: dict[int, Role] = {
    pb.ROLE_USER: Role.USER,
    pb.ROLE_ASSISTANT: Role.ASSISTANT,
    pb.ROLE_SYSTEM: Role.SYSTEM,
    pb.ROLE_DEVELOPER: Role.DEVELOPER,
    pb.ROLE_TOOL: Role.TOOL,
}
NUMBER_OF_ROLE = {
    Role.USER: pb.ROLE_USER,
    Role.ASSISTANT: pb.ROLE_ASSISTANT,
    Role.SYSTEM: pb.ROLE_SYSTEM,
    Role.DEVELOPER: pb.ROLE_DEVELOPER,
    Role.TOOL: pb.ROLE_TOOL,
}
FORM_OF_NUMBER: dict[int, ContentForm] = {
    pb.CONTENT_FORM_UNSPECIFIED: ContentForm.DERIVED,
    pb.CONTENT_FORM_ABSENT: ContentForm.ABSENT,
    pb.CONTENT_FORM_NULL: ContentForm.NULL,
    pb.CONTENT_FORM_STRING: ContentForm.STRING,
    pb.CONTENT_FORM_ARRAY: ContentForm.ARRAY,
}
NUMBER_OF_FORM = {
    ContentForm.DERIVED: pb.CONTENT_FORM_UNSPECIFIED,
    ContentForm.ABSENT: pb.CONTENT_FORM_ABSENT,
    ContentForm.NULL: pb.CONTENT_FORM_NULL,
    ContentForm.STRING: pb.CONTENT_FORM_STRING,
    ContentForm.ARRAY: pb.CONTENT_FORM_ARRAY,
}


class CodecError(ValueError):
    """A message that the content model, or protobuf, cannot express; validated input never causes it."""


def from_proto(message: pb.Message) -> Message:
    """Return the content of `message`, without the fields that the server owns."""
    role = ROLE_OF_NUMBER.get(message.role)
    form = FORM_OF_NUMBER.get(message.content_form)
    if role is None or form is None:
        raise CodecError(f"role: {message.role} or content_form: {message.content_form} is not known")
    return Message(
        role,
        message.text if message.HasField("text") else None,
        tuple(map(part_from_proto, message.parts)) if message.parts else (),
        message.name,
        message.model,
        form,
        metadata_to_json(message.metadata) if message.HasField("metadata") else "",
        message.extra_json,
        tuple(message.labels) if message.labels else (),
    )


def to_proto(message: Message) -> pb.Message:
    """Return `message` as protobuf. Raise CodecError for lone surrogates and for metadata that no Struct can hold."""
    try:
        result = pb.Message(
            role=NUMBER_OF_ROLE[message.role],
            name=message.name,
            model=message.model,
            content_form=NUMBER_OF_FORM[message.form],
            extra_json=message.extra_json,
            labels=message.labels,
        )
        if message.text is not None:
            result.text = message.text
        if message.parts:
            result.parts.extend(map(part_to_proto, message.parts))
    except UnicodeEncodeError as error:
        raise CodecError(f"text holds a lone surrogate at {error.start}") from error
    if message.metadata_json:
        result.metadata.CopyFrom(metadata_from_json(message.metadata_json))
    return result


def part_from_proto(part: pb.Part) -> Part:
    """Return the content of `part`. Raise CodecError if no kind is set."""
    extra = part.extra_json
    match part.WhichOneof("kind"):
        case "text":
            return Text(part.text.text, extra)
        case "reasoning":
            value = part.reasoning
            return Reasoning(
                value.text,
                value.signature if value.HasField("signature") else None,
                value.redacted_data if value.HasField("redacted_data") else None,
                extra,
            )
        case "tool_call":
            call = part.tool_call
            return ToolCall(call.id, call.name, call.arguments, call.type, extra)
        case "tool_result":
            return _result_from_proto(part.tool_result, extra)
        case "image":
            return Image(_media_from_proto(part.image), part.image.detail, extra)
        case "file":
            return File(_media_from_proto(part.file), part.file.filename, extra)
        case "refusal":
            return Refusal(part.refusal.text, extra)
        case "unknown":
            return Unknown(part.unknown.type, part.unknown.json, extra)
        case _:
            raise CodecError("a part has no kind that is known")


def part_to_proto(part: Part) -> pb.Part:
    """Return `part` as protobuf."""
    result = pb.Part(extra_json=part.extra_json)
    match part:
        case Text(text=text):
            result.text.text = text
            result.text.SetInParent()
        case Reasoning(text=text, signature=signature, redacted_data=redacted):
            result.reasoning.CopyFrom(pb.ReasoningPart(text=text, signature=signature, redacted_data=redacted))
        case ToolCall(id=id_, name=name, arguments=arguments, type=type_):
            result.tool_call.CopyFrom(pb.ToolCallPart(id=id_, name=name, arguments=arguments, type=type_))
        case ToolResult():
            result.tool_result.CopyFrom(_result_to_proto(part))
        case Image(source=source, detail=detail):
            result.image.CopyFrom(pb.ImagePart(media_type=source.media_type, detail=detail))
            _set_source(result.image, source)
        case File(source=source, filename=filename):
            result.file.CopyFrom(pb.FilePart(media_type=source.media_type, filename=filename))
            _set_source(result.file, source)
        case Refusal(text=text):
            result.refusal.CopyFrom(pb.RefusalPart(text=text))
        case Unknown(type=type_, json=text):
            result.unknown.CopyFrom(pb.UnknownPart(type=type_, json=text))
    return result


def _result_from_proto(result: pb.ToolResultPart, extra: str) -> ToolResult:
    form = FORM_OF_NUMBER.get(result.content_form)
    if form is None:
        raise CodecError(f"content_form: {result.content_form} is not known")
    return ToolResult(
        result.tool_call_id,
        result.text if result.HasField("text") else None,
        tuple(map(part_from_proto, result.parts)),
        result.is_error if result.HasField("is_error") else None,
        form,
        result.name,
        result.type,
        extra,
    )


def _result_to_proto(result: ToolResult) -> pb.ToolResultPart:
    return pb.ToolResultPart(
        tool_call_id=result.tool_call_id,
        text=result.text,
        parts=map(part_to_proto, result.parts),
        is_error=result.is_error,
        content_form=NUMBER_OF_FORM[result.form],
        name=result.name,
        type=result.type,
    )


def _media_from_proto(part: pb.ImagePart | pb.FilePart) -> Media:
    match part.WhichOneof("source"):
        case "url":
            return Media(url=part.url, media_type=part.media_type)
        case "data":
            return Media(data=part.data, media_type=part.media_type)
        case "file_id":
            return Media(file_id=part.file_id, media_type=part.media_type)
        case _:
            raise CodecError("an image or file has no source")


def _set_source(part: pb.ImagePart | pb.FilePart, source: Media) -> None:
    if source.url is not None:
        part.url = source.url
    elif source.data is not None:
        part.data = source.data
    elif source.file_id is not None:
        part.file_id = source.file_id


def metadata_to_json(metadata: struct_pb2.Struct) -> str:
    """Return `metadata` as JSON text with sorted keys. Raise CodecError for NaN and infinity, which JSON lacks."""
    return json.dumps(_plain(metadata.fields.items()), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def metadata_from_json(text: str) -> struct_pb2.Struct:
    """Return the JSON object `text` as a Struct, whose numbers are doubles."""
    result = struct_pb2.Struct()
    try:
        result.update(json.loads(text, parse_int=_double, parse_float=_double, parse_constant=_double))
    except (ValueError, AttributeError) as error:
        raise CodecError(f"metadata cannot be held: {error}") from error
    return result


def _plain(fields: Iterable[tuple[str, struct_pb2.Value]]) -> dict[str, object]:
    return {key: _plain_value(value) for key, value in fields}


def _plain_value(value: struct_pb2.Value) -> object:
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            return _plain_number(value.number_value)
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return _plain(value.struct_value.fields.items())
        case "list_value":
            return [_plain_value(item) for item in value.list_value.values]
        case _:
            return None


def _plain_number(number: float) -> int | float:
    if not math.isfinite(number):
        raise CodecError(f"metadata holds {number}")
    negative_zero = number == 0 and math.copysign(1, number) < 0
    return int(number) if number.is_integer() and abs(number) <= MAX_EXACT_INTEGER and not negative_zero else number


def _double(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise CodecError(f"{text} is not a finite double")
    return number
