"""Artifacts: the details of messages that a summary must not lose, found by what they look like.

Which artifacts a text holds is a function of the text alone: no model, no state, no clock. A text is cut into pieces
by one pass of one expression whose every repetition is bounded or possessive, and each different piece is looked at
once; so time is linear in the text. What is found is data, whatever it says.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from kata_grpc.domain.messages import (
    File,
    Image,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Unknown,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class ArtifactKind(StrEnum):
    """What an artifact is; ARGUMENT is a short value that was given to a tool and has no other form."""

    PATH = "path"
    URL = "url"
    TOOL_CALL = "tool_call"
    IDENTIFIER = "identifier"
    QUANTITY = "quantity"
    SYMBOL = "symbol"
    ARGUMENT = "argument"


class Outcome(StrEnum):
    """How a tool call went. ANSWERED says that nothing in the answer looks like a failure, not that it succeeded."""

    ANSWERED = "answered"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    UNANSWERED = "unanswered"

    @property
    def abnormal(self) -> bool:
        """Whether the call failed or was cut off."""
        return self in (Outcome.FAILED, Outcome.TIMED_OUT)


class Numbered(NamedTuple):
    """A message with its version."""

    version: int
    message: Message


@dataclass(frozen=True, slots=True)
class ToolRun:
    """A tool call and what became of it; `detail` is the line of the answer that tells, or its beginning.

    `part` is the place of the call in the message `version`.
    """

    id: str
    name: str
    arguments: str
    version: int
    part: int
    result_version: int = 0
    outcome: Outcome = Outcome.UNANSWERED
    exit_code: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A detail and the versions of the messages that hold it; a tool call has its id as text and its run beside."""

    kind: ArtifactKind
    text: str
    versions: tuple[int, ...]
    run: ToolRun | None = None


MAX_ARTIFACT_CHARS = 512
"""What is longer is content, not a detail of it."""
MAX_ARGUMENT_CHARS = 48
"""A longer value of an argument is content as well."""
DETAIL_CHARS = 240
_MAX_JSON_CHARS = 8 << 20
_CACHED_PIECES = 1 << 16

_UNITS = (
    r"%|‰|°[CF]?|percent|"
    r"[nµμm]s|s|secs?|seconds?|min|mins|minutes?|h|hrs?|hours?|days?|weeks?|months?|years?|"
    r"[KMGTP]i?B|[kMGTP]b|[KMGT]|bytes?|bits?|[KMG]bps|"
    r"[kMG]?Hz|[kM]?W|[kM]?Wh|[mk]?V|mA|mAh|"
    r"[nmck]?m|km/h|mph|miles?|ft|feet|inch(?:es)?|yd|px|pt|"
    r"[mk]?g|lbs?|oz|tons?|ml|l|liters?|litres?|gal|"
    r"USD|EUR|GBP|CHF|JPY|CNY|INR|dollars?|euros?|cents?|bucks|"
    r"tokens?|lines?|rows?|chars?|characters|words|files?|times|x|people|persons?|passengers?|nights?|stars?|bags?|"
    r"元|分钟|小时|公里|米|天|年|月|日|号|点|岁|人|分"
)
_NUMBER = r"\d{1,15}+(?:[.,]\d{1,12}){0,4}+"
_QUANTITY = rf"[$€£¥₹][ ]?{_NUMBER}(?:[kKMB]\b)?|{_NUMBER}[ ]?(?:{_UNITS})(?![A-Za-z0-9_])"
_WORD = r"A-Za-z0-9_\u00c0-\u024f\u0370-\u058f"
_NEVER = r"\s\x00-\x1f\x7f-\x9f«»\u200b-\u206f\ufeff\ud800-\udfff"
"""What cannot be printed, or would end a quotation in a summary, is in no name."""
_PIECE = re.compile(
    rf"""
    (?:https?|ftp|file|s3|gs|git|ssh|wss?)://[^{_NEVER}"'`<>\\{{}}|^\[\]]++ # an address
    | \x1b\[[\d;?]{{0,32}}[A-Za-z]                                          # a colour or a move of a terminal
    | </[\w:.\-]{{1,80}}+>                                                  # an end tag, which is no path
    | [A-Za-z]:\\(?![nrt"'])[^{_NEVER}"'`<>|*?:(){{}}\[\],;]++              # a path of Windows
    | \\(?:u[0-9a-fA-F]{{4}}|[nrtbf"'\\])                                   # an escape within quoted text
    | (?:def|class|func|function|fn|struct|interface|trait|enum)[ ][A-Za-z_]\w{{1,80}}+(?=\s?[(:<{{])
    | {_QUANTITY}
    | [{_WORD}\-./~@:\#+%$&?!*^]++(?:\(\))?                                 # a word with what may be inside names
    """,
    re.VERBOSE,
)

