import { BinaryReader, BinaryWriter } from "../../../wire";
import { type CallOptions, type ChannelCredentials, Client, type ClientOptions, type ClientUnaryCall, type handleUnaryCall, type Metadata, type ServiceError, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { Timestamp } from "../../../google/protobuf/timestamp";
import { Context, Origin, Tag } from "./context";
import { ComparedContext, ContextPoint, LineageContext, LineageSegment } from "./lineage";
import { Message } from "./message";
import { Policy } from "./policy";
/** The service that creates, finds and changes contexts. */
/** CreateContextRequest describes the context to create. Every field is optional. */
export interface CreateContextRequest {
    /** Is a label for people; at most 256 characters. */
    name: string;
    /** Are key-value pairs to filter by. */
    labels: {
        [key: string]: string;
    };
    /** Holds the caller's own data; at most 64 KiB, no NaN or infinity. */
    metadata: {
        [key: string]: any;
    } | undefined;
    /**
     * Names the tokenizer that will count this context, for ever. Default "o200k_base". A name that the server does not
     * have is allowed: counts are then the caller's, or estimates from above. See docs/tokens.md.
     */
    tokenizer: string;
    /** Makes the call repeatable; 1 to 128 characters, unique among the tenant's creations. */
    requestId: string;
    /** Demands that no other live context with this flag has the same, non-empty name. */
    uniqueName: boolean;
    /** Says where an imported conversation came from. */
    origin: Origin | undefined;
}
export interface CreateContextRequest_LabelsEntry {
    key: string;
    value: string;
}
/** CreateContextResponse answers CreateContext. */
export interface CreateContextResponse {
    /** Is the context, as it is now. */
    context: Context | undefined;
    /** Says that an earlier call with this request_id created it. */
    replayed: boolean;
}
/** GetContextRequest names a context. */
export interface GetContextRequest {
    /** Identifies the context. Required. */
    contextId: string;
}
/** GetContextResponse answers GetContext. */
export interface GetContextResponse {
    /** Is the context. */
    context: Context | undefined;
}
/** ListContextsRequest filters and pages contexts. */
export interface ListContextsRequest {
    /** Is how many contexts to return at most: 0 is the default of 50; above 1,000 it is 1,000; negative is refused. */
    pageSize: number;
    /** Is the `next_page_token` of the page before, with the same filters. */
    pageToken: string;
    /** Keeps contexts that have all of these labels. */
    labels: {
        [key: string]: string;
    };
    /** Keeps contexts whose name starts with this. */
    namePrefix: string;
    /** Shows soft-deleted contexts, too. */
    showDeleted: boolean;
}
export interface ListContextsRequest_LabelsEntry {
    key: string;
    value: string;
}
/** ListContextsResponse is one page, newest first. */
export interface ListContextsResponse {
    /** Are the contexts. */
    contexts: Context[];
    /** Asks for the next page; empty at the end, and only there. */
    nextPageToken: string;
}
/** UpdateContextRequest changes what can be changed of a context. */
export interface UpdateContextRequest {
    /** Holds `context_id` and the new values. A non-empty `etag` demands that nothing was updated since it was read. */
    context: Context | undefined;
    /**
     * Names the fields to change: "name", "labels", "metadata", "unique_name", or "*" for all of them.
     * Absent, it is the fields that are populated in `context`.
     */
    updateMask: string[] | undefined;
    /** Makes the call repeatable; 1 to 128 characters, unique within the context. */
    requestId: string;
}
/** UpdateContextResponse answers UpdateContext. */
export interface UpdateContextResponse {
    /** Is the context, as it is now. */
    context: Context | undefined;
    /** Is the revision that the change took. */
    revision: bigint;
    /** Says that an earlier call with this request_id made the change. */
    replayed: boolean;
}
/** DeleteContextRequest names the context to soft-delete. */
export interface DeleteContextRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Demands, if not empty, that nothing was updated since it was read. */
    etag: string;
    /** Makes the call repeatable; 1 to 128 characters, unique within the context. */
    requestId: string;
}
/** DeleteContextResponse answers DeleteContext. */
export interface DeleteContextResponse {
    /** Is the context, with its `delete_time`. */
    context: Context | undefined;
    /** Is the revision that the deletion took. */
    revision: bigint;
    /** Says that an earlier call with this request_id deleted it. */
    replayed: boolean;
}
/** UndeleteContextRequest names the context to bring back. */
export interface UndeleteContextRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Makes the call repeatable; 1 to 128 characters, unique within the context. */
    requestId: string;
}
/** UndeleteContextResponse answers UndeleteContext. */
export interface UndeleteContextResponse {
    /** Is the context, live again. */
    context: Context | undefined;
    /** Is the revision that the change took. */
    revision: bigint;
    /** Says that an earlier call with this request_id brought it back. */
    replayed: boolean;
}
/** PurgeContextRequest names the context to erase. */
export interface PurgeContextRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Makes the call repeatable; 1 to 128 characters, unique within the context. */
    requestId: string;
    /** Says what would be erased, or why not, and does nothing. */
    dryRun: boolean;
    /** Gives all forks that read the context's log one of their own first, as FlattenContext does, soft-deleted ones too. */
    detachChildren: boolean;
}
/** PurgeContextResponse answers PurgeContext. */
export interface PurgeContextResponse {
    /** Is what was erased or, of a dry run, would be. */
    receipt: PurgeReceipt | undefined;
    /** Says that an earlier call with this request_id purged it. */
    replayed: boolean;
    /** Counts the forks that this call detached or, of a dry run, would. */
    detachedCount: bigint;
}
/** PurgeReceipt is what is kept of a purged context. */
export interface PurgeReceipt {
    /** Identifies the context. */
    contextId: string;
    /** Is when it was purged; unset for a dry run. */
    purgeTime: Timestamp | undefined;
    /** Are the rows of each table that had any. */
    erased: ErasedRows[];
    /** Says, for people, where copies may be that the database cannot erase. */
    notice: string;
}
/** ErasedRows counts the rows of one table. */
export interface ErasedRows {
    /** Is the table's name. */
    table: string;
    /** Counts its rows. */
    rowCount: bigint;
    /** Sums their sizes: of messages what they were sent as, of policies and embeddings these alone. */
    byteCount: bigint;
}
/** ForkContextRequest says where to fork a context, and what the child is called. */
export interface ForkContextRequest {
    /** Identifies the parent. Required. */
    contextId: string;
    /**
     * Is the newest version that the child has of the parent: 0 for none. Default: the latest, or the latest of
     * `at_revision`.
     */
    atVersion?: bigint | undefined;
    /** Is a label of the child for people; at most 256 characters. */
    name: string;
    /** Are the child's key-value pairs; it inherits none. */
    labels: {
        [key: string]: string;
    };
    /** Makes the call repeatable; 1 to 128 characters, unique among the tenant's forks. */
    requestId: string;
    /** Is the newest revision of the parent that the child knows of: what was removed later is there. Default: the latest. */
    atRevision?: bigint | undefined;
    /** Holds the caller's own data about the child; at most 64 KiB, no NaN or infinity. It inherits none. */
    metadata: {
        [key: string]: any;
    } | undefined;
    /** Demands that no other live context with this flag has the same, non-empty name. */
    uniqueName: boolean;
    /** Is the child's policy. Unset, it has the parent's, as it was at the revision. */
    policy: Policy | undefined;
    /** Are messages to append to the child in the same step, at most 1,000: fork and continue in one call. */
    messages: Message[];
    /** Is the time at which to fork: after the newest revision that was made at or before it. Excludes the other `at_` fields. */
    atTime: Timestamp | undefined;
    /** Is the parent's tag at which to fork. Excludes the other `at_` fields. */
    atTag: string;
}
export interface ForkContextRequest_LabelsEntry {
    key: string;
    value: string;
}
/** ForkContextResponse answers ForkContext. */
export interface ForkContextResponse {
    /** Is the child, as it is now. */
    context: Context | undefined;
    /** Says that an earlier call with this request_id made it. */
    replayed: boolean;
    /** Is the version of the first of `messages` in the child; 0 without any. */
    firstVersion: bigint;
    /** Is the version of the last of `messages` in the child; 0 without any. */
    lastVersion: bigint;
    /**
     * Are the calls that wait for a result at the fork: it is inside of their groups. Answers that the parent has later are
     * not the child's, which may append its own.
     */
    pendingCallIds: string[];
}
/** TagVersionRequest says what to call which snapshot. */
export interface TagVersionRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Is the tag's name. Required. */
    name: string;
    /** Is the version to tag. Default: the latest, or the latest of `at_revision`. */
    atVersion?: bigint | undefined;
    /** Is the revision to tag, which must have the version. Default: the latest before the tag's own. */
    atRevision?: bigint | undefined;
    /** Is the time to tag: the newest revision that was made at or before it. Excludes the other `at_` fields. */
    atTime: Timestamp | undefined;
    /** Is another tag, or the same, whose snapshot to tag. Excludes the other `at_` fields. */
    atTag: string;
    /** Moves the tag where there is one of this name, which is otherwise refused. */
    move: boolean;
    /** Makes the call repeatable; 1 to 128 characters, unique within the context. */
    requestId: string;
}
/** TagVersionResponse answers TagVersion. */
export interface TagVersionResponse {
    /** Is the tag, as the call set it. */
    tag: Tag | undefined;
    /** Is the revision that the change took. */
    revision: bigint;
    /** Says that an earlier call with this request_id set it. */
    replayed: boolean;
}
/** ListTagsRequest pages a context's tags. */
export interface ListTagsRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Is how many tags to return at most: 0 is the default of 50; above 1,000 it is 1,000; negative is refused. */
    pageSize: number;
    /** Is the `next_page_token` of the page before. */
    pageToken: string;
}
/** ListTagsResponse is one page, by name. */
export interface ListTagsResponse {
    /** Are the tags. */
    tags: Tag[];
    /** Asks for the next page; empty at the end, and only there. */
    nextPageToken: string;
}
/** DeleteTagRequest names the tag to delete. */
export interface DeleteTagRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Is the tag's name. Required. */
    name: string;
    /** Makes the call repeatable; 1 to 128 characters, unique within the context. */
    requestId: string;
}
/** DeleteTagResponse answers DeleteTag. */
export interface DeleteTagResponse {
    /** Is the revision that the deletion took. */
    revision: bigint;
    /** Says that an earlier call with this request_id deleted it. */
    replayed: boolean;
}
/** FlattenContextRequest names the fork to flatten. */
export interface FlattenContextRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Makes the call repeatable; 1 to 128 characters, unique within the context. */
    requestId: string;
}
/** FlattenContextResponse answers FlattenContext. */
export interface FlattenContextResponse {
    /** Is the context, as it is now. */
    context: Context | undefined;
    /** Is the revision that the change took. */
    revision: bigint;
    /** Says that an earlier call with this request_id flattened it. */
    replayed: boolean;
}
/** GetLineageRequest names a context, and pages its forks. */
export interface GetLineageRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Is how many forks to return at most: 0 is the default of 50; above 1,000 it is 1,000; negative is refused. */
    pageSize: number;
    /** Is the `next_page_token` of the page before. */
    pageToken: string;
}
/** GetLineageResponse answers GetLineage. */
export interface GetLineageResponse {
    /** Is the context. */
    context: LineageContext | undefined;
    /**
     * Are the contexts that it comes from, the root first, its parent last; the nearest 1,000. Where an ancestor was purged
     * they begin after it.
     */
    ancestors: LineageContext[];
    /** Are the logs that it reads, oldest first, its own last; their versions follow each other without a gap. */
    segments: LineageSegment[];
    /** Are its forks in the order in which they were made. */
    children: LineageContext[];
    /** Asks for the next page of forks; empty at the end, and only there. */
    nextPageToken: string;
}
/** CompareContextsRequest names two contexts, and pages what each has that the other has not. */
export interface CompareContextsRequest {
    /** Is one side. Required. */
    left: ContextPoint | undefined;
    /** Is the other side; it may be the same context at another moment. Required. */
    right: ContextPoint | undefined;
    /**
     * Is how many messages of each side to return at most: 0 is the default of 100; above 1,000 it is 1,000; negative is
     * refused. A page also ends at 1 MiB of content or one message of a side.
     */
    pageSize: number;
    /** Is the `next_page_token` of the page before, with the same sides. */
    pageToken: string;
}
/** CompareContextsResponse is one page of a comparison; all but the messages is the same on each. */
export interface CompareContextsResponse {
    /** Identifies the nearest context that both come from, or are; empty where there is none. */
    commonAncestorId: string;
    /** Is the last version that both have of the same log; 0 where they share nothing. */
    sharedVersion: bigint;
    /** Is what one side has since. */
    left: ComparedContext | undefined;
    /** Is what the other side has since. */
    right: ComparedContext | undefined;
    /** Are messages of one side beyond the shared version, in order. */
    leftMessages: Message[];
    /** Are messages of the other side beyond it, in order. A page may have fewer of one side than of the other. */
    rightMessages: Message[];
    /** Asks for the next page; empty at the end of both sides, and only there. */
    nextPageToken: string;
}
/** VerifyContextRequest names a context. */
export interface VerifyContextRequest {
    /** Identifies the context. Required. */
    contextId: string;
}
/** VerifyContextResponse says whether a context is what its rows say. */
export interface VerifyContextResponse {
    /** Is the version up to which it was verified. */
    version: bigint;
    /** Is the revision up to which it was verified. */
    revision: bigint;
    /** Is how many messages were looked at, up to the first difference. */
    messageCount: bigint;
    /** Is how many revisions were looked at, up to the first difference. */
    revisionCount: bigint;
    /** Is the first difference; unset where all is as it must be. */
    difference: Difference | undefined;
}
/** Difference is something that is stored and not what the rest of the rows say. */
export interface Difference {
    /** Names the column, or the table where it is about whole rows, as in "messages.total_tokens". */
    what: string;
    /** Is the version of the message that it is about; 0 for none. */
    version: bigint;
    /** Is the revision that it is about; 0 for none. */
    revision: bigint;
    /** Is what it must be, digests in hexadecimal. */
    expected: string;
    /** Is what it is. */
    found: string;
}
export declare const CreateContextRequest: MessageFns<CreateContextRequest>;
export declare const CreateContextRequest_LabelsEntry: MessageFns<CreateContextRequest_LabelsEntry>;
export declare const CreateContextResponse: MessageFns<CreateContextResponse>;
export declare const GetContextRequest: MessageFns<GetContextRequest>;
export declare const GetContextResponse: MessageFns<GetContextResponse>;
export declare const ListContextsRequest: MessageFns<ListContextsRequest>;
export declare const ListContextsRequest_LabelsEntry: MessageFns<ListContextsRequest_LabelsEntry>;
export declare const ListContextsResponse: MessageFns<ListContextsResponse>;
export declare const UpdateContextRequest: MessageFns<UpdateContextRequest>;
export declare const UpdateContextResponse: MessageFns<UpdateContextResponse>;
export declare const DeleteContextRequest: MessageFns<DeleteContextRequest>;
export declare const DeleteContextResponse: MessageFns<DeleteContextResponse>;
export declare const UndeleteContextRequest: MessageFns<UndeleteContextRequest>;
export declare const UndeleteContextResponse: MessageFns<UndeleteContextResponse>;
export declare const PurgeContextRequest: MessageFns<PurgeContextRequest>;
export declare const PurgeContextResponse: MessageFns<PurgeContextResponse>;
export declare const PurgeReceipt: MessageFns<PurgeReceipt>;
export declare const ErasedRows: MessageFns<ErasedRows>;
export declare const ForkContextRequest: MessageFns<ForkContextRequest>;
export declare const ForkContextRequest_LabelsEntry: MessageFns<ForkContextRequest_LabelsEntry>;
export declare const ForkContextResponse: MessageFns<ForkContextResponse>;
export declare const TagVersionRequest: MessageFns<TagVersionRequest>;
export declare const TagVersionResponse: MessageFns<TagVersionResponse>;
export declare const ListTagsRequest: MessageFns<ListTagsRequest>;
export declare const ListTagsResponse: MessageFns<ListTagsResponse>;
export declare const DeleteTagRequest: MessageFns<DeleteTagRequest>;
export declare const DeleteTagResponse: MessageFns<DeleteTagResponse>;
export declare const FlattenContextRequest: MessageFns<FlattenContextRequest>;
export declare const FlattenContextResponse: MessageFns<FlattenContextResponse>;
export declare const GetLineageRequest: MessageFns<GetLineageRequest>;
export declare const GetLineageResponse: MessageFns<GetLineageResponse>;
export declare const CompareContextsRequest: MessageFns<CompareContextsRequest>;
export declare const CompareContextsResponse: MessageFns<CompareContextsResponse>;
export declare const VerifyContextRequest: MessageFns<VerifyContextRequest>;
export declare const VerifyContextResponse: MessageFns<VerifyContextResponse>;
export declare const Difference: MessageFns<Difference>;
/**
 * ContextService keeps contexts.
 *
 * A `request_id` makes a change safe to repeat: the same id with the same content gets the first answer again
 * (`replayed`), for as long as the context lives; with other content it is refused with REQUEST_ID_REUSED.
 */
