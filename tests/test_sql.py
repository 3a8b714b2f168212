"""Every SQL statement fits the schema, is used and names the tenant; and numbers in the protos are the limits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from kata_grpc import limits
from kata_grpc.compaction.artifacts import DETAIL_CHARS, MAX_ARTIFACT_CHARS
from kata_grpc.db.query import Query, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PROTOS = ROOT / "protos/kata/context/v1"
TENANTS_TABLES = re.compile(
    r"\b(?:from|join|into|update)\s+(contexts|context_names|revisions|messages|tags|purged_contexts)\b"
)
FOR_THE_OPERATOR = {"integrity.sql", "fill.sql", "retention.sql", "due.sql"}
"""Statements that run over all tenants, by a command of the operator or as the server's own work, never for a call."""


def statements() -> Iterator[tuple[Path, Query]]:
    for path in sorted((ROOT / "kata_grpc").rglob("*.sql")):
        for query in parse(path.name, path.read_text()).values():
            yield path, query


STATEMENTS = list(statements())
IDS = [f"{path.stem}-{query.name}" for path, query in STATEMENTS]


async def test_every_statement_fits_the_schema(fresh_db: str) -> None:
    connection = await asyncpg.connect(fresh_db)
    try:
        for path, query in STATEMENTS:
            try:
                prepared = await connection.prepare(query.text)
            except asyncpg.PostgresError as error:
                pytest.fail(f"{path.name} {query.name}: {error}")
            given = {int(number) for number in re.findall(r"\$(\d+)", query.text)}
            assert given == set(range(1, len(prepared.get_parameters()) + 1)), query.name
    finally:
        await connection.close()


@pytest.mark.parametrize(("path", "query"), STATEMENTS, ids=IDS)
def test_every_statement_is_used(path: Path, query: Query) -> None:
    sources = [source.read_text() for source in (ROOT / "kata_grpc").rglob("*.py")]
    assert any(path.name in source for source in sources), "no module loads the file"
    assert any(re.search(rf"SQL\.{query.name}\b", source) for source in sources), "no module runs the statement"


@pytest.mark.holds("I10")
@pytest.mark.parametrize(("path", "query"), STATEMENTS, ids=IDS)
def test_every_statement_about_a_tenants_data_names_the_tenant(path: Path, query: Query) -> None:
    if path.name in FOR_THE_OPERATOR or not TENANTS_TABLES.search(query.text):
        return
    compared = re.search(r"\btenant_id = \$\d|\btenant_id = \w+\.tenant_id", query.text)
    inserted = re.search(r"insert into \w+ \([^)]*\btenant_id\b", query.text)
    assert compared or inserted
    for line in re.findall(r"where [^\n]*(?:\n[^\n]*)?", query.text):
        if re.search(r"\bcontext_id = \$1\b", line):
            assert "tenant_id = $2" in line, line


