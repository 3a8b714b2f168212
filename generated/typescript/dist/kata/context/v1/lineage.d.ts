import { BinaryReader, BinaryWriter } from "../../../wire";
import { Timestamp } from "../../../google/protobuf/timestamp";
/** Where contexts come from, and how they differ. */
/** LineageContext is what a tree of forks shows of a context. */
export interface LineageContext {
    /** Identifies the context. */
    contextId: string;
    /** Is its label for people. */
    name: string;
    /** Identifies the context that it is a fork of; empty for one that is none. */
    parentId: string;
    /** Is the newest version that a fork has of its parent. */
    forkVersion?: bigint | undefined;
    /** Is the newest revision that a fork knows of its parent. */
    forkRevision?: bigint | undefined;
    /** Counts the contexts whose messages it reads beside its own. */
    depth: number;
    /** Is the version of its newest message, inherited ones included. */
    latestVersion: bigint;
    /** Is its newest revision. */
    latestRevision: bigint;
    /** Sums the token counts of its log, inherited messages included. */
    totalTokens: bigint;
    /** Is when it was created. */
    createTime: Timestamp | undefined;
    /** Is when it was soft-deleted; unset while it is live. */
    deleteTime: Timestamp | undefined;
    /** Says that it has forks, deleted ones included. */
    hasForks: boolean;
}
/** LineageSegment is what a context reads of one log. */
export interface LineageSegment {
    /** Identifies the context whose log it is. */
    contextId: string;
    /** Is the first version of the segment. */
    firstVersion: bigint;
    /** Is the last one; below the first where the segment has no messages, only revisions. */
    lastVersion: bigint;
    /** Is the newest revision that is known of the log; those after the segment before are read here. */
    lastRevision: bigint;
}
/** ContextPoint names a context as of a moment. */
export interface ContextPoint {
    /** Identifies the context. Required. */
    contextId: string;
    /** Is the newest version that counts: 0 for none. Default: the latest, or the latest of `at_revision`. */
    atVersion?: bigint | undefined;
    /** Is the newest revision that counts. Default: the latest. */
    atRevision?: bigint | undefined;
}
/** ComparedContext is what one side of a comparison has beyond the shared version. */
export interface ComparedContext {
    /** Identifies the context. */
    contextId: string;
    /** Is its label for people. */
    name: string;
    /** Is the version up to which it is compared. */
    version: bigint;
    /** Is the revision up to which it is compared. */
    revision: bigint;
    /** Counts its messages beyond the shared version. */
    messageCount: bigint;
    /** Sums their token counts, in the context's tokenizer. */
    totalTokens: bigint;
}
export declare const LineageContext: MessageFns<LineageContext>;
export declare const LineageSegment: MessageFns<LineageSegment>;
export declare const ContextPoint: MessageFns<ContextPoint>;
export declare const ComparedContext: MessageFns<ComparedContext>;
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
