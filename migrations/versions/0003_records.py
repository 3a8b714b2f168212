"""Messages stored as the bytes that are sent.

Run in place of the code before it, with no server running: it rewrites every message, in one transaction, and holds the
table for as long. `body`, the content alone, becomes `record`: the whole `kata.context.v1.Message` with its length
before it, which protobuf reads as an element of a repeated field. A page of a log is then its records one after the
other, which the database puts together and nobody takes apart. Going back takes the content out of the records again.
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

BATCH_FIELDS = """
create function kata_batch_fields(context_id uuid, tokenizer text, revision bigint, create_time timestamptz)
returns bytea
language plpgsql immutable parallel safe
as $$
-- What the messages of one append have in common: the fields context_id, revision, tokenizer and create_time.
declare
  named bytea := convert_to(tokenizer, 'UTF8');
  micros bigint := extract(epoch from create_time) * 1000000;
  moment bytea := '\\x08'::bytea || kata_varint(micros / 1000000);
begin
  if micros % 1000000 > 0 then
    moment := moment || '\\x10'::bytea || kata_varint(micros % 1000000 * 1000);
  end if;
  return '\\x0a24'::bytea || convert_to(context_id::text, 'UTF8') || '\\x18'::bytea || kata_varint(revision)
    || '\\x4a'::bytea || kata_varint(octet_length(named)) || named
    || '\\x62'::bytea || kata_varint(octet_length(moment)) || moment;
end
$$
"""

MESSAGE_FIELDS = """
create function kata_message_fields(batch_fields bytea, version bigint, token_count int, token_count_source text)
returns bytea
language sql immutable parallel safe
-- Everything of a message that the server owns: what its batch has in common, and version, token_count and its source.
return batch_fields || '\\x10'::bytea || kata_varint(version) || '\\x50'::bytea || kata_varint(token_count)
  || case token_count_source when 'counted' then '\\x7801'::bytea when 'caller' then '\\x7802' else '\\x7803' end
"""

BODY = """
create function kata_body(record bytea, message_fields bytea) returns bytea
language plpgsql immutable parallel safe
as $$
-- The content of a record that begins with its length and these fields; null when it does not.
declare
  size int := octet_length(record);
  before int := case when size <= 128 then 1 when size <= 16385 then 2 when size <= 2097154 then 3 else 4 end;
  own int := before + octet_length(message_fields);
begin
  if substring(record from 1 for own) = kata_varint(size - before) || message_fields then
    return substring(record from own + 1);
  end if;
  return null;
end
$$
"""

TO_RECORDS = """
update messages m
set record = kata_varint(octet_length(f.fields) + octet_length(m.record)) || f.fields || m.record
from (
  select s.context_id, s.version, kata_message_fields(
    kata_batch_fields(s.context_id, c.tokenizer, s.revision, s.create_time), s.version, s.token_count,
    s.token_count_source) as fields
  from messages s join contexts c on c.id = s.context_id
) f
where m.context_id = f.context_id and m.version = f.version
"""

TO_BODIES = """
update messages m
set record = kata_body(m.record, kata_message_fields(
  kata_batch_fields(m.context_id, c.tokenizer, m.revision, m.create_time), m.version, m.token_count,
  m.token_count_source))
from contexts c where c.id = m.context_id
"""


def upgrade() -> None:
    for function in (VARINT, BATCH_FIELDS, MESSAGE_FIELDS, BODY):
        op.execute(function)
    op.alter_column("messages", "body", new_column_name="record")
    op.execute(TO_RECORDS)


def downgrade() -> None:
    op.execute(TO_BODIES)
    op.alter_column("messages", "record", new_column_name="body")
    for function in (
        "kata_body(bytea, bytea)",
        "kata_message_fields(bytea, bigint, int, text)",
        "kata_batch_fields(uuid, text, bigint, timestamptz)",
        "kata_varint(bigint)",
    ):
        op.execute(f"drop function {function}")
