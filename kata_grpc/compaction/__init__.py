"""Compaction as pure functions: artifacts of messages, and a summary of them that needs no model.

Nothing here reads or waits, and equal messages give equal bytes. What is extracted is data: it is quoted, labelled with
the versions it comes from, and never taken for an instruction.
"""

from kata_grpc.compaction.artifacts import (
    Artifact,
    ArtifactKind,
    Numbered,
    Outcome,
    ToolRun,
    extract,
    failure,
    mentions,
)
from kata_grpc.compaction.state import State
from kata_grpc.compaction.summarising import Summary, adopt, summarise

__all__ = [
    "Artifact",
    "ArtifactKind",
    "Numbered",
    "Outcome",
    "State",
    "Summary",
    "ToolRun",
    "adopt",
    "extract",
    "failure",
    "mentions",
    "summarise",
]
