-- Statements that erase contexts: first the context's row, which makes it unreachable, then its other rows, a batch at a
-- time. Every row of a context has a number, the version or the revision that it is about: batches are taken from the
-- highest down, and how far they have come stands in purged_contexts.

-- name: count_readers
-- How many contexts read the log of a context, and the first of them. $1 id, $2 tenant_id, $3 how many to name
with readers as materialized (
  select id, create_time from contexts
  where jsonb_path_query_array(segments, '$[*][0]') @> jsonb_build_array($1::uuid) and segments is not null
    and tenant_id = $2
)
select (select count(*) from readers) as count,
       array(select id from readers order by create_time, id limit $3::int) as ids;

-- name: purge_context
-- Takes a context's row away and leaves the receipt in its place. The caller holds the row's lock.
-- $1 id, $2 tenant_id, $3 request_id, $4 fingerprint
with gone as (
  delete from contexts where id = $1 and tenant_id = $2
  returning id, tenant_id, greatest(latest_version, latest_revision) as number, pg_column_size(row(contexts.*)) as bytes
)
insert into purged_contexts (context_id, tenant_id, purge_time, request_id, fingerprint, receipt, remaining)
select id, tenant_id, clock_timestamp(), $3, $4,
       jsonb_build_object('contexts', jsonb_build_object('rows', 1, 'bytes', bytes)), number
from gone
returning purge_time, request_id, fingerprint, receipt, remaining;

-- name: find_purged
-- What is left of a purged context. $1 id, $2 tenant_id
select purge_time, request_id, fingerprint, receipt, remaining
from purged_contexts where context_id = $1 and tenant_id = $2;

-- name: lock_purged
-- What is left of a purged context, under a lock for which others wait who erase its rows. $1 id, $2 tenant_id
select purge_time, request_id, fingerprint, receipt, remaining
from purged_contexts where context_id = $1 and tenant_id = $2 for update;

-- name: erase_rows
-- Erases the next rows of a purged context and adds them to its receipt; none remain once `remaining` is null. The caller
-- holds the lock of lock_purged, and tells what that says. Tags and compactions go last, as they have no index by number.
-- $1 context_id, $2 tenant_id, $3 remaining, $4 about how many rows of a table, $5 bytes of messages, but one message at
-- least
with lowest as materialized (
  select greatest(
    (select case when count(*) < $4::int and bool_and(fits) then 0 else min(version) filter (where fits) end
     from (
       select version, bytes <= $5::bigint or bytes = size as fits
       from (
         select version, size, sum(size) over (order by version desc) as bytes
         from (
           select version, coalesce(octet_length(record), 0) as size
           from messages
           where context_id = $1 and tenant_id = $2 and version <= $3
           order by version desc
           limit $4
         ) p
       ) q
     ) r),
    (select revision from revisions where context_id = $1 and tenant_id = $2 and revision <= $3
     order by revision desc offset $4 - 1 limit 1),
    (select version from message_embeddings where context_id = $1 and tenant_id = $2 and version <= $3
     order by version desc offset $4 - 1 limit 1),
    (select first_version from removals where context_id = $1 and tenant_id = $2 and first_version <= $3
     order by first_version desc offset $4 - 1 limit 1),
    0) as number
), erased_messages as (
  delete from messages
  where context_id = $1 and tenant_id = $2 and version >= (select number from lowest) and version <= $3
  returning coalesce(octet_length(record), 0) as bytes
), erased_embeddings as (
  delete from message_embeddings
  where context_id = $1 and tenant_id = $2 and version >= (select number from lowest) and version <= $3
  returning pg_column_size(embedding) as bytes
), erased_revisions as (
  delete from revisions
  where context_id = $1 and tenant_id = $2 and revision >= (select number from lowest) and revision <= $3
  returning pg_column_size(row(revisions.*)) as bytes
), erased_policies as (
  delete from policies
  where context_id = $1 and tenant_id = $2 and revision >= (select number from lowest) and revision <= $3
  returning octet_length(policy) as bytes
), erased_removals as (
  delete from removals
  where context_id = $1 and tenant_id = $2 and first_version >= (select number from lowest) and first_version <= $3
  returning pg_column_size(row(removals.*)) as bytes
), erased_redactions as (
  delete from redactions
  where context_id = $1 and tenant_id = $2 and version >= (select number from lowest) and version <= $3
  returning pg_column_size(row(redactions.*)) as bytes
), erased_tags as (
  delete from tags
  where context_id = $1 and tenant_id = $2 and (select number from lowest) = 0
  returning pg_column_size(row(tags.*)) as bytes
), erased_compactions as (
  delete from compactions
  where context_id = $1 and tenant_id = $2 and (select number from lowest) = 0
  returning pg_column_size(row(compactions.*)) as bytes
), erased_in_force as (
  delete from compactions_in_force
  where context_id = $1 and tenant_id = $2 and revision >= (select number from lowest) and revision <= $3
  returning pg_column_size(row(compactions_in_force.*)) as bytes
), erased_sources as (
  delete from compaction_sources
  where context_id = $1 and tenant_id = $2 and last_version >= (select number from lowest) and last_version <= $3
  returning pg_column_size(row(compaction_sources.*)) as bytes
), erased (name, rows, bytes) as (
  select 'messages', count(*), sum(bytes) from erased_messages
  union all select 'message_embeddings', count(*), sum(bytes) from erased_embeddings
  union all select 'revisions', count(*), sum(bytes) from erased_revisions
  union all select 'policies', count(*), sum(bytes) from erased_policies
  union all select 'removals', count(*), sum(bytes) from erased_removals
  union all select 'redactions', count(*), sum(bytes) from erased_redactions
  union all select 'tags', count(*), sum(bytes) from erased_tags
  union all select 'compactions', count(*), sum(bytes) from erased_compactions
  union all select 'compactions_in_force', count(*), sum(bytes) from erased_in_force
  union all select 'compaction_sources', count(*), sum(bytes) from erased_sources
)
update purged_contexts p
set remaining = nullif(l.number, 0) - 1,
    receipt = p.receipt || coalesce(
      (select jsonb_object_agg(e.name, jsonb_build_object(
                'rows', coalesce((p.receipt -> e.name ->> 'rows')::bigint, 0) + e.rows,
                'bytes', coalesce((p.receipt -> e.name ->> 'bytes')::bigint, 0) + e.bytes))
       from erased e where e.rows > 0),
      '{}'::jsonb)
