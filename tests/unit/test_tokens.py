"""Which texts of a message are counted, what stands for content that is not text, and the framing."""

from __future__ import annotations

import base64

import pytest

from kata_grpc.domain.messages import (
    File,
    Image,
    Media,
    Message,
    Reasoning,
    Refusal,
    Role,
    Text,
    TokenCountSource,
    ToolCall,
    ToolResult,
    Unknown,
)
from kata_grpc.domain.tokens import (
    FRAMING,
    IMAGE_TOKENS,
    OPAQUE_TOKENS,
    PDF_PAGE_TOKENS,
    Counted,
    Framing,
    countable,
    image_tokens,
    measure,
)
from kata_grpc.domain.windows import Dialect
from tests.unit.pictures import png

COUNTED, ESTIMATED = TokenCountSource.COUNTED, TokenCountSource.ESTIMATED


def words(text: str) -> int:
    """Stands for a tokenizer whose counts a reader can check."""
    return len(text.split())


def cost(*parts: object, role: Role = Role.ASSISTANT) -> Counted:
    return measure(Message(role, parts=parts), words)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param(Message(Role.USER, "one two three"), Counted(3, 0, COUNTED), id="plain text"),
        pytest.param(Message(Role.USER, ""), Counted(0, 0, COUNTED), id="empty text"),
        pytest.param(Message(Role.ASSISTANT), Counted(0, 0, COUNTED), id="nothing at all"),
        pytest.param(Message(Role.USER, "one two", name="Ann"), Counted(4, 0, COUNTED), id="a name costs one more"),
        pytest.param(
            Message(Role.USER, parts=(Text("one two"), Text("three"))), Counted(3, 0, COUNTED), id="text parts"
        ),
        pytest.param(Message(Role.ASSISTANT, parts=(Refusal("I will not"),)), Counted(3, 0, COUNTED), id="refusal"),
        pytest.param(
            Message(Role.ASSISTANT, parts=(ToolCall("id not counted", "look", '{"a": 1}'),)),
            Counted(3, 1, COUNTED),
            id="a call is its name and its arguments",
        ),
        pytest.param(
            Message(Role.TOOL, parts=(ToolResult("id not counted", "sunny today"),)),
            Counted(2, 1, COUNTED),
            id="result of text",
        ),
        pytest.param(
            Message(Role.TOOL, parts=(ToolResult("1", parts=(Text("one"), Text("two three")), name="look"),)),
            Counted(4, 1, COUNTED),
            id="result of parts, with the name of its tool",
        ),
        pytest.param(
            Message(Role.ASSISTANT, parts=(Reasoning("let me see"), Text("yes"))),
            Counted(4, 0, COUNTED),
            id="reasoning in the open",
        ),
        pytest.param(
            Message(Role.ASSISTANT, parts=(Unknown("new", '{"type": "new"}'),)),
            Counted(2, 0, ESTIMATED),
            id="unknown JSON counts as text, but who knows what it costs",
        ),
        pytest.param(
            Message(Role.USER, "one", metadata_json='{"a": "b c"}', extra_json='{"d": "e f"}', model="m n"),
            Counted(1, 0, COUNTED),
            id="what is not content is free",
        ),
    ],
)
def test_cost_of_a_message(message: Message, expected: Counted) -> None:
    assert expected == measure(message, words)


def test_the_source_of_the_counter_is_passed_on() -> None:
    assert measure(Message(Role.USER, "one"), words, ESTIMATED) == Counted(1, 0, ESTIMATED)


def test_everything_countable_is_found_in_order() -> None:
    image = Image(Media(url="https://example.com/a.png"))
    message = Message(
        Role.ASSISTANT,
        parts=(Text("a"), ToolCall("1", "b", "c"), ToolResult("1", parts=(Text("d"), image)), Refusal("e")),
        name="n",
    )

    assert list(countable(message)) == ["n", "a", "b", "c", "d", image, "e"]


