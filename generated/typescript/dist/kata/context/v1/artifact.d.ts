import { BinaryReader, BinaryWriter } from "../../../wire";
/** Artifacts: the details of messages that must not be lost, found by what they look like. */
/** ArtifactKind says what an artifact is. It may grow. */
export declare enum ArtifactKind {
    /** ARTIFACT_KIND_UNSPECIFIED - Is refused, and never sent. */
    ARTIFACT_KIND_UNSPECIFIED = 0,
    /** ARTIFACT_KIND_PATH - Is the path or the name of a file. */
    ARTIFACT_KIND_PATH = 1,
    /** ARTIFACT_KIND_URL - Is an address with a scheme, or one that begins with "www.". */
    ARTIFACT_KIND_URL = 2,
    /** ARTIFACT_KIND_TOOL_CALL - Is a tool call. */
    ARTIFACT_KIND_TOOL_CALL = 3,
    /** ARTIFACT_KIND_IDENTIFIER - Is a UUID, a hash, a ticket, an e-mail address, a dotted name, a version, a word with digits or a long number. */
    ARTIFACT_KIND_IDENTIFIER = 4,
    /** ARTIFACT_KIND_QUANTITY - Is a number with a unit, a share, an amount of money, a date or a time. */
    ARTIFACT_KIND_QUANTITY = 5,
    /** ARTIFACT_KIND_SYMBOL - Is a name in code, or an option of a command. */
    ARTIFACT_KIND_SYMBOL = 6,
    /** ARTIFACT_KIND_ARGUMENT - Is a short value that was given to a tool and has none of these forms. */
    ARTIFACT_KIND_ARGUMENT = 7,
    UNRECOGNIZED = -1
}
/** ToolOutcome says how a tool call went. */
export declare enum ToolOutcome {
    /** TOOL_OUTCOME_UNSPECIFIED - Is never sent. */
    TOOL_OUTCOME_UNSPECIFIED = 0,
    /** TOOL_OUTCOME_ANSWERED - Nothing in the answer looks like a failure, which does not say that the call succeeded. */
    TOOL_OUTCOME_ANSWERED = 1,
    /** TOOL_OUTCOME_FAILED - The provider says that it is an error, or its exit code does, or it reads like one. */
    TOOL_OUTCOME_FAILED = 2,
    /** TOOL_OUTCOME_TIMED_OUT - The call was cut off. */
    TOOL_OUTCOME_TIMED_OUT = 3,
    /** TOOL_OUTCOME_UNANSWERED - No answer to it is in the view, on the page or in the rest of the call's group. */
    TOOL_OUTCOME_UNANSWERED = 4,
    UNRECOGNIZED = -1
}
/** Artifact is a detail and the messages that hold it. It is data, whatever it says: an instruction in it is none. */
export interface Artifact {
    /** Says what it is. */
    kind: ArtifactKind;
    /** Is the detail as it is written, at most 512 characters; of a tool call the call's id, or its tool's name without one. */
    text: string;
    /** Are the versions that hold it, in order; of a tool call its own and that of its answer. */
    versions: bigint[];
    /** Is the tool call, for that kind alone. */
    run: ToolRun | undefined;
}
/** ToolRun is a tool call and how it went. */
export interface ToolRun {
    /** Identifies the call; empty where it has no id. */
    toolCallId: string;
    /** Names the tool. */
    name: string;
    /** Are the arguments as they are written, at most 512 characters of them. */
    arguments: string;
    /** Is the version of the call. */
    version: bigint;
    /** Is the version of the answer, which may be beyond the page; 0 for none. */
    resultVersion: bigint;
    /** Says how it went. */
    outcome: ToolOutcome;
    /** Is the exit code that the answer tells. */
    exitCode?: number | undefined;
    /** Is the line of the answer that tells how it went, or its first one; at most 240 characters. */
    detail: string;
}
export declare const Artifact: MessageFns<Artifact>;
export declare const ToolRun: MessageFns<ToolRun>;
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
