import { BinaryReader, BinaryWriter } from "../../../wire";
import { Timestamp } from "../../../google/protobuf/timestamp";
/** The context resource: one conversation. */
/** Context is one conversation: an append-only log of messages, owned by one tenant. */
export interface Context {
    /** Identifies the context: a UUID in lower case, made by the server. */
    contextId: string;
    /** Is a label for people; at most 256 characters; unique only where `unique_name` says so. */
    name: string;
    /** Are the key-value pairs that ListContexts filters by; at most 64, keys of 1 to 63 and values of 0 to 256 characters. */
    labels: {
        [key: string]: string;
    };
    /** Holds the caller's own data; at most 64 KiB, no NaN or infinity. */
    metadata: {
        [key: string]: any;
    } | undefined;
    /** Is when the context was created. Output only. */
    createTime: Timestamp | undefined;
    /** Is when the context last took a revision. Output only. */
    updateTime: Timestamp | undefined;
    /** Is when the context was soft-deleted; unset while it is live. Output only. */
    deleteTime: Timestamp | undefined;
    /** Counts the messages of the log, inherited ones included. Output only. */
    messageCount: bigint;
    /** Sums the token counts of the log in `tokenizer`, inherited messages included. Output only. */
    totalTokens: bigint;
    /** Is the version of the newest message; 0 when there is none; never decreases. Output only. */
    latestVersion: bigint;
    /** Is the newest revision; 0 for a context that nothing has happened to since its creation. Output only. */
    latestRevision: bigint;
    /** Names the tokenizer that counts this context; fixed at creation. */
    tokenizer: string;
    /** Changes whenever UpdateContext changed something; opaque. Output only. */
    etag: string;
    /** Says that no other live context of the tenant with this flag may have the same name. */
    uniqueName: boolean;
    /** Says where an imported conversation came from; fixed at creation. */
    origin: Origin | undefined;
    /** Identifies the context that this one is a fork of; empty for one that is none. Output only. */
    parentId: string;
    /** Is the newest version that a fork has of its parent; its own messages follow. Output only. */
    forkVersion?: bigint | undefined;
    /** Is the newest revision that a fork knows of its parent; its own revisions follow. Output only. */
    forkRevision?: bigint | undefined;
    /**
     * Counts the contexts between this one and the root whose messages it reads; 0 for a root, and
     * for a fork that was flattened. Output only.
     */
    depth: number;
}
export interface Context_LabelsEntry {
    key: string;
    value: string;
}
/**
 * Tag is the name of a snapshot of a context: reading at it is reading what was there then. It is the context's own, and
 * its forks have none of it.
 */
export interface Tag {
    /**
     * Is its name: 1 to 128 letters, digits and any of . _ : / @ + -, of which the first is a letter or a digit; unique within
     * the context, and case counts.
     */
    name: string;
    /** Is the newest version that the snapshot has. */
    version: bigint;
    /** Is the newest revision that the snapshot knows of. */
    revision: bigint;
    /** Is when the tag was set, or moved last. */
    updateTime: Timestamp | undefined;
}
/** Origin is what an imported conversation was, beside its messages. */
export interface Origin {
    /** Names the format it was read from: "openai" or "anthropic". */
    format: string;
    /** Is the conversation's id in its source; at most 512 characters. (format, id) identifies an import. */
    id: string;
    /** Holds the other keys of the conversation as the text of one JSON object, kept exactly; at most 1 MiB. */
    extraJson: string;
}
export declare const Context: MessageFns<Context>;
export declare const Context_LabelsEntry: MessageFns<Context_LabelsEntry>;
export declare const Tag: MessageFns<Tag>;
export declare const Origin: MessageFns<Origin>;
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