def test_items_are_calls_results_and_media_wherever_they_stand() -> None:
    image = Image(Media(data=png(10, 10)))

    counted = cost(
        ToolCall("1", "a", "{}"),
        ToolCall("2", "b", "{}"),
        ToolResult("1", parts=(image, Text("x"))),
        ToolResult("2", "y"),
        File(Media(file_id="f")),
    )

    assert counted.items == 6


class TestMedia:
    def test_an_image_costs_by_its_size_and_not_by_its_bytes(self) -> None:
        small, large = png(512, 512), png(512, 512, padding=2_600_000)

        assert cost(Image(Media(data=small))) == cost(Image(Media(data=large))) == Counted(350, 1, ESTIMATED)

    def test_an_image_in_a_data_url_costs_the_same(self) -> None:
        url = "data:image/png;base64," + base64.b64encode(png(512, 512, padding=500_000)).decode()

        assert cost(Image(Media(url=url))) == Counted(350, 1, ESTIMATED)

    @pytest.mark.parametrize(
        "source",
        [
            Media(url="https://example.com/a.png"),
            Media(file_id="file-1"),
            Media(data=b"no picture"),
            Media(data=b""),
            Media(url="data:image/png;base64,%%%"),
            Media(url="data:image/png;base64,iVBO"),
            Media(url="data:image/png,raw"),
        ],
    )
    def test_an_image_of_unknown_size_costs_the_most_that_one_can(self, source: Media) -> None:
        assert cost(Image(source)) == Counted(IMAGE_TOKENS, 1, ESTIMATED)

    @pytest.mark.parametrize(
        ("size", "tokens"),
        [
            ((1, 1), 255),
            ((512, 512), 350),
            ((1001, 1001), 1337),  # recorded at 1,296 to 1,306
            ((800, 400), 427),  # two tiles of OpenAI: recorded at 425
            ((2048, 4096), 1640),
            ((100_000, 1), 765),
            ((65_535, 65_535), IMAGE_TOKENS),
        ],
    )
    def test_image_tokens(self, size: tuple[int, int], tokens: int) -> None:
        assert image_tokens(size) == min(tokens, IMAGE_TOKENS)

    def test_a_text_file_is_its_text(self) -> None:
        file = File(Media(data=b"one two", media_type="text/csv"), filename="a.csv")

        assert cost(file) == Counted(3, 1, ESTIMATED)

    def test_a_pdf_is_its_pages(self) -> None:
        data = b"%PDF-1.7 /Type /Pages /Type /Page << /Type/Page >>"

        assert cost(File(Media(data=data, media_type="application/pdf"))).tokens == 2 * PDF_PAGE_TOKENS

    @pytest.mark.parametrize(
        "source", [Media(file_id="f"), Media(url="https://example.com/f"), Media(data=b"\x00" * 9)]
    )
    def test_another_file_costs_a_constant(self, source: Media) -> None:
        assert cost(File(source)) == Counted(OPAQUE_TOKENS, 1, ESTIMATED)

    def test_base64_in_unknown_json_is_not_counted_as_text(self) -> None:
        audio = base64.b64encode(bytes(range(256)) * 4_000).decode()
        part = Unknown("input_audio", f'{{"type": "input_audio", "input_audio": {{"data": "{audio}"}}}}')

        assert cost(part).tokens < OPAQUE_TOKENS + 20

    def test_signed_reasoning_costs_what_its_signature_can_hold(self) -> None:
        assert cost(Reasoning("short", signature="s" * 400)) == Counted(100, 0, ESTIMATED)
        assert cost(Reasoning(redacted_data="s" * 403)) == Counted(101, 0, ESTIMATED)
        assert cost(Reasoning("longer than that", signature="s")) == Counted(3, 0, ESTIMATED)


class TestFraming:
    def test_every_dialect_has_one(self) -> None:
        assert {str(dialect) for dialect in Dialect} == set(FRAMING)

    def test_it_is_found_by_the_dialect_itself(self) -> None:
        assert FRAMING[Dialect.OPENAI_CHAT] == Framing(prime=3, per_message=4, per_item=8, exact=True)

    def test_a_window_costs_the_sum_of_its_parts(self) -> None:
        assert Framing(prime=3, per_message=4, per_item=8).cost(tokens=100, messages=10, items=2) == 159
