"""The schema that migrations make is the one that SQLAlchemy describes, and keeps the rules of the house."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

import kata_grpc
from kata_grpc.db import connect
from kata_grpc.db.schema import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection


async def test_the_description_and_the_migrations_agree(fresh_db: str) -> None:
    def compare(connection: Connection) -> list[object]:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    engine = create_async_engine(
        "postgresql+asyncpg://", connect_args={"async_creator_fn": lambda: connect.open_connection(fresh_db)}
    )
    try:
        async with engine.connect() as connection:
            differences = await connection.run_sync(compare)
    finally:
        await engine.dispose()
    assert [difference for difference in differences if "alembic_version" not in str(difference)] == []


async def test_every_constraint_that_the_code_knows_exists(fresh_db: str) -> None:
    package = Path(kata_grpc.__file__).parent
    known = {
        name
        for folder in ("repositories", "services")
        for path in (package / folder).glob("*.py")
        for name in re.findall(r'\.constraint [!=]= "(\w+)"', path.read_text(encoding="utf-8"))
    }
    connection = await asyncpg.connect(fresh_db)
    try:
        rows = await connection.fetch("select conname from pg_constraint union select relname from pg_class")
    finally:
        await connection.close()
    assert known
    assert known <= {row[0] for row in rows}


def test_a_context_s_rows_can_live_together() -> None:
    """Keys and unique indexes of tables about a context start with it, for a distributed PostgreSQL."""
    about_contexts = {table for table in metadata.sorted_tables if "context_id" in table.c or table.name == "contexts"}
    names = metadata.tables["context_names"]
    for table in about_contexts - {names}:
        first = "id" if table.name == "contexts" else "context_id"
        keys = [list(table.primary_key.columns)]
        keys += [list(index.columns) for index in table.indexes if index.unique]
        assert {key[0].name for key in keys} == {first}, table.name
        for foreign in table.foreign_key_constraints:
            assert [column.name for column in foreign.columns] == ["context_id"]
    assert [column.name for column in names.primary_key.columns] == ["tenant_id", "name"]


def test_every_table_says_what_a_row_is() -> None:
    assert [table.name for table in metadata.sorted_tables if not table.comment] == []
    assert all("tenant_id" in table.c for table in metadata.sorted_tables if table.name != "installation")
