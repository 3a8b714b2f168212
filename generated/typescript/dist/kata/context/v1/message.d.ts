import { BinaryReader, BinaryWriter } from "../../../wire";
import { Timestamp } from "../../../google/protobuf/timestamp";
/** The message resource: what one participant said, exactly as it was said. */
/** ElisionKind says what was left out of a part. */
export declare enum ElisionKind {
    /** ELISION_KIND_UNSPECIFIED - Is never sent. */
    ELISION_KIND_UNSPECIFIED = 0,
    /** ELISION_KIND_ELIDED - The middle of a long text; its head and tail stand around a line that says so. */
    ELISION_KIND_ELIDED = 1,
    /** ELISION_KIND_CLEARED - All that a tool answered; a line stands for it. */
    ELISION_KIND_CLEARED = 2,
    UNRECOGNIZED = -1
}
/** Role says who speaks. May grow; an unknown number is refused by name, never mapped to another role. */
export declare enum Role {
    /** ROLE_UNSPECIFIED - Is refused on input and never sent. */
    ROLE_UNSPECIFIED = 0,
    /** ROLE_USER - Is the person or program that the model works for. */
    ROLE_USER = 1,
    /** ROLE_ASSISTANT - Is the model. */
    ROLE_ASSISTANT = 2,
    /** ROLE_SYSTEM - Is the application's standing instruction; pinned in windows. */
    ROLE_SYSTEM = 3,
    /** ROLE_DEVELOPER - Is the application's instruction where the provider sets it apart from system; pinned in windows. */
    ROLE_DEVELOPER = 4,
    /** ROLE_TOOL - Is a tool answering a call. */
    ROLE_TOOL = 5,
    UNRECOGNIZED = -1
}
/** ContentForm says how a source spelled the content of a message or tool result. */
export declare enum ContentForm {
    /** CONTENT_FORM_UNSPECIFIED - Is derived: a string for `text`, an array for `parts` that are content. */
    CONTENT_FORM_UNSPECIFIED = 0,
    /** CONTENT_FORM_ABSENT - Is a key that was not there. */
    CONTENT_FORM_ABSENT = 1,
    /** CONTENT_FORM_NULL - Is an explicit null. */
    CONTENT_FORM_NULL = 2,
    /** CONTENT_FORM_STRING - Is a string, beside which other parts (calls, reasoning, a refusal) stand. */
    CONTENT_FORM_STRING = 3,
    /** CONTENT_FORM_ARRAY - Is an array of content parts. */
    CONTENT_FORM_ARRAY = 4,
    UNRECOGNIZED = -1
}
/** TokenCountSource says how a stored token count came about. */
export declare enum TokenCountSource {
    /** TOKEN_COUNT_SOURCE_UNSPECIFIED - Is never sent. */
    TOKEN_COUNT_SOURCE_UNSPECIFIED = 0,
    /** TOKEN_COUNT_SOURCE_COUNTED - Counted by the server with the tokenizer itself. */
    TOKEN_COUNT_SOURCE_COUNTED = 1,
    /** TOKEN_COUNT_SOURCE_CALLER - Given by the caller; the server does not have the tokenizer. */
    TOKEN_COUNT_SOURCE_CALLER = 2,
    /** TOKEN_COUNT_SOURCE_ESTIMATED - Estimated from above by the server: it does not have the tokenizer, or the content is not text. */
    TOKEN_COUNT_SOURCE_ESTIMATED = 3,
    UNRECOGNIZED = -1
}
/**
 * Message is one immutable entry of a context's log.
 *
 * Of an input message only `role` and content are required. Content is `text`, or `parts`, or an explicit
 * empty content: `text` set to "", or a `content_form` that says how the source spelled nothing (null, [] or no key).
 */