_EXTENSION = re.compile(
    r"(?i:py|pyi|pyx|ipynb|js|mjs|cjs|jsx|ts|tsx|vue|svelte|java|kt|scala|go|rs|rb|php|c|h|cc|cpp|cxx|hpp|hh|cs|"
    r"swift|m|mm|lua|pl|pm|r|jl|ex|exs|erl|hs|ml|clj|dart|sql|sh|bash|zsh|fish|ps1|bat|cmd|html|htm|css|scss|"
    r"sass|less|xml|xsl|svg|json|jsonl|yaml|yml|toml|ini|cfg|conf|env|lock|md|mdx|rst|txt|tex|log|csv|tsv|"
    r"parquet|pdf|doc|docx|xls|xlsx|ppt|pptx|png|jpg|jpeg|gif|webp|ico|bmp|mp3|mp4|wav|mov|avi|zip|gz|tgz|tar|"
    r"bz2|xz|7z|whl|jar|war|exe|dll|so|dylib|o|a|bin|dat|db|sqlite|proto|graphql|tf|dockerfile|makefile|cmake|"
    r"gradle|patch|diff|rst|snap|tmpl|j2|jinja|scm|out|bak|tmp|pem|key|crt)"
)
_PATH = re.compile(r"(?:[A-Za-z]:)?[\w.\-+@~%/\\#]+")
_ROOTS = ("/", "~/", "./", "../")

_Kinds = tuple[ArtifactKind, ...]
_Forms = tuple[_Kinds, re.Pattern[str]]


def _forms(*forms: tuple[ArtifactKind, str]) -> _Forms:
    """Join forms into one expression whose group tells the kind; no group stands within a form."""
    return tuple(kind for kind, _ in forms), re.compile("|".join(f"({form})" for _, form in forms))


