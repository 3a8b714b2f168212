"""What single pieces of content become: arguments as objects, types of media, stand-ins for what has no place.

Knows the rule sets, not the spelling of any provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kata_grpc.domain.messages import File, Image, Media, Part, Reasoning, Refusal, Text, ToolCall, ToolResult, Unknown
from kata_grpc.formats.rawjson import JsonError, Node, Repeated, Tree, object_text, parse_node, string

if TYPE_CHECKING:
    from kata_grpc.dialects.rules import MediaRule, Place

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)
_ENDINGS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".pdf": "application/pdf",
    ".txt": "text/plain",
}
_MOST_DEPTH = 64
"""Arguments nested deeper are sent as their text: a provider's own limit lies not far beyond."""

_MOST_SHOWN = 200
"""How much of a URL, a name or a type tells which it is; a stand-in must not cost more than what it stands for."""


def object_of(arguments: str) -> str | None:
    """Return the arguments if they are the text of one JSON object that every reader takes alike, else None."""
    try:
        value = parse_node(arguments).value
    except JsonError:
        return None
    return arguments if isinstance(value, dict) and _is_plain(value, 0) else None


def _is_plain(value: Tree, depth: int) -> bool:
    """Return whether no key is repeated, and nothing is nested too deeply."""
    if isinstance(value, Repeated) or depth > _MOST_DEPTH:
        return False
    if isinstance(value, dict):
        return all(_is_plain(item, depth + 1) for item in value.values())
    return not isinstance(value, list) or all(_is_plain(item, depth + 1) for item in value)


def wrapped(call: ToolCall) -> tuple[str, str]:
    """Return an object that stands for arguments which are none, and what it is called in a report."""
    if not call.arguments.strip():
        return "{}", "empty arguments are an empty object"
    key = "input" if call.type == "custom" else "arguments"
    return object_text([(key, string(call.arguments))]), f"arguments that are no JSON object stand in one, as {key!r}"


def media_type(source: Media) -> str:
    """Return the type that a source names, or that its first bytes or the end of its URL tell; "" if none do."""
    if source.media_type:
        return source.media_type.split(";")[0].strip().lower()
    if source.data is not None:
        if source.data[:4] == b"RIFF" and source.data[8:12] == b"WEBP":
            return "image/webp"
        return next((kind for start, kind in _SIGNATURES if source.data.startswith(start)), "")
    path = (source.url or "").split("?")[0].split("#")[0].lower()
    return next((kind for ending, kind in _ENDINGS.items() if path.endswith(ending)), "")


def can_send(part: Image | File, place: Place, rule: MediaRule) -> bool:
    """Return whether a dialect takes this image or file in this place."""
    source = part.source
    if place not in rule.places:
        return False
    if source.data is not None:
        kind = media_type(source)
        return rule.data and bool(source.data) and (kind in rule.types if rule.types is not None else bool(kind))
    if source.file_id is not None:
        return rule.file_id is not None and rule.file_id.fullmatch(source.file_id) is not None
    url = source.url or ""
    if not url.startswith(rule.schemes) or url in rule.schemes or any(c.isspace() for c in url):
        return False
    kind = media_type(source)
    return (not kind or rule.types is None or kind in rule.types) and (bool(kind) or not rule.url_needs_type)


def stand_in(part: Part) -> str:
    """Return the text that stands for a part where its kind has no place: its kind, and what tells which it was."""
    match part:
        case Image(source=source):
            return f"[image: {_which(source)}]"
        case File(source=source, filename=filename):
            return f"[file: {', '.join(filter(None, (_shown(filename), _which(source))))}]"
        case Refusal(text):
            return text
        case Unknown(type=kind):
            return f"[content of type {_shown(kind) or 'unknown'}]"
        case Text(text) | Reasoning(text):
            return text
        case ToolCall() | ToolResult():
            return f"[{type(part).__name__}]"


def _which(source: Media) -> str:
    if source.data is not None:
        return f"{_shown(media_type(source)) or 'bytes'}, {len(source.data)} bytes"
    if source.file_id is not None:
        return f"id {_shown(source.file_id)}"
    url = source.url or "nowhere"
    if url.startswith("data:"):
        return "inline data"
    return _shown(url)


def _shown(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def own_members(text: str) -> dict[str, Node]:
    """Return the members of an extra_json; none where it is not an object."""
    if not text:
        return {}
    try:
        node = parse_node(text)
    except JsonError:
        return {}
    return node.members() if isinstance(node.value, dict) else {}
