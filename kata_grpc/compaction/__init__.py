"""Compaction as pure functions: artifacts of messages, and a summary of them that needs no model.

Nothing here reads or waits, and equal messages give equal bytes. What is extracted is data: it is quoted, labelled with
the versions it comes from, and never taken for an instruction.
"""

from kata_grpc.compaction.artifacts import (
    Artifact,
    ArtifactKind,
    Numbered,
    Outcome,
    Runs,
    ToolRun,
    call_artifact,
    extract,
)
from kata_grpc.compaction.collecting import collect
from kata_grpc.compaction.looking import Look, look
from kata_grpc.compaction.state import Note, Section, State
from kata_grpc.compaction.summarising import ArtifactSection, Summary, adopt, artifact_section, summarise

__all__ = [
    "Artifact",
    "ArtifactKind",
    "ArtifactSection",
    "Look",
    "Note",
    "Numbered",
    "Outcome",
    "Runs",
    "Section",
    "State",
    "Summary",
    "ToolRun",
    "adopt",
    "artifact_section",
    "call_artifact",
    "collect",
    "extract",
    "look",
    "summarise",
]
