-- Statements that find and read windows. None of them looks at more of a log than the window and one group before it.

-- name: look
-- One look at the end of a log. The first row has in `snapshot`, as JSON, the context, the segments that it has as a fork
-- and its running state at the snapshot (null when that is empty). Then come the pinned messages, unless they are more
-- than $10, and the newest messages, newest first: as many as should fit by the log's average and a quarter more, $8 at
-- least and $9 at most. Records that go beyond $11 bytes together are left out. The limits keep the plan on the indexes
-- from a connection's first execution on. $1 context_id, $2 tenant_id, $3 at_version or null, $4 at_revision or null,
-- $5 the most that pinned and newest messages may cost, $6 tokens a message, $7 tokens an item, $8 to $11 as above; what
-- the lineage is believed to be: $12 source, $13 first and $14 last version of each segment, and $15 source and $16 last
-- version of that of at_revision
with snapshot as materialized (
  select c.tokenizer, c.latest_version, c.latest_revision, c.delete_time is not null as deleted, c.policy_revision,
         encode(c.policy, 'hex') as policy, c.segments, c.fork_version, c.has_removals, c.compaction_id,
         c.compaction_revision, exists (
           select from unnest($12) as g(source_id) join redactions d on d.context_id = g.source_id
           where d.tenant_id = c.tenant_id
         ) as has_redactions,
         coalesce($3, r.last_version, c.latest_version) as version, s.revision,
         s.total_tokens, s.total_items, s.inexact_messages, s.pinned_tokens, s.pinned_messages, s.pinned_items,
         s.turn_version, s.open_calls::text as open_calls
  from contexts c
  left join lateral (
    select least(last_version, $16::bigint) as last_version from revisions
    where context_id = $15::uuid and tenant_id = c.tenant_id and revision <= $4
    order by revision desc limit 1
  ) r on $4::bigint is not null
  left join lateral (
    select m.*
    from unnest($12::uuid[], $13::bigint[], $14::bigint[]) as g(source_id, first, last)
    join messages m
      on m.context_id = g.source_id and m.tenant_id = c.tenant_id
      and m.version = coalesce($3::bigint, r.last_version, c.latest_version)
    where m.version between g.first and g.last
  ) s on true
  where c.id = $1 and c.tenant_id = $2
), costs as (
  select version, pinned_messages, version::float8 / greatest(version - pinned_messages, 1) as share,
         $5::bigint - (pinned_tokens + $6::bigint * pinned_messages + $7::bigint * pinned_items) as allowance,
         (total_tokens - pinned_tokens + $6 * (version - pinned_messages) + $7 * (total_items - pinned_items))::float8
         / greatest(version - pinned_messages, 1) as average
  from snapshot
  where revision is not null
), limits as (
  select version, case when pinned_messages <= $10::int then pinned_messages else 0 end as pinned,
         least(least(greatest(allowance, 0) / greatest(average, 1), $9::int) * 1.25 * least(share, 4) + $8::int, $9)
           ::int as newest
  from costs
)
select row_to_json(s)::text as snapshot, null::bigint as version,
       null::bigint as group_version, null as role, null::int as token_count, null::int as item_count,
       null as token_count_source, null::bigint as total_tokens, null::bytea as digest, null::bytea as record
from snapshot s
union all
select null, p.*
from limits l
cross join lateral (
  select version, group_version, role, token_count, item_count, token_count_source, total_tokens, digest,
         case when sum(octet_length(record)) over (order by version) <= $11::bigint then record end
  from unnest($12, $13, $14) as g(source_id, first, last)
  cross join lateral (
    select * from messages
    where context_id = g.source_id and tenant_id = $2 and version between g.first and least(l.version, g.last)
      and role in ('system', 'developer')
    order by version
    limit l.pinned
  ) m
) p
union all
select null, n.*
from limits l
cross join lateral (
  select version, group_version, role, token_count, item_count, token_count_source, total_tokens, digest,
         case when sum(octet_length(record)) over (order by version desc) <= $11::bigint then record end
  from unnest($12, $13, $14) as g(source_id, first, last)
  cross join lateral (
    select * from messages
    where context_id = g.source_id and tenant_id = $2 and version <= least(l.version, g.last)
      and version >= greatest(l.version - l.newest + 1, g.first)
    order by version desc
    limit l.newest
  ) m
  order by version desc
) n;

