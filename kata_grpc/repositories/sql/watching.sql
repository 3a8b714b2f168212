-- Statements of watches: where one starts, which contexts have changed, and telling other processes that some have.

-- name: find_watch_start
-- What the start of a watch is held against: how far the context's own log goes back (before that may be what is being
-- copied) and forth, and the revisions of the
-- message at a version and of the next. $1 context_id, $2 tenant_id, $3 version
select c.latest_revision, c.latest_version, c.delete_time is not null as deleted,
       (select min(revision) from revisions
        where context_id = $1 and tenant_id = $2 and revision > coalesce(o.revision, -1)) as first_revision,
       (select min(version) from messages
        where context_id = $1 and tenant_id = $2 and version > coalesce(o.version, 0)) as first_version,
       (select revision from messages where context_id = $1 and tenant_id = $2 and version = $3) as revision,
       (select revision from messages where context_id = $1 and tenant_id = $2 and version = $3 + 1) as next_revision
from contexts c
left join lateral (select c.fork_revision as revision, c.fork_version as version) o on c.segments is not null
where c.id = $1 and c.tenant_id = $2;

-- name: find_changed_contexts
-- Those of many contexts that are not at the revision where they are believed to be, with the revision where they are:
-- null when they are gone. $1 contexts, $2 their tenants, $3 their believed revisions
select w.context_id, c.latest_revision
from unnest($1::uuid[], $2::text[], $3::bigint[]) as w(context_id, tenant_id, revision)
left join contexts c on c.id = w.context_id and c.tenant_id = w.tenant_id
where c.latest_revision is distinct from w.revision;

-- name: tell_listeners
-- Notifies, if anybody listens: whoever does holds the lock $1 shared. A row for each payload that was sent. The commit
-- waits for no disk, because what is told is only a hint. $1 lock, $2 channel, $3 payloads
select set_config('synchronous_commit', 'off', true), pg_notify($2, payload)
from unnest($3::text[]) as payload
where not pg_try_advisory_xact_lock($1::bigint);
