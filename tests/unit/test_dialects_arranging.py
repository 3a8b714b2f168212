"""Groups by call ids: results behind their calls, in call order, and nothing dropped or made up without a word."""

from __future__ import annotations

import pytest

from kata_grpc.dialects import Arranged, What, WindowMessage, arrange
from kata_grpc.dialects.arranging import NO_RESULT
from kata_grpc.domain.messages import LEGACY_CALL, Message, Reasoning, Role, Text, ToolCall, ToolResult
from tests.unit.dialect_cases import assistant, call, numbered, result, system, tool, user

pytestmark = pytest.mark.holds("I6")


def shape(arranged: Arranged) -> list[tuple[int, list[tuple[str, str | None]]]]:
    """Each turn's version, and the ids of its calls with the text of their results."""
    return [
        (turn.version, [(e.call.id, e.result.text if e.result else None) for e in turn.exchanges])
        for turn in arranged.turns
    ]


def report(arranged: Arranged) -> list[tuple[int, What]]:
    return [(adjustment.version, adjustment.what) for adjustment in arranged.adjustments]


def test_results_stand_in_call_order_though_they_came_in_another() -> None:
    arranged = arrange(
        numbered(user("go"), assistant(call("a"), call("b"), call("c")), tool(result("c", "3")), tool(result("a", "1")),
                 tool(result("b", "2")))
    )  # fmt: skip

    assert shape(arranged) == [(1, []), (2, [("a", "1"), ("b", "2"), ("c", "3")])]
    assert report(arranged) == []
    assert arranged.pending == ()


def test_a_result_that_came_after_other_messages_stands_behind_its_call() -> None:
    arranged = arrange(
        numbered(assistant(call("a")), user("meanwhile"), assistant("yes?"), tool(result("a", "late")), user("thanks"))
    )

    assert shape(arranged) == [(1, [("a", "late")]), (2, []), (3, []), (5, [])]


def test_an_id_used_again_is_matched_to_the_nearest_call_before_that_is_open() -> None:
    arranged = arrange(
        numbered(assistant(call("a")), tool(result("a", "first")), assistant(call("a")), tool(result("a", "second")))
    )

    assert shape(arranged) == [(1, [("a", "first")]), (3, [("a", "second")])]


def test_results_that_came_together_with_text_leave_the_text_a_turn() -> None:
    arranged = arrange(numbered(assistant(call("a")), user(result("a", "1"), "and now this")))

    assert shape(arranged) == [(1, [("a", "1")]), (2, [])]
    assert arranged.turns[1].parts == (Text("and now this"),)


def test_orphans_and_duplicates_are_dropped_with_a_reason() -> None:
    arranged = arrange(
        numbered(tool(result("x")), assistant(call("a")), tool(result("a", "1")), tool(result("a", "2")), user("ok"))
    )

    assert shape(arranged) == [(2, [("a", "1")]), (5, [])]
    assert [(a.version, a.what, a.why) for a in arranged.adjustments] == [
        (1, What.DROPPED, "a result without its call 'x'"),
        (4, What.DROPPED, "a second result of call 'a'"),
    ]


def test_calls_of_the_newest_group_wait() -> None:
    arranged = arrange(numbered(user("go"), assistant(call("a"), call("b")), tool(result("b", "2"))))

    assert shape(arranged) == [(1, []), (2, [("a", None), ("b", "2")])]
    assert [waiting.id for waiting in arranged.pending] == ["a"]
    assert report(arranged) == []


def test_a_system_message_does_not_come_between_a_waiting_call_and_the_result_to_come() -> None:
    arranged = arrange(numbered(user("go"), assistant(call("a")), system("be brief")))

    assert [turn.version for turn in arranged.turns] == [1, 3, 2]
    assert report(arranged) == [(3, What.MOVED)]


def test_an_abandoned_call_gets_an_error_that_is_flagged() -> None:
    arranged = arrange(
        numbered(user("go"), assistant(call("a"), call("b")), tool(result("b", "2")), user("never mind"))
    )

    (first, second) = arranged.turns[1].exchanges
    assert first.synthesized
    assert first.result == ToolResult("a", NO_RESULT, is_error=True, name="look")
    assert not second.synthesized
    assert report(arranged) == [(2, What.SYNTHESIZED)]


def test_an_abandoned_call_can_be_dropped_and_takes_the_reasoning_of_its_turn_with_it() -> None:
    thought = Reasoning("hm", "signed")
    messages = numbered(user("go"), assistant(thought, "let me", call("a"), call("b")), tool(result("b")), user("no"))

    arranged = arrange(messages, unanswered="drop")

    assert shape(arranged) == [(1, []), (2, [("b", "found")]), (4, [])]
    assert arranged.turns[1].parts == (Text("let me"),)
    assert report(arranged) == [(2, What.DROPPED), (2, What.DROPPED)]
    assert thought in arrange(messages).turns[1].parts


def test_legacy_calls_are_matched_by_name() -> None:
    made = ToolCall("", "look", "{}", LEGACY_CALL)
    answer = ToolResult("", "found", name="look", type=LEGACY_CALL)

    assert shape(arrange(numbered(assistant(made), tool(answer), user("ok")))) == [(1, [("", "found")]), (3, [])]


def test_what_the_log_knows_of_groups_counts_more_than_ids() -> None:
    """The call that a result answers is not in the window: an older one of the same id is not answered by it."""
    log = numbered(assistant(call("a")), assistant(call("a"), call("b")), tool(result("b")), user(result("z"), "x"))
    late = WindowMessage(5, 0, tool(result("a", "of neither")))

    assert shape(arrange([log[0], late, WindowMessage(6, 6, user("ok"))])) == [(1, [("a", NO_RESULT)]), (6, [])]


def test_groups_that_are_not_known_are_found_by_ids() -> None:
    messages = [
        WindowMessage(version, None, message)
        for version, message in enumerate([user("go"), assistant(call("a")), tool(result("a")), user("ok")], start=1)
    ]

    assert shape(arrange(messages)) == [(1, []), (2, [("a", "found")]), (4, [])]
    assert arrange(messages[:2]).pending == (call("a"),)


def test_content_after_a_call_stands_before_it() -> None:
    arranged = arrange(numbered(assistant(call("a"), "I have called"), tool(result("a"))))

    assert arranged.turns[0].parts == (Text("I have called"),)
    assert report(arranged) == [(1, What.MOVED)]


def test_a_message_given_twice_counts_once() -> None:
    (pinned,) = numbered(system("be kind"))

    assert [turn.version for turn in arrange([pinned, pinned]).turns] == [1]


def test_only_an_assistant_calls() -> None:
    arranged = arrange(numbered(Message(Role.USER, None, (Text("do"), call("a"))), tool(result("a"))))

    assert shape(arranged) == [(1, [])]
    assert report(arranged) == [(1, What.DROPPED), (2, What.DROPPED)]
