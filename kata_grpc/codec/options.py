"""The options of windows and their protobuf form: in a request, and in the policy that is stored with a context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from kata.context.v1 import policy_pb2, window_pb2

from kata_grpc.domain.retention import Rules
from kata_grpc.domain.windows import Clearing, Steps, WindowOptions

if TYPE_CHECKING:
    from datetime import timedelta


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