# In this order against the whole of a piece: before paths, and behind them.
_SURE = _forms(
    (ArtifactKind.URL, r"(?:[a-z][a-z0-9+.\-]{1,15}://|www\.)\S{3,}"),
    (ArtifactKind.IDENTIFIER, r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"),
    (ArtifactKind.IDENTIFIER, r"[\w.+\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63}){1,5}"),
    (ArtifactKind.QUANTITY, r"\d{4}-\d\d-\d\d(?:T[\d:.]{4,16}(?:Z|[+\-]\d\d:?\d\d)?)?"),
    (ArtifactKind.QUANTITY, r"\d{1,2}[/.]\d{1,2}[/.]\d{4}|\d{4}/\d{1,2}/\d{1,2}"),
    (ArtifactKind.QUANTITY, r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?:[ap]m)?"),
    (ArtifactKind.QUANTITY, _QUANTITY),
)
_LIKELY = _forms(
    (ArtifactKind.IDENTIFIER, r"v?\d+(?:\.\d+){2,3}(?:[\-+.]?[A-Za-z]+[\w.\-]*)?"),
    (ArtifactKind.IDENTIFIER, r"[A-Za-z_]\w+(?:\.(?=\d*[A-Za-z_])\w++)+"),
    (ArtifactKind.SYMBOL, r"\w+(?:::\w+)+"),
    (ArtifactKind.IDENTIFIER, r"#\d{1,10}|[A-Z][A-Z0-9]{1,9}-\d{1,10}"),
    (ArtifactKind.SYMBOL, r"--[a-z][\w\-]+"),
    (ArtifactKind.IDENTIFIER, r"[A-Za-z]+(?:_[A-Za-z]+)*_\d{3,}"),
    (ArtifactKind.SYMBOL, r"_*[A-Za-z][A-Za-z0-9]*(?:_+[A-Za-z0-9]+)+_*|__[A-Za-z]\w*|_[a-z]\w+"),
    (ArtifactKind.IDENTIFIER, r"(?=.*\d)(?=.*[A-Za-z])(?!\d+(?:st|nd|rd|th)$)[A-Za-z0-9][A-Za-z0-9_\-]{2,}[A-Za-z0-9]"),
    (ArtifactKind.IDENTIFIER, r"\d{5,}|(?=(?:\D*\d){7})\d+(?:-\d+)+"),
    (ArtifactKind.SYMBOL, r"[A-Z]*[a-z]+(?:[A-Z]+[a-z0-9]+)+[A-Z]*|[a-z]+[A-Z]+|[A-Z]{2,}[a-z]{2,}[A-Za-z]*"),
)
_PLAIN = re.compile(r"[A-Za-z\u00c0-\u058f]?[a-z\u00c0-\u058f]*[.!?:]*")
_DEFINITION = re.compile(r"(?:def|class|func|function|fn|struct|interface|trait|enum) (\w+)")
_JOINED_BEFORE = re.compile(r"[\w/.\-]", re.ASCII)
_JOINED_AFTER = re.compile(r"[\w/\-]|\.\w", re.ASCII)
_SPLIT = re.compile(r"[:@&?!*^+#$%]+")
_ENDINGS = ".,:;!?*"
_EDGES = ".,:;!?-*+&^=%$@"


def find(text: str) -> dict[str, ArtifactKind]:
    """Return the artifacts of a text, in the order of their first mention."""
    found: dict[str, ArtifactKind] = {}
    for piece in dict.fromkeys(_PIECE.findall(text)):
        for one, kind in _of_piece(piece) if len(piece) <= MAX_ARTIFACT_CHARS else ():
            found.setdefault(one, kind)
    return found


@lru_cache(maxsize=_CACHED_PIECES)
def _of_piece(piece: str) -> tuple[tuple[str, ArtifactKind], ...]:
    if _PLAIN.fullmatch(piece):
        return ()
    if definition := _DEFINITION.fullmatch(piece):
        return ((definition.group(1), ArtifactKind.SYMBOL),)
    called = piece.endswith("()")
    piece = piece.removesuffix("()").rstrip(_ENDINGS if "(" in piece else _ENDINGS + ")")
    if called and piece.isidentifier():
        return ((piece, ArtifactKind.SYMBOL),)
    for name in dict.fromkeys((piece, piece.strip(_EDGES))):
        if kind := _kind(name):
            return ((name, kind),)
    parts = [part for part in _SPLIT.split(piece) if part and part != piece]
    return tuple(dict.fromkeys(found for part in parts for found in _of_piece(part)))


def _kind(piece: str) -> ArtifactKind | None:
    if len(piece) < 2:
        return None
    return _match(_SURE, piece) or (ArtifactKind.PATH if _is_path(piece) else _match(_LIKELY, piece))


def _match(forms: _Forms, piece: str) -> ArtifactKind | None:
    kinds, form = forms
    found = form.fullmatch(piece)
    return kinds[found.lastindex - 1] if found and found.lastindex else None


def _is_path(piece: str) -> bool:
    if not _PATH.fullmatch(piece) or not any(map(str.isalpha, piece)):
        return False
    if piece.startswith(_ROOTS) or piece[1:3] == ":\\":
        return True
    *folders, name = piece.rstrip("/").split("/")
    stem, dot, extension = name.rpartition(".")
    if dot and stem and _EXTENSION.fullmatch(extension):
        return True
    # "and/or" is none; nor is what lacks a letter to begin with, such as a rate.
    telling = len(folders) > 1 or (bool(folders) and any(not one.isalpha() for one in piece if one != "/"))
    return telling and all(folders)


@dataclass(frozen=True, slots=True)
class Mentions:
    """The artifacts of one message, and which of them stand in arguments of tool calls."""

    found: Mapping[str, ArtifactKind]
    arguments: frozenset[str]


def mentions(message: Message) -> Mentions:
    """Return the artifacts of all parts of a message; calls themselves are `tool_runs`."""
    if message.text is not None and not message.parts:
        return Mentions(_find_in(message.text), frozenset())
    found: dict[str, ArtifactKind] = {}
    arguments: set[str] = set()
    for text in () if message.text is None else (message.text,):
        found.update(_find_in(text))
    for part in message.parts:
        for text in texts(part):
            here = _find_in(text)
            if isinstance(part, ToolCall):
                here.update((value, ArtifactKind.ARGUMENT) for value in _given(part) if value not in here)
                arguments.update(here)
            found = {**here, **found}
    return Mentions(found, frozenset(arguments))


def _given(call: ToolCall) -> Iterator[str]:
    """Yield the short values of a call's arguments that stand on one line."""
    for value in leaves(parse(call.arguments)):
        if 1 < len(value) <= MAX_ARGUMENT_CHARS and value.isprintable() and value.strip() == value:
            yield value


def texts(part: Part) -> Iterator[str]:
    """Yield what of a part can be read."""
    match part:
        case Text(text) | Refusal(text) | Reasoning(text):
            yield text
        case ToolCall():
            yield part.arguments
        case ToolResult():
            if part.text is not None:
                yield part.text
            for inner in part.parts:
                yield from texts(inner)
        case Image(source) | File(source):
            if source.url and not source.url.startswith("data:"):
                yield source.url
            yield from filter(None, (source.file_id, part.filename if isinstance(part, File) else ""))
        case Unknown():
            yield part.json


def _find_in(text: str) -> dict[str, ArtifactKind]:
    """Look into the strings of JSON, where a name of a member is no code symbol: the tool's schema has it."""
    parsed = parse(text)
    if parsed is None:
        return find(text)
    names: dict[str, None] = {}
    found = find("\n".join(leaves(parsed, names)))
    for name, kind in find("\n".join(names)).items():
        if kind is not ArtifactKind.SYMBOL:
            found.setdefault(name, kind)
    return found


def leaves(parsed: object, names: dict[str, None] | None = None) -> Iterator[str]:
    """Yield the strings and numbers of parsed JSON in their order, and add the names of members to `names`."""
    stack = [parsed]
    while stack:
        match stack.pop():
            case dict() as members:
                if names is not None:
                    names.update(dict.fromkeys(members))
                stack.extend(reversed(members.values()))
            case list() as items:
                stack.extend(reversed(items))
            case str() as value:
                yield value
            case _:
                pass


def stands_in(name: str, text: str) -> bool:
    """Whether a name stands in a text as it is written: not as a part of a longer path, word or number."""
    place = text.find(name)
    while place >= 0:
        end = place + len(name)
        if not _JOINED_BEFORE.match(text[max(place - 1, 0) : place]) and not _JOINED_AFTER.match(text[end : end + 2]):
            return True
        place = text.find(name, place + 1)
    return False


def parse(text: str) -> dict[str, object] | list[object] | None:
    """Return the JSON object or array that a text is, numbers as they are spelled, None for any other text."""
    if not text[:64].lstrip().startswith(("{", "[")) or len(text) > _MAX_JSON_CHARS:
        return None
    try:
        parsed = json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict | list) else None