from lowest l
where p.context_id = $1 and p.tenant_id = $2
returning p.purge_time, p.request_id, p.fingerprint, p.receipt, p.remaining;

-- name: measure_rows
-- The rows that erase_rows would erase, with the same sizes, and the context's own, of a range of numbers. Those without
-- an index by number are counted with the first of the ranges, which starts at 0.
-- $1 context_id, $2 tenant_id, $3 first and $4 last number
select 'contexts' as name, count(*) as rows, coalesce(sum(pg_column_size(row(c.*))), 0)::bigint as bytes
from contexts c where id = $1 and tenant_id = $2 and $3::bigint = 0
union all
select 'messages', count(*), coalesce(sum(octet_length(record)), 0)::bigint
from messages where context_id = $1 and tenant_id = $2 and version between $3 and $4
union all
select 'message_embeddings', count(*), coalesce(sum(pg_column_size(embedding)), 0)::bigint
from message_embeddings where context_id = $1 and tenant_id = $2 and version between $3 and $4
union all
select 'revisions', count(*), coalesce(sum(pg_column_size(row(t.*))), 0)::bigint
from revisions t where context_id = $1 and tenant_id = $2 and revision between $3 and $4
union all
select 'policies', count(*), coalesce(sum(octet_length(policy)), 0)::bigint
from policies where context_id = $1 and tenant_id = $2 and revision between $3 and $4
union all
select 'removals', count(*), coalesce(sum(pg_column_size(row(t.*))), 0)::bigint
from removals t where context_id = $1 and tenant_id = $2 and first_version between $3 and $4
union all
select 'redactions', count(*), coalesce(sum(pg_column_size(row(t.*))), 0)::bigint
from redactions t where context_id = $1 and tenant_id = $2 and version between $3 and $4
union all
select 'tags', count(*), coalesce(sum(pg_column_size(row(t.*))), 0)::bigint
from tags t where context_id = $1 and tenant_id = $2 and $3 = 0
union all
select 'compactions', count(*), coalesce(sum(pg_column_size(row(t.*))), 0)::bigint
from compactions t where context_id = $1 and tenant_id = $2 and $3 = 0
union all
select 'compactions_in_force', count(*), coalesce(sum(pg_column_size(row(t.*))), 0)::bigint
from compactions_in_force t where context_id = $1 and tenant_id = $2 and revision between $3 and $4
union all
select 'compaction_sources', count(*), coalesce(sum(pg_column_size(row(t.*))), 0)::bigint
from compaction_sources t where context_id = $1 and tenant_id = $2 and last_version between $3 and $4;
