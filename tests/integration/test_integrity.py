"""What verification finds when something stored is not what was written: one thing at a time, in every column."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import policy_pb2, window_pb2
from kata.context.v1 import policy_service_pb2 as ps

from kata_grpc.db import schema
from kata_grpc.db.pool import Database
from kata_grpc.services.integrity import verify_all
from tests.rpc import build as b
from tests.rpc.forks import child_of
from tests.rpc.serving import Running, loop, refused, serve, unknown_id

if TYPE_CHECKING:
    import sqlalchemy as sa

NOT_CHECKED = {
    "contexts": {
        *("name", "labels", "metadata_json", "origin_format", "origin_id", "origin_extra_json", "child_number"),
        *("due_tokens", "due_version", "due_time"),
    },
    "revisions": {"request_id"},
    "compactions": {
        "create_time",
        *("token", "lease_time", "request_id", "fingerprint", "origin", "previous_id", "policy_revision", "plan"),
        *("summariser", "reason", "summary", "summary_tokens", "summary_state", "erase_time"),
    },
}
"""Columns that nothing else says again, as docs/integrity.md lists them."""
ONLY_FOR_ORDER = ("revisions", "create_time", 2, "asc")
"""Before the creation that a flattened context has a copy of there is nothing that it could be out of order with."""
TABLES = ("contexts", "revisions", "messages", "removals", "tags", "policies", "compactions", "compactions_in_force")


async def verified(server: Running, context_id: str) -> cs.VerifyContextResponse:
    return await server.contexts.VerifyContext(cs.VerifyContextRequest(context_id=context_id))


async def tree(server: Running) -> tuple[str, str, str]:
    """Makes a context with everything, a fork of it, and a flattened fork of that."""
    root = (await server.create(name="root", unique_name=True, labels={"a": "b"})).context_id
    await server.append(root, b.system("Be brief."))
    for number in range(6):
        await server.append(root, b.user(f"Question {number} " * 20), b.assistant("Answer. " * 60))
    await server.append(root, b.user("Look it up."), b.calls("1", "2"), b.result("1"))
    policy = policy_pb2.Policy(window=window_pb2.WindowOptions(max_messages=9))
    await server.policies.SetPolicy(ps.SetPolicyRequest(context_id=root, policy=policy))
    removed = [ms.VersionRange(first_version=2, last_version=3)]
    await server.messages.RemoveMessages(ms.RemoveMessagesRequest(context_id=root, ranges=removed))
    await server.contexts.TagVersion(cs.TagVersionRequest(context_id=root, name="here"))
    await server.policies.CompactContext(ps.CompactContextRequest(context_id=root))
    child = await child_of(server, root, at_version=15, name="child")
    await server.append(child, b.calls("1", "3"), b.result("3"))
    restored = ms.RestoreMessagesRequest(context_id=child, ranges=removed)
    await server.messages.RestoreMessages(restored)
    await server.contexts.TagVersion(cs.TagVersionRequest(context_id=child, name="there"))
    flat = await child_of(server, child, at_version=16, name="flat")
    await server.append(flat, b.user("Go on."))
    await server.contexts.FlattenContext(cs.FlattenContextRequest(context_id=flat))
    return root, child, flat


async def found(database: Database) -> list[str]:
    return [finding.difference async for _, findings in verify_all(database) for finding in findings]


def flipped(column: sa.Column[Any]) -> str:
    """Returns SQL for another value of a column's type."""
    name = f'"{column.name}"'
    match str(column.type):
        case "BIGINT" | "INTEGER":
            return f"coalesce({name}, 1) + 1"
        case "BOOLEAN":
            return f"not {name}"
        case "TEXT":
            return f"coalesce({name}, '') || 'x'"
        case "BYTEA" | "BLOB":
            return f"case when {name} is null then '\\x01' else set_byte({name}, 0, get_byte({name}, 0) # 1) end"
        case "TIMESTAMP":
            return f"coalesce({name}, now()) - interval '1 day'"
        case "UUID":
            return f"'{uuid.uuid4()}'"
        case "JSONB":
            return """'{"x": [1]}'"""
        case "INT8MULTIRANGE":
            return "'{[1,1000)}'"
        case _:
            return "array['x']"


