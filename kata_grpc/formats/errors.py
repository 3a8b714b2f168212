"""What goes wrong with a provider's format, typed. Says where and why; does not decide what happens next."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that cannot be taken over: the path of the field, and why."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


class FormatError(ValueError):
    """Input that is refused; `where` is "file:line" when it came from a file."""

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(f"{where}: {reason}" if where else reason)
        self.reason = reason
        self.where = where

    def at(self, where: str) -> FormatError:
        """Return the same error with its place."""
        return type(self)(self.reason, where)


class ReadError(FormatError):
    """Bytes that are not a line of JSON: truncated, too long, not UTF-8 or not JSON."""


class ConversionError(FormatError):
    """A conversation that would lose something, with every path at which it would."""

    def __init__(self, violations: tuple[Violation, ...], where: str = "") -> None:
        super().__init__("; ".join(map(str, violations)), where)
        self.violations = violations

    def at(self, where: str) -> ConversionError:
        """Return the same error with its place."""
        return ConversionError(self.violations, where)
