"""Between the domain and protobuf: content, the bytes of messages that are stored and sent, options of windows."""

from kata_grpc.codec.content import (
    MAX_EXACT_INTEGER,
    NUMBER_OF_ROLE,
    ROLE_OF_NUMBER,
    CodecError,
    from_proto,
    metadata_from_json,
    metadata_to_json,
    part_from_proto,
    part_to_proto,
    to_proto,
)
from kata_grpc.codec.options import decode_options, decode_rules, encode_policy, options_from_proto
from kata_grpc.codec.records import (
    STAMP_BYTES,
    context_fields,
    decode_body,
    decode_record,
    decode_records,
    derived_record,
    encode_body,
    record_head,
    reshaped_record,
    varint,
)

__all__ = [
    "MAX_EXACT_INTEGER",
    "NUMBER_OF_ROLE",
    "ROLE_OF_NUMBER",
    "STAMP_BYTES",
    "CodecError",
    "context_fields",
    "decode_body",
    "decode_options",
    "decode_record",
    "decode_records",
    "decode_rules",
    "derived_record",
    "encode_body",
    "encode_policy",
    "from_proto",
    "metadata_from_json",
    "metadata_to_json",
    "options_from_proto",
    "part_from_proto",
    "part_to_proto",
    "record_head",
    "reshaped_record",
    "to_proto",
    "varint",
]
