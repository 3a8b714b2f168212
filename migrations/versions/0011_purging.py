"""What purging and retention need: who reads a log, what is left to erase, that no id comes back, and whose turn it is.

Run before the code that uses it; it may be run while the code before it works. Adds columns that are null, a function
and two indexes, one of them over `contexts`, which is locked against writers for as long as it takes to read it. Going
back drops them; it is refused while rows of purged contexts are left, which the code before would never erase.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0011"
down_revision = "0013"
branch_labels = None
depends_on = None

# In plpgsql, and volatile: it looks at what is committed when it is called, which is later than what the statement that
# calls it sees.
REFUSE_PURGED = """
create function kata_refuse_purged(id uuid) returns boolean language plpgsql volatile as $$
begin
  if exists (select from purged_contexts p where p.context_id = id) then
    raise unique_violation using constraint = 'purged_contexts_pk', message = 'the id is that of a purged context';
  end if;
  return false;
end
$$
"""

NONE_LEFT = """
do $$
begin
  if exists (select from purged_contexts where remaining is not null) then
    raise exception 'purged contexts have rows that are not erased yet: run kata-grpc retention first';
  end if;
end
$$
"""


def upgrade() -> None:
    op.add_column("purged_contexts", sa.Column("remaining", sa.BigInteger()))
    op.create_index(
        "purged_contexts_remaining_ix",
        "purged_contexts",
        ["context_id"],
        postgresql_where=sa.text("remaining is not null"),
    )
    op.create_index(
        "contexts_sources_ix",
        "contexts",
        [sa.text("jsonb_path_query_array(segments, '$[*][0]') jsonb_path_ops")],
        postgresql_using="gin",
        postgresql_where=sa.text("segments is not null"),
    )
    op.add_column("installation", sa.Column("retention_holder", pg.UUID()))
    op.add_column("installation", sa.Column("retention_until", pg.TIMESTAMP(timezone=True)))
    op.add_column("installation", sa.Column("retention_time", pg.TIMESTAMP(timezone=True)))
    op.execute(REFUSE_PURGED)


def downgrade() -> None:
    op.execute(NONE_LEFT)
    op.execute("drop function kata_refuse_purged(uuid)")
    for name in ("retention_holder", "retention_until", "retention_time"):
        op.drop_column("installation", name)
    op.drop_index("contexts_sources_ix", "contexts")
    op.drop_index("purged_contexts_remaining_ix", "purged_contexts")
    op.drop_column("purged_contexts", "remaining")
