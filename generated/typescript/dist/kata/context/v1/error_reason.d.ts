/** Reasons that errors of this package carry in google.rpc.ErrorInfo. */
/**
 * ErrorReason names why a call failed.
 *
 * Every error is a google.rpc.Status whose first detail is google.rpc.ErrorInfo with `domain`
 * "kata.context.v1" and `reason` the value's name without the ERROR_REASON_ prefix. The keys listed
 * at a value are the keys of `ErrorInfo.metadata`; keys are only ever added. Values may be added.
 */
export declare enum ErrorReason {
    /** ERROR_REASON_UNSPECIFIED - Is never sent. */
    ERROR_REASON_UNSPECIFIED = 0,
    /**
     * ERROR_REASON_INVALID_FIELD - The request breaks one or more rules. BadRequest lists the violations with field, description and reason: all of
     * them, or as many as fit the 4,000 bytes that every client takes; the metadata says how many there are.
     * Metadata: violations.
     */
    ERROR_REASON_INVALID_FIELD = 1,
    /** ERROR_REASON_MALFORMED_REQUEST - The request's bytes are not a message of the method's request type. Metadata: none. */
    ERROR_REASON_MALFORMED_REQUEST = 2,
    /** ERROR_REASON_PAGE_TOKEN_INVALID - A page or resume token is not one that this service made. Metadata: field. */
    ERROR_REASON_PAGE_TOKEN_INVALID = 3,
    /** ERROR_REASON_PAGE_TOKEN_MISMATCH - A page or resume token belongs to another method, tenant or set of parameters. Metadata: field. */
    ERROR_REASON_PAGE_TOKEN_MISMATCH = 4,
    /** ERROR_REASON_REQUEST_ID_REUSED - A request_id was used before with other content. Metadata: request_id. */
    ERROR_REASON_REQUEST_ID_REUSED = 5,
    /** ERROR_REASON_CONTEXT_NOT_FOUND - No such live context of this tenant; ResourceInfo names it. Metadata: context_id. */
    ERROR_REASON_CONTEXT_NOT_FOUND = 6,
    /** ERROR_REASON_MESSAGE_NOT_FOUND - The context has no message of this version; ResourceInfo names it. Metadata: context_id, version. */
    ERROR_REASON_MESSAGE_NOT_FOUND = 7,
    /** ERROR_REASON_CONTEXT_EXISTS - A live context of this tenant holds the unique name; ResourceInfo names it. Metadata: name. */
    ERROR_REASON_CONTEXT_EXISTS = 8,
    /**
     * ERROR_REASON_VERSION_CONFLICT - The context is not what the caller believed; re-read it and redo the change.
     * Metadata: expected, actual and, for expected_version, versions_since.
     */
    ERROR_REASON_VERSION_CONFLICT = 9,
    /** ERROR_REASON_WRITE_CONTENTION - The database gave up between concurrent writers; nothing was written. RetryInfo says when. Metadata: none. */
    ERROR_REASON_WRITE_CONTENTION = 10,
    /**
     * ERROR_REASON_BUDGET_TOO_SMALL - What must be in the window does not fit the budget. `turn_tokens` is the user's message that opened the turn, where
     * it is not the newest group.
     * Metadata: required_tokens, token_budget, reserve_tokens, pinned_tokens, turn_tokens, newest_group_tokens, tools_tokens.
     */
    ERROR_REASON_BUDGET_TOO_SMALL = 11,
    /** ERROR_REASON_NO_LEGAL_WINDOW - No message up to the snapshot may open a window in this dialect. Metadata: dialect, snapshot_version. */
    ERROR_REASON_NO_LEGAL_WINDOW = 12,
    /** ERROR_REASON_CONTEXT_NOT_DELETED - The context is live, so it cannot be undeleted or purged. Metadata: context_id. */
    ERROR_REASON_CONTEXT_NOT_DELETED = 13,
    /**
     * ERROR_REASON_TOO_MANY_OPEN_CALLS - More tool calls would be open (called and not answered) than a context may have; nothing was written.
     * Answer the open ones first, with error results where they were abandoned. Metadata: context_id, max.
     */
    ERROR_REASON_TOO_MANY_OPEN_CALLS = 14,
    /**
     * ERROR_REASON_VERSION_OUT_OF_RANGE - A version, a revision or the number of a batch lies beyond the latest one or, where a watch starts, before the
     * earliest that the context's own log still has. Metadata: field, value, latest and, for a start that is too early, earliest.
     */
    ERROR_REASON_VERSION_OUT_OF_RANGE = 15,
    /** ERROR_REASON_RESPONSE_TOO_LARGE - The answer is larger than one unary response may be; use the streaming method. Metadata: bytes, max_bytes. */
    ERROR_REASON_RESPONSE_TOO_LARGE = 16,
    /** ERROR_REASON_STORAGE_UNAVAILABLE - The database is out of reach or every connection is busy; RetryInfo says when to call again. Metadata: none. */
    ERROR_REASON_STORAGE_UNAVAILABLE = 17,
    /** ERROR_REASON_SHUTTING_DOWN - The server is stopping; RetryInfo says when to call again. Metadata: none. */
    ERROR_REASON_SHUTTING_DOWN = 18,
    /** ERROR_REASON_DEADLINE - The call's deadline, or the server's bound on calls without one, passed. Metadata: timeout_seconds. */
    ERROR_REASON_DEADLINE = 19,
    /** ERROR_REASON_INTERNAL - A fault of the server; RequestInfo carries the id under which it was logged. Metadata: none. */
    ERROR_REASON_INTERNAL = 20,
    /**
     * ERROR_REASON_WINDOW_GONE - The window that is being sent, or that a resume token goes on with, is not what it was: content was erased, or the rules
     * by which windows are chosen have changed. Ask for it again without the token. Metadata: context_id.
     */
    ERROR_REASON_WINDOW_GONE = 21,
    /**
     * ERROR_REASON_TOO_MANY_WATCHERS - The server has as many watches as it takes, 5,000 for each worker. RetryInfo says when to call again, at best on
     * another connection. Metadata: max.
     */
    ERROR_REASON_TOO_MANY_WATCHERS = 22,
    /**
     * ERROR_REASON_FORK_TOO_DEEP - The fork would be deeper than the server allows: 32, unless it is set otherwise. Fork a context that is nearer to the
     * root. Metadata: context_id, depth, max.
     */
    ERROR_REASON_FORK_TOO_DEEP = 23,
    /**
     * ERROR_REASON_TOO_MANY_FORKS - The context has as many forks as the server allows: 100,000, unless it is set otherwise.
     * Metadata: context_id, max.
     */
    ERROR_REASON_TOO_MANY_FORKS = 24,
    /** ERROR_REASON_TAG_NOT_FOUND - The context has no tag of this name; ResourceInfo names it. A fork has none of its parent's. Metadata: context_id, tag. */
    ERROR_REASON_TAG_NOT_FOUND = 25,
    /** ERROR_REASON_TAG_EXISTS - The context has a tag of this name, which `move` would move; ResourceInfo names it. Metadata: context_id, tag. */
    ERROR_REASON_TAG_EXISTS = 26,
    /**
     * ERROR_REASON_CONTEXT_HAS_FORKS - Other contexts, soft-deleted ones among them, read the context's log: it can be purged once they are purged or
     * flattened. The metadata names the first 10 of them, separated by commas. Metadata: context_id, fork_count, fork_ids.
     */
    ERROR_REASON_CONTEXT_HAS_FORKS = 28,
    /** ERROR_REASON_CONTEXT_PURGED - The context was purged. A request_id that created it is used up with it. ResourceInfo names it. Metadata: context_id. */
    ERROR_REASON_CONTEXT_PURGED = 29,
    /** ERROR_REASON_CONTEXT_IS_FLAT - The context has all of its messages in its own log, being no fork or flattened already. Metadata: context_id. */
    ERROR_REASON_CONTEXT_IS_FLAT = 30,
    /** ERROR_REASON_COMPACTION_NOT_FOUND - The context made no such compaction; ResourceInfo names it. Metadata: context_id, compaction_id. */
    ERROR_REASON_COMPACTION_NOT_FOUND = 33,
    /** ERROR_REASON_COMPACTION_IN_PROGRESS - Another compaction of the context is under way; RetryInfo says when to call again. Metadata: context_id, compaction_id. */
    ERROR_REASON_COMPACTION_IN_PROGRESS = 34,
    /**
     * ERROR_REASON_COMPACTION_STALE - The compaction is not under way any more, or not under this token: it was committed, given up or taken over, or what it
     * would have hidden has changed. Begin another one. Metadata: context_id, compaction_id, state, why.
     */
    ERROR_REASON_COMPACTION_STALE = 35,
    /**
     * ERROR_REASON_SUMMARY_REJECTED - The summary is none: it is empty, an error, a refusal, or no shorter than what it stands for. The compaction failed, and
     * everything is as it was. Metadata: context_id, compaction_id, why.
     */
    ERROR_REASON_SUMMARY_REJECTED = 36,
    /** ERROR_REASON_COMPACTION_NOT_IN_FORCE - The compaction is not the one in force, or holds no more. Metadata: context_id, compaction_id. */
    ERROR_REASON_COMPACTION_NOT_IN_FORCE = 37,
    /** ERROR_REASON_NOTHING_TO_COMPACT - There is nothing to compact. Metadata: context_id, why. */
    ERROR_REASON_NOTHING_TO_COMPACT = 38,
    /**
     * ERROR_REASON_NO_SUMMARY - Whatever makes summaries made none: a model's endpoint that cannot be reached, or refuses. The compaction failed, and
     * everything is as it was; RetryInfo says when to call again. Metadata: context_id, compaction_id, why.
     */
    ERROR_REASON_NO_SUMMARY = 39,
    UNRECOGNIZED = -1
}
