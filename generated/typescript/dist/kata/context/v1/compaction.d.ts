import { BinaryReader, BinaryWriter } from "../../../wire";
import { Timestamp } from "../../../google/protobuf/timestamp";
import { VersionRange } from "./message_service";
import { CompactionRung } from "./policy";
/** Compactions: old groups of a log hidden behind a summary. Nothing is destroyed, and everything hidden stays readable. */
/** CompactionState says how far a compaction is. */
export declare enum CompactionState {
    /** COMPACTION_STATE_UNSPECIFIED - Is never sent. */
    COMPACTION_STATE_UNSPECIFIED = 0,
    /** COMPACTION_STATE_BEGUN - Is under way: the summary is being made. */
    COMPACTION_STATE_BEGUN = 1,
    /** COMPACTION_STATE_COMMITTED - Was committed. It hides something while it is in force. */
    COMPACTION_STATE_COMMITTED = 2,
    /** COMPACTION_STATE_ABANDONED - Was given up by the one who began it. */
    COMPACTION_STATE_ABANDONED = 3,
    /** COMPACTION_STATE_FAILED - Failed: its summary was refused, or what it would have hidden has changed. */
    COMPACTION_STATE_FAILED = 4,
    /** COMPACTION_STATE_EXPIRED - Was taken over after its lease. */
    COMPACTION_STATE_EXPIRED = 5,
    UNRECOGNIZED = -1
}
/** CompactionOrigin says who wanted a compaction. */
export declare enum CompactionOrigin {
    /** COMPACTION_ORIGIN_UNSPECIFIED - Is never sent. */
    COMPACTION_ORIGIN_UNSPECIFIED = 0,
    /** COMPACTION_ORIGIN_CALLER - A caller of BeginCompaction, who makes the summary. */
    COMPACTION_ORIGIN_CALLER = 1,
    /** COMPACTION_ORIGIN_REQUEST - A caller of CompactContext. */
    COMPACTION_ORIGIN_REQUEST = 2,
    /** COMPACTION_ORIGIN_POLICY - The policy, in the background. */
    COMPACTION_ORIGIN_POLICY = 3,
    UNRECOGNIZED = -1
}
/** CompactionProtection says why a group stays. */
export declare enum CompactionProtection {
    /** COMPACTION_PROTECTION_UNSPECIFIED - Is never sent. */
    COMPACTION_PROTECTION_UNSPECIFIED = 0,
    /** COMPACTION_PROTECTION_SYSTEM - Is a message of the system. */
    COMPACTION_PROTECTION_SYSTEM = 1,
    /** COMPACTION_PROTECTION_RECENT - Is one of the newest groups, as many as `preserve_recent` says. */
    COMPACTION_PROTECTION_RECENT = 2,
    /** COMPACTION_PROTECTION_PINNED - Is pinned by the policy. */
    COMPACTION_PROTECTION_PINNED = 3,
    /** COMPACTION_PROTECTION_PENDING - Waits for a result. */
    COMPACTION_PROTECTION_PENDING = 4,
    /** COMPACTION_PROTECTION_TURN - Is the message that opened the user's turn. */
    COMPACTION_PROTECTION_TURN = 5,
    UNRECOGNIZED = -1
}
/** NothingToCompact says why nothing would be hidden. */
export declare enum NothingToCompact {
    /** NOTHING_TO_COMPACT_UNSPECIFIED - Something would be. */
    NOTHING_TO_COMPACT_UNSPECIFIED = 0,
    /** NOTHING_TO_COMPACT_EMPTY - There are no groups that are not hidden already. */
    NOTHING_TO_COMPACT_EMPTY = 1,
    /** NOTHING_TO_COMPACT_ALL_PROTECTED - All groups are protected. */
    NOTHING_TO_COMPACT_ALL_PROTECTED = 2,
    /** NOTHING_TO_COMPACT_BELOW_TARGET - The view costs no more than `target_tokens`. */
    NOTHING_TO_COMPACT_BELOW_TARGET = 3,
    /** NOTHING_TO_COMPACT_GAIN_TOO_SMALL - A summary would take nearly as much as what it stands for. */
    NOTHING_TO_COMPACT_GAIN_TOO_SMALL = 4,
    UNRECOGNIZED = -1
}
/**
 * Compaction hides groups of a view and puts a summary in their place. It says everything that is hidden while it is in
 * force, what compactions before it hid included.
 */
