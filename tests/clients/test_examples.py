"""The examples do what they say, as they are."""

from __future__ import annotations

import re
import sys

import pytest

from tests.clients.process import ROOT, node_application, run, tool
from tools import nodejs

EXAMPLES = ROOT / "examples"

WITHOUT_THE_SERVER = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
assert not {"kata_grpc", "asyncpg"} & sys.modules.keys(), "the example uses the server's own code"
"""


def test_the_shell_session_runs(address: str) -> None:
    tool("grpcurl")

    done = run("bash", EXAMPLES / "grpcurl.sh", ADDRESS=address)

    assert done.status == 0, done.errors
    assert "SERVING" in done.output
    assert '"name": "my first context"' in done.output
    assert "Dry, 21 °C" in done.output
    assert '"trailer"' in done.output
    assert done.output.endswith("refused, as it should be\n")
    assert '"reason":"BUDGET_TOO_SMALL"' in done.errors
    assert '"required_tokens"' in done.errors


def test_the_shell_session_can_be_pasted(address: str) -> None:
    """An interactive shell reads it from a terminal, and is still there at the end."""
    tool("grpcurl")
    pasted = (EXAMPLES / "grpcurl.sh").read_text(encoding="utf-8") + "\necho still here\n"

    done = run("bash", "--norc", "-i", text=pasted, ADDRESS=address, HISTFILE="/dev/null")

    assert done.output.endswith("refused, as it should be\nstill here\n"), done.errors
    assert '"reason":"BUDGET_TOO_SMALL"' in done.errors


def test_the_shell_session_stops_where_no_server_is() -> None:
    tool("grpcurl")
    done = run("bash", EXAMPLES / "grpcurl.sh", ADDRESS="127.0.0.1:1")
    assert done.status != 0
    assert done.output == ""


def test_the_python_client_runs_on_the_stubs_alone(address: str) -> None:
    done = run(sys.executable, "-c", WITHOUT_THE_SERVER, EXAMPLES / "client.py", address)

    assert done.status == 0, done.errors
    assert done.output.splitlines() == [
        "refused: VERSION_CONFLICT, the context is at version 1",
        "1: hi",
        "2: hello again",
        "the window is complete",
    ]


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_snippets_of_the_stubs_readme_run(address: str, language: str) -> None:
    readme = (ROOT / "generated" / "README.md").read_text(encoding="utf-8")
    snippets = re.findall(rf"^```{language}\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE)
    (snippet,) = (text for text in snippets if "127.0.0.1:50051" in text)
    text = snippet.replace("127.0.0.1:50051", address)
    if language == "js":
        application = node_application()
        done = run(nodejs.node(), "-", text=text, cwd=application)
    else:
        done = run(sys.executable, "-", text=text)

    assert done.status == 0, done.errors
    assert re.fullmatch(r"[0-9a-f-]{36}\n", done.output)
