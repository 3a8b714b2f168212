import { BinaryReader, BinaryWriter } from "../../../wire";
import { type CallOptions, type ChannelCredentials, Client, type ClientOptions, type ClientUnaryCall, type handleUnaryCall, type Metadata, type ServiceError, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { Duration } from "../../../google/protobuf/duration";
import { Timestamp } from "../../../google/protobuf/timestamp";
import { Artifact, ArtifactKind } from "./artifact";
import { Compaction, CompactionState, CompactionStep, HeldGroup, NothingToCompact } from "./compaction";
import { VersionRange } from "./message_service";
import { CompactionPolicy, Policy } from "./policy";
import { View } from "./window";
/** The service that keeps the policies of contexts, and compacts them. */
/** PolicyScope says whose policy. */
export declare enum PolicyScope {
    /** POLICY_SCOPE_UNSPECIFIED - Means POLICY_SCOPE_CONTEXT on input; never sent. */
    POLICY_SCOPE_UNSPECIFIED = 0,
    /** POLICY_SCOPE_CONTEXT - That of one context. */
    POLICY_SCOPE_CONTEXT = 1,
    /** POLICY_SCOPE_TENANT - That of the tenant, which holds where a context's does not say otherwise. */
    POLICY_SCOPE_TENANT = 2,
    UNRECOGNIZED = -1
}
/** PolicyLayer says whose word a value is. */
export declare enum PolicyLayer {
    /** POLICY_LAYER_UNSPECIFIED - Is never sent. */
    POLICY_LAYER_UNSPECIFIED = 0,
    /** POLICY_LAYER_BUILT_IN - The one that is built in. */
    POLICY_LAYER_BUILT_IN = 1,
    /** POLICY_LAYER_TENANT - The tenant's policy. */
    POLICY_LAYER_TENANT = 2,
    /** POLICY_LAYER_CONTEXT - The context's policy. */
    POLICY_LAYER_CONTEXT = 3,
    /** POLICY_LAYER_REQUEST - The request. */
    POLICY_LAYER_REQUEST = 4,
    UNRECOGNIZED = -1
}
/** GetPolicyRequest names a context, or the tenant. */
export interface GetPolicyRequest {
    /** Identifies the context. Required, unless the tenant's policy is asked for. */
    contextId: string;
    /** Says whose policy; a context's where it is unset. */
    scope: PolicyScope;
}
/** GetPolicyResponse answers GetPolicy. */
export interface GetPolicyResponse {
    /** Is the policy; unset when none was set. */
    policy: Policy | undefined;
    /** Is the revision that set it; 0 when none was set. A tenant's policies are counted by themselves. */
    policyRevision: bigint;
    /** Is what holds of compaction, all layers together; every field is set. */
    effective: CompactionPolicy | undefined;
    /** Says of each field of `effective` which layer set it, in their order. */
    values: PolicyValue[];
    /** Is the revision of the tenant's policy; 0 when none was set. */
    tenantPolicyRevision: bigint;
}
/** PolicyValue says where a value of an effective policy comes from. */
export interface PolicyValue {
    /** Names the field. */
    field: string;
    /** Is the layer that set it. */
    layer: PolicyLayer;
}
/** SetPolicyRequest sets a policy. */
export interface SetPolicyRequest {
    /** Identifies the context. Required, unless it is the tenant's policy. */
    contextId: string;
    /** Is the new policy; empty, it leaves everything to what is built in. */
    policy: Policy | undefined;
    /** Makes the call repeatable; 1 to 128 characters, unique within the context, or among the tenant's policies. */
    requestId: string;
    /** Demands that this revision set the policy in force: 0 for none. Absent, there is no check. */
    expectedPolicyRevision?: bigint | undefined;
    /** Says whose policy; a context's where it is unset. */
    scope: PolicyScope;
}
/** SetPolicyResponse answers SetPolicy. */
export interface SetPolicyResponse {
    /** Is the policy that was set. */
    policy: Policy | undefined;
    /** Is the revision that set it. */
    revision: bigint;
    /** Says that an earlier call with this request_id set it. */
    replayed: boolean;
}
/** PreviewCompactionRequest asks what would be hidden. */
export interface PreviewCompactionRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /**
     * Is what the view may cost afterwards, in content tokens of the context's tokenizer, from 0; absent, all groups that may
     * be hidden are.
     */
    targetTokens?: bigint | undefined;
    /** Is how many of the newest groups stay, 1 to 10,000; absent, the policy says so. */
    preserveRecent?: number | undefined;
    /** Is what the summary may take, 50 to 100,000; absent, the policy says so. */
    summaryTokens?: bigint | undefined;
}
/** PreviewCompactionResponse says what would be hidden. */
export interface PreviewCompactionResponse {
    /** Are the versions that would be hidden beyond those that are. */
    addedRanges: VersionRange[];
    /** Are all versions that would be hidden. */
    ranges: VersionRange[];
    /** Counts the groups that would be hidden beyond those that are. */
    groupCount: bigint;
    /** Counts the messages of these groups. */
    messageCount: bigint;
    /** Is what they cost, in content tokens of the context's tokenizer. */
    addedTokens: bigint;
    /** Is what the view costs now, a summary included. */
    tokensBefore: bigint;
    /** Is what the summary may take. */
    summaryTargetTokens: bigint;
    /** Is what the view would cost at most. */
    tokensAfter: bigint;
    /** Are the groups that stay, and why, oldest first; at most 1,000 of them. */
    held: HeldGroup[];
    /** Says why nothing would be hidden. */
    nothing: NothingToCompact;
    /** Is the version of the snapshot that this is about. */
    snapshotVersion: bigint;
    /** Is the revision of that snapshot. */
    snapshotRevision: bigint;
    /** Says what each rung would do that does anything, in their order. */
    steps: CompactionStep[];
    /** Is the summary as the built-in summariser would write it; empty where nothing more is hidden. */
    summary: string;
    /** Counts the artifacts of what is hidden that stand in it. */
    artifactsKept: bigint;
    /** Counts those that have no room in it; they are in the log. */
    artifactsDropped: bigint;
}
/** CompactContextRequest asks for a compaction now. */
export interface CompactContextRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Is as in PreviewCompactionRequest. */
    targetTokens?: bigint | undefined;
    /** Is as in PreviewCompactionRequest. */
    preserveRecent?: number | undefined;
    /** Is as in PreviewCompactionRequest. */
    summaryTokens?: bigint | undefined;
    /** Makes the call repeatable; 1 to 128 characters, unique within the context. */
    requestId: string;
}
/** CompactContextResponse says what was done. */
export interface CompactContextResponse {
    /** Is the compaction; unset where there was nothing to compact. */
    compaction: Compaction | undefined;
    /** Says why nothing was hidden. */
    nothing: NothingToCompact;
    /** Says that an earlier call with this request_id did it. */
    replayed: boolean;
}
/** BeginCompactionRequest asks for a range to summarise. */
export interface BeginCompactionRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Is as in PreviewCompactionRequest. */
    targetTokens?: bigint | undefined;
    /** Is as in PreviewCompactionRequest. */
    preserveRecent?: number | undefined;
    /** Is as in PreviewCompactionRequest. */
    summaryTokens?: bigint | undefined;
    /** Is how long no other may begin one, 1 s to 1 h; 5 min where it is absent. A commit may come later if no other has. */
    lease: Duration | undefined;
    /** Makes the call repeatable; 1 to 128 characters, unique within the context. */
    requestId: string;
}
/** BeginCompactionResponse is what a summary is made of. */
export interface BeginCompactionResponse {
    /**
     * Is the compaction. Read its `added_ranges` with ListMessages (VIEW_RAW); the rest of what it hides is in
     * `previous_summary`.
     */
    compaction: Compaction | undefined;
    /** Is the digest of what is hidden, which a commit holds to: SHA-256 over the ranges and the chain of revisions. */
    fingerprint: Buffer;
    /** Is the summary that the new one takes the place of; empty without one. */
    previousSummary: string;
    /** Are artifacts of what is hidden, one line each behind the versions that hold them: put them behind the summary. */
    artifactSection: string;
    /** Says how to summarise, for a model. */
    instructions: string;
    /** Says that an earlier call with this request_id began it. */
    replayed: boolean;
}
/** CommitCompactionRequest commits a summary. */
export interface CommitCompactionRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Identifies the compaction. Required. */
    compactionId: string;
    /** Is the token that BeginCompaction gave. Required. */
    token: bigint;
    /** Is the summary; shorter than what it stands for, and no error or refusal. Required, at most 1 MiB. */
    summary: string;
    /** Names who made it, for ListCompactions; at most 256 characters. "caller" where it is empty. */
    summariser: string;
    /** Makes the call repeatable; 1 to 128 characters, unique within the context. */
    requestId: string;
}
/** CommitCompactionResponse says what is hidden. */
export interface CommitCompactionResponse {
    /** Is the compaction. */
    compaction: Compaction | undefined;
    /** Says that an earlier call with this request_id committed it. */
    replayed: boolean;
}
/** AbandonCompactionRequest gives a compaction up. */
export interface AbandonCompactionRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Identifies the compaction. Required. */
    compactionId: string;
    /** Is the token that BeginCompaction gave. Required. */
    token: bigint;
    /** Says why, for ListCompactions; at most 256 characters. */
    reason: string;
}
/** AbandonCompactionResponse says what was given up. */
export interface AbandonCompactionResponse {
    /** Is the compaction. */
    compaction: Compaction | undefined;
}
/** RevertCompactionRequest undoes a compaction, or puts it in force again. */
export interface RevertCompactionRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /**
     * Identifies the compaction; empty for the one in force. Reverting, it must be in force; putting it in force again, it is
     * required.
     */
    compactionId: string;
    /** Puts the compaction in force again. */
    reapply: boolean;
    /** Makes the call repeatable; 1 to 128 characters, unique within the context. */
    requestId: string;
}
/** RevertCompactionResponse says what is in force. */
export interface RevertCompactionResponse {
    /** Is the revision that was taken. */
    revision: bigint;
    /** Is the compaction that is in force since; unset for none. */
    inForce: Compaction | undefined;
    /** Says that an earlier call with this request_id did it. */
    replayed: boolean;
}
/** ListCompactionsRequest asks for a page of compactions. */
export interface ListCompactionsRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /** Chooses states; all where there are none. */
    states: CompactionState[];
    /** Is how many at most, 0 to 1,000; 50 where it is 0. */
    pageSize: number;
    /** Goes on behind an earlier page. */
    pageToken: string;
}
/** ListCompactionsResponse is a page of compactions. */
export interface ListCompactionsResponse {
    /** Are the compactions, newest first. */
    compactions: Compaction[];
    /** Goes on with the next page; empty on the last. */
    nextPageToken: string;
}
/** ListArtifactsRequest asks for the artifacts of a page of messages. */
export interface ListArtifactsRequest {
    /** Identifies the context. Required. */
    contextId: string;
    /**
     * Is how many messages a page looks at: 0 is the default of 500; above 1,000 it is 1,000; negative is refused. A page also
     * ends at 256 KiB of messages or one message.
     */
    pageSize: number;
    /** Is the `next_page_token` of the page before, with the same parameters. */
    pageToken: string;
    /** Keeps artifacts of these kinds. Empty, it is all. */
    kinds: ArtifactKind[];
    /** Is the newest version that is looked at. Default: the latest, or the latest of `at_revision`. */
    atVersion?: bigint | undefined;
    /** Is the newest revision whose messages are looked at. Default: the latest. */
    atRevision?: bigint | undefined;
    /** Is a time: the newest revision that was made at or before it holds. Excludes the other `at_` fields. */
    atTime: Timestamp | undefined;
    /** Is the tag whose version and revision hold. Excludes the other `at_` fields. */
    atTag: string;
    /** Says which overlays apply, as in ListMessages. Default: VIEW_CURRENT, without removed messages. */
    view: View;
    /** Is the first version that is looked at; 0 for the first. */
    firstVersion: bigint;
    /** Is the last version that is looked at; 0 for the last of the snapshot, as is a version beyond it. */
    lastVersion: bigint;
    /** Reads a soft-deleted context, too. Goes with VIEW_AS_THEN and VIEW_RAW alone. */
    showDeleted: boolean;
}
/**
 * ListArtifactsResponse says which artifacts a page of messages holds. On all pages together each artifact has all of its
 * versions: put those of equal kind and text together. A tool call is on the page of its version, and on no other.
 */
