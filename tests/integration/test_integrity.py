"""What verification finds when something stored is not what was written: one thing at a time, in every column."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc
import pytest
from kata.context.v1 import context_service_pb2 as cs
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import policy_pb2, window_pb2
from kata.context.v1 import policy_service_pb2 as ps

from kata_grpc.db import schema
from kata_grpc.db.pool import Database, OneConnection
from kata_grpc.domain.contexts import TenantId
from kata_grpc.domain.errors import ContextNotFound
from kata_grpc.repositories import verifying
from kata_grpc.services.integrity import verify, verify_all
from tests.integration.processes import kata
from tests.rpc import build as b
from tests.rpc.forks import child_of
from tests.rpc.serving import Running, loop, read_error, refused, serve, unknown_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    import sqlalchemy as sa

    from kata_grpc.db.pool import Executor

NOT_CHECKED = {
    "contexts": {
        *("due_tokens", "due_version", "due_time"),
    },
    "revisions": {"request_id"},
    "compactions": {
        *("create_time", "lease_time", "request_id", "reason", "erase_time"),
    },
}
"""Columns that nothing else says again, as docs/integrity.md lists them."""
TABLES = (
    *("contexts", "context_names", "revisions", "messages", "removals", "redactions", "tags", "policies"),
    *("compactions", "compactions_in_force", "compaction_sources"),
)
OF_NO_LIVE_CONTEXT = {"installation", "tenant_policies", "purged_contexts"}
ROWS_ALONE = {"message_embeddings"}
"""Of these only that there is a message for them."""


def test_every_column_is_checked_or_said_not_to_be() -> None:
    assert set(TABLES) | OF_NO_LIVE_CONTEXT | ROWS_ALONE == set(schema.metadata.tables)
    text = (Path(__file__).parents[2] / "docs/integrity.md").read_text(encoding="utf-8")
    for table, columns in NOT_CHECKED.items():
        for column in columns:
            assert column in schema.metadata.tables[table].columns
            assert f"`{column}`" in text or f"`{table}.{column}`" in text


async def verified(server: Running, context_id: str) -> cs.VerifyContextResponse:
    return await server.contexts.VerifyContext(cs.VerifyContextRequest(context_id=context_id))


async def tree(server: Running) -> tuple[str, str, str]:
    """Makes a context with everything, a fork of it, and a flattened fork of that."""
    root = (await server.create(name="root", unique_name=True, labels={"a": "b"}, request_id="1")).context_id
    await server.append(root, b.system("Be brief."))
    for number in range(6):
        await server.append(root, b.user(f"Question {number} " * 20), b.assistant("Answer. " * 60))
    await server.append(root, b.user("Look it up."), b.calls("1", "2"), b.result("1"))
    policy = policy_pb2.Policy(window=window_pb2.WindowOptions(max_messages=9))
    await server.policies.SetPolicy(ps.SetPolicyRequest(context_id=root, policy=policy))
    removed = [ms.VersionRange(first_version=2, last_version=3)]
    await server.messages.RemoveMessages(ms.RemoveMessagesRequest(context_id=root, ranges=removed))
    await server.contexts.TagVersion(cs.TagVersionRequest(context_id=root, name="here"))
    done = await server.policies.CompactContext(ps.CompactContextRequest(context_id=root, preserve_recent=4))
    assert done.HasField("compaction"), done
    child = await child_of(server, root, at_version=15, name="child")
    await server.append(child, b.calls("1", "3"), b.result("3"))
    restored = ms.RestoreMessagesRequest(context_id=child, ranges=removed)
    await server.messages.RestoreMessages(restored)
    await server.contexts.TagVersion(cs.TagVersionRequest(context_id=child, name="there"))
    flat = await child_of(server, child, at_version=16, name="flat")
    await server.append(flat, b.user("Go on."))
    await server.contexts.FlattenContext(cs.FlattenContextRequest(context_id=flat))
    erased = [ms.VersionRange(first_version=4, last_version=4), ms.VersionRange(first_version=15, last_version=16)]
    await server.messages.RedactMessages(ms.RedactMessagesRequest(context_id=child, ranges=erased))
    return root, child, flat


async def found(database: Executor) -> list[str]:
    return [finding.difference async for _, findings in verify_all(database) for finding in findings]


def flips(column: sa.Column[Any], value: Any) -> Iterator[Any]:
    """Yields other values of a column's type, as near to a value as can be."""
    match str(column.type):
        case "BIGINT" | "INTEGER":
            yield (value or 0) + 1
        case "BOOLEAN":
            yield not value
        case "TEXT":
            yield (value or "") + "x"
        case "BYTEA" | "BLOB":
            yield bytes([value[0] ^ 1, *value[1:]]) if value else b"x"
        case "TIMESTAMP":
            for days in (-1, 1):
                yield (value or datetime.now(UTC)) + timedelta(days=days)
        case "UUID":
            yield uuid.uuid4()
        case "JSONB":
            yield from map(json.dumps, json_flips(json.loads(value or "{}")))
        case "INT8MULTIRANGE":
            yield [asyncpg.Range(1, 1_000)]
        case _:
            yield ["x", *(value or [])]


