"""The tokenizers: exact counts of those that are there, estimates from above for the others."""

from __future__ import annotations

import asyncio
import random
import string
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kata_grpc.domain.messages import Image, Media, Message, Role, Text, TokenCountSource, ToolCall, ToolResult
from kata_grpc.domain.tokens import Counted
from kata_grpc.tokenizers import Tokenizers

TOKENIZERS = Tokenizers()
EXACT = ["cl100k_base", "o200k_base"]
ANY = [*EXACT, "claude-3-5-sonnet", "some-model"]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    TOKENIZERS.warm()


def count(text: str, tokenizer: str) -> int:
    [counted] = TOKENIZERS.count_now([Message(Role.USER, text)], tokenizer)
    return counted.tokens


# Sent alone as a user's message, each of these was billed by OpenAI at its count and 7 tokens of framing.
BILLED = [
    ("Tell me a short joke", "o200k_base", 5),
    ("Hello", "cl100k_base", 1),
    ("Tell me a joke", "cl100k_base", 4),
    ("Tell me a joke about opentelemetry", "cl100k_base", 8),
    ("What is a good name for a company that makes colorful socks?", "cl100k_base", 13),
    ("write 10 lines of random text about $colorful socks", "cl100k_base", 12),
    ("Is Berlin the capital of Germany? Answer with yes or no", "cl100k_base", 12),
    ("Tell me a joke about OpenTelemetry, pirate style", "cl100k_base", 11),
    (
        "Please generate a question about Paul Graham's life regarding the following topic YCombinator",
        "cl100k_base",
        17,
    ),
]


@pytest.mark.parametrize(("text", "tokenizer", "tokens"), BILLED)
def test_counts_are_those_that_were_billed(text: str, tokenizer: str, tokens: int) -> None:
    assert count(text, tokenizer) == tokens


# Three implementations, one of them in use here, agree on these.
@pytest.mark.parametrize(
    ("text", "cl100k", "o200k"),
    [
        ("<|endoftext|>", 7, 7),
        ("<|endofprompt|>", 7, 7),
        ("\0" * 10, 10, 5),
        ("👩‍👩‍👧‍👦", 18, 11),
        ("a" * 8, 1, 1),
        ("123456", 2, 2),
        ("नमस्ते दुनिया", 13, 5),
        ("你好，世界", 6, 3),
    ],
)
def test_counts_of_unusual_texts(text: str, cl100k: int, o200k: int) -> None:
    assert (count(text, "cl100k_base"), count(text, "o200k_base")) == (cl100k, o200k)


@pytest.mark.parametrize("tokenizer", EXACT)
def test_special_tokens_are_plain_text(tokenizer: str) -> None:
    for special in ("<|endoftext|>", "<|im_start|>", "<|fim_prefix|>", "<|return|>"):
        assert count(special, tokenizer) > 3


def test_harmony_counts_as_its_base() -> None:
    assert count("<|start|>Hello", "o200k_harmony") == count("<|start|>Hello", "o200k_base")


@pytest.mark.parametrize("tokenizer", ANY)
@given(text=TEXTS)
def test_only_nothing_is_free(tokenizer: str, text: str) -> None:
    tokens = count(text, tokenizer)

    assert (tokens == 0) == (text == "")
    assert tokens <= len(text.encode()) + 1


@pytest.mark.parametrize("tokenizer", EXACT)
@given(left=TEXTS, right=TEXTS)
def test_text_counted_in_two_pieces_is_hardly_less_than_in_one(tokenizer: str, left: str, right: str) -> None:
    """It is not `<=`: "  " + "63" is three tokens, its pieces one each."""
    assert count(left + right, tokenizer) <= count(left, tokenizer) + count(right, tokenizer) + 3


@pytest.mark.parametrize("tokenizer", ["some-model", "claude-3-5-sonnet"])
@given(text=TEXTS)
def test_an_estimate_is_not_below_the_tokenizers_that_are_known(tokenizer: str, text: str) -> None:
    assert count(text, tokenizer) >= min(len(text.encode()), max(count(text, known) for known in EXACT))


def test_an_estimate_gives_a_token_to_each_digit() -> None:
    assert count("0123456789" * 100, "llama-2") >= 1_000


