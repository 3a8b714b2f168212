-- Statements that append messages and read them back.

-- name: append_messages
-- Appends a batch as one revision, in one statement. The context's row is locked first, because only a locked row is
-- read again after a wait: versions, sums and open calls are those of the writer before, so versions are dense and
-- visible in order. No row: the context is not there, deleted, of another tokenizer, not at the expected version, or
-- would have too many open calls. A request_id that was used violates revisions_request_uq. Running values in the
-- arrays are those within the batch.
-- $1 context_id, $2 tenant_id, $3 tokenizer, $4 expected_version or null, $5 request_id or null, $6 fingerprint,
-- $7 digest of the batch, $8 tool steps as in kata_fold_calls or null, $9 most open calls,
-- $10 roles, $11 token counts, $12 item counts, $13 count sources, $14 digests, $15 bodies,
-- $16 running tokens, $17 running items, $18 running inexact messages, $19 running pinned tokens, $20 running pinned
-- messages, $21 running pinned items, $22 place of the newest turn's start within the batch, 0 before the first
with locked as materialized (
  select id, latest_version, latest_revision, total_tokens, total_items, inexact_messages, pinned_tokens,
         pinned_messages, pinned_items, turn_version, open_calls, chain
  from contexts
  where id = $1 and tenant_id = $2 and delete_time is null and tokenizer = $3
    and ($4::bigint is null or latest_version = $4)
  for no key update
), folded as materialized (
  select f.*
  from locked l, kata_fold_calls(l.open_calls, $8::jsonb, l.latest_version) f
  where $8 is not null
), after as (
  select coalesce((select open_after from folded order by step desc limit 1), l.open_calls) as open_calls,
         cardinality($10::text[]) as count
  from locked l
), changed as (
  update contexts c
  set latest_version = l.latest_version + a.count,
      latest_revision = l.latest_revision + 1,
      total_tokens = l.total_tokens + ($16::bigint[])[a.count],
      total_items = l.total_items + ($17::bigint[])[a.count],
      inexact_messages = l.inexact_messages + ($18::bigint[])[a.count],
      pinned_tokens = l.pinned_tokens + ($19::bigint[])[a.count],
      pinned_messages = l.pinned_messages + ($20::bigint[])[a.count],
      pinned_items = l.pinned_items + ($21::bigint[])[a.count],
      turn_version = case when ($22::int[])[a.count] > 0 then l.latest_version + ($22::int[])[a.count]
                          else l.turn_version end,
      open_calls = a.open_calls,
      chain = sha256(l.chain || $7::bytea),
      update_time = clock_timestamp()
  from locked l, after a
  where c.id = $1 and c.id = l.id
    and ($8 is null
         or (select coalesce(sum(jsonb_array_length(value)), 0) from jsonb_each(a.open_calls)) <= $9::int)
  returning c.*
), claimed as (
  insert into revisions (context_id, revision, tenant_id, kind, first_version, last_version, create_time, request_id,
                         fingerprint, chain)
  select c.id, c.latest_revision, c.tenant_id, 'append', l.latest_version + 1, c.latest_version, c.update_time, $5, $6,
         c.chain
  from changed c, locked l
), sealed as materialized (
  select kata_batch_fields(c.id, c.tokenizer, c.latest_revision, c.update_time) as batch_fields
  from changed c
), appended as (
  insert into messages (context_id, version, tenant_id, revision, create_time, role, group_version, token_count,
                        item_count, token_count_source, total_tokens, total_items, inexact_messages, pinned_tokens,
                        pinned_messages, pinned_items, turn_version, open_calls, digest, record)
  select c.id, l.latest_version + n.step, c.tenant_id, c.latest_revision, c.update_time, n.role,
         coalesce(f.group_version, l.latest_version + n.step), n.token_count, n.item_count, n.token_count_source,
         l.total_tokens + n.tokens, l.total_items + n.items, l.inexact_messages + n.inexact,
         l.pinned_tokens + n.pinned_tokens, l.pinned_messages + n.pinned_messages, l.pinned_items + n.pinned_items,
         case when n.turn > 0 then l.latest_version + n.turn else l.turn_version end,
         nullif(coalesce(f.open_after, l.open_calls), '{}'::jsonb), n.digest,
         kata_varint(octet_length(x.fields) + octet_length(n.body)) || x.fields || n.body
  from changed c
  cross join locked l
  cross join unnest($10::text[], $11::int[], $12::int[], $13::text[], $14::bytea[], $15::bytea[], $16::bigint[],
                    $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[], $22::int[])
       with ordinality as n(role, token_count, item_count, token_count_source, digest, body, tokens, items, inexact,
                            pinned_tokens, pinned_messages, pinned_items, turn, step)
  cross join sealed s
  cross join lateral (
    select kata_message_fields(s.batch_fields, l.latest_version + n.step, n.token_count, n.token_count_source) as fields
    offset 0  -- computed once
  ) x
  left join folded f on f.step = n.step
)
select * from changed;

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
-- The same from the newest on. $1 context_id, $2 tenant_id, $3 versions below this, $4 up to this, $5 roles or null,
-- $6 bytes, $7 limit
select version, record, found
from (
  select p.*, sum(octet_length(record)) over (order by version desc) as bytes, octet_length(record) as size,
         count(*) over () as found, row_number() over (order by version desc) as place
  from (
    select version, record
    from messages
    where context_id = $1 and tenant_id = $2 and version < $3 and version <= $4
      and ($5::text[] is null or role = any ($5))
    order by version desc
    limit $7::int + 1
  ) p
) q
where place <= $7 and (bytes = size or bytes <= $6::bigint)
order by version desc;
