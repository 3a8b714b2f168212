"""A window's account for a person: where the budget went, what the count is worth, what is not in it, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata.context.v1 import message_pb2, window_pb2
from rich.text import Text

from kata_grpc.cli.listing import Column, enum_word, print_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kata.context.v1 import message_service_pb2 as pb
    from rich.console import Console

    Rows = Iterator[tuple[str, ...]]

_BAR = 60
_PARTS = (
    ("pinned", "magenta", "messages that are in whatever the budget"),
    ("tail", "green", "the newest other messages"),
    ("overhead", "yellow", "what the dialect puts around them"),
    ("tools", "cyan", "the tool schemas of the request"),
    ("reserve", "blue", "kept free on request"),
    ("unused", "bright_black", "not needed"),
)
"""The parts of a ledger: name, color, and what they are."""
_REASONS: dict[int, str] = {
    window_pb2.EXCLUSION_REASON_BUDGET: "older than what fits the budget",
    window_pb2.EXCLUSION_REASON_ORPHAN_RESULT: "a tool result whose call does not exist",
    window_pb2.EXCLUSION_REASON_UNANSWERED_CALL: "a tool call that was never fully answered",
    window_pb2.EXCLUSION_REASON_GROUP_OUT: "a tool result whose call is older than what fits",
    window_pb2.EXCLUSION_REASON_ILLEGAL_START: "cannot open a window in this dialect",
    window_pb2.EXCLUSION_REASON_MAX_MESSAGES: "older than as many messages as are allowed",
    window_pb2.EXCLUSION_REASON_LOW_WATER: "given up, so that the start then stays for long",
}
_ACCURACIES: dict[int, str] = {
    window_pb2.WINDOW_ACCURACY_EXACT: "exact: what the provider bills",
    window_pb2.WINDOW_ACCURACY_ESTIMATED: "estimated: some content was counted from above or by the caller",
    window_pb2.WINDOW_ACCURACY_UPPER_BOUND: "an upper bound: the content is exact, framing or tools from above",
}
_ELISIONS: dict[int, str] = {
    message_pb2.ELISION_KIND_ELIDED: "a long text, of which head and tail stay",
    message_pb2.ELISION_KIND_CLEARED: "a tool result from long ago",
}
_SHARES: tuple[Column, ...] = (("part", "left"), ("tokens", "right"), ("share", "right"))
_FACTS: tuple[Column, ...] = (("window", "left"),)
_LEFT_OUT: tuple[Column, ...] = (("versions", "left"), ("messages", "right"))
_SHORTENED: tuple[Column, ...] = (("version", "right"), ("part", "right"), ("characters", "right"), ("tokens", "right"))


def summary(header: window_pb2.WindowHeader) -> Text:
    """Say in one line what the window costs and holds."""
    dialect = enum_word(window_pb2.Dialect.DESCRIPTOR, header.dialect)
    return Text.assemble(
        (f"{header.window_tokens:,}", "bold"),
        f" of {header.token_budget:,} tokens ({header.tokenizer}, {dialect}), {header.message_count} messages",
        f", version {header.snapshot_version}, revision {header.snapshot_revision}",
    )


def bar(ledger: window_pb2.WindowLedger, budget: int) -> Text:
    """Draw the ledger: each part as long as its share of the budget, with its number behind."""
    drawn, legend = Text(), Text()
    for name, style, _ in _PARTS:
        if tokens := _tokens(ledger, name):
            drawn.append("█" * max(1, round(_BAR * tokens / budget)), style)
            legend.append(f" ■ {name} {tokens:,}", style)
    return Text.assemble(drawn, "\n", legend)


def why(run: window_pb2.ExcludedRange) -> str:
    """Say why messages are not in the window."""
    return _REASONS.get(run.reason) or enum_word(window_pb2.ExclusionReason.DESCRIPTOR, run.reason)


def within(run: window_pb2.ExcludedRange, window: pb.GetWindowResponse) -> int:
    """Count the messages of the run that are in the window all the same, whatever the budget."""
    return sum(run.first_version <= message.version <= run.last_version for message in window.messages)


def explain(window: pb.GetWindowResponse, console: Console) -> None:
    """Print everything that a window says about itself."""
    header, trailer = window.header, window.trailer
    console.print(summary(header), soft_wrap=True)
    console.print(bar(trailer.ledger, header.token_budget))
    for columns, text_column, rows in (
        (_SHARES, "what it is", _shares(trailer.ledger, header.token_budget)),
        (_FACTS, "", _facts(window)),
        (_LEFT_OUT, "left out because", _left_out(window)),
        (_SHORTENED, "shortened", _shortened(window)),
    ):
        if listed := list(rows):
            console.print()
            print_rows(console, columns, text_column, listed)


def _tokens(ledger: window_pb2.WindowLedger, part: str) -> int:
    tokens: int = getattr(ledger, f"{part}_tokens")
    return tokens


def _shares(ledger: window_pb2.WindowLedger, budget: int) -> Rows:
    for name, _, meaning in _PARTS:
        tokens = _tokens(ledger, name)
        yield name, f"{tokens:,}", f"{tokens / budget:.1%}", meaning


def _facts(window: pb.GetWindowResponse) -> Rows:
    header, trailer = window.header, window.trailer
    accuracy = enum_word(window_pb2.WindowAccuracy.DESCRIPTOR, header.accuracy)
    tail = f"; the tail starts at {header.tail_first_version}" if header.tail_first_version else ""
    ends = f", from version {header.first_version} to {header.last_version}" if header.message_count else ""
    yield "messages", f"{header.message_count}{ends}{tail}"
    yield "accuracy", _ACCURACIES.get(header.accuracy, accuracy)
    yield "epoch", f"{header.window_epoch}, the same as long as the beginning is the same"
    yield "snapshot", f"version {header.snapshot_version}, revision {header.snapshot_revision}"
    yield "view", enum_word(window_pb2.View.DESCRIPTOR, header.view)
    yield "policy", f"set by revision {header.policy_revision}" if header.policy_revision else "the built-in one"
    yield "engine", header.engine_version
    yield "waits for", ", ".join(trailer.pending_call_ids) or "no tool result"
    yield "SHA-256", trailer.content_sha256.hex()


def _left_out(window: pb.GetWindowResponse) -> Rows:
    for run in window.trailer.excluded:
        several = f" to {run.last_version}" if run.last_version > run.first_version else ""
        count = run.last_version - run.first_version + 1 - within(run, window)
        yield f"{run.first_version}{several}", f"{count:,}", why(run)


def _shortened(window: pb.GetWindowResponse) -> Rows:
    for message in window.messages:
        for elision in message.elisions:
            inner = f".{elision.inner_part}" if elision.HasField("inner_part") else ""
            what = _ELISIONS.get(elision.kind) or enum_word(message_pb2.ElisionKind.DESCRIPTOR, elision.kind)
            which = f"{elision.part}{inner}"
            yield str(message.version), which, f"{elision.characters:,}", f"{elision.tokens:,}", what
