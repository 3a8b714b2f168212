"""Ids and names that a provider accepts: legal characters and lengths, and no id twice where that is refused.

Deterministic, and forward only: what a call is renamed to depends on the calls before it, so that a window that grows
keeps the bytes of its beginning.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kata_grpc.dialects.rules import Legal, Rules

_DIGEST = 8


def legal_name(name: str, legal: Legal) -> str:
    """Return `name`, with an underscore for each character that is refused."""
    fixed = legal.illegal.sub("_", name) if legal.illegal else name
    if not fixed:
        fixed = "unnamed"
    if legal.start and not legal.start.match(fixed):
        fixed = f"_{fixed}"
    return _cut(fixed, name, legal)


def legal_id(text: str, legal: Legal) -> str:
    """Return `text`, or where it is refused another that no different text becomes."""
    fixed = legal.illegal.sub("_", text) if legal.illegal else text
    if fixed != text or not fixed:
        fixed = f"{fixed}_{_digest(text)}"
    return _cut(fixed, text, legal)


def _cut(fixed: str, original: str, legal: Legal) -> str:
    if legal.most is None or len(fixed) <= legal.most:
        return fixed
    return f"{fixed[: legal.most - _DIGEST - 1]}_{_digest(original)}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:_DIGEST]


class CallIds:
    """The ids that were given out so far."""

    def __init__(self, rules: Rules) -> None:
        self._legal = rules.call_id
        self._unique_in_all = rules.unique_ids
        self._used: set[str] = set()

    def begin_turn(self) -> None:
        """Forget the ids of earlier turns, where they may be used again."""
        if not self._unique_in_all:
            self._used.clear()

    def give(self, original: str, version: int, place: int) -> str:
        """Return the id of the call `original`, the `place`th of message `version`; "" stands for none."""
        wanted = legal_id(original or f"call_v{version}_{place}", self._legal)
        given, tries = wanted, 0
        while given in self._used:
            tries += 1
            suffix = f"_v{version}" if tries == 1 else f"_v{version}_{tries}"
            room = len(wanted) if self._legal.most is None else self._legal.most - len(suffix)
            given = wanted[:room] + suffix
        self._used.add(given)
        return given
