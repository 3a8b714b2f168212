"""The artifacts of a log that is looked at page by page, so that those of all pages are those of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kata_grpc.compaction.artifacts import Artifact, ArtifactKind, Runs, mentions

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from kata_grpc.compaction.artifacts import Numbered, ToolRun


class Look(NamedTuple):
    """What messages hold: artifacts by first mention, each with its versions; calls they answer; calls that wait."""

    found: list[Artifact]
    answered: list[ToolRun]
    runs: Runs


def look(messages: Iterable[Numbered], *, kinds: Collection[ArtifactKind], runs: Runs) -> Look:
    """Look at messages behind those that `runs` was fed with.

    An artifact is one of its kind here: what a text is elsewhere does not change what it is on this page.
    """
    versions: dict[tuple[ArtifactKind, str], list[int]] = {}
    answered: list[ToolRun] = []
    in_texts = set(kinds) - {ArtifactKind.TOOL_CALL}
    for numbered in messages:
        for text, kind in mentions(numbered.message).found.items() if in_texts else ():
            if kind in in_texts:
                versions.setdefault((kind, text), []).append(numbered.version)
        answered += runs.feed(numbered)
    found = [Artifact(kind, text, tuple(held)) for (kind, text), held in versions.items()]
    return Look(found, answered, runs)
