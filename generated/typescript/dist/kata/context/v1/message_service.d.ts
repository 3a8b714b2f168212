import { BinaryReader, BinaryWriter } from "../../../wire";
import { type CallOptions, type ChannelCredentials, Client, type ClientDuplexStream, type ClientOptions, type ClientReadableStream, type ClientUnaryCall, type ClientWritableStream, type handleBidiStreamingCall, type handleClientStreamingCall, type handleServerStreamingCall, type handleUnaryCall, type Metadata, type ServiceError, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { Any } from "../../../google/protobuf/any";
import { Timestamp } from "../../../google/protobuf/timestamp";
import { Context } from "./context";
import { Message, Role } from "./message";
import { Dialect, RenderAdjustment, View, WindowChunk, WindowHeader, WindowOptions, WindowTrailer } from "./window";
/** The service that writes messages and reads windows. */
/** ListOrder says which end a listing starts from. */
export declare enum ListOrder {
    /** LIST_ORDER_UNSPECIFIED - Means the method's default. */
    LIST_ORDER_UNSPECIFIED = 0,
    /** LIST_ORDER_ASCENDING - Starts from the oldest. */
    LIST_ORDER_ASCENDING = 1,
    /** LIST_ORDER_DESCENDING - Starts from the newest. */
    LIST_ORDER_DESCENDING = 2,
    UNRECOGNIZED = -1
}
/** RevisionKind says what a revision did. Grows with what can happen to a context. */
export declare enum RevisionKind {
    /** REVISION_KIND_UNSPECIFIED - Is never sent. */
    REVISION_KIND_UNSPECIFIED = 0,
    /** REVISION_KIND_APPEND - Appended messages. */
    REVISION_KIND_APPEND = 1,
    /** REVISION_KIND_UPDATE - Changed name, labels, metadata or the uniqueness of the name. */
    REVISION_KIND_UPDATE = 2,
    /** REVISION_KIND_DELETE - Soft-deleted the context. */
    REVISION_KIND_DELETE = 3,
    /** REVISION_KIND_UNDELETE - Brought the context back. */
    REVISION_KIND_UNDELETE = 4,
    /** REVISION_KIND_POLICY - Set the policy. */
    REVISION_KIND_POLICY = 5,
    /** REVISION_KIND_FORK - Made the context, as a fork. */
    REVISION_KIND_FORK = 6,
    /** REVISION_KIND_REMOVE - Removed messages from the view. */
    REVISION_KIND_REMOVE = 7,
    /** REVISION_KIND_RESTORE - Brought removed messages back. */
    REVISION_KIND_RESTORE = 8,
    /** REVISION_KIND_REDACT - Erased the content of messages. */
    REVISION_KIND_REDACT = 9,
    /** REVISION_KIND_TAG - Set a tag, or moved it. */
    REVISION_KIND_TAG = 10,
    /** REVISION_KIND_UNTAG - Deleted a tag. */
    REVISION_KIND_UNTAG = 11,
    /** REVISION_KIND_FLATTEN - Gave a fork a log of its own, with copies of what it had read in its ancestors'. */
    REVISION_KIND_FLATTEN = 12,
    /** REVISION_KIND_COMPACT - Hid old groups behind a summary, or put a compaction in force again that was reverted. */
    REVISION_KIND_COMPACT = 13,
    /** REVISION_KIND_REVERT - Put in force what was before a compaction. */
    REVISION_KIND_REVERT = 14,
    UNRECOGNIZED = -1
}
/** AppendMessagesRequest is one batch of messages. */
export interface AppendMessagesRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Are the messages, 1 to 1,000, in order; a message at most 8 MiB, the call at most 16 MiB. */
    messages: Message[];
    /** Makes the call repeatable; 1 to 128 characters, unique within the context. */
    requestId: string;
    /** Demands that the context is at this version: 0 for an empty one. Absent, there is no check. */
    expectedVersion?: bigint | undefined;
}
/** AppendMessagesResponse says where the batch stands in the log. */
export interface AppendMessagesResponse {
    /** Is the version of the batch's first message. */
    firstVersion: bigint;
    /** Is the version of its last message. */
    lastVersion: bigint;
    /** Is the batch's revision. */
    revision: bigint;
    /** Says that an earlier call with this request_id appended the batch. */
    replayed: boolean;
    /** Is the context, as it is now. */
    context: Context | undefined;
    /** Names the messages whose given token count is not the server's; the server's holds. */
    tokenCountDifferences: TokenCountDifference[];
}
/** TokenCountDifference is a token count that the caller gave and the server counted otherwise. */
export interface TokenCountDifference {
    /** Is the message's place in the request, from 0. */
    index: number;
    /** Is the caller's count. */
    given: number;
    /** Is the server's count, which is stored. */
    counted: number;
}
/** StreamAppendsRequest is one frame of appends. */
export interface StreamAppendsRequest {
    /** Are the appends, in order, at most 256. One a frame is fine; several cost less each. */
    appends: NumberedAppend[];
}
/** NumberedAppend is an append with the number that its answer will carry. */
export interface NumberedAppend {
    /** Is the caller's choice, and repeated in the answer; the server does not look at it. */
    sequence: bigint;
    /** Is the append. Required. */
    append: AppendMessagesRequest | undefined;
}
/** StreamAppendsResponse is one frame of answers. */
export interface StreamAppendsResponse {
    /** Are answers in the order in which they came about, at most 64: for one context, that in which the appends were sent. */
    outcomes: AppendOutcome[];
}
/** AppendOutcome is the answer to one append. */
export interface AppendOutcome {
    /** Is the number that the caller gave the append. */
    sequence: bigint;
    /** Says what came of it. */
    outcome: //
    /** Says where the batch stands in the log, without `context`. */
    {
        $case: "appended";
        value: AppendMessagesResponse;
    } | //
    /** Says why it was refused; other appends are not concerned. */
    {
        $case: "failure";
        value: AppendFailure;
    } | undefined;
}
/** AppendFailure is why one append was refused: field for field a google.rpc.Status, so that its bytes are one. */
export interface AppendFailure {
    /** Is the canonical status code. */
    code: number;
    /** Says it in words. */
    message: string;
    /** Are what a unary call has in its Status: google.rpc.ErrorInfo first, then for example google.rpc.BadRequest. */
    details: Any[];
}
/** ImportMessagesRequest is one frame of an import. */
export interface ImportMessagesRequest {
    /** Is what the frame holds. */
    frame: //
    /** Opens the stream; first frame only. */
    {
        $case: "header";
        value: ImportHeader;
    } | //
    /** Is one batch. */
    {
        $case: "batch";
        value: ImportBatch;
    } | undefined;
}
/** ImportHeader opens an import. */
export interface ImportHeader {
    /** Identifies the context. Required. */
    contextId: string;
    /** Makes the import repeatable; 1 to 100 characters. Batch n is appended with the request_id "<request_id>/<n>". */
    requestId: string;
    /** Demands that the context was at this version before the first batch. Absent, there is no check. */
    expectedVersion?: bigint | undefined;
    /**
     * Is the number of the stream's first batch: 0 at first, later the `next_batch` of an earlier import with this
     * request_id. The batches before it must be there.
     */
    firstBatch: bigint;
}
/** ImportBatch is one batch of an import. */
export interface ImportBatch {
    /** Are the messages, 1 to 1,000, in order. */
    messages: Message[];
}
/** ImportMessagesResponse says what an import appended. */
export interface ImportMessagesResponse {
    /** Counts the batches. */
    batchCount: bigint;
    /** Counts the batches that an earlier stream had appended. */
    replayedBatchCount: bigint;
    /** Is the version of the first message; 0 when there was none. */
    firstVersion: bigint;
    /** Is the version of the last message; 0 when there was none. */
    lastVersion: bigint;
    /** Is the context, as it is now. */
    context: Context | undefined;
    /**
     * Is the number of the batch to go on with. For a stream with a request_id and no batch it is the first one that the
     * context has not.
     */
    nextBatch: bigint;
}
/** GetMessageRequest names a message. */
export interface GetMessageRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Is the message's version. Required, from 1. */
    version: bigint;
    /** Is a version up to which there are messages. Default: the latest, or the latest of `at_revision`. */
    atVersion?: bigint | undefined;
    /** Is a revision up to which there are messages. Default: the latest. */
    atRevision?: bigint | undefined;
    /** Is a time: the newest revision that was made at or before it holds. Excludes the other `at_` fields. */
    atTime: Timestamp | undefined;
    /** Is the tag whose version and revision hold. Excludes the other `at_` fields. */
    atTag: string;
    /** Says which overlays apply. Default: VIEW_CURRENT, in which a removed message is not found. */
    view: View;
    /** Reads a soft-deleted context, too. Goes with VIEW_AS_THEN and VIEW_RAW alone. */
    showDeleted: boolean;
}
/** GetMessageResponse answers GetMessage. */
export interface GetMessageResponse {
    /** Is the message. */
    message: Message | undefined;
}
/** ListMessagesRequest pages a log. */
export interface ListMessagesRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /**
     * Is how many messages to return at most: 0 is the default of 100; above 1,000 it is 1,000; negative is refused.
     * A page also ends at 2 MiB of content or one message.
     */
    pageSize: number;
    /** Is the `next_page_token` of the page before, with the same parameters. */
    pageToken: string;
    /** Says which end to start from. Unset, it is the oldest. */
    order: ListOrder;
    /** Keeps messages of these roles. Empty, it is all. */
    roles: Role[];
    /** Is the newest version to list. Default: the latest, or the latest of `at_revision`. */
    atVersion?: bigint | undefined;
    /** Is the newest revision whose messages are listed. Default: the latest. */
    atRevision?: bigint | undefined;
    /** Is a time: the newest revision that was made at or before it holds. Excludes the other `at_` fields. */
    atTime: Timestamp | undefined;
    /** Is the tag whose version and revision hold. Excludes the other `at_` fields. */
    atTag: string;
    /** Says which overlays apply. Default: VIEW_CURRENT, without removed messages. Redacted ones are listed without content. */
    view: View;
    /** Reads a soft-deleted context, too. Goes with VIEW_AS_THEN and VIEW_RAW alone. */
    showDeleted: boolean;
}
/** ListMessagesResponse is one page of a log. */
export interface ListMessagesResponse {
    /** Are the messages. */
    messages: Message[];
    /** Asks for the next page; empty at the end, and only there. */
    nextPageToken: string;
}
/** ListHistoryRequest pages a context's revisions. */
export interface ListHistoryRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Is how many revisions to return at most: 0 is the default of 50; above 1,000 it is 1,000; negative is refused. */
    pageSize: number;
    /** Is the `next_page_token` of the page before, with the same parameters. */
    pageToken: string;
    /** Says which end to start from. Unset, it is the newest. */
    order: ListOrder;
    /**
     * Keeps revisions of these kinds. Empty, it is all. With `kinds` a page looks at 1,000 revisions at most: it may hold
     * few or none of them, and not be the last.
     */
    kinds: RevisionKind[];
    /** Is the version whose append is the newest revision to list, where `at_revision` does not say it. Default: the latest. */
    atVersion?: bigint | undefined;
    /** Is the newest revision to list. Default: the latest. */
    atRevision?: bigint | undefined;
    /** Is a time: the newest revision that was made at or before it holds. Excludes the other `at_` fields. */
    atTime: Timestamp | undefined;
    /** Is the tag whose version and revision hold. Excludes the other `at_` fields. */
    atTag: string;
}
/** ListHistoryResponse is one page of revisions. */
export interface ListHistoryResponse {
    /** Are the revisions. */
    revisions: Revision[];
    /** Asks for the next page; empty at the end, and only there. */
    nextPageToken: string;
}
/** Revision is one acknowledged change of a context. */
export interface Revision {
    /** Is its number: dense, from 1. */
    revision: bigint;
    /** Says what happened. */
    kind: RevisionKind;
    /** Is the first version that it appended; 0 for other kinds. */
    firstVersion: bigint;
    /** Is the context's latest version after it. */
    lastVersion: bigint;
    /** Is when it was made. */
    createTime: Timestamp | undefined;
    /** Is the role of its first message; unspecified for other kinds. */
    role: Role;
    /** Is the beginning of its first message's text, at most 100 characters. */
    preview: string;
    /** Is the request_id that made it, if there was one. */
    requestId: string;
    /** Identifies the context that it was made in: an ancestor for the revisions that a fork has inherited. */
    contextId: string;
    /** Says what it did, beyond its kind; unset where that says it all. May grow with the kinds. */
    detail: //
    /** Is the tag that a TAG set or an UNTAG deleted. */
    {
        $case: "tag";
        value: TagDetail;
    } | //
    /** Is where a FORK left its parent. */
    {
        $case: "fork";
        value: ForkDetail;
    } | //
    /** Is what an UPDATE set. */
    {
        $case: "update";
        value: UpdateDetail;
    } | //
    /** Is what a REMOVE removed or a RESTORE brought back. */
    {
        $case: "removal";
        value: RemovalDetail;
    } | //
    /** Is what a REDACT erased. */
    {
        $case: "redaction";
        value: RedactionDetail;
    } | //
    /** Is what a COMPACT or a REVERT put in force. */
    {
        $case: "compaction";
        value: CompactionDetail;
    } | undefined;
}
/** TagDetail is what a revision did to a tag. */
export interface TagDetail {
    /** Is the tag's name. */
    name: string;
    /** Is the version that it names since; unset where it was deleted. */
    version?: bigint | undefined;
    /** Is the revision that it names since; unset where it was deleted. */
    revision?: bigint | undefined;
    /** Is the version that it named before; unset where it is new. */
    previousVersion?: bigint | undefined;
    /** Is the revision that it named before; unset where it is new. */
    previousRevision?: bigint | undefined;
}
/** ForkDetail is where a fork left its parent. */
export interface ForkDetail {
    /** Identifies the parent. */
    parentId: string;
    /** Is the newest version that the fork has of it. */
    forkVersion: bigint;
    /** Is the newest revision that the fork knows of it. */
    forkRevision: bigint;
}
/** UpdateDetail is what an update set. */
export interface UpdateDetail {
    /** Names the fields of the context, in order; some may have had the same value before. */
    fields: string[];
}
/** CompactionDetail is which compaction is in force since. */
export interface CompactionDetail {
    /** Identifies the compaction; empty where none is. */
    compactionId: string;
}
/** RemovalDetail is what a removal removed, or a restoration brought back. */
export interface RemovalDetail {
    /** Are the versions, whole groups, in order. */
    ranges: VersionRange[];
}
/** RedactionDetail is the receipt of a redaction: what was erased, and where. It holds no content. */
export interface RedactionDetail {
    /** Are the versions that were asked for, in order. */
    ranges: VersionRange[];
    /** Are those of them that were redacted before. */
    redactedBefore: VersionRange[];
    /** Is why, in the caller's words. */
    reason: string;
    /**
     * Are the logs in which something was erased: those to which it was appended first, then those with copies; at most
     * 1,000.
     */
    logs: RedactedLog[];
    /** Counts all of them. */
    logCount: bigint;
    /** Counts the rows of each table that were erased or stripped of content. */
    rows: RedactedRows[];
    /** Says, for people, where content may be that the database cannot erase, and until when. */
    notice: string;
}
/** RedactedLog is a context in whose log messages were redacted. */
export interface RedactedLog {
    /** Identifies the context. */
    contextId: string;
    /** Counts the messages. */
    messageCount: bigint;
}
/** RedactedRows counts the rows of one table. */
export interface RedactedRows {
    /** Is the table's name. */
    table: string;
    /** Counts its rows. */
    rowCount: bigint;
}
/** GetWindowRequest asks for a window. Equal to StreamWindowRequest but for resuming. */
export interface GetWindowRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Is how many tokens the window may cost, framing included: 1 to 10,000,000. Required. */
    tokenBudget: bigint;
    /** Names the tokenizer that counts. Default: the context's. */
    tokenizer: string;
    /** Names the provider's API the window is for. Default: DIALECT_OPENAI_CHAT. */
    dialect: Dialect;
    /** Says which overlays apply. Default: VIEW_CURRENT. */
    view: View;
    /** Is the newest version that the window may hold. Default: the latest, or the latest of `at_revision`. */
    atVersion?: bigint | undefined;
    /** Is the newest revision that the window may know of. Default: the latest. */
    atRevision?: bigint | undefined;
    /** Is how many tokens of the budget to keep free, for example for the answer: 0 to less than `token_budget`. */
    reserveTokens: bigint;
    /**
     * Is the tool schemas that will be sent beside the window, as the JSON text that the provider takes: counted from above
     * and taken off the budget; at most 1 MiB.
     */
    toolsJson: string;
    /** Asks for `rendered_json`, too. */
    render: boolean;
    /** Shapes the window. */
    options: WindowOptions | undefined;
    /**
     * Is the time as of which the window is: the newest revision that was made at or before it holds, and the latest version
     * of that. Excludes the other `at_` fields. See docs/time-travel.md.
     */
    atTime: Timestamp | undefined;
    /** Is the tag whose version and revision hold. Excludes the other `at_` fields. */
    atTag: string;
    /** Reads a soft-deleted context, too. Goes with VIEW_AS_THEN and VIEW_RAW alone. */
    showDeleted: boolean;
}
/** GetWindowResponse is a whole window. */
export interface GetWindowResponse {
    /** Names everything that the window is a function of. */
    header: WindowHeader | undefined;
    /** Are the messages, in version order. */
    messages: Message[];
    /** Accounts for the window. */
    trailer: WindowTrailer | undefined;
    /**
     * Is the window as the dialect's API takes it, where `render` asked for it: the array of messages for OPENAI_CHAT,
     * {instructions, input} for OPENAI_RESPONSES, {system, messages} for ANTHROPIC, {system_instruction, contents} for
     * GEMINI. Results stand in call order right behind their call; equal windows give equal texts. See docs/dialects.md.
     */
    renderedJson: string;
    /** Says where `rendered_json` differs from the messages, in version order. */
    adjustments: RenderAdjustment[];
}
/** StreamWindowRequest asks for a window as a stream. */
export interface StreamWindowRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Is how many tokens the window may cost, framing included: 1 to 10,000,000. Required. */
    tokenBudget: bigint;
    /** Names the tokenizer that counts. Default: the context's. */
    tokenizer: string;
    /** Names the provider's API the window is for. Default: DIALECT_OPENAI_CHAT. */
    dialect: Dialect;
    /** Says which overlays apply. Default: VIEW_CURRENT. */
    view: View;
    /** Is the newest version that the window may hold. Default: the latest, or the latest of `at_revision`. */
    atVersion?: bigint | undefined;
    /** Is the newest revision that the window may know of. Default: the latest. */
    atRevision?: bigint | undefined;
    /** Is how many tokens of the budget to keep free, for example for the answer: 0 to less than `token_budget`. */
    reserveTokens: bigint;
    /**
     * Goes on after the chunk that carried it; everything else in the request must be as it was. The stream then holds
     * the header again and the chunks that were missing.
     */
    resumeToken: string;
    /**
     * Is the tool schemas that will be sent beside the window, as the JSON text that the provider takes: counted from above
     * and taken off the budget; at most 1 MiB.
     */
    toolsJson: string;
    /** Shapes the window. */
    options: WindowOptions | undefined;
    /**
     * Is the time as of which the window is: the newest revision that was made at or before it holds, and the latest version
     * of that. Excludes the other `at_` fields. See docs/time-travel.md.
     */
    atTime: Timestamp | undefined;
    /** Is the tag whose version and revision hold. Excludes the other `at_` fields. */
    atTag: string;
    /** Reads a soft-deleted context, too. Goes with VIEW_AS_THEN and VIEW_RAW alone. */
    showDeleted: boolean;
}
/** StreamWindowResponse is one frame of a window. */
export interface StreamWindowResponse {
    /** Is what the frame holds. */
    frame: //
    /** Opens the stream; exactly once, first. */
    {
        $case: "header";
        value: WindowHeader;
    } | //
    /** Is a run of messages. */
    {
        $case: "chunk";
        value: WindowChunk;
    } | //
    /** Closes the stream; exactly once, last. */
    {
        $case: "trailer";
        value: WindowTrailer;
    } | undefined;
}
/** WatchContextRequest says what to watch, and from where. */
export interface WatchContextRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Is where the watch starts. Unset, it starts after the latest revision: only what happens from now on is sent. */
    start: //
    /**
     * Starts after this version: sends the messages beyond it, and the revisions after the one that appended it.
     * 0 is the beginning.
     */
    {
        $case: "fromVersion";
        value: bigint;
    } | //
    /** Starts after this revision. 0 is the beginning. */
    {
        $case: "fromRevision";
        value: bigint;
    } | //
    /** Goes on after the frame that carried it. `kinds` and `include_messages` must be as they were. */
    {
        $case: "cursor";
        value: string;
    } | undefined;
    /** Keeps revisions of these kinds. Empty, it is all, those of later versions of the service included. */
    kinds: RevisionKind[];
    /** Asks for the appended messages, too. */
    includeMessages: boolean;
}
/** WatchContextResponse is one frame of a watch. */
export interface WatchContextResponse {
    /** Goes on after this frame. */
    cursor: string;
    /** Is what the frame holds. */
    frame: //
    /** Is something that happened. */
    {
        $case: "event";
        value: WatchEvent;
    } | //
    /** Says that everything so far was sent. */
    {
        $case: "caughtUp";
        value: WatchCaughtUp;
    } | //
    /** Says that the reader is late. */
    {
        $case: "fellBehind";
        value: WatchFellBehind;
    } | //
    /** Says that the watch goes on, and holds a newer cursor. */
    {
        $case: "checkpoint";
        value: WatchCheckpoint;
    } | undefined;
}
/** WatchEvent is one revision, or a part of one: appended messages come in frames of at most 1 MiB or one message. */
export interface WatchEvent {
    /** Is the revision, as ListHistory returns it. */
    revision: Revision | undefined;
    /** Are the messages that it appended, where they were asked for: a run of them, in version order. */
    messages: Message[];
    /** Says that this frame is the revision's last. Its next frame has the same `revision`, and the messages that follow. */
    last: boolean;
}
/** WatchCaughtUp says that everything so far was sent. */
export interface WatchCaughtUp {
    /** Is the revision up to which everything was sent, apart from what `kinds` left out. */
    revision: bigint;
    /** Is the context's latest version at it. */
    version: bigint;
}
/** WatchFellBehind says that a reader that had caught up is late. Nothing is left out: what it missed follows. */
export interface WatchFellBehind {
    /** Is the revision up to which everything was sent, apart from what `kinds` left out. */
    revision: bigint;
}
/** WatchCheckpoint keeps an idle stream alive. */
export interface WatchCheckpoint {
    /** Is the revision up to which everything was sent, apart from what `kinds` left out. */
    revision: bigint;
}
/** VersionRange is a run of versions. */
export interface VersionRange {
    /** Is the first version, from 1. */
    firstVersion: bigint;
    /** Is the last version. */
    lastVersion: bigint;
}
/** RemoveMessagesRequest names messages to remove. */
export interface RemoveMessagesRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Are the messages, inherited ones among them: 1 to 1,000 ranges. A group of which they name a message is removed whole. */
    ranges: VersionRange[];
    /** Makes the call repeatable; 1 to 128 characters, unique within the context. */
    requestId: string;
}
/** RemoveMessagesResponse answers RemoveMessages. */
export interface RemoveMessagesResponse {
    /** Is the revision that the removal took. */
    revision: bigint;
    /** Says that an earlier call with this request_id removed them. */
    replayed: boolean;
    /** Are the versions that were removed: whole groups, in order. Some may have been removed before. */
    ranges: VersionRange[];
    /** Is the context, as it is now. */
    context: Context | undefined;
}
/** RestoreMessagesRequest names messages to bring back. */
export interface RestoreMessagesRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Are the messages: 1 to 1,000 ranges. A group of which they name a message is restored whole. */
    ranges: VersionRange[];
    /** Makes the call repeatable; 1 to 128 characters, unique within the context. */
    requestId: string;
}
/** RestoreMessagesResponse answers RestoreMessages. */
export interface RestoreMessagesResponse {
    /** Is the revision that the change took. */
    revision: bigint;
    /** Says that an earlier call with this request_id restored them. */
    replayed: boolean;
    /** Are the versions that were restored: whole groups, in order. Some may never have been removed. */
    ranges: VersionRange[];
    /** Is the context, as it is now. */
    context: Context | undefined;
}
/** RedactMessagesRequest names messages whose content is to be erased. */
export interface RedactMessagesRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Are messages by version, inherited ones among them. With `ranges` at least 1 and at most 10,000 in all. */
    versions: bigint[];
    /** Are messages by ranges: at most 1,000. Only these messages are erased, not all of their groups. */
    ranges: VersionRange[];
    /** Is why, for the receipt; at most 256 characters. */
    reason: string;
    /** Makes the call repeatable; 1 to 128 characters, unique within the context. */
    requestId: string;
}
/** RedactMessagesResponse answers RedactMessages. */
export interface RedactMessagesResponse {
    /** Is the revision that the redaction took. */
    revision: bigint;
    /** Says that an earlier call with this request_id redacted them. */
    replayed: boolean;
    /** Is the receipt, which ListHistory has, too. */
    receipt: RedactionDetail | undefined;
    /** Is the context, as it is now. */
    context: Context | undefined;
}
export declare const AppendMessagesRequest: MessageFns<AppendMessagesRequest>;
export declare const AppendMessagesResponse: MessageFns<AppendMessagesResponse>;
export declare const TokenCountDifference: MessageFns<TokenCountDifference>;
export declare const StreamAppendsRequest: MessageFns<StreamAppendsRequest>;
export declare const NumberedAppend: MessageFns<NumberedAppend>;
export declare const StreamAppendsResponse: MessageFns<StreamAppendsResponse>;
export declare const AppendOutcome: MessageFns<AppendOutcome>;
export declare const AppendFailure: MessageFns<AppendFailure>;
export declare const ImportMessagesRequest: MessageFns<ImportMessagesRequest>;
export declare const ImportHeader: MessageFns<ImportHeader>;
export declare const ImportBatch: MessageFns<ImportBatch>;
export declare const ImportMessagesResponse: MessageFns<ImportMessagesResponse>;
export declare const GetMessageRequest: MessageFns<GetMessageRequest>;
export declare const GetMessageResponse: MessageFns<GetMessageResponse>;
export declare const ListMessagesRequest: MessageFns<ListMessagesRequest>;
export declare const ListMessagesResponse: MessageFns<ListMessagesResponse>;
export declare const ListHistoryRequest: MessageFns<ListHistoryRequest>;
export declare const ListHistoryResponse: MessageFns<ListHistoryResponse>;
export declare const Revision: MessageFns<Revision>;
export declare const TagDetail: MessageFns<TagDetail>;
export declare const ForkDetail: MessageFns<ForkDetail>;
export declare const UpdateDetail: MessageFns<UpdateDetail>;
export declare const CompactionDetail: MessageFns<CompactionDetail>;
export declare const RemovalDetail: MessageFns<RemovalDetail>;
export declare const RedactionDetail: MessageFns<RedactionDetail>;
export declare const RedactedLog: MessageFns<RedactedLog>;
export declare const RedactedRows: MessageFns<RedactedRows>;
export declare const GetWindowRequest: MessageFns<GetWindowRequest>;
export declare const GetWindowResponse: MessageFns<GetWindowResponse>;
export declare const StreamWindowRequest: MessageFns<StreamWindowRequest>;
export declare const StreamWindowResponse: MessageFns<StreamWindowResponse>;
export declare const WatchContextRequest: MessageFns<WatchContextRequest>;
export declare const WatchContextResponse: MessageFns<WatchContextResponse>;
export declare const WatchEvent: MessageFns<WatchEvent>;
export declare const WatchCaughtUp: MessageFns<WatchCaughtUp>;
export declare const WatchFellBehind: MessageFns<WatchFellBehind>;
export declare const WatchCheckpoint: MessageFns<WatchCheckpoint>;
export declare const VersionRange: MessageFns<VersionRange>;
export declare const RemoveMessagesRequest: MessageFns<RemoveMessagesRequest>;
export declare const RemoveMessagesResponse: MessageFns<RemoveMessagesResponse>;
export declare const RestoreMessagesRequest: MessageFns<RestoreMessagesRequest>;
export declare const RestoreMessagesResponse: MessageFns<RestoreMessagesResponse>;
export declare const RedactMessagesRequest: MessageFns<RedactMessagesRequest>;
export declare const RedactMessagesResponse: MessageFns<RedactMessagesResponse>;
/** MessageService appends messages and answers what to send to a model. */
export type MessageServiceService = typeof MessageServiceService;
export declare const MessageServiceService: {
    /**
     * Appends 1 to 1,000 messages as one revision: all or none, durable when answered, versions dense and in order.
     * Repeatable with `request_id`, which is checked before `expected_version`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_CONFLICT, REQUEST_ID_REUSED, TOO_MANY_OPEN_CALLS,
     * WRITE_CONTENTION.
     */
    readonly appendMessages: {
        readonly path: "/kata.context.v1.MessageService/AppendMessages";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: AppendMessagesRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => AppendMessagesRequest;
        readonly responseSerialize: (value: AppendMessagesResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => AppendMessagesResponse;
    };
    /**
     * Appends for callers who write much: any number of batches to any contexts, each checked, written and answered as
     * AppendMessages does it, each with an outcome of its own. Appends to one context take effect in the order sent; those
     * to different contexts run at the same time and share commits. At most 256 appends or 16 MiB are in flight on a
     * stream: the server reads on as answers leave. Half-closing finishes what is in flight, and the stream ends with OK.
     * However else it ends, repeat on a new stream what was not answered, with the same `request_id`s. gRPC does not
     * repeat a stream by itself; one lasts at most 24 hours.
     * Errors of an append: as AppendMessages. Errors of the stream: MALFORMED_REQUEST and INVALID_FIELD for a frame,
     * SHUTTING_DOWN and DEADLINE; the first three after the answers to what is in flight.
     */
    readonly streamAppends: {
        readonly path: "/kata.context.v1.MessageService/StreamAppends";
        readonly requestStream: true;
        readonly responseStream: true;
        readonly requestSerialize: (value: StreamAppendsRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => StreamAppendsRequest;
        readonly responseSerialize: (value: StreamAppendsResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => StreamAppendsResponse;
    };
    /**
     * Appends a long conversation. The first frame holds `header`, every later one `batch`; each batch is one append,
     * committed while the next one is read, so a stream that breaks keeps the batches before the break. To go on, ask for
     * `next_batch` with a header alone, and open the stream again with that as `first_batch`; or repeat the whole stream
     * with the same `request_id` and batches, which checks what is there, too.
     * Errors: as AppendMessages, VERSION_OUT_OF_RANGE, SHUTTING_DOWN between two batches.
     */
    readonly importMessages: {
        readonly path: "/kata.context.v1.MessageService/ImportMessages";
        readonly requestStream: true;
        readonly responseStream: false;
        readonly requestSerialize: (value: ImportMessagesRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => ImportMessagesRequest;
        readonly responseSerialize: (value: ImportMessagesResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => ImportMessagesResponse;
    };
    /**
     * Returns one message, if it was there at the snapshot that is named.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, MESSAGE_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND.
     */
    readonly getMessage: {
        readonly path: "/kata.context.v1.MessageService/GetMessage";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: GetMessageRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => GetMessageRequest;
        readonly responseSerialize: (value: GetMessageResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => GetMessageResponse;
    };
    /**
     * Lists messages by version, up to the latest version at the walk's first page, or at the snapshot that is named. What
     * the first page found holds for the whole walk, whatever happens to the context or the tag meanwhile.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND, PAGE_TOKEN_INVALID,
     * PAGE_TOKEN_MISMATCH.
     */
    readonly listMessages: {
        readonly path: "/kata.context.v1.MessageService/ListMessages";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: ListMessagesRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => ListMessagesRequest;
        readonly responseSerialize: (value: ListMessagesResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => ListMessagesResponse;
    };
    /**
     * Lists revisions, newest first: everything that happened to the context, and to its ancestors before the fork, up to
     * the latest revision at the walk's first page, or to the snapshot that is named.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND, PAGE_TOKEN_INVALID,
     * PAGE_TOKEN_MISMATCH.
     */
    readonly listHistory: {
        readonly path: "/kata.context.v1.MessageService/ListHistory";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: ListHistoryRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => ListHistoryRequest;
        readonly responseSerialize: (value: ListHistoryResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => ListHistoryResponse;
    };
    /**
     * Returns the longest run of newest groups that fits the budget beside the messages that are always in: the system's,
     * pinned ones, and that with which the user opened the turn, in one answer of at most 64 MiB; clients must raise their
     * receive limit (often 4 MiB) for large windows, or use StreamWindow.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, BUDGET_TOO_SMALL, NO_LEGAL_WINDOW, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND,
     * RESPONSE_TOO_LARGE; WINDOW_GONE where messages are erased again and again while it is read.
     */
    readonly getWindow: {
        readonly path: "/kata.context.v1.MessageService/GetWindow";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: GetWindowRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => GetWindowRequest;
        readonly responseSerialize: (value: GetWindowResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => GetWindowResponse;
    };
    /**
     * Streams the same window: `header` once, then `chunk` frames of at most 1 MiB or one message, last `trailer`.
     * A stream without a trailer is incomplete; go on with the last chunk's `resume_token` and the same request: it is the
     * same window, also where `at_time` or `at_tag` means another snapshot by then. Where a message of it was erased meanwhile
     * there is no such window any more: WINDOW_GONE.
     * Errors: as GetWindow, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH, WINDOW_GONE, and SHUTTING_DOWN between two frames.
     */
    readonly streamWindow: {
        readonly path: "/kata.context.v1.MessageService/StreamWindow";
        readonly requestStream: false;
        readonly responseStream: true;
        readonly requestSerialize: (value: StreamWindowRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => StreamWindowRequest;
        readonly responseSerialize: (value: StreamWindowResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => StreamWindowResponse;
    };
    /**
     * Streams what happens to one context, every revision once and in order: first what there is beyond the start, then
     * each change as it is made, by whichever server. `event` frames hold the revisions; `caught_up` comes when everything
     * so far was sent, `fell_behind` when a reader is 256 revisions late or more, then `caught_up` again when it no longer
     * is; `checkpoint` before nothing was sent for 30 seconds (the server may be set otherwise). Each frame has the cursor
     * to go on after it, on any server. What happens to forks of the context is not shown. A watch has no end of its own:
     * - The deletion of the context is the last event, and CONTEXT_NOT_FOUND follows. The cursor is good again once the
     *   context is undeleted, and the undeletion is then the next event.
     * - After 24 hours it ends with DEADLINE, when the server stops with SHUTTING_DOWN: go on with the last cursor.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH,
     * TOO_MANY_WATCHERS; between two frames also SHUTTING_DOWN, STORAGE_UNAVAILABLE, DEADLINE.
     */
    readonly watchContext: {
        readonly path: "/kata.context.v1.MessageService/WatchContext";
        readonly requestStream: false;
        readonly responseStream: true;
        readonly requestSerialize: (value: WatchContextRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => WatchContextRequest;
        readonly responseSerialize: (value: WatchContextResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => WatchContextResponse;
    };
    /**
     * Removes messages from the current view, whole groups at a time: nothing is destroyed or renumbered, RAW shows them, and
     * so does AS_THEN before the removal. Forks made before do not change; what answers a removed call later is removed, too.
     * One revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, REQUEST_ID_REUSED.
     */
    readonly removeMessages: {
        readonly path: "/kata.context.v1.MessageService/RemoveMessages";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: RemoveMessagesRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => RemoveMessagesRequest;
        readonly responseSerialize: (value: RemoveMessagesResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => RemoveMessagesResponse;
    };
    /**
     * Brings removed messages back into the current view, whole groups at a time. One revision. Repeatable with `request_id`.
     * Errors: as RemoveMessages.
     */
    readonly restoreMessages: {
        readonly path: "/kata.context.v1.MessageService/RestoreMessages";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: RestoreMessagesRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => RestoreMessagesRequest;
        readonly responseSerialize: (value: RestoreMessagesResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => RestoreMessagesResponse;
    };
    /**
     * Erases the content of messages for good, wherever they lie: of inherited ones in the ancestor's log, so that they are
     * gone for it and all its forks at once, and in every copy that flattening has made; with it embeddings, and the
     * summaries that compactions made of it, which hold no more. Version, role, token count, times and digest stay. A group
     * of which a message was redacted is in no window any more, in no view; lists show what is left. Repeating it for what is
     * redacted already is fine, and said. What backups may still hold is in the receipt; see docs/deletion.md.
     * One revision of this context. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, REQUEST_ID_REUSED, WRITE_CONTENTION.
     */
    readonly redactMessages: {
        readonly path: "/kata.context.v1.MessageService/RedactMessages";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: RedactMessagesRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => RedactMessagesRequest;
        readonly responseSerialize: (value: RedactMessagesResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => RedactMessagesResponse;
    };
};
export interface MessageServiceServer extends UntypedServiceImplementation {
    /**
     * Appends 1 to 1,000 messages as one revision: all or none, durable when answered, versions dense and in order.
     * Repeatable with `request_id`, which is checked before `expected_version`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_CONFLICT, REQUEST_ID_REUSED, TOO_MANY_OPEN_CALLS,
     * WRITE_CONTENTION.
     */
    appendMessages: handleUnaryCall<AppendMessagesRequest, AppendMessagesResponse>;
    /**
     * Appends for callers who write much: any number of batches to any contexts, each checked, written and answered as
     * AppendMessages does it, each with an outcome of its own. Appends to one context take effect in the order sent; those
     * to different contexts run at the same time and share commits. At most 256 appends or 16 MiB are in flight on a
     * stream: the server reads on as answers leave. Half-closing finishes what is in flight, and the stream ends with OK.
     * However else it ends, repeat on a new stream what was not answered, with the same `request_id`s. gRPC does not
     * repeat a stream by itself; one lasts at most 24 hours.
     * Errors of an append: as AppendMessages. Errors of the stream: MALFORMED_REQUEST and INVALID_FIELD for a frame,
     * SHUTTING_DOWN and DEADLINE; the first three after the answers to what is in flight.
     */
    streamAppends: handleBidiStreamingCall<StreamAppendsRequest, StreamAppendsResponse>;
    /**
     * Appends a long conversation. The first frame holds `header`, every later one `batch`; each batch is one append,
     * committed while the next one is read, so a stream that breaks keeps the batches before the break. To go on, ask for
     * `next_batch` with a header alone, and open the stream again with that as `first_batch`; or repeat the whole stream
     * with the same `request_id` and batches, which checks what is there, too.
     * Errors: as AppendMessages, VERSION_OUT_OF_RANGE, SHUTTING_DOWN between two batches.
     */
    importMessages: handleClientStreamingCall<ImportMessagesRequest, ImportMessagesResponse>;
    /**
     * Returns one message, if it was there at the snapshot that is named.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, MESSAGE_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND.
     */
    getMessage: handleUnaryCall<GetMessageRequest, GetMessageResponse>;
    /**
     * Lists messages by version, up to the latest version at the walk's first page, or at the snapshot that is named. What
     * the first page found holds for the whole walk, whatever happens to the context or the tag meanwhile.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND, PAGE_TOKEN_INVALID,
     * PAGE_TOKEN_MISMATCH.
     */
    listMessages: handleUnaryCall<ListMessagesRequest, ListMessagesResponse>;
    /**
     * Lists revisions, newest first: everything that happened to the context, and to its ancestors before the fork, up to
     * the latest revision at the walk's first page, or to the snapshot that is named.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND, PAGE_TOKEN_INVALID,
     * PAGE_TOKEN_MISMATCH.
     */
    listHistory: handleUnaryCall<ListHistoryRequest, ListHistoryResponse>;
    /**
     * Returns the longest run of newest groups that fits the budget beside the messages that are always in: the system's,
     * pinned ones, and that with which the user opened the turn, in one answer of at most 64 MiB; clients must raise their
     * receive limit (often 4 MiB) for large windows, or use StreamWindow.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, BUDGET_TOO_SMALL, NO_LEGAL_WINDOW, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND,
     * RESPONSE_TOO_LARGE; WINDOW_GONE where messages are erased again and again while it is read.
     */
    getWindow: handleUnaryCall<GetWindowRequest, GetWindowResponse>;
    /**
     * Streams the same window: `header` once, then `chunk` frames of at most 1 MiB or one message, last `trailer`.
     * A stream without a trailer is incomplete; go on with the last chunk's `resume_token` and the same request: it is the
     * same window, also where `at_time` or `at_tag` means another snapshot by then. Where a message of it was erased meanwhile
     * there is no such window any more: WINDOW_GONE.
     * Errors: as GetWindow, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH, WINDOW_GONE, and SHUTTING_DOWN between two frames.
     */
    streamWindow: handleServerStreamingCall<StreamWindowRequest, StreamWindowResponse>;
    /**
     * Streams what happens to one context, every revision once and in order: first what there is beyond the start, then
     * each change as it is made, by whichever server. `event` frames hold the revisions; `caught_up` comes when everything
     * so far was sent, `fell_behind` when a reader is 256 revisions late or more, then `caught_up` again when it no longer
     * is; `checkpoint` before nothing was sent for 30 seconds (the server may be set otherwise). Each frame has the cursor
     * to go on after it, on any server. What happens to forks of the context is not shown. A watch has no end of its own:
     * - The deletion of the context is the last event, and CONTEXT_NOT_FOUND follows. The cursor is good again once the
     *   context is undeleted, and the undeletion is then the next event.
     * - After 24 hours it ends with DEADLINE, when the server stops with SHUTTING_DOWN: go on with the last cursor.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH,
     * TOO_MANY_WATCHERS; between two frames also SHUTTING_DOWN, STORAGE_UNAVAILABLE, DEADLINE.
     */
    watchContext: handleServerStreamingCall<WatchContextRequest, WatchContextResponse>;
    /**
     * Removes messages from the current view, whole groups at a time: nothing is destroyed or renumbered, RAW shows them, and
     * so does AS_THEN before the removal. Forks made before do not change; what answers a removed call later is removed, too.
     * One revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, REQUEST_ID_REUSED.
     */
    removeMessages: handleUnaryCall<RemoveMessagesRequest, RemoveMessagesResponse>;
    /**
     * Brings removed messages back into the current view, whole groups at a time. One revision. Repeatable with `request_id`.
     * Errors: as RemoveMessages.
     */
    restoreMessages: handleUnaryCall<RestoreMessagesRequest, RestoreMessagesResponse>;
    /**
     * Erases the content of messages for good, wherever they lie: of inherited ones in the ancestor's log, so that they are
     * gone for it and all its forks at once, and in every copy that flattening has made; with it embeddings, and the
     * summaries that compactions made of it, which hold no more. Version, role, token count, times and digest stay. A group
     * of which a message was redacted is in no window any more, in no view; lists show what is left. Repeating it for what is
     * redacted already is fine, and said. What backups may still hold is in the receipt; see docs/deletion.md.
     * One revision of this context. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, REQUEST_ID_REUSED, WRITE_CONTENTION.
     */
    redactMessages: handleUnaryCall<RedactMessagesRequest, RedactMessagesResponse>;
}
export interface MessageServiceClient extends Client {
    /**
     * Appends 1 to 1,000 messages as one revision: all or none, durable when answered, versions dense and in order.
     * Repeatable with `request_id`, which is checked before `expected_version`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_CONFLICT, REQUEST_ID_REUSED, TOO_MANY_OPEN_CALLS,
     * WRITE_CONTENTION.
     */
    appendMessages(request: AppendMessagesRequest, callback: (error: ServiceError | null, response: AppendMessagesResponse) => void): ClientUnaryCall;
    appendMessages(request: AppendMessagesRequest, metadata: Metadata, callback: (error: ServiceError | null, response: AppendMessagesResponse) => void): ClientUnaryCall;
    appendMessages(request: AppendMessagesRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: AppendMessagesResponse) => void): ClientUnaryCall;
    /**
     * Appends for callers who write much: any number of batches to any contexts, each checked, written and answered as
     * AppendMessages does it, each with an outcome of its own. Appends to one context take effect in the order sent; those
     * to different contexts run at the same time and share commits. At most 256 appends or 16 MiB are in flight on a
     * stream: the server reads on as answers leave. Half-closing finishes what is in flight, and the stream ends with OK.
     * However else it ends, repeat on a new stream what was not answered, with the same `request_id`s. gRPC does not
     * repeat a stream by itself; one lasts at most 24 hours.
     * Errors of an append: as AppendMessages. Errors of the stream: MALFORMED_REQUEST and INVALID_FIELD for a frame,
     * SHUTTING_DOWN and DEADLINE; the first three after the answers to what is in flight.
     */
    streamAppends(): ClientDuplexStream<StreamAppendsRequest, StreamAppendsResponse>;
    streamAppends(options: Partial<CallOptions>): ClientDuplexStream<StreamAppendsRequest, StreamAppendsResponse>;
    streamAppends(metadata: Metadata, options?: Partial<CallOptions>): ClientDuplexStream<StreamAppendsRequest, StreamAppendsResponse>;
    /**
     * Appends a long conversation. The first frame holds `header`, every later one `batch`; each batch is one append,
     * committed while the next one is read, so a stream that breaks keeps the batches before the break. To go on, ask for
     * `next_batch` with a header alone, and open the stream again with that as `first_batch`; or repeat the whole stream
     * with the same `request_id` and batches, which checks what is there, too.
     * Errors: as AppendMessages, VERSION_OUT_OF_RANGE, SHUTTING_DOWN between two batches.
     */
    importMessages(callback: (error: ServiceError | null, response: ImportMessagesResponse) => void): ClientWritableStream<ImportMessagesRequest>;
    importMessages(metadata: Metadata, callback: (error: ServiceError | null, response: ImportMessagesResponse) => void): ClientWritableStream<ImportMessagesRequest>;
    importMessages(options: Partial<CallOptions>, callback: (error: ServiceError | null, response: ImportMessagesResponse) => void): ClientWritableStream<ImportMessagesRequest>;
    importMessages(metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: ImportMessagesResponse) => void): ClientWritableStream<ImportMessagesRequest>;
    /**
     * Returns one message, if it was there at the snapshot that is named.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, MESSAGE_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND.
     */
    getMessage(request: GetMessageRequest, callback: (error: ServiceError | null, response: GetMessageResponse) => void): ClientUnaryCall;
    getMessage(request: GetMessageRequest, metadata: Metadata, callback: (error: ServiceError | null, response: GetMessageResponse) => void): ClientUnaryCall;
    getMessage(request: GetMessageRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: GetMessageResponse) => void): ClientUnaryCall;
    /**
     * Lists messages by version, up to the latest version at the walk's first page, or at the snapshot that is named. What
     * the first page found holds for the whole walk, whatever happens to the context or the tag meanwhile.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND, PAGE_TOKEN_INVALID,
     * PAGE_TOKEN_MISMATCH.
     */
    listMessages(request: ListMessagesRequest, callback: (error: ServiceError | null, response: ListMessagesResponse) => void): ClientUnaryCall;
    listMessages(request: ListMessagesRequest, metadata: Metadata, callback: (error: ServiceError | null, response: ListMessagesResponse) => void): ClientUnaryCall;
    listMessages(request: ListMessagesRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: ListMessagesResponse) => void): ClientUnaryCall;
    /**
     * Lists revisions, newest first: everything that happened to the context, and to its ancestors before the fork, up to
     * the latest revision at the walk's first page, or to the snapshot that is named.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND, PAGE_TOKEN_INVALID,
     * PAGE_TOKEN_MISMATCH.
     */
    listHistory(request: ListHistoryRequest, callback: (error: ServiceError | null, response: ListHistoryResponse) => void): ClientUnaryCall;
    listHistory(request: ListHistoryRequest, metadata: Metadata, callback: (error: ServiceError | null, response: ListHistoryResponse) => void): ClientUnaryCall;
    listHistory(request: ListHistoryRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: ListHistoryResponse) => void): ClientUnaryCall;
    /**
     * Returns the longest run of newest groups that fits the budget beside the messages that are always in: the system's,
     * pinned ones, and that with which the user opened the turn, in one answer of at most 64 MiB; clients must raise their
     * receive limit (often 4 MiB) for large windows, or use StreamWindow.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, BUDGET_TOO_SMALL, NO_LEGAL_WINDOW, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND,
     * RESPONSE_TOO_LARGE; WINDOW_GONE where messages are erased again and again while it is read.
     */
    getWindow(request: GetWindowRequest, callback: (error: ServiceError | null, response: GetWindowResponse) => void): ClientUnaryCall;
    getWindow(request: GetWindowRequest, metadata: Metadata, callback: (error: ServiceError | null, response: GetWindowResponse) => void): ClientUnaryCall;
    getWindow(request: GetWindowRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: GetWindowResponse) => void): ClientUnaryCall;
    /**
     * Streams the same window: `header` once, then `chunk` frames of at most 1 MiB or one message, last `trailer`.
     * A stream without a trailer is incomplete; go on with the last chunk's `resume_token` and the same request: it is the
     * same window, also where `at_time` or `at_tag` means another snapshot by then. Where a message of it was erased meanwhile
     * there is no such window any more: WINDOW_GONE.
     * Errors: as GetWindow, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH, WINDOW_GONE, and SHUTTING_DOWN between two frames.
     */
    streamWindow(request: StreamWindowRequest, options?: Partial<CallOptions>): ClientReadableStream<StreamWindowResponse>;
    streamWindow(request: StreamWindowRequest, metadata?: Metadata, options?: Partial<CallOptions>): ClientReadableStream<StreamWindowResponse>;
    /**
     * Streams what happens to one context, every revision once and in order: first what there is beyond the start, then
     * each change as it is made, by whichever server. `event` frames hold the revisions; `caught_up` comes when everything
     * so far was sent, `fell_behind` when a reader is 256 revisions late or more, then `caught_up` again when it no longer
     * is; `checkpoint` before nothing was sent for 30 seconds (the server may be set otherwise). Each frame has the cursor
     * to go on after it, on any server. What happens to forks of the context is not shown. A watch has no end of its own:
     * - The deletion of the context is the last event, and CONTEXT_NOT_FOUND follows. The cursor is good again once the
     *   context is undeleted, and the undeletion is then the next event.
     * - After 24 hours it ends with DEADLINE, when the server stops with SHUTTING_DOWN: go on with the last cursor.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, PAGE_TOKEN_INVALID, PAGE_TOKEN_MISMATCH,
     * TOO_MANY_WATCHERS; between two frames also SHUTTING_DOWN, STORAGE_UNAVAILABLE, DEADLINE.
     */
    watchContext(request: WatchContextRequest, options?: Partial<CallOptions>): ClientReadableStream<WatchContextResponse>;
    watchContext(request: WatchContextRequest, metadata?: Metadata, options?: Partial<CallOptions>): ClientReadableStream<WatchContextResponse>;
    /**
     * Removes messages from the current view, whole groups at a time: nothing is destroyed or renumbered, RAW shows them, and
     * so does AS_THEN before the removal. Forks made before do not change; what answers a removed call later is removed, too.
     * One revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, REQUEST_ID_REUSED.
     */
    removeMessages(request: RemoveMessagesRequest, callback: (error: ServiceError | null, response: RemoveMessagesResponse) => void): ClientUnaryCall;
    removeMessages(request: RemoveMessagesRequest, metadata: Metadata, callback: (error: ServiceError | null, response: RemoveMessagesResponse) => void): ClientUnaryCall;
    removeMessages(request: RemoveMessagesRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: RemoveMessagesResponse) => void): ClientUnaryCall;
    /**
     * Brings removed messages back into the current view, whole groups at a time. One revision. Repeatable with `request_id`.
     * Errors: as RemoveMessages.
     */
    restoreMessages(request: RestoreMessagesRequest, callback: (error: ServiceError | null, response: RestoreMessagesResponse) => void): ClientUnaryCall;
    restoreMessages(request: RestoreMessagesRequest, metadata: Metadata, callback: (error: ServiceError | null, response: RestoreMessagesResponse) => void): ClientUnaryCall;
    restoreMessages(request: RestoreMessagesRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: RestoreMessagesResponse) => void): ClientUnaryCall;
    /**
     * Erases the content of messages for good, wherever they lie: of inherited ones in the ancestor's log, so that they are
     * gone for it and all its forks at once, and in every copy that flattening has made; with it embeddings, and the
     * summaries that compactions made of it, which hold no more. Version, role, token count, times and digest stay. A group
     * of which a message was redacted is in no window any more, in no view; lists show what is left. Repeating it for what is
     * redacted already is fine, and said. What backups may still hold is in the receipt; see docs/deletion.md.
     * One revision of this context. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, REQUEST_ID_REUSED, WRITE_CONTENTION.
     */
    redactMessages(request: RedactMessagesRequest, callback: (error: ServiceError | null, response: RedactMessagesResponse) => void): ClientUnaryCall;
    redactMessages(request: RedactMessagesRequest, metadata: Metadata, callback: (error: ServiceError | null, response: RedactMessagesResponse) => void): ClientUnaryCall;
    redactMessages(request: RedactMessagesRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: RedactMessagesResponse) => void): ClientUnaryCall;
}
export declare const MessageServiceClient: {
    new (address: string, credentials: ChannelCredentials, options?: Partial<ClientOptions>): MessageServiceClient;
    service: typeof MessageServiceService;
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
