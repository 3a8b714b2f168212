"""Commands in front of a server that a test plays: answers that the real one gives at most on a bad day."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc
import grpc_testing  # type: ignore[import-untyped]
import pytest
from google.protobuf.any_pb2 import Any as Packed
from google.rpc import error_details_pb2, status_pb2
from kata.context.v1 import message_pb2 as pb
from kata.context.v1 import message_service_pb2 as ms
from kata.context.v1 import window_pb2 as w

from kata_grpc.cli import main
from kata_grpc.cli.remote import Remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONTEXT_ID = str(uuid4())
SECONDS = 20
SERVICE = ms.DESCRIPTOR.services_by_name["MessageService"]
HEADER = ms.StreamWindowResponse(header=w.WindowHeader(context_id=CONTEXT_ID, token_budget=100, message_count=3))
FIRST = ms.StreamWindowResponse(
    chunk=w.WindowChunk(
        messages=[pb.Message(version=version, role=pb.ROLE_USER, text=f"message {version}") for version in (1, 2)]
    )
)
SECOND = ms.StreamWindowResponse(
    chunk=w.WindowChunk(messages=[pb.Message(version=3, role=pb.ROLE_ASSISTANT, text="message 3")])
)
TRAILER = ms.StreamWindowResponse(trailer=w.WindowTrailer(ledger=w.WindowLedger(tail_tokens=60, unused_tokens=40)))


class Played:
    """A server that says what a test has it say."""

    def __init__(self, channel: Any, threads: ThreadPoolExecutor) -> None:
        self._channel = channel
        self._threads = threads

    def start(self, *words: str) -> Future[int]:
        """Starts a command."""
        return self._threads.submit(_status, words)

    def stream(
        self, frames: Sequence[Any], code: grpc.StatusCode, details: str = "", method: str = "StreamWindow"
    ) -> Any:
        """Answers a stream; returns the request."""
        _, request, call = self._channel.take_unary_stream(SERVICE.methods_by_name[method])
        call.send_initial_metadata(())
        for frame in frames:
            call.send_response(frame)
        call.terminate((), code, details)
        return request

    def answer(self, method: str, answer: Any, code: grpc.StatusCode, trailing: Sequence[Any] = ()) -> Any:
        """Answers a unary call; returns the request."""
        _, request, call = self._channel.take_unary_unary(SERVICE.methods_by_name[method])
        call.send_initial_metadata(())
        call.terminate(answer, trailing, code, "refused" if code is not grpc.StatusCode.OK else "")
        return request


def _status(words: Sequence[str]) -> int:
    try:
        return main(words)
    except SystemExit as left:
        return int(left.code or 0)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    channel = grpc_testing.channel([SERVICE], grpc_testing.strict_real_time())
    monkeypatch.setattr(Remote, "channel", lambda _: channel)
    with ThreadPoolExecutor(max_workers=1) as threads:
        yield Played(channel, threads)


def test_a_window_is_put_together_from_its_frames(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    running = played.start("window", CONTEXT_ID, "--budget", "100", "--dialect", "anthropic", "--json")

    request = played.stream([HEADER, FIRST, SECOND, TRAILER], grpc.StatusCode.OK)

    assert running.result(SECONDS) == 0
    expected = ms.StreamWindowRequest(context_id=CONTEXT_ID, token_budget=100)
    assert (request.context_id, request.token_budget) == (expected.context_id, expected.token_budget)
    assert (request.dialect, request.view) == (w.DIALECT_ANTHROPIC, w.VIEW_CURRENT)
    assert not request.HasField("at_version")
    printed = json.loads(capsys.readouterr().out)
    assert [message["text"] for message in printed["messages"]] == ["message 1", "message 2", "message 3"]
    assert printed["trailer"]["ledger"] == {"tailTokens": "60", "unusedTokens": "40"}


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize("frames", [[], [HEADER], [HEADER, FIRST, SECOND]])
def test_a_stream_without_a_trailer_is_not_shown_as_a_window(
    played: Played, capsys: pytest.CaptureFixture[str], frames: list[ms.StreamWindowResponse], options: tuple[str, ...]
) -> None:
    running = played.start("window", CONTEXT_ID, *options)

    played.stream(frames, grpc.StatusCode.OK)

    assert running.result(SECONDS) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "incomplete" in printed.err


def test_a_frame_of_a_newer_server_is_passed_over(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    running = played.start("window", CONTEXT_ID, "--json")

    played.stream([HEADER, FIRST, ms.StreamWindowResponse(), SECOND, TRAILER], grpc.StatusCode.OK)

    assert running.result(SECONDS) == 0
    assert len(json.loads(capsys.readouterr().out)["messages"]) == 3


def test_a_stream_that_breaks_shows_nothing_of_itself(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    running = played.start("window", CONTEXT_ID)

    played.stream([HEADER, FIRST], grpc.StatusCode.UNAVAILABLE, "connection reset")

    assert running.result(SECONDS) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "connection reset" in printed.err


def test_history_asks_for_pages_until_it_has_what_was_wanted(
    played: Played, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page may be shorter than asked for; only an empty token ends the walk."""
    running = played.start("history", CONTEXT_ID, "--limit", "3", "--json")
    pages = [
        ms.ListHistoryResponse(revisions=[ms.Revision(revision=9)], next_page_token="a"),
        ms.ListHistoryResponse(revisions=[ms.Revision(revision=8), ms.Revision(revision=7)], next_page_token="b"),
    ]

    asked = [played.answer("ListHistory", page, grpc.StatusCode.OK) for page in pages]

    assert running.result(SECONDS) == 0
    assert [(request.page_size, request.page_token) for request in asked] == [(3, ""), (2, "a")]
    shown = [json.loads(line)["revision"] for line in capsys.readouterr().out.splitlines()]
    assert shown == ["9", "8", "7"]


