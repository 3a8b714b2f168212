-- Statements that append messages and read them back.

-- name: append_batches
-- Appends batches to different contexts, each as one revision, and returns the contexts after it. The contexts' rows are
-- locked first, because only a locked row is read again after a wait: versions, sums and open calls are those of the
-- writer before, so versions are dense and visible in order. A batch has no row in the answer, and nothing written, when
-- its context is not there, deleted, of another tokenizer, not at the expected version, or would have too many open
-- calls, or when its request_id was used. A request_id that another writer uses at the same moment violates
-- revisions_request_uq. Locks are taken in the order of the arrays. Contexts and claims are looked up one by one, by
-- their keys, whatever the tables were like when the statement was planned; and what a batch found before it is
-- carried along, so that nothing is joined to find it again. A message is found by its place among all of them, by
-- arrays of numbers and bytes that are cut: joined with their batches, messages would be compared each with each.
-- A batch an element: $1 context_id, $2 tenant_id, $3 tokenizer, $4 expected_version or null, $5 request_id or null,
-- $6 fingerprint, $7 digest, $8 tool steps as in kata_fold_calls or null, $9 how many messages of others stand before
-- its own, $10 those and its own. $11 most open calls, $12 the roles that there are, $13 the sources of counts. A message
-- a byte: $14 role and $15 source by their places in those. A message an element, as the text of an array that is null
-- where there is nothing but zeros: $16 token count, $17 item count; running within the batch and with this message, what
-- it adds to the context: $18 tokens, $19 items, $20 inexact messages, $21 pinned tokens, $22 pinned messages, $23 pinned
-- items, $24 place within the batch of the newest turn's start, 0 without one. Of all messages together: $25 digests, $26
-- records up to the stamp, $27 where each of these ends, as the text of an array. $28 labels as the text of an array, or
-- null, an element a message; null where none has any
with numbers as materialized (
  select $16::text::int[] as tokens, $17::text::int[] as items, $18::text::bigint[] as total_tokens,
         $19::text::bigint[] as total_items, $20::text::int[] as inexact, $21::text::bigint[] as pinned_tokens,
         $22::text::int[] as pinned_messages, $23::text::bigint[] as pinned_items, $24::text::int[] as turns,
         $27::text::int[] as head_ends
), locked as materialized (
  select b.*, c.latest_version, c.latest_revision, c.total_tokens, c.total_items, c.inexact_messages, c.pinned_tokens,
         c.pinned_messages, c.pinned_items, c.turn_version, c.open_calls, c.chain
  from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bytea[], $7::bytea[], $8::jsonb[],
              $9::int[], $10::int[])
       with ordinality as b(context_id, tenant_id, tokenizer, expected_version, request_id, fingerprint, digest, steps,
                            before, last, place)
  cross join lateral (
    select *
    from contexts c
    where c.id = b.context_id and c.tenant_id = b.tenant_id and c.delete_time is null and c.tokenizer = b.tokenizer
      and (b.expected_version is null or c.latest_version = b.expected_version)
    for no key update of c
  ) c
  where b.request_id is null
     or (select r.revision from revisions r where r.context_id = b.context_id and r.request_id = b.request_id) is null
), folded as materialized (
  select l.place, array_agg(f.group_version order by f.step) as groups, array_agg(f.open_after order by f.step) as opened
  from locked l
  cross join lateral kata_fold_calls(l.open_calls, l.steps, l.latest_version) f
  where l.steps is not null
  group by l.place
), changed as (
  update contexts c
  set latest_version = l.latest_version + l.last - l.before,
      latest_revision = l.latest_revision + 1,
      total_tokens = l.total_tokens + coalesce(n.total_tokens[l.last], 0),
      total_items = l.total_items + coalesce(n.total_items[l.last], 0),
      inexact_messages = l.inexact_messages + coalesce(n.inexact[l.last], 0),
      pinned_tokens = l.pinned_tokens + coalesce(n.pinned_tokens[l.last], 0),
      pinned_messages = l.pinned_messages + coalesce(n.pinned_messages[l.last], 0),
      pinned_items = l.pinned_items + coalesce(n.pinned_items[l.last], 0),
      turn_version = case when n.turns[l.last] > 0 then l.latest_version + n.turns[l.last]
                          else l.turn_version end,
      open_calls = case when l.steps is null then l.open_calls
                        else (select f.opened[l.last - l.before] from folded f where f.place = l.place) end,
      chain = sha256(l.chain || l.digest || l.fingerprint),
      due_time = case when l.latest_version + l.last - l.before >= c.due_version
                        or l.total_tokens + coalesce(n.total_tokens[l.last], 0) >= c.due_tokens
                      then coalesce(c.due_time, clock_timestamp()) else c.due_time end,
      update_time = greatest(clock_timestamp(), c.update_time)
  from locked l
  cross join numbers n
  where c.id = l.context_id
    and (l.steps is null
         or (select coalesce(sum(jsonb_array_length(value)), 0)
             from folded f, jsonb_each(f.opened[l.last - l.before]) where f.place = l.place) <= $11::int)
  returning l.place, c.id, c.tenant_id, c.name, c.unique_name, c.labels, c.metadata_json, c.tokenizer, c.origin_format,
            c.origin_id, c.origin_extra_json, c.create_time, c.update_time, c.delete_time, c.update_revision,
            c.latest_revision, c.latest_version, c.total_tokens, c.parent_id, c.fork_version, c.fork_revision, c.depth,
            c.has_removals, c.due_time <= clock_timestamp() as is_due, c.chain,
            (extract(epoch from c.update_time) * 1000000)::bigint as micros,
            l.before, l.last, l.request_id, l.fingerprint, l.latest_version as version_before,
            l.total_tokens as tokens_before, l.total_items as items_before, l.inexact_messages as inexact_before,
            l.pinned_tokens as tokens_of_pinned_before, l.pinned_messages as pinned_before,
            l.pinned_items as items_of_pinned_before, l.turn_version as turn_before, l.open_calls as open_before
), claimed as (
  insert into revisions (context_id, revision, tenant_id, kind, first_version, last_version, create_time, request_id,
                         fingerprint, chain)
  select id, latest_revision, tenant_id, 'append', version_before + 1, latest_version, update_time, request_id,
         fingerprint, chain
  from changed
), appended as (
  insert into messages (context_id, version, tenant_id, revision, create_time, role, group_version, token_count,
                        item_count, token_count_source, total_tokens, total_items, inexact_messages, pinned_tokens,
                        pinned_messages, pinned_items, turn_version, open_calls, digest, record, labels)
  select c.id, c.version_before + m.step, c.tenant_id, c.latest_revision, c.update_time,
         ($12::text[])[get_byte($14::bytea, m.place - 1)], coalesce(f.groups[m.step], c.version_before + m.step),
         coalesce(n.tokens[m.place], 0), coalesce(n.items[m.place], 0), ($13::text[])[get_byte($15::bytea, m.place - 1)],
         c.tokens_before + coalesce(n.total_tokens[m.place], 0),
         c.items_before + coalesce(n.total_items[m.place], 0),
         c.inexact_before + coalesce(n.inexact[m.place], 0),
         c.tokens_of_pinned_before + coalesce(n.pinned_tokens[m.place], 0),
         c.pinned_before + coalesce(n.pinned_messages[m.place], 0),
         c.items_of_pinned_before + coalesce(n.pinned_items[m.place], 0),
         case when n.turns[m.place] > 0 then c.version_before + n.turns[m.place] else c.turn_before end,
         nullif(coalesce(f.opened[m.step], c.open_before), '{}'::jsonb),
         substring($25::bytea from m.place * 32 - 31 for 32),
         substring($26::bytea from m.head_ends_before + 1 for n.head_ends[m.place] - m.head_ends_before)
           || kata_stamp(c.version_before + m.step, c.latest_revision, c.micros),
         ($28::text[])[m.place]::text[]
  from changed c
  cross join numbers n
  cross join lateral (
    select step, c.before + step as place, coalesce(n.head_ends[c.before + step - 1], 0) as head_ends_before
    from generate_series(1, c.last - c.before) step
  ) m
  left join folded f on f.place = c.place
)
select place, id, tenant_id, name, unique_name, labels, metadata_json, tokenizer, origin_format, origin_id,
       origin_extra_json, create_time, update_time, delete_time, update_revision, latest_revision, latest_version,
       total_tokens, parent_id, fork_version, fork_revision, depth, has_removals, is_due
