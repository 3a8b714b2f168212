"""The messages of a request: checked, and taken over as the drafts that the service stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc import limits
from kata_grpc.codec import ROLE_OF_NUMBER, encode_body, from_proto, plain_body
from kata_grpc.domain.compactions import MARK
from kata_grpc.domain.messages import Message
from kata_grpc.services.messages import Draft

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kata.context.v1 import message_pb2

    from kata_grpc.transport.validate import Checker


def drafts_of(check: Checker, messages: Sequence[message_pb2.Message], call_bytes: int) -> list[Draft]:
    """Check a batch and take its messages over: what is left of them is what is stored.

    The drafts are complete where the checker has no violations. `call_bytes` is the size of the call that brought them.
    """
    check.batch(messages, call_bytes)
    drafts = []
    for index, message in enumerate(messages[: limits.MAX_APPEND_MESSAGES + 1]):
        # Almost all messages are a role and a text: of those there is little to check, and what is stored is known.
        body = plain_body(message)
        if body is not None and len(body) <= limits.MAX_MESSAGE_BYTES and not (text := message.text).startswith(MARK):
            drafts.append(Draft(Message(ROLE_OF_NUMBER[message.role], text), body))
            continue
        check.message(f"messages[{index}]", message)
        if not check.violations:
            given = message.token_count if message.HasField("token_count") else None
            tokenizer = message.tokenizer
            drafts.append(Draft(from_proto(message), encode_body(message), given, tokenizer))
    return drafts
