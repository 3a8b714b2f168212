// Takes the details of an error apart: the standard types of google.rpc, which every Kata error carries.
import protobuf from "protobufjs";

const { root } = protobuf.parse(`
  syntax = "proto3";
  package google.rpc;
  message Status { int32 code = 1; string message = 2; repeated Any details = 3; }
  message Any { string type_url = 1; bytes value = 2; }
  message ErrorInfo { string reason = 1; string domain = 2; map<string, string> metadata = 3; }
  message BadRequest {
    message FieldViolation { string field = 1; string description = 2; string reason = 3; }
    repeated FieldViolation field_violations = 1;
  }
`);
const types = new Map(
  ["ErrorInfo", "BadRequest"].map((name) => [`type.googleapis.com/google.rpc.${name}`, root.lookupType(name)]),
);

/** Returns the details of a grpc-js ServiceError whose types are known here; ErrorInfo is the first. */
export function details(error) {
  const [raw] = error.metadata.get("grpc-status-details-bin");
  if (raw === undefined) return [];
  return root
    .lookupType("Status")
    .decode(raw)
    .details.filter(({ typeUrl }) => types.has(typeUrl))
    .map(({ typeUrl, value }) => types.get(typeUrl).toObject(types.get(typeUrl).decode(value)));
}
