import { BinaryReader, BinaryWriter } from "../../../wire";
import { Duration } from "../../../google/protobuf/duration";
import { WindowOptions } from "./window";
/** The policy of a context: how its windows are shaped where a request does not say, and when it is compacted. */
/** CompactionRung is a way to make room. */
export declare enum CompactionRung {
    /** COMPACTION_RUNG_UNSPECIFIED - Is refused. */
    COMPACTION_RUNG_UNSPECIFIED = 0,
    /** COMPACTION_RUNG_CLEAR_TOOL_RESULTS - Leaves out what tools answered long ago. */
    COMPACTION_RUNG_CLEAR_TOOL_RESULTS = 1,
    /** COMPACTION_RUNG_ELIDE_PARTS - Keeps head and tail of long texts. */
    COMPACTION_RUNG_ELIDE_PARTS = 2,
    /** COMPACTION_RUNG_SUMMARISE - Hides old groups behind a summary. */
    COMPACTION_RUNG_SUMMARISE = 3,
    UNRECOGNIZED = -1
}
/**
 * Policy is what holds for a context, or for all contexts of a tenant that do not say otherwise, until it is set anew.
 * Every policy that was set is kept, so that a window as of an earlier revision is the same as then.
 */
export interface Policy {
    /**
     * Shapes windows. Refused in a tenant's policy: a window is a function of its context's policy, which has a revision, and
     * must not change with something that has none there.
     */
    window: WindowOptions | undefined;
    /**
     * Says when and how far the context is compacted in the background, and what CompactContext and BeginCompaction leave
     * unsaid. What a layer leaves unset, the layer below decides: request, context, tenant, built in.
     */
    compaction: CompactionPolicy | undefined;
    /** Says how long the context is kept. Refused in a tenant's policy: for tenants the server's settings say it. */
    retention: Retention | undefined;
}
/**
 * CompactionPolicy says when and how far old groups are hidden. Tokens are content tokens of the context's tokenizer, and
 * of the current view: what is hidden already is not counted, the summary that stands for it is.
 */
export interface CompactionPolicy {
    /** Names a preset, which stands below the other fields of this layer: "chat", "coding_agent", "long_research" or "audit". */
    preset: string;
    /** Turns compaction in the background on. Off where nobody says so. */
    enabled?: boolean | undefined;
    /** Is what the model takes, from 0; at 0 nothing is due for its tokens. */
    budgetTokens?: bigint | undefined;
    /** Is the share of `budget_tokens` at which compaction is due: 0.1 to 1, 0.8 where nobody says so. */
    threshold?: number | undefined;
    /** Is the share of `budget_tokens` that is got down to: 0.05 to 0.95 and below `threshold`, 0.5 where nobody says so. */
    lowWater?: number | undefined;
    /** Is how many of the newest groups stay: 1 to 10,000, 10 where nobody says so. */
    preserveRecent?: number | undefined;
    /** Compacts nothing for fewer tokens than this: 1,000 where nobody says so. */
    minGainTokens?: bigint | undefined;
    /** Is how long after a compaction there is no other: a minute where nobody says so. */
    cooldown: Duration | undefined;
    /** Is how long nothing must have changed: 2 s where nobody says so. */
    debounce: Duration | undefined;
    /** Is how many messages a view must have to be due, those that are hidden not counted; 0 for no matter. */
    triggerMessages?: bigint | undefined;
    /** Is how many groups a view must have to be due, those that are hidden not counted; 0 for no matter. */
    triggerGroups?: bigint | undefined;
    /** Is how long after a compaction another one is due; 0 for no matter. */
    triggerInterval: Duration | undefined;
    /** Demands that all triggers that are set hold, and not one of them. */
    allTriggers?: boolean | undefined;
    /** Are the ways to make room, in the order in which they are tried; all three where there are none. */
    rungs: CompactionRung[];
    /** Is how many of the newest tool results are never cleared: 5 where nobody says so. */
    keepResults?: number | undefined;
    /** Is how long a text may be that is not elided, in tokens from 100: 2,000 where nobody says so. */
    maxPartTokens?: number | undefined;
    /** Is what a summary may take: 0, where nobody says so, for a fifth of what it stands for. */
    summaryTokens?: bigint | undefined;
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
export declare const CompactionPolicy: MessageFns<CompactionPolicy>;
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
