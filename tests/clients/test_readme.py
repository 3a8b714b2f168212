"""What the README shows works when pasted, and what it names is there."""

from __future__ import annotations

import re
import sys

from tests.clients.process import ROOT, run

README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    found: str = next(text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if containing in text)
    return found


def test_the_shell_session_is_the_tested_one() -> None:
    session = (ROOT / "examples" / "grpcurl.sh").read_text(encoding="utf-8")
    assert block("bash", "grpcurl -plaintext") == session[session.index("ADDRESS=") :]


def test_the_python_client_runs(address: str) -> None:
    done = run(sys.executable, "-c", block("python", "insecure_channel").replace("127.0.0.1:50051", address))

    assert done.status == 0, done.errors
    lines = done.output.splitlines()
    assert lines[:3] == ["2 True", "1 Be brief.", "2 Hello!"]
    assert lines[3].endswith("tokens to spare")


def test_every_file_it_links_to_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_targets_it_names_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"make ([a-z-]+)", README))
    assert {"run", "test"} <= named
    assert [target for target in named if f"\n{target}:" not in makefile] == []