NUMBERS: list[tuple[str, str, list[object]]] = [
    ("context.proto", "for people; at most {} characters; unique", [limits.MAX_NAME_CHARS]),
    (
        "context.proto",
        "at most {}, keys of 1 to {} and values of 0 to {} characters",
        [limits.MAX_LABELS, limits.MAX_LABEL_KEY_CHARS, limits.MAX_LABEL_VALUE_CHARS],
    ),
    ("context.proto", "caller's own data; at most {} KiB", [limits.MAX_METADATA_BYTES // limits.KIB]),
    ("context.proto", "Is its name: 1 to {} letters", [limits.MAX_TAG_CHARS]),
    ("context.proto", "id in its source; at most {} characters", [limits.MAX_ORIGIN_ID_CHARS]),
    ("context.proto", "kept exactly; at most {} MiB", [limits.MAX_ORIGIN_EXTRA_BYTES // limits.MIB]),
    ("context_service.proto", "repeatable; 1 to {} characters", [limits.MAX_REQUEST_ID_CHARS]),
    (
        "context_service.proto",
        "0 is the default of {}; above {} it is {}",
        [limits.DEFAULT_CONTEXT_PAGE, limits.MAX_PAGE, limits.MAX_PAGE],
    ),
    (
        "context_service.proto",
        "tags to return at most: 0 is the default of {}; above {} it is {}",
        [limits.DEFAULT_TAG_PAGE, limits.MAX_PAGE, limits.MAX_PAGE],
    ),
    ("message.proto", "in order; at most {}.", [limits.MAX_PARTS]),
    ("message.proto", "names take it; at most {} characters", [limits.MAX_NAME_CHARS]),
    ("message.proto", "never sent to a model; at most {} KiB", [limits.MAX_METADATA_BYTES // limits.KIB]),
    ("message_service.proto", "Appends 1 to {} messages as one revision", [limits.MAX_APPEND_MESSAGES]),
    (
        "message_service.proto",
        "Are the messages, 1 to {}, in order; a message at most {} MiB, the call at most {} MiB",
        [limits.MAX_APPEND_MESSAGES, limits.MAX_MESSAGE_BYTES // limits.MIB, limits.MAX_CALL_BYTES // limits.MIB],
    ),
    (
        "message_service.proto",
        "At most {} appends or {} MiB are in flight",
        [limits.MAX_STREAM_APPENDS, limits.MAX_CALL_BYTES // limits.MIB],
    ),
    ("message_service.proto", "one lasts at most {} hours", [limits.MAX_APPEND_STREAM_SECONDS // 3_600]),
    ("message_service.proto", "Are the appends, in order, at most {}", [limits.MAX_STREAM_APPENDS]),
    ("message_service.proto", "came about, at most {}: for one context", [limits.MAX_FRAME_OUTCOMES]),
    ("message_service.proto", "import repeatable; 1 to {} characters", [limits.MAX_IMPORT_REQUEST_ID_CHARS]),
    ("message_service.proto", "in one answer of at most {} MiB", [limits.MAX_UNARY_WINDOW_BYTES // limits.MIB]),
    ("message_service.proto", "`chunk` frames of at most {} MiB or one message", [limits.FRAME_BYTES // limits.MIB]),
    (
        "message_service.proto",
        "messages to return at most: 0 is the default of {}; above {} it is {}",
        [limits.DEFAULT_MESSAGE_PAGE, limits.MAX_PAGE, limits.MAX_PAGE],
    ),
    ("message_service.proto", "ends at {} MiB of content or one message", [limits.PAGE_BYTES // limits.MIB]),
    (
        "message_service.proto",
        "revisions to return at most: 0 is the default of {}; above {} it is {}",
        [limits.DEFAULT_HISTORY_PAGE, limits.MAX_PAGE, limits.MAX_PAGE],
    ),
    ("message_service.proto", "a page looks at {} revisions at most", [limits.HISTORY_LOOK]),
    ("message_service.proto", "first message's text, at most {} characters", [limits.PREVIEW_CHARS]),
    ("message_service.proto", "framing included: 1 to {}. Required", [limits.MAX_TOKEN_BUDGET]),
    ("message_service.proto", "taken off the budget; at most {} MiB", [limits.MAX_TOOLS_BYTES // limits.MIB]),
    ("message_service.proto", "reader is {} revisions late or more", [limits.WATCH_PAGE_REVISIONS]),
    ("message_service.proto", "`checkpoint` before nothing was sent for {} seconds", [limits.WATCH_CHECKPOINT_SECONDS]),
    ("message_service.proto", "After {} hours it ends with DEADLINE", [limits.WATCH_HOURS]),
    ("message_service.proto", "messages come in frames of at most {} MiB", [limits.FRAME_BYTES // limits.MIB]),
    (
        "context_service.proto",
        "Are messages to append to the child in the same step, at most {}",
        [limits.MAX_APPEND_MESSAGES],
    ),
    (
        "policy_service.proto",
        "how many messages a page looks at: 0 is the default of {}; above {} it is {}",
        [limits.DEFAULT_ARTIFACT_PAGE, limits.MAX_PAGE, limits.MAX_PAGE],
    ),
    ("policy_service.proto", "also ends at {} KiB of messages", [limits.ARTIFACT_BYTES // limits.KIB]),
    ("artifact.proto", "as it is written, at most {} characters; of a tool call", [MAX_ARTIFACT_CHARS]),
    ("artifact.proto", "arguments as they are written, at most {} characters", [MAX_ARTIFACT_CHARS]),
    ("artifact.proto", "or its first one; at most {} characters", [DETAIL_CHARS]),
    ("policy.proto", "soft-deleted: 1 second to {} years", [limits.MAX_RETENTION_YEARS]),
    ("error_reason.proto", "names the first {} of them", [limits.NAMED_READERS]),
    ("message_service.proto", "inherited ones among them: 1 to {} ranges", [limits.MAX_VERSION_RANGES]),
    ("message_service.proto", "`ranges` at least 1 and at most {} in all", [limits.MAX_REDACTED_MESSAGES]),
    ("message_service.proto", "Are messages by ranges: at most {}.", [limits.MAX_VERSION_RANGES]),
    ("message_service.proto", "for the receipt; at most {} characters", [limits.MAX_REASON_CHARS]),
    ("message_service.proto", "then those with copies; at most {}.", [limits.MAX_NAMED_LOGS]),
    ("context_service.proto", "its parent last; the nearest {}.", [limits.MAX_ANCESTORS]),
    (
        "context_service.proto",
        "messages of each side to return at most: 0 is the default of {}; above {} it is {}",
        [limits.DEFAULT_MESSAGE_PAGE, limits.MAX_PAGE, limits.MAX_PAGE],
    ),
    (
        "context_service.proto",
        "also ends at {} MiB of content or one message of a side",
        [limits.COMPARED_BYTES // limits.MIB],
    ),
    (
        "context_service.proto",
        "forks to return at most: 0 is the default of {}; above {} it is {}",
        [limits.DEFAULT_CONTEXT_PAGE, limits.MAX_PAGE, limits.MAX_PAGE],
    ),
    ("error_reason.proto", "deeper than the server allows: {}", [limits.MAX_FORK_DEPTH]),
    ("error_reason.proto", "as many forks as the server allows: {}", [limits.MAX_FORKS]),
    ("error_reason.proto", "as many watches as it takes, {} for each worker", [limits.MAX_WATCHERS]),
]


@pytest.mark.holds("I12")
@pytest.mark.parametrize(("proto", "phrase", "numbers"), NUMBERS, ids=[phrase[:40] for _, phrase, _ in NUMBERS])
def test_numbers_in_the_protos_are_the_limits(proto: str, phrase: str, numbers: list[object]) -> None:
    comments = re.sub(r"\s*\n\s*//\s*", " ", (PROTOS / proto).read_text())
    assert phrase.format(*(f"{number:,}" for number in numbers)) in comments
