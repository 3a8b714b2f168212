"""Databases for tests: one embedded PostgreSQL for the whole run, and copies of a migrated template in it."""

from __future__ import annotations

import asyncio
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kata_grpc.db import connect, migrate

if TYPE_CHECKING:
    from collections.abc import Coroutine

TEMPLATE = "kata_template"


def with_database(url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


class Databases:
    """Makes and drops databases. Blocks, and can be called from anywhere: its loop has a thread of its own."""

    def __init__(self, admin_url: str) -> None:
        self.admin_url = admin_url
        self._numbers = itertools.count(1)
        self._thread = ThreadPoolExecutor(1, "databases")

    def _run(self, work: Coroutine[None, None, None]) -> None:
        self._thread.submit(asyncio.run, work).result()

    def execute(self, statement: str, url: str = "") -> None:
        """Run a statement, by default in the administrator's database."""

        async def work() -> None:
            connection = await connect.open_connection(url or self.admin_url)
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        self._run(work())

    def make_template(self) -> None:
        """Migrate the database that the others are copies of."""
        self.execute(f"create database {TEMPLATE}")
        self._run(migrate.upgrade(with_database(self.admin_url, TEMPLATE)))

    def create(self, *, empty: bool = False) -> str:
        """Make a database with the newest schema, or with none, and return its URL."""
        name = f"t{next(self._numbers)}"
        self.execute(f"create database {name} template {'template0' if empty else TEMPLATE}")
        return with_database(self.admin_url, name)

    def drop(self, url: str) -> None:
        """Drop a database, whoever still uses it."""
        self.execute(f"drop database {urlsplit(url).path.strip('/')} with (force)")