_EXIT = re.compile(
    r"(?i)\b(?:exit(?:ed)?(?:[ _]with)?(?:[ _](?:code|status))?|return[ _]?code)\b[\"']?[:=]?\s{0,3}(-?\d{1,5})\b"
)
_ERROR = re.compile(
    r"(?m)^(?:\[?(?:[A-Z]\w{0,60}(?:Error|Exception)|[Ee]rror|ERROR|FATAL|[Ff]atal|FAILED|panic)\]?[:! ]"
    r"|Traceback \(most recent call last\)).{0,400}"
)
_TIMED_OUT = re.compile(
    r"(?i)\btimed[ _-]?out\b|\btimeout (?:expired|exceeded|after|of)\b"
    r"|TimeoutError|deadline exceeded|SIGKILL"
)
_ENDS = 1_000
"""How much of each end of an answer is searched for an exit code or a time-out: in the middle they are content."""


class Runs:
    """Finds the answers of tool calls; fed with messages in the order of their versions."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[ToolRun]] = {}

    def feed(self, numbered: Numbered) -> Iterator[ToolRun]:
        """Yield the calls that a message answers: of several with one id the newest, as a retry repeats it."""
        version, message = numbered
        for place, part in enumerate(message.parts):
            match part:
                case ToolCall():
                    run = ToolRun(part.id, part.name, part.arguments, version, place)
                    self._waiting.setdefault(part.key, []).append(run)
                case ToolResult() if waiting := self._waiting.get(part.key):
                    yield _answered(waiting.pop(), version, part)
                case _:
                    pass

    def unanswered(self) -> list[ToolRun]:
        """Return the calls that still wait, in order."""
        return sorted((run for runs in self._waiting.values() for run in runs), key=_place)


def _place(run: ToolRun) -> tuple[int, int]:
    return run.version, run.part


def _answered(run: ToolRun, version: int, result: ToolResult) -> ToolRun:
    text = "\n".join(texts(result))
    ends = text if len(text) <= 2 * _ENDS else f"{text[:_ENDS]}\n{text[-_ENDS:]}"
    code = int(found.group(1)) if (found := _EXIT.search(ends)) else None
    line = next(filter(None, map(str.strip, ends.splitlines())), "")
    error = failure(text)
    # The provider's mark and the exit code come first; without either, how the answer begins a line decides.
    unsaid = result.is_error is None and code is None
    failed = bool(result.is_error) or bool(code) or (unsaid and bool(error))
    if (failed or unsaid) and _TIMED_OUT.search(ends):
        outcome = Outcome.TIMED_OUT
    else:
        outcome = Outcome.FAILED if failed else Outcome.ANSWERED
    detail = (error or line if outcome.abnormal else line)[:DETAIL_CHARS]
    return replace(run, result_version=version, outcome=outcome, exit_code=code, detail=detail)


def failure(text: str) -> str:
    """Return the line of a text that tells of an error, "" where none begins so.

    Of a traceback that is its last line; of a JSON object, the member that names the error.
    """
    parsed = parse(text) if len(text) < 1 << 16 else None
    if isinstance(parsed, dict):
        told = parsed.get("error") or parsed.get("is_error") is True
        return json.dumps(parsed, ensure_ascii=False)[:DETAIL_CHARS] if told else ""
    found = _ERROR.search(text)
    if found is None:
        return ""
    if found.group().startswith("Traceback"):
        inner = _ERROR.search(text, found.end())
        return inner.group()[:DETAIL_CHARS] if inner else found.group()
    return found.group()[:DETAIL_CHARS]


def extract(messages: Iterable[Numbered]) -> list[Artifact]:
    """Return the artifacts of messages by first mention, each with the versions that hold it, then their tool calls."""
    kinds: dict[str, ArtifactKind] = {}
    versions: dict[str, list[int]] = {}
    calls = Runs()
    runs: list[ToolRun] = []
    for numbered in messages:
        for text, kind in mentions(numbered.message).found.items():
            kinds.setdefault(text, kind)
            versions.setdefault(text, []).append(numbered.version)
        runs.extend(calls.feed(numbered))
    runs = sorted((*runs, *calls.unanswered()), key=_place)
    return [
        *(Artifact(kind, text, tuple(versions[text])) for text, kind in kinds.items()),
        *map(call_artifact, runs),
    ]


def call_artifact(run: ToolRun) -> Artifact:
    """Return a tool call as an artifact: its id, or its name where it has none."""
    versions = (run.version, run.result_version) if run.result_version else (run.version,)
    return Artifact(ArtifactKind.TOOL_CALL, run.id or run.name, versions, run)
