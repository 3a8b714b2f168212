-- Statements that recount what is stored. They run over all tenants, for the operator.

-- name: recount_contexts
-- A page of contexts beside what their rows add up to. $1 ids above this, $2 limit
select c.id, c.tenant_id, c.latest_version, c.latest_revision, c.total_tokens, c.total_items, c.inexact_messages,
       c.pinned_tokens, c.pinned_messages, c.pinned_items,
       m.messages, m.last_version, m.tokens, m.items, m.inexact, m.tokens_of_pinned, m.pinned, m.items_of_pinned,
       m.bad_sums, m.bad_digests, r.revisions, r.last_revision
from (select * from contexts where $1::uuid is null or id > $1 order by id limit $2) c
cross join lateral (
  select count(*) as messages, coalesce(max(version), 0) as last_version,
         coalesce(sum(token_count), 0)::bigint as tokens, coalesce(sum(item_count), 0)::bigint as items,
         count(*) filter (where token_count_source <> 'counted') as inexact,
         coalesce(sum(token_count) filter (where role in ('system', 'developer')), 0)::bigint as tokens_of_pinned,
         count(*) filter (where role in ('system', 'developer')) as pinned,
         coalesce(sum(item_count) filter (where role in ('system', 'developer')), 0)::bigint as items_of_pinned,
         count(*) filter (where total_tokens <> running_tokens or version <> place) as bad_sums,
         count(*) filter (where record is not null and redact_revision is null and digest is distinct from sha256(kata_body(
           record, coalesce(origin_id, context_id), c.tokenizer, token_count, token_count_source,
           kata_stamp(version, revision, (extract(epoch from create_time) * 1000000)::bigint)))) as bad_digests
  from (
    select *, sum(token_count) over (order by version) as running_tokens, row_number() over (order by version) as place
    from messages where context_id = c.id
  ) s
) m
cross join lateral (
  select count(*) as revisions, max(revision) as last_revision
  from revisions where context_id = c.id and revision > 0
) r
order by c.id;