from changed;

-- name: append_plain
-- Does what append_batches does for batches of one message without tool steps, in less of PostgreSQL's time, a sixth when
-- one is alone: such a message is its whole batch, so that nothing runs within it. A context that another transaction
-- holds is passed over.
-- A message an element: $1 context_id, $2 tenant_id, $3 tokenizer, $4 expected_version or null, $5 request_id or null,
-- $6 fingerprint, $7 digest of the batch, $8 role, $9 token count and $10 item count as the texts of arrays, null
-- where all are zero, $11 source of the count, $12 digest, $13 record up to the stamp, $14 labels as the text of an
-- array, or null
with locked as materialized (
  select b.*, coalesce(b.token_count, 0) as tokens, coalesce(b.item_count, 0) as items
  from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bytea[], $7::bytea[], $8::text[],
              $9::text::int[], $10::text::int[], $11::text[], $12::bytea[], $13::bytea[], $14::text[])
       with ordinality as b(context_id, tenant_id, tokenizer, expected_version, request_id, fingerprint, batch_digest,
                            role, token_count, item_count, source, digest, head, marks, place)
  cross join lateral (
    select c.id
    from contexts c
    where c.id = b.context_id and c.tenant_id = b.tenant_id and c.delete_time is null and c.tokenizer = b.tokenizer
      and (b.expected_version is null or c.latest_version = b.expected_version)
    for no key update of c skip locked
  ) c
  where b.request_id is null
     or (select r.revision from revisions r where r.context_id = b.context_id and r.request_id = b.request_id) is null
), changed as (
  update contexts c
  set latest_version = c.latest_version + 1,
      latest_revision = c.latest_revision + 1,
      total_tokens = c.total_tokens + l.tokens,
      total_items = c.total_items + l.items,
      inexact_messages = c.inexact_messages + (l.source <> 'counted')::int,
      pinned_tokens = c.pinned_tokens + case when l.role in ('system', 'developer') then l.tokens else 0 end,
      pinned_messages = c.pinned_messages + (l.role in ('system', 'developer'))::int,
      pinned_items = c.pinned_items + case when l.role in ('system', 'developer') then l.items else 0 end,
      turn_version = case when l.role = 'user' then c.latest_version + 1 else c.turn_version end,
      chain = sha256(c.chain || l.batch_digest || l.fingerprint),
      due_time = case when c.latest_version + 1 >= c.due_version or c.total_tokens + l.tokens >= c.due_tokens
                      then coalesce(c.due_time, clock_timestamp()) else c.due_time end,
      update_time = greatest(clock_timestamp(), c.update_time)
  from locked l
  where c.id = l.context_id
  returning c.*, c.due_time <= clock_timestamp() as is_due,
            (extract(epoch from c.update_time) * 1000000)::bigint as micros, l.place, l.request_id, l.fingerprint,
            l.role, l.tokens, l.items, l.source, l.digest, l.head, l.marks
), claimed as (
  insert into revisions (context_id, revision, tenant_id, kind, first_version, last_version, create_time, request_id,
                         fingerprint, chain)
  select id, latest_revision, tenant_id, 'append', latest_version, latest_version, update_time, request_id, fingerprint,
         chain
  from changed
), appended as (
  insert into messages (context_id, version, tenant_id, revision, create_time, role, group_version, token_count,
                        item_count, token_count_source, total_tokens, total_items, inexact_messages, pinned_tokens,
                        pinned_messages, pinned_items, turn_version, open_calls, digest, record, labels)
  select id, latest_version, tenant_id, latest_revision, update_time, role, latest_version, tokens, items,
         source, total_tokens, total_items, inexact_messages, pinned_tokens, pinned_messages, pinned_items, turn_version,
         nullif(open_calls, '{}'::jsonb), digest, head || kata_stamp(latest_version, latest_revision, micros),
         marks::text[]
  from changed
)
select place, id, tenant_id, name, unique_name, labels, metadata_json, tokenizer, origin_format, origin_id,
       origin_extra_json, create_time, update_time, delete_time, update_revision, latest_revision, latest_version,
       total_tokens, parent_id, fork_version, fork_revision, depth, has_removals, is_due
