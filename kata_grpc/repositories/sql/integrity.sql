-- Statements that walk through all that is stored. They run over all tenants, for the operator.

-- name: list_contexts
-- A page of contexts. $1 ids above this, $2 limit
select id, tenant_id from contexts where id > $1::uuid order by id limit $2;

-- name: list_stray_rows
-- Rows of contexts that are not there, a few of each table. What is left of a purged context is on its way out. The
-- contexts that a table has rows of are found by skipping from one to the next along its key. $1 limit
(select 'context_names' as name, s.context_id, s.tenant_id
 from context_names s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'revisions' as name, s.context_id, s.tenant_id
 from (
   with recursive held (context_id, tenant_id) as (
     (select context_id, tenant_id from revisions order by context_id limit 1)
     union all
     select n.context_id, n.tenant_id
     from held h
     cross join lateral (
       select context_id, tenant_id from revisions where context_id > h.context_id order by context_id limit 1
     ) n
   )
   select * from held
 ) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'messages' as name, s.context_id, s.tenant_id
 from (
   with recursive held (context_id, tenant_id) as (
     (select context_id, tenant_id from messages order by context_id limit 1)
     union all
     select n.context_id, n.tenant_id
     from held h
     cross join lateral (
       select context_id, tenant_id from messages where context_id > h.context_id order by context_id limit 1
     ) n
   )
   select * from held
 ) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'removals' as name, s.context_id, s.tenant_id
 from (
   with recursive held (context_id, tenant_id) as (
     (select context_id, tenant_id from removals order by context_id limit 1)
     union all
     select n.context_id, n.tenant_id
     from held h
     cross join lateral (
       select context_id, tenant_id from removals where context_id > h.context_id order by context_id limit 1
     ) n
   )
   select * from held
 ) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'redactions' as name, s.context_id, s.tenant_id
 from (
   with recursive held (context_id, tenant_id) as (
     (select context_id, tenant_id from redactions order by context_id limit 1)
     union all
     select n.context_id, n.tenant_id
     from held h
     cross join lateral (
       select context_id, tenant_id from redactions where context_id > h.context_id order by context_id limit 1
     ) n
   )
   select * from held
 ) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'tags' as name, s.context_id, s.tenant_id
 from (
   with recursive held (context_id, tenant_id) as (
     (select context_id, tenant_id from tags order by context_id limit 1)
     union all
     select n.context_id, n.tenant_id
     from held h
     cross join lateral (
       select context_id, tenant_id from tags where context_id > h.context_id order by context_id limit 1
     ) n
   )
   select * from held
 ) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'policies' as name, s.context_id, s.tenant_id
 from (
   with recursive held (context_id, tenant_id) as (
     (select context_id, tenant_id from policies order by context_id limit 1)
     union all
     select n.context_id, n.tenant_id
     from held h
     cross join lateral (
       select context_id, tenant_id from policies where context_id > h.context_id order by context_id limit 1
     ) n
   )
   select * from held
 ) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'compactions' as name, s.context_id, s.tenant_id
 from (
   with recursive held (context_id, tenant_id) as (
     (select context_id, tenant_id from compactions order by context_id limit 1)
     union all
     select n.context_id, n.tenant_id
     from held h
     cross join lateral (
       select context_id, tenant_id from compactions where context_id > h.context_id order by context_id limit 1
     ) n
   )
   select * from held
 ) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'compactions_in_force' as name, s.context_id, s.tenant_id
 from (
   with recursive held (context_id, tenant_id) as (
     (select context_id, tenant_id from compactions_in_force order by context_id limit 1)
     union all
     select n.context_id, n.tenant_id
     from held h
     cross join lateral (
       select context_id, tenant_id from compactions_in_force where context_id > h.context_id order by context_id limit 1
     ) n
   )
   select * from held
 ) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'compaction_sources' as name, s.context_id, s.tenant_id
 from (
   with recursive held (context_id, tenant_id) as (
     (select context_id, tenant_id from compaction_sources order by context_id limit 1)
     union all
     select n.context_id, n.tenant_id
     from held h
     cross join lateral (
       select context_id, tenant_id from compaction_sources where context_id > h.context_id order by context_id limit 1
     ) n
   )
   select * from held
 ) s
 where not exists (select from contexts c where c.id = s.context_id and c.tenant_id = s.tenant_id)
   and not exists (select from purged_contexts g where g.context_id = s.context_id and g.tenant_id = s.tenant_id)
 limit $1)
union all
(select 'message_embeddings' as name, s.context_id, s.tenant_id
 from (
   with recursive held (context_id, tenant_id) as (
     (select context_id, tenant_id from message_embeddings order by context_id limit 1)
     union all
     select n.context_id, n.tenant_id
     from held h
     cross join lateral (
       select context_id, tenant_id from message_embeddings where context_id > h.context_id order by context_id limit 1
     ) n
   )
   select * from held
 ) s
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