def test_a_watch_prints_each_change_on_a_line(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    running = played.start("watch", CONTEXT_ID, "--from-version", "3")
    revision = ms.Revision(
        revision=4, kind=ms.REVISION_KIND_APPEND, first_version=4, last_version=5, role=pb.ROLE_USER, preview="[a]\nb"
    )
    frames = [
        ms.WatchContextResponse(cursor="1", event=ms.WatchEvent(revision=revision, last=True)),
        ms.WatchContextResponse(cursor="2", caught_up=ms.WatchCaughtUp(revision=4, version=5)),
        ms.WatchContextResponse(cursor="3", fell_behind=ms.WatchFellBehind(revision=4)),
        ms.WatchContextResponse(cursor="4", checkpoint=ms.WatchCheckpoint(revision=4)),
    ]

    request = played.stream(frames, grpc.StatusCode.OK, method="WatchContext")

    assert running.result(SECONDS) == 0
    assert (request.context_id, request.from_version, request.include_messages) == (CONTEXT_ID, 3, False)
    lines = capsys.readouterr().out.splitlines()
    assert [word for word in lines[0].split() if word] == [
        *("4", "4", "to", "5", "1970-01-01", "00:00:00", "append", "user", "[a]⏎b"),
    ]
    assert len(lines) == 3, "an event, caught up, fell behind"


def test_a_watch_prints_its_frames_as_json(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    running = played.start("watch", CONTEXT_ID, "--cursor", "c", "--json")
    message = pb.Message(version=1, role=pb.ROLE_USER, text="hi")
    frames = [
        ms.WatchContextResponse(cursor="1", event=ms.WatchEvent(messages=[message], last=True)),
        ms.WatchContextResponse(cursor="2", checkpoint=ms.WatchCheckpoint(revision=1)),
    ]

    request = played.stream(frames, grpc.StatusCode.OK, method="WatchContext")

    assert running.result(SECONDS) == 0
    assert (request.cursor, request.include_messages) == ("c", True)
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [frame["cursor"] for frame in shown] == ["1", "2"]
    assert shown[0]["event"]["messages"][0]["text"] == "hi"


def test_every_violation_of_a_refusal_is_told(played: Played, capsys: pytest.CaptureFixture[str]) -> None:
    violations = [
        error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
        for field, description in (("context_id", "is not a UUID"), ("page_token", "is too long"))
    ]
    detail = Packed()
    detail.Pack(error_details_pb2.BadRequest(field_violations=violations))
    status = status_pb2.Status(code=3, message="refused", details=[detail])
    running = played.start("history", CONTEXT_ID)

    trailing = [("grpc-status-details-bin", status.SerializeToString())]
    played.answer("ListHistory", None, grpc.StatusCode.INVALID_ARGUMENT, trailing)

    assert running.result(SECONDS) == 1
    told = capsys.readouterr().err
    assert "INVALID_ARGUMENT" in told
    assert "context_id: is not a UUID" in told
    assert "page_token: is too long" in told
