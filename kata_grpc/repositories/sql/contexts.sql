-- Statements about contexts, the names they hold and the revisions they take.

-- name: insert_context
-- Creates a context with revision 0, the claim of its request, and its unique name; by the tenant's policy it is known when
-- it is due for compaction. No row: the id is taken. One that was purged violates purged_contexts_pk, also when that was
-- while this waited for its row to go.
-- $1 id, $2 tenant_id, $3 name, $4 unique_name, $5 labels, $6 metadata_json, $7 tokenizer, $8 origin_format,
-- $9 origin_id, $10 origin_extra_json, $11 request_id, $12 fingerprint, $13 digest of what was set
with created as (
  insert into contexts (id, tenant_id, name, unique_name, labels, metadata_json, tokenizer, origin_format, origin_id,
                        origin_extra_json, create_time, update_time, chain, due_tokens, due_version)
  select $1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9, $10, t.now, t.now,
         sha256($12::bytea || convert_to(jsonb_build_object('settings', $13::text)::text, 'UTF8')),
         p.due_tokens, p.due_version
  from (select clock_timestamp() as now) t
  left join lateral (
    select due_tokens, due_version from tenant_policies where tenant_id = $2 order by revision desc limit 1
  ) p on true
  on conflict (id) do nothing
  returning *, kata_refuse_purged(id)
), claimed as (
  insert into revisions (context_id, revision, tenant_id, kind, last_version, create_time, request_id, fingerprint, chain,
                         detail)
  select id, 0, tenant_id, 'create', 0, create_time, $11, $12, chain, jsonb_build_object('settings', $13::text)
  from created
), named as (
  insert into context_names (tenant_id, name, context_id)
  select tenant_id, name, id from created where unique_name and name <> ''
)
select * from created;

-- name: insert_fork
-- Creates a child of a live context, with its first revision, which claims the request, and its unique name. The parent
-- is locked against being purged and otherwise left alone: who appends to it does not wait. All that an append to the
-- child depends on stands beside the message at which it forks. No row: the id is taken, or there is no such parent; an id that
-- was purged violates purged_contexts_pk. Its stamp is never before that of the revision at which it forks, whatever the clock says.
-- The child's number is one more than the newest sibling's, so that nobody counts them; children that are made at the
-- same moment may share one. $1 id, $2 tenant_id, $3 name, $4 unique_name, $5 labels, $6 metadata_json, $7 parent's id,
-- $8 fork version and $9 fork revision, $10 segments of the ancestors, $11 who appended the message at the fork, $12 who
-- made the revision at it, $13 policy or null, $14 the parent's policy or null, $15 the revision that set that,
-- $16 request_id, $17 fingerprint, $18 whether the parent's log begins with itself: one that has been flattened meanwhile
-- is not there, $19 the compaction in force at the fork or null, $20 the revision that put it in force,
-- $21 digest of what was set
with parent as (
  select * from contexts
  where id = $7 and tenant_id = $2 and delete_time is null and (segments is null) = $18::boolean
  for key share
), created as (
  insert into contexts (id, tenant_id, name, unique_name, labels, metadata_json, tokenizer, create_time, update_time,
                        update_revision, latest_revision, latest_version, total_tokens, total_items, inexact_messages,
                        pinned_tokens, pinned_messages, pinned_items, turn_version, open_calls, chain, policy_revision,
                        policy, parent_id, fork_version, fork_revision, depth, segments, child_number, has_removals,
                        compaction_id, compaction_revision, due_time)
  select $1, p.tenant_id, $3, $4, $5::jsonb, $6, p.tokenizer, t.now, t.now, $9::bigint + 1, $9 + 1, $8::bigint,
         coalesce(m.total_tokens, 0), coalesce(m.total_items, 0), coalesce(m.inexact_messages, 0),
         coalesce(m.pinned_tokens, 0), coalesce(m.pinned_messages, 0), coalesce(m.pinned_items, 0),
         coalesce(m.turn_version, 0), coalesce(m.open_calls, '{}'::jsonb),
         sha256(r.chain || $17::bytea || int8send($8) || convert_to(d.detail::text, 'UTF8')),
         case when $13::bytea is null then $15::bigint else $9 + 1 end, coalesce($13, $14::bytea),
         p.id, $8, $9, p.depth + 1, $10::jsonb, d.child_number, p.has_removals, $19, $20,
         case when coalesce(p.due_tokens, p.due_version) is not null or p.due_time is not null or $13 is not null
              then t.now end
  from parent p
  join revisions r on r.context_id = $12 and r.tenant_id = $2 and r.revision = $9
  cross join lateral (select greatest(clock_timestamp(), r.create_time) as now) t
  left join messages m on m.context_id = $11 and m.tenant_id = $2 and m.version = $8
  left join lateral (
    select child_number from contexts where parent_id = $7 and tenant_id = $2 order by child_number desc, id desc limit 1
  ) n on true
  cross join lateral (select coalesce(n.child_number, 0) + 1 as child_number) c
  cross join lateral (
    select c.child_number, jsonb_build_object('parent_id', p.id, 'fork_version', $8::bigint, 'fork_revision', $9::bigint,
                                              'child_number', c.child_number, 'settings', $21::text) as detail
  ) d
  on conflict (id) do nothing
  returning *, kata_refuse_purged(id)
), claimed as (
  insert into revisions (context_id, revision, tenant_id, kind, last_version, create_time, request_id, fingerprint, chain,
                         detail)
  select id, latest_revision, tenant_id, 'fork', latest_version, create_time, $16, $17, chain,
         jsonb_build_object('parent_id', parent_id, 'fork_version', fork_version, 'fork_revision', fork_revision,
                            'child_number', child_number, 'settings', $21::text)
  from created
), named as (
  insert into context_names (tenant_id, name, context_id)
  select tenant_id, name, id from created where unique_name and name <> ''
), kept as (
  insert into policies (context_id, revision, tenant_id, policy)
  select id, latest_revision, tenant_id, $13 from created where $13 is not null
)
select * from created;

