-- Statements that fill contexts as appends would, without a call a message, and that check the result. The contexts
-- were created by calls. Message 1 is a system message, then come user and assistant in turn, of texts that repeat.

-- name: fill_messages
-- The log of each context. $1 context ids, $2 messages a context, $3 messages a revision, $4 bodies of the system
-- message and then of the texts in turn, $5 their token counts, $6 the sums of those counts from the first text on
with texts as materialized (
  select c.id, u.place, u.token_count, u.running, sha256(u.body) as digest,
         kata_head(octet_length(u.body), c.id, c.tokenizer, u.token_count::int, 'counted') || u.body as head
  from contexts c
  cross join unnest($4::bytea[], $5::bigint[], array[0::bigint] || $6::bigint[])
       with ordinality as u(body, token_count, running, place)
  where c.id = any ($1::uuid[])
)
insert into messages (context_id, version, tenant_id, revision, create_time, role, group_version, token_count,
                      item_count, token_count_source, total_tokens, total_items, inexact_messages, pinned_tokens,
                      pinned_messages, pinned_items, turn_version, digest, record)
select c.id, v.version, c.tenant_id, (v.version - 1) / $3::bigint + 1, now(),
       case when v.version = 1 then 'system' when v.version % 2 = 0 then 'user' else 'assistant' end,
       v.version, t.token_count, 0, 'counted',
       case when v.version = 1 then 0 else (v.version - 2) / k.texts * k.cycle + t.running end + k.pinned, 0, 0,
       k.pinned, 1, 0, v.version - v.version % 2, t.digest,
       t.head || kata_stamp(v.version, (v.version - 1) / $3 + 1, k.micros)
from (select ($5::bigint[])[1] as pinned, cardinality($4::bytea[]) - 1 as texts,
             ($6::bigint[])[cardinality($6::bigint[])] as cycle,
             (extract(epoch from now()) * 1000000)::bigint as micros
      offset 0) k
cross join contexts c
cross join generate_series(1, $2::bigint) as v(version)
join texts t on t.id = c.id and t.place = case when v.version = 1 then 1 else (v.version - 2) % k.texts + 2 end
where c.id = any ($1::uuid[])
order by c.id, v.version;

-- name: fill_revisions
-- The revisions of those messages, with their chain. $1 context ids, $2 what the fingerprint of a batch ends with
with recursive batch as materialized (
  select context_id, tenant_id, revision, min(version) as first_version, max(version) as last_version,
         min(create_time) as create_time, sha256(string_agg(digest, ''::bytea order by version)) as digest
  from messages
  where context_id = any ($1::uuid[])
  group by context_id, tenant_id, revision
), chained (id, revision, chain) as (
  select id, 0::bigint, chain from contexts where id = any ($1::uuid[])
  union all
  select h.id, b.revision, sha256(h.chain || b.digest)
  from chained h
  join batch b on b.context_id = h.id and b.revision = h.revision + 1
)
insert into revisions (context_id, revision, tenant_id, kind, first_version, last_version, create_time, fingerprint,
                       chain)
select b.context_id, b.revision, b.tenant_id, 'append', b.first_version, b.last_version, b.create_time,
       sha256('AppendMessages'::bytea || b.digest || $2::bytea), h.chain
from batch b
join chained h on h.id = b.context_id and h.revision = b.revision;

-- name: fill_contexts
-- The contexts' own columns, from the newest message and revision. $1 context ids, $2 messages a context
update contexts c
set latest_version = m.version, latest_revision = m.revision, total_tokens = m.total_tokens,
    total_items = m.total_items, inexact_messages = m.inexact_messages, pinned_tokens = m.pinned_tokens,
    pinned_messages = m.pinned_messages, pinned_items = m.pinned_items, turn_version = m.turn_version,
    chain = r.chain, update_time = m.create_time
from messages m
join revisions r on r.context_id = m.context_id and r.revision = m.revision
where c.id = any ($1::uuid[]) and m.context_id = c.id and m.version = $2::bigint;

