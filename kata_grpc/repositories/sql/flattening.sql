-- Statements that copy into a fork's log what it reads in its ancestors'. What is copied lies before the fork's own first
-- version and revision, where nobody looks as long as its row has segments: until they go, it may be there in part.

-- name: copied_version
-- The newest version that was copied, null before the first. $1 context_id, $2 tenant_id, $3 fork version
select max(version) from messages where context_id = $1 and tenant_id = $2 and version <= $3;

-- name: copied_revision
-- The newest revision that was copied, null before the first. $1 context_id, $2 tenant_id, $3 fork revision
select max(revision) from revisions where context_id = $1 and tenant_id = $2 and revision <= $3;

-- name: copy_messages
-- Copies a run of messages, and returns its last version. What is copied is locked against erasure until the copy is
-- there for all to see: who erases looks for copies after it has changed the original, and finds this one. A copy says
-- who appended it. Two that copy the same wait for each other, and the second finds it done. Null: the copying context is
-- gone, or the source, which then is none of its sources any more.
-- $1 source, $2 tenant_id, $3 copying context, $4 first and $5 last version, $6 limit, $7 bytes, but one message at least
with held as materialized (
  select id from contexts where id = $3 and tenant_id = $2 for key share
), page as materialized (
  select max(version) as last
  from (
    select version, size, sum(size) over (order by version) as bytes
    from (
      select version, coalesce(octet_length(record), 0) as size
      from messages
      where context_id = $1 and tenant_id = $2 and version between $4 and $5
      order by version
      limit $6
    ) p
  ) q
  where bytes <= $7::bigint or bytes = size
), copied as (
  insert into messages (context_id, version, tenant_id, revision, create_time, role, group_version, token_count,
                        item_count, token_count_source, total_tokens, total_items, inexact_messages, pinned_tokens,
                        pinned_messages, pinned_items, turn_version, open_calls, digest, record, labels,
                        redact_revision, origin_id)
  select $3, version, tenant_id, revision, create_time, role, group_version, token_count, item_count,
         token_count_source, total_tokens, total_items, inexact_messages, pinned_tokens, pinned_messages, pinned_items,
         turn_version, open_calls, digest, record, labels, redact_revision, coalesce(origin_id, context_id)
  from messages
  where context_id = $1 and tenant_id = $2 and version >= $4 and version <= (select last from page)
    and (select id from held) is not null
  for share
  on conflict (context_id, version) do nothing
)
select last from page where (select id from held) is not null;

-- name: copy_revisions
-- Copies a run of revisions, but the claims of request_ids, which stay with the context that made them; versions beyond
-- those that the fork has are not its history's. $1 source, $2 tenant_id, $3 copying context, $4 first and $5 last
-- revision, $6 last version
with held as materialized (
  select id from contexts where id = $3 and tenant_id = $2 for key share
)
insert into revisions (context_id, revision, tenant_id, kind, first_version, last_version, create_time, fingerprint,
                       chain, detail, origin_id)
select $3, revision, tenant_id, kind, case when first_version <= $6::bigint then first_version end,
       least(last_version, $6), create_time, fingerprint, chain, detail, coalesce(origin_id, context_id)
from revisions
where context_id = $1 and tenant_id = $2 and revision between $4 and $5 and (select id from held) is not null
on conflict (context_id, revision) do nothing;

-- name: copy_policies
-- Copies the policies that a lineage knows. $1 copying context, $2 tenant_id, $3 source, $4 first and $5 last revision of
-- each part
with held as materialized (
  select id from contexts where id = $1 and tenant_id = $2 for key share
)
insert into policies (context_id, revision, tenant_id, policy)
select $1, p.revision, p.tenant_id, p.policy
from unnest($3::uuid[], $4::bigint[], $5::bigint[]) as g(source_id, first, last)
join policies p on p.context_id = g.source_id and p.tenant_id = $2 and p.revision between g.first and g.last
where (select id from held) is not null
on conflict (context_id, revision) do nothing;

-- name: copy_removals
-- Copies the removals that a lineage knows, as far as they are within it. $1 copying context, $2 tenant_id, $3 source, $4 first
-- and $5 last revision and $6 last version of each part
with held as materialized (
  select id from contexts where id = $1 and tenant_id = $2 for key share
)
insert into removals (context_id, first_version, revision, last_version, tenant_id, removed)
select $1, r.first_version, r.revision, least(r.last_version, g.last_version), r.tenant_id, r.removed
from unnest($3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[]) as g(source_id, first, last, last_version)
join removals r on r.context_id = g.source_id and r.tenant_id = $2 and r.revision between g.first and g.last
where r.first_version <= g.last_version and (select id from held) is not null
on conflict (context_id, first_version, revision) do nothing;

