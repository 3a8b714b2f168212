"""What each provider's API asks of a conversation, one declarative rule set a dialect.

Nothing here acts: `preparing` applies the rules, the renderers spell the result. Where each rule comes from is in
docs/dialects.md. The validator in `checking` does not read this module, so that a mistake here is found there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from kata_grpc.domain.windows import Dialect

if TYPE_CHECKING:
    from collections.abc import Mapping


class SystemPlace(StrEnum):
    """Where the text of system and developer messages goes."""

    IN_PLACE = "in_place"
    """Each is a message of its own role, where it stands."""
    FIRST_APART = "first_apart"
    """A first one is a field of its own; later ones are items of their own role, where they stand."""
    LEADING_APART = "leading_apart"
    """Those before all others are a field of their own; later ones are labelled text of the user."""


class Place(StrEnum):
    """What content may belong to."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    RESULT = "result"


@dataclass(frozen=True, slots=True)
class Legal:
    """Which characters an id or a name may have, how many, and which it may begin with."""

    most: int | None
    illegal: re.Pattern[str] | None = None
    start: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class MediaRule:
    """Which images or files can be sent: in which places, of which types (None: any), from where."""

    places: frozenset[Place]
    types: frozenset[str] | None
    data: bool
    schemes: tuple[str, ...] = ()
    file_id: re.Pattern[str] | None = None
    url_needs_type: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one dialect."""

    dialect: Dialect
    system: SystemPlace
    starts_on_user: bool
    alternates: bool
    """Neighbours of one role are merged into one message."""
    results_alone: bool
    """The message of results holds nothing else, and is not merged."""
    signed_reasoning: bool
    """Reasoning that carries the provider's signature is passed on whole; all other is left out."""
    refuses_blank_text: bool
    refuses_blank_results: bool
    """Blank text is refused in results too, and an error without any."""
    refuses_final_whitespace: bool
    """A last message of the assistant must not end with white space."""
    unique_ids: bool
    """Call ids are unique in the conversation, not only in their message."""
    call_id: Legal
    tool_name: Legal
    speaker_name: Legal | None
    object_arguments: bool
    """Arguments are a JSON object, not a string."""
    custom_calls: bool
    error_field: bool
    """Results have a place that says they are errors."""
    refusals: bool
    images: MediaRule
    files: MediaRule
    pass_through: Mapping[str, tuple[frozenset[Place], frozenset[str]]]
    """Kinds of parts that are not modelled but this provider's own: where they may stand and the keys they need."""
    extras: Mapping[str, frozenset[str]]
    """By kind of part, the further keys that are fields of the provider."""


_WORD = re.compile(r"[^A-Za-z0-9_-]")
_GEMINI_NAME = re.compile(r"[^A-Za-z0-9_.:-]")
_USER = frozenset({Place.USER})
_USER_OR_RESULT = frozenset({Place.USER, Place.RESULT})
_ASSISTANT = frozenset({Place.ASSISTANT})
_WEB = ("https://", "http://")
_OPENAI_FILE = re.compile(r"(?!file_)\S+")
_ANTHROPIC_FILE = re.compile(r"file_\S+")
_COMMON_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_BREAKPOINT = frozenset({"prompt_cache_breakpoint"})
_CACHE = frozenset({"cache_control"})

_CHAT = Rules(
    dialect=Dialect.OPENAI_CHAT,
    system=SystemPlace.IN_PLACE,
    starts_on_user=False,
    alternates=False,
    results_alone=True,
    signed_reasoning=False,
    refuses_blank_text=False,
    refuses_blank_results=False,
    refuses_final_whitespace=False,
    unique_ids=False,
    call_id=Legal(40),
    tool_name=Legal(64, _WORD),
    speaker_name=Legal(64, _WORD),
    object_arguments=False,
    custom_calls=True,
    error_field=False,
    refusals=True,
    images=MediaRule(_USER, _COMMON_IMAGES, data=True, schemes=(*_WEB, "data:image/")),
    files=MediaRule(_USER, None, data=True, file_id=_OPENAI_FILE),
    pass_through=MappingProxyType({"input_audio": (_USER, frozenset({"input_audio"}))}),
    extras=MappingProxyType({"text": _BREAKPOINT, "image": _BREAKPOINT, "file": _BREAKPOINT}),
)

