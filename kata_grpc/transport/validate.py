"""What a request must be: every rule it breaks is found and named, before anything else happens."""

from __future__ import annotations

import gc
import math
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
from kata.context.v1 import message_pb2 as pb

from kata_grpc import limits
from kata_grpc.domain.compactions import MARK
from kata_grpc.domain.errors import InvalidRequest, Violation
from kata_grpc.domain.messages import LEGACY_CALL
from kata_grpc.domain.retention import LONGEST

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from google.protobuf.struct_pb2 import Struct, Value
    from google.protobuf.timestamp_pb2 import Timestamp
    from kata.context.v1 import policy_pb2, window_pb2

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*\Z")
_CALL_TYPES = ("", "function", "custom", LEGACY_CALL)
_RESULT_TYPES = ("", "function", LEGACY_CALL)
_RESULT_PARTS = ("text", "image", "file", "refusal", "unknown")
_EXPLICIT_FORMS = (pb.CONTENT_FORM_ABSENT, pb.CONTENT_FORM_NULL, pb.CONTENT_FORM_ARRAY)
_SPOKEN_TO_THE_MODEL = frozenset({pb.ROLE_USER, pb.ROLE_SYSTEM, pb.ROLE_DEVELOPER})
_NO_ID = UUID(int=0)
_uuid = lru_cache(maxsize=4_096)(UUID)  # contexts are named again and again
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECOND = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
_LAST_SECOND = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
_FIELD_CHARS = 200
"""How much of a field's path is named: keys of the caller's data may be part of it."""


