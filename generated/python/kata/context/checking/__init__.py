"""Validators of what a provider's API takes, written from the providers' documentation.

They see the JSON only, and share no rule, constant or code with the renderers. A window's last turn may wait for
results, and it may end with the assistant: what is checked is a conversation that its caller is about to continue.

The package needs the standard library alone: `make protos` carries it into the clients' stubs, where it is
`kata.context.checking`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kata.context.checking.anthropic import check_anthropic
from kata.context.checking.findings import Findings, Problem
from kata.context.checking.gemini import check_gemini
from kata.context.checking.openai_chat import check_openai_chat
from kata.context.checking.openai_responses import check_openai_responses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["DIALECTS", "Problem", "check"]

_CHECKS: Mapping[str, Callable[[Any, Findings], None]] = {
    "openai_chat": check_openai_chat,
    "openai_responses": check_openai_responses,
    "anthropic": check_anthropic,
    "gemini": check_gemini,
}
DIALECTS = tuple(_CHECKS)
"""The names of the dialects, in the order of their numbers on the wire, which begin with 1."""


def check(dialect: str | int, json_text: str) -> list[Problem]:
    """Return every rule of the dialect that a request's conversation breaks; none if it may be sent.

    The dialect is named as `openai_chat`, as `DIALECT_OPENAI_CHAT`, or by the number that a window's header has.
    Raises ValueError if there is no such dialect.
    """
    checker = _CHECKS[_name(dialect)]
    findings = Findings()
    try:
        value = json.loads(json_text, parse_constant=_refuse, object_pairs_hook=_members)
        json_text.encode()
    except (ValueError, RecursionError) as error:
        return [Problem("", f"must be JSON: {error}")]
    checker(value, findings)
    return findings.problems


def _name(dialect: str | int) -> str:
    if isinstance(dialect, int):
        if 0 < dialect <= len(DIALECTS):
            return DIALECTS[dialect - 1]
    elif (name := dialect.lower().removeprefix("dialect_")) in _CHECKS:
        return name
    raise ValueError(f"There is no dialect {dialect!r}: it must be one of {', '.join(DIALECTS)}.")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("an object repeats a key")
    return members
