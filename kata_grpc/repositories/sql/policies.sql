-- Statements about the policies of tenants, and about what is due by a policy.

-- name: get_tenant_policy
-- The policy in force of a tenant. $1 tenant_id
select revision, policy from tenant_policies where tenant_id = $1 order by revision desc limit 1;

-- name: find_tenant_claim
-- The revision that a request_id stands for. $1 tenant_id, $2 request_id
select revision, fingerprint, policy from tenant_policies where tenant_id = $1 and request_id = $2;

-- name: set_tenant_policy
-- Sets a tenant's policy, if the one before is of a revision. No row: it is not, or another was faster.
-- $1 tenant_id, $2 policy, $3 request_id, $4 fingerprint, $5 revision before, $6 due_tokens and $7 due_version of a context
-- that is new
insert into tenant_policies (tenant_id, revision, policy, create_time, request_id, fingerprint, due_tokens, due_version)
select $1, $5::bigint + 1, $2, clock_timestamp(), $3, $4, $6, $7
on conflict (tenant_id, revision) do nothing
returning revision;

-- name: mark_contexts
-- Has a page of a tenant's contexts looked at again, and says where the next one goes on. $1 tenant_id, $2 and $3 create_time
-- and id that all are below, $4 limit
with page as (
  select id, create_time from contexts
  where tenant_id = $1 and (create_time, id) < ($2::timestamptz, $3::uuid)
  order by create_time desc, id desc
  limit $4
), marked as (
  update contexts set due_time = coalesce(due_time, clock_timestamp())
  where tenant_id = $1 and id in (select id from page) and delete_time is null
)
select create_time, id from page order by create_time, id limit 1;

-- name: mark_context
-- Has a context looked at again. $1 id, $2 tenant_id
update contexts set due_time = clock_timestamp() where id = $1 and tenant_id = $2;

-- name: set_alarm
-- Says when a context is looked at next: at so many running tokens, at a version, in so many seconds; null for never. Where
-- the first two are reached by now it is at once. $1 id, $2 tenant_id, $3 tokens, $4 version, $5 seconds
update contexts
set due_tokens = $3, due_version = $4,
    due_time = case when total_tokens >= $3::bigint or latest_version >= $4::bigint then clock_timestamp()
                    else clock_timestamp() + make_interval(secs => $5::float8) end
where id = $1 and tenant_id = $2;

-- name: last_compactions
-- How long ago the newest compactions of a context ended, and how, newest first. $1 context_id, $2 tenant_id, $3 limit
select state, extract(epoch from clock_timestamp() - end_time)::float8 as ago
from compactions
where context_id = $1 and tenant_id = $2 and origin_id is null and end_time is not null
order by token desc
limit $3;

-- name: seconds_since_change
-- How long ago a context changed. $1 id, $2 tenant_id
select extract(epoch from clock_timestamp() - update_time)::float8 from contexts where id = $1 and tenant_id = $2;