-- name: read_newest
-- A range of messages, newest first, without the records that go beyond $5 bytes together, but never without the newest
-- one. $1 context_id, $2 tenant_id, $3 first version, $4 last version, $5 bytes
select version, group_version, role, token_count, item_count, token_count_source, total_tokens, digest,
       case when sum(octet_length(record)) over (order by version desc) <= greatest($5::bigint, octet_length(record))
            then record end as record
from messages
where context_id = $1 and tenant_id = $2 and version between $3 and $4
order by version desc;

-- name: read_costs
-- What selection needs of a range of messages, newest first.
-- $1 context_id, $2 tenant_id, $3 first version, $4 last version
select version, group_version, role, token_count, item_count
from messages
where context_id = $1 and tenant_id = $2 and version between $3 and $4
order by version desc;

-- name: get_running_state
-- The running state after a message. $1 context_id, $2 tenant_id, $3 version
select version, total_tokens, total_items, inexact_messages, pinned_tokens, pinned_messages, pinned_items, turn_version,
       open_calls
from messages
where context_id = $1 and tenant_id = $2 and version = $3;

-- name: find_start
-- The version before the longest run of newest messages whose cost fits, by binary search over the running sums: one
-- look-up by primary key a step. The cost of a run is its unpinned tokens + $8 a message + $9 an item.
-- $1 tenant_id, $2 source, $3 first and $4 last version of each segment of the lineage, $5 last version of the run,
-- $6 the running cost at it, $7 the most the run may cost, $8 tokens a message, $9 tokens an item
with recursive search (low, high) as (
  select 0::bigint, $5::bigint
  union all
  select case when fits then low else middle end, case when fits then middle else high end
  from (
    select s.low, s.high, m.version as middle,
           $6::bigint - (m.total_tokens - m.pinned_tokens + $8::bigint * (m.version - m.pinned_messages)
                         + $9::bigint * (m.total_items - m.pinned_items)) <= $7::bigint as fits
    from search s
    join unnest($2::uuid[], $3::bigint[], $4::bigint[]) as g(source_id, first, last)
      on (s.low + s.high) / 2 between g.first and g.last
    join messages m on m.context_id = g.source_id and m.tenant_id = $1 and m.version = (s.low + s.high) / 2
    where s.high - s.low > 1
  ) step
)
select min(high) from search;

-- name: list_group_members
-- The messages of some groups within a range, without bodies. $1 context_id, $2 tenant_id, $3 group versions,
-- $4 first version, $5 last version
select version, group_version, role, token_count, item_count
from messages
where context_id = $1 and tenant_id = $2 and group_version = any ($3::bigint[]) and group_version < version
  and version between $4 and $5
union all
select version, group_version, role, token_count, item_count
from messages
where context_id = $1 and tenant_id = $2 and version = any ($3::bigint[]) and group_version = version
  and version between $4 and $5
order by version;

-- name: find_tail_start
-- The first version of the first group that starts in a range (its group_version, never above its version, is equal: an
-- equality would be taken for rare, and all of the range read for it), is not one of some groups and, up to a version,
-- is a user's. $1 context_id, $2 tenant_id, $3 first version, $4 last version, $5 versions to pass over as a
-- multirange, $6 user's up to
select version from messages
where context_id = $1 and tenant_id = $2 and version between $3 and $4 and group_version >= version
  and not $5::text::int8multirange @> version
  and case when version <= $6::bigint then role = 'user' else role not in ('system', 'developer') end
order by version
limit 1;

-- name: read_turn
-- The newest group up to a version that a user's message starts: its one message. $1 context_id, $2 tenant_id,
-- $3 versions up to this
select version, group_version, role, token_count, item_count, token_count_source, total_tokens, digest, record
from messages
where context_id = $1 and tenant_id = $2 and version <= $3 and group_version >= version and role = 'user'
order by version desc
limit 1;

