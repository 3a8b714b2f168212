-- Statements about tags: the names of a context's snapshots.

-- name: find_tag
-- One tag. $1 context_id, $2 tenant_id, $3 name
select name, version, revision, update_time from tags where context_id = $1 and tenant_id = $2 and name = $3;

-- name: list_tags
-- A page of a context's tags, by name. $1 context_id, $2 tenant_id, $3 names above this, $4 limit
select name, version, revision, update_time
from tags
where context_id = $1 and tenant_id = $2 and name > $3
order by name
limit $4;

-- name: put_tag
-- Sets a tag, or moves it. The caller holds the lock of the context's row.
-- $1 context_id, $2 tenant_id, $3 name, $4 version, $5 revision, $6 time
insert into tags (context_id, tenant_id, name, version, revision, create_time, update_time)
values ($1, $2, $3, $4, $5, $6, $6)
on conflict (context_id, name) do update
set version = excluded.version, revision = excluded.revision, update_time = excluded.update_time;

-- name: drop_tag
-- Deletes a tag. The caller holds the lock of the context's row. $1 context_id, $2 tenant_id, $3 name
delete from tags where context_id = $1 and tenant_id = $2 and name = $3;
