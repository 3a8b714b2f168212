import { BinaryReader, BinaryWriter } from "../../../wire";
import { Duration } from "../../../google/protobuf/duration";
import { WindowOptions } from "./window";
/** The policy of a context: how its windows are shaped where a request does not say. */
/**
 * Policy is what holds for a context until it is set anew. Every policy that was set is kept, so that a window as of an
 * earlier revision is the same as then.
 */
export interface Policy {
    /** Shapes windows. */
    window: WindowOptions | undefined;
    /** Says how long the context is kept. */
    retention: Retention | undefined;
}
/**
 * Retention is how long a context is kept, where that is not as for the tenant's others. It holds where the server runs
 * retention (KATA_RETENTION); what is unset is as for the others. A context whose log forks read stays in any case, and
 * its forks inherit this with the policy. See docs/retention.md.
 */
export interface Retention {
    /** Keeps the context: it is neither deleted nor purged by retention, and does not count among the tenant's newest. */
    keep: boolean;
    /** Is how long after its last change it is soft-deleted: 1 second to 100 years. */
    maxIdle: Duration | undefined;
    /** Is how long after its creation it is soft-deleted: 1 second to 100 years. */
    maxAge: Duration | undefined;
    /** Is how long after it was soft-deleted, by whomever, it is purged: 1 second to 100 years. */
    purgeAfter: Duration | undefined;
}
export declare const Policy: MessageFns<Policy>;
export declare const Retention: MessageFns<Retention>;
type Builtin = Date | Function | Uint8Array | string | number | boolean | bigint | undefined;
type DeepPartial<T> = T extends bigint ? string | number | bigint : T extends Builtin ? T : T extends globalThis.Array<infer U> ? globalThis.Array<DeepPartial<U>> : T extends ReadonlyArray<infer U> ? ReadonlyArray<DeepPartial<U>> : T extends {
    $case: string;
    value: unknown;
} ? {
    $case: T["$case"];
    value?: DeepPartial<T["value"]>;
} : T extends {} ? {
    [K in keyof T]?: DeepPartial<T[K]>;
} : Partial<T>;
type KeysOfUnion<T> = T extends T ? keyof T : never;
type Exact<P, I extends P> = P extends Builtin ? P : P & {
    [K in keyof P]: Exact<P[K], I[K]>;
} & {
    [K in Exclude<keyof I, KeysOfUnion<P>>]: never;
};
interface MessageFns<T> {
    encode(message: T, writer?: BinaryWriter): BinaryWriter;
    decode(input: BinaryReader | Uint8Array, length?: number): T;
    create<I extends Exact<DeepPartial<T>, I>>(base?: I): T;
    fromPartial<I extends Exact<DeepPartial<T>, I>>(object: I): T;
}
export {};
