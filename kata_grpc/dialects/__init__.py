"""Provider dialects: a window rendered as a provider's API takes it, and a validator that knows nothing of how.

Pure: no I/O, no clock, no randomness.
"""

from kata_grpc.dialects.arranging import Adjustment, Arranged, Exchange, Turn, Unanswered, What, WindowMessage, arrange
from kata_grpc.dialects.checking import Problem, check
from kata_grpc.dialects.rendering import Rendered, render
from kata_grpc.dialects.rules import RULES, Rules
from kata_grpc.dialects.surcharge import surcharge

__all__ = [
    "RULES",
    "Adjustment",
    "Arranged",
    "Exchange",
    "Problem",
    "Rendered",
    "Rules",
    "Turn",
    "Unanswered",
    "What",
    "WindowMessage",
    "arrange",
    "check",
    "render",
    "surcharge",
]