@loop
@pytest.mark.holds("I1")
async def test_a_flipped_byte_anywhere_in_a_message_is_found(fresh_db: str) -> None:
    async with serve(fresh_db) as server:
        context_id = (await server.create()).context_id
        await server.append(context_id, b.user("Hello"), b.calls("1"), b.result("1"))
    database = await Database.open(fresh_db)
    connection = await asyncpg.connect(fresh_db)
    try:
        assert await found(database) == []
        record = await connection.fetchval("select record from messages where version = 2")
        for place in range(len(record)):
            changed = bytearray(record)
            changed[place] ^= 1 << place % 8
            await connection.execute("update messages set record = $1 where version = 2", bytes(changed))
            (difference,) = await found(database)
            assert difference.startswith(("messages.record at version 2", "messages.digest at version 2")), place
        await connection.execute("update messages set record = $1 where version = 2", record)
        assert await found(database) == []
    finally:
        await connection.close()
        await database.close()


@loop
@pytest.mark.holds("I1")
async def test_a_change_of_any_column_of_any_row_is_found(fresh_db: str) -> None:
    missed = []
    async with serve(fresh_db) as server:
        contexts = await tree(server)
        for context_id in contexts:
            assert not (await verified(server, context_id)).HasField("difference"), await verified(server, context_id)
        connection = await asyncpg.connect(fresh_db)
        database = await Database.open(fresh_db)
        try:
            assert await found(database) == []
            for name in TABLES:
                table = schema.metadata.tables[name]
                key = "id" if name == "contexts" else "context_id"
                order = f'"{list(table.primary_key.columns)[-1].name}"'
                for column in table.columns:
                    if column.name in NOT_CHECKED.get(name, set()):
                        continue
                    for context_id in contexts:
                        for way in ("asc", "desc"):
                            change = (
                                f'update {name} set "{column.name}" = {flipped(column)} where ctid = '
                                f"(select ctid from {name} where {key} = $1::text::uuid order by {order} {way} limit 1)"
                            )
                            await connection.execute(f"create table kept as select * from {name}")
                            try:
                                done = await connection.execute(change, context_id)
                            except asyncpg.IntegrityConstraintViolationError:
                                done = "UPDATE 0"  # PostgreSQL itself does not let it happen
                            if done != "UPDATE 0" and not await found(database):
                                missed.append((name, column.name, contexts.index(context_id), way))
                            await connection.execute(f"truncate {name}")
                            await connection.execute(f"insert into {name} select * from kept")
                            await connection.execute("drop table kept")
            assert await found(database) == []
            missed.remove(ONLY_FOR_ORDER)
            assert not missed, "\n".join(map(str, sorted(set(missed))))
        finally:
            await connection.close()
            await database.close()


@loop
async def test_the_first_difference_is_named(fresh_db: str) -> None:
    async with serve(fresh_db) as server:
        context_id = (await server.create()).context_id
        await server.append(context_id, b.user("one"), b.user("two"))
        await server.append(context_id, b.user("three"))
        whole = await verified(server, context_id)
        assert (whole.version, whole.revision, whole.message_count, whole.revision_count) == (3, 2, 3, 3)
        assert not whole.HasField("difference")
        before = (await server.query("select total_tokens from messages where version = 2"))[0][0]
        await server.query("update messages set total_tokens = total_tokens + 1 where version = 2")
        await server.query("update contexts set total_tokens = total_tokens + 1")
        difference = (await verified(server, context_id)).difference
        assert (difference.what, difference.version) == ("messages.total_tokens", 2)
        assert (difference.expected, difference.found) == (str(before), str(before + 1))
        await server.query("delete from messages where version = 3")
        assert (await verified(server, context_id)).difference.what == "contexts.latest_version"


@loop
async def test_what_is_not_there_is_not_verified(fresh_db: str) -> None:
    async with serve(fresh_db) as server:
        assert (await refused(verified(server, unknown_id()))).reason == "CONTEXT_NOT_FOUND"
