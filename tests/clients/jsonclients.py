"""grpcurl and buf curl as a person uses them: JSON in, JSON out, errors to read."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2

from tests.clients.process import ROOT, Finished, run, tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROTOSET = ROOT / "generated" / "kata.binpb"
_Answer = TypeVar("_Answer", bound=Message)


class RefusedError(Exception):
    """A call that the server refused, as the tool showed it."""

    def __init__(self, code: str, message: str, details: list[Message], shown: str) -> None:
        super().__init__(shown)
        self.code = code
        self.message = message
        self.details = details
        self.shown = shown

    @property
    def info(self) -> error_details_pb2.ErrorInfo:
        """The first detail."""
        assert isinstance(self.details[0], error_details_pb2.ErrorInfo)
        return self.details[0]

    @property
    def violations(self) -> list[tuple[str, str]]:
        """Field and reason of each violation."""
        (bad,) = [detail for detail in self.details if isinstance(detail, error_details_pb2.BadRequest)]
        return [(violation.field, violation.reason) for violation in bad.field_violations]


class Tool(Protocol):
    """A program that calls methods."""

    def run(self, method: str, text: str) -> Finished: ...

    def refused(self, shown: str) -> RefusedError: ...


@dataclass(frozen=True, slots=True)
class JsonClient:
    """Calls methods of a server through a tool."""

    tool: Tool

    def text(self, method: str, request: str) -> str:
        """Calls a method with JSON as it was typed; returns what was printed."""
        done = self.tool.run(method, request)
        if done.status != 0:
            raise self.tool.refused(done.errors)
        return done.output

    def call(self, method: str, request: dict[str, Any], answer: type[_Answer]) -> _Answer:
        """Calls a unary method."""
        (only,) = self.stream(method, request, answer)
        return only

    def stream(self, method: str, request: dict[str, Any], answer: type[_Answer]) -> list[_Answer]:
        """Calls a streaming method; returns its frames."""
        printed = self.text(method, json.dumps(request))
        return [json_format.ParseDict(document, answer()) for document in _documents(printed)]


@dataclass(frozen=True, slots=True)
class Grpcurl:
    """The real grpcurl."""

    address: str
    schema: tuple[str | Path, ...] = ()
    program: Path = field(default_factory=lambda: tool("grpcurl"))

    def run(self, method: str, text: str) -> Finished:
        """Calls a method."""
        return run(self.program, "-plaintext", *self.schema, "-d", "@", self.address, method, text=text)

    def refused(self, shown: str) -> RefusedError:
        """Reads what grpcurl writes for an error."""
        found = re.search(r"ERROR:\n  Code: (\w+)\n  Message: (.*?)\n(?:  Details:\n(.*))?\Z", shown, re.DOTALL)
        assert found is not None, shown
        details = re.findall(r"^  \d+\)\t(.*)$", found[3] or "", re.MULTILINE)
        return RefusedError(found[1], found[2], [self._detail(json.loads(one)) for one in details], shown)

    def _detail(self, shown: dict[str, Any]) -> Message:
        detail = _new_detail(shown.pop("@type"))
        if "@value" in shown:  # a type that the protoset does not have
            return type(detail).FromString(base64.b64decode(shown["@value"]))
        return json_format.ParseDict(shown, detail)


@dataclass(frozen=True, slots=True)
class BufCurl:
    """The real buf curl."""

    address: str
    schema: tuple[str | Path, ...] = ()
    program: Path = field(default_factory=lambda: tool("buf"))

    def run(self, method: str, text: str) -> Finished:
        """Calls a method."""
        options = ("--protocol", "grpc", "--http2-prior-knowledge", *self.schema)
        return run(self.program, "curl", *options, "-d", "@-", f"http://{self.address}/{method}", text=text)

    def refused(self, shown: str) -> RefusedError:
        """Reads what buf curl writes for an error."""
        error = json.loads(shown)
        details = [self._detail(detail) for detail in error["details"]]
        return RefusedError(error["code"], error["message"], details, shown)

    def _detail(self, shown: dict[str, Any]) -> Message:
        value = shown["value"]
        return type(_new_detail(shown["type"])).FromString(base64.b64decode(value + "=" * (-len(value) % 4)))


def _new_detail(type_url: str) -> Message:
    detail = getattr(error_details_pb2, type_url.rpartition(".")[2])()
    assert isinstance(detail, Message)
    return detail


def _documents(printed: str) -> Iterator[Any]:
    decoder, rest = json.JSONDecoder(), printed.lstrip()
    while rest:
        document, end = decoder.raw_decode(rest)
        yield document
        rest = rest[end:].lstrip()