export interface Message {
    /** Identifies the context that appended the message. Output only. */
    contextId: string;
    /** Is the place in the context's log: dense, from 1, never renumbered. Output only. */
    version: bigint;
    /** Is the revision of the append that wrote the message, shared by its whole batch. Output only. */
    revision: bigint;
    /** Says who speaks. Required. */
    role: Role;
    /** Is the whole message when it is plain text. Excludes `parts`. U+0000 and white space are kept. */
    text?: string | undefined;
    /** Are the pieces of a message that is more than plain text, in order; at most 1,000. */
    parts: Part[];
    /** Names the speaker within the role, as providers that know names take it; at most 256 characters. */
    name: string;
    /** Names the model that produced the message; at most 256 characters. */
    model: string;
    /**
     * Names the tokenizer of `token_count`. On input it goes with a given `token_count`;
     * empty means the context's tokenizer.
     */
    tokenizer: string;
    /**
     * Counts the tokens of the content in the context's tokenizer, without a dialect's framing. On input it is the
     * caller's count: kept, and flagged as such, where the server does not have that tokenizer; otherwise compared.
     */
    tokenCount?: number | undefined;
    /** Holds the caller's own data, never sent to a model; at most 64 KiB, no NaN or infinity. */
    metadata: {
        [key: string]: any;
    } | undefined;
    /** Is the commit-ordered time of the append, the same for its whole batch. Output only. */
    createTime: Timestamp | undefined;
    /** Says how the source spelled its content where parts alone cannot tell. Unset for plain `text`. */
    contentForm: ContentForm;
    /** Holds further keys of an imported message as the text of one JSON object, kept exactly. */
    extraJson: string;
    /** Says how `token_count` came about. Output only. */
    tokenCountSource: TokenCountSource;
    /** Are marks by which windows can pin the message; at most 16, of 1 to 63 characters each. They stay with it for ever. */
    labels: string[];
    /** Says what is left out of the message in this window. Output only, and only of windows whose options ask for it. */
    elisions: Elision[];
    /** Is when the content was erased: what is left are the fields that the server owns, and `role`. Output only. */
    redactTime: Timestamp | undefined;
    /** Is the revision that erased it, of the context in which that was asked for: a fork may have asked. Output only. */
    redactRevision?: bigint | undefined;
    /**
     * Says of what the message is made that no one appended: a summary in a window. Such a message has no version, and its
     * text begins with a line that names it, "[kata:summary:…]". Refused on append, as is a user's or system message whose
     * text begins like that: what a window made is not what somebody said.
     */
    derived: Derived | undefined;
}
/** Derived says what a message stands for that the server made. */
export interface Derived {
    /** Identifies the compaction whose summary it is. */
    compactionId: string;
    /** Is the first version that it stands for. */
    firstVersion: bigint;
    /** Is the last one. Messages between them that are in the window by themselves are not hidden. */
    lastVersion: bigint;
}
/** Elision is one part of a message that a window does not hold whole. GetMessage returns the whole of it. */
export interface Elision {
    /** Is the place of the part in the message, from 0; 0 for a plain text. */
    part: number;
    /** Is the place within the parts of a tool result; unset for the part itself. */
    innerPart?: number | undefined;
    /** Says what was done. */
    kind: ElisionKind;
    /** Counts the characters of the whole text. */
    characters: bigint;
    /** Counts the tokens of the whole part. */
    tokens: bigint;
    /** Is the SHA-256 of the whole text; of a result of several texts, of them with line feeds between. */
    sha256: Buffer;
}
/** Part is one piece of a message. Exactly one kind is set. */
export interface Part {
    /** Is what the part holds. */
    kind: //
    /** Is plain text. */
    {
        $case: "text";
        value: TextPart;
    } | //
    /** Is a model's reasoning, kept whole with its signature. */
    {
        $case: "reasoning";
        value: ReasoningPart;
    } | //
    /** Is a request to run a tool. */
    {
        $case: "toolCall";
        value: ToolCallPart;
    } | //
    /** Is a tool's answer to a call. */
    {
        $case: "toolResult";
        value: ToolResultPart;
    } | //
    /** Is an image, by reference or bytes. */
    {
        $case: "image";
        value: ImagePart;
    } | //
    /** Is a file, by reference or bytes. */
    {
        $case: "file";
        value: FilePart;
    } | //
    /** Is a model's refusal. */
    {
        $case: "refusal";
        value: RefusalPart;
    } | //
    /** Is a part of a kind that this version does not model, kept as it came. */
    {
        $case: "unknown";
        value: UnknownPart;
    } | undefined;
    /** Holds further keys of an imported part as the text of one JSON object, kept exactly. */
    extraJson: string;
}
/** TextPart is a piece of plain text. */
export interface TextPart {
    /** Is the text; may be empty. */
    text: string;
}
/** ReasoningPart is a model's reasoning. It is passed on whole or left out whole, never edited. */
export interface ReasoningPart {
    /** Is the readable reasoning; may be empty. */
    text: string;
    /** Is the provider's signature over the reasoning. */
    signature?: string | undefined;
    /** Is reasoning that the provider returned encrypted, in place of `text`. */
    redactedData?: string | undefined;
}
/** ToolCallPart is a model's request to run a tool. */
export interface ToolCallPart {
    /** Identifies the call. Required, except for `type` "function_call", which has none. */
    id: string;
    /** Names the tool. */
    name: string;
    /** Is the arguments' original text, byte for byte; it need not be valid JSON. */
    arguments: string;
    /** Says how the source spelled the call: "" or "function", "custom", or "function_call" (the older form without id). */
    type: string;
}
/** ToolResultPart is a tool's answer. */
export interface ToolResultPart {
    /** Identifies the call that is answered. Required, except for `type` "function_call". */
    toolCallId: string;
    /** Is the whole result when it is plain text. Excludes `parts`. */
    text?: string | undefined;
    /** Are the pieces of a result that is more than plain text: text, image, file or unknown parts. */
    parts: Part[];
    /** Says that the tool failed. */
    isError?: boolean | undefined;
    /** Says how the source spelled the content where the fields above cannot tell. */
    contentForm: ContentForm;
    /** Names the tool, where the source does; for `type` "function_call" it is how the call is found. */
    name: string;
    /** Says how the source spelled the result: "" or "function_call" (the older form without id). */
    type: string;
}
/** ImagePart is an image. */
export interface ImagePart {
    /** Is where the image is. */
    source: //
    /** Is a reference, kept as it came; may be a data URI that is not canonical base64. */
    {
        $case: "url";
        value: string;
    } | //
    /** Is the image itself. */
    {
        $case: "data";
        value: Buffer;
    } | //
    /** Identifies a file stored at the provider. */
    {
        $case: "fileId";
        value: string;
    } | undefined;
    /** Is the media type of `data`, for example "image/png". */
    mediaType: string;
    /** Is the detail level asked for, as the provider spells it. */
    detail: string;
}
/** FilePart is a file. */
export interface FilePart {
    /** Is where the file is. */
    source: //
    /** Is a reference, kept as it came. */
    {
        $case: "url";
        value: string;
    } | //
    /** Is the file itself. */
    {
        $case: "data";
        value: Buffer;
    } | //
    /** Identifies a file stored at the provider. */
    {
        $case: "fileId";
        value: string;
    } | undefined;
    /** Is the media type of `data`. */
    mediaType: string;
    /** Is the file's name. */
    filename: string;
}
/** RefusalPart is a model's refusal to answer. */
export interface RefusalPart {
    /** Is the refusal's text. */
    text: string;
}
/** UnknownPart keeps a part of a kind that this version does not model. */
export interface UnknownPart {
    /** Is the kind as the source named it. */
    type: string;
    /** Is the whole part as JSON text, as it came. */
    json: string;
}
export declare const Message: MessageFns<Message>;
export declare const Derived: MessageFns<Derived>;
export declare const Elision: MessageFns<Elision>;
export declare const Part: MessageFns<Part>;
export declare const TextPart: MessageFns<TextPart>;
export declare const ReasoningPart: MessageFns<ReasoningPart>;
export declare const ToolCallPart: MessageFns<ToolCallPart>;
export declare const ToolResultPart: MessageFns<ToolResultPart>;
export declare const ImagePart: MessageFns<ImagePart>;
export declare const FilePart: MessageFns<FilePart>;
export declare const RefusalPart: MessageFns<RefusalPart>;
export declare const UnknownPart: MessageFns<UnknownPart>;
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
