-- Statements that read a context with all that is stored about it, to hold each row to the others.

-- name: get_whole_context
-- A context as of one moment, with how far its rows go then, who holds its name and whether its id was purged.
-- $1 id, $2 tenant_id
select c.*,
       (select max(version) from messages where context_id = $1 and tenant_id = $2) as newest_message,
       (select max(revision) from revisions where context_id = $1 and tenant_id = $2) as newest_revision,
       (select max(revision) from removals where context_id = $1 and tenant_id = $2) as removals,
       (select max(revision) from compactions_in_force where context_id = $1 and tenant_id = $2) as compactions_in_force,
       (select max(revision) from policies where context_id = $1 and tenant_id = $2) as policies,
       (select context_id from context_names n where n.tenant_id = $2 and n.name = c.name) as holder_id,
       exists (select from purged_contexts where context_id = $1 and tenant_id = $2) as purged
from contexts c
where c.id = $1 and c.tenant_id = $2;

-- name: get_origin
-- The context that a fork comes from, and whether it was purged. $1 id of the parent, $2 tenant_id
select p.*, exists (select from purged_contexts g where g.context_id = $1 and g.tenant_id = $2) as purged
from (select 1) one
left join contexts p on p.id = $1 and p.tenant_id = $2;

-- name: find_revision_of_kind
-- The newest revision of a kind that says something beyond it, by a walk through the history. $1 context_id, $2 tenant_id,
-- $3 kind
select revision, detail from revisions
where context_id = $1 and tenant_id = $2 and kind = $3
order by revision desc
limit 1;

-- name: list_fork_points
-- At which revisions the history of a flattened context was forked, and at which version. $1 context_id, $2 tenant_id,
-- $3 last revision
select revision, (detail ->> 'fork_version')::bigint as fork_version
from revisions
where context_id = $1 and tenant_id = $2 and revision <= $3 and kind = 'fork'
order by revision;

-- name: count_contexts
-- How many of some contexts there are. $1 ids, $2 tenant_id
select count(*) from contexts where id = any ($1::uuid[]) and tenant_id = $2;

-- name: get_revision
-- One revision. $1 context_id, $2 tenant_id, $3 revision
select last_version, create_time, chain
from revisions
where context_id = $1 and tenant_id = $2 and revision = $3;

-- name: list_whole_revisions
-- A page of revisions with what is stored beside them: the policy they set, what they put in force and, of a copy, the
-- original as long as that is there. $1 context_id, $2 tenant_id,
-- $3 revisions above this, $4 up to this, $5 limit
select r.*, p.policy, f.revision as in_force_revision, f.compaction_id as in_force_id, k.state as compaction_state,
       k.revision as compaction_revision,
       o.revision is null
         or (o.kind, o.create_time, o.fingerprint, o.chain) = (r.kind, r.create_time, r.fingerprint, r.chain)
         and o.detail is not distinct from r.detail as is_as_made
from (
  select * from revisions
  where context_id = $1 and tenant_id = $2 and revision > $3 and revision <= $4
  order by revision
  limit $5
) r
left join policies p on p.context_id = r.context_id and p.tenant_id = r.tenant_id and p.revision = r.revision
left join compactions_in_force f on f.context_id = r.context_id and f.tenant_id = r.tenant_id and f.revision = r.revision
left join compactions k
  on k.context_id = f.context_id and k.tenant_id = f.tenant_id and k.compaction_id = f.compaction_id
left join lateral (
  select * from revisions where context_id = r.origin_id and tenant_id = r.tenant_id and revision = r.revision limit 1
) o on true
order by r.revision;

-- name: list_whole_messages
-- A page of messages, each with its redaction and, of a copy, whether it is as the original, as long as that is there: what
-- an erased message did to tool calls nothing else says again. It stops before the row that would take it above $5, but never before its
-- first. $1 context_id, $2 tenant_id, $3 versions above this, $4 up to this, $5 bytes, $6 limit
select m.*, d.group_version as redacted_group,
       o.version is null
         or (o.revision, o.role, o.group_version, o.item_count, o.turn_version, o.digest, o.record)
            = (m.revision, m.role, m.group_version, m.item_count, m.turn_version, m.digest, m.record)
         and (o.open_calls, o.labels, o.redact_revision) is not distinct from (m.open_calls, m.labels, m.redact_revision)
         as is_as_made
from (
  select p.*, sum(size) over (order by version) as bytes
  from (
    select *, coalesce(octet_length(record), 0)::bigint as size
    from messages
    where context_id = $1 and tenant_id = $2 and version > $3 and version <= $4
    order by version
    limit $6
  ) p
) m
left join redactions d on d.context_id = m.context_id and d.tenant_id = m.tenant_id and d.version = m.version
left join lateral (
  select * from messages where context_id = m.origin_id and tenant_id = m.tenant_id and version = m.version limit 1
) o on true
where m.bytes = m.size or m.bytes <= $5::bigint
order by m.version;

-- name: get_message_state
-- The running state beside a message. $1 context_id, $2 tenant_id, $3 version
select version, total_tokens, total_items, inexact_messages, pinned_tokens, pinned_messages, pinned_items, turn_version,
       open_calls
from messages
where context_id = $1 and tenant_id = $2 and version = $3;

-- name: list_removals_of
-- The runs that a revision removed or brought back. $1 context_id, $2 tenant_id, $3 revision
select first_version, last_version, removed from removals
where context_id = $1 and tenant_id = $2 and revision = $3
order by first_version;

