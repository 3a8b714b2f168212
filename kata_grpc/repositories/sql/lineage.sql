-- Statements about where contexts come from, what comes from them, and what two of them share.

-- name: get_ancestors
-- A context and the contexts that it comes from, the oldest first: one look-up by primary key a step, along the parents,
-- which a flattened context still names. Of the context itself, which is last, with its segments.
-- The limits keep the plan on the indexes. $1 id, $2 tenant_id, $3 the most ancestors
with recursive path as (
  select c.id, c.name, c.parent_id, c.fork_version, c.fork_revision, c.depth, c.latest_version, c.latest_revision,
         c.total_tokens, c.create_time, c.delete_time, c.segments, 0 as steps
  from contexts c
  where c.id = $1 and c.tenant_id = $2
  union all
  select c.*, p.steps + 1
  from path p
  cross join lateral (
    select c.id, c.name, c.parent_id, c.fork_version, c.fork_revision, c.depth, c.latest_version, c.latest_revision,
           c.total_tokens, c.create_time, c.delete_time, null::jsonb
    from contexts c
    where c.id = p.parent_id and c.tenant_id = $2
    limit 1
  ) c
  where p.steps < $3::int
)
select p.*, (select true from contexts f where f.parent_id = p.id and f.tenant_id = $2 limit 1) is not null as has_forks
from path p
order by p.steps desc;

-- name: list_children
-- A page of the forks of a context, in the order in which they were made. $1 id of the parent, $2 tenant_id, $3 number and
-- $4 id that all are beyond, $5 limit
select c.id, c.name, c.parent_id, c.fork_version, c.fork_revision, c.depth, c.latest_version, c.latest_revision,
       c.total_tokens, c.create_time, c.delete_time, c.child_number,
       exists (select from contexts f where f.parent_id = c.id and f.tenant_id = $2) as has_forks
from contexts c
where c.parent_id = $1 and c.tenant_id = $2 and (c.child_number, c.id) > ($3::bigint, $4::uuid)
order by c.child_number, c.id
limit $5;

-- name: find_shared_version
-- The last version that two lineages have of the same log, 0 without one, by binary search: whoever has a message has all
-- that came before it. A copied message is the one that it is a copy of. $1 tenant_id; of the one lineage and then of the
-- other: $2 source, $3 first and $4 last version of each segment, $5 to $7 alike; $8 the first version that one has not
with recursive search (low, high) as (
  select 0::bigint, $8::bigint
  union all
  select case when shared then middle else low end, case when shared then high else middle end
  from (
    select s.low, s.high, (s.low + s.high) / 2 as middle,
           coalesce(
             (select coalesce(m.origin_id, m.context_id)
              from unnest($2::uuid[], $3::bigint[], $4::bigint[]) as g(source_id, first, last)
              join messages m on m.context_id = g.source_id and m.tenant_id = $1 and m.version = (s.low + s.high) / 2
              where (s.low + s.high) / 2 between g.first and g.last)
             = (select coalesce(m.origin_id, m.context_id)
                from unnest($5::uuid[], $6::bigint[], $7::bigint[]) as g(source_id, first, last)
                join messages m on m.context_id = g.source_id and m.tenant_id = $1 and m.version = (s.low + s.high) / 2
                where (s.low + s.high) / 2 between g.first and g.last),
             false) as shared
    from search s
    where s.high - s.low > 1
  ) step
)
select max(low) from search;
