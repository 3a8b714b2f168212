-- Statements that append messages and read them back.

-- name: append_batches
-- Appends batches to different contexts, each as one revision, and returns the contexts after it. The contexts' rows are
-- locked first, because only a locked row is read again after a wait: versions, sums and open calls are those of the
-- writer before, so versions are dense and visible in order. A batch has no row in the answer, and nothing written, when
-- its context is not there, deleted, of another tokenizer, not at the expected version, or would have too many open
-- calls, or when its request_id was used. A request_id that another writer uses at the same moment violates
-- revisions_request_uq. Locks are taken in the order of the arrays. Contexts and claims are looked up one by one, by
-- their keys, whatever the tables were like when the statement was planned; and what a batch found before it is
-- carried along, so that nothing is joined to find it again.
-- A batch an element: $1 context_id, $2 tenant_id, $3 tokenizer, $4 expected_version or null, $5 request_id or null,
-- $6 fingerprint, $7 digest, $8 tool steps as in kata_fold_calls or null, $9 messages, and what they add to the context:
-- $10 tokens, $11 items, $12 inexact messages, $13 pinned tokens, $14 pinned messages, $15 pinned items, $16 place of the
-- newest turn's start within the batch, 0 without one. $17 most open calls. A message an element: $18 the place of its
-- batch, from 1 on, $19 its own place in it, $20 role, $21 token count, $22 item count, $23 source of the count,
-- $24 digest, $25 record up to the stamp, $26 to $32 as $10 to $16, running within the batch and with this message,
-- $33 labels as the text of an array, or null
with locked as materialized (
  select b.*, c.latest_version, c.latest_revision, c.total_tokens, c.total_items, c.inexact_messages, c.pinned_tokens,
         c.pinned_messages, c.pinned_items, c.turn_version, c.open_calls, c.chain
  from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bytea[], $7::bytea[], $8::jsonb[],
              $9::int[], $10::bigint[], $11::bigint[], $12::int[], $13::bigint[], $14::int[], $15::bigint[], $16::int[])
       with ordinality as b(context_id, tenant_id, tokenizer, expected_version, request_id, fingerprint, digest, steps,
                            messages, tokens, items, inexact, tokens_of_pinned, pinned, items_of_pinned, turn, place)
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
  select l.place, f.*
  from locked l
  cross join lateral kata_fold_calls(l.open_calls, l.steps, l.latest_version) f
  where l.steps is not null
), left_open as materialized (
  select distinct on (place) place, open_after from folded order by place, step desc
), changed as (
  update contexts c
  set latest_version = l.latest_version + l.messages,
      latest_revision = l.latest_revision + 1,
      total_tokens = l.total_tokens + l.tokens,
      total_items = l.total_items + l.items,
      inexact_messages = l.inexact_messages + l.inexact,
      pinned_tokens = l.pinned_tokens + l.tokens_of_pinned,
      pinned_messages = l.pinned_messages + l.pinned,
      pinned_items = l.pinned_items + l.items_of_pinned,
      turn_version = case when l.turn > 0 then l.latest_version + l.turn else l.turn_version end,
      open_calls = case when l.steps is null then l.open_calls
                        else (select o.open_after from left_open o where o.place = l.place) end,
      chain = sha256(l.chain || l.digest),
      update_time = clock_timestamp()
  from locked l
  where c.id = l.context_id
    and (l.steps is null
         or (select coalesce(sum(jsonb_array_length(value)), 0)
             from left_open o, jsonb_each(o.open_after) where o.place = l.place) <= $17::int)
  returning l.place, c.id, c.tenant_id, c.name, c.unique_name, c.labels, c.metadata_json, c.tokenizer, c.origin_format,
            c.origin_id, c.origin_extra_json, c.create_time, c.update_time, c.delete_time, c.update_revision,
            c.latest_revision, c.latest_version, c.total_tokens, c.parent_id, c.fork_version, c.fork_revision, c.depth,
            c.chain, (extract(epoch from c.update_time) * 1000000)::bigint as micros,
            l.request_id, l.fingerprint, l.latest_version as version_before, l.total_tokens as tokens_before,
            l.total_items as items_before, l.inexact_messages as inexact_before, l.pinned_tokens as tokens_of_pinned_before,
            l.pinned_messages as pinned_before, l.pinned_items as items_of_pinned_before, l.turn_version as turn_before,
            l.open_calls as open_before
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
  select c.id, c.version_before + m.step, c.tenant_id, c.latest_revision, c.update_time, m.role,
         coalesce(f.group_version, c.version_before + m.step), m.token_count, m.item_count, m.source,
         c.tokens_before + m.tokens, c.items_before + m.items, c.inexact_before + m.inexact,
         c.tokens_of_pinned_before + m.tokens_of_pinned, c.pinned_before + m.pinned,
         c.items_of_pinned_before + m.items_of_pinned,
         case when m.turn > 0 then c.version_before + m.turn else c.turn_before end,
         nullif(coalesce(f.open_after, c.open_before), '{}'::jsonb), m.digest,
         m.head || kata_stamp(c.version_before + m.step, c.latest_revision, c.micros), m.labels::text[]
  from unnest($18::int[], $19::int[], $20::text[], $21::int[], $22::int[], $23::text[], $24::bytea[], $25::bytea[],
              $26::bigint[], $27::bigint[], $28::int[], $29::bigint[], $30::int[], $31::bigint[], $32::int[], $33::text[])
       as m(batch, step, role, token_count, item_count, source, digest, head, tokens, items, inexact,
            tokens_of_pinned, pinned, items_of_pinned, turn, labels)
  join changed c on c.place = m.batch
  left join folded f on f.place = m.batch and f.step = m.step
)
select place, id, tenant_id, name, unique_name, labels, metadata_json, tokenizer, origin_format, origin_id,
       origin_extra_json, create_time, update_time, delete_time, update_revision, latest_revision, latest_version,
       total_tokens, parent_id, fork_version, fork_revision, depth
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
select record from messages where context_id = $1 and tenant_id = $2 and version = $3;

-- name: list_messages_after
-- A page of messages from the oldest on, and in `found` how many there were to choose from: more than the page when it
-- is not the last. A page stops before the row that would take it above $6, but never before its first.
-- $1 context_id, $2 tenant_id, $3 versions above this, $4 up to this, $5 roles or null, $6 bytes, $7 limit
select version, record, found
from (
  select p.*, sum(octet_length(record)) over (order by version) as bytes, octet_length(record) as size,
         count(*) over () as found, row_number() over (order by version) as place
  from (
    select version, record
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
select version, record, found
from (
  select p.*, sum(octet_length(record)) over (order by version desc) as bytes, octet_length(record) as size,
         count(*) over () as found, row_number() over (order by version desc) as place
  from (
    select version, record
    from messages
    where context_id = $1 and tenant_id = $2 and version >= $3 and version <= $4
      and ($5::text[] is null or role = any ($5))
    order by version desc
    limit $7::int + 1
  ) p
) q
where place <= $7 and (bytes = size or bytes <= $6::bigint)
order by version desc;
