"""How statements are planned: along indexes from a connection's first execution on, looking at few rows.

One context has half of all messages. That is where plans go wrong: made for the values of one call, and for a table in
which those values are common, they read all of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio

from kata_grpc.db import connect
from kata_grpc.db.query import load
from tests.rpc import build as b
from tests.rpc.serving import FreshDatabase, loop, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

LOG = 20_000
TENANT = "default"
QUERIES = {
    **load("kata_grpc.repositories", "sql/windows.sql"),
    **load("kata_grpc.repositories", "sql/messages.sql"),
    **load("kata_grpc.repositories", "sql/contexts.sql"),
    **load("kata_grpc.repositories", "sql/tags.sql"),
    **load("kata_grpc.repositories", "sql/watching.sql"),
    **load("kata_grpc.repositories", "sql/verifying.sql"),
    **load("kata_grpc.repositories", "sql/lineage.sql"),
    **load("kata_grpc.repositories", "sql/flattening.sql"),
    **load("kata_grpc.repositories", "sql/compactions.sql"),
    **load("kata_grpc.repositories", "sql/redactions.sql"),
    **load("kata_grpc.repositories", "sql/purging.sql"),
    **load("kata_grpc.repositories", "sql/retention.sql"),
    **load("kata_grpc.repositories", "sql/policies.sql"),
    **load("kata_grpc.repositories", "sql/due.sql"),
}
NEVER = "9999-12-31 00:00:00+00"
LAST_ID = UUID(int=2**128 - 1)
FINGERPRINT = bytes(32)
CONTEXT = object()
"""Stands for the context where it is not the first argument."""
ROOT: list[Any] = [[CONTEXT], [1], [2**62]]
"""A lineage of one segment."""


@dataclass(frozen=True)
class Use:
    """What a statement is called with after context and tenant, and how many rows it may look at."""

    args: list[Any]
    rows: int
    with_context: bool = True
    of_arrays: bool = False

    def of(self, context_id: UUID) -> Sequence[Any]:
        """Returns the arguments, with the context as the statement takes it."""
        if not self.with_context:
            return filled_in(self.args, context_id)
        first = ([context_id], [TENANT]) if self.of_arrays else (context_id, TENANT)
        return [*first, *filled_in(self.args, context_id)]


def filled_in(args: Sequence[Any], context_id: UUID) -> list[Any]:
    return [
        context_id if arg is CONTEXT else filled_in(arg, context_id) if isinstance(arg, list) else arg for arg in args
    ]


CONDITIONS: list[Any] = [["o200k_base"], [None], ["r"], [FINGERPRINT], [FINGERPRINT]]
ONE_BATCH: list[Any] = [
    *[*CONDITIONS, [None], [0], [1], 256, ["user"], ["counted"], b"\x01", b"\x01", "{5}", None],
    *["{5}", None, None, None, None, None, "{1}", FINGERPRINT, b"\x20\x01", "{2}", None],
]
ONE_MESSAGE: list[Any] = [*CONDITIONS, ["user"], "{5}", None, ["counted"], [FINGERPRINT], [b"\x20\x01"], [None]]
USES: dict[str, Use] = {
    # windows
    "look": Use([None, None, 8_000, 4, 8, 16, 512, 64, 4 << 20, *ROOT, CONTEXT, LOG], 1_500),
    "read_newest": Use([LOG - 511, LOG, 4 << 20], 1_100),
    "read_costs": Use([LOG - 511, LOG], 1_100),
    "get_running_state": Use([LOG // 2], 2),
    "find_start": Use([TENANT, *ROOT, LOG, LOG * 14, 8_000, 4, 8], 200, with_context=False),
    "list_group_members": Use([[0, 7], LOG - 1_000, LOG], 50),
    "find_tail_start": Use([LOG - 500, LOG, "{}", LOG], 20),
    "read_turn": Use([LOG], 20),
    "list_pinned_groups": Use([TENANT, *ROOT, [7, 9, LOG // 2], ["goal"]], 50, with_context=False),
    "read_records": Use([[7, 9, LOG // 2]], 10),
    "read_window_page": Use([LOG // 2, LOG // 2 + 512, LOG // 2, "{}", [], 1 << 20, b"\x0a"], 2_200),
    "read_window_digests": Use([LOG // 2, LOG // 2 + 8_192, LOG // 2, "{}", []], 9_000),
    "read_window_rows": Use([LOG // 2, LOG // 2 + 512, LOG // 2, "{}", [], 1 << 20], 1_100),
    "read_pinned_page": Use([0, LOG, 64, 1 << 20, [7, 9]], 320),
    "list_turns": Use([1, LOG, 16], 40),
    "read_overlays": Use(
        [TENANT, [CONTEXT], [2**62], [2**62], [1, LOG - 500], [10, LOG], True, True], 10, with_context=False
    ),
    "get_policy_at": Use([LOG], 5),
    # messages
    "append_batches": Use(ONE_BATCH, 60, of_arrays=True),
    "append_plain": Use(ONE_MESSAGE, 60, of_arrays=True),
    "count_open_calls": Use(['[{"c": ["a", "b"]}]'], 10),
    "get_message": Use([77], 2),
    "list_groups_of": Use([[7, 9]], 4),
    "revision_of_message": Use([LOG // 2], 2),
    "list_messages_after": Use([LOG // 2, LOG, None, 2 << 20, 100], 500),
    "list_rest_of_groups": Use([[7, 9, LOG // 2], LOG // 2, LOG, 256 << 10], 50),
    "list_messages_before": Use([LOG // 2, LOG, None, 2 << 20, 100], 500),
    # contexts
    "get_context": Use([], 2),
    "get_context_and_claim": Use(["r"], 5),
    "lock_context": Use([], 4),
    "find_claim": Use(["r"], 3),
    "list_contexts": Use([TENANT, "%", False, NEVER, LAST_ID, 51], 200, with_context=False),
    "get_policy": Use([], 2),
    "find_policy": Use([3], 3),
    "list_revisions_before": Use([1, 2**62, None, 51, 4_096], 250),
    "list_revisions_after": Use([1, 2**62, None, 51, 4_096], 250),
    "find_revision_at": Use([TENANT, *ROOT, NEVER, 2**14], 40, with_context=False),
    "newest_child": Use([], 2),
    "count_children": Use([10], 11),
    "version_at_revision": Use([LOG // 2], 2),
    # tags
    "find_tag": Use(["t7"], 2),
    "list_tags": Use(["t", 51], 60),
    "drop_tag": Use(["t7"], 4),
    # lineage
    "get_ancestors": Use([1_000], 10),
    "list_children": Use([0, UUID(int=0), 51], 110),
    "find_shared_version": Use([TENANT, *ROOT, *ROOT, LOG + 1], 100, with_context=False),
    # flattening
    "lock_against_forks": Use([], 4),
    "copied_version": Use([LOG // 2], 2),
    "copied_revision": Use([LOG // 2], 2),
    "copy_messages": Use([CONTEXT, LOG // 2, LOG, 100, 8 << 20], 210),
    "copy_revisions": Use([CONTEXT, LOG // 2, LOG // 2 + 100, LOG], 110),
    "copy_policies": Use([[CONTEXT], [0], [LOG]], 5),
    "copy_removals": Use([[CONTEXT], [0], [LOG], [LOG]], 5),
    "copy_redactions": Use([[CONTEXT], [1], [LOG]], 5),
    "copy_compactions": Use([[CONTEXT], [0], [LOG], [LOG]], 250),
    # compactions
    "get_compaction_at": Use([LOG], 2),
    "find_compaction": Use([TENANT, *ROOT[:1], [2**62], [2**62], LAST_ID, LOG, LOG], 10, with_context=False),
    "get_compaction": Use([LAST_ID], 2),
    "find_compaction_by_request": Use(["r"], 2),
    "get_begun_compaction": Use([], 2),
    "end_compaction": Use([LAST_ID, 1, "abandoned", ""], 4),
    "commit_compaction": Use([LAST_ID, 1, "", 1, "", "", None, FINGERPRINT, "{}"], 10),
    "list_compactions": Use([2**62, None, 51], 52),
    "erase_summaries": Use([TENANT, [CONTEXT, CONTEXT], [7, 9]], 20, with_context=False),
    "erase_copied_summaries": Use([TENANT, [CONTEXT], [LAST_ID]], 5, with_context=False),
    # redactions
    "find_messages_to_erase": Use([TENANT, *ROOT, [7, 9, LOG // 2]], 10, with_context=False),
    "lock_logs": Use([[CONTEXT], TENANT], 5, with_context=False),
    "next_stamp": Use([], 3),
    "erase_messages": Use([TENANT, [CONTEXT, CONTEXT], [7, 9], [b"\x00", b"\x00"], 9], 10, with_context=False),
    "erase_copies": Use([TENANT, [CONTEXT, CONTEXT], [7, 9], [b"\x00", b"\x00"], 9], 10, with_context=False),
    "erase_embeddings": Use([TENANT, [CONTEXT, CONTEXT], [7, 9]], 5, with_context=False),
    # purging
    "count_readers": Use([10], 10),
    "find_purged": Use([], 2),
    "lock_purged": Use([], 2),
    "erase_rows": Use([LOG, 100, 8 << 20], 1_500),
    "measure_rows": Use([LOG // 2, LOG // 2 + 100], 300),
    # retention
    "list_unfinished": Use([500], 2, with_context=False),
    "next_tenant": Use([""], 2, with_context=False),
    "scan_contexts": Use([TENANT, NEVER, LAST_ID, 100], 110, with_context=False),
    "find_read": Use([TENANT, [CONTEXT, LAST_ID], [True, False]], 5, with_context=False),
    # policies and what is due
    "get_tenant_policy": Use([TENANT], 2, with_context=False),
    "find_tenant_claim": Use([TENANT, "r"], 2, with_context=False),
    "mark_context": Use([], 4),
    "claim_due": Use([1, 600], 10, with_context=False),
    "set_alarm": Use([None, None, None], 4),
    "last_compactions": Use([8], 9),
    "seconds_since_change": Use([], 2),
    # verification
    "get_whole_context": Use([], 12),
    "get_origin": Use([], 4),
    "find_revision_of_kind": Use(["append"], 2),
    "list_fork_points": Use([10], 12),
    "count_contexts": Use([[CONTEXT], TENANT], 2, with_context=False),
    "get_revision": Use([LOG // 2], 2),
    "list_whole_revisions": Use([LOG // 2, LOG, 500, [CONTEXT]], 1_010),
    "list_whole_messages": Use([LOG // 2, LOG, 2 << 20, 500], 1_010),
    "get_message_state": Use([LOG // 2], 2),
    "list_removals_of": Use([LOG], 5),
    "find_unredacted": Use([TENANT, *ROOT, [7, LOG], [9, LOG]], 5, with_context=False),
    "count_beside": Use([0, LOG, 0, LOG], 20),
    "has_overlays": Use([TENANT, [CONTEXT], [2**62], [2**62]], 5, with_context=False),
    "list_whole_compactions": Use([UUID(int=0), LOG, [CONTEXT], 50], 10),
    "list_whole_tags": Use(["", 50], 51),
    # watches
    "find_watch_start": Use([LOG // 2], 6),
    "find_changed_contexts": Use([[7]], 3, of_arrays=True),
}
NOT_ABOUT_ONE_LOG = {
    "insert_context", "insert_fork", "change_context", "change_removals", "flatten_context", "take_revision",
    "keep_redactions", "redact_context", "purge_context", "take_turn", "end_turn", "count_unfinished",
    "set_policy", "set_tenant_policy", "begin_compaction", "put_in_force", "put_tag", "hold_name", "free_name",
    "get_token_key", "list_contexts_with_labels", "mark_contexts", "tell_listeners",
}  # fmt: skip


@dataclass(frozen=True)
class Filled:
    url: str
    context_id: UUID


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def filled(fresh_url: FreshDatabase) -> AsyncIterator[Filled]:
    """A context of 20,000 messages and 20 of 1,000."""
    url = await fresh_url()
    async with serve(url) as server:
        first = [(await server.create()).context_id for _ in range(21)]
        for context_id in first:
            await server.append(context_id, b.system("s"), request_id="r")
    connection = await asyncpg.connect(url)
    try:
        for number, context_id in enumerate(first):
            count = LOG if number == 0 else LOG // 20
            await connection.execute(
                """
                insert into messages
                select context_id, v, tenant_id, v, create_time, case when v % 2 = 0 then 'user' else 'assistant' end,
                       v, 10, 0, 'counted', token_count + 10 * (v - 1), 0, 0, token_count, 1, 0, v - v % 2, null,
                       digest,
                       decode(repeat('20', 400), 'hex')
                from messages, generate_series(2, $2::bigint) v where context_id = $1::text::uuid and version = 1
                """,
                context_id,
                count,
            )
            await connection.execute(
                """
                insert into revisions
                select context_id, v, tenant_id, 'append', v, v, create_time, null, fingerprint, chain
                from revisions, generate_series(2, $2::bigint) v where context_id = $1::text::uuid and revision = 1
                """,
                context_id,
                count,
            )
            await connection.execute(
                """
                update contexts c set latest_version = m.version, latest_revision = m.version,
                       total_tokens = m.total_tokens, pinned_tokens = m.pinned_tokens, turn_version = m.turn_version
                from messages m where m.context_id = c.id and c.id = $1::text::uuid and m.version = $2
                """,
                context_id,
                count,
            )
        await connection.execute(
            "insert into contexts (id, tenant_id, name, unique_name, labels, metadata_json, tokenizer, create_time, "
            "update_time, chain) select gen_random_uuid(), tenant_id, name, false, labels, metadata_json, tokenizer, "
            "create_time, update_time, chain from contexts, generate_series(1, 250)"
        )
        await connection.execute(
            "insert into tags "
            "select context_id, 't' || version, tenant_id, version, revision, create_time, create_time from messages"
        )
        await connection.execute("vacuum analyze")
    finally:
        await connection.close()
    yield Filled(url, UUID(first[0]))


def element(value: Any) -> str:
    """Spells a value as an element of an array."""
    if value is None:
        return "null"
    return f'"\\\\x{value.hex()}"' if isinstance(value, bytes) else f'"{value}"'


def literal(value: Any) -> str:
    """Spells a value as an argument of EXECUTE."""
    match value:
        case None:
            return "null"
        case bool() | int():
            return str(value)
        case bytes():
            return f"'\\x{value.hex()}'"
        case list():
            return f"'{{{', '.join(map(element, value))}}}'"
        case _:
            return f"'{value}'"


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def looked_at(node: dict[str, Any]) -> int:
    """The rows that a scan has read, kept or not."""
    if "Relation Name" not in node or not node["Node Type"].endswith("Scan"):
        return 0
    per_loop = (
        node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    )
    looked: int = round(per_loop * node["Actual Loops"])
    return looked


def test_every_statement_about_a_log_is_looked_at() -> None:
    assert set(QUERIES) == set(USES) | NOT_ABOUT_ONE_LOG


@loop
@pytest.mark.holds("I9")
@pytest.mark.parametrize("settings", ["as in the pool", "as PostgreSQL comes"])
@pytest.mark.parametrize("name", USES)
async def test_plans_of_the_first_executions(filled: Filled, name: str, settings: str) -> None:
    """Looks at ten executions on a new connection: PostgreSQL plans the first five of them for their values."""
    use = USES[name]
    options = connect.connection_options(pooled=settings != "as in the pool", statement_timeout=15)
    connection = await asyncpg.connect(filled.url, **options)
    try:
        await connection.execute(f"prepare statement as {QUERIES[name].text}")
        args = use.of(filled.context_id)
        call = f"explain (analyze, format json) execute statement({', '.join(map(literal, args))})"
        for execution in range(10):
            transaction = connection.transaction()
            await transaction.start()
            (plan,) = json.loads(await connection.fetchval(call))
            await transaction.rollback()
            found = list(nodes(plan["Plan"]))
            read = [(n["Node Type"], n["Relation Name"], looked_at(n)) for n in found if looked_at(n)]
            assert all(kind != "Seq Scan" for kind, _, _ in read), f"execution {execution + 1}: {read}"
            assert sum(rows for _, _, rows in read) <= use.rows, f"execution {execution + 1}: {read}"
    finally:
        await connection.close()
