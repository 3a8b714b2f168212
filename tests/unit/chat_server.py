"""A server on this machine that speaks OpenAI's protocol of chat completions, well or as badly as it is told to."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent: `closes_after` bytes the connection is closed, `delay` seconds come before it."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    closes_after: int | None = None

    def to_bytes(self) -> bytes:
        headers = {"Content-Type": "application/json", "Content-Length": str(len(self.body)), **self.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} Some Phrase\r\n{head}\r\n".encode() + self.body


def completion(content: Any, *, finish: str = "stop", status: int = 200, **message: Any) -> Answer:
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "some-model-2026",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, **message},
                "finish_reason": finish,
            }
        ],
        "usage": {"prompt_tokens": 700, "completion_tokens": 30, "total_tokens": 730},
    }
    return Answer(status, json.dumps(body).encode())


def error(status: int, code: str, message: str = "It went wrong.", **headers: str) -> Answer:
    body = {"error": {"message": message, "type": code, "param": None, "code": code}}
    return Answer(status, json.dumps(body).encode(), {name.replace("_", "-"): value for name, value in headers.items()})


@dataclass(slots=True)
class Request:
    """What was asked."""

    line: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def system(self) -> str:
        text: str = self.body["messages"][0]["content"]
        return text

    @property
    def user(self) -> str:
        text: str = self.body["messages"][1]["content"]
        return text

    def lines(self) -> list[dict[str, Any]]:
        block = self.user.split("<messages>\n")[1].split("</messages>")[0]
        return [json.loads(line) for line in block.splitlines()]


class ChatServer:
    """Gives one answer after the other, the last one again and again."""

    def __init__(self, url: str, answers: list[Answer | Callable[[Request], Answer]]) -> None:
        self.url = url
        self.requests: list[Request] = []
        self.times: list[float] = []
        self._answers = answers

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _read(reader)) is not None:
                answer = self._answers[min(len(self.requests), len(self._answers) - 1)]
                self.requests.append(request)
                self.times.append(asyncio.get_running_loop().time())
                if not isinstance(answer, Answer):
                    answer = answer(request)
                await asyncio.sleep(answer.delay)
                writer.write(answer.to_bytes()[: answer.closes_after])
                await writer.drain()
                if answer.closes_after is not None:
                    break
        except ConnectionError:
            pass  # a client that gave up
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    line, *rest = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, value in (one.split(":", 1) for one in rest)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(line, headers, json.loads(body) if body else {})


@asynccontextmanager
async def serving(*answers: Answer | Callable[[Request], Answer]) -> AsyncIterator[ChatServer]:
    chat = ChatServer("", list(answers))
    server = await asyncio.start_server(chat.handle, "127.0.0.1", 0)
    chat.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield chat
    finally:
        server.close()