from changed;

-- name: count_open_calls
-- How many tool calls would be open after a batch, to tell why an append found no row.
-- $1 context_id, $2 tenant_id, $3 tool steps as in kata_fold_calls
select coalesce(sum(jsonb_array_length(o.value)), 0)::int
from contexts c
cross join lateral (
  select open_after from kata_fold_calls(c.open_calls, $3::jsonb, c.latest_version) order by step desc limit 1
) f
cross join lateral jsonb_each(f.open_after) o
where c.id = $1 and c.tenant_id = $2;

-- name: get_message
-- One message of a live context. $1 context_id, $2 tenant_id, $3 version
select version, group_version, record from messages where context_id = $1 and tenant_id = $2 and version = $3;

-- name: list_groups_of
-- The groups of some messages. $1 context_id, $2 tenant_id, $3 versions
select version, group_version from messages
where context_id = $1 and tenant_id = $2 and version = any ($3::bigint[])
order by version;

-- name: revision_of_message
-- The revision that appended a message. $1 context_id, $2 tenant_id, $3 version
select revision from messages where context_id = $1 and tenant_id = $2 and version = $3;

-- name: list_messages_after
-- A page of messages from the oldest on, and in `found` how many there were to choose from: more than the page when it
-- is not the last. A page stops before the row that would take it above $6, but never before its first.
-- $1 context_id, $2 tenant_id, $3 versions above this, $4 up to this, $5 roles or null, $6 bytes, $7 limit
select version, group_version, record, found
from (
  select p.*, sum(octet_length(record)) over (order by version) as bytes, octet_length(record) as size,
         count(*) over () as found, row_number() over (order by version) as place
  from (
    select version, group_version, record
    from messages
    where context_id = $1 and tenant_id = $2 and version > $3 and version <= $4
      and ($5::text[] is null or role = any ($5))
    order by version
    limit $7::int + 1
  ) p
) q
where place <= $7 and (bytes = size or bytes <= $6::bigint)
order by version;