-- name: list_turns
-- The newest versions of a range at which the user opened a turn (its turn_version, never above its version, is equal): not
-- all that is a user's does. $1 context_id, $2 tenant_id, $3 first and $4 last version, $5 limit
select version from messages
where context_id = $1 and tenant_id = $2 and version between $3 and $4 and turn_version >= version
order by version desc
limit $5;

-- name: read_overlays
-- What touches some ranges of versions, cut to them: the runs that were removed or restored up to a revision, and the
-- groups in which something was redacted, for good and in every view. A run is at most 4,096 versions long; those of 64
-- and less that reach into a range are near its start, the others are few and have an index of their own. Offsets keep
-- the planner from reading all removals of a context before it looks at the ranges.
-- $1 tenant_id, $2 source, $3 last version and $4 last revision of each segment of the lineage, $5 first and $6 last version of each range,
-- $7 whether removals count, $8 whether redactions do
select greatest(r.first_version, a.first) as first_version, least(r.last_version, a.last, g.last) as last_version,
       r.revision, r.removed as hides, 'removed' as why
from unnest($2::uuid[], $3::bigint[], $4::bigint[]) as g(source_id, last, last_revision)
cross join unnest($5::bigint[], $6::bigint[]) as a(first, last)
cross join lateral (
  (
    select first_version, last_version, revision, removed from removals
    where context_id = g.source_id and tenant_id = $1 and first_version > a.first - 64
      and first_version <= least(a.last, g.last) and last_version >= a.first and revision <= g.last_revision
    offset 0
  )
  union all
  (
    select first_version, last_version, revision, removed from removals
    where context_id = g.source_id and tenant_id = $1 and last_version - first_version >= 64
      and first_version > a.first - 4096 and first_version <= least(a.first - 64, g.last) and last_version >= a.first
      and revision <= g.last_revision
    offset 0
  )
) r
where $7::boolean
union all
select d.group_version, d.group_version, 1::bigint << 62, true, 'redacted'
from unnest($2, $3) as g(source_id, last)
cross join unnest($5, $6) as a(first, last)
join redactions d
  on d.context_id = g.source_id and d.tenant_id = $1 and d.group_version between a.first and a.last
  and d.version <= g.last
where $8::boolean;

-- name: list_pinned_groups
-- The groups of some versions, and of messages with some labels, whole as far as the lineage goes: their rows in order,
-- without the records. System messages are in every window, and orphan results in none. $1 tenant_id, $2 source, $3 first
-- and $4 last version of each segment of the lineage, $5 versions, $6 labels
with wanted as materialized (
  select m.group_version
  from unnest($2::uuid[], $3::bigint[], $4::bigint[]) as g(source_id, first, last)
  cross join lateral (
    select group_version from messages
    where context_id = g.source_id and tenant_id = $1 and version = any ($5::bigint[])
      and version between g.first and g.last and role not in ('system', 'developer')
    union
    select group_version from messages
    where context_id = g.source_id and tenant_id = $1 and labels is not null and labels && $6::text[]
      and version between g.first and g.last and role not in ('system', 'developer')
  ) m
  group by m.group_version
)
select m.version, m.group_version, m.role, m.token_count, m.item_count, m.token_count_source
from wanted w
cross join unnest($2, $3, $4) as g(source_id, first, last)
cross join lateral (
  select version, group_version, role, token_count, item_count, token_count_source from messages
  where context_id = g.source_id and tenant_id = $1 and version = w.group_version and version between g.first and g.last
  union all
  select version, group_version, role, token_count, item_count, token_count_source from messages
  where context_id = g.source_id and tenant_id = $1 and group_version = w.group_version and group_version < version
    and version between g.first and g.last
) m
where w.group_version > 0
order by m.version;

-- name: read_records
-- Messages by version, in order. $1 context_id, $2 tenant_id, $3 versions
select version, group_version, role, token_count, item_count, token_count_source, total_tokens, digest, record
from messages
where context_id = $1 and tenant_id = $2 and version = any ($3::bigint[])
order by version;

