"""What a message costs beyond its content: nothing where it is ordinary, and else what its dearest dialect adds."""

from __future__ import annotations

import importlib
import os
import random

import pytest

from kata_grpc.dialects import surcharge
from kata_grpc.domain.messages import File, Image, Media, Message, Reasoning, Role, Text, ToolCall, ToolResult, Unknown
from kata_grpc.domain.tokens import measure
from kata_grpc.tokenizers import Tokenizers
from tests.unit import dialect_cases as c
from tests.unit.pictures import png
from tests.unit.talk import ODD, Talk

MODULE = importlib.import_module("kata_grpc.dialects.surcharge")
SEED = int(os.environ.get("KATA_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
COUNT = Tokenizers().counter("o200k_base")
PICTURE = Image(Media(data=png(640, 480), media_type="image/png"))

ORDINARY = [
    c.user("Hi"),
    c.user("Hi", name="Ann"),
    c.user("Hi", "there"),
    c.assistant(""),
    c.system(""),
    c.assistant(Reasoning("Hm."), "Let me look.", c.call("1", '{"path":"a"}')),
    c.assistant(Reasoning("Hm.", "c2ln"), c.call("1", '{"path":"a"}')),
    c.tool(c.result("1"), c.result("2")),
    c.tool(c.result("1", is_error=True)),
    c.tool(ToolResult("1", None, (Text("found"), Text("more")))),
    c.user(c.result("1"), "Go on."),
    c.user("What is this?", PICTURE),
]


@pytest.mark.parametrize("message", ORDINARY)
def test_ordinary_messages_cost_nothing_more(message: Message) -> None:
    assert surcharge(message, COUNT) == 0


def arguments(text: str) -> Message:
    return c.assistant(ToolCall("1", "look", text))


ODDITIES = [
    (c.user(""), COUNT("[empty message]")),
    (arguments(""), COUNT("{}")),
    (arguments("not json"), COUNT('{"arguments":"not json"}') - COUNT("not json")),
    (c.assistant("One.", "Two."), 4),
    (c.user("Hi", name="Ann Lee"), COUNT("Ann_Lee") - COUNT("Ann Lee")),
    (c.user(Unknown("video", "{}")), COUNT("[content of type video]") - COUNT("{}")),
]


@pytest.mark.parametrize(("message", "tokens"), ODDITIES)
def test_odd_messages_cost_what_is_sent_for_them(message: Message, tokens: int) -> None:
    assert surcharge(message, COUNT) == tokens


@pytest.mark.parametrize(
    "part",
    [
        Image(Media(file_id=100 * ODD)),
        Image(Media(url="https://a.b/" + 100 * ODD)),
        File(Media(data=b"x", media_type=100 * ODD), 100 * ODD),
        File(Media(file_id=100 * ODD)),
        Unknown(100 * ODD, "{}"),
    ],
)
def test_stand_ins_are_bounded(part: Image | File | Unknown) -> None:
    """Some two texts of 200 characters, at four tokens each."""
    assert surcharge(Message(Role.TOOL, None, (ToolResult("1", None, (part,)),)), COUNT) < 2_000


@pytest.mark.holds("I5")
def test_ordinary_messages_are_found_to_be_so_at_length_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The short look at a message agrees with the long one."""
    print(f"\nKATA_TEST_SEED={SEED}")
    talk = Talk(SEED)
    messages = [message for _ in range(400) for message in talk.conversation()]
    ordinary = [message for message in messages if MODULE._is_sent_as_it_is(message, COUNT)]
    monkeypatch.setattr(MODULE, "_is_sent_as_it_is", lambda _message, _count: False)

    assert len(ordinary) > len(messages) // 10
    for message in (*ORDINARY, *ordinary):
        assert surcharge(message, COUNT) == 0, message


def test_a_surcharge_is_items_that_cover_it() -> None:
    message = Message(Role.USER, "Hi")
    assert [measure(message, COUNT, surcharge=more).items for more in (0, 1, 8, 9)] == [0, 1, 1, 2]


def test_text_is_counted_as_text_however_its_type_is_spelled() -> None:
    """Some dialects send it as text, so that it costs what it says and not what is taken for an unknown file."""
    file = File(Media(data=b"word " * 20_000, media_type=" Text/Plain; charset=utf-8"))
    assert measure(Message(Role.USER, None, (file,)), COUNT).tokens == COUNT("word " * 20_000)
