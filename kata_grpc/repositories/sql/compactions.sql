-- Statements about compactions: which one holds in a view, and how one comes about.

-- name: get_compaction_at
-- Which compaction was in force at a revision. $1 context_id, $2 tenant_id, $3 revision
select revision, compaction_id from compactions_in_force
where context_id = $1 and tenant_id = $2 and revision <= $3
order by revision desc
limit 1;

-- name: find_compaction
-- A compaction of a lineage, and whether it holds in a view: all that it hides is within the view, none of its content was
-- erased, and nothing of it was removed or brought back since it was made.
-- $1 tenant_id, $2 source, $3 last version and $4 last revision of each segment of the lineage, $5 compaction_id,
-- $6 version and $7 revision of the view
select c.*,
       c.last_version <= least($6::bigint, g.last) and c.erase_time is null and not exists (
         select from unnest($2::uuid[], $3::bigint[], $4::bigint[]) as s(source_id, last, last_revision)
         join removals r
           on r.context_id = s.source_id and r.tenant_id = $1 and r.revision > c.base_revision
           and r.revision <= least(s.last_revision, $7::bigint) and r.first_version <= least(c.last_version, s.last)
         where c.covered && int8multirange(int8range(r.first_version, r.last_version, '[]'))
       ) as holds
from unnest($2::uuid[], $3::bigint[]) with ordinality as g(source_id, last, place)
join compactions c on c.context_id = g.source_id and c.tenant_id = $1 and c.compaction_id = $5::uuid
order by g.place desc
limit 1;

-- name: get_compaction
-- A compaction that a context made. $1 context_id, $2 tenant_id, $3 compaction_id
select * from compactions
where context_id = $1 and tenant_id = $2 and compaction_id = $3 and origin_id is null;

-- name: find_compaction_by_request
-- The compaction that a request_id began. $1 context_id, $2 tenant_id, $3 request_id
select * from compactions where context_id = $1 and tenant_id = $2 and request_id = $3;

-- name: get_begun_compaction
-- The compaction of a context that is under way, and whether its lease has ended. $1 context_id, $2 tenant_id
select *, lease_time < clock_timestamp() as expired from compactions where context_id = $1 and tenant_id = $2 and state = 'begun';

-- name: begin_compaction
-- Begins a compaction under a token that no other of the context has had, and says whose messages it is made of: it waits
-- for who erases some of them, so that they are read after that, or whoever erases some later finds it. The
-- caller holds the row lock of the context, on which no other is under way. $1 context_id, $2 tenant_id,
-- $3 compaction_id, $4 seconds of the lease, $5 request_id, $6 fingerprint, $7 origin, $8 id of the compaction that it is
-- built upon, $9 the revision that put that in force, $10 version and $11 revision of the snapshot, $12 policy_revision,
-- $13 what is hidden and $14 what is hidden beyond what was, as multiranges, $15 plan, $16 source, $17 first and $18 last
-- version of each segment that has hidden messages, $19 summariser
with begun as (
  insert into compactions (context_id, compaction_id, tenant_id, state, token, create_time, lease_time, request_id,
                           fingerprint, origin, previous_id, previous_revision, base_version, base_revision,
                           policy_revision, first_version, last_version, covered, added, plan, summariser)
  select $1, $3, $2, 'begun', coalesce(n.token, 0) + 1, t.now, t.now + make_interval(secs => $4::float8), $5, $6, $7, $8,
         $9, $10, $11, $12, coalesce(lower($14::text::int8multirange), 0), greatest(coalesce(upper($13::text::int8multirange) - 1, 0), ($15::jsonb ->> 'reshaped_last')::bigint),
         $13::text::int8multirange, $14::text::int8multirange, $15::jsonb, $19
  from (select clock_timestamp() as now) t
  left join lateral (
    select token from compactions
    where context_id = $1 and tenant_id = $2 and origin_id is null
    order by token desc
    limit 1
  ) n on true
  returning *
), made_of as (
  insert into compaction_sources (context_id, last_version, compacted_id, compaction_id, tenant_id, first_version)
  select s.source_id, s.last, b.context_id, b.compaction_id, b.tenant_id, s.first
  from begun b cross join unnest($16::uuid[], $17::bigint[], $18::bigint[]) as s(source_id, first, last)
  join contexts k on k.id = s.source_id and k.tenant_id = b.tenant_id
  for key share of k
)
select * from begun;

-- name: end_compaction
-- Ends a compaction that is under way without a commit. $1 context_id, $2 tenant_id, $3 compaction_id, $4 token, $5 state,
-- $6 reason
update compactions set state = $5, reason = $6, end_time = clock_timestamp()
where context_id = $1 and tenant_id = $2 and compaction_id = $3 and token = $4 and state = 'begun'
returning *;

