"""When a context is compacted, and how far: what each layer says, and what holds of it.

Layers, from the lowest on: what is built in, the tenant's policy, the context's, the request. A layer that names a
preset says what the preset says, unless it says otherwise itself. Pure; nothing here reads or waits.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kata_grpc.domain.errors import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_SECONDS = 31_536_000
MAX_TOKENS = 10_000_000
MAX_GROUPS = 10_000


class Layer(StrEnum):
    """Whose word it is."""

    BUILT_IN = "built_in"
    TENANT = "tenant"
    CONTEXT = "context"
    REQUEST = "request"


class Rung(StrEnum):
    """A way to make room, in the order of what it costs the reader."""

    CLEAR_TOOL_RESULTS = "clear_tool_results"
    ELIDE_PARTS = "elide_parts"
    SUMMARISE = "summarise"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactionSettings:
    """What one layer says; None says nothing. Tokens are content tokens of the context's tokenizer."""

    preset: str | None = None
    enabled: bool | None = None
    budget_tokens: int | None = None
    """What the model takes; 0 where it is not known, and then nothing is due for its tokens."""
    threshold: float | None = None
    """The share of `budget_tokens` at which compaction is due."""
    low_water: float | None = None
    """The share of `budget_tokens` that is got down to."""
    preserve_recent: int | None = None
    """How many of the newest groups stay."""
    min_gain_tokens: int | None = None
    cooldown_seconds: float | None = None
    """How long after a compaction there is no other one."""
    debounce_seconds: float | None = None
    """How long nothing must have changed."""
    trigger_messages: int | None = None
    trigger_groups: int | None = None
    """How many a view must have to be due; 0 for no matter."""
    trigger_interval_seconds: float | None = None
    all_triggers: bool | None = None
    """Whether all triggers that are set must hold, not one of them."""
    rungs: tuple[Rung, ...] | None = None
    keep_results: int | None = None
    """How many of the newest tool results are never cleared."""
    max_part_tokens: int | None = None
    """How long a text may be that is not elided."""
    summary_tokens: int | None = None
    """What a summary may take; 0 for a fifth of what it stands for."""


NAMES = tuple(one.name for one in fields(CompactionSettings) if one.name != "preset")
BUILT_IN = CompactionSettings(
    enabled=False,
    budget_tokens=0,
    threshold=0.8,
    low_water=0.5,
    preserve_recent=10,
    min_gain_tokens=1_000,
    cooldown_seconds=60.0,
    debounce_seconds=2.0,
    trigger_messages=0,
    trigger_groups=0,
    trigger_interval_seconds=0.0,
    all_triggers=False,
    rungs=(Rung.CLEAR_TOOL_RESULTS, Rung.ELIDE_PARTS, Rung.SUMMARISE),
    keep_results=5,
    max_part_tokens=2_000,
    summary_tokens=0,
)


