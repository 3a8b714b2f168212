"""Every bound of the service, by name. The comments of the protos cite these numbers and a test compares them."""

KIB = 1024
MIB = 1024 * KIB

MAX_APPEND_MESSAGES = 1_000
MAX_MESSAGE_BYTES = 8 * MIB
MAX_CALL_BYTES = 16 * MIB
MAX_PARTS = 1_000
MAX_PART_DEPTH = 2
"""Parts of a message, and parts of a tool result in it."""
MAX_OPEN_CALLS = 256
MAX_CALL_ID_CHARS = 512
MAX_TOOL_NAME_CHARS = 512

MAX_STREAM_APPENDS = 256
"""In flight on one append stream, and in one of its frames; MAX_CALL_BYTES of them at most."""
MAX_FRAME_OUTCOMES = 64
MAX_APPEND_STREAM_SECONDS = 24 * 3_600

MAX_NAME_CHARS = 256
MAX_LABELS = 64
MAX_LABEL_KEY_CHARS = 63
MAX_LABEL_VALUE_CHARS = 256
MAX_METADATA_BYTES = 64 * KIB
MAX_METADATA_DEPTH = 32
"""An object in an object takes three levels of protobuf messages, and parsers go to 100, in a stream's frame too."""
MAX_ORIGIN_ID_CHARS = 512
MAX_ORIGIN_EXTRA_BYTES = 1 * MIB
MAX_REQUEST_ID_CHARS = 128
MAX_IMPORT_REQUEST_ID_CHARS = 100
MAX_TOKENIZER_CHARS = 64
MAX_TAG_CHARS = 128

MAX_FORK_DEPTH = 32
MAX_FORKS = 100_000
"""Of one context. Both are defaults of settings."""
MAX_ANCESTORS = 1_000
"""That a lineage shows: beyond MAX_FORK_DEPTH there are those from before a context was flattened."""
FLATTEN_MESSAGES = 1_000
FLATTEN_BYTES = 8 * MIB
FLATTEN_REVISIONS = 10_000
"""What flattening copies in one transaction."""

PURGE_ROWS = 1_000
PURGE_MESSAGE_BYTES = 32 * MIB
"""What purging erases in one transaction: about so many rows of a table, messages of so many bytes."""
PURGE_READERS = 100
"""Forks that purging detaches before it looks for more."""
NAMED_READERS = 10
"""Forks that a refusal to purge names."""
MEASURED_NUMBERS = 100_000
"""Versions and revisions that a dry run measures by one statement."""

RETENTION_PAGE = 500
"""Contexts that retention looks at by one statement, and after which it says how far it is."""
RETENTION_PLANNED = 10_000
"""Contexts that a run of retention takes before it looks again."""
MAX_RETENTION_YEARS = 100

MAX_VERSION_RANGES = 1_000
"""In one removal, restoration or redaction."""
MAX_REDACTED_MESSAGES = 10_000
"""In one redaction."""
MAX_REASON_CHARS = 256
MAX_NAMED_LOGS = 1_000
"""In the receipt of a redaction, which counts them all."""

COMPACTION_LEASE_SECONDS = 300
MAX_LEASE_SECONDS = 3_600
MAX_PRESERVED = 10_000
LEAST_SUMMARY_TOKENS = 50
MAX_SUMMARY_TOKENS = 100_000
MAX_SUMMARY_BYTES = 1 * MIB

MAX_TOKEN_BUDGET = 10_000_000
MAX_TOOLS_BYTES = 1 * MIB
MAX_MESSAGE_LABELS = 16
MAX_PINNED_VERSIONS = 256
MAX_PINNED_LABELS = 16
MAX_EXCLUDED_TOOLS = 64
LEAST_PART_TOKENS = 100
"""An elided part says in half as many what is left out of it."""
PREVIEW_CHARS = 100

DEFAULT_CONTEXT_PAGE = 50
DEFAULT_MESSAGE_PAGE = 100
DEFAULT_HISTORY_PAGE = 50
DEFAULT_TAG_PAGE = 50
DEFAULT_COMPACTION_PAGE = 50
DEFAULT_ARTIFACT_PAGE = 500
"""Messages, not artifacts."""
MAX_PAGE = 1_000
HISTORY_LOOK = 1_000
"""How many revisions a page of some kinds looks at: what is rare in a long history takes several pages to find."""
PAGE_BYTES = 2 * MIB
"""A page of messages ends at this much content or at one message."""
ARTIFACT_BYTES = 256 * KIB
"""A page of artifacts ends at this much content or at one message; it is what is looked through in a thread."""
COMPARED_BYTES = 1 * MIB
"""A page of a comparison does on each side."""

FRAME_BYTES = 1 * MIB
"""A chunk of a streamed window ends at this much content or at one message."""
FRAME_MESSAGES = 512
MAX_UNARY_WINDOW_BYTES = 64 * MIB

MAX_WATCHERS = 5_000
"""Watches that one worker takes."""
WATCH_PAGE_REVISIONS = 256
"""A watch reads so many at a time, and says that it is behind when it had caught up and finds as many again."""
WATCH_HOURS = 24
"""How long one call may watch; it goes on with its cursor."""
WATCH_CHECKPOINT_SECONDS = 30

MAX_RECEIVE_BYTES = 40 * MIB
"""What gRPC takes off the wire, above MAX_CALL_BYTES so that a call a little too large gets a typed answer."""