export interface ListArtifactsResponse {
    /**
     * Are the artifacts in the order of their first mention, then the tool calls. There may be none on a page that is not the
     * last.
     */
    artifacts: Artifact[];
    /** Asks for the next page; empty at the end, and only there. */
    nextPageToken: string;
    /** Is the first version that was looked at; 0 where there was none. */
    firstVersion: bigint;
    /** Is the last version that was looked at. */
    lastVersion: bigint;
    /** Is the version of the snapshot that this is about. */
    snapshotVersion: bigint;
    /** Is the revision of that snapshot. */
    snapshotRevision: bigint;
}
export declare const GetPolicyRequest: MessageFns<GetPolicyRequest>;
export declare const GetPolicyResponse: MessageFns<GetPolicyResponse>;
export declare const PolicyValue: MessageFns<PolicyValue>;
export declare const SetPolicyRequest: MessageFns<SetPolicyRequest>;
export declare const SetPolicyResponse: MessageFns<SetPolicyResponse>;
export declare const PreviewCompactionRequest: MessageFns<PreviewCompactionRequest>;
export declare const PreviewCompactionResponse: MessageFns<PreviewCompactionResponse>;
export declare const CompactContextRequest: MessageFns<CompactContextRequest>;
export declare const CompactContextResponse: MessageFns<CompactContextResponse>;
export declare const BeginCompactionRequest: MessageFns<BeginCompactionRequest>;
export declare const BeginCompactionResponse: MessageFns<BeginCompactionResponse>;
export declare const CommitCompactionRequest: MessageFns<CommitCompactionRequest>;
export declare const CommitCompactionResponse: MessageFns<CommitCompactionResponse>;
export declare const AbandonCompactionRequest: MessageFns<AbandonCompactionRequest>;
export declare const AbandonCompactionResponse: MessageFns<AbandonCompactionResponse>;
export declare const RevertCompactionRequest: MessageFns<RevertCompactionRequest>;
export declare const RevertCompactionResponse: MessageFns<RevertCompactionResponse>;
export declare const ListCompactionsRequest: MessageFns<ListCompactionsRequest>;
export declare const ListCompactionsResponse: MessageFns<ListCompactionsResponse>;
export declare const ListArtifactsRequest: MessageFns<ListArtifactsRequest>;
export declare const ListArtifactsResponse: MessageFns<ListArtifactsResponse>;
/**
 * PolicyService says how a context's windows are shaped where a request does not, and what old groups are hidden behind a
 * summary.
 */
