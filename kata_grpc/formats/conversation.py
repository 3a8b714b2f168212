"""Whole conversations: a JSON line to messages, messages to a JSON line or to what a provider's API takes.

Every line that is read is written again and compared, number spelling included, before it counts as read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from kata_grpc.formats import anthropic, openai
from kata_grpc.formats.detection import detect
from kata_grpc.formats.errors import ConversionError, ReadError, Violation
from kata_grpc.formats.rawjson import (
    JsonError,
    Node,
    SurrogateError,
    array_text,
    differences,
    object_text,
    parse,
    parse_node,
    string,
)
from kata_grpc.formats.reading import Members
from kata_grpc.formats.writing import Origin, Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kata_grpc.domain.messages import Message

Format = Literal["openai", "anthropic"]
FORMATS: tuple[Format, ...] = get_args(Format)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as a line holds it.

    `format` is where its messages came from, "" for the API. `extra_json` holds the line's other keys as the text of
    one JSON object, "" if there are none; an Anthropic `system` is the first message instead.
    """

    format: Format | Literal[""]
    id: str
    messages: tuple[Message, ...]
    extra_json: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    """Messages in a provider's JSON: `system`, where the provider takes it apart, and each message as its text."""

    format: Format
    system: str | None
    messages: tuple[str, ...]

    def to_json(self) -> str:
        """Return the array of OpenAI Chat, or the `{system, messages}` of Anthropic."""
        messages = array_text(self.messages)
        if self.format == "openai":
            return messages
        return object_text(([] if self.system is None else [("system", self.system)]) + [("messages", messages)])


def parse_line(
    line: bytes,
    format: Format | Literal["auto"] = "auto",  # noqa: A002  # the word of the command line
    default: Format = "openai",
) -> Conversation:
    """Return the conversation of a line; `default` is the format of a line that both formats spell alike.

    Raises ReadError if it is not JSON and ConversionError if it would lose something.
    """
    root = _parse(line)
    problems: list[Violation] = []
    members = Members(root, "", problems)
    _check(problems)
    conversation_id = members.text("id", empty=False)
    messages = members.take("messages")
    if messages is None:
        members.problem("messages", "missing")
    elif not isinstance(messages.value, list):
        members.problem("messages", "not an array")
    _check(problems)
    if messages is None:
        raise TypeError("messages were checked above")
    chosen = (detect(root.value) or default) if format == "auto" else format
    read = _read_openai(messages, problems) if chosen == "openai" else _read_anthropic(members, messages, problems)
    _check(problems)
    conversation = Conversation(chosen, conversation_id, tuple(read), members.extra_json())
    written = parse(_line_text(conversation, chosen))
    if written != root.value:
        paths = sorted(differences(root.value, written, ""))
        raise ConversionError(tuple(Violation(path, "would not come back as it is") for path in paths))
    return conversation


def export_line(conversation: Conversation, format: Format | None = None) -> bytes:  # noqa: A002  # as above
    """Return the conversation as a line without its end, in `format` or its own.

    A conversation in its own format gives JSON equal to what was read. Raises ConversionError with every path at
    which another format has no place for what there is.
    """
    text = _line_text(conversation, format or conversation.format or "openai")
    # Line ends stand in no JSON string, so those in texts that a caller gave only separate tokens.
    return text.replace("\n", " ").encode()


def render_conversation(
    messages: Sequence[Message],
    format: Format,  # noqa: A002  # as above
    source: Format | Literal[""] = "",
) -> Rendered:
    """Return messages that came from `source`, "" for the API, in a provider's JSON. Raises as `export_line` does."""
    writer = _writer(source, format)
    rendered = _render(messages, format, writer)
    writer.check()
    return rendered


def _parse(line: bytes) -> Node:
    try:
        return parse_node(line.decode())
    except UnicodeDecodeError as error:
        raise ReadError(f"not UTF-8: byte {error.start + 1} of the line, {error.reason}") from error
    except SurrogateError as error:
        violations = tuple(Violation(path, "half of a surrogate pair, not a character") for path in error.paths)
        raise ConversionError(violations) from error
    except JsonError as error:
        raise ReadError(f"not JSON: {error}") from error


def _check(problems: list[Violation]) -> None:
    if problems:
        raise ConversionError(tuple(problems))


def _read_openai(messages: Node, problems: list[Violation]) -> list[Message]:
    read = [openai.read_message(node, f"messages[{i}]", problems) for i, node in enumerate(messages.items())]
    return [message for message in read if message is not None]


def _read_anthropic(members: Members, messages: Node, problems: list[Violation]) -> list[Message]:
    system = anthropic.read_system(members)
    nodes = messages.items()
    if system is None and nodes and isinstance(nodes[0].value, dict) and nodes[0].value.get("role") == "system":
        problems.append(Violation("messages[0].role", "a leading system message would come back as `system`"))
    read = [anthropic.read_message(node, f"messages[{i}]", problems) for i, node in enumerate(nodes)]
    return [message for message in (system, *read) if message is not None]


def _writer(source: Format | Literal[""], target: Format) -> Writer:
    if not source:
        return Writer(Origin.NEUTRAL)
    return Writer(Origin.OWN if source == target else Origin.FOREIGN)


def _render(messages: Sequence[Message], target: Format, writer: Writer) -> Rendered:
    if target == "openai":
        texts = [
            text
            for i, message in enumerate(messages)
            for text in openai.write_message(message, writer, f"messages[{i}]")
        ]
        return Rendered(target, None, tuple(texts))
    system, texts = anthropic.write_conversation(messages, writer, "messages")
    return Rendered(target, system, tuple(texts))


def _line_text(conversation: Conversation, target: Format) -> str:
    writer = _writer(conversation.format, target)
    rendered = _render(conversation.messages, target, writer)
    pairs = [("id", string(conversation.id))]
    if rendered.system is not None:
        pairs.append(("system", rendered.system))
    pairs += [
        ("messages", array_text(rendered.messages)),
        *writer.members(conversation.extra_json, "extra_json").items(),
    ]
    text = writer.object(pairs, "line")
    writer.check()
    return text