export type ContextServiceService = typeof ContextServiceService;
export declare const ContextServiceService: {
    /**
     * Creates an empty context. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_EXISTS (unique name taken), CONTEXT_PURGED, REQUEST_ID_REUSED.
     */
    readonly createContext: {
        readonly path: "/kata.context.v1.ContextService/CreateContext";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: CreateContextRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => CreateContextRequest;
        readonly responseSerialize: (value: CreateContextResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => CreateContextResponse;
    };
    /**
     * Returns one context, also a soft-deleted one, which has its `delete_time`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND.
     */
    readonly getContext: {
        readonly path: "/kata.context.v1.ContextService/GetContext";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: GetContextRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => GetContextRequest;
        readonly responseSerialize: (value: GetContextResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => GetContextResponse;
    };
    /**
     * Lists contexts, newest first. A context created during a walk does not appear in it.
     * Errors: INVALID_FIELD, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH.
     */
    readonly listContexts: {
        readonly path: "/kata.context.v1.ContextService/ListContexts";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: ListContextsRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => ListContextsRequest;
        readonly responseSerialize: (value: ListContextsResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => ListContextsResponse;
    };
    /**
     * Changes name, labels, metadata or the uniqueness of the name; one revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_CONFLICT (etag), CONTEXT_EXISTS, REQUEST_ID_REUSED.
     */
    readonly updateContext: {
        readonly path: "/kata.context.v1.ContextService/UpdateContext";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: UpdateContextRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => UpdateContextRequest;
        readonly responseSerialize: (value: UpdateContextResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => UpdateContextResponse;
    };
    /**
     * Soft-deletes a context: its content stays, its unique name is free. One revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_CONFLICT (etag), REQUEST_ID_REUSED.
     */
    readonly deleteContext: {
        readonly path: "/kata.context.v1.ContextService/DeleteContext";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: DeleteContextRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => DeleteContextRequest;
        readonly responseSerialize: (value: DeleteContextResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => DeleteContextResponse;
    };
    /**
     * Brings a soft-deleted context back as it was. One revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, CONTEXT_NOT_DELETED, CONTEXT_EXISTS, REQUEST_ID_REUSED.
     */
    readonly undeleteContext: {
        readonly path: "/kata.context.v1.ContextService/UndeleteContext";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: UndeleteContextRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => UndeleteContextRequest;
        readonly responseSerialize: (value: UndeleteContextResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => UndeleteContextResponse;
    };
    /**
     * Erases a soft-deleted context for good: its messages, revisions, names, tags, removals, policies, embeddings and its own
     * row. What stays is the receipt, without content, and that the id is used up: whoever repeats its creation is told
     * CONTEXT_PURGED, every other call CONTEXT_NOT_FOUND. A live context is refused: delete it first. So is one whose log forks
     * read, unless `detach_children` copies it for them. Copies that forks have in their own logs stay theirs. The context is
     * out of reach as soon as anything of it is erased; a call that is cut off, as one for a very long log may be by its
     * deadline, is finished by the server, and a repetition waits for that. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, CONTEXT_PURGED, CONTEXT_NOT_DELETED, CONTEXT_HAS_FORKS, REQUEST_ID_REUSED.
     */
    readonly purgeContext: {
        readonly path: "/kata.context.v1.ContextService/PurgeContext";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: PurgeContextRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => PurgeContextRequest;
        readonly responseSerialize: (value: PurgeContextResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => PurgeContextResponse;
    };
    /**
     * Makes a child of a context that has the parent's messages up to a version, by reference: it costs the same for ten
     * messages and for a million. Versions, revisions, tokenizer and policy go on in the child; nothing that happens to the
     * parent later reaches it. Repeatable with `request_id`: the answer is the same child.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND, FORK_TOO_DEEP, TOO_MANY_FORKS,
     * CONTEXT_EXISTS, CONTEXT_PURGED, REQUEST_ID_REUSED, TOO_MANY_OPEN_CALLS.
     */
    readonly forkContext: {
        readonly path: "/kata.context.v1.ContextService/ForkContext";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: ForkContextRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => ForkContextRequest;
        readonly responseSerialize: (value: ForkContextResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => ForkContextResponse;
    };
    /**
     * Names a snapshot of a context: a version with the revision whose overlays hold, the latest unless the request says
     * otherwise. Wherever a snapshot can be named, `at_tag` then names it. One revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND (at_tag), TAG_EXISTS, REQUEST_ID_REUSED.
     */
    readonly tagVersion: {
        readonly path: "/kata.context.v1.ContextService/TagVersion";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: TagVersionRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => TagVersionRequest;
        readonly responseSerialize: (value: TagVersionResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => TagVersionResponse;
    };
    /**
     * Lists the tags of a context, by name. A tag that is set or deleted during a walk may be in it or not.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH.
     */
    readonly listTags: {
        readonly path: "/kata.context.v1.ContextService/ListTags";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: ListTagsRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => ListTagsRequest;
        readonly responseSerialize: (value: ListTagsResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => ListTagsResponse;
    };
    /**
     * Deletes a tag; what it named stays. One revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, TAG_NOT_FOUND, REQUEST_ID_REUSED.
     */
    readonly deleteTag: {
        readonly path: "/kata.context.v1.ContextService/DeleteTag";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: DeleteTagRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => DeleteTagRequest;
        readonly responseSerialize: (value: DeleteTagResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => DeleteTagResponse;
    };
    /**
     * Gives a fork a log of its own: copies what it reads in its ancestors', and has it read the copies. Versions, revisions,
     * records and windows stay as they are, a message still says who appended it; the fork has depth 0, and its ancestors can
     * be purged, unless others read them, as the fork's own forks do that were made before. Copies in batches, beside readers
     * and writers; a call that is cut off, as one for a very long log may be by its deadline, leaves what it has copied, and
     * the next one goes on there. One revision, at the end. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, CONTEXT_IS_FLAT, REQUEST_ID_REUSED.
     */
    readonly flattenContext: {
        readonly path: "/kata.context.v1.ContextService/FlattenContext";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: FlattenContextRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => FlattenContextRequest;
        readonly responseSerialize: (value: FlattenContextResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => FlattenContextResponse;
    };
    /**
     * Returns where a context comes from, which logs it reads, and a page of its forks. Soft-deleted contexts are shown as
     * such, and a soft-deleted context has its lineage, too.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH.
     */
    readonly getLineage: {
        readonly path: "/kata.context.v1.ContextService/GetLineage";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: GetLineageRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => GetLineageRequest;
        readonly responseSerialize: (value: GetLineageResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => GetLineageResponse;
    };
    /**
     * Compares two contexts by lineage, not by text: what both have of the same log is shared, and each side's messages
     * beyond it are listed, as they were appended. Contexts without a common ancestor share nothing. Both sides are walked
     * at once, up to where they were at the walk's first page.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH.
     */
    readonly compareContexts: {
        readonly path: "/kata.context.v1.ContextService/CompareContexts";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: CompareContextsRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => CompareContextsRequest;
        readonly responseSerialize: (value: CompareContextsResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => CompareContextsResponse;
    };
    /**
     * Recomputes what is stored of a context, deleted or not, from the rows themselves: digests, chain, running sums, tool
     * calls, lineage, overlays, tags; and names the first difference, which is an answer and no error. It verifies up to the
     * revision that is the newest at its start. What a fork inherits is verified with the context that has it. A long
     * context may outlast the deadline of a call; `kata-grpc doctor` has none.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND.
     */
    readonly verifyContext: {
        readonly path: "/kata.context.v1.ContextService/VerifyContext";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: VerifyContextRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => VerifyContextRequest;
        readonly responseSerialize: (value: VerifyContextResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => VerifyContextResponse;
    };
};
export interface ContextServiceServer extends UntypedServiceImplementation {
    /**
     * Creates an empty context. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_EXISTS (unique name taken), CONTEXT_PURGED, REQUEST_ID_REUSED.
     */
    createContext: handleUnaryCall<CreateContextRequest, CreateContextResponse>;
    /**
     * Returns one context, also a soft-deleted one, which has its `delete_time`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND.
     */
    getContext: handleUnaryCall<GetContextRequest, GetContextResponse>;
    /**
     * Lists contexts, newest first. A context created during a walk does not appear in it.
     * Errors: INVALID_FIELD, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH.
     */
    listContexts: handleUnaryCall<ListContextsRequest, ListContextsResponse>;
    /**
     * Changes name, labels, metadata or the uniqueness of the name; one revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_CONFLICT (etag), CONTEXT_EXISTS, REQUEST_ID_REUSED.
     */
    updateContext: handleUnaryCall<UpdateContextRequest, UpdateContextResponse>;
    /**
     * Soft-deletes a context: its content stays, its unique name is free. One revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_CONFLICT (etag), REQUEST_ID_REUSED.
     */
    deleteContext: handleUnaryCall<DeleteContextRequest, DeleteContextResponse>;
    /**
     * Brings a soft-deleted context back as it was. One revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, CONTEXT_NOT_DELETED, CONTEXT_EXISTS, REQUEST_ID_REUSED.
     */
    undeleteContext: handleUnaryCall<UndeleteContextRequest, UndeleteContextResponse>;
    /**
     * Erases a soft-deleted context for good: its messages, revisions, names, tags, removals, policies, embeddings and its own
     * row. What stays is the receipt, without content, and that the id is used up: whoever repeats its creation is told
     * CONTEXT_PURGED, every other call CONTEXT_NOT_FOUND. A live context is refused: delete it first. So is one whose log forks
     * read, unless `detach_children` copies it for them. Copies that forks have in their own logs stay theirs. The context is
     * out of reach as soon as anything of it is erased; a call that is cut off, as one for a very long log may be by its
     * deadline, is finished by the server, and a repetition waits for that. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, CONTEXT_PURGED, CONTEXT_NOT_DELETED, CONTEXT_HAS_FORKS, REQUEST_ID_REUSED.
     */
    purgeContext: handleUnaryCall<PurgeContextRequest, PurgeContextResponse>;
    /**
     * Makes a child of a context that has the parent's messages up to a version, by reference: it costs the same for ten
     * messages and for a million. Versions, revisions, tokenizer and policy go on in the child; nothing that happens to the
     * parent later reaches it. Repeatable with `request_id`: the answer is the same child.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND, FORK_TOO_DEEP, TOO_MANY_FORKS,
     * CONTEXT_EXISTS, CONTEXT_PURGED, REQUEST_ID_REUSED, TOO_MANY_OPEN_CALLS.
     */
    forkContext: handleUnaryCall<ForkContextRequest, ForkContextResponse>;
    /**
     * Names a snapshot of a context: a version with the revision whose overlays hold, the latest unless the request says
     * otherwise. Wherever a snapshot can be named, `at_tag` then names it. One revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND (at_tag), TAG_EXISTS, REQUEST_ID_REUSED.
     */
    tagVersion: handleUnaryCall<TagVersionRequest, TagVersionResponse>;
    /**
     * Lists the tags of a context, by name. A tag that is set or deleted during a walk may be in it or not.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH.
     */
    listTags: handleUnaryCall<ListTagsRequest, ListTagsResponse>;
    /**
     * Deletes a tag; what it named stays. One revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, TAG_NOT_FOUND, REQUEST_ID_REUSED.
     */
    deleteTag: handleUnaryCall<DeleteTagRequest, DeleteTagResponse>;
    /**
     * Gives a fork a log of its own: copies what it reads in its ancestors', and has it read the copies. Versions, revisions,
     * records and windows stay as they are, a message still says who appended it; the fork has depth 0, and its ancestors can
     * be purged, unless others read them, as the fork's own forks do that were made before. Copies in batches, beside readers
     * and writers; a call that is cut off, as one for a very long log may be by its deadline, leaves what it has copied, and
     * the next one goes on there. One revision, at the end. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, CONTEXT_IS_FLAT, REQUEST_ID_REUSED.
     */
    flattenContext: handleUnaryCall<FlattenContextRequest, FlattenContextResponse>;
    /**
     * Returns where a context comes from, which logs it reads, and a page of its forks. Soft-deleted contexts are shown as
     * such, and a soft-deleted context has its lineage, too.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH.
     */
    getLineage: handleUnaryCall<GetLineageRequest, GetLineageResponse>;
    /**
     * Compares two contexts by lineage, not by text: what both have of the same log is shared, and each side's messages
     * beyond it are listed, as they were appended. Contexts without a common ancestor share nothing. Both sides are walked
     * at once, up to where they were at the walk's first page.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH.
     */
    compareContexts: handleUnaryCall<CompareContextsRequest, CompareContextsResponse>;
    /**
     * Recomputes what is stored of a context, deleted or not, from the rows themselves: digests, chain, running sums, tool
     * calls, lineage, overlays, tags; and names the first difference, which is an answer and no error. It verifies up to the
     * revision that is the newest at its start. What a fork inherits is verified with the context that has it. A long
     * context may outlast the deadline of a call; `kata-grpc doctor` has none.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND.
     */
    verifyContext: handleUnaryCall<VerifyContextRequest, VerifyContextResponse>;
}
export interface ContextServiceClient extends Client {
    /**
     * Creates an empty context. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_EXISTS (unique name taken), CONTEXT_PURGED, REQUEST_ID_REUSED.
     */
    createContext(request: CreateContextRequest, callback: (error: ServiceError | null, response: CreateContextResponse) => void): ClientUnaryCall;
    createContext(request: CreateContextRequest, metadata: Metadata, callback: (error: ServiceError | null, response: CreateContextResponse) => void): ClientUnaryCall;
    createContext(request: CreateContextRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: CreateContextResponse) => void): ClientUnaryCall;
    /**
     * Returns one context, also a soft-deleted one, which has its `delete_time`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND.
     */
    getContext(request: GetContextRequest, callback: (error: ServiceError | null, response: GetContextResponse) => void): ClientUnaryCall;
    getContext(request: GetContextRequest, metadata: Metadata, callback: (error: ServiceError | null, response: GetContextResponse) => void): ClientUnaryCall;
    getContext(request: GetContextRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: GetContextResponse) => void): ClientUnaryCall;
    /**
     * Lists contexts, newest first. A context created during a walk does not appear in it.
     * Errors: INVALID_FIELD, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH.
     */
    listContexts(request: ListContextsRequest, callback: (error: ServiceError | null, response: ListContextsResponse) => void): ClientUnaryCall;
    listContexts(request: ListContextsRequest, metadata: Metadata, callback: (error: ServiceError | null, response: ListContextsResponse) => void): ClientUnaryCall;
    listContexts(request: ListContextsRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: ListContextsResponse) => void): ClientUnaryCall;
    /**
     * Changes name, labels, metadata or the uniqueness of the name; one revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_CONFLICT (etag), CONTEXT_EXISTS, REQUEST_ID_REUSED.
     */
    updateContext(request: UpdateContextRequest, callback: (error: ServiceError | null, response: UpdateContextResponse) => void): ClientUnaryCall;
    updateContext(request: UpdateContextRequest, metadata: Metadata, callback: (error: ServiceError | null, response: UpdateContextResponse) => void): ClientUnaryCall;
    updateContext(request: UpdateContextRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: UpdateContextResponse) => void): ClientUnaryCall;
    /**
     * Soft-deletes a context: its content stays, its unique name is free. One revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_CONFLICT (etag), REQUEST_ID_REUSED.
     */
    deleteContext(request: DeleteContextRequest, callback: (error: ServiceError | null, response: DeleteContextResponse) => void): ClientUnaryCall;
    deleteContext(request: DeleteContextRequest, metadata: Metadata, callback: (error: ServiceError | null, response: DeleteContextResponse) => void): ClientUnaryCall;
    deleteContext(request: DeleteContextRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: DeleteContextResponse) => void): ClientUnaryCall;
    /**
     * Brings a soft-deleted context back as it was. One revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, CONTEXT_NOT_DELETED, CONTEXT_EXISTS, REQUEST_ID_REUSED.
     */
    undeleteContext(request: UndeleteContextRequest, callback: (error: ServiceError | null, response: UndeleteContextResponse) => void): ClientUnaryCall;
    undeleteContext(request: UndeleteContextRequest, metadata: Metadata, callback: (error: ServiceError | null, response: UndeleteContextResponse) => void): ClientUnaryCall;
    undeleteContext(request: UndeleteContextRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: UndeleteContextResponse) => void): ClientUnaryCall;
    /**
     * Erases a soft-deleted context for good: its messages, revisions, names, tags, removals, policies, embeddings and its own
     * row. What stays is the receipt, without content, and that the id is used up: whoever repeats its creation is told
     * CONTEXT_PURGED, every other call CONTEXT_NOT_FOUND. A live context is refused: delete it first. So is one whose log forks
     * read, unless `detach_children` copies it for them. Copies that forks have in their own logs stay theirs. The context is
     * out of reach as soon as anything of it is erased; a call that is cut off, as one for a very long log may be by its
     * deadline, is finished by the server, and a repetition waits for that. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, CONTEXT_PURGED, CONTEXT_NOT_DELETED, CONTEXT_HAS_FORKS, REQUEST_ID_REUSED.
     */
    purgeContext(request: PurgeContextRequest, callback: (error: ServiceError | null, response: PurgeContextResponse) => void): ClientUnaryCall;
    purgeContext(request: PurgeContextRequest, metadata: Metadata, callback: (error: ServiceError | null, response: PurgeContextResponse) => void): ClientUnaryCall;
    purgeContext(request: PurgeContextRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: PurgeContextResponse) => void): ClientUnaryCall;
    /**
     * Makes a child of a context that has the parent's messages up to a version, by reference: it costs the same for ten
     * messages and for a million. Versions, revisions, tokenizer and policy go on in the child; nothing that happens to the
     * parent later reaches it. Repeatable with `request_id`: the answer is the same child.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND, FORK_TOO_DEEP, TOO_MANY_FORKS,
     * CONTEXT_EXISTS, CONTEXT_PURGED, REQUEST_ID_REUSED, TOO_MANY_OPEN_CALLS.
     */
    forkContext(request: ForkContextRequest, callback: (error: ServiceError | null, response: ForkContextResponse) => void): ClientUnaryCall;
    forkContext(request: ForkContextRequest, metadata: Metadata, callback: (error: ServiceError | null, response: ForkContextResponse) => void): ClientUnaryCall;
    forkContext(request: ForkContextRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: ForkContextResponse) => void): ClientUnaryCall;
    /**
     * Names a snapshot of a context: a version with the revision whose overlays hold, the latest unless the request says
     * otherwise. Wherever a snapshot can be named, `at_tag` then names it. One revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND (at_tag), TAG_EXISTS, REQUEST_ID_REUSED.
     */
    tagVersion(request: TagVersionRequest, callback: (error: ServiceError | null, response: TagVersionResponse) => void): ClientUnaryCall;
    tagVersion(request: TagVersionRequest, metadata: Metadata, callback: (error: ServiceError | null, response: TagVersionResponse) => void): ClientUnaryCall;
    tagVersion(request: TagVersionRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: TagVersionResponse) => void): ClientUnaryCall;
    /**
     * Lists the tags of a context, by name. A tag that is set or deleted during a walk may be in it or not.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH.
     */
    listTags(request: ListTagsRequest, callback: (error: ServiceError | null, response: ListTagsResponse) => void): ClientUnaryCall;
    listTags(request: ListTagsRequest, metadata: Metadata, callback: (error: ServiceError | null, response: ListTagsResponse) => void): ClientUnaryCall;
    listTags(request: ListTagsRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: ListTagsResponse) => void): ClientUnaryCall;
    /**
     * Deletes a tag; what it named stays. One revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, TAG_NOT_FOUND, REQUEST_ID_REUSED.
     */
    deleteTag(request: DeleteTagRequest, callback: (error: ServiceError | null, response: DeleteTagResponse) => void): ClientUnaryCall;
    deleteTag(request: DeleteTagRequest, metadata: Metadata, callback: (error: ServiceError | null, response: DeleteTagResponse) => void): ClientUnaryCall;
    deleteTag(request: DeleteTagRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: DeleteTagResponse) => void): ClientUnaryCall;
    /**
     * Gives a fork a log of its own: copies what it reads in its ancestors', and has it read the copies. Versions, revisions,
     * records and windows stay as they are, a message still says who appended it; the fork has depth 0, and its ancestors can
     * be purged, unless others read them, as the fork's own forks do that were made before. Copies in batches, beside readers
     * and writers; a call that is cut off, as one for a very long log may be by its deadline, leaves what it has copied, and
     * the next one goes on there. One revision, at the end. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, CONTEXT_IS_FLAT, REQUEST_ID_REUSED.
     */
    flattenContext(request: FlattenContextRequest, callback: (error: ServiceError | null, response: FlattenContextResponse) => void): ClientUnaryCall;
    flattenContext(request: FlattenContextRequest, metadata: Metadata, callback: (error: ServiceError | null, response: FlattenContextResponse) => void): ClientUnaryCall;
    flattenContext(request: FlattenContextRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: FlattenContextResponse) => void): ClientUnaryCall;
    /**
     * Returns where a context comes from, which logs it reads, and a page of its forks. Soft-deleted contexts are shown as
     * such, and a soft-deleted context has its lineage, too.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH.
     */
    getLineage(request: GetLineageRequest, callback: (error: ServiceError | null, response: GetLineageResponse) => void): ClientUnaryCall;
    getLineage(request: GetLineageRequest, metadata: Metadata, callback: (error: ServiceError | null, response: GetLineageResponse) => void): ClientUnaryCall;
    getLineage(request: GetLineageRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: GetLineageResponse) => void): ClientUnaryCall;
    /**
     * Compares two contexts by lineage, not by text: what both have of the same log is shared, and each side's messages
     * beyond it are listed, as they were appended. Contexts without a common ancestor share nothing. Both sides are walked
     * at once, up to where they were at the walk's first page.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH.
     */
    compareContexts(request: CompareContextsRequest, callback: (error: ServiceError | null, response: CompareContextsResponse) => void): ClientUnaryCall;
    compareContexts(request: CompareContextsRequest, metadata: Metadata, callback: (error: ServiceError | null, response: CompareContextsResponse) => void): ClientUnaryCall;
    compareContexts(request: CompareContextsRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: CompareContextsResponse) => void): ClientUnaryCall;
    /**
     * Recomputes what is stored of a context, deleted or not, from the rows themselves: digests, chain, running sums, tool
     * calls, lineage, overlays, tags; and names the first difference, which is an answer and no error. It verifies up to the
     * revision that is the newest at its start. What a fork inherits is verified with the context that has it. A long
     * context may outlast the deadline of a call; `kata-grpc doctor` has none.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND.
     */
    verifyContext(request: VerifyContextRequest, callback: (error: ServiceError | null, response: VerifyContextResponse) => void): ClientUnaryCall;
    verifyContext(request: VerifyContextRequest, metadata: Metadata, callback: (error: ServiceError | null, response: VerifyContextResponse) => void): ClientUnaryCall;
    verifyContext(request: VerifyContextRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: VerifyContextResponse) => void): ClientUnaryCall;
}
export declare const ContextServiceClient: {
    new (address: string, credentials: ChannelCredentials, options?: Partial<ClientOptions>): ContextServiceClient;
    service: typeof ContextServiceService;
    serviceName: string;
};
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