-- name: newest_child
-- The number of the newest fork of a context. $1 id of the parent, $2 tenant_id
select child_number from contexts where parent_id = $1 and tenant_id = $2 order by child_number desc, id desc limit 1;

-- name: count_children
-- How many forks a context has, counted up to a number. $1 id of the parent, $2 tenant_id, $3 number
select count(*) from (select from contexts where parent_id = $1 and tenant_id = $2 limit $3) children;

-- name: version_at_revision
-- The newest version at a revision. $1 context_id, $2 tenant_id, $3 revision
select last_version from revisions
where context_id = $1 and tenant_id = $2 and revision <= $3
order by revision desc
limit 1;

-- name: find_revision_at
-- The newest revision that was made at or before a time, by binary search: one look-up by primary key a step, whatever
-- the length of the history. Each step tries a revision that is a power of two further; one that is not there is later
-- than every time. What is found was made at or before the time, and the next one after it. Where old stamps run
-- backwards several are so: it is always the same one of them, none for an earlier time is later, and revisions that come
-- later change nothing, as where a step tries does not depend on them.
-- $1 tenant_id, $2 source, $3 first and $4 last revision of each part of the lineage, $5 time, $6 the largest power of two
-- up to the latest revision
with recursive search (revision, step) as (
  select 0::bigint, $6::bigint
  union all
  select case when tried.create_time <= $5::timestamptz then s.revision + s.step else s.revision end, s.step / 2
  from search s
  left join lateral (
    select r.create_time
    from unnest($2::uuid[], $3::bigint[], $4::bigint[]) as g(source_id, first, last)
    join revisions r on r.context_id = g.source_id and r.tenant_id = $1 and r.revision = s.revision + s.step
    where s.revision + s.step between g.first and g.last
  ) tried on true
  where s.step > 0
)
select revision from search where step = 0;

-- name: get_context
-- One context of a tenant, deleted or not. $1 id, $2 tenant_id
select * from contexts where id = $1 and tenant_id = $2;

-- name: get_context_and_claim
-- The context with what a request_id stands for in it, to tell why a write found no row.
-- $1 id, $2 tenant_id, $3 request_id
select c.*, r.revision as claim_revision, r.kind as claim_kind, r.first_version as claim_first_version,
       r.last_version as claim_last_version, r.fingerprint as claim_fingerprint