@pytest.mark.parametrize("tokenizer", EXACT)
@pytest.mark.parametrize("text", ["a" * 1_000_000, " " * 1_000_000, "\n" * 1_000_000, "ab" * 500_000, "1" * 1_000_000])
def test_a_megabyte_of_one_thing_is_fast(tokenizer: str, text: str) -> None:
    started = time.perf_counter()
    count(text, tokenizer)

    assert time.perf_counter() - started < 1.0


def test_the_registry_says_what_it_has() -> None:
    assert all(TOKENIZERS.has(name) for name in TOKENIZERS.names)
    assert {"o200k_base", "cl100k_base"} <= set(TOKENIZERS.names)
    assert not any(TOKENIZERS.has(name) for name in ("", "O200K_BASE", "gpt-4o", "claude-3-5-sonnet"))


@pytest.mark.holds("P16")
def test_the_source_says_how_a_count_came_about() -> None:
    text = Message(Role.USER, "Hello")
    image = Message(Role.USER, parts=(Text("Hello"), Image(Media(url="https://example.com/a.png"))))

    sources = [c.source for name in ("o200k_base", "other") for c in TOKENIZERS.count_now([text, image], name)]

    estimated = TokenCountSource.ESTIMATED
    assert sources == [TokenCountSource.COUNTED, estimated, estimated, estimated]


def conversation() -> list[Message]:
    return [
        Message(Role.SYSTEM, "Be brief."),
        Message(Role.USER, "What is the weather?", name="Ann"),
        Message(Role.ASSISTANT, parts=(ToolCall("1", "weather", '{"city": "Paris"}'),)),
        Message(Role.TOOL, parts=(ToolResult("1", "sunny"),)),
        Message(Role.ASSISTANT, ""),
    ]


@pytest.mark.parametrize("tokenizer", ANY)
async def test_counting_at_once_and_on_a_thread_agree(tokenizer: str) -> None:
    small = conversation()
    large = small * 500

    counts = await TOKENIZERS.count(large, tokenizer)

    assert counts == (await TOKENIZERS.count(small, tokenizer)) * 500
    assert counts == TOKENIZERS.count_now(large, tokenizer)


async def test_many_small_messages_do_not_hold_the_event_loop() -> None:
    """After a moment the rest goes to a thread, and the loop goes on."""
    small = [Message(Role.USER, f"{n} is the number of this message, of which there are many.") for n in range(20_000)]
    turns = 0
    counting = asyncio.ensure_future(TOKENIZERS.count(small, "o200k_base"))
    while not counting.done():
        await asyncio.sleep(0)
        turns += 1

    assert turns > 2
    assert counting.result() == TOKENIZERS.count_now(small, "o200k_base")


async def test_a_registry_that_is_not_warm_loads_off_the_event_loop() -> None:
    cold = Tokenizers()

    [counted] = await cold.count([Message(Role.USER, "Hello")], "cl100k_base")

    assert counted == Counted(1, 0, TokenCountSource.COUNTED)
    cold.close()


async def test_the_event_loop_goes_on_while_a_large_text_is_counted() -> None:
    """The thread may hold the interpreter for its switch interval of 5 ms; the bound leaves room for a busy machine."""
    letters = random.Random(1).choices(string.ascii_lowercase, k=4_000_000)
    counting = asyncio.ensure_future(TOKENIZERS.count([Message(Role.USER, "".join(letters))], "o200k_base"))
    lags = []
    while not counting.done():
        started = time.perf_counter()
        await asyncio.sleep(0.001)
        lags.append(time.perf_counter() - started)
    [counted] = counting.result()

    assert counted.tokens > 1_000_000
    assert sorted(lags)[len(lags) * 9 // 10] < 0.05
    assert len(lags) > 10


def test_threads_count_alike() -> None:
    texts = [f"{i} " + "The quick brown fox. " * (i % 50) + "ü" * i for i in range(200)]
    expected = [count(text, "o200k_base") for text in texts]
    wrong: list[int] = []

    def check() -> None:
        for _ in range(20):
            wrong.extend(i for i, text in enumerate(texts) if count(text, "o200k_base") != expected[i])

    threads = [threading.Thread(target=check) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []
