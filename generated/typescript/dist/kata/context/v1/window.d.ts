import { BinaryReader, BinaryWriter } from "../../../wire";
import { Message } from "./message";
/** Windows: what to send to a model, given a history and a budget. */
/** Dialect names a provider's API, whose rules a window obeys and whose framing it counts. */
export declare enum Dialect {
    /** DIALECT_UNSPECIFIED - Means DIALECT_OPENAI_CHAT on input; never sent. */
    DIALECT_UNSPECIFIED = 0,
    /** DIALECT_OPENAI_CHAT - Is OpenAI's Chat Completions API. */
    DIALECT_OPENAI_CHAT = 1,
    /** DIALECT_OPENAI_RESPONSES - Is OpenAI's Responses API. */
    DIALECT_OPENAI_RESPONSES = 2,
    /** DIALECT_ANTHROPIC - Is Anthropic's Messages API. Its first message that is not the system's is a user message. */
    DIALECT_ANTHROPIC = 3,
    /** DIALECT_GEMINI - Is Google's Gemini API. Its first message that is not the system's is a user message. */
    DIALECT_GEMINI = 4,
    UNRECOGNIZED = -1
}
/**
 * View says which overlays apply to the log. What was redacted is in none: the group of a redacted message is out of every
 * window.
 */
export declare enum View {
    /** VIEW_UNSPECIFIED - Means VIEW_CURRENT on input; never sent. */
    VIEW_UNSPECIFIED = 0,
    /** VIEW_CURRENT - Applies all overlays up to the snapshot revision. */
    VIEW_CURRENT = 1,
    /** VIEW_AS_THEN - Applies the overlays that were committed when the snapshot version was: what the model was sent then. */
    VIEW_AS_THEN = 2,
    /** VIEW_RAW - Applies none. */
    VIEW_RAW = 3,
    UNRECOGNIZED = -1
}
/** ExclusionReason says why messages are not in a window. */
export declare enum ExclusionReason {
    /** EXCLUSION_REASON_UNSPECIFIED - Is never sent. */
    EXCLUSION_REASON_UNSPECIFIED = 0,
    /** EXCLUSION_REASON_BUDGET - Is older than what fits the budget. */
    EXCLUSION_REASON_BUDGET = 1,
    /** EXCLUSION_REASON_ORPHAN_RESULT - Is a result whose call does not exist. */
    EXCLUSION_REASON_ORPHAN_RESULT = 2,
    /** EXCLUSION_REASON_UNANSWERED_CALL - Belongs to a group that was called and never fully answered, and that others followed. */
    EXCLUSION_REASON_UNANSWERED_CALL = 3,
    /** EXCLUSION_REASON_GROUP_OUT - Is a result whose group is older than what fits the budget. */
    EXCLUSION_REASON_GROUP_OUT = 4,
    /** EXCLUSION_REASON_ILLEGAL_START - Stands before the first message that may open a window in this dialect. */
    EXCLUSION_REASON_ILLEGAL_START = 5,
    /** EXCLUSION_REASON_MAX_MESSAGES - Is older than as many messages as the options allow. */
    EXCLUSION_REASON_MAX_MESSAGES = 6,
    /** EXCLUSION_REASON_LOW_WATER - Would fit, and was given up so that the start stays where it is for long. */
    EXCLUSION_REASON_LOW_WATER = 7,
    /** EXCLUSION_REASON_REMOVED - Was removed, or belongs to a group that was. */
    EXCLUSION_REASON_REMOVED = 8,
    /** EXCLUSION_REASON_REDACTED - Was redacted, or belongs to a group of which a message was. */
    EXCLUSION_REASON_REDACTED = 9,
    /** EXCLUSION_REASON_COMPACTED - Is hidden by a compaction, whose summary stands for it. */
    EXCLUSION_REASON_COMPACTED = 10,
    UNRECOGNIZED = -1
}
/** WindowAccuracy says what the count of a window's tokens is worth. */
export declare enum WindowAccuracy {
    /** WINDOW_ACCURACY_UNSPECIFIED - Is never sent. */
    WINDOW_ACCURACY_UNSPECIFIED = 0,
    /** WINDOW_ACCURACY_EXACT - The tokenizer itself counted all of it, and the framing is the one that the provider bills. */
    WINDOW_ACCURACY_EXACT = 1,
    /** WINDOW_ACCURACY_ESTIMATED - Some content was estimated from above, or counted by the caller. */
    WINDOW_ACCURACY_ESTIMATED = 2,
    /** WINDOW_ACCURACY_UPPER_BOUND - The tokenizer itself counted all content; the framing of calls, results, tools or this dialect is from above. */
    WINDOW_ACCURACY_UPPER_BOUND = 3,
    UNRECOGNIZED = -1
}
/** RenderAdjustmentKind says what rendering did to a message. May grow. */
export declare enum RenderAdjustmentKind {
    /** RENDER_ADJUSTMENT_KIND_UNSPECIFIED - Is never sent. */
    RENDER_ADJUSTMENT_KIND_UNSPECIFIED = 0,
    /** RENDER_ADJUSTMENT_KIND_DROPPED - Left something out. */
    RENDER_ADJUSTMENT_KIND_DROPPED = 1,
    /** RENDER_ADJUSTMENT_KIND_CHANGED - Spelled something in another way. */
    RENDER_ADJUSTMENT_KIND_CHANGED = 2,
    /** RENDER_ADJUSTMENT_KIND_PLACEHOLDER - Put a text in the place of something that the dialect cannot hold. */
    RENDER_ADJUSTMENT_KIND_PLACEHOLDER = 3,
    /** RENDER_ADJUSTMENT_KIND_RENAMED - Gave a call another id, and its result the same. */
    RENDER_ADJUSTMENT_KIND_RENAMED = 4,
    /** RENDER_ADJUSTMENT_KIND_MOVED - Put something in another place. */
    RENDER_ADJUSTMENT_KIND_MOVED = 5,
    /** RENDER_ADJUSTMENT_KIND_MERGED - Joined messages that the dialect wants to be one. */
    RENDER_ADJUSTMENT_KIND_MERGED = 6,
    /** RENDER_ADJUSTMENT_KIND_SYNTHESIZED - Added something that the dialect demands. */
    RENDER_ADJUSTMENT_KIND_SYNTHESIZED = 7,
    UNRECOGNIZED = -1
}
/**
 * WindowOptions shape windows beyond their budget. What a request leaves unset, the context's policy decides (SetPolicy),
 * and what that leaves unset is off. Pins of both hold.
 */
