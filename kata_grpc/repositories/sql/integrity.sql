-- Statements that walk through all that is stored. They run over all tenants, for the operator.

-- name: list_contexts
-- A page of contexts. $1 ids above this, $2 limit
select id, tenant_id from contexts where id > $1::uuid order by id limit $2;

-- name: list_stray_rows
-- Rows of contexts that are not there, a few of each table. What is left of a purged context is on its way out.
-- $1 limit
(select 'context_names' as name, s.context_id, s.tenant_id from (select distinct context_id, tenant_id from context_names) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'revisions' as name, s.context_id, s.tenant_id from (select distinct context_id, tenant_id from revisions) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'messages' as name, s.context_id, s.tenant_id from (select distinct context_id, tenant_id from messages) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'removals' as name, s.context_id, s.tenant_id from (select distinct context_id, tenant_id from removals) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'redactions' as name, s.context_id, s.tenant_id from (select distinct context_id, tenant_id from redactions) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'tags' as name, s.context_id, s.tenant_id from (select distinct context_id, tenant_id from tags) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'policies' as name, s.context_id, s.tenant_id from (select distinct context_id, tenant_id from policies) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'compactions' as name, s.context_id, s.tenant_id from (select distinct context_id, tenant_id from compactions) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'compactions_in_force' as name, s.context_id, s.tenant_id from (select distinct context_id, tenant_id from compactions_in_force) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'message_embeddings' as name, s.context_id, s.tenant_id from (select distinct context_id, tenant_id from message_embeddings) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1);

-- name: list_stray_names
-- Unique names that are held for contexts that do not want them, or not this one. $1 limit
select 'context_names' as name, n.context_id, n.tenant_id
from context_names n
join contexts c on c.id = n.context_id and c.tenant_id = n.tenant_id
where not c.unique_name or c.delete_time is not null or c.name <> n.name
limit $1;

-- name: find_context
-- One context with its tenant. $1 id
select id, tenant_id from contexts where id = $1;