def json_flips(value: Any) -> Iterator[Any]:
    """Yields what differs from a value in one leaf, in one key, or altogether."""
    yield [1] if isinstance(value, dict) else {"x": [1]}
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {name: other for name, other in value.items() if name != key}
            for flipped in leaf_flips(inner):
                yield value | {key: flipped}
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield [*value[:place], *value[place + 1 :]]
            for flipped in leaf_flips(inner):
                yield [*value[:place], flipped, *value[place + 1 :]]


def leaf_flips(value: Any) -> Iterator[Any]:
    match value:
        case dict() | list():
            yield from json_flips(value)
        case int():
            yield value + 1
        case str():
            yield value[1:] + "x"
        case _:
            yield "x"


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
    async with serve(fresh_db) as server:
        contexts = await tree(server)
        for context_id in contexts:
            assert not (await verified(server, context_id)).HasField("difference"), await verified(server, context_id)
    connection = await asyncpg.connect(fresh_db)
    executor = OneConnection(connection, 60)
    try:
        assert await found(executor) == []
        for name in TABLES:
            assert await connection.fetchval(f"select count(*) from {name}"), name
        missed = [
            change
            for name in TABLES
            for row in await connection.fetch(f"select ctid, * from {name}")
            for column in schema.metadata.tables[name].columns
            if column.name not in NOT_CHECKED.get(name, set())
            for value in flips(column, row[column.name])
            if (change := await missed_change(connection, executor, name, row, column.name, value))
        ]
        assert not missed, "\n".join(missed)
        assert await found(executor) == []
    finally:
        await connection.close()