-- name: recount
-- How many messages do not follow from the one before or, of some, are not what their digest says, and how many contexts not from their newest. No parameters.
select (
  select count(*)
  from (
    select version, revision, role, token_count, item_count, token_count_source, total_tokens, total_items,
           inexact_messages, pinned_tokens, pinned_messages, turn_version,
           case when version % 997 = 5 then digest is distinct from sha256(kata_body(
             record, context_id, (select tokenizer from contexts where id = context_id), token_count,
             token_count_source, kata_stamp(version, revision, (extract(epoch from create_time) * 1000000)::bigint)))
           else false end as altered,
           lag(version, 1, 0::bigint) over log as version_before,
           lag(revision, 1, 0::bigint) over log as revision_before,
           lag(total_tokens, 1, 0::bigint) over log as tokens_before,
           lag(pinned_tokens, 1, 0::bigint) over log as pinned_before,
           lag(pinned_messages, 1, 0::bigint) over log as pins_before,
           lag(turn_version, 1, 0::bigint) over log as turn_before
    from messages
    window log as (partition by context_id order by version)
  ) m
  where altered or version <> version_before + 1 or revision - revision_before not in (0, 1)
     or total_tokens <> tokens_before + token_count or total_items <> 0 or item_count <> 0 or inexact_messages <> 0
     or pinned_tokens <> pinned_before + case when role = 'system' then token_count else 0 end
     or pinned_messages <> pins_before + case when role = 'system' then 1 else 0 end
     or turn_version <> case when role = 'user' then version else turn_before end
) + (
  select count(*)
  from contexts c
  left join messages m on m.context_id = c.id and m.version = c.latest_version
  left join revisions r on r.context_id = c.id and r.revision = c.latest_revision
  where (c.latest_version, c.latest_revision, c.total_tokens, c.pinned_tokens, c.pinned_messages, c.turn_version, c.chain)
        is distinct from
        (m.version, r.revision, m.total_tokens, m.pinned_tokens, m.pinned_messages, m.turn_version, r.chain)
);

-- name: window_rows
-- Floor: the rows of a window whose ends are known. $1 context_id, $2 tenant_id, $3 first version, $4 last version
select version, revision, create_time, token_count, token_count_source, record
from messages
where context_id = $1 and tenant_id = $2 and version between $3 and $4
order by version;

-- name: keyset_page
-- Floor: the next page of a log. $1 context_id, $2 tenant_id, $3 versions above this, $4 limit
select version, revision, create_time, token_count, token_count_source, record
from messages
where context_id = $1 and tenant_id = $2 and version > $3
order by version
limit $4;

-- name: end_connections
-- Ends the server's connections to the database, as a restart of the database would. No parameters.
select count(pg_terminate_backend(pid))
from pg_stat_activity
where application_name = 'kata-grpc' and pid <> pg_backend_pid() and datname = current_database();

-- name: busy_connections
-- How many connections of the server are running a statement or are in a transaction. No parameters.
select count(*)
from pg_stat_activity
where application_name = 'kata-grpc' and pid <> pg_backend_pid() and state <> 'idle' and backend_type = 'client backend';

-- name: imported_rows
-- The messages of all imported contexts. No parameters.
select m.*
from messages m
join contexts c on c.id = m.context_id
where c.origin_format is not null
order by m.context_id, m.version;

-- name: make_copy_table
-- An empty table like that of the messages. No parameters.
create table bench_copy (like messages including all);

-- name: drop_copy_table
-- Its end. No parameters.
drop table bench_copy;

-- name: service_connections
-- How many connections the servers of this database have.
select count(*) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and application_name = 'kata-grpc';

-- name: listening_connections
-- How many of them listen for changes: those hold a lock together.
select count(*) from pg_locks l
join pg_database d on d.oid = l.database
where d.datname = current_database() and l.locktype = 'advisory' and l.mode = 'ShareLock' and l.granted;

-- name: fork_storage
-- How many rows a fork is, and how many bytes they have. $1 context_id, $2 tenant_id
select count(*) as rows, sum(bytes) as bytes
from (
  select pg_column_size(c.*) as bytes from contexts c where id = $1::text::uuid and tenant_id = $2
  union all
  select pg_column_size(r.*) from revisions r where context_id = $1::text::uuid and tenant_id = $2
  union all
  select pg_column_size(m.*) from messages m where context_id = $1::text::uuid and tenant_id = $2
) stored;
