"""Embeddings of messages, and the vector extension where the server has it.

Run before the code that uses it. Creates a table only: it locks nothing that exists. Where pgvector is not installed,
or may not be created by this role, the table is there all the same and vector search is off; `create extension vector`
turns it on later. Going back drops the table with its content and leaves the extension, which others may use.

Embeddings are `real[]`, which pgvector casts to `vector(n)`: an index on the cast expression fixes a model's dimension,
a column of type `vector` would fix nothing more and would make the schema depend on the extension.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

CREATE_VECTOR = """
do $$
begin
  if exists (select from pg_available_extensions where name = 'vector') then
    create extension if not exists vector;
  end if;
exception
  when insufficient_privilege then
    raise notice 'this role may not create the extension vector: vector search stays off';
end
$$
"""


def upgrade() -> None:
    op.execute(CREATE_VECTOR)
    op.create_table(
        "message_embeddings",
        sa.Column("context_id", pg.UUID(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("embedding", pg.ARRAY(sa.REAL()), nullable=False),
        sa.PrimaryKeyConstraint("context_id", "version", "model", name="message_embeddings_pk"),
        sa.CheckConstraint("cardinality(embedding) > 0", name="message_embeddings_have_a_dimension_ck"),
        comment="Embeddings of messages, one row a model, of any dimension; beside the hot table, never in it.",
    )


def downgrade() -> None:
    op.drop_table("message_embeddings")