-- name: find_unredacted
-- A message of a lineage in some ranges whose content was not erased. $1 tenant_id, $2 source, $3 first and $4 last version
-- of each segment, $5 first and $6 last version of each range
select m.version
from unnest($2::uuid[], $3::bigint[], $4::bigint[]) as g(source_id, first, last)
cross join unnest($5::bigint[], $6::bigint[]) as r(first, last)
cross join lateral (
  select version from messages
  where context_id = g.source_id and tenant_id = $1 and redact_revision is null
    and version between greatest(g.first, r.first) and least(g.last, r.last)
  limit 1
) m
limit 1;

-- name: count_beside
-- How many rows stand beside the revisions and messages of a log: removals, what was in force, policies, redactions.
-- $1 context_id, $2 tenant_id, $3 revisions above this, $4 up to this, $5 versions above this, $6 up to this
select (select count(*) from removals
        where context_id = $1 and tenant_id = $2 and revision > $3 and revision <= $4) as removals,
       (select count(*) from compactions_in_force
        where context_id = $1 and tenant_id = $2 and revision > $3 and revision <= $4) as in_force,
       (select count(*) from policies
        where context_id = $1 and tenant_id = $2 and revision > $3 and revision <= $4) as policies,
       (select version from redactions d
        where context_id = $1 and tenant_id = $2 and version > $5 and version <= $6
          and not exists (select from messages m where m.context_id = $1 and m.tenant_id = $2 and m.version = d.version)
        limit 1) as stray_redaction,
       (select version from message_embeddings e
        where context_id = $1 and tenant_id = $2 and version > $5 and version <= $6
          and not exists (select from messages m where m.context_id = $1 and m.tenant_id = $2 and m.version = e.version)
        limit 1) as stray_embedding;

-- name: has_overlays
-- Whether anything of a lineage was ever removed, and whether anything was erased. $1 tenant_id, $2 source, $3 last version
-- and $4 last revision of each segment
select exists (
         select from unnest($2::uuid[], $3::bigint[], $4::bigint[]) as g(source_id, last, last_revision)
         join removals r on r.context_id = g.source_id and r.tenant_id = $1
         where r.revision <= g.last_revision and r.first_version <= g.last
       ) as removals,
       exists (
         select from unnest($2::uuid[], $3::bigint[]) as g(source_id, last)
         join redactions d on d.context_id = g.source_id and d.tenant_id = $1 and d.version <= g.last
       ) as redactions;

-- name: list_whole_compactions
-- A page of the committed compactions of a context up to a revision, held to themselves, to the revision that each names
-- and to the sources that it was made of, a copy to its original as long as that is there. $1 context_id, $2 tenant_id, $3 id that all are above, $4 last revision,
-- $5 sources, $6 limit
select c.*, r.kind, r.detail, coalesce(lower(c.covered), 1) as lowest, lower(c.added) as lowest_added,
       greatest(upper(c.covered) - 1, (c.plan ->> 'reshaped_last')::bigint) as highest,
       c.covered @> c.added as holds_added,
       isempty(c.covered) or (
         select c.covered <@ range_agg(int8range(s.first_version, s.last_version, '[]'))
           and (min(s.first_version), max(s.last_version)) = (lower(c.covered), upper(c.covered) - 1)
         from unnest($5::uuid[]) as g(source_id)
         join compaction_sources s
           on s.context_id = g.source_id and s.tenant_id = $2 and s.compacted_id = $1 and s.compaction_id = c.compaction_id
       ) as has_sources,
       jsonb_build_object(
         'made', encode(sha256(convert_to(jsonb_build_array(
           c.token, c.origin, c.previous_id, c.policy_revision, c.plan, encode(c.fingerprint, 'hex'), c.covered::text,
           c.added::text)::text, 'UTF8')), 'hex'),
         'summary', encode(sha256(convert_to(jsonb_build_array(
           c.summary, c.summary_tokens, c.summary_state, c.summariser)::text, 'UTF8')), 'hex')) as digests,
       b.last_version as version_at_base,
       (select max(f.revision) from compactions_in_force f
        where f.context_id = $1 and f.tenant_id = $2 and f.revision <= c.base_revision) as in_force_at_base,
       case when c.origin_id is not null then case
         when o.compaction_id is null
           then exists (select from purged_contexts g where g.context_id = c.origin_id and g.tenant_id = $2)
         else (o.token, o.create_time, o.lease_time, o.end_time, o.revision, o.fingerprint, o.origin, o.base_version,
               o.base_revision, o.policy_revision, o.first_version, o.covered, o.added, o.plan)
              = (c.token, c.create_time, c.lease_time, c.end_time, c.revision, c.fingerprint, c.origin, c.base_version,
                 c.base_revision, c.policy_revision, c.first_version, c.covered, c.added, c.plan)
           and (o.previous_id, o.previous_revision, o.summariser, o.summary, o.summary_tokens, o.summary_state)
               is not distinct from
               (c.previous_id, c.previous_revision, c.summariser, c.summary, c.summary_tokens, c.summary_state)
       end end as is_as_made
from (
  select * from compactions
  where context_id = $1 and tenant_id = $2 and compaction_id > $3 and state = 'committed' and revision <= $4
  order by compaction_id
  limit $6
) c
left join revisions r on r.context_id = c.context_id and r.tenant_id = c.tenant_id and r.revision = c.revision
left join revisions b on b.context_id = c.context_id and b.tenant_id = c.tenant_id and b.revision = c.base_revision
left join compactions o
  on o.context_id = c.origin_id and o.tenant_id = c.tenant_id and o.compaction_id = c.compaction_id
order by c.compaction_id;

-- name: list_whole_tags
-- A page of tags, by name, and the newest revision of their context. $1 context_id, $2 tenant_id, $3 names above this,
-- $4 limit
select name, version, revision, create_time, update_time
from tags
where context_id = $1 and tenant_id = $2 and name > $3
order by name
limit $4;