-- name: read_window_page
-- A page of a window's tail: its records one after the other with $9 between them, their digests, and its last version;
-- all null when nothing in the range is in the window. It is a range of versions and not a limit, which bounds what any
-- plan reads. Where the range has more than $8 bytes it stops before the record that would go beyond them, but never
-- before its first. What was erased since the window was chosen is not there. $1 context_id, $2 tenant_id, $3 versions above this, $4 last version, $5 start of the tail, $6 versions
-- and groups to pass over as a multirange, $7 groups from before the start that are kept, $8 bytes, $9 what stands between two records
with size as materialized (
  select coalesce(sum(octet_length(record)), 0) as bytes
  from messages
  where context_id = $1 and tenant_id = $2 and version > $3 and version <= $4
)
select string_agg(record, $9::bytea) as records, string_agg(digest, ''::bytea) as digests,
       max(version) as last_version
from (
  (select version, record, digest
   from messages
   where context_id = $1 and tenant_id = $2 and version > $3 and version <= $4
     and (group_version >= $5 or role in ('system', 'developer') or group_version = any ($7::bigint[]))
     and not ($6::text::int8multirange @> version or $6::text::int8multirange @> group_version)
     and redact_revision is null
     and (select bytes from size) <= $8::bigint
   order by version)
  union all
  (select version, record, digest
   from (
     select version, record, digest,
            sum(octet_length(record)) over (order by version rows unbounded preceding) as bytes
     from messages
     where context_id = $1 and tenant_id = $2 and version > $3 and version <= $4
       and (group_version >= $5 or role in ('system', 'developer') or group_version = any ($7::bigint[]))
       and not ($6::text::int8multirange @> version or $6::text::int8multirange @> group_version)
       and redact_revision is null
       and (select bytes from size) > $8::bigint
   ) counted
   where bytes <= $8 or bytes = octet_length(record)
   order by version)
) page;

-- name: read_window_digests
-- The digests of what read_window_page reads of a range, without the records, however many they are. $1 to $7 as there
select string_agg(digest, ''::bytea order by version) as digests
from messages
where context_id = $1 and tenant_id = $2 and version > $3 and version <= $4::bigint
  and (group_version >= $5 or role in ('system', 'developer') or group_version = any ($7::bigint[]))
  and not ($6::text::int8multirange @> version or $6::text::int8multirange @> group_version);

-- name: read_window_rows
-- The rows of a page, bounded like read_window_page, for messages that are not sent as they are stored. $1 to $8 as there
select version, group_version, role, token_count, item_count, token_count_source, total_tokens, digest, record
from (
  select version, group_version, role, token_count, item_count, token_count_source, total_tokens, digest, record,
         sum(octet_length(record)) over (order by version rows unbounded preceding) as bytes
  from messages
  where context_id = $1 and tenant_id = $2 and version > $3 and version <= $4
    and (group_version >= $5 or role in ('system', 'developer') or group_version = any ($7::bigint[]))
    and not ($6::text::int8multirange @> version or $6::text::int8multirange @> group_version)
    and redact_revision is null
) counted
where bytes <= $8::bigint or bytes = octet_length(record)
order by version;

-- name: read_pinned_page
-- A page of what stands before a window's tail, its pinned messages and some others, bounded like read_window_page.
-- $1 context_id, $2 tenant_id, $3 versions above this, $4 last version, $5 limit, $6 bytes, $7 versions of the others
select version, group_version, role, token_count, item_count, token_count_source, total_tokens, digest, record
from (
  select page.*, sum(octet_length(record)) over (order by version) as bytes
  from (
    (select version, group_version, role, token_count, item_count, token_count_source, total_tokens, digest, record
     from messages
     where context_id = $1 and tenant_id = $2 and version > $3 and version <= $4 and role in ('system', 'developer')
       and redact_revision is null
     order by version
     limit $5)
    union all
    (select version, group_version, role, token_count, item_count, token_count_source, total_tokens, digest, record
     from messages
     where context_id = $1 and tenant_id = $2 and version > $3 and version <= $4 and version = any ($7::bigint[])
       and role not in ('system', 'developer') and redact_revision is null
     order by version
     limit $5)
    order by version
    limit $5
  ) page
) counted
where bytes = octet_length(record) or bytes <= $6::bigint
order by version;

-- name: get_policy_at
-- The policy in force at a revision. $1 context_id, $2 tenant_id, $3 revision
select revision, policy from policies
where context_id = $1 and tenant_id = $2 and revision <= $3
order by revision desc
limit 1;
