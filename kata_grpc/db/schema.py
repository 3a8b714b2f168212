"""The schema as SQLAlchemy sees it, for Alembic's comparison and the tests. Queries are SQL; nothing here makes tables.

Every table about a context has the context's id first in its primary key and unique indexes, so that a distributed
PostgreSQL can keep a context's rows together.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

metadata = sa.MetaData()

_TIME = pg.TIMESTAMP(timezone=True)


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")


contexts = sa.Table(
    "contexts",
    metadata,
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
    sa.Column("create_time", _TIME, nullable=False),
    sa.Column("update_time", _TIME, nullable=False),
    sa.Column("delete_time", _TIME),
    _count("update_revision"),
    _count("latest_revision"),
    _count("latest_version"),
    _count("total_tokens"),
    _count("total_items"),
    _count("inexact_messages"),
    _count("pinned_tokens"),
    _count("pinned_messages"),
    _count("pinned_items"),
    _count("turn_version"),
    sa.Column("open_calls", pg.JSONB(), nullable=False, server_default="{}"),
    sa.Column("chain", sa.LargeBinary(), nullable=False),
    _count("policy_revision"),
    sa.Column("policy", sa.LargeBinary()),
    sa.Column("parent_id", pg.UUID()),
    sa.Column("fork_version", sa.BigInteger()),
    sa.Column("fork_revision", sa.BigInteger()),
    sa.Column("depth", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("segments", pg.JSONB()),
    sa.Column("child_number", sa.BigInteger()),
    sa.Column("has_removals", sa.Boolean(), nullable=False, server_default="false"),
    sa.Column("compaction_id", pg.UUID()),
    _count("compaction_revision"),
    sa.Column("due_tokens", sa.BigInteger()),
    sa.Column("due_version", sa.BigInteger()),
    sa.Column("due_time", _TIME),
    sa.PrimaryKeyConstraint("id", name="contexts_pk"),
    sa.CheckConstraint("latest_version >= 0", name="contexts_latest_version_is_not_negative_ck"),
    sa.CheckConstraint("jsonb_typeof(labels) = 'object'", name="contexts_labels_are_an_object_ck"),
    comment="One conversation a row, with everything that an append depends on.",
)
sa.Index("contexts_newest_ix", contexts.c.tenant_id, contexts.c.create_time.desc(), contexts.c.id.desc())
sa.Index("contexts_name_ix", contexts.c.tenant_id, contexts.c.name, postgresql_ops={"name": "text_pattern_ops"})
sa.Index(
    "contexts_labels_ix",
    contexts.c.labels,
    postgresql_using="gin",
    postgresql_ops={"labels": "jsonb_path_ops"},
)
sa.Index(
    "contexts_children_ix",
    contexts.c.parent_id,
    contexts.c.child_number,
    contexts.c.id,
    postgresql_where=contexts.c.parent_id.is_not(None),
)
sa.Index("contexts_due_ix", contexts.c.due_time, postgresql_where=contexts.c.due_time.is_not(None))
sa.Index(
    "contexts_sources_ix",
    sa.literal_column("jsonb_path_query_array(segments, '$[*][0]')").label("sources"),
    _table=contexts,
    postgresql_using="gin",
    postgresql_ops={"sources": "jsonb_path_ops"},
    postgresql_where=contexts.c.segments.is_not(None),
)

context_names = sa.Table(
    "context_names",
    metadata,
    sa.Column("tenant_id", sa.Text(), nullable=False),
    sa.Column("name", sa.Text(), nullable=False),
    sa.Column("context_id", pg.UUID(), nullable=False),
    sa.PrimaryKeyConstraint("tenant_id", "name", name="context_names_pk"),
    comment="Names that live contexts hold for themselves.",
)

revisions = sa.Table(
    "revisions",
    metadata,
    sa.Column("context_id", pg.UUID(), nullable=False),
    sa.Column("revision", sa.BigInteger(), nullable=False),
    sa.Column("tenant_id", sa.Text(), nullable=False),
    sa.Column("kind", sa.Text(), nullable=False),
    sa.Column("first_version", sa.BigInteger()),
    sa.Column("last_version", sa.BigInteger(), nullable=False),
    sa.Column("create_time", _TIME, nullable=False),
    sa.Column("request_id", sa.Text()),
    sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
    sa.Column("chain", sa.LargeBinary(), nullable=False),
    sa.Column("detail", pg.JSONB()),
    sa.Column("origin_id", pg.UUID()),
    sa.PrimaryKeyConstraint("context_id", "revision", name="revisions_pk"),
    # No foreign key: what inserts a revision has just locked the row of its context.
    comment="Every change of a context, in commit order; the claim of its request_id.",
)
sa.Index(
    "revisions_request_uq",
    revisions.c.context_id,
    revisions.c.request_id,
    unique=True,
    postgresql_where=revisions.c.request_id.is_not(None),
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("context_id", pg.UUID(), nullable=False),
    sa.Column("version", sa.BigInteger(), nullable=False),
    sa.Column("tenant_id", sa.Text(), nullable=False),
    sa.Column("revision", sa.BigInteger(), nullable=False),
    sa.Column("create_time", _TIME, nullable=False),
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
    sa.Column("record", sa.LargeBinary()),
    sa.Column("labels", pg.ARRAY(sa.Text())),
    sa.Column("redact_revision", sa.BigInteger()),
    sa.Column("origin_id", pg.UUID()),
    sa.PrimaryKeyConstraint("context_id", "version", name="messages_pk"),
    sa.CheckConstraint("version > 0", name="messages_version_is_positive_ck"),
    sa.CheckConstraint("token_count >= 0 and item_count >= 0", name="messages_counts_are_not_negative_ck"),
    sa.CheckConstraint("group_version between 0 and version", name="messages_group_is_not_later_ck"),
    comment="One message a row, immutable, with the running state of its context after it.",
)
sa.Index(
    "messages_pinned_ix",
    messages.c.context_id,
    messages.c.version,
    postgresql_where=sa.text("role in ('system', 'developer')"),
)
sa.Index(
    "messages_group_ix",
    messages.c.context_id,
    messages.c.group_version,
    messages.c.version,
    postgresql_where=sa.text("group_version < version"),
)

sa.Index(
    "messages_labels_ix",
    messages.c.context_id,
    messages.c.version,
    postgresql_where=messages.c.labels.is_not(None),
)
sa.Index(
    "messages_origin_ix",
    messages.c.origin_id,
    messages.c.version,
    postgresql_where=messages.c.origin_id.is_not(None),
)

removals = sa.Table(
    "removals",
    metadata,
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
sa.Index("removals_revision_ix", removals.c.context_id, removals.c.revision)
sa.Index(
    "removals_long_ix",
    removals.c.context_id,
    removals.c.first_version,
    postgresql_where=sa.text("last_version - first_version >= 64"),
)

redactions = sa.Table(
    "redactions",
    metadata,
    sa.Column("context_id", pg.UUID(), nullable=False),
    sa.Column("version", sa.BigInteger(), nullable=False),
    sa.Column("group_version", sa.BigInteger(), nullable=False),
    sa.Column("tenant_id", sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint("context_id", "version", name="redactions_pk"),
    comment="Messages whose content was erased, with the group that is out of all windows since.",
)
sa.Index("redactions_group_ix", redactions.c.context_id, redactions.c.group_version)

tags = sa.Table(
    "tags",
    metadata,
    sa.Column("context_id", pg.UUID(), nullable=False),
    sa.Column("name", sa.Text(), nullable=False),
    sa.Column("tenant_id", sa.Text(), nullable=False),
    sa.Column("version", sa.BigInteger(), nullable=False),
    sa.Column("revision", sa.BigInteger(), nullable=False),
    sa.Column("create_time", _TIME, nullable=False),
    sa.Column("update_time", _TIME, nullable=False),
    sa.PrimaryKeyConstraint("context_id", "name", name="tags_pk"),
    comment="Names of snapshots: a version and the revision whose overlays hold.",
)

purged_contexts = sa.Table(
    "purged_contexts",
    metadata,
    sa.Column("context_id", pg.UUID(), nullable=False),
    sa.Column("tenant_id", sa.Text(), nullable=False),
    sa.Column("purge_time", _TIME, nullable=False),
    sa.Column("request_id", sa.Text()),
    sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
    sa.Column("receipt", pg.JSONB(), nullable=False),
    sa.Column("remaining", sa.BigInteger()),
    sa.PrimaryKeyConstraint("context_id", name="purged_contexts_pk"),
    comment="What is left of purged contexts: that they were, and what was erased. Their ids are never used again.",
)
sa.Index(
    "purged_contexts_remaining_ix",
    purged_contexts.c.context_id,
    postgresql_where=purged_contexts.c.remaining.is_not(None),
)

policies = sa.Table(
    "policies",
    metadata,
    sa.Column("context_id", pg.UUID(), nullable=False),
    sa.Column("revision", sa.BigInteger(), nullable=False),
    sa.Column("tenant_id", sa.Text(), nullable=False),
    sa.Column("policy", sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint("context_id", "revision", name="policies_pk"),
    comment="Every policy that a context had, under the revision that set it.",
)

compactions = sa.Table(
    "compactions",
    metadata,
    sa.Column("context_id", pg.UUID(), nullable=False),
    sa.Column("compaction_id", pg.UUID(), nullable=False),
    sa.Column("tenant_id", sa.Text(), nullable=False),
    sa.Column("state", sa.Text(), nullable=False),
    sa.Column("token", sa.BigInteger(), nullable=False),
    sa.Column("create_time", _TIME, nullable=False),
    sa.Column("lease_time", _TIME, nullable=False),
    sa.Column("end_time", _TIME),
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
    sa.Column("erase_time", _TIME),
    sa.Column("origin_id", pg.UUID()),
    sa.PrimaryKeyConstraint("context_id", "compaction_id", name="compactions_pk"),
    comment="Compactions of a view, from begun to committed or given up, each with all that it hides.",
)
sa.Index(
    "compactions_begun_uq",
    compactions.c.context_id,
    unique=True,
    postgresql_where=sa.text("state = 'begun'"),
)
sa.Index(
    "compactions_request_uq",
    compactions.c.context_id,
    compactions.c.request_id,
    unique=True,
    postgresql_where=compactions.c.request_id.is_not(None),
)
sa.Index("compactions_newest_ix", compactions.c.context_id, compactions.c.token)
sa.Index(
    "compactions_origin_ix",
    compactions.c.origin_id,
    compactions.c.compaction_id,
    postgresql_where=compactions.c.origin_id.is_not(None),
)

compactions_in_force = sa.Table(
    "compactions_in_force",
    metadata,
    sa.Column("context_id", pg.UUID(), nullable=False),
    sa.Column("revision", sa.BigInteger(), nullable=False),
    sa.Column("tenant_id", sa.Text(), nullable=False),
    sa.Column("compaction_id", pg.UUID()),
    sa.PrimaryKeyConstraint("context_id", "revision", name="compactions_in_force_pk"),
    comment="Which compaction is in force from a revision on; none where it is null.",
)

compaction_sources = sa.Table(
    "compaction_sources",
    metadata,
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

tenant_policies = sa.Table(
    "tenant_policies",
    metadata,
    sa.Column("tenant_id", sa.Text(), nullable=False),
    sa.Column("revision", sa.BigInteger(), nullable=False),
    sa.Column("policy", sa.LargeBinary(), nullable=False),
    sa.Column("create_time", _TIME, nullable=False),
    sa.Column("request_id", sa.Text()),
    sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
    sa.Column("due_tokens", sa.BigInteger()),
    sa.Column("due_version", sa.BigInteger()),
    sa.PrimaryKeyConstraint("tenant_id", "revision", name="tenant_policies_pk"),
    comment="Every policy that a tenant had, and when a new context is due by it.",
)
sa.Index(
    "tenant_policies_request_uq",
    tenant_policies.c.tenant_id,
    tenant_policies.c.request_id,
    unique=True,
    postgresql_where=tenant_policies.c.request_id.is_not(None),
)

installation = sa.Table(
    "installation",
    metadata,
    sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
    sa.Column("token_key", sa.LargeBinary(), nullable=False),
    sa.Column("retention_holder", pg.UUID()),
    sa.Column("retention_until", _TIME),
    sa.Column("retention_time", _TIME),
    sa.PrimaryKeyConstraint("id", name="installation_pk"),
    sa.CheckConstraint("id = 1", name="installation_is_one_row_ck"),
    comment="What all workers share: the key under which page and resume tokens are made.",
)

message_embeddings = sa.Table(
    "message_embeddings",
    metadata,
    sa.Column("context_id", pg.UUID(), nullable=False),
    sa.Column("version", sa.BigInteger(), nullable=False),
    sa.Column("model", sa.Text(), nullable=False),
    sa.Column("tenant_id", sa.Text(), nullable=False),
    sa.Column("embedding", pg.ARRAY(sa.REAL()), nullable=False),
    sa.PrimaryKeyConstraint("context_id", "version", "model", name="message_embeddings_pk"),
    sa.CheckConstraint("cardinality(embedding) > 0", name="message_embeddings_have_a_dimension_ck"),
    comment="Embeddings of messages, one row a model, of any dimension; beside the hot table, never in it.",
)
