"""How long contexts are kept: how rules are written, and what they say about one context."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from kata_grpc.config import ConfigurationError, Settings
from kata_grpc.domain.retention import Reason, Rules, parse

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_rules_are_read_by_tenant() -> None:
    rules = parse(" acme : idle=90d  age=52w count=1000 purge=12h ;*: idle=30m;archive:keep; free: ;")
    assert rules.of("acme") == Rules(90 * DAY, 364 * DAY, 1_000, DAY / 2)
    assert rules.of("anybody") == Rules(max_idle=timedelta(minutes=30))
    assert rules.of("archive") == Rules(keep=True)
    assert rules.of("free") == Rules(), "no rules of the others"
    assert parse("acme: age=5s").of("anybody") == Rules(), "no others"
    assert parse(str(rules)) == rules


@pytest.mark.parametrize(
    "text",
    [
        "idle=90d",
        ": idle=90d",
        "a: idle=90d; a: age=1d",
        "a: idle=90",
        "a: idle=0d",
        "a: idle=-1d",
        "a: idle=1y",
        "a: idle=101y",
        "a: idle=36501d",
        "a: idle=999999999w",
        "a: idle=1d idle=2d",
        "a: count=0",
        "a: count=many",
        "a: count=1000000001",
        "a: hold=1d",
        "a: idle",
        "a: keep idle=1d",
        "a: keep=1d",
    ],
)
def test_what_is_no_rule_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env({"KATA_RETENTION": text})
    (problem,) = caught.value.problems
    assert problem.startswith("KATA_RETENTION must ")
    assert problem.endswith(".")


def due(rules: Rules, created: int, changed: int, deleted: int | None = None, newer: int = 0) -> Reason | None:
    """Decides on a context by how many days ago what was."""
    times = (NOW - created * DAY, NOW - changed * DAY, None if deleted is None else NOW - deleted * DAY)
    return rules.due(*times, NOW, newer)


def test_what_is_due() -> None:
    rules = Rules(max_idle=10 * DAY, max_age=30 * DAY, max_contexts=2, purge_after=5 * DAY)
    assert due(rules, 9, 9) is None
    assert due(rules, 10, 9) is None
    assert due(rules, 10, 10) is Reason.IDLE
    assert due(rules, 30, 0) is Reason.AGE
    assert due(rules, 1, 1, newer=1) is None
    assert due(rules, 1, 1, newer=2) is Reason.COUNT
    assert due(rules, 99, 99, deleted=4, newer=9) is None, "it is deleted already"
    assert due(rules, 99, 99, deleted=5) is Reason.PURGE
    assert due(Rules(), 999, 999, newer=999) is None
    assert due(Rules(), 999, 999, deleted=999) is None
    assert due(Rules(DAY, DAY, 1, DAY, keep=True), 999, 999, deleted=999) is None


def test_a_context_s_own_rules_go_before_its_tenant_s() -> None:
    tenant = Rules(max_idle=10 * DAY, max_contexts=2, purge_after=5 * DAY)
    assert Rules().over(tenant) == tenant
    assert Rules(max_idle=DAY, max_age=DAY).over(tenant) == Rules(DAY, DAY, 2, 5 * DAY)
    assert Rules(keep=True).over(tenant).keep
    assert Rules(max_idle=DAY).over(Rules(keep=True)).keep, "what a tenant keeps is kept"
