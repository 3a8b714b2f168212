"""The options of windows and their protobuf form: in a request, and in the policy that is stored with a context."""

from __future__ import annotations

from kata.context.v1 import policy_pb2, window_pb2

from kata_grpc.domain.windows import Clearing, Steps, WindowOptions


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


def encode_policy(policy: policy_pb2.Policy) -> bytes:
    """Return the canonical bytes of a policy, which are stored. Takes it over: clears unknown fields."""
    policy.DiscardUnknownFields()
    return policy.SerializeToString(deterministic=True)