-- name: commit_compaction
-- Puts a compaction in force that is under way, and takes a revision, which keeps digests of it and of its summary. The
-- caller holds the row lock of the context. Where a policy may find it due again, it is looked at.
-- $1 context_id, $2 tenant_id, $3 compaction_id, $4 token, $5 summary, $6 its tokens, $7 state of the summary,
-- $8 summariser, $9 request_id, $10 fingerprint, $11 what the summary took
with committed as (
  update compactions
  set state = 'committed', summary = $5, summary_tokens = $6, summary_state = $7, summariser = $8,
      plan = plan || $11::jsonb, end_time = clock_timestamp(),
      revision = (select latest_revision + 1 from contexts where id = $1 and tenant_id = $2)
  where context_id = $1 and tenant_id = $2 and compaction_id = $3 and token = $4 and state = 'begun'
  returning *, jsonb_build_object(
    'compaction_id', compaction_id,
    'made', encode(sha256(convert_to(jsonb_build_array(
      token, origin, previous_id, policy_revision, plan, encode(fingerprint, 'hex'), covered::text,
      added::text)::text, 'UTF8')), 'hex'),
    'summary', encode(sha256(convert_to(jsonb_build_array(
      summary, summary_tokens, summary_state, summariser)::text, 'UTF8')), 'hex')) as detail
), changed as (
  update contexts c
  set latest_revision = c.latest_revision + 1, compaction_id = o.compaction_id,
      compaction_revision = c.latest_revision + 1,
      due_time = case when coalesce(c.due_tokens, c.due_version) is not null or c.due_time is not null
                      then clock_timestamp() end,
      update_time = greatest(clock_timestamp(), c.update_time),
      chain = sha256(c.chain || $10::bytea || convert_to(o.detail::text, 'UTF8'))
  from committed o
  where c.id = o.context_id and c.tenant_id = $2
  returning c.*
), claimed as (
  insert into revisions (context_id, revision, tenant_id, kind, last_version, create_time, request_id, fingerprint, chain,
                         detail)
  select id, latest_revision, tenant_id, 'compact', latest_version, update_time, $9, $10, chain,
         (select detail from committed)
  from changed
), in_force as (
  insert into compactions_in_force (context_id, revision, tenant_id, compaction_id)
  select id, latest_revision, tenant_id, compaction_id from changed
)
select * from changed;

-- name: put_in_force
-- The same with another compaction that was committed before, or none. Whatever is due by then is so with the next append.
-- $1 context_id, $2 tenant_id, $3 compaction_id or null, $4 kind, $5 request_id, $6 fingerprint, $7 detail
with changed as (
  update contexts
  set latest_revision = latest_revision + 1, compaction_id = $3::uuid, compaction_revision = latest_revision + 1,
      due_time = null,
      update_time = greatest(clock_timestamp(), update_time),
      chain = sha256(chain || $6::bytea || convert_to($7::jsonb::text, 'UTF8'))
  where id = $1 and tenant_id = $2
  returning *
), claimed as (
  insert into revisions (context_id, revision, tenant_id, kind, last_version, create_time, request_id, fingerprint, chain,
                         detail)
  select id, latest_revision, tenant_id, $4, latest_version, update_time, $5, $6, chain, $7::jsonb from changed
), in_force as (
  insert into compactions_in_force (context_id, revision, tenant_id, compaction_id)
  select id, latest_revision, tenant_id, compaction_id from changed
)
select * from changed;

-- name: list_compactions
-- A page of the compactions that a context made, newest first. $1 context_id, $2 tenant_id, $3 token that all are below,
-- $4 states or null, $5 limit
select * from compactions
where context_id = $1 and tenant_id = $2 and origin_id is null and token < $3 and ($4::text[] is null or state = any ($4))
order by token desc
limit $5;

-- name: erase_summaries
-- Erases what was made of some messages, each in a log. Nothing of it holds from then on. Returns it, with who made it.
-- $1 tenant_id, $2 log and $3 version of each
with made_of as (
  select s.compacted_id, s.compaction_id, array_agg(v.version) as versions
  from unnest($2::uuid[], $3::bigint[]) as v(context_id, version)
  join compaction_sources s
    on s.context_id = v.context_id and s.tenant_id = $1 and s.last_version >= v.version and s.first_version <= v.version
  group by s.compacted_id, s.compaction_id
)
update compactions c
set summary = null, summary_state = null, erase_time = clock_timestamp(),
    state = case when c.state = 'begun' then 'failed' else c.state end,
    reason = case when c.state = 'begun' then 'erased' else c.reason end
from made_of m
where c.context_id = m.compacted_id and c.compaction_id = m.compaction_id and c.tenant_id = $1 and c.erase_time is null
  and exists (select from unnest(m.versions) as version where c.covered @> version)
returning coalesce(c.origin_id, c.context_id) as owner_id, c.compaction_id;

-- name: erase_copied_summaries
-- Erases copies of what was erased, also in logs that have none of the messages. $1 tenant_id, $2 who made it and
-- $3 compaction_id of each
update compactions c
set summary = null, summary_state = null, erase_time = clock_timestamp()
from unnest($2::uuid[], $3::uuid[]) as e(owner_id, compaction_id)
where c.origin_id = e.owner_id and c.tenant_id = $1 and c.compaction_id = e.compaction_id and c.erase_time is null
returning c.compaction_id;
