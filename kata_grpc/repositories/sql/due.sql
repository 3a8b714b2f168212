-- What work in the background takes up, whosever it is.

-- name: claim_due
-- Takes contexts that are due, those that are longest so first, for a while: nobody else takes them meanwhile, and who is
-- killed leaves them to others after it. What a writer holds is passed over. $1 limit, $2 seconds
with due as materialized (
  select id from contexts
  where due_time <= clock_timestamp()
  order by due_time
  limit $1
  for no key update skip locked
)
update contexts c
set due_time = case when c.delete_time is null then clock_timestamp() + make_interval(secs => $2::float8) end
from due
where c.id = due.id
returning c.id, c.tenant_id;