from contexts c
left join revisions r on r.context_id = c.id and r.tenant_id = c.tenant_id and r.request_id = $3
where c.id = $1 and c.tenant_id = $2;

-- name: lock_context
-- The same under the row's lock, so that what is decided on it holds until the transaction ends. The claim is read by
-- a statement of its own: a join would show the claims from before the wait for the lock. $1 id, $2 tenant_id
select * from contexts where id = $1 and tenant_id = $2 for no key update;

-- name: lock_against_forks
-- The same under a lock that also those wait for who fork the context: they read its segments, and lock the row while they
-- write a child's. $1 id, $2 tenant_id
select * from contexts where id = $1 and tenant_id = $2 for update;

-- name: find_claim
-- What a request_id stands for in a context. $1 context_id, $2 tenant_id, $3 request_id
select revision, kind, first_version, last_version, fingerprint, detail
from revisions where context_id = $1 and tenant_id = $2 and request_id = $3;

-- name: list_contexts
-- A page of a tenant's contexts, newest first, along the index that has them in this order.
-- $1 tenant_id, $2 like-pattern of the name, $3 show deleted ones, $4 and $5 create_time and id that all are below,
-- $6 limit
select * from contexts
where tenant_id = $1 and name like $2 and ($3 or delete_time is null)
  and (create_time, id) < ($4::timestamptz, $5::uuid)
order by create_time desc, id desc
limit $6;

-- name: list_contexts_with_labels
-- The same of contexts that have labels. A statement of its own: one that may ask for no labels would be planned along
-- the labels' index also when every context has what is asked for. $1 to $6 as above, $7 labels that all must match
select * from contexts
where tenant_id = $1 and name like $2 and ($3 or delete_time is null)
  and (create_time, id) < ($4::timestamptz, $5::uuid)
  and labels @> $7::jsonb
order by create_time desc, id desc
limit $6;

-- name: change_context
-- Writes what can change and takes a revision. The caller holds the row's lock. Stamps never run backwards in a context,
-- whatever the clock does: a time has one place among the revisions.
-- $1 id, $2 tenant_id, $3 name, $4 unique_name, $5 labels, $6 metadata_json, $7 is deleted, $8 is an update, $9 kind,
-- $10 request_id, $11 fingerprint, $12 detail or null
with changed as (
  update contexts
  set name = $3, unique_name = $4, labels = $5::jsonb, metadata_json = $6,
      delete_time = case when $7 then coalesce(delete_time, clock_timestamp()) end,
      update_revision = case when $8 then latest_revision + 1 else update_revision end,
      latest_revision = latest_revision + 1,
      update_time = greatest(clock_timestamp(), update_time),
      chain = sha256(chain || $11::bytea || coalesce(convert_to($12::jsonb::text, 'UTF8'), ''))
  where id = $1 and tenant_id = $2
  returning *
), claimed as (
  insert into revisions (context_id, revision, tenant_id, kind, last_version, create_time, request_id, fingerprint, chain,
                         detail)
  select id, latest_revision, tenant_id, $9, latest_version, update_time, $10, $11, chain, $12::jsonb from changed
)
select * from changed;

-- name: take_revision
-- Takes a revision that changes nothing of the context's row. The caller holds the row's lock.
-- $1 id, $2 tenant_id, $3 kind, $4 request_id, $5 fingerprint, $6 detail
with changed as (
  update contexts
  set latest_revision = latest_revision + 1, update_time = greatest(clock_timestamp(), update_time),
      chain = sha256(chain || $5::bytea || convert_to($6::jsonb::text, 'UTF8'))
  where id = $1 and tenant_id = $2
  returning id, tenant_id, latest_revision, latest_version, update_time, chain
)
insert into revisions (context_id, revision, tenant_id, kind, last_version, create_time, request_id, fingerprint, chain,
                       detail)
select id, latest_revision, tenant_id, $3, latest_version, update_time, $4, $5, chain, $6::jsonb from changed
returning revision, create_time;

-- name: get_policy
-- The policy in force of a context, and whether the context is deleted. $1 id, $2 tenant_id
select policy_revision, policy, delete_time is not null as deleted from contexts where id = $1 and tenant_id = $2;

