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

_CANNOT = (
    r"(?:can't|cannot|can not|could not|couldn't|won't|will not|am (?:unable|not able)|'m (?:unable|not able)|"
    r"(?:must|have to|need to) (?:decline|refuse)|decline|refuse|don't feel comfortable|'m not comfortable|"
    r"am not comfortable|'m not going|am not going)"
)
_ASKED = (
    r"(?:help|assist|summari[sz]|comply|provid|fulfil|do (?:that|this|so)|continu|creat|writ|produc|generat|complet|"
    r"engag|process|respond|answer|discuss|shar|support|proceed|accommodat|offer|giv(?:e|ing) you|"
    r"mak(?:e|ing) (?:a|this))\w*"
)
_SORRY = r"(?:(?:I'm|I am|We're|We are)?\s?(?:\w+ ){0,2}sorry\b|(?:I|We) (?:\w+ )?apologi[sz]e|My apologies|Apologies)"
_TALK = r"(?:messages?|conversation|text|transcript|content|chat)"
_REFUSALS = tuple(
    re.compile(rf"\A(?:{form})", re.IGNORECASE)
    for form in (
        (
            rf"{_SORRY}[^.!?\n]{{0,120}}[.!?,;:—–-]?\s*(?:but |and |however,? |unfortunately,? )?"
            rf"(?:I|we) ?(?:{_CANNOT}|don't|do not|have no)\b"
        ),
        rf"(?:Unfortunately|Regrettably|As an AI)\b[^.!?\n]{{0,120}}?\bI ?{_CANNOT}\b",
        rf"I ?{_CANNOT}(?: to| from| with)?(?: \w+ly)? {_ASKED}\b",
        # There is nothing to summarise, or it was not understood what is.
        (
            r"I (?:don't|do not|can't|cannot) (?:see|have|find) (?:any |the |a |access to (?:any |the |a )?)?"
            rf"(?:previous |prior |earlier )?{_TALK}\b"
        ),
        (
            r"(?:It (?:looks|seems|appears)(?: like)?(?: that)? |There (?:is|are) )"
            r"(?:you|no|there|the (?:message|conversation))[^.!?\n]{0,120}"
            r"\b(?:empty|missing|provided?|included?|shared?|to summari[sz]e)\b"
        ),
        (
            r"(?:Please|Could you(?: please)?|Can you(?: please)?) (?:provide|share|paste|send)\b"
            rf"[^.!?\n]{{0,80}}\b{_TALK}\b[^.!?\n]{{0,60}}\bsummar"
        ),
        # Filters in front of the model.
        (
            r"(?:The|This|Your) (?:response|request|prompt|content|message|input|output)"
            r"(?: was| has been| is| violates| may violate)? ?(?:\w+ )?"
            r"(?:blocked|filtered|flagged|rejected|refused|our |the )"
            r"[^.\n]{0,80}(?:policy|policies|filter|filtering|guidelines|safety|moderation)"
        ),
        # The usual beginnings in other languages.
        r"(?:Es tut mir leid|Tut mir leid|Entschuldigung)\b.{0,40}\bich kann\b",
        r"(?:Je suis désolée?|Désolée?)\b.{0,40}\bje ne (?:peux|suis)\b",
        r"(?:Lo siento|Lo lamento)\b.{0,40}\bno (?:puedo|me es)\b",
        r"(?:Desculpe|Sinto muito|Lamento)\b.{0,40}\bnão posso\b",
        r"(?:Mi dispiace|Spiacente)\b.{0,40}\bnon posso\b",
        r"(?:抱歉|对不起|對不起|很抱歉).{0,12}(?:无法|無法|不能)",
        r"(?:申し訳|すみません).{0,40}(?:できません|できかねます|できない)",
        r"(?:К сожалению|Извините|Простите).{0,40}не могу",
    )
)


def _is_refusal(said: str) -> bool:
    return len(said) <= _SHORT_CHARS and any(form.match(said) for form in _REFUSALS)


# --- errors -----------------------------------------------------------------------------------------------------------

_ENVELOPE = frozenset({
    "cause", "code", "correlation_id", "detail", "details", "documentation_url", "domain", "error", "error_code",
    "error_description", "error_type", "errors", "exception", "help", "id", "instance", "message", "meta", "msg",
    "object", "ok", "param", "path", "reason", "request_id", "requestid", "retry_after", "service", "stack", "status",
    "status_code", "statuscode", "success", "timestamp", "title", "trace", "trace_id", "traceid", "type",
})  # fmt: skip
"""Members of the objects in which services tell of an error, in small letters; a summary in JSON has others, too."""
_FAILURES = frozenset({"error", "errors", "exception", "error_code", "error_description", "error_type"})
_TELLS = frozenset({"detail", "message", "msg", "title"})
_CODES = frozenset({"code", "status", "status_code", "statuscode"})

_ERROR_NAMES = (
    r"(?:API|APIStatus|APIConnection|APITimeout|APIResponseValidation|RateLimit|InternalServer|Authentication|BadRequest|"
    r"PermissionDenied|NotFound|Overloaded|ServiceUnavailable|UnprocessableEntity|Conflict|InvalidRequest|Connection|"
    r"ConnectionRefused|ConnectionReset|Connect|Read|HTTP|HTTPStatus|RemoteProtocol|ClientConnector|ServerDisconnected|"
    r"ContextWindowExceeded|ContentPolicyViolation|Timeout)(?:Error|Timeout|Exception)"
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
_SHORT_ERRORS = tuple(
    re.compile(rf"\A(?:{form})", re.IGNORECASE)
    for form in (
        rf"(?:[\w.]{{0,80}}\.)?{_ERROR_NAMES}(?::|\(|\Z)",
        r"(?:API |HTTP |Server |Request )?Error(?: code)?:? ?(?:\(?[45]\d\d\)?)(?: ?[-:–—]|\.?\Z)",
        rf"(?:(?:HTTP |Status |Error:? )?(?:code:? )?[45]\d\d:? )?{_STATUSES}[.!]?\Z",
        r"(?:upstream (?:connect error|request timeout|prematurely closed)|no healthy upstream|stream timeout)",
        (
            r"(?:Error: )?(?:Rate limit (?:reached|exceeded)|You exceeded your current quota|You have exceeded|"
            r"Incorrect API key|Invalid API key|Connection (?:error|refused|reset)\b|"
            r"(?:The )?(?:request|connection|operation|model) (?:timed out|(?:is|are) (?:currently )?overloaded)|"
            r"This model's maximum context length|Failed to fetch\b|fetch failed\b|socket hang up\b|connect E[A-Z]{4,}|"
            r"The server (?:had an error|is overloaded|encountered an? )|"
            r"An (?:internal |unexpected )?error (?:has )?occurred)"
        ),
        r"(?:Uncaught )?(?:\w{1,40})?Error: [^\n]{0,300}\n\s+at \S",
    )
)
_CITES = re.compile(r"\[v\d{1,18}")


def _is_error(said: str) -> bool:
    if _LONG_ERRORS.match(said) or _is_error_json(said):
        return True
    # What cites messages was written about them.
    return len(said) <= _SHORT_CHARS and any(form.match(said) for form in _SHORT_ERRORS) and not _CITES.search(said)


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
    if any(members.get(name) for name in _FAILURES) or members.get("type") == "error":
        return True
    # {"detail": "Not Found"} of some frameworks, {"code": 429, "message": "…"} of others.
    return members.keys() == {"detail"} or bool(members.keys() & _TELLS and members.keys() & _CODES)
