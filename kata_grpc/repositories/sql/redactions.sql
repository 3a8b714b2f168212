-- Statements that erase the content of messages: first of those that were asked for, where they lie, then of the copies
-- that flattening has made, by later statements of the same transaction, so that they see a copy that was on its way.

-- name: find_messages_to_erase
-- Messages of a lineage by version, with who appended each and what stays of it. $1 tenant_id, $2 source, $3 first and
-- $4 last version of each segment of the lineage, $5 versions
select m.version, coalesce(m.origin_id, m.context_id) as owner_id, m.role, m.token_count, m.token_count_source,
       m.redact_revision,
       kata_stamp(m.version, m.revision, (extract(epoch from m.create_time) * 1000000)::bigint) as stamp
from unnest($2::uuid[], $3::bigint[], $4::bigint[]) as g(source_id, first, last)
cross join lateral (
  select * from messages
  where context_id = g.source_id and tenant_id = $1 and version = any ($5::bigint[]) and version between g.first and g.last
) m
order by m.version;

-- name: lock_logs
-- Contexts whose messages are erased, under a lock that those wait for who are about to make a summary of them.
-- $1 ids, $2 tenant_id
select id from contexts where id = any ($1::uuid[]) and tenant_id = $2 order by id for update;

-- name: next_stamp
-- The time that the next revision of a locked context has. $1 id, $2 tenant_id
select greatest(clock_timestamp(), update_time) from contexts where id = $1 and tenant_id = $2;

-- name: erase_messages
-- Puts records without content in the place of messages. $1 tenant_id, $2 context, $3 version and $4 new record of each,
-- $5 revision
update messages m
set record = w.record, labels = null, redact_revision = $5::bigint
from unnest($2::uuid[], $3::bigint[], $4::bytea[]) as w(context_id, version, record)
where m.context_id = w.context_id and m.tenant_id = $1 and m.version = w.version and m.redact_revision is null
returning m.context_id, m.version, m.group_version;

-- name: erase_copies
-- Does the same to copies of messages. $1 to $5 as there
update messages m
set record = w.record, labels = null, redact_revision = $5::bigint
from unnest($2::uuid[], $3::bigint[], $4::bytea[]) as w(owner_id, version, record)
where m.origin_id = w.owner_id and m.tenant_id = $1 and m.version = w.version and m.redact_revision is null
returning m.context_id, m.version, m.group_version;

-- name: keep_redactions
-- Notes which messages were erased, for windows, which leave their groups out. $1 tenant_id, $2 context, $3 version and
-- $4 group of each
insert into redactions (context_id, version, group_version, tenant_id)
select r.context_id, r.version, r.group_version, $1
from unnest($2::uuid[], $3::bigint[], $4::bigint[]) as r(context_id, version, group_version)
on conflict (context_id, version) do nothing;

-- name: erase_embeddings
-- Erases the embeddings of messages; returns how many. $1 tenant_id, $2 context and $3 version of each
with gone as (
  delete from message_embeddings e
  using unnest($2::uuid[], $3::bigint[]) as r(context_id, version)
  where e.context_id = r.context_id and e.tenant_id = $1 and e.version = r.version
  returning e.version
)
select count(*) from gone;

-- name: redact_context
-- Takes the revision of a redaction. The caller holds the row's lock. $1 id, $2 tenant_id, $3 time as of next_stamp,
-- $4 detail, $5 request_id, $6 fingerprint
with changed as (
  update contexts
  set latest_revision = latest_revision + 1, update_time = $3,
      chain = sha256(chain || $6::bytea || convert_to($4::jsonb::text, 'UTF8'))
  where id = $1 and tenant_id = $2
  returning *
), claimed as (
  insert into revisions (context_id, revision, tenant_id, kind, last_version, create_time, request_id, fingerprint, chain,
                         detail)
  select id, latest_revision, tenant_id, 'redact', latest_version, update_time, $5, $6, chain, $4::jsonb from changed
)
select * from changed;
