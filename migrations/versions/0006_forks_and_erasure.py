"""Forks by reference, removals, redactions, tags, and what is left of purged contexts.

Run before the code that uses it; it may be run while the code before it works. Adds columns that are null or have a
constant default, which rewrites nothing, tables, and indexes on rows that do not exist yet: the tables `contexts` and
`messages` are locked against writers for as long as it takes to read each once. Going back drops all of it with its
content: forks lose what they inherit, so that it is refused while there are any; removed messages are visible again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NO_FORKS = """
do $$
begin
  if exists (select from contexts where parent_id is not null) then
    raise exception 'there are forks, which the schema before cannot hold: purge them first';
  end if;
end
$$
"""


def upgrade() -> None:
    op.add_column("contexts", sa.Column("parent_id", pg.UUID()))
    op.add_column("contexts", sa.Column("fork_version", sa.BigInteger()))
    op.add_column("contexts", sa.Column("fork_revision", sa.BigInteger()))
    op.add_column("contexts", sa.Column("depth", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("contexts", sa.Column("segments", pg.JSONB()))
    op.add_column("contexts", sa.Column("child_number", sa.BigInteger()))
    op.create_index(
        "contexts_children_ix",
        "contexts",
        ["parent_id", "child_number", "id"],
        postgresql_where=sa.text("parent_id is not null"),
    )
    op.add_column("contexts", sa.Column("has_removals", sa.Boolean(), nullable=False, server_default="false"))
    op.add_column("revisions", sa.Column("detail", pg.JSONB()))
    op.add_column("messages", sa.Column("redact_revision", sa.BigInteger()))
    op.add_column("messages", sa.Column("origin_id", pg.UUID()))
    op.create_index(
        "messages_origin_ix",
        "messages",
        ["origin_id", "version"],
        postgresql_where=sa.text("origin_id is not null"),
    )
    op.create_table(
        "removals",
        sa.Column("context_id", pg.UUID(), nullable=False),
        sa.Column("first_version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("last_version", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("removed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("context_id", "first_version", "revision", name="removals_pk"),
        sa.CheckConstraint("last_version >= first_version", name="removals_are_not_empty_ck"),
        comment="Runs of versions that a revision removed from the view or brought back; the newest revision holds.",
    )
    op.create_table(
        "redactions",
        sa.Column("context_id", pg.UUID(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("group_version", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("context_id", "version", name="redactions_pk"),
        comment="Messages whose content was erased, with the group that is out of all windows since.",
    )
    op.create_index("redactions_group_ix", "redactions", ["context_id", "group_version"])
    op.create_table(
        "tags",
        sa.Column("context_id", pg.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("create_time", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("update_time", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("context_id", "name", name="tags_pk"),
        comment="Names of snapshots: a version and the revision whose overlays hold.",
    )
    op.create_table(
        "purged_contexts",
        sa.Column("context_id", pg.UUID(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("purge_time", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("request_id", sa.Text()),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("receipt", pg.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("context_id", name="purged_contexts_pk"),
        comment="What is left of purged contexts: that they were, and what was erased. Their ids are never used again.",
    )


def downgrade() -> None:
    op.execute(NO_FORKS)
    for table in ("purged_contexts", "tags", "redactions", "removals"):
        op.drop_table(table)
    op.drop_index("messages_origin_ix", "messages")
    op.drop_column("messages", "origin_id")
    op.drop_column("messages", "redact_revision")
    op.drop_column("revisions", "detail")
    op.drop_index("contexts_children_ix", "contexts")
    for column in ("has_removals", "child_number", "segments", "depth", "fork_revision", "fork_version", "parent_id"):
        op.drop_column("contexts", column)
