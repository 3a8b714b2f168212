"""Summarisers: what makes the text that stands for hidden messages, behind one interface.

They know messages and nothing of databases or calls. What a summariser answers is looked at by `check` before it hides
anything.
"""

from kata_grpc.summarisers.acceptance import Rejection, check, most_tokens
from kata_grpc.summarisers.interface import Summariser, SummariserFailed, Summary, SummaryRequest

__all__ = [
    "Rejection",
    "Summariser",
    "SummariserFailed",
    "Summary",
    "SummaryRequest",
    "check",
    "most_tokens",
]