async def missed_change(
    connection: asyncpg.Connection[Any],
    executor: OneConnection,
    table: str,
    row: asyncpg.Record,
    column: str,
    value: Any,
) -> str | None:
    """Makes a change, verifies the context and then all; returns the change when neither finds anything."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(f'update {table} set "{column}" = $1 where ctid = $2', value, row["ctid"])
        context_id = row["id"] if table == "contexts" else row["context_id"]
        with contextlib.suppress(ContextNotFound):
            if (await verify(executor, TenantId("default"), context_id)).difference is not None:
                return None
        if await found(executor):
            return None
        place = {name: row[name] for name in ("context_id", "version", "revision", "kind") if name in row}
        return f"{table}.{column} of {place}: {row[column]}, then {value}"
    except asyncpg.IntegrityConstraintViolationError:
        return None  # PostgreSQL itself does not let it happen
    finally:
        await transaction.rollback()


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
async def test_the_doctor_names_the_difference(fresh_db: str) -> None:
    async with serve(fresh_db) as server:
        whole, broken = [(await server.create()).context_id for _ in range(2)]
        await server.append(broken, b.user("one"))
        await server.query("update messages set total_tokens = 77")

    async def doctor(*args: str) -> tuple[int, list[str]]:
        done = await asyncio.to_thread(kata, "doctor", "--json", *args, env={"DATABASE_URL": fresh_db})
        return done.returncode, [f["detail"] for f in json.loads(done.stdout) if f["check"] == "contents"]

    status, (difference, summary) = await doctor()
    assert status == 1
    assert difference.startswith(f"context {broken}: messages.total_tokens at version 1: expected ")
    assert summary == "2 contexts were verified; differences: 1"
    assert await doctor("--context", whole) == (0, ["1 contexts were verified; differences: 0"])
    status, details = await doctor("--context", broken)
    assert (status, details[0]) == (1, difference)
    nowhere = unknown_id()
    status, (refusal,) = await doctor("--context", nowhere)
    assert status == 1
    assert nowhere in refusal


@loop
async def test_rows_of_no_context_are_found(fresh_db: str) -> None:
    async with serve(fresh_db) as server:
        contexts = await tree(server)
        await server.query("delete from contexts where id = $1::text::uuid", contexts[2])
    database = await Database.open(fresh_db)
    try:
        strays = [difference.split()[0] for difference in await found(database)]
        assert strays == [
            *("revisions", "messages", "removals", "redactions", "policies"),
            *("compactions", "compactions_in_force", "compaction_sources"),
        ]
    finally:
        await database.close()


@loop
async def test_what_an_unfinished_flattening_has_copied_is_not_looked_at(fresh_db: str) -> None:
    """Nobody reads it before it is whole; then it is verified."""
    async with serve(fresh_db) as server:
        _, child, _ = await tree(server)
        for table, number in (("messages", "version"), ("revisions", "revision")):
            await server.query(
                f"insert into {table} select (json_populate_record(t, json_build_object('context_id', c.id))).* "
                f"from {table} t join contexts c on c.parent_id = t.context_id "
                f"where c.id = $1::text::uuid and t.{number} = 3",
                child,
            )
        assert not (await verified(server, child)).HasField("difference")
        await server.query("update contexts set segments = null, depth = 0 where id = $1::text::uuid", child)
        assert (await verified(server, child)).HasField("difference")


@loop
@pytest.mark.holds("I1")
async def test_what_changes_meanwhile_is_no_difference(fresh_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verifies in pages of two rows while everything is done to the contexts that can be done to them."""
    monkeypatch.setattr(verifying, "_PAGE", 2)
    async with serve(fresh_db) as server:
        contexts = list(await tree(server))
        done = asyncio.Event()
        refusals: list[tuple[str, bool]] = []

        async def change() -> None:
            removed = [ms.VersionRange(first_version=2, last_version=2)]
            for number in range(15):
                for context_id in contexts[:3]:
                    await server.append(context_id, b.user(f"{number}"), b.calls("9"), b.result("9"))
                    await server.messages.RemoveMessages(
                        ms.RemoveMessagesRequest(context_id=context_id, ranges=removed)
                    )
                    tag = cs.TagVersionRequest(context_id=context_id, name="moving", move=True)
                    await server.contexts.TagVersion(tag)
                child = await child_of(server, contexts[number % 3], at_version=number + 3)
                contexts.append(child)
                await server.append(child, b.user("more"))
                await server.contexts.FlattenContext(cs.FlattenContextRequest(context_id=child))
                redaction = ms.RedactMessagesRequest(context_id=child, versions=[2, number + 3])
                await server.messages.RedactMessages(redaction)
                await server.contexts.DeleteContext(cs.DeleteContextRequest(context_id=child))
                if number % 2:
                    contexts.remove(child)
                    await server.contexts.PurgeContext(cs.PurgeContextRequest(context_id=child))
            done.set()

        async def look() -> int:
            count = 0
            while not done.is_set():
                for context_id in list(contexts):
                    try:
                        answer = await verified(server, context_id)
                    except grpc.RpcError as error:
                        refusals.append((read_error(error).reason, context_id in contexts))
                        continue
                    assert not answer.HasField("difference"), answer
                    count += 1
            return count

        _, *counts = await asyncio.gather(change(), look(), look())
        assert min(counts) > len(contexts)
        assert set(refusals) <= {("CONTEXT_NOT_FOUND", False)}, "what was purged is not there"


@loop
async def test_links_of_before_are_right_as_they_are(fresh_db: str) -> None:
    """Appends linked no fingerprints, and other revisions no details."""
    async with serve(fresh_db) as server:
        context_id = (await server.create(name="n")).context_id
        await server.append(context_id, b.user("one"), b.user("two"))
        await server.contexts.TagVersion(cs.TagVersionRequest(context_id=context_id, name="here"))
        create, _, tag = await server.query("select fingerprint from revisions order by revision")
        digests = b"".join(row["digest"] for row in await server.query("select digest from messages order by version"))
        chain = b""
        for revision, part in enumerate((create["fingerprint"], sha256(digests).digest(), tag["fingerprint"])):
            chain = sha256(chain + part).digest()
            await server.query("update revisions set chain = $1 where revision = $2", chain, revision)
        await server.query("update contexts set chain = $1", chain)
        assert not (await verified(server, context_id)).HasField("difference")
        await server.query("update revisions set fingerprint = sha256(fingerprint) where revision = 2")
        assert (await verified(server, context_id)).difference.what == "revisions.chain"


@loop
async def test_what_is_not_there_is_not_verified(fresh_db: str) -> None:
    async with serve(fresh_db) as server:
        assert (await refused(verified(server, unknown_id()))).reason == "CONTEXT_NOT_FOUND"
        context_id = (await server.create()).context_id
        async with serve(fresh_db, tenant="other") as other:
            assert (await refused(verified(other, context_id))).reason == "CONTEXT_NOT_FOUND"