_RESPONSES = Rules(
    dialect=Dialect.OPENAI_RESPONSES,
    system=SystemPlace.FIRST_APART,
    starts_on_user=False,
    alternates=False,
    results_alone=True,
    signed_reasoning=False,
    refuses_blank_text=False,
    refuses_blank_results=False,
    refuses_final_whitespace=False,
    unique_ids=True,
    call_id=Legal(64, _WORD),
    tool_name=Legal(64, _WORD),
    speaker_name=None,
    object_arguments=False,
    custom_calls=True,
    error_field=False,
    refusals=False,
    images=MediaRule(_USER_OR_RESULT, _COMMON_IMAGES, data=True, schemes=(*_WEB, "data:image/"), file_id=_OPENAI_FILE),
    files=MediaRule(_USER_OR_RESULT, None, data=True, schemes=_WEB, file_id=_OPENAI_FILE),
    pass_through=MappingProxyType({}),
    extras=MappingProxyType({"text": _BREAKPOINT, "image": _BREAKPOINT, "file": _BREAKPOINT}),
)

_ANTHROPIC = Rules(
    dialect=Dialect.ANTHROPIC,
    system=SystemPlace.LEADING_APART,
    starts_on_user=True,
    alternates=True,
    results_alone=False,
    signed_reasoning=True,
    refuses_blank_text=True,
    refuses_blank_results=True,
    refuses_final_whitespace=True,
    unique_ids=True,
    call_id=Legal(None, _WORD),
    tool_name=Legal(128, _WORD),
    speaker_name=None,
    object_arguments=True,
    custom_calls=False,
    error_field=True,
    refusals=False,
    images=MediaRule(_USER_OR_RESULT, _COMMON_IMAGES, data=True, schemes=("https://",), file_id=_ANTHROPIC_FILE),
    files=MediaRule(
        _USER_OR_RESULT,
        frozenset({"application/pdf", "text/plain"}),
        data=True,
        schemes=("https://",),
        file_id=_ANTHROPIC_FILE,
    ),
    pass_through=MappingProxyType(
        {
            "document": (_USER_OR_RESULT, frozenset({"source"})),
            "search_result": (_USER_OR_RESULT, frozenset({"source", "title", "content"})),
            "container_upload": (_USER, frozenset({"file_id"})),
            "server_tool_use": (_ASSISTANT, frozenset({"id", "name", "input"})),
            "web_search_tool_result": (_ASSISTANT, frozenset({"tool_use_id", "content"})),
            "web_fetch_tool_result": (_ASSISTANT, frozenset({"tool_use_id", "content"})),
            "code_execution_tool_result": (_ASSISTANT, frozenset({"tool_use_id", "content"})),
            "bash_code_execution_tool_result": (_ASSISTANT, frozenset({"tool_use_id", "content"})),
            "text_editor_code_execution_tool_result": (_ASSISTANT, frozenset({"tool_use_id", "content"})),
            "tool_search_tool_result": (_ASSISTANT, frozenset({"tool_use_id", "content"})),
        }
    ),
    extras=MappingProxyType(
        {
            "text": _CACHE,
            "image": _CACHE,
            "file": _CACHE | {"citations", "context"},
            "call": _CACHE,
            "result": _CACHE,
        }
    ),
)

_GEMINI = Rules(
    dialect=Dialect.GEMINI,
    system=SystemPlace.LEADING_APART,
    starts_on_user=True,
    alternates=True,
    results_alone=True,
    signed_reasoning=False,
    refuses_blank_text=True,
    refuses_blank_results=False,
    refuses_final_whitespace=False,
    unique_ids=True,
    call_id=Legal(64, _WORD),
    tool_name=Legal(64, _GEMINI_NAME, re.compile(r"[A-Za-z_]")),
    speaker_name=None,
    object_arguments=True,
    custom_calls=False,
    error_field=True,
    refusals=False,
    images=MediaRule(
        _USER,
        frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"}),
        data=True,
        schemes=("https://", "gs://"),
        url_needs_type=True,
    ),
    files=MediaRule(_USER, None, data=True, schemes=("https://", "gs://"), url_needs_type=True),
    pass_through=MappingProxyType({}),
    extras=MappingProxyType({}),
)

RULES: Mapping[Dialect, Rules] = MappingProxyType(
    {rules.dialect: rules for rules in (_CHAT, _RESPONSES, _ANTHROPIC, _GEMINI)}
)
"""The rule set of each dialect."""
