"""Conversations to render: builders, a generator of all that can be stored, and windows cut by the pure engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from kata_grpc.dialects import WindowMessage
from kata_grpc.domain.messages import (
    LEGACY_CALL,
    ContentForm,
    File,
    Image,
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
)
from kata_grpc.domain.tokens import FRAMING, Counted, measure
from kata_grpc.domain.windows import Dialect, Entry, Kept, TailSelector

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
PDF = b"%PDF-1.7 nothing"

# --- builders ---------------------------------------------------------------------------------------------------------


def user(*parts: str | Part, name: str = "") -> Message:
    return spoken(Role.USER, *parts, name=name)


def assistant(*parts: str | Part, model: str = "") -> Message:
    return spoken(Role.ASSISTANT, *parts, model=model)


def system(*parts: str | Part) -> Message:
    return spoken(Role.SYSTEM, *parts)


def spoken(role: Role, *parts: str | Part, name: str = "", model: str = "") -> Message:
    if len(parts) == 1 and isinstance(parts[0], str):
        return Message(role, parts[0], name=name, model=model)
    return Message(role, None, tuple(Text(p) if isinstance(p, str) else p for p in parts), name=name, model=model)


def call(call_id: str, arguments: str = "{}", name: str = "look") -> ToolCall:
    return ToolCall(call_id, name, arguments)


def result(call_id: str, text: str = "found", *, is_error: bool | None = None) -> ToolResult:
    return ToolResult(call_id, text, is_error=is_error)


def tool(*results: ToolResult) -> Message:
    return Message(Role.TOOL, None, results)


def numbered(*messages: Message) -> list[WindowMessage]:
    """Messages as the log numbers and groups them."""
    return list(map(WindowMessage, range(1, len(messages) + 1), groups_of(messages)[0], messages))


# --- groups, as the log finds them ------------------------------------------------------------------------------------


def groups_of(messages: Sequence[Message]) -> tuple[list[int], list[dict[str, list[int]]]]:
    """The group of each message, and the calls that are open after it with the groups that wait."""
    waiting: dict[str, list[int]] = {}
    groups, after = [], []
    for version, message in enumerate(messages, start=1):
        found = [waiting[r.key].pop() for r in message.results() if waiting.get(r.key)]
        alone = message.answers_only or message.role is Role.TOOL
        groups.append(max(found) if found else 0 if alone and any(message.results()) else version)
        for made in message.calls():
            waiting.setdefault(made.key, []).append(groups[-1])
        after.append({key: list(where) for key, where in waiting.items() if where})
    return groups, after


# --- windows, as the engine cuts them ---------------------------------------------------------------------------------


def roughly(message: Message) -> Counted:
    return measure(message, lambda text: len(text) // 4 + 1)


@dataclass(frozen=True)
class Log:
    """A conversation with what the engine needs of it."""

    messages: Sequence[Message]
    entries: Sequence[Entry]
    open_after: Sequence[Mapping[str, list[int]]]

    @classmethod
    def of(cls, messages: Sequence[Message], count: Callable[[Message], Counted] = roughly) -> Log:
        groups, open_after = groups_of(messages)
        entries = []
        for version, (message, group) in enumerate(zip(messages, groups, strict=True), start=1):
            counted = count(message)
            entries.append(Entry(version, group, message.role.value, counted.tokens, counted.items))
        return cls(messages, entries, open_after)

    def cost(self, version: int) -> int:
        """More than all of the log up to a version costs."""
        return sum(entry.tokens + 10 + 40 * entry.items for entry in self.entries[:version])

    def window(self, version: int, budget: int, dialect: Dialect) -> list[WindowMessage] | None:
        """The window at a version; None where the engine would refuse."""
        cut = self.cut(version, budget, dialect)
        return None if cut is None else cut[0]

    def cut(self, version: int, budget: int, dialect: Dialect) -> tuple[list[WindowMessage], int] | None:
        """The window at a version, and what it costs; None where the engine would refuse."""
        framing = FRAMING[dialect]
        entries = self.entries[:version]
        pins = [entry for entry in entries if entry.pinned]
        fixed = framing.prime + sum(entry.cost.framed(framing) + framing.per_label for entry in pins)
        waiting = {group for groups in self.open_after[version - 1].values() for group in groups}
        turn = max((e.version for e in entries if e.role == Role.USER and self._opens_turn(e)), default=0)
        kept = Kept()
        while True:
            allowance = budget - fixed - kept.cost().framed(framing)
            selector = TailSelector(allowance, framing, waiting, kept.groups)
            for entry in reversed(entries):
                if selector.feed(entry):
                    break
            if allowance < 0 or selector.refused or (selector.newest and dialect.starts_on_user and not turn):
                return None
            start = selector.start or version + 1
            if turn and turn < start and not kept.entries:
                kept = kept.plus(entries[turn - 1])
            else:
                break
        out = selector.abandon()
        if dialect.starts_on_user and not kept.entries:
            starts = (e.version for e in entries if e.role == Role.USER and e.group_version == e.version >= start)
            start = next(starts, start)
        members = [
            entry
            for entry in entries
            if entry.pinned
            or entry.version in kept.groups
            or (start <= entry.group_version and entry.group_version not in out)
        ]
        cost = fixed + sum(entry.cost.framed(framing) for entry in members if not entry.pinned)
        return [WindowMessage(e.version, e.group_version, self.messages[e.version - 1]) for e in members], cost

    def _opens_turn(self, entry: Entry) -> bool:
        return not any(self.messages[entry.version - 1].results())


# --- everything that can be stored ------------------------------------------------------------------------------------

TEXTS = ["", " ", "\n\t", "hello", "a longer text ", "ümläut 語", '"quoted" \\ and \x01', "Error: none"]
CALL_IDS = ["a", "b", "c", "a_v3", "functions.look:0", "x" * 70, "語"]
TOOL_NAMES = ["look", "look", "shell.run", "9lives", "", "n" * 130, "名前", "mcp:tool/x"]
ARGUMENTS = [
    "{}",
    ' {"b" : 1.0, "a": 1e400, "c":[1, 2]} ',
    '{"a": 1, "a": 2}',
    '{"deep": {"a": [{"b": 1, "b": 1}]}}',
    '{"half": "\\ud800"}',
    "[1]",
    "null",
    "",
    "  ",
    "not json",
    '{"cut": ',
    '{"n": NaN}',
    '{"語": "\\u8a9e"}',
    "[" * 200 + "]" * 200,
    '{"d":' * 90 + "1" + "}" * 90,
]

texts = st.one_of(
    st.sampled_from(TEXTS),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
call_ids = st.one_of(
    st.sampled_from(CALL_IDS),
    st.text("ab.-|é", min_size=1, max_size=4),
)
tool_names = st.sampled_from(TOOL_NAMES)
arguments = st.one_of(
    st.sampled_from(ARGUMENTS),
    st.dictionaries(texts, st.integers() | texts, max_size=2).map(str),
)
DATA = [PNG, PDF, b"", b"plain", b"  ", b"\xff\xfe", b"GIF89a...", b"RIFF....WEBPVP8 "]
TYPES = ["", "", "image/png", "image/tiff", "application/pdf", "text/plain", "Text/Plain; charset=utf-8"]
WEB = ["https://a.b/c.png", "http://a.b/c", "https://a.b/d.pdf?x=1", "https://", "https://a b/c"]
URLS = [*WEB, "ftp://a/b", "", "data:image/png;base64,AA", "data:,x", "gs://a/b.png"]
FILE_IDS = ["file-abc", "file_abc", "", "file x"]
sources = st.one_of(
    st.builds(Media, data=st.sampled_from(DATA), media_type=st.sampled_from(TYPES)),
    st.builds(Media, url=st.sampled_from(URLS), media_type=st.sampled_from(["", "image/png"])),
    st.builds(Media, file_id=st.sampled_from(FILE_IDS)),
)
EXTRAS = [
    "",
    "",
    "",
    '{"cache_control":{"type":"ephemeral"}}',
    '{"cache_control":{"type":"ephemeral","ttl":"1h"}}',
    '{"cache_control":{"type":"other"},"index":1}',
    '{"citations":[{"type":"char_location"}],"annotations":[]}',
    '{"citations":{"enabled":true},"context":"of a document"}',
    '{"prompt_cache_breakpoint":{"mode":"explicit"}}',
    '{"broken',
    "[]",
]
UNKNOWNS = [
    Unknown("input_audio", '{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}'),
    Unknown("input_audio", '{"type":"input_audio"}'),
    Unknown("", "17"),
    Unknown("video", '{"type":"video","url":"x"}'),
    Unknown("document", '{"type":"document","source":{"type":"text","media_type":"text/plain","data":"x"}}'),
    Unknown("document", '{"type":"document","source":{"type":"odd"}}'),
    Unknown(
        "search_result",
        '{"type":"search_result","source":"s","title":"t","content":[{"type":"text","text":"x"}],'
        '"cache_control":{"type":"ephemeral"}}',
    ),
    Unknown(
        "search_result",
        '{"type":"search_result","source":"s","title":"t",'
        '"content":[{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}]}',
    ),
    Unknown("server_tool_use", '{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{}}'),
    Unknown("web_search_tool_result", '{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[]}'),
    Unknown("tool_use", "not json"),
]
extras = st.sampled_from(EXTRAS)
unknowns = st.sampled_from(UNKNOWNS)
reasoning = st.one_of(
    st.builds(Reasoning, texts, st.sampled_from([None, "", "c2ln"])),
    st.builds(Reasoning, st.just(""), st.none(), st.sampled_from(["cmVk", ""])),
)
media = st.builds(Image, sources, st.sampled_from(["", "high", "odd"]), extras) | st.builds(
    File, sources, st.sampled_from(["", "a.pdf"]), extras
)
plain_parts = st.one_of(
    st.builds(Text, texts, extras), st.builds(Text, texts, extras), media, st.builds(Refusal, texts), unknowns
)
calls = st.one_of(
    st.builds(ToolCall, call_ids, tool_names, arguments, st.sampled_from(["", "", "function", "custom"]), extras),
    st.builds(ToolCall, st.just(""), st.sampled_from(["look", "find"]), arguments, st.just(LEGACY_CALL)),
)
errors = st.sampled_from([None, None, True, False])
results = st.one_of(
    st.builds(ToolResult, call_ids, texts, is_error=errors, extra_json=extras),
    st.builds(
        ToolResult,
        call_ids,
        st.none(),
        st.lists(plain_parts, max_size=2).map(tuple),
        errors,
        st.just(ContentForm.ARRAY),
    ),
    st.builds(
        ToolResult, st.just(""), texts, name=st.sampled_from(["look", "find"]), type=st.just(LEGACY_CALL)
    ),
)  # fmt: skip
names = st.sampled_from(["", "", "", "Ann", "Ann Lee", "語"])
models = st.sampled_from(["", "", "claude-x", "gpt-x"])


def parts_of(*kinds: st.SearchStrategy[Part]) -> st.SearchStrategy[tuple[Part, ...]]:
    return st.lists(st.one_of(*kinds), max_size=4).map(tuple)


_plain_text = st.builds(
    Message, st.sampled_from([Role.USER, Role.USER, Role.ASSISTANT, Role.SYSTEM, Role.DEVELOPER]), texts, name=names
)
_speech = st.builds(
    Message,
    st.sampled_from([Role.USER, Role.ASSISTANT, Role.ASSISTANT, Role.SYSTEM]),
    st.none(),
    parts_of(plain_parts, reasoning),
    names,
    models,
    metadata_json=st.sampled_from(["", '{"secret":"metadata"}']),
    extra_json=st.sampled_from(["", '{"secret":"extra"}']),
)
_calling = st.builds(
    lambda before, made, after, model: Message(Role.ASSISTANT, None, (*before, *made, *after), model=model),
    parts_of(plain_parts, reasoning),
    st.lists(calls, min_size=1, max_size=3),
    st.just(()) | parts_of(plain_parts, reasoning),
    models,
)


def key_result(made: ToolCall, text: str) -> ToolResult:
    return ToolResult(made.id, text, name=made.name, type=LEGACY_CALL if made.type == LEGACY_CALL else "")


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Any log: most results answer calls that were made, at any time, in any order, more than once."""
    log: list[Message] = []
    made: list[ToolCall] = []
    for _ in range(draw(st.integers(0, 10))):
        kind = draw(st.sampled_from(["text", "text", "speech", "call", "call", "answer", "answer", "answer", "odd"]))
        if kind == "text":
            log.append(draw(_plain_text))
        elif kind == "speech":
            log.append(draw(_speech))
        elif kind == "call":
            log.append(draw(_calling))
            made += log[-1].calls()
        else:
            answered = draw(st.lists(st.sampled_from(made), min_size=1, max_size=3)) if made and kind != "odd" else []
            given: list[Part] = [key_result(one, draw(texts)) for one in answered] or [draw(results)]
            role = draw(st.sampled_from([Role.TOOL, Role.TOOL, Role.USER]))
            if role is Role.USER:
                given = draw(st.permutations(given + draw(st.lists(plain_parts, max_size=1))))
            log.append(Message(role, None, tuple(given)))
    return log
