"""Summarisers: what makes the text that stands for hidden messages, behind one interface.

They know messages and nothing of databases or calls. What a summariser answers is looked at by `check` before it hides
anything.
"""

from kata_grpc.summarisers.acceptance import Rejection, check, check_text, most_tokens
from kata_grpc.summarisers.aside import Aside
from kata_grpc.summarisers.builtin import Builtin
from kata_grpc.summarisers.interface import Summariser, SummariserFailed, Summary, SummaryRequest
from kata_grpc.summarisers.loading import SummariserSettings, SummariserUnavailable, load
from kata_grpc.summarisers.making import adopted, artifacts, complete

__all__ = [
    "Aside",
    "Builtin",
    "Rejection",
    "Summariser",
    "SummariserFailed",
    "SummariserSettings",
    "SummariserUnavailable",
    "Summary",
    "SummaryRequest",
    "adopted",
    "artifacts",
    "check",
    "check_text",
    "complete",
    "load",
    "most_tokens",
]