-- name: copy_redactions
-- Copies which messages of a lineage were erased. $1 copying context, $2 tenant_id, $3 source, $4 first and $5 last version
-- of each segment
insert into redactions (context_id, version, group_version, tenant_id)
select $1, r.version, r.group_version, r.tenant_id
from unnest($3::uuid[], $4::bigint[], $5::bigint[]) as g(source_id, first, last)
join redactions r on r.context_id = g.source_id and r.tenant_id = $2 and r.version between g.first and g.last
on conflict (context_id, version) do nothing;

-- name: copy_compactions
-- Copies the compactions that a lineage knows, and which of them was in force when. They are locked against erasure like
-- messages: who erases looks for copies after it has changed the originals. One that hides more than the fork has never
-- holds there, and what it was built upon may: its copy ends beyond every version, and is made of what the fork has of it.
-- $1 copying context, $2 tenant_id, $3 source, $4 first and $5 last revision and $6 last version of each part
with known as materialized (
  select c.*, g.last_version as known_version,
         case when c.last_version < 1::bigint << 62 then upper(c.covered) - 1
              else (select max(s.last_version) from compaction_sources s
                    where s.context_id = c.context_id and s.tenant_id = c.tenant_id and s.compacted_id = c.context_id
                      and s.compaction_id = c.compaction_id)
         end as made_of_last
  from unnest($3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[]) as g(source_id, first, last, last_version)
  join compactions c
    on c.context_id = g.source_id and c.tenant_id = $2 and c.state = 'committed' and c.revision between g.first and g.last
  for share of c
), copied as (
  insert into compactions (context_id, compaction_id, tenant_id, state, token, create_time, lease_time, end_time, revision,
                           fingerprint, origin, previous_id, previous_revision, base_version, base_revision,
                           policy_revision, first_version, last_version, covered, added, plan, summariser, summary,
                           summary_tokens, summary_state, erase_time, origin_id)
  select $1, compaction_id, tenant_id, state, token, create_time, lease_time, end_time, revision, fingerprint, origin,
         previous_id, previous_revision, base_version, base_revision, policy_revision, first_version,
         case when last_version <= known_version then last_version else 1::bigint << 62 end, covered, added, plan,
         summariser, summary, summary_tokens, summary_state, erase_time, coalesce(origin_id, context_id)
  from known
  on conflict (context_id, compaction_id) do nothing
), made_of as (
  insert into compaction_sources (context_id, last_version, compacted_id, compaction_id, tenant_id, first_version)
  select $1, least(made_of_last, known_version), $1, compaction_id, tenant_id, lower(covered)
  from known
  where lower(covered) <= least(made_of_last, known_version) and made_of_last is not null
  on conflict (context_id, last_version, compacted_id, compaction_id) do nothing
)
insert into compactions_in_force (context_id, revision, tenant_id, compaction_id)
select $1, f.revision, f.tenant_id, f.compaction_id
from unnest($3, $4, $5) as g(source_id, first, last)
join compactions_in_force f on f.context_id = g.source_id and f.tenant_id = $2 and f.revision between g.first and g.last
on conflict (context_id, revision) do nothing;

-- name: flatten_context
-- Has a context read its own log alone, and takes a revision. The caller holds the row's lock, and all is copied. What its
-- own compactions are made of is in that log from now on, and is found there by who erases it, whatever becomes of others.
-- $1 id, $2 tenant_id, $3 request_id, $4 fingerprint, $5 detail
with changed as (
  update contexts
  set segments = null, depth = 0, latest_revision = latest_revision + 1,
      update_time = greatest(clock_timestamp(), update_time),
      chain = sha256(chain || $4::bytea || convert_to($5::jsonb::text, 'UTF8'))
  where id = $1 and tenant_id = $2
  returning *
), claimed as (
  insert into revisions (context_id, revision, tenant_id, kind, last_version, create_time, request_id, fingerprint, chain,
                         detail)
  select id, latest_revision, tenant_id, 'flatten', latest_version, update_time, $3, $4, chain, $5::jsonb from changed
), made_of as (
  insert into compaction_sources (context_id, last_version, compacted_id, compaction_id, tenant_id, first_version)
  select context_id, upper(covered) - 1, context_id, compaction_id, tenant_id, lower(covered)
  from compactions
  where context_id = $1 and tenant_id = $2 and origin_id is null and not isempty(covered)
  on conflict (context_id, last_version, compacted_id, compaction_id) do update set first_version = excluded.first_version
)
select * from changed;
