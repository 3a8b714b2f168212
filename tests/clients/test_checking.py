"""The validator that travels with the stubs: standard library only, and the same as the server's."""

from __future__ import annotations

import json
import sys

import pytest
from kata.context import checking
from kata.context.v1 import window_pb2

from kata_grpc.dialects import check
from kata_grpc.domain.windows import Dialect
from tests.clients.process import ROOT, run

CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
CUT = [
    {"role": "user", "content": "Rain?"},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "user", "content": "?"},
]

ALONE = """
import sys
sys.path.insert(0, sys.argv[1])
from kata.context.checking import check
for problem in check("openai_chat", sys.stdin.read()):
    print(problem)
assert not {"grpc", "google", "kata_grpc"} & sys.modules.keys()
"""


def test_it_runs_where_nothing_is_installed() -> None:
    done = run(sys.executable, "-I", "-S", "-c", ALONE, ROOT / "generated" / "python", text=json.dumps(CUT))

    assert (done.status, done.errors) == (0, "")
    assert done.output == "messages[2]: follows calls without results: c1\n"


def test_it_says_what_the_server_says() -> None:
    theirs = checking.check("openai_chat", json.dumps(CUT))

    assert [str(problem) for problem in theirs] == [str(p) for p in check(Dialect.OPENAI_CHAT, json.dumps(CUT))]


def test_a_dialect_has_its_name_on_the_wire_its_number_and_its_short_name() -> None:
    assert list(checking.DIALECTS) == [dialect.value for dialect in Dialect]
    for number, name in enumerate(checking.DIALECTS, start=1):
        assert window_pb2.Dialect.Name(number) == f"DIALECT_{name.upper()}"
        for spelled in (number, name, name.upper(), f"DIALECT_{name.upper()}"):
            assert checking.check(spelled, "true") != []


@pytest.mark.parametrize("unknown", [0, 5, "DIALECT_UNSPECIFIED", "", "openai"])
def test_another_dialect_is_refused_by_name(unknown: str | int) -> None:
    with pytest.raises(ValueError, match="must be one of openai_chat, openai_responses, anthropic, gemini"):
        checking.check(unknown, "[]")