export interface WindowOptions {
    /** Bounds the messages beside the pinned ones; groups stay whole, and the newest is in whatever its size. 0 is no bound. */
    maxMessages?: number | undefined;
    /** Are messages that are in every window, each with its whole group; at most 256. System messages always are. */
    pinnedVersions: bigint[];
    /** Pins every message that has one of these labels; at most 16. */
    pinnedLabels: string[];
    /**
     * Keeps head and tail of each text with more tokens than this, and says between them what is left out; at least 100.
     * Texts of system and pinned messages, calls and reasoning stay whole. 0 keeps all texts whole.
     */
    maxPartTokens?: number | undefined;
    /** Leaves out what tools answered long ago. */
    clearToolResults: ClearToolResults | undefined;
    /** Moves the start of the tail in steps, so that the beginning of a window, and with it a provider's prompt cache, stays. */
    startSteps: StartSteps | undefined;
}
/** ClearToolResults leaves out tool results but the newest; a line stands for each. Results of pinned groups stay. */
export interface ClearToolResults {
    /** Is how many of the newest results stay, from 0. */
    keepResults: number;
    /** Names tools whose results all stay; at most 64. */
    excludeTools: string[];
    /** Clears nothing for fewer tokens than this; what is cleared grows when the log has grown by as much. From 0. */
    minGainTokens: bigint;
    /** Turns off what a policy turns on. */
    off: boolean;
}
/** StartSteps give up more than must be when the budget is full, and then nothing until it is full again. */
export interface StartSteps {
    /** Is the cost that a window falls to at a step: 0 to less than what `reserve_tokens` leaves of the budget. */
    lowWaterTokens: bigint;
    /** Passes over a step that would free fewer tokens than this, where another one fits. From 0. */
    minGainTokens: bigint;
    /** Turns off what a policy turns on. */
    off: boolean;
}
/** WindowHeader names everything that a window is a function of: equal headers mean equal windows. */
export interface WindowHeader {
    /** Identifies the context. */
    contextId: string;
    /** Is the newest version that the window may hold. */
    snapshotVersion: bigint;
    /** Is the newest revision that the window may know of. */
    snapshotRevision: bigint;
    /** Is the budget that was asked for, in tokens. */
    tokenBudget: bigint;
    /** Is the part of the budget kept free, in tokens. */
    reserveTokens: bigint;
    /** Names the tokenizer that counted. */
    tokenizer: string;
    /** Names the dialect whose rules and framing hold. */
    dialect: Dialect;
    /** Names the view of the log. */
    view: View;
    /** Is the revision of the policy in force; 0 for the built-in one. */
    policyRevision: bigint;
    /** Names the rules by which the engine chose; it changes when the same input may give another window. */
    engineVersion: string;
    /**
     * Is the version at which the window's contiguous tail starts; pinned messages may stand before it.
     * 0 when the window has no tail.
     */
    tailFirstVersion: bigint;
    /** Counts the messages of the window. */
    messageCount: bigint;
    /** Is what the window costs in `tokenizer` and `dialect`, framing included; never above token_budget − reserve_tokens. */
    windowTokens: bigint;
    /** Says what `window_tokens` is worth. */
    accuracy: WindowAccuracy;
    /** Is the version of the window's first message; 0 when it has none. */
    firstVersion: bigint;
    /** Is the version of the window's last message; 0 when it has none. */
    lastVersion: bigint;
    /**
     * Names what stands before the growing end of the window; opaque. Two windows of a context with equal options, dialect
     * and epoch begin with the same messages, which a provider's prompt cache then holds.
     */
    windowEpoch: string;
    /** Identifies the compaction that holds in the view; empty without one. Its summary is a message of the window. */
    compactionId: string;
}
/** WindowChunk is a run of the window's messages, in version order. */
export interface WindowChunk {
    /** Are the messages, at least one. */
    messages: Message[];
    /** Goes on after this chunk when given to StreamWindow with the same request; survives restarts. */
    resumeToken: string;
}
/** WindowTrailer closes a window and accounts for it. */
export interface WindowTrailer {
    /** Says where the budget went. */
    ledger: WindowLedger | undefined;
    /** Are the messages up to the snapshot that are not in the window, and why, in version order. */
    excluded: ExcludedRange[];
    /** Are the calls of the window's last group that have no result yet. */
    pendingCallIds: string[];
    /**
     * Is the digest of the content: SHA-256 over the digests of the window's messages in order. Equal for equal windows,
     * however and wherever they were read.
     */
    contentSha256: Buffer;
}
/** WindowLedger says where the budget went, in tokens of the window's tokenizer. The parts sum up to `token_budget`. */
export interface WindowLedger {
    /**
     * Is the content of messages that are in whatever the budget: pinned ones, and that of the user's which opened the turn
     * when the tail does not reach it.
     */
    pinnedTokens: bigint;
    /** Is the content of the tail's other messages. */
    tailTokens: bigint;
    /** Is the dialect's framing of messages, names, calls and the reply. */
    overheadTokens: bigint;
    /** Was kept free on request. */
    reserveTokens: bigint;
    /** Was not needed. */
    unusedTokens: bigint;
    /** Is kept for the tool schemas of the request, counted from above. */
    toolsTokens: bigint;
    /** Is the content of the summary that stands for what a compaction hides. */
    summaryTokens: bigint;
}
/** ExcludedRange is a run of versions that are not in the window. What is in whatever the budget is in within it, too. */
export interface ExcludedRange {
    /** Is the first version. */
    firstVersion: bigint;
    /** Is the last version. */
    lastVersion: bigint;
    /** Says why. */
    reason: ExclusionReason;
}
/** RenderAdjustment is one difference between a rendered window and its messages. */
export interface RenderAdjustment {
    /** Is the message's version; 0 stands for no message. */
    version: bigint;
    /** Says what was done. */
    kind: RenderAdjustmentKind;
    /** Says why, for a person. */
    description: string;
}
export declare const WindowOptions: MessageFns<WindowOptions>;
export declare const ClearToolResults: MessageFns<ClearToolResults>;
export declare const StartSteps: MessageFns<StartSteps>;
export declare const WindowHeader: MessageFns<WindowHeader>;
export declare const WindowChunk: MessageFns<WindowChunk>;
export declare const WindowTrailer: MessageFns<WindowTrailer>;
export declare const WindowLedger: MessageFns<WindowLedger>;
export declare const ExcludedRange: MessageFns<ExcludedRange>;
export declare const RenderAdjustment: MessageFns<RenderAdjustment>;
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
