"""Validators of what a provider's API takes, written from the providers' documentation.

They see the JSON only, and share no rule, constant or code with the renderers. A window's last turn may wait for
results, and it may end with the assistant: what is checked is a conversation that its caller is about to continue.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kata_grpc.dialects.checking.anthropic import check_anthropic
from kata_grpc.dialects.checking.findings import Findings, Problem
from kata_grpc.dialects.checking.gemini import check_gemini
from kata_grpc.dialects.checking.openai_chat import check_openai_chat
from kata_grpc.dialects.checking.openai_responses import check_openai_responses
from kata_grpc.domain.windows import Dialect

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["Problem", "check"]

_CHECKS: Mapping[Dialect, Callable[[Any, Findings], None]] = {
    Dialect.OPENAI_CHAT: check_openai_chat,
    Dialect.OPENAI_RESPONSES: check_openai_responses,
    Dialect.ANTHROPIC: check_anthropic,
    Dialect.GEMINI: check_gemini,
}


def check(dialect: Dialect, json_text: str) -> list[Problem]:
    """Return every rule of the dialect that a request's conversation breaks; none if it may be sent."""
    findings = Findings()
    try:
        value = json.loads(json_text, parse_constant=_refuse, object_pairs_hook=_members)
        json_text.encode()
    except (ValueError, RecursionError) as error:
        return [Problem("", f"must be JSON: {error}")]
    _CHECKS[dialect](value, findings)
    return findings.problems


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("an object repeats a key")
    return members
