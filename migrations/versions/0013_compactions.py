"""Compactions: what they hide and what stands in its place, which one is in force at which revision, and what is due.

Run before the code that uses it; it may be run while the code before it works. Adds columns that are null or have a
constant default, which rewrites nothing, tables, and an index on rows that do not exist yet: the tables `contexts` and
`removals` are locked against writers for as long as it takes to read each once. Going back drops all of it: windows
are of the whole log again, and nothing that was hidden is lost but the summaries.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0013"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("contexts", sa.Column("compaction_id", pg.UUID()))
    op.add_column("contexts", sa.Column("compaction_revision", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("contexts", sa.Column("due_tokens", sa.BigInteger()))
    op.add_column("contexts", sa.Column("due_version", sa.BigInteger()))
    op.add_column("contexts", sa.Column("due_time", pg.TIMESTAMP(timezone=True)))
    op.create_index("contexts_due_ix", "contexts", ["due_time"], postgresql_where=sa.text("due_time is not null"))
    op.create_index("removals_revision_ix", "removals", ["context_id", "revision"])
    op.create_table(
        "compactions",
        sa.Column("context_id", pg.UUID(), nullable=False),
        sa.Column("compaction_id", pg.UUID(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("create_time", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("lease_time", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("end_time", pg.TIMESTAMP(timezone=True)),
        sa.Column("revision", sa.BigInteger()),
        sa.Column("request_id", sa.Text()),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("previous_id", pg.UUID()),
        sa.Column("previous_revision", sa.BigInteger(), nullable=False),
        sa.Column("base_version", sa.BigInteger(), nullable=False),
        sa.Column("base_revision", sa.BigInteger(), nullable=False),
        sa.Column("policy_revision", sa.BigInteger(), nullable=False),
        sa.Column("first_version", sa.BigInteger(), nullable=False),
        sa.Column("last_version", sa.BigInteger(), nullable=False),
        sa.Column("covered", pg.INT8MULTIRANGE(), nullable=False),
        sa.Column("added", pg.INT8MULTIRANGE(), nullable=False),
        sa.Column("plan", pg.JSONB(), nullable=False),
        sa.Column("summariser", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("summary", sa.Text()),
        sa.Column("summary_tokens", sa.BigInteger()),
        sa.Column("summary_state", sa.Text()),
        sa.Column("erase_time", pg.TIMESTAMP(timezone=True)),
        sa.Column("origin_id", pg.UUID()),
        sa.PrimaryKeyConstraint("context_id", "compaction_id", name="compactions_pk"),
        comment="Compactions of a view, from begun to committed or given up, each with all that it hides.",
    )
    op.create_index(
        "compactions_begun_uq", "compactions", ["context_id"], unique=True, postgresql_where=sa.text("state = 'begun'")
    )
    op.create_index(
        "compactions_request_uq",
        "compactions",
        ["context_id", "request_id"],
        unique=True,
        postgresql_where=sa.text("request_id is not null"),
    )
    op.create_index("compactions_newest_ix", "compactions", ["context_id", "token"])
    op.create_table(
        "compactions_in_force",
        sa.Column("context_id", pg.UUID(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("compaction_id", pg.UUID()),
        sa.PrimaryKeyConstraint("context_id", "revision", name="compactions_in_force_pk"),
        comment="Which compaction is in force from a revision on; none where it is null.",
    )
    op.create_table(
        "compaction_sources",
        sa.Column("context_id", pg.UUID(), nullable=False),
        sa.Column("last_version", sa.BigInteger(), nullable=False),
        sa.Column("compacted_id", pg.UUID(), nullable=False),
        sa.Column("compaction_id", pg.UUID(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("first_version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "context_id", "last_version", "compacted_id", "compaction_id", name="compaction_sources_pk"
        ),
        comment="Whose messages a compaction was made of: by it erasure finds the summaries of a message.",
    )


def downgrade() -> None:
    for table in ("compaction_sources", "compactions_in_force", "compactions"):
        op.drop_table(table)
    op.drop_index("removals_revision_ix", "removals")
    op.drop_index("contexts_due_ix", "contexts")
    for column in ("due_time", "due_version", "due_tokens", "compaction_revision", "compaction_id"):
        op.drop_column("contexts", column)
