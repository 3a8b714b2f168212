"""generated/typescript installs with plain npm and speaks the same bytes as the Python stubs."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kata.context.v1.context_service_pb2 import CreateContextRequest, UpdateContextRequest
from kata.context.v1.message_pb2 import Message
from kata.context.v1.message_service_pb2 import AppendMessagesRequest, GetWindowRequest

from tools import nodejs

if TYPE_CHECKING:
    from google.protobuf.message import Message as AnyMessage

ROOT = Path(__file__).resolve().parents[2]

ECHO = """
const stubs = require("@kata-grpc/stubs");
const lines = require("node:fs").readFileSync(0, "utf8").trim().split("\\n").map((line) => JSON.parse(line));
for (const { type, bytes } of lines) {
  const message = stubs[type].decode(Buffer.from(bytes, "base64"));
  const copy = stubs[type].fromPartial(message);
  console.log(Buffer.from(stubs[type].encode(copy).finish()).toString("base64"));
}
"""

LOAD = """
import * as grpc from "@grpc/grpc-js";
import { ContextServiceClient, MessageServiceClient, Role, serviceConfig } from "@kata-grpc/stubs";
const options = { "grpc.service_config": serviceConfig };
for (const Client of [ContextServiceClient, MessageServiceClient]) {
  new Client("127.0.0.1:1", grpc.credentials.createInsecure(), options).close();
}
console.log(Role.ROLE_USER);
"""

TYPED = """
import { credentials } from "@grpc/grpc-js";
import { MessageServiceClient, type StreamWindowResponse } from "@kata-grpc/stubs";
const client = new MessageServiceClient("127.0.0.1:1", credentials.createInsecure());
export function versions(answer: StreamWindowResponse): bigint[] {
  if (answer.frame?.$case !== "chunk") return [];
  return answer.frame.value.messages.map((message) => message.version);
}
client.close();
"""


def _wide_message() -> AppendMessagesRequest:
    """One request with every kind of wire value: nested, repeated, maps, negative, 64-bit, bytes, absent and empty."""
    request = AppendMessagesRequest(context_id="ü𐍈\u0000\ufeff", expected_version=0, request_id="r" * 300)
    message = request.messages.add(role="ROLE_ASSISTANT", text="", token_count=2**31 - 1, version=2**63 - 1)
    message.create_time.FromJsonString("2024-02-29T23:59:59.123456Z")
    message.metadata.update({"a": [1.5, None, True, {"b": "c"}], "empty": {}})
    message.parts.add().text.text = "long " * 40_000
    call = message.parts.add().tool_call
    call.id, call.name = "call_1", "search"
    message.parts.add().image.data = bytes(range(256))
    request.messages.add(role="ROLE_TOOL", version=-1, token_count=-5)
    return request


def _messages() -> list[AnyMessage]:
    context = CreateContextRequest(name="n", labels={"b": "2", "a": "1", "": ""})
    update = UpdateContextRequest()
    update.update_mask.paths.extend(["name", "labels"])
    window = GetWindowRequest(context_id="c", token_budget=9_007_199_254_740_993, at_version=0)
    return [Message(), context, update, window, _wide_message()]


@pytest.fixture(scope="module", params=["linked", "inside the project", "packed"])
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an empty Node project in which npm installed the folder: each way that npm does it."""
    base = tmp_path_factory.mktemp("npm")
    app = base / "app"
    app.mkdir()
    (app / "package.json").write_text('{"name": "app", "version": "1.0.0", "private": true}\n', encoding="utf-8")
    folder = (app if request.param == "inside the project" else base) / "typescript"
    shutil.copytree(ROOT / "generated" / "typescript", folder, ignore=shutil.ignore_patterns("node_modules"))
    links = ["--install-links"] if request.param == "packed" else []
    nodejs.npm("install", *links, str(folder), "@grpc/grpc-js", cwd=app)
    return app


def _run(project: Path, *arguments: str, text: str = "") -> str:
    command = [str(nodejs.node()), *arguments]
    done = subprocess.run(command, cwd=project, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_and_node_write_the_same_messages(project: Path) -> None:
    sent = _messages()
    lines = [
        json.dumps({"type": type(message).__name__, "bytes": base64.b64encode(message.SerializeToString()).decode()})
        for message in sent
    ]
    (project / "echo.js").write_text(ECHO, encoding="utf-8")

    answers = _run(project, "echo.js", text="\n".join(lines)).splitlines()

    received = [type(mine).FromString(base64.b64decode(line)) for mine, line in zip(sent, answers, strict=True)]
    assert received == sent


def test_the_package_takes_credentials_of_the_applications_grpc(project: Path) -> None:
    (project / "load.mjs").write_text(LOAD, encoding="utf-8")
    assert _run(project, "load.mjs") == "1\n"


def test_a_lone_surrogate_is_refused_before_it_becomes_another_text(project: Path) -> None:
    script = 'require("@kata-grpc/stubs").GetContextRequest.encode({ contextId: "\\ud800" })'
    (project / "surrogate.js").write_text(f"try {{ {script} }} catch (error) {{ console.log(error.message) }}")
    assert "lone surrogate" in _run(project, "surrogate.js")


def test_declarations_pass_a_strict_compiler(project: Path) -> None:
    modules = nodejs.install_locked(ROOT / "tools" / "typescript")
    (project / "typed.ts").write_text(TYPED, encoding="utf-8")
    types = ["--typeRoots", str(modules / "@types"), "--types", "node"]
    # A link leads the compiler out of the project, unless it is told to stay; generated/README.md says so.
    options = ["--noEmit", "--strict", "--preserveSymlinks", "--target", "es2022", "--module", "nodenext", *types]
    _run(project, str(modules / "typescript" / "bin" / "tsc"), *options, "typed.ts")