-- name: find_policy
-- The policy that a revision set. $1 context_id, $2 tenant_id, $3 revision
select policy from policies where context_id = $1 and tenant_id = $2 and revision = $3;

-- name: set_policy
-- Sets the policy and takes a revision. The caller holds the row's lock. $1 id, $2 tenant_id, $3 policy, $4 request_id,
-- $5 fingerprint
with changed as (
  update contexts
  set policy = $3, policy_revision = latest_revision + 1, latest_revision = latest_revision + 1,
      update_time = greatest(clock_timestamp(), update_time), chain = sha256(chain || $5::bytea)
  where id = $1 and tenant_id = $2
  returning id, tenant_id, latest_revision, latest_version, update_time, chain
), claimed as (
  insert into revisions (context_id, revision, tenant_id, kind, last_version, create_time, request_id, fingerprint, chain)
  select id, latest_revision, tenant_id, 'policy', latest_version, update_time, $4, $5, chain from changed
), kept as (
  insert into policies (context_id, revision, tenant_id, policy)
  select id, latest_revision, tenant_id, $3 from changed
)
select latest_revision from changed;

-- name: change_removals
-- Removes runs of versions from the view, or brings them back, and takes a revision. The caller holds the row's lock.
-- $1 id, $2 tenant_id, $3 kind, $4 whether they are removed, $5 first and $6 last version of each run, $7 detail,
-- $8 request_id, $9 fingerprint
with changed as (
  update contexts
  set latest_revision = latest_revision + 1, has_removals = true,
      update_time = greatest(clock_timestamp(), update_time),
      chain = sha256(chain || $9::bytea || convert_to($7::jsonb::text, 'UTF8'))
  where id = $1 and tenant_id = $2
  returning *
), claimed as (
  insert into revisions (context_id, revision, tenant_id, kind, last_version, create_time, request_id, fingerprint,
                         chain, detail)
  select id, latest_revision, tenant_id, $3, latest_version, update_time, $8, $9, chain, $7::jsonb from changed
), laid as (
  insert into removals (context_id, first_version, revision, last_version, tenant_id, removed)
  select c.id, r.first, c.latest_revision, r.last, c.tenant_id, $4::boolean
  from changed c cross join unnest($5::bigint[], $6::bigint[]) as r(first, last)
)
select * from changed;

-- name: hold_name
-- Makes a unique name this context's; violates context_names_pk when another holds it. $1 tenant_id, $2 name, $3 id
insert into context_names (tenant_id, name, context_id) values ($1, $2, $3);

-- name: free_name
-- Gives a unique name up. $1 tenant_id, $2 name, $3 id
delete from context_names where tenant_id = $1 and name = $2 and context_id = $3;

-- name: list_revisions_before
-- Revisions of a range, newest first, with the beginning of each append's first message.
-- $1 context_id, $2 tenant_id, $3 first and $4 last revision, $5 kinds or null, $6 limit, $7 bytes of the message's record
select coalesce(r.origin_id, r.context_id) as context_id, r.revision, r.kind, r.first_version, r.last_version,
       r.create_time, r.request_id, r.detail, m.role, substring(m.record from 1 for $7) as record_start
from revisions r
left join messages m on m.context_id = r.context_id and m.version = r.first_version
where r.context_id = $1 and r.tenant_id = $2 and r.revision between $3 and $4
  and ($5::text[] is null or r.kind = any ($5))
order by r.revision desc
limit $6;

-- name: list_revisions_after
-- The same from the oldest on.
-- $1 context_id, $2 tenant_id, $3 first and $4 last revision, $5 kinds or null, $6 limit, $7 bytes of the message's record
select coalesce(r.origin_id, r.context_id) as context_id, r.revision, r.kind, r.first_version, r.last_version,
       r.create_time, r.request_id, r.detail, m.role, substring(m.record from 1 for $7) as record_start
from revisions r
left join messages m on m.context_id = r.context_id and m.version = r.first_version
where r.context_id = $1 and r.tenant_id = $2 and r.revision between $3 and $4
  and ($5::text[] is null or r.kind = any ($5))
order by r.revision
limit $6;

-- name: get_token_key
-- The key under which page and resume tokens of this database are made.
select token_key from installation where id = 1;
