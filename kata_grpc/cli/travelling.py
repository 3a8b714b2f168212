"""The arguments that name a snapshot of a context, and the fields of requests that they are."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp


def add_at_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments; what does not go together, the server says."""
    group = parser.add_argument_group("as of", "The latest where nothing is said. A time or a tag stands alone.")
    group.add_argument("--at-version", type=int, metavar="N", help="as of this version")
    group.add_argument("--at-revision", type=int, metavar="N", help="as of this revision")
    group.add_argument(
        "--at-time", type=_time, metavar="TIME", help="as of this time, as in 2026-01-31T12:00:00Z; UTC unless it says"
    )
    group.add_argument("--at-tag", metavar="NAME", help="as of what this tag names")


def at_fields(args: argparse.Namespace) -> dict[str, Any]:
    """Return the fields that the arguments set."""
    fields = {name: getattr(args, name) for name in ("at_version", "at_revision", "at_time", "at_tag")}
    return {name: value for name, value in fields.items() if value is not None}


def _time(text: str) -> Timestamp:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time in ISO 8601") from error
    proto = Timestamp()
    proto.FromDatetime(time if time.tzinfo else time.replace(tzinfo=UTC))
    return proto
