"""What is found in messages, what is not, and how calls went: by what stands there, in time linear in it."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings

from kata_grpc.compaction import Artifact, ArtifactKind, Numbered, Outcome, extract
from kata_grpc.compaction.artifacts import MAX_ARTIFACT_CHARS, find, stands_in
from kata_grpc.domain.messages import File, Image, Media, Message, Reasoning, Refusal, Role, Text, ToolResult, Unknown
from tests.unit import dialect_cases as c

PATH, URL, IDENTIFIER = ArtifactKind.PATH, ArtifactKind.URL, ArtifactKind.IDENTIFIER
QUANTITY, SYMBOL, ARGUMENT = ArtifactKind.QUANTITY, ArtifactKind.SYMBOL, ArtifactKind.ARGUMENT

FOUND = [
    ("Look at /usr/lib/python3.11/foo.py:12, please.", {"/usr/lib/python3.11/foo.py": PATH}),
    ("src/aider/main.py and README.md, in ./docs/", {"src/aider/main.py": PATH, "README.md": PATH, "./docs/": PATH}),
    ("C:\\Users\\ann\\a.txt", {"C:\\Users\\ann\\a.txt": PATH}),
    ("[this](https://a.example/c?d=1&e=%20), or http://b.example.",
     dict.fromkeys(("https://a.example/c?d=1&e=%20", "http://b.example"), URL)),
    ("job 123e4567-e89b-12d3-a456-426614174000", {"123e4567-e89b-12d3-a456-426614174000": IDENTIFIER}),
    ("commit 04fff71 fixes ABC-123 and #45", {"04fff71": IDENTIFIER, "ABC-123": IDENTIFIER, "#45": IDENTIFIER}),
    ("user sara_doe_496 (sara@example.org)", {"sara_doe_496": IDENTIFIER, "sara@example.org": IDENTIFIER}),
    ("reservation ZFA04Y, flight HAT001", {"ZFA04Y": IDENTIFIER, "HAT001": IDENTIFIER}),
    ("os.path.join of numpy 1.26.4", {"os.path.join": IDENTIFIER, "1.26.4": IDENTIFIER}),
    ("call 010-67177790 or 4421486", {"010-67177790": IDENTIFIER, "4421486": IDENTIFIER}),
    ("it took 12 ms, 45% of $1,234.50", {"12 ms": QUANTITY, "45%": QUANTITY, "$1,234.50": QUANTITY}),
    ("on 2024-05-20 at 10:30:00", {"2024-05-20": QUANTITY, "10:30:00": QUANTITY}),
    ("门票59元,电话是01067177790", {"59元": QUANTITY, "01067177790": IDENTIFIER}),
    ("run_all, parseArgs, TestRepo, --no-verify",
     dict.fromkeys(("run_all", "parseArgs", "TestRepo", "--no-verify"), SYMBOL)),
    ("class Foo(Bar):\n    def go(self): std::sort()", {"Foo": SYMBOL, "go": SYMBOL, "std::sort": SYMBOL}),
    ("'a\\nimport foo_bar'", {"foo_bar": SYMBOL}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FOUND)
def test_details_are_found_by_their_form(text: str, expected: dict[str, ArtifactKind]) -> None:
    assert find(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Plain words of a sentence, and/or others; he said (so) it's well-known, e.g. here.",
        "the 1st and 22nd of 3 or 7",
        "<system>text</system>",
        "\x00\x00",
        "12\nms 3\u00a0kg",
        "…!?—" * 50,
        "x" * (MAX_ARTIFACT_CHARS + 1) + "_1",
    ],
)
def test_prose_and_content_hold_none(text: str) -> None:
    assert find(text) == {}


def test_names_of_json_members_are_no_symbols_but_data_that_stands_as_a_name_is_found() -> None:
    result = c.tool(ToolResult("1", '{"flight_number": "HAT001", "seats_left": {"HAT002": 4421486}}'))
    found = {artifact.text for artifact in extract([Numbered(1, result)])}
    assert found == {"HAT001", "HAT002", "4421486"}


def test_an_artifact_has_the_versions_of_all_messages_that_hold_it() -> None:
    messages = [c.user("open a.py"), c.assistant("well"), c.user("a.py and b.py")]
    found = extract(Numbered(version, message) for version, message in enumerate(messages, 3))
    assert found == [Artifact(PATH, "a.py", (3, 5)), Artifact(PATH, "b.py", (5,))]


def test_what_was_given_to_a_tool_is_found_whatever_its_form() -> None:
    call = c.call(
        "1",
        '{"city": "New York", "n": 2, "path": "a.py", "note": "two\\nlines", "on": true, "many": "' + "x " * 40 + '"}',
    )
    found = {artifact.text: artifact.kind for artifact in extract([Numbered(1, c.assistant(call))])}
    assert found == {"New York": ARGUMENT, "a.py": PATH, "1": ArtifactKind.TOOL_CALL}


OUTCOMES = [
    (ToolResult("1", "All 7 tests passed"), Outcome.ANSWERED, None),
    (ToolResult("1", ""), Outcome.ANSWERED, None),
    (ToolResult("1", "no such file", is_error=True), Outcome.FAILED, None),
    (ToolResult("1", "…\n[The command completed with exit code 2.]"), Outcome.FAILED, 2),
    (ToolResult("1", '{"output": "", "exit_code": 127}'), Outcome.FAILED, 127),
    (ToolResult("1", "Process exited with code -9"), Outcome.FAILED, -9),
    (ToolResult("1", "exit code: 1", is_error=False), Outcome.FAILED, 1),
    (ToolResult("1", "ValueError: seen in the log that was asked for\nexit code 0"), Outcome.ANSWERED, 0),
    (ToolResult("1", "Traceback (most recent call last):\n  x\nKeyError: 'a'", is_error=False), Outcome.ANSWERED, None),
    (ToolResult("1", "a\nTraceback (most recent call last):\n  File x\nKeyError: 'a'"), Outcome.FAILED, None),
    (ToolResult("1", "Error: reservation not found"), Outcome.FAILED, None),
    (ToolResult("1", '{"error": "not allowed"}'), Outcome.FAILED, None),
    (ToolResult("1", '{"error": null, "rows": 3}'), Outcome.ANSWERED, None),
    (ToolResult("1", "1 passed\n2 passed\nCommand timed out after 30 s"), Outcome.TIMED_OUT, None),
    (ToolResult("1", None, (Text("killed"), Text("exit code 137"))), Outcome.FAILED, 137),
]


@pytest.mark.holds("P13")
@pytest.mark.parametrize(("result", "outcome", "code"), OUTCOMES)
def test_errors_stay_errors(result: ToolResult, outcome: Outcome, code: int | None) -> None:
    artifact = extract([Numbered(1, c.assistant(c.call("1"))), Numbered(2, c.tool(result))])[-1]
    assert artifact.run is not None
    assert (artifact.kind, artifact.text, artifact.versions) == (ArtifactKind.TOOL_CALL, "1", (1, 2))
    assert (artifact.run.outcome, artifact.run.exit_code) == (outcome, code)
    assert outcome is Outcome.ANSWERED or artifact.run.detail


def test_an_exit_code_at_the_end_of_megabytes_counts() -> None:
    long = ToolResult("1", "all is well\n" * 200_000 + "exit code 3")
    (artifact,) = extract([Numbered(1, c.assistant(c.call("1"))), Numbered(2, c.tool(long))])
    assert artifact.run is not None
    assert (artifact.run.outcome, artifact.run.exit_code) == (Outcome.FAILED, 3)


def test_calls_are_answered_by_what_follows_them_and_ids_may_come_again() -> None:
    messages = [
        c.assistant(c.call("1"), c.call("2")),
        c.tool(c.result("2", is_error=True)),
        c.assistant(c.call("1")),
        c.tool(c.result("1")),
        c.tool(c.result("9")),
    ]
    runs = [artifact.run for artifact in extract(map(Numbered, range(1, 6), messages))]
    assert [(run.id, run.version, run.result_version, run.outcome) for run in runs if run] == [
        ("1", 1, 0, Outcome.UNANSWERED),
        ("2", 1, 2, Outcome.FAILED),
        ("1", 3, 4, Outcome.ANSWERED),
    ]


ODD = [
    (Message(Role.ASSISTANT), set()),
    (c.user(""), set()),
    (c.assistant(Refusal("I cannot open a.py")), {"a.py"}),
    (c.assistant(Reasoning("b.py it is", "c2ln")), {"b.py"}),
    (c.user(Image(Media(url="https://a.example/c.png"))), {"https://a.example/c.png"}),
    (c.user(Image(Media(url="data:image/png;base64,AAAA1111"))), set()),
    (c.user(File(Media(file_id="file-1a2b3c"), filename="d.pdf")), {"file-1a2b3c", "d.pdf"}),
    (c.user(Unknown("video", '{"type": "video", "at": "e.mp4"}')), {"e.mp4"}),
    (c.user("a.py\x00b.py"), {"a.py", "b.py"}),
    (c.user("https://a.example/\x00\x1b[0;1m"), {"https://a.example"}),
    (c.assistant(c.call("1", "not json: f.py")), {"f.py", "1"}),
    (c.assistant(c.call("1", '{"half": "\\ud800", "cut": "https://a.example/\\ud800"}')), {"https://a.example", "1"}),
    (c.tool(ToolResult("1", "[" * 100_000)), set()),
    (c.tool(ToolResult("1", f'[{"9" * 5_000}, "g.py"]')), {"g.py"}),
]


@pytest.mark.parametrize(("message", "expected"), ODD)
def test_odd_messages_are_read_as_far_as_they_can_be(message: Message, expected: set[str]) -> None:
    found = {artifact.text for artifact in extract([Numbered(1, message)])}
    assert {text.rstrip("/") for text in found} == expected


@settings(max_examples=200)
@given(c.conversations())
def test_whatever_is_stored_can_be_extracted_and_written_down(messages: list[Message]) -> None:
    found = extract(map(Numbered, range(1, len(messages) + 1), messages))
    assert found == extract(map(Numbered, range(1, len(messages) + 1), messages))
    for artifact in found:
        assert artifact.versions == tuple(sorted(artifact.versions))
        if artifact.kind is not ArtifactKind.TOOL_CALL:
            assert 1 < len(artifact.text) <= MAX_ARTIFACT_CHARS
            assert artifact.text.encode()
            assert artifact.text.isprintable()


def test_the_order_does_not_depend_on_the_process() -> None:
    script = (
        "from kata_grpc.compaction import *; from kata_grpc.domain.messages import *;"
        "print([a.text for a in extract([Numbered(1, Message(Role.USER, 'b.py a.py ABC-1 x_y 3 ms c.py'))])])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {"['b.py', 'a.py', 'ABC-1', 'x_y', '3 ms', 'c.py']\n"}


ADVERSARIES = [
    "1,", "1.1", "a", "a/", "a.", "a_", "aB3_", "-", ":a1", "://", "http://", "def ", "$1", "1 m", "\\n", "\\", "</",
    "</a", "\x1b[0;1", "a@", "a@b.", "(", "()", "x1-", "Error: ", "\nError", "Traceback (most recent call last)\n",
    "exit code ", "[", '{"a":', '"', "。", "?", "a? ", "é", "语", "\x00", " ", "\n",
]  # fmt: skip


@pytest.mark.parametrize("unit", ADVERSARIES)
def test_two_megabytes_of_anything_take_seconds(unit: str) -> None:
    result = ToolResult("1", unit * (2_000_000 // len(unit)))
    started = time.perf_counter()
    extract(
        [Numbered(1, c.assistant(c.call("1"))), Numbered(2, c.tool(result)), Numbered(3, c.user(result.text or ""))]
    )
    assert time.perf_counter() - started < 10


def test_different_pieces_of_the_longest_form_take_no_more() -> None:
    """Each piece is as long as is looked at, none equals another, and each nearly has many forms."""
    pieces = (f"{'a_' * 120}{number}.{'B-' * 100}{'/x' * 20}!" for number in range(4_000))
    started = time.perf_counter()
    find(" ".join(pieces))
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    ("name", "text", "there"),
    [
        ("a.py", "see a.py.", True),
        ("a.py", "src/a.py", False),
        ("a.py", "src/a.py or a.py", True),
        ("a.py", "a.pyc", False),
        ("12", "[12]", True),
        ("12", "1 123 0.12 12.5 12-3", False),
        ("self.x", "«self.x»", True),
    ],
)
def test_a_name_stands_in_a_text_as_a_whole(name: str, text: str, there: bool) -> None:
    assert stands_in(name, text) is there


def test_the_mark_of_the_provider_is_not_overruled_by_words() -> None:
    quoted = ToolResult("1", "Error: is what the page says", is_error=False)
    for result, outcome in ((quoted, Outcome.ANSWERED), (replace(quoted, is_error=None), Outcome.FAILED)):
        (artifact,) = extract([Numbered(1, c.assistant(c.call("1"))), Numbered(2, c.tool(result))])
        assert artifact.run is not None
        assert artifact.run.outcome is outcome
