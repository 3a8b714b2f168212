-- Statements of retention, which runs over all tenants, for the operator; and whose turn it is to run it.

-- name: take_turn
-- Makes it this process's turn for a while, unless it is another's, and says whether the last run is so long ago. No row:
-- it is another's. A row and not an advisory lock, which would go with the connection, and a pooler gives each
-- transaction another one. $1 holder, $2 seconds until it ends by itself, $3 seconds between runs
update installation
set retention_holder = $1, retention_until = clock_timestamp() + make_interval(secs => $2)
where id = 1 and (retention_holder = $1 or coalesce(retention_until < clock_timestamp(), true))
returning coalesce(retention_time < clock_timestamp() - make_interval(secs => $3), true) as due;

-- name: end_turn
-- Ends this process's turn. $1 holder, $2 whether it was a whole run
update installation
set retention_holder = null, retention_until = null,
    retention_time = case when $2 then clock_timestamp() else retention_time end
where id = 1 and retention_holder = $1;

-- name: list_unfinished
-- Purged contexts that have rows to erase. $1 limit
select context_id, tenant_id from purged_contexts where remaining is not null limit $1;

-- name: count_unfinished
-- How many purged contexts have rows to erase.
select count(*) from purged_contexts where remaining is not null;

-- name: next_tenant
-- The next tenant that has contexts. $1 the tenant before
select tenant_id from contexts where tenant_id > $1 order by tenant_id limit 1;

-- name: scan_contexts
-- A page of a tenant's contexts, newest first, with what the rules are about. $1 tenant_id, $2 and $3 create_time and id
-- that all are below, $4 limit
select id, name, create_time, update_time, delete_time, policy, clock_timestamp() as now
from contexts
where tenant_id = $1 and (create_time, id) < ($2::timestamptz, $3::uuid)
order by create_time desc, id desc
limit $4;

-- name: find_read
-- Those of some contexts whose logs others read. $1 tenant_id, $2 ids, $3 whether soft-deleted readers count, each
select u.id
from unnest($2::uuid[], $3::bool[]) as u(id, deleted_too)
cross join lateral (
  select from contexts c
  where jsonb_path_query_array(c.segments, '$[*][0]') @> jsonb_build_array(u.id) and c.segments is not null
    and c.tenant_id = $1 and (u.deleted_too or c.delete_time is null)
  limit 1
) reader;
