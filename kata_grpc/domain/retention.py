"""How long contexts are kept: rules, how they are written, and what they say about one context."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from kata_grpc.limits import MAX_RETENTION_YEARS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

OTHERS = "*"
"""Stands for all tenants that have no rules of their own."""

_DURATION = re.compile(r"([1-9][0-9]{0,5})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST = timedelta(days=365 * MAX_RETENTION_YEARS)


class Reason(StrEnum):
    """Why a context goes: the first three delete it, the last one purges it."""

    AGE = "age"
    IDLE = "idle"
    COUNT = "count"
    PURGE = "purge"


@dataclass(frozen=True, slots=True)
class Rules:
    """When contexts of a tenant, or one context, go; None is never."""

    max_idle: timedelta | None = None
    """Since the last change."""
    max_age: timedelta | None = None
    """Since the creation."""
    max_contexts: int | None = None
    """The newest live ones of a tenant that stay."""
    purge_after: timedelta | None = None
    """Since the deletion."""
    keep: bool = False
    """Nothing is deleted or purged, whatever else is said."""

    def over(self, others: Rules) -> Rules:
        """Return these rules, and of the others what these do not say."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        rest = {name: getattr(others, name) for name, value in own.items() if value is None}
        return Rules(**own | rest | {"keep": self.keep or others.keep})

    def due(
        self, create_time: datetime, update_time: datetime, delete_time: datetime | None, now: datetime, newer: int
    ) -> Reason | None:
        """Return why a context goes now, if it does; `newer` counts the live ones that were created after it."""
        if self.keep:
            return None
        if delete_time is not None:
            return Reason.PURGE if _is_over(self.purge_after, delete_time, now) else None
        if _is_over(self.max_age, create_time, now):
            return Reason.AGE
        if _is_over(self.max_idle, update_time, now):
            return Reason.IDLE
        return Reason.COUNT if self.max_contexts is not None and newer >= self.max_contexts else None


@dataclass(frozen=True, slots=True)
class TenantRules:
    """The rules of all tenants, as they are written and as they are read."""

    text: str
    by_tenant: Mapping[str, Rules]

    def __str__(self) -> str:
        """Return how they are written."""
        return self.text

    def of(self, tenant: str) -> Rules:
        """Return the rules of one tenant."""
        return self.by_tenant.get(tenant) or self.by_tenant.get(OTHERS) or Rules()


def parse(text: str) -> TenantRules:
    """Read rules such as `*: idle=90d purge=30d; archive: keep`. ValueError says what is wrong."""
    by_tenant: dict[str, Rules] = {}
    for line in filter(None, map(str.strip, text.split(";"))):
        tenant, colon, rules = line.partition(":")
        tenant = tenant.strip()
        if not colon or not tenant:
            raise ValueError(f'must name a tenant, or * for all others, and a colon before "{line}"')
        if tenant in by_tenant:
            raise ValueError(f"must name tenant {tenant} once")
        by_tenant[tenant] = _rules(rules.split())
    return TenantRules(text, by_tenant)


def _rules(words: list[str]) -> Rules:
    if words == ["keep"]:
        return Rules(keep=True)
    values: dict[str, str] = {}
    for word in words:
        name, _, value = word.partition("=")
        if name not in ("idle", "age", "count", "purge") or name in values:
            raise ValueError(f'must say keep, or idle=, age=, count= and purge=, each at most once, and not "{word}"')
        values[name] = value
    return Rules(
        max_idle=_duration(values.get("idle")),
        max_age=_duration(values.get("age")),
        max_contexts=_count(values.get("count")),
        purge_after=_duration(values.get("purge")),
    )


def _count(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isdecimal() and 1 <= int(text) <= 1_000_000_000):
        raise ValueError(f'must count contexts from 1 on, and not "{text}"')
    return int(text)


def _duration(text: str | None) -> timedelta | None:
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    if match is None or (duration := timedelta(**{_UNITS[match[2]]: int(match[1])})) > LONGEST:
        raise ValueError(f'must have times such as 90d (s, m, h, d or w; at most 100 years), and not "{text}"')
    return duration


def _is_over(limit: timedelta | None, since: datetime, now: datetime) -> bool:
    return limit is not None and now - since >= limit