-- name: list_messages_before
-- The same from the newest on. $1 context_id, $2 tenant_id, $3 versions from this on, $4 up to this, $5 roles or null,
-- $6 bytes, $7 limit
select version, group_version, record, found
from (
  select p.*, sum(octet_length(record)) over (order by version desc) as bytes, octet_length(record) as size,
         count(*) over () as found, row_number() over (order by version desc) as place
  from (
    select version, group_version, record
    from messages
    where context_id = $1 and tenant_id = $2 and version >= $3 and version <= $4
      and ($5::text[] is null or role = any ($5))
    order by version desc
    limit $7::int + 1
  ) p
) q
where place <= $7 and (bytes = size or bytes <= $6::bigint)
order by version desc;

-- name: list_rest_of_groups
-- Messages of some groups above a version, oldest first, up to $6 bytes but never less than one.
-- $1 context_id, $2 tenant_id, $3 group versions, $4 versions above this, $5 up to this, $6 bytes
select version, group_version, record
from (
  select version, group_version, record, octet_length(record) as size,
         sum(octet_length(record)) over (order by version) as bytes
  from messages
  where context_id = $1 and tenant_id = $2 and group_version = any ($3::bigint[]) and group_version < version
    and version > $4 and version <= $5
) p
where bytes = size or bytes <= $6::bigint
order by version;