@dataclass(frozen=True, slots=True)
class Preset:
    """Settings under a name, and what they are for."""

    purpose: str
    settings: CompactionSettings


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "chat": Preset(
            "Talks with people: the last turns word for word, what was before as a short summary.",
            CompactionSettings(enabled=True, preserve_recent=12, low_water=0.5, rungs=(Rung.SUMMARISE,)),
        ),
        "coding_agent": Preset(
            "Agents that work with tools: old results go first, then long texts, then the rest behind a summary.",
            CompactionSettings(enabled=True, preserve_recent=10, low_water=0.4, keep_results=8, max_part_tokens=4_000),
        ),
        "long_research": Preset(
            "Long collecting of sources: much is kept for long, and the summary may be large.",
            CompactionSettings(
                enabled=True,
                threshold=0.9,
                low_water=0.6,
                preserve_recent=20,
                keep_results=20,
                max_part_tokens=8_000,
                summary_tokens=8_000,
            ),
        ),
        "audit": Preset(
            "What must be retold exactly: nothing is cut or cleared, and a summary comes late.",
            CompactionSettings(
                enabled=True, threshold=0.95, low_water=0.8, preserve_recent=50, rungs=(Rung.SUMMARISE,)
            ),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class CompactionPolicy:
    """What holds. Fields are as in `CompactionSettings`; `layers` says whose word each of them is."""

    enabled: bool
    budget_tokens: int
    threshold: float
    low_water: float
    preserve_recent: int
    min_gain_tokens: int
    cooldown_seconds: float
    debounce_seconds: float
    trigger_messages: int
    trigger_groups: int
    trigger_interval_seconds: float
    all_triggers: bool
    rungs: tuple[Rung, ...]
    keep_results: int
    max_part_tokens: int
    summary_tokens: int
    layers: Mapping[str, Layer]

    @property
    def due_tokens(self) -> int:
        """What a view costs when it is due; 0 where that is no matter."""
        return int(self.budget_tokens * self.threshold)

    @property
    def target_tokens(self) -> int | None:
        """What a view is got down to; None where the budget is not known."""
        return int(self.budget_tokens * self.low_water) if self.budget_tokens else None


def resolve(
    tenant: CompactionSettings | None = None,
    context: CompactionSettings | None = None,
    request: CompactionSettings | None = None,
) -> CompactionPolicy:
    """Return what holds of all layers."""
    values: dict[str, Any] = {}
    layers: dict[str, Layer] = {}
    for layer, said in (
        (Layer.BUILT_IN, BUILT_IN),
        (Layer.TENANT, tenant),
        (Layer.CONTEXT, context),
        (Layer.REQUEST, request),
    ):
        preset = PRESETS.get(said.preset or "") if said else None
        for settings in (preset and preset.settings, said):
            for name in NAMES if settings is not None else ():
                if (value := getattr(settings, name)) is not None:
                    values[name], layers[name] = value, layer
    return CompactionPolicy(**values, layers=layers)


def problems(field: str, said: CompactionSettings) -> Iterator[Violation]:
    """Yield every rule that a layer breaks by itself or over what is built in."""
    if said.preset is not None and said.preset not in PRESETS:
        yield Violation(f"{field}.preset", f"is none of {', '.join(PRESETS)}", "UNKNOWN_VALUE")
    for name, least, most in (
        ("budget_tokens", 0, MAX_TOKENS),
        ("preserve_recent", 1, MAX_GROUPS),
        ("min_gain_tokens", 0, MAX_TOKENS),
        ("cooldown_seconds", 0, MAX_SECONDS),
        ("debounce_seconds", 0, MAX_SECONDS),
        ("trigger_messages", 0, MAX_TOKENS),
        ("trigger_groups", 0, MAX_TOKENS),
        ("trigger_interval_seconds", 0, MAX_SECONDS),
        ("keep_results", 0, MAX_GROUPS),
        ("summary_tokens", 0, 100_000),
        ("threshold", 0.1, 1.0),
        ("low_water", 0.05, 0.95),
    ):
        value = getattr(said, name)
        if value is not None and not least <= value <= most:
            shown = name.removesuffix("_seconds")
            yield Violation(f"{field}.{shown}", f"is {value:g}, not {least:g} to {most:g}", "OUT_OF_BOUNDS")
    if said.max_part_tokens is not None and said.max_part_tokens and not 100 <= said.max_part_tokens <= MAX_TOKENS:
        yield Violation(f"{field}.max_part_tokens", f"is {said.max_part_tokens}, less than 100", "TOO_SMALL")
    if said.rungs is not None and len(set(said.rungs)) < len(said.rungs):
        yield Violation(f"{field}.rungs", "names a rung twice", "REPEATED")
    held = resolve(context=said)
    if held.low_water >= held.threshold:
        description = f"is {held.low_water:g}, not below threshold ({held.threshold:g})"
        yield Violation(f"{field}.low_water", description, "OUT_OF_BOUNDS")


@dataclass(frozen=True, slots=True)
class Measure:
    """What a view has: content tokens, messages and groups that nothing hides, and how long nothing was compacted."""

    tokens: int
    messages: int
    groups: int
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger that is set, and how much is missing until it holds; 0 or less where it does."""

    name: str
    missing: float


def triggers(policy: CompactionPolicy, measure: Measure) -> list[Trigger]:
    """Return the triggers that are set."""
    found = (
        (policy.due_tokens, Trigger("tokens", policy.due_tokens - measure.tokens)),
        (policy.trigger_messages, Trigger("messages", policy.trigger_messages - measure.messages)),
        (policy.trigger_groups, Trigger("groups", policy.trigger_groups - measure.groups)),
        (policy.trigger_interval_seconds, Trigger("interval", policy.trigger_interval_seconds - measure.seconds)),
    )
    return [trigger for is_set, trigger in found if is_set]


def is_due(policy: CompactionPolicy, measure: Measure) -> bool:
    """Whether the policy wants a compaction now."""
    hold = [trigger.missing <= 0 for trigger in triggers(policy, measure)]
    return policy.enabled and bool(hold) and (all(hold) if policy.all_triggers else any(hold))


@dataclass(frozen=True, slots=True)
class Alarm:
    """How much more of what makes a context worth looking at again; None where no more of it does."""

    tokens: int | None = None
    messages: int | None = None
    seconds: float | None = None


def alarm(policy: CompactionPolicy, measure: Measure) -> Alarm:
    """Return when to look at a context again: at once where it is due.

    Each group that is missing is one message at least. Where all triggers must hold, those that do call nobody as long
    as another does not.
    """
    if not policy.enabled:
        return Alarm()
    missing = {trigger.name: trigger.missing for trigger in triggers(policy, measure)}
    waits = {name: more for name, more in missing.items() if more > 0}
    if not waits or not policy.all_triggers:
        waits = {name: max(more, 0) for name, more in missing.items()}
    counts = [int(waits[name]) for name in ("messages", "groups") if name in waits]
    return Alarm(
        tokens=int(waits["tokens"]) if "tokens" in waits else None,
        messages=min(counts, default=None),
        seconds=waits.get("interval"),
    )
