"""What Alembic runs for each command. The connection comes from `kata_grpc.db.migrate`, which also holds the lock."""

from __future__ import annotations

from alembic import context

from kata_grpc.db.schema import metadata

# One transaction for all steps: a failing step leaves the schema as it was. A step that cannot run inside one
# (`create index concurrently`) says so with `op.get_context().autocommit_block()`.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_server_default=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