class Checker:
    """Collects the violations of one request."""

    def __init__(self) -> None:
        self.violations: list[Violation] = []

    def add(self, field: str, description: str, reason: str = "INVALID") -> None:
        """Note a violation."""
        self.violations.append(Violation(field[:_FIELD_CHARS], description, reason))

    def done(self) -> None:
        """Raise InvalidRequest if there was any."""
        if self.violations:
            raise InvalidRequest(self.violations)

    def context_id(self, value: str, field: str = "context_id") -> UUID:
        """Read an id; all zeros when it is none."""
        if not value:
            self.add(field, "is required", "REQUIRED")
        elif not _UUID.match(value):
            self.add(field, "is not a UUID in lower case", "MALFORMED_ID")
        else:
            return _uuid(value)
        return _NO_ID

    def text(self, field: str, value: str, most: int) -> str:
        """Check a short text that is stored in a column of its own."""
        if len(value) > most:
            self.add(field, f"has {len(value)} characters, more than {most}", "TOO_LONG")
        if "\x00" in value:
            self.add(field, "holds U+0000", "NUL_CHARACTER")
        return value

    def request_id(self, value: str, most: int = limits.MAX_REQUEST_ID_CHARS, field: str = "request_id") -> str | None:
        """Read an optional request_id."""
        return self.text(field, value, most) or None

    def tokenizer(self, value: str) -> str:
        """Check the name of a tokenizer."""
        if value and (len(value) > limits.MAX_TOKENIZER_CHARS or not _NAME.match(value)):
            self.add(
                "tokenizer",
                f"must be 1 to {limits.MAX_TOKENIZER_CHARS} letters, digits and any of . _ : / @ + -",
                "MALFORMED_NAME",
            )
        return value

    def tag(self, field: str, value: str) -> str:
        """Check the name of a tag."""
        if not value:
            self.add(field, "is required", "REQUIRED")
        elif len(value) > limits.MAX_TAG_CHARS or not _NAME.match(value):
            self.add(
                field,
                f"must be 1 to {limits.MAX_TAG_CHARS} letters, digits and any of . _ : / @ + -",
                "MALFORMED_NAME",
            )
        return value

    def time(self, field: str, value: Timestamp) -> datetime:
        """Read a time, in whole microseconds like all that it is compared with; the epoch when it is none."""
        if not (_FIRST_SECOND <= value.seconds <= _LAST_SECOND and 0 <= value.nanos < 1_000_000_000):
            self.add(field, "is not a time of the years 1 to 9999", "OUT_OF_BOUNDS")
            return _EPOCH
        return _EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1_000)

    def at_least(self, field: str, value: int, least: int) -> int:
        """Check a lower bound."""
        if value < least:
            self.add(field, f"is {value}, less than {least}", "TOO_SMALL")
        return value

    def page_size(self, value: int, default: int) -> int:
        """Read a page size: 0 is the default, too many is the maximum."""
        return min(self.at_least("page_size", value, 0) or default, limits.MAX_PAGE)

    def known(self, field: str, value: int, numbers: Collection[int]) -> int:
        """Check that an enum's number is one that this server knows."""
        if value not in numbers:
            self.add(field, f"has the unknown value {value}", "UNKNOWN_VALUE")
        return value

    def labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Check labels."""
        if len(labels) > limits.MAX_LABELS:
            self.add("labels", f"has {len(labels)} entries, more than {limits.MAX_LABELS}", "TOO_MANY")
        for key, value in labels.items():
            if not key:
                self.add("labels", "has an empty key", "REQUIRED")
            self.text(f"labels[{key[:80]!r}] key", key, limits.MAX_LABEL_KEY_CHARS)
            self.text(f"labels[{key[:80]!r}]", value, limits.MAX_LABEL_VALUE_CHARS)
        return dict(labels)

    def marks(self, field: str, labels: Sequence[str], most: int) -> None:
        """Check labels of messages."""
        if len(labels) > most:
            self.add(field, f"has {len(labels)} entries, more than {most}", "TOO_MANY")
        for index, label in enumerate(labels[:most]):
            if not label:
                self.add(f"{field}[{index}]", "is empty", "REQUIRED")
            self.text(f"{field}[{index}]", label, limits.MAX_LABEL_KEY_CHARS)

    def window_options(self, field: str, options: window_pb2.WindowOptions, room: int | None = None) -> None:
        """Check options of windows; `room` is what the reserve leaves of the budget, where there is one."""
        self.at_least(f"{field}.max_messages", options.max_messages, 0)
        if len(options.pinned_versions) > limits.MAX_PINNED_VERSIONS:
            count = len(options.pinned_versions)
            self.add(
                f"{field}.pinned_versions", f"has {count} entries, more than {limits.MAX_PINNED_VERSIONS}", "TOO_MANY"
            )
        for index, version in enumerate(options.pinned_versions[: limits.MAX_PINNED_VERSIONS]):
            self.at_least(f"{field}.pinned_versions[{index}]", version, 1)
        self.marks(f"{field}.pinned_labels", options.pinned_labels, limits.MAX_PINNED_LABELS)
        if options.max_part_tokens:
            self.at_least(f"{field}.max_part_tokens", options.max_part_tokens, limits.LEAST_PART_TOKENS)
        clearing, steps = options.clear_tool_results, options.start_steps
        self.at_least(f"{field}.clear_tool_results.keep_results", clearing.keep_results, 0)
        self.at_least(f"{field}.clear_tool_results.min_gain_tokens", clearing.min_gain_tokens, 0)
        if len(clearing.exclude_tools) > limits.MAX_EXCLUDED_TOOLS:
            count = len(clearing.exclude_tools)
            self.add(
                f"{field}.clear_tool_results.exclude_tools",
                f"has {count} entries, more than {limits.MAX_EXCLUDED_TOOLS}",
                "TOO_MANY",
            )
        self.at_least(f"{field}.start_steps.low_water_tokens", steps.low_water_tokens, 0)
        self.at_least(f"{field}.start_steps.min_gain_tokens", steps.min_gain_tokens, 0)
        if room is not None and not steps.off and steps.low_water_tokens >= max(room, 1):
            self.add(
                f"{field}.start_steps.low_water_tokens",
                f"is {steps.low_water_tokens}, not less than the {room} that the reserve leaves of the budget",
                "OUT_OF_BOUNDS",
            )

    def retention(self, field: str, retention: policy_pb2.Retention) -> None:
        """Check how long a context is kept."""
        for name in ("max_idle", "max_age", "purge_after"):
            if not retention.HasField(name):
                continue
            given = getattr(retention, name)
            if not (1 <= given.seconds <= LONGEST.total_seconds() and 0 <= given.nanos < 1_000_000_000):
                self.add(f"{field}.{name}", f"is not 1 second to {limits.MAX_RETENTION_YEARS} years", "OUT_OF_BOUNDS")

    def metadata(self, field: str, metadata: Struct) -> None:
        """Check free-form data."""
        if (size := metadata.ByteSize()) > limits.MAX_METADATA_BYTES:
            self.add(field, f"has {size} bytes, more than {limits.MAX_METADATA_BYTES}", "TOO_LARGE")
        else:
            for key, value in metadata.fields.items():
                self._value(f"{field}.{key}", value, 1)

    def _value(self, field: str, value: Value, depth: int) -> None:
        kind = value.WhichOneof("kind")
        if depth > limits.MAX_METADATA_DEPTH:
            self.add(field, f"is nested deeper than {limits.MAX_METADATA_DEPTH}", "TOO_DEEP")
        elif kind is None:
            self.add(field, "has no value; null is a value of its own", "REQUIRED")
        elif kind == "null_value" and value.null_value != 0:
            self.add(field, f"has the unknown null value {value.null_value}", "UNKNOWN_VALUE")
        elif kind == "number_value" and not math.isfinite(value.number_value):
            self.add(field, f"is {value.number_value}, which JSON cannot hold", "NOT_FINITE")
        elif kind == "struct_value":
            for key, inner in value.struct_value.fields.items():
                self._value(f"{field}.{key}", inner, depth + 1)
        elif kind == "list_value":
            for index, inner in enumerate(value.list_value.values):
                self._value(f"{field}[{index}]", inner, depth + 1)

    def json_text(self, field: str, text: str, most: int) -> str:
        """Check JSON text of a bounded size, where there is any."""
        if text and self._is_within(field, text, most):
            self._json(field, text, object, "JSON text")
        return text

    def json_object(self, field: str, text: str, most: int = limits.MAX_CALL_BYTES) -> None:
        """Check the text of a JSON object of a bounded size, where there is one."""
        if text and self._is_within(field, text, most):
            self._json(field, text, dict[str, msgspec.Raw], "the text of a JSON object")

    def _is_within(self, field: str, text: str, most: int) -> bool:
        if (size := len(text.encode())) > most:
            self.add(field, f"has {size} bytes, more than {most}", "TOO_LARGE")
        return size <= most

    def _json(self, field: str, text: str, shape: type, what: str) -> None:
        # What the garbage collector would finalize deep within nested JSON could fail for want of stack.
        collecting = gc.isenabled()
        gc.disable()
        try:
            msgspec.json.decode(text, type=shape)
            if shape is not object:
                msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            self.add(field, f"is not {what}: {error}", "MALFORMED_JSON")
        finally:
            if collecting:
                gc.enable()

    def batch(self, messages: Sequence[pb.Message], call_bytes: int) -> None:
        """Check how many messages a batch has, and the size of the call that brought it."""
        if not 1 <= len(messages) <= limits.MAX_APPEND_MESSAGES:
            self.add(
                "messages",
                f"has {len(messages)} messages, not 1 to {limits.MAX_APPEND_MESSAGES}",
                "TOO_MANY_MESSAGES" if messages else "REQUIRED",
            )
        if call_bytes > limits.MAX_CALL_BYTES:
            self.add("messages", f"the call has {call_bytes} bytes, more than {limits.MAX_CALL_BYTES}", "TOO_LARGE")

    def message(self, field: str, message: pb.Message) -> None:
        """Check one message."""
        if message.role not in _ROLES:
            missing = message.role == pb.ROLE_UNSPECIFIED
            what = "is required" if missing else f"has the unknown value {message.role}"
            self.add(f"{field}.role", what, "REQUIRED" if missing else "UNKNOWN_VALUE")
        if (size := message.ByteSize()) > limits.MAX_MESSAGE_BYTES:
            self.add(field, f"has {size} bytes, more than {limits.MAX_MESSAGE_BYTES}", "TOO_LARGE")
        if message.name and len(message.name) > limits.MAX_NAME_CHARS:
            self.add(f"{field}.name", f"has more than {limits.MAX_NAME_CHARS} characters", "TOO_LONG")
        if message.model and len(message.model) > limits.MAX_NAME_CHARS:
            self.add(f"{field}.model", f"has more than {limits.MAX_NAME_CHARS} characters", "TOO_LONG")
        if message.tokenizer and len(message.tokenizer) > limits.MAX_TOKENIZER_CHARS:
            self.add(f"{field}.tokenizer", f"has more than {limits.MAX_TOKENIZER_CHARS} characters", "TOO_LONG")
        if message.token_count < 0:
            self.add(f"{field}.token_count", f"is {message.token_count}, less than 0", "TOO_SMALL")
        if message.HasField("metadata"):
            self.metadata(f"{field}.metadata", message.metadata)
        if message.labels:
            self.marks(f"{field}.labels", message.labels, limits.MAX_MESSAGE_LABELS)
        if message.extra_json:
            self.json_object(f"{field}.extra_json", message.extra_json)
        if not message.HasField("text") or message.parts or message.content_form or message.role == pb.ROLE_TOOL:
            self._content(field, message)
        if message.HasField("derived") or message.role in _SPOKEN_TO_THE_MODEL:
            self._appended_by_somebody(field, message)

    def _appended_by_somebody(self, field: str, message: pb.Message) -> None:
        """Check that a message is not one that a window made."""
        description = f"begins with {MARK!r}, like the summary in a window"
        if message.HasField("derived"):
            self.add(f"{field}.derived", "is of a message that a window made", "DERIVED")
        elif message.text.startswith(MARK):
            self.add(f"{field}.text", description, "DERIVED")
        for index, part in enumerate(message.parts):
            if part.text.text.startswith(MARK):
                self.add(f"{field}.parts[{index}].text", description, "DERIVED")

    def _content(self, field: str, message: pb.Message) -> None:
        has_text, form = message.HasField("text"), message.content_form
        if form not in _FORMS:
            self.add(f"{field}.content_form", f"has the unknown value {form}", "UNKNOWN_VALUE")
        elif has_text and message.parts:
            self.add(f"{field}.text", "excludes parts; give the text as a part", "EXCLUSIVE")
        elif has_text and form:
            self.add(f"{field}.content_form", "goes with parts or with no content, not with text", "EXCLUSIVE")
        elif not has_text and not message.parts and form not in _EXPLICIT_FORMS:
            self.add(field, "has neither text nor parts, and no content_form that says so on purpose", "REQUIRED")
        if len(message.parts) > limits.MAX_PARTS:
            self.add(f"{field}.parts", f"has {len(message.parts)} parts, more than {limits.MAX_PARTS}", "TOO_MANY")
        answers = False
        for index, part in enumerate(message.parts[: limits.MAX_PARTS]):
            kind = self._part(f"{field}.parts[{index}]", part)
            answers = answers or kind == "tool_result"
            if kind == "tool_call" and message.role != pb.ROLE_ASSISTANT:
                self.add(f"{field}.parts[{index}].tool_call", "is for ROLE_ASSISTANT only", "WRONG_ROLE")
            if kind == "tool_result" and message.role not in (pb.ROLE_TOOL, pb.ROLE_USER):
                self.add(f"{field}.parts[{index}].tool_result", "is for ROLE_TOOL and ROLE_USER only", "WRONG_ROLE")
        if message.role == pb.ROLE_TOOL and not answers:
            description = "a tool's message answers a call: give a tool_result with its tool_call_id"
            self.add(f"{field}.parts", description, "REQUIRED")

    def _part(self, field: str, part: pb.Part) -> str | None:
        kind = part.WhichOneof("kind")
        self.json_object(f"{field}.extra_json", part.extra_json)
        match kind:
            case None:
                self.add(field, "has no kind that this server knows", "UNKNOWN_VALUE")
            case "tool_call":
                call = part.tool_call
                self._identified(f"{field}.tool_call", "id", call.id, call.name, call.type, _CALL_TYPES)
            case "tool_result":
                result = part.tool_result
                self._identified(
                    f"{field}.tool_result", "tool_call_id", result.tool_call_id, result.name, result.type, _RESULT_TYPES
                )
                self._result(f"{field}.tool_result", result)
            case "image" | "file":
                if getattr(part, kind).WhichOneof("source") is None:
                    self.add(f"{field}.{kind}", "has no url, data or file_id", "REQUIRED")
            case "unknown":
                self._json(f"{field}.unknown.json", part.unknown.json, object, "JSON text")
            case _:
                pass
        return kind

    def _identified(self, field: str, name: str, call_id: str, tool: str, kind: str, kinds: Sequence[str]) -> None:
        if kind not in kinds:
            self.add(f"{field}.type", f"is {kind[:80]!r}, not one of {', '.join(map(repr, kinds))}", "UNKNOWN_VALUE")
        elif kind == LEGACY_CALL and not tool:
            self.add(f"{field}.name", "is required where there is no id", "REQUIRED")
        elif kind != LEGACY_CALL and not call_id:
            self.add(f"{field}.{name}", "is required", "REQUIRED")
        # Ids and names of legacy calls are keys of a jsonb column, which cannot hold U+0000.
        self.text(f"{field}.{name}", call_id, limits.MAX_CALL_ID_CHARS)
        self.text(f"{field}.name", tool, limits.MAX_TOOL_NAME_CHARS)

    def _result(self, field: str, result: pb.ToolResultPart) -> None:
        has_text, form = result.HasField("text"), result.content_form
        if form not in _FORMS:
            self.add(f"{field}.content_form", f"has the unknown value {form}", "UNKNOWN_VALUE")
        if has_text and result.parts:
            self.add(f"{field}.text", "excludes parts; give the text as a part", "EXCLUSIVE")
        if len(result.parts) > limits.MAX_PARTS:
            self.add(f"{field}.parts", f"has {len(result.parts)} parts, more than {limits.MAX_PARTS}", "TOO_MANY")
        for index, part in enumerate(result.parts[: limits.MAX_PARTS]):
            kind = part.WhichOneof("kind")
            if kind is not None and kind not in _RESULT_PARTS:
                self.add(f"{field}.parts[{index}].{kind}", "cannot stand in a tool result", "WRONG_KIND")
            else:
                self._part(f"{field}.parts[{index}]", part)


_ROLES = frozenset(pb.Role.values()) - {pb.ROLE_UNSPECIFIED}
_FORMS = frozenset(pb.ContentForm.values())
