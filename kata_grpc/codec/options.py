"""The options of windows and of compaction, and their protobuf form: in a request, and in the policy that is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from google.protobuf.duration_pb2 import Duration
from kata.context.v1 import policy_pb2, window_pb2

from kata_grpc.domain.policy import NAMES, CompactionSettings, Rung
from kata_grpc.domain.retention import Rules
from kata_grpc.domain.windows import Clearing, Steps, WindowOptions

if TYPE_CHECKING:
    from datetime import timedelta

    from kata_grpc.domain.policy import CompactionPolicy

RUNG_OF_NUMBER: dict[int, Rung] = {
    policy_pb2.COMPACTION_RUNG_CLEAR_TOOL_RESULTS: Rung.CLEAR_TOOL_RESULTS,
    policy_pb2.COMPACTION_RUNG_ELIDE_PARTS: Rung.ELIDE_PARTS,
    policy_pb2.COMPACTION_RUNG_SUMMARISE: Rung.SUMMARISE,
}
NUMBER_OF_RUNG = {
    RUNG_OF_NUMBER[number]: number
    for number in policy_pb2.CompactionRung.values()
    if number != policy_pb2.COMPACTION_RUNG_UNSPECIFIED
}
_SECONDS = "_seconds"


def options_from_proto(options: window_pb2.WindowOptions) -> WindowOptions:
    """Return what the options say; None where they say nothing."""
    clearing, steps = options.clear_tool_results, options.start_steps
    return WindowOptions(
        max_messages=options.max_messages if options.HasField("max_messages") else None,
        pinned_versions=tuple(sorted(set(options.pinned_versions))),
        pinned_labels=tuple(sorted(set(options.pinned_labels))),
        max_part_tokens=options.max_part_tokens if options.HasField("max_part_tokens") else None,
        clearing=Clearing(
            clearing.keep_results, tuple(sorted(set(clearing.exclude_tools))), clearing.min_gain_tokens, clearing.off
        )
        if options.HasField("clear_tool_results")
        else None,
        steps=Steps(steps.low_water_tokens, steps.min_gain_tokens, steps.off)
        if options.HasField("start_steps")
        else None,
    )


def decode_options(policy: bytes) -> WindowOptions:
    """Return the options of windows in a stored policy."""
    return options_from_proto(policy_pb2.Policy.FromString(policy).window)


def decode_rules(policy: bytes) -> Rules:
    """Return how long a stored policy says that its context is kept."""
    retention = policy_pb2.Policy.FromString(policy).retention

    def given(field: Literal["max_idle", "max_age", "purge_after"]) -> timedelta | None:
        return getattr(retention, field).ToTimedelta() if retention.HasField(field) else None

    return Rules(given("max_idle"), given("max_age"), None, given("purge_after"), retention.keep)


def encode_policy(policy: policy_pb2.Policy) -> bytes:
    """Return the canonical bytes of a policy, which are stored. Takes it over: clears unknown fields."""
    policy.DiscardUnknownFields()
    return policy.SerializeToString(deterministic=True)


def settings_from_proto(policy: policy_pb2.CompactionPolicy) -> CompactionSettings:
    """Return what a layer says of compaction. Its numbers of rungs are known."""
    said: dict[str, Any] = {"preset": policy.preset or None}
    set_fields = {descriptor.name for descriptor, _ in policy.ListFields()}
    for name in NAMES:
        field = name.removesuffix(_SECONDS)
        if name == "rungs":
            said[name] = tuple(RUNG_OF_NUMBER[number] for number in policy.rungs) or None
        elif field in set_fields:
            value = getattr(policy, field)
            said[name] = value.seconds + value.nanos / 1e9 if name.endswith(_SECONDS) else value
    return CompactionSettings(**said)


def decode_settings(policy: bytes) -> CompactionSettings:
    """Return what a stored policy says of compaction."""
    return settings_from_proto(policy_pb2.Policy.FromString(policy).compaction)


def compaction_policy_to_proto(policy: CompactionPolicy) -> policy_pb2.CompactionPolicy:
    """Return what holds of compaction, with every field set."""
    proto = policy_pb2.CompactionPolicy()
    proto.rungs.extend(NUMBER_OF_RUNG[rung] for rung in policy.rungs)
    for name in NAMES:
        value = getattr(policy, name)
        if name.endswith(_SECONDS):
            duration = Duration()
            duration.FromNanoseconds(round(value * 1e9))
            getattr(proto, name.removesuffix(_SECONDS)).CopyFrom(duration)
        elif name != "rungs":
            setattr(proto, name, value)
    return proto
