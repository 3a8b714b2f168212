"""Contexts, their revisions and messages.

Run before the code that uses it. Creates tables only: it locks nothing that exists. Going back drops them with all
their content.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

FOLD_CALLS = """
create function kata_fold_calls(open_calls jsonb, steps jsonb, base bigint)
returns table (step int, group_version bigint, open_after jsonb)
language plpgsql immutable parallel safe
as $$
-- Follows tool calls through a batch. `open_calls` maps a call's key to the versions of the groups in which it is open,
-- oldest first. `steps` has an object a message: "c" the keys it calls, "r" the keys it answers, "a" whether it does
-- nothing but answer. A result belongs to the newest open call of its key; a message of several results to the newest
-- of their groups; a message that answers nothing known, and does nothing else, to group 0.
declare
  entry jsonb;
  call_key text;
  own bigint;
  found_group bigint;
  open_in bigint;
begin
  for i in 0 .. jsonb_array_length(steps) - 1 loop
    entry := steps -> i;
    own := base + i + 1;
    found_group := null;
    if entry ? 'r' then
      for call_key in select jsonb_array_elements_text(entry -> 'r') loop
        open_in := (open_calls -> call_key ->> -1)::bigint;
        if open_in is not null then
          found_group := greatest(found_group, open_in);
          if jsonb_array_length(open_calls -> call_key) = 1 then
            open_calls := open_calls - call_key;
          else
            open_calls := open_calls #- array[call_key, '-1'];
          end if;
        end if;
      end loop;
    end if;
    found_group := coalesce(found_group, case when entry ? 'a' then 0 else own end);
    if entry ? 'c' then
      for call_key in select jsonb_array_elements_text(entry -> 'c') loop
        open_calls := jsonb_set(
          open_calls, array[call_key], coalesce(open_calls -> call_key, '[]'::jsonb) || to_jsonb(found_group));
      end loop;
    end if;
    step := i + 1;
    group_version := found_group;
    open_after := open_calls;
    return next;
  end loop;
end
$$
"""


def upgrade() -> None:
    op.create_table(
        "contexts",
        sa.Column("id", pg.UUID(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("unique_name", sa.Boolean(), nullable=False),
        sa.Column("labels", pg.JSONB(), nullable=False),
        sa.Column("metadata_json", sa.Text(), nullable=False),
        sa.Column("tokenizer", sa.Text(), nullable=False),
        sa.Column("origin_format", sa.Text()),
        sa.Column("origin_id", sa.Text()),
        sa.Column("origin_extra_json", sa.Text()),
        sa.Column("create_time", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("update_time", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("delete_time", pg.TIMESTAMP(timezone=True)),
        sa.Column("update_revision", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("latest_revision", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("latest_version", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("total_items", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("inexact_messages", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("pinned_tokens", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("pinned_messages", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("pinned_items", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("turn_version", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("open_calls", pg.JSONB(), nullable=False, server_default="{}"),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="contexts_pk"),
        sa.CheckConstraint("latest_version >= 0", name="contexts_latest_version_is_not_negative_ck"),
        sa.CheckConstraint("jsonb_typeof(labels) = 'object'", name="contexts_labels_are_an_object_ck"),
        comment="One conversation a row, with everything that an append depends on.",
    )
    op.create_index("contexts_newest_ix", "contexts", ["tenant_id", sa.text("create_time desc"), sa.text("id desc")])
    op.create_index("contexts_name_ix", "contexts", ["tenant_id", "name"], postgresql_ops={"name": "text_pattern_ops"})
    op.create_index(
        "contexts_labels_ix",
        "contexts",
        ["labels"],
        postgresql_using="gin",
        postgresql_ops={"labels": "jsonb_path_ops"},
    )

    op.create_table(
        "context_names",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("context_id", pg.UUID(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name="context_names_pk"),
        comment="Names that live contexts hold for themselves.",
    )

    op.create_table(
        "revisions",
        sa.Column("context_id", pg.UUID(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("first_version", sa.BigInteger()),
        sa.Column("last_version", sa.BigInteger(), nullable=False),
        sa.Column("create_time", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("request_id", sa.Text()),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("chain", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("context_id", "revision", name="revisions_pk"),
        sa.ForeignKeyConstraint(["context_id"], ["contexts.id"], name="revisions_context_fk"),
        comment="Every change of a context, in commit order; the claim of its request_id.",
    )
    op.create_index(
        "revisions_request_uq",
        "revisions",
        ["context_id", "request_id"],
        unique=True,
        postgresql_where=sa.text("request_id is not null"),
    )

    op.create_table(
        "messages",
        sa.Column("context_id", pg.UUID(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("create_time", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("group_version", sa.BigInteger(), nullable=False),
        sa.Column("token_count", sa.Integer(), nullable=False),
        sa.Column("item_count", sa.Integer(), nullable=False),
        sa.Column("token_count_source", sa.Text(), nullable=False),
        sa.Column("total_tokens", sa.BigInteger(), nullable=False),
        sa.Column("total_items", sa.BigInteger(), nullable=False),
        sa.Column("inexact_messages", sa.BigInteger(), nullable=False),
        sa.Column("pinned_tokens", sa.BigInteger(), nullable=False),
        sa.Column("pinned_messages", sa.BigInteger(), nullable=False),
        sa.Column("pinned_items", sa.BigInteger(), nullable=False),
        sa.Column("turn_version", sa.BigInteger(), nullable=False),
        sa.Column("open_calls", pg.JSONB()),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("context_id", "version", name="messages_pk"),
        # No foreign key: the statement that inserts a message has just locked its context, and a key checked for each
        # message would lock it again, a thousand times in the largest batch.
        sa.CheckConstraint("version > 0", name="messages_version_is_positive_ck"),
        sa.CheckConstraint("token_count >= 0 and item_count >= 0", name="messages_counts_are_not_negative_ck"),
        sa.CheckConstraint("group_version between 0 and version", name="messages_group_is_not_later_ck"),
        comment="One message a row, immutable, with the running state of its context after it.",
    )
    op.create_index(
        "messages_pinned_ix",
        "messages",
        ["context_id", "version"],
        postgresql_where=sa.text("role in ('system', 'developer')"),
    )
    op.create_index(
        "messages_group_ix",
        "messages",
        ["context_id", "group_version", "version"],
        postgresql_where=sa.text("group_version < version"),
    )
    op.execute(FOLD_CALLS)

    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("token_key", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="installation_pk"),
        sa.CheckConstraint("id = 1", name="installation_is_one_row_ck"),
        comment="What all workers share: the key under which page and resume tokens are made.",
    )
    op.execute(
        "insert into installation (id, token_key) "
        "values (1, sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')))"
    )


def downgrade() -> None:
    op.drop_table("installation")
    op.drop_table("messages")
    op.execute("drop function kata_fold_calls(jsonb, jsonb, bigint)")
    op.drop_table("revisions")
    op.drop_table("context_names")
    op.drop_table("contexts")
