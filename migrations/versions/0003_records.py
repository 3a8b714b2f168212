"""Messages stored as the bytes that are sent.

Run in place of the code before it, with no server running: it rewrites every message, in one transaction, and holds the
table for as long. `body`, the content alone, becomes `record`: the whole `kata.context.v1.Message` with its length
before it, which is an element of a repeated field. A page of a log is then its records one after the other, which the
database puts together and nobody takes apart. Going back takes the content out of the records again.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

VARINT = """
create function kata_varint(number bigint) returns bytea
language sql immutable parallel safe
-- A number from 0 to 2^49 - 1 as protobuf spells it: seven bits a byte, the lowest first.
return case
  when number < 1::bigint << 7 then substring(int8send(number) from 8)
  when number < 1::bigint << 14 then substring(int8send(((number & 127 | 128) << 8) | (number >> 7)) from 7)
  when number < 1::bigint << 21 then substring(int8send(
    ((number & 127 | 128) << 16) | (((number >> 7) & 127 | 128) << 8) | (number >> 14)) from 6)
  when number < 1::bigint << 28 then substring(int8send(
    ((number & 127 | 128) << 24) | (((number >> 7) & 127 | 128) << 16) | (((number >> 14) & 127 | 128) << 8)
    | (number >> 21)) from 5)
  when number < 1::bigint << 35 then substring(int8send(
    ((number & 127 | 128) << 32) | (((number >> 7) & 127 | 128) << 24) | (((number >> 14) & 127 | 128) << 16)
    | (((number >> 21) & 127 | 128) << 8) | (number >> 28)) from 4)
  when number < 1::bigint << 42 then substring(int8send(
    ((number & 127 | 128) << 40) | (((number >> 7) & 127 | 128) << 32) | (((number >> 14) & 127 | 128) << 24)
    | (((number >> 21) & 127 | 128) << 16) | (((number >> 28) & 127 | 128) << 8) | (number >> 35)) from 3)
  else substring(int8send(
    ((number & 127 | 128) << 48) | (((number >> 7) & 127 | 128) << 40) | (((number >> 14) & 127 | 128) << 32)
    | (((number >> 21) & 127 | 128) << 24) | (((number >> 28) & 127 | 128) << 16)
    | (((number >> 35) & 127 | 128) << 8) | (number >> 42)) from 2)
end
"""

NUMBER = """
create function kata_number(number bigint) returns bytea
language sql immutable parallel safe
-- A number from 0 to 2^35 - 1 as a varint of five bytes, whatever its value: an append writes three a message, and a
-- statement takes longer to set up choices between lengths than to write bytes that are not needed.
return substring(int8send(
  ((number & 127 | 128) << 32) | (((number >> 7) & 127 | 128) << 24) | (((number >> 14) & 127 | 128) << 16)
  | (((number >> 21) & 127 | 128) << 8) | (number >> 28)) from 4)
"""

STAMP = """
create function kata_stamp(version bigint, revision bigint, micros bigint) returns bytea
language sql immutable parallel safe
-- The fields of a message that only the append's statement knows, in 26 bytes: version, revision and create_time.
return '\\x10'::bytea || kata_number(version) || '\\x18'::bytea || kata_number(revision)
  || '\\x620c08'::bytea || kata_number(micros / 1000000) || '\\x10'::bytea || kata_number(micros % 1000000 * 1000)
"""

HEAD = """
create function kata_head(size int, context_id uuid, tokenizer text, token_count int, token_count_source text)
returns bytea
language sql immutable parallel safe
-- What stands before the body in the record of a message whose body has that size: the length of all that follows, and
-- the other fields that the server owns: context_id, tokenizer, token_count and its source.
return (
  select kata_varint(octet_length(fields) + size + 26) || fields
  from (
    select '\\x0a24'::bytea || convert_to(context_id::text, 'UTF8')
      || '\\x4a'::bytea || kata_varint(octet_length(tokenizer)) || convert_to(tokenizer, 'UTF8')
      || '\\x50'::bytea || kata_varint(token_count)
      || case token_count_source when 'counted' then '\\x7801'::bytea when 'caller' then '\\x7802' else '\\x7803' end
      as fields
  ) own
)
"""

BODY = """
create function kata_body(record bytea, context_id uuid, tokenizer text, token_count int, token_count_source text,
                          stamp bytea)
returns bytea
language plpgsql immutable parallel safe
as $$
-- The body in a record of these fields; null when the record has others.
declare
  fields int := octet_length(kata_head(0, context_id, tokenizer, token_count, token_count_source));
  size int;
  head bytea;
  body bytea;
begin
  -- A longer body has a longer length before it.
  for longer in 0 .. 3 loop
    size := octet_length(record) - fields - longer - 26;
    exit when size < 0;
    head := kata_head(size, context_id, tokenizer, token_count, token_count_source);
    body := substring(record from fields + longer + 1 for size);
    if octet_length(head) = fields + longer and record = head || body || stamp then
      return body;
    end if;
  end loop;
  return null;
end
$$
"""

TO_RECORDS = """
update messages m
set record = kata_head(octet_length(m.record), c.id, c.tokenizer, m.token_count, m.token_count_source) || m.record
  || kata_stamp(m.version, m.revision, (extract(epoch from m.create_time) * 1000000)::bigint)
from contexts c
where c.id = m.context_id
"""

TO_BODIES = """
update messages m
set record = kata_body(m.record, c.id, c.tokenizer, m.token_count, m.token_count_source,
                       kata_stamp(m.version, m.revision, (extract(epoch from m.create_time) * 1000000)::bigint))
from contexts c
where c.id = m.context_id
"""


def upgrade() -> None:
    for function in (VARINT, NUMBER, STAMP, HEAD, BODY):
        op.execute(function)
    op.alter_column("messages", "body", new_column_name="record")
    op.execute(TO_RECORDS)


def downgrade() -> None:
    op.execute(TO_BODIES)
    op.alter_column("messages", "record", new_column_name="body")
    for function in (
        "kata_body(bytea, uuid, text, int, text, bytea)",
        "kata_head(int, uuid, text, int, text)",
        "kata_stamp(bigint, bigint, bigint)",
        "kata_number(bigint)",
        "kata_varint(bigint)",
    ):
        op.execute(f"drop function {function}")
