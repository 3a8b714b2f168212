"""Whether a text may stand for hidden messages: what is no summary hides nothing.

It looks at form alone. What a summary tells of errors and refusals is part of it: only a text that begins as the
answer of a broken service or as a refusal does, and is as short as those are, is taken for one.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import Any

OVER_PERCENT = 25
"""By how much a summary may miss its target: models count badly, and callers may count with another tokenizer."""
OVER_TOKENS = 64
"""The same, for small targets."""
_SHORT_CHARS = 600
"""Refusals and lines of error are no longer; a summary that is longer may begin as it likes."""


class Rejection(StrEnum):
    """Why a text is no summary."""

    EMPTY = "empty"
    REFUSED = "refused"
    ERROR_TEXT = "error_text"
    NOT_SHORTER = "not_shorter"
    TOO_LONG = "too_long"
    INVALID = "invalid"


def check(text: str, *, tokens: int, input_tokens: int, target_tokens: int) -> tuple[Rejection, ...]:
    """Return everything that speaks against a summary of `tokens` for what takes `input_tokens`; nothing: it may stand.

    The gravest comes first.
    """
    found = [*check_text(text)]
    if tokens >= input_tokens:
        found.append(Rejection.NOT_SHORTER)
    if tokens > most_tokens(target_tokens):
        found.append(Rejection.TOO_LONG)
    return tuple(found)


def check_text(text: str) -> tuple[Rejection, ...]:
    """Return what speaks against a text, however long it is."""
    found = []
    if _is_invalid(text):
        found.append(Rejection.INVALID)
    said = _bare(text)
    written = _bare(_without_artifacts(text))
    if _is_empty(said):
        found.append(Rejection.EMPTY)
    elif _is_refusal(written):
        found.append(Rejection.REFUSED)
    elif _is_error(written):
        found.append(Rejection.ERROR_TEXT)
    return tuple(found)


def most_tokens(target_tokens: int) -> int:
    """Return how many tokens a summary with this target may take."""
    return target_tokens + max(target_tokens * OVER_PERCENT // 100, OVER_TOKENS)


def _is_invalid(text: str) -> bool:
    if "\0" in text:
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


_ARTIFACT_LINE = re.compile(r"\s*|## Artifacts|\[v\d{1,18}(?:-v\d{1,18})?\] .*")
_FENCE = re.compile(r"\A```\w{0,20}\n(.*?)\n?```\Z", re.DOTALL)
_MARKS = " \t\r\n*_#>\"'“”«»"


def _bare(text: str) -> str:
    """Return a text without what it is wrapped in: a code fence, quotation marks, emphasis."""
    text = text.strip()
    if fenced := _FENCE.match(text):
        text = fenced[1]
    return text.strip(_MARKS).replace("’", "'")


def _without_artifacts(text: str) -> str:
    """Return a text without the artifact section, which is put behind an answer whatever that was."""
    lines = text.splitlines()
    while lines and _ARTIFACT_LINE.fullmatch(lines[-1]):
        lines.pop()
    return "\n".join(lines)


# --- nothing ----------------------------------------------------------------------------------------------------------

_NO_VALUES = frozenset({"null", "none", "undefined", "nan", "n/a", "[object object]", "no response"})


def _is_empty(said: str) -> bool:
    """Whether nothing is said: spaces, marks, invisible characters, or how languages of programs write nothing."""
    return not any(map(str.isalnum, said)) or said.rstrip(".").lower() in _NO_VALUES


# --- refusals ---------------------------------------------------------------------------------------------------------

# In the past tense it is a story: "I could not find the booking".
_CANNOT = (
    r"(?:can't|cannot|can not|won't|will not|am (?:unable|not able)|'m (?:unable|not able)|decline|refuse|"
    r"don't feel comfortable|'m not comfortable|am not comfortable|'m not going|am not going)"
)
# What a summary in the first person says that it cannot do is something else: "I cannot write to /etc".
_ASKED = (
    r"(?:(?:help|assist|comply|engage|engaging)\b|summari[sz]|fulfil|do (?:that|this|so)\b|"
    r"(?:provid|creat|writ|produc|generat|complet|process|continu|discuss|proceed|shar|answer|respond|mak|giv|offer)\w*"
    r"(?: to| with)?(?: (?:that|this|it)(?=\s*(?:\Z|[.,;:!?]))|"
    r"[^.!?\n]{0,40}\b(?:summar|"
    r"(?:the|this|your) (?:request|conversation)(?=\s*(?:\Z|[.,;:!?]|because|as|since|due)))))"
)
_SORRY = r"(?:(?:I'm|I am|We're|We are)?\s?(?:\w+ ){0,2}sorry|(?:I|We) (?:\w+ )?apologi[sz]e|My apologies|Apologies)\b"
_TALK = r"(?:messages?|conversation|text|transcript|content|chat)"
_GIVEN = r"(?:to summari[sz]e|provided|included|shared|attached|here|above|in (?:your|this) (?:message|prompt|request))"
_REFUSALS = tuple(
    re.compile(rf"\A(?:{form})", re.IGNORECASE)
    for form in (
        (
            rf"{_SORRY}[^.!?\n]{{0,120}}[.!?,;:—–-]?\s*(?:but |and |however,? |unfortunately,? )?"
            rf"(?:I|we) ?(?:{_CANNOT}|don't|do not|have no)\b"
        ),
        (
            r"(?:(?:Unfortunately|Regrettably|As an AI)\b[^.!?\n]{0,120}?\b)?"
            rf"I ?{_CANNOT}(?: to| from| with)?(?: \w+ly)? {_ASKED}"
        ),
        (
            r"I ?(?:must|have to|need to|will have to|(?:'m|am) going to have to) (?:decline|refuse)"
            r"(?: to (?:help|assist|comply|summar)| summar| (?:this|that|your) (?:request|task)\b|\W*\Z)"
        ),
        rf"As an AI\b[^.!?\n]{{0,60}}, I ?(?:{_CANNOT}|don't|do not)\b",
        # There is nothing to summarise, or it was not understood what is.
        (
            r"I (?:don't|do not|can't|cannot) (?:see|have|find) (?:any |the |a |access to (?:any |the |a )?)?"
            rf"(?:previous |prior |earlier )?{_TALK}\b[^.!?\n]{{0,60}}\b{_GIVEN}"
        ),
        (
            r"(?:(?:It (?:looks|seems|appears)(?: like)?(?: that)? )?there (?:is|are) |"
            rf"It (?:looks|seems|appears)(?: like)?(?: that)? )no {_TALK}\b[^.!?\n]{{0,40}}\b{_GIVEN}"
        ),
        (
            r"It (?:looks|seems|appears)(?: like)?(?: that)? (?:you (?:haven't|have not|didn't|did not|forgot)|"
            rf"(?:the|your) {_TALK} (?:is|was|are|were) (?:empty|missing|not (?:provided|included|shared|attached)))"
        ),
        (
            r"(?:Please|Could you(?: please)?|Can you(?: please)?) (?:provide|share|paste|send)\b"
            rf"[^.!?,;\n]{{0,80}}\b{_TALK}\b[^.!?,;\n]{{0,60}}\bsummar"
        ),
        # Filters in front of the model.
        (
            r"(?:The|This|Your) (?:response|request|prompt|content|message|input|output) (?:was|has been|is|violates|"
            r"may violate)\b[^.\n]{0,80}\b(?:content (?:management|filter|polic|moderation)|usage polic|moderation|"
            r"safety (?:system|guideline|polic|filter))"
        ),
        # The usual beginnings in other languages.
        r"(?:Es tut mir leid|Tut mir leid|Entschuldigung)\b.{0,40}\bich kann\b",
        r"Ich kann (?:\w+ ){0,3}nicht (?:helfen|zusammenfassen)\b",
        r"(?:Je suis désolée?|Désolée?)\b.{0,40}\bje ne (?:peux|suis)\b",
        r"(?:Lo siento|Lo lamento)\b.{0,40}\bno (?:puedo|me es)\b",
        r"(?:Desculpe|Sinto muito|Lamento)\b.{0,40}\bnão posso\b",
        r"(?:Mi dispiace|Spiacente)\b.{0,40}\bnon posso\b",
        r"(?:抱歉|对不起|對不起|很抱歉).{0,12}(?:无法|無法|不能)",
        r"(?:申し訳|すみません).{0,40}(?:できません|できかねます|できない)",
        r"(?:К сожалению|Извините|Простите).{0,40}не могу",
    )
)


_CITES = re.compile(r"\[v\d{1,18}")


def _is_short(said: str) -> bool:
    """Whether a text is as short as refusals and lines of error are, and cites nothing, which they do not."""
    return len(said) <= _SHORT_CHARS and not _CITES.search(said)


def _is_refusal(said: str) -> bool:
    return _is_short(said) and any(form.match(said) for form in _REFUSALS)


# --- errors -----------------------------------------------------------------------------------------------------------

_ENVELOPE = frozenset({
    "cause", "code", "correlation_id", "detail", "details", "documentation_url", "domain", "error", "error_code",
    "error_description", "error_type", "errors", "exception", "help", "id", "instance", "message", "messages", "meta",
    "msg", "object", "ok", "param", "path", "reason", "request_id", "requestid", "retry_after", "service", "stack",
    "status", "status_code", "statuscode", "success", "timestamp", "title", "trace", "trace_id", "traceid", "type",
})  # fmt: skip
"""Members of the objects in which services tell of an error, in small letters; a summary in JSON has others, too."""
_TELLS = frozenset({"detail", "message", "msg", "title"})
_CODES = frozenset({"code", "status", "status_code", "statuscode"})
_BAD_CODE = re.compile(
    r"[45]\d\d|.*(?:error|invalid|limit|exceeded|quota|time_?d?_?out|unavailable|denied|unauthori[sz]ed|forbidden|"
    r"not_?found|overloaded|exhausted)",
    re.IGNORECASE | re.DOTALL,
)

_SDK_ERRORS = (
    r"(?:API|APIStatus|APIConnection|APITimeout|APIResponseValidation|RateLimit|InternalServer|Authentication|BadRequest|"
    r"PermissionDenied|Overloaded|ServiceUnavailable|UnprocessableEntity|InvalidRequest|ContextWindowExceeded|"
    r"ContentPolicyViolation)Error"
)
_HTTP_ERRORS = (
    r"(?:Connection|ConnectionRefused|ConnectionReset|Connect|Read|Write|Pool|HTTP|HTTPStatus|RemoteProtocol|NotFound|"
    r"ClientConnector|ServerDisconnected|Timeout)(?:Error|Timeout|Exception)"
)
_STATUSES = (
    r"(?:Bad Request|Unauthorized|Payment Required|Forbidden|Not Found|Method Not Allowed|Request Timeout|"
    r"Payload Too Large|Request Entity Too Large|Unprocessable (?:Entity|Content)|Too Many Requests|"
    r"Internal Server Error|Not Implemented|Bad Gateway|Service (?:Temporarily )?Unavailable|Gateway Time-?out|"
    r"Overloaded)"
)
_LONG_ERRORS = re.compile(
    r"\A(?:<!doctype html|<html[\s>]|<head[\s>]|<\?xml[^>]{0,80}\?>\s*<(?:!doctype|html|error)|<error>|"
    r"Traceback \(most recent call last\):|HTTP/\d(?:\.\d)? [45]\d\d|"
    r"Exception in thread \"|panic: .{0,500}?\n\s*goroutine \d)",
    re.IGNORECASE | re.DOTALL,
)
"""What nothing but an error begins with, however long it is."""
_ONLY = r"[^.!?\n]{0,160}[.!?]?(?: (?:Please|Try|Retry)\b[^\n]{0,200})?\Z"
"""A sentence ends, and nothing but advice follows."""
_SHORT_ERRORS = tuple(
    re.compile(rf"\A(?:{form})", re.IGNORECASE)
    for form in (
        rf"(?:(?:[a-z_]{{1,40}}\.){{1,4}}(?:{_SDK_ERRORS}|{_HTTP_ERRORS})|{_SDK_ERRORS})(?::|\(|\Z)",
        rf"{_HTTP_ERRORS}\(",
        rf"(?:{_HTTP_ERRORS}|(?:[\w.-]{{1,40}} ){{0,2}}\w{{0,40}}error|fatal)(?::? ?\Z|: ?{_ONLY})",
        rf"\[(?:error|fatal)\]{_ONLY}",
        (
            r"(?:API |HTTP |Server |Request )?Error(?: code)?:? ?\(?[45]\d\d\)?"
            rf"(?:\.?\Z| ?[{{\[]| ?[-:–—] ?(?:[{{\[]|{_ONLY}))"
        ),
        rf"(?:(?:HTTP |Status |Error:? )?(?:code:? )?[45]\d\d:? )?{_STATUSES}[.!]?(?:\Z|\n|: ?{_ONLY})",
        r"[45]\d\d(?:\Z| (?:Client|Server) Error: )|<Response \[[45]\d\d\]>?\Z|data: \[DONE\]\Z",
        r"\{'(?:error|detail)': ",
        r"(?:upstream (?:connect error|request timeout|prematurely closed)|no healthy upstream|stream timeout)",
        (
            r"(?:Error: )?(?:Rate limit reached for|You exceeded your current quota|Incorrect API key provided|"
            r"This model's maximum context length|"
            r"The server (?:had an error while|encountered an? (?:internal )?error)|"
            r"An (?:internal |unexpected )?error (?:has )?occurred while processing)"
        ),
        (
            r"(?:Error: )?(?:Rate limit (?:reached|exceeded)|Invalid API key|"
            r"Connection (?:error|refused|reset|timed out)|"
            r"(?:The )?(?:request|connection|operation|model|server|engine) (?:timed out|is (?:currently )?overloaded)|"
            r"(?:(?:I'm |I am )?sorry, )?something went wrong|We(?:'re| are) experiencing|"
            r"Failed to fetch|fetch failed|socket hang up|connect E[A-Z]{4,}|"
            rf"An (?:internal |unexpected )?error (?:has )?occurred)\b{_ONLY}"
        ),
        r"(?:Uncaught )?(?:\w{1,40})?Error: [^\n]{0,300}\n\s+at \S",
    )
)


def _is_error(said: str) -> bool:
    if _LONG_ERRORS.match(said) or _is_error_json(said):
        return True
    return _is_short(said) and any(form.match(said) for form in _SHORT_ERRORS)


def _is_error_json(said: str) -> bool:
    # A stream that broke off is one event of it.
    said = said.removeprefix("event: error\n").removeprefix("data:").strip()
    if not said.startswith(("{", "[")):
        return False
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        return False
    values = value if isinstance(value, list) else [value]
    return bool(values) and all(map(_is_error_value, values))


def _is_error_value(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    members = {str(key).lower(): held for key, held in value.items()}
    if not members.keys() <= _ENVELOPE:
        return False
    if any(members.get(name) for name in ("error", "exception", "error_code", "error_description", "error_type")):
        return True
    if isinstance(errors := members.get("errors"), list) and any(isinstance(one, dict) for one in errors):
        return True
    # {"detail": "Not Found"} of some frameworks, {"code": 429, "message": "…"} of others.
    codes = (str(members[name]) for name in _CODES & members.keys())
    is_bad = "error" in (members.get("type"), members.get("object")) or any(map(_BAD_CODE.match, codes))
    return members.keys() == {"detail"} or bool(is_bad and members.keys() & _TELLS)