export type PolicyServiceService = typeof PolicyServiceService;
export declare const PolicyServiceService: {
    /**
     * Returns the policy in force of a context or of the tenant, and what holds with all layers.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND.
     */
    readonly getPolicy: {
        readonly path: "/kata.context.v1.PolicyService/GetPolicy";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: GetPolicyRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => GetPolicyRequest;
        readonly responseSerialize: (value: GetPolicyResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => GetPolicyResponse;
    };
    /**
     * Sets the policy of a context or of the tenant, in place of the whole of the one before; one revision. Repeatable with
     * `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_CONFLICT (expected_policy_revision), VERSION_OUT_OF_RANGE (a pinned
     * version beyond the latest), REQUEST_ID_REUSED.
     */
    readonly setPolicy: {
        readonly path: "/kata.context.v1.PolicyService/SetPolicy";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: SetPolicyRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => SetPolicyRequest;
        readonly responseSerialize: (value: SetPolicyResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => SetPolicyResponse;
    };
    /**
     * Says what CompactContext would hide, and why nothing where nothing would be. Writes nothing.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND.
     */
    readonly previewCompaction: {
        readonly path: "/kata.context.v1.PolicyService/PreviewCompaction";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: PreviewCompactionRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => PreviewCompactionRequest;
        readonly responseSerialize: (value: PreviewCompactionResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => PreviewCompactionResponse;
    };
    /**
     * Hides all groups that may be hidden behind a summary that the server makes. With `target_tokens` the rungs of the policy
     * are taken one after the other, from the oldest messages on, only as far as it takes to get down to it. Does not ask
     * whether the policy finds it due, nor when the last one was. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, COMPACTION_IN_PROGRESS, COMPACTION_STALE, SUMMARY_REJECTED, NO_SUMMARY,
     * REQUEST_ID_REUSED.
     */
    readonly compactContext: {
        readonly path: "/kata.context.v1.PolicyService/CompactContext";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: CompactContextRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => CompactContextRequest;
        readonly responseSerialize: (value: CompactContextResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => CompactContextResponse;
    };
    /**
     * Begins a compaction whose summary the caller makes, wherever and however long: appends go on meanwhile. Nothing is
     * hidden before CommitCompaction. Takes no revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, COMPACTION_IN_PROGRESS, NOTHING_TO_COMPACT, REQUEST_ID_REUSED.
     */
    readonly beginCompaction: {
        readonly path: "/kata.context.v1.PolicyService/BeginCompaction";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: BeginCompactionRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => BeginCompactionRequest;
        readonly responseSerialize: (value: BeginCompactionResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => BeginCompactionResponse;
    };
    /**
     * Hides what was begun behind a summary, if nothing of it has changed; one revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, COMPACTION_NOT_FOUND, COMPACTION_STALE, SUMMARY_REJECTED, REQUEST_ID_REUSED.
     */
    readonly commitCompaction: {
        readonly path: "/kata.context.v1.PolicyService/CommitCompaction";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: CommitCompactionRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => CommitCompactionRequest;
        readonly responseSerialize: (value: CommitCompactionResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => CommitCompactionResponse;
    };
    /**
     * Gives a compaction up that was begun. Giving it up again changes nothing.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, COMPACTION_NOT_FOUND, COMPACTION_STALE.
     */
    readonly abandonCompaction: {
        readonly path: "/kata.context.v1.PolicyService/AbandonCompaction";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: AbandonCompactionRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => AbandonCompactionRequest;
        readonly responseSerialize: (value: AbandonCompactionResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => AbandonCompactionResponse;
    };
    /**
     * Undoes the compaction that is in force, or puts one in force again; one revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, COMPACTION_NOT_FOUND, COMPACTION_NOT_IN_FORCE, REQUEST_ID_REUSED.
     */
    readonly revertCompaction: {
        readonly path: "/kata.context.v1.PolicyService/RevertCompaction";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: RevertCompactionRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => RevertCompactionRequest;
        readonly responseSerialize: (value: RevertCompactionResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => RevertCompactionResponse;
    };
    /**
     * Lists the compactions that a context made, newest first. Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, PAGE_TOKEN_INVALID,
     * PAGE_TOKEN_MISMATCH.
     */
    readonly listCompactions: {
        readonly path: "/kata.context.v1.PolicyService/ListCompactions";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: ListCompactionsRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => ListCompactionsRequest;
        readonly responseSerialize: (value: ListCompactionsResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => ListCompactionsResponse;
    };
    /**
     * Lists the artifacts of a context, those of compacted messages included. They are found in the messages when it is asked,
     * and nowhere stored: what was redacted has none.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND, PAGE_TOKEN_INVALID,
     * PAGE_TOKEN_MISMATCH.
     */
    readonly listArtifacts: {
        readonly path: "/kata.context.v1.PolicyService/ListArtifacts";
        readonly requestStream: false;
        readonly responseStream: false;
        readonly requestSerialize: (value: ListArtifactsRequest) => Buffer;
        readonly requestDeserialize: (value: Buffer) => ListArtifactsRequest;
        readonly responseSerialize: (value: ListArtifactsResponse) => Buffer;
        readonly responseDeserialize: (value: Buffer) => ListArtifactsResponse;
    };
};
export interface PolicyServiceServer extends UntypedServiceImplementation {
    /**
     * Returns the policy in force of a context or of the tenant, and what holds with all layers.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND.
     */
    getPolicy: handleUnaryCall<GetPolicyRequest, GetPolicyResponse>;
    /**
     * Sets the policy of a context or of the tenant, in place of the whole of the one before; one revision. Repeatable with
     * `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_CONFLICT (expected_policy_revision), VERSION_OUT_OF_RANGE (a pinned
     * version beyond the latest), REQUEST_ID_REUSED.
     */
    setPolicy: handleUnaryCall<SetPolicyRequest, SetPolicyResponse>;
    /**
     * Says what CompactContext would hide, and why nothing where nothing would be. Writes nothing.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND.
     */
    previewCompaction: handleUnaryCall<PreviewCompactionRequest, PreviewCompactionResponse>;
    /**
     * Hides all groups that may be hidden behind a summary that the server makes. With `target_tokens` the rungs of the policy
     * are taken one after the other, from the oldest messages on, only as far as it takes to get down to it. Does not ask
     * whether the policy finds it due, nor when the last one was. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, COMPACTION_IN_PROGRESS, COMPACTION_STALE, SUMMARY_REJECTED, NO_SUMMARY,
     * REQUEST_ID_REUSED.
     */
    compactContext: handleUnaryCall<CompactContextRequest, CompactContextResponse>;
    /**
     * Begins a compaction whose summary the caller makes, wherever and however long: appends go on meanwhile. Nothing is
     * hidden before CommitCompaction. Takes no revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, COMPACTION_IN_PROGRESS, NOTHING_TO_COMPACT, REQUEST_ID_REUSED.
     */
    beginCompaction: handleUnaryCall<BeginCompactionRequest, BeginCompactionResponse>;
    /**
     * Hides what was begun behind a summary, if nothing of it has changed; one revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, COMPACTION_NOT_FOUND, COMPACTION_STALE, SUMMARY_REJECTED, REQUEST_ID_REUSED.
     */
    commitCompaction: handleUnaryCall<CommitCompactionRequest, CommitCompactionResponse>;
    /**
     * Gives a compaction up that was begun. Giving it up again changes nothing.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, COMPACTION_NOT_FOUND, COMPACTION_STALE.
     */
    abandonCompaction: handleUnaryCall<AbandonCompactionRequest, AbandonCompactionResponse>;
    /**
     * Undoes the compaction that is in force, or puts one in force again; one revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, COMPACTION_NOT_FOUND, COMPACTION_NOT_IN_FORCE, REQUEST_ID_REUSED.
     */
    revertCompaction: handleUnaryCall<RevertCompactionRequest, RevertCompactionResponse>;
    /**
     * Lists the compactions that a context made, newest first. Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, PAGE_TOKEN_INVALID,
     * PAGE_TOKEN_MISMATCH.
     */
    listCompactions: handleUnaryCall<ListCompactionsRequest, ListCompactionsResponse>;
    /**
     * Lists the artifacts of a context, those of compacted messages included. They are found in the messages when it is asked,
     * and nowhere stored: what was redacted has none.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND, PAGE_TOKEN_INVALID,
     * PAGE_TOKEN_MISMATCH.
     */
    listArtifacts: handleUnaryCall<ListArtifactsRequest, ListArtifactsResponse>;
}
export interface PolicyServiceClient extends Client {
    /**
     * Returns the policy in force of a context or of the tenant, and what holds with all layers.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND.
     */
    getPolicy(request: GetPolicyRequest, callback: (error: ServiceError | null, response: GetPolicyResponse) => void): ClientUnaryCall;
    getPolicy(request: GetPolicyRequest, metadata: Metadata, callback: (error: ServiceError | null, response: GetPolicyResponse) => void): ClientUnaryCall;
    getPolicy(request: GetPolicyRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: GetPolicyResponse) => void): ClientUnaryCall;
    /**
     * Sets the policy of a context or of the tenant, in place of the whole of the one before; one revision. Repeatable with
     * `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_CONFLICT (expected_policy_revision), VERSION_OUT_OF_RANGE (a pinned
     * version beyond the latest), REQUEST_ID_REUSED.
     */
    setPolicy(request: SetPolicyRequest, callback: (error: ServiceError | null, response: SetPolicyResponse) => void): ClientUnaryCall;
    setPolicy(request: SetPolicyRequest, metadata: Metadata, callback: (error: ServiceError | null, response: SetPolicyResponse) => void): ClientUnaryCall;
    setPolicy(request: SetPolicyRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: SetPolicyResponse) => void): ClientUnaryCall;
    /**
     * Says what CompactContext would hide, and why nothing where nothing would be. Writes nothing.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND.
     */
    previewCompaction(request: PreviewCompactionRequest, callback: (error: ServiceError | null, response: PreviewCompactionResponse) => void): ClientUnaryCall;
    previewCompaction(request: PreviewCompactionRequest, metadata: Metadata, callback: (error: ServiceError | null, response: PreviewCompactionResponse) => void): ClientUnaryCall;
    previewCompaction(request: PreviewCompactionRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: PreviewCompactionResponse) => void): ClientUnaryCall;
    /**
     * Hides all groups that may be hidden behind a summary that the server makes. With `target_tokens` the rungs of the policy
     * are taken one after the other, from the oldest messages on, only as far as it takes to get down to it. Does not ask
     * whether the policy finds it due, nor when the last one was. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, COMPACTION_IN_PROGRESS, COMPACTION_STALE, SUMMARY_REJECTED, NO_SUMMARY,
     * REQUEST_ID_REUSED.
     */
    compactContext(request: CompactContextRequest, callback: (error: ServiceError | null, response: CompactContextResponse) => void): ClientUnaryCall;
    compactContext(request: CompactContextRequest, metadata: Metadata, callback: (error: ServiceError | null, response: CompactContextResponse) => void): ClientUnaryCall;
    compactContext(request: CompactContextRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: CompactContextResponse) => void): ClientUnaryCall;
    /**
     * Begins a compaction whose summary the caller makes, wherever and however long: appends go on meanwhile. Nothing is
     * hidden before CommitCompaction. Takes no revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, COMPACTION_IN_PROGRESS, NOTHING_TO_COMPACT, REQUEST_ID_REUSED.
     */
    beginCompaction(request: BeginCompactionRequest, callback: (error: ServiceError | null, response: BeginCompactionResponse) => void): ClientUnaryCall;
    beginCompaction(request: BeginCompactionRequest, metadata: Metadata, callback: (error: ServiceError | null, response: BeginCompactionResponse) => void): ClientUnaryCall;
    beginCompaction(request: BeginCompactionRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: BeginCompactionResponse) => void): ClientUnaryCall;
    /**
     * Hides what was begun behind a summary, if nothing of it has changed; one revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, COMPACTION_NOT_FOUND, COMPACTION_STALE, SUMMARY_REJECTED, REQUEST_ID_REUSED.
     */
    commitCompaction(request: CommitCompactionRequest, callback: (error: ServiceError | null, response: CommitCompactionResponse) => void): ClientUnaryCall;
    commitCompaction(request: CommitCompactionRequest, metadata: Metadata, callback: (error: ServiceError | null, response: CommitCompactionResponse) => void): ClientUnaryCall;
    commitCompaction(request: CommitCompactionRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: CommitCompactionResponse) => void): ClientUnaryCall;
    /**
     * Gives a compaction up that was begun. Giving it up again changes nothing.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, COMPACTION_NOT_FOUND, COMPACTION_STALE.
     */
    abandonCompaction(request: AbandonCompactionRequest, callback: (error: ServiceError | null, response: AbandonCompactionResponse) => void): ClientUnaryCall;
    abandonCompaction(request: AbandonCompactionRequest, metadata: Metadata, callback: (error: ServiceError | null, response: AbandonCompactionResponse) => void): ClientUnaryCall;
    abandonCompaction(request: AbandonCompactionRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: AbandonCompactionResponse) => void): ClientUnaryCall;
    /**
     * Undoes the compaction that is in force, or puts one in force again; one revision. Repeatable with `request_id`.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, COMPACTION_NOT_FOUND, COMPACTION_NOT_IN_FORCE, REQUEST_ID_REUSED.
     */
    revertCompaction(request: RevertCompactionRequest, callback: (error: ServiceError | null, response: RevertCompactionResponse) => void): ClientUnaryCall;
    revertCompaction(request: RevertCompactionRequest, metadata: Metadata, callback: (error: ServiceError | null, response: RevertCompactionResponse) => void): ClientUnaryCall;
    revertCompaction(request: RevertCompactionRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: RevertCompactionResponse) => void): ClientUnaryCall;
    /**
     * Lists the compactions that a context made, newest first. Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, PAGE_TOKEN_INVALID,
     * PAGE_TOKEN_MISMATCH.
     */
    listCompactions(request: ListCompactionsRequest, callback: (error: ServiceError | null, response: ListCompactionsResponse) => void): ClientUnaryCall;
    listCompactions(request: ListCompactionsRequest, metadata: Metadata, callback: (error: ServiceError | null, response: ListCompactionsResponse) => void): ClientUnaryCall;
    listCompactions(request: ListCompactionsRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: ListCompactionsResponse) => void): ClientUnaryCall;
    /**
     * Lists the artifacts of a context, those of compacted messages included. They are found in the messages when it is asked,
     * and nowhere stored: what was redacted has none.
     * Errors: INVALID_FIELD, CONTEXT_NOT_FOUND, VERSION_OUT_OF_RANGE, TAG_NOT_FOUND, PAGE_TOKEN_INVALID,
     * PAGE_TOKEN_MISMATCH.
     */
    listArtifacts(request: ListArtifactsRequest, callback: (error: ServiceError | null, response: ListArtifactsResponse) => void): ClientUnaryCall;
    listArtifacts(request: ListArtifactsRequest, metadata: Metadata, callback: (error: ServiceError | null, response: ListArtifactsResponse) => void): ClientUnaryCall;
    listArtifacts(request: ListArtifactsRequest, metadata: Metadata, options: Partial<CallOptions>, callback: (error: ServiceError | null, response: ListArtifactsResponse) => void): ClientUnaryCall;
}
export declare const PolicyServiceClient: {
    new (address: string, credentials: ChannelCredentials, options?: Partial<ClientOptions>): PolicyServiceClient;
    service: typeof PolicyServiceService;
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
