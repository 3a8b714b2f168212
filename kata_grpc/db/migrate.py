"""The schema's versions: what a database has, what this program needs, and the way between the two.

Alembic's migrations are the only thing that changes a schema. They run over one connection to the direct URL, in one
transaction, one process at a time. This module knows the steps by number only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from kata_grpc.db import connect
from kata_grpc.db.errors import StartupError
from kata_grpc.db.query import Query

if TYPE_CHECKING:
    from collections.abc import Callable

    from kata_grpc.db.pool import Executor

LOCK_KEY = 0x6B617461
"""Of the advisory lock that a migration holds: "kata" in ASCII."""
LOCK_SECONDS = 60
"""For another migration to end."""
TABLE_LOCK_SECONDS = 10
"""For the lock on a table that others use: every later statement on the table waits behind a waiting migration."""

_OVERVIEW = Query(
    "schema_overview",
    """
    select to_regclass('alembic_version') is not null as versioned,
           exists (select from pg_class where relnamespace = any (current_schemas(false)::regnamespace[])
                   and relkind in ('r', 'p')) as occupied
    """,
)
_REVISIONS = Query("schema_revisions", "select version_num from alembic_version")


class SchemaStatus(StrEnum):
    """How a database's schema stands to this program."""

    CURRENT = "current"
    EMPTY = "empty"
    BEHIND = "behind"
    AHEAD = "ahead"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class SchemaState:
    """A database's schema, beside the one that this program needs."""

    status: SchemaStatus
    revision: str | None
    head: str

    def __str__(self) -> str:
        """Say in one sentence what is the case and what to do."""
        match self.status:
            case SchemaStatus.CURRENT:
                return f"The database has schema {self.revision}, as this version needs."
            case SchemaStatus.EMPTY:
                return f"The database is empty and this version needs schema {self.head}: run `kata-grpc migrate up`."
            case SchemaStatus.BEHIND:
                return (
                    f"The database has schema {self.revision}, behind the {self.head} that this version needs: "
                    "run `kata-grpc migrate up`."
                )
            case SchemaStatus.AHEAD:
                return (
                    f"The database has schema {self.revision}, ahead of the {self.head} that this version knows: "
                    "run a newer version."
                )
            case SchemaStatus.FOREIGN:
                return (
                    "The database has tables but no schema of Kata: name another database, or run "
                    "`kata-grpc migrate up` if they may share it."
                )


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config() -> Config:
    package = Path(__file__).parents[1]
    installed = package / "migrations"
    config = Config()
    config.set_main_option("script_location", str(installed if installed.is_dir() else package.parent / "migrations"))
    return config


@cache
def head_revision() -> str:
    """Name the schema that this program needs."""
    head = _scripts().get_current_head()
    if head is None:
        raise StartupError("This installation has no migrations: install it again.")
    return head


async def schema_state(executor: Executor) -> SchemaState:
    """Compare the schema of a database with the one that this program needs."""
    head = head_revision()
    overview = await executor.fetchrow(_OVERVIEW)
    if overview is not None and overview["versioned"]:
        revisions = [row["version_num"] for row in await executor.fetch(_REVISIONS)]
        if revisions:
            known = {script.revision for script in _scripts().walk_revisions()}
            status = SchemaStatus.CURRENT if revisions == [head] else SchemaStatus.BEHIND
            if not known.issuperset(revisions):
                status = SchemaStatus.AHEAD
            return SchemaState(status, ", ".join(sorted(revisions)), head)
    occupied = overview is not None and overview["occupied"] and not overview["versioned"]
    return SchemaState(SchemaStatus.FOREIGN if occupied else SchemaStatus.EMPTY, None, head)


async def upgrade(url: str, revision: str = "head") -> None:
    """Bring the schema to a revision; another process that does the same is waited for."""
    await _with_lock(url, lambda config: command.upgrade(config, revision))


async def downgrade(url: str, revision: str) -> None:
    """Take the schema back to a revision (`-1` for one step, `base` for nothing): what the steps added is lost."""
    await _with_lock(url, lambda config: command.downgrade(config, revision))


async def _with_lock(url: str, work: Callable[[Config], None]) -> None:
    def run(connection: Connection) -> None:
        # In the migrations' own transaction, so that it also works through a pooler.
        connection.execute(text(f"set local lock_timeout = '{LOCK_SECONDS}s'"))
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
        connection.execute(text(f"set local lock_timeout = '{TABLE_LOCK_SECONDS}s'"))
        config = _config()
        config.attributes["connection"] = connection
        work(config)

    engine = create_async_engine(
        "postgresql+asyncpg://",
        connect_args={
            "async_creator_fn": lambda: connect.open_connection(url),
            # Unnamed: a pooler would show one client's named statements to the next.
            "prepared_statement_name_func": str,
            "prepared_statement_cache_size": 0,
        },
    )
    try:
        async with engine.begin() as connection:
            await connection.run_sync(run)
    except CommandError as error:
        raise StartupError(f"The schema cannot be changed: {error}.") from error
    except DBAPIError as error:
        said = connect.reason(error.orig.__cause__ or error.orig) if error.orig else "no reason given"
        raise StartupError(f"The schema of {connect.endpoint(url)} was not changed: {said}.") from error
    finally:
        await engine.dispose()