export interface Compaction {
    /** Identifies it. */
    compactionId: string;
    /** Identifies the context that made it. */
    contextId: string;
    /** Says how far it is. Only a committed one hides anything. */
    state: CompactionState;
    /** Grows with each compaction of the context that is begun. A commit needs it, so that whose lease was taken over cannot. */
    token: bigint;
    /** Says who wanted it. */
    origin: CompactionOrigin;
    /** Is when it was begun. */
    createTime: Timestamp | undefined;
    /** Is when others may begin one although this one is under way. */
    leaseExpireTime: Timestamp | undefined;
    /** Is when it was committed or given up. */
    endTime: Timestamp | undefined;
    /** Is the revision that put it in force; 0 as long as none did. */
    revision: bigint;
    /** Identifies the compaction that it was built upon; empty for none. */
    previousCompactionId: string;
    /** Is the snapshot that it was made of. */
    baseVersion: bigint;
    /** Is the revision of that snapshot. */
    baseRevision: bigint;
    /** Is the revision of the policy that it was made by; 0 for the built-in one. */
    policyRevision: bigint;
    /** Are all versions that it hides, in order; messages between them stay. */
    ranges: VersionRange[];
    /** Are those of them that no compaction before it hid. */
    addedRanges: VersionRange[];
    /** Counts the groups in `added_ranges`. */
    groupCount: bigint;
    /** Counts the messages of these groups. */
    messageCount: bigint;
    /** Is what these groups cost, in content tokens of the context's tokenizer, as all of these are. */
    addedTokens: bigint;
    /** Is what everything that it hides costs. */
    hiddenTokens: bigint;
    /** Is what the view cost before, a summary included. */
    tokensBefore: bigint;
    /** Is what it costs afterwards; 0 as long as it is not committed. */
    tokensAfter: bigint;
    /** Is what the summary may take. */
    summaryTargetTokens: bigint;
    /** Is what the summary takes. */
    summaryTokens: bigint;
    /** Names what made the summary: "caller", "builtin", or another summariser. */
    summariser: string;
    /** Says why it was given up. */
    reason: string;
    /** Is the summary. Empty once some of what it was made of was redacted. */
    summary: string;
    /** Says that some of what it was made of was redacted, so that it and all built upon it hold no more. */
    erased: boolean;
    /** Names the model that made the summary; empty where none did. */
    model: string;
    /** Is what the model read, in its own tokens, as it said. */
    inputTokens: bigint;
    /** Is what the model wrote, in its own tokens, as it said. */
    outputTokens: bigint;
    /** Counts the artifacts of what is hidden that stand in a summary made by the server. */
    artifactsKept: bigint;
    /** Counts those that had no room; they are in the log. */
    artifactsDropped: bigint;
    /** Is 1, and 1 more for each attempt in a row before it that ended without a commit. */
    attempt: number;
    /** Says what each rung did that did anything, in their order; the last one's tokens are at most these. */
    steps: CompactionStep[];
    /** Are all versions of whose messages tool results are left out, a line standing for each; those that are hidden among them. */
    clearedRanges: VersionRange[];
    /** Are all versions of whose messages texts longer than `max_part_tokens` are elided. */
    elidedRanges: VersionRange[];
    /** Is how long these texts may be; 0 where none are elided. */
    maxPartTokens: number;
}
/** CompactionStep is what one rung does. */
export interface CompactionStep {
    /** Names the rung. */
    rung: CompactionRung;
    /** Counts the messages that it makes shorter, or hides. */
    messageCount: bigint;
    /** Is what the view costs before it, in content tokens of the context's tokenizer. */
    tokensBefore: bigint;
    /** Is what the view costs after it, at most: a summary may be shorter than its target. */
    tokensAfter: bigint;
}
/** HeldGroup is a group that a compaction leaves, and why. */
export interface HeldGroup {
    /** Is the version of the group's first message. */
    version: bigint;
    /** Says why it stays. */
    protection: CompactionProtection;
}
export declare const Compaction: MessageFns<Compaction>;
export declare const CompactionStep: MessageFns<CompactionStep>;
export declare const HeldGroup: MessageFns<HeldGroup>;
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
