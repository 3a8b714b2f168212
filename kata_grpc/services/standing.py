"""The message that stands in a window for what a compaction hides: its summary, which is in whatever the budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import UUID

from kata_grpc.codec import derived_record
from kata_grpc.domain.compactions import marked
from kata_grpc.domain.messages import Message, Role, Row, TokenCountSource
from kata_grpc.domain.tokens import Counted
from kata_grpc.domain.windows import Cost, View
from kata_grpc.repositories.compactions import CompactionRepository, InForce

if TYPE_CHECKING:
    from collections.abc import Collection

    from kata_grpc.db.pool import Executor
    from kata_grpc.domain.compactions import Compaction
    from kata_grpc.domain.contexts import TenantId
    from kata_grpc.domain.lineage import Lineage
    from kata_grpc.tokenizers import Tokenizers


@dataclass(frozen=True, slots=True)
class Standing:
    """A summary in a window: its row, which stands behind version `after` of the log, and what it costs."""

    compaction: Compaction
    after: int
    cost: Cost
    exact: bool
    row: dict[str, Any]

    def beside(self, shown: Collection[int]) -> Standing | None:
        """Return it where some of what is hidden is shown all the same: behind what is not; None where all is."""
        for run in reversed(self.compaction.covered):
            after = run.last
            while after in shown:
                after -= 1
            if after >= run.first:
                return replace(self, after=after, row={**self.row, "version": after, "group_version": after})
        return None


async def in_force(
    executor: Executor, lineage: Lineage, tenant: TenantId, row: Row, view: View, version: int, revision: int
) -> Compaction | None:
    """Return the compaction that holds in a view, from the row of a context."""
    if view is View.RAW or not row["compaction_revision"]:
        return None
    compactions = CompactionRepository(executor, tenant)
    found = InForce(row["compaction_revision"], row["compaction_id"] and UUID(row["compaction_id"]))
    if found.revision > revision:
        found = await compactions.in_force(lineage, revision)
    return await compactions.that_holds(lineage, found.id, version, revision)


def summary_message(compaction: Compaction) -> Message:
    """Return a summary as it is sent."""
    text = marked(compaction.id, compaction.covered[0].first, compaction.last, compaction.summary)
    return Message(Role.USER, text=text)


async def standing(compaction: Compaction, tokenizer: str, context_tokenizer: str, tokenizers: Tokenizers) -> Standing:
    """Return a compaction's summary as it is in a window."""
    message = summary_message(compaction)
    if tokenizer == context_tokenizer:
        source = TokenCountSource.COUNTED if tokenizers.has(tokenizer) else TokenCountSource.ESTIMATED
        counted = Counted(compaction.summary_tokens, 0, source)
    else:
        (counted,) = await tokenizers.count([message], tokenizer)
    first, last = compaction.covered[0].first, compaction.last
    record = derived_record(message, counted, tokenizer, compaction.context_id, compaction.id, first, last)
    row = {
        "version": last,
        "group_version": last,
        "role": message.role,
        "token_count": counted.tokens,
        "item_count": counted.items,
        "token_count_source": counted.source,
        "digest": sha256(record).digest(),
        "record": record,
    }
    cost = Cost(counted.tokens, 1, counted.items)
    return Standing(compaction, last, cost, counted.source is TokenCountSource.COUNTED, row)
