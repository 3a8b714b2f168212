"""Which summariser the settings name, and plug-ins as they are installed: good ones, and all sorts of bad ones."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kata_grpc.compaction import State
from kata_grpc.config import Settings
from kata_grpc.summarisers import (
    Builtin,
    Rejection,
    Summariser,
    SummariserFailed,
    SummariserUnavailable,
    load,
)
from tests.unit.chat_server import completion, serving
from tests.unit.test_summarisers_builtin import request, talk

if TYPE_CHECKING:
    from collections.abc import Callable

    Install = Callable[..., None]

DOCS = Path(__file__).parents[2] / "docs" / "compaction.md"
PLUGIN = DOCS.read_text(encoding="utf-8").split("```python\n# kata_first_lines.py\n")[1].split("```")[0]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution with one module and one entry point, as pip leaves it in a folder of the path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def place(source: str, target: str, name: str = "mine", distribution: str = "kata-mine") -> None:
        folder = distribution.replace("-", "_")
        (tmp_path / f"{folder}.py").write_text(source, encoding="utf-8")
        info = tmp_path / f"{folder}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(
            f"[kata_grpc.summarisers]\n{name} = {folder}:{target}\n", encoding="utf-8"
        )
        monkeypatch.delitem(sys.modules, folder, raising=False)

    return place


def named(name: str, **more: str) -> Summariser:
    return load(Settings.from_env({"KATA_SUMMARISER": name, **more}))


def unavailable(name: str) -> str:
    with pytest.raises(SummariserUnavailable) as caught:
        named(name)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


async def test_the_built_in_one_is_the_default() -> None:
    summariser = load(Settings())
    assert isinstance(summariser, Builtin)
    assert (await summariser.summarise(request(talk(9)))).summariser == summariser.name == "builtin"
    await summariser.close()


async def test_an_endpoint_is_asked_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    async with serving(completion("The test is fixed [v1].")) as server:
        summariser = named(
            "openai",
            KATA_SUMMARISER_URL=server.url,
            KATA_SUMMARISER_MODEL="some-model",
            KATA_SUMMARISER_API_KEY="sk-1",
            KATA_SUMMARISER_MAX_TOKENS="1000",
        )
        made = await summariser.summarise(request(talk(9)))
        await summariser.close()
    assert made.summariser == summariser.name == "openai"
    (asked,) = server.requests
    assert asked.headers["authorization"] == "Bearer sk-1"
    assert (asked.body["model"], asked.body["max_tokens"]) == ("some-model", 1_000)


def test_an_address_that_the_client_cannot_read_is_said_without_it() -> None:
    with pytest.raises(SummariserUnavailable) as caught:
        named("openai", KATA_SUMMARISER_URL="https://hunter2 .example\x01/v1", KATA_SUMMARISER_MODEL="m")
    assert str(caught.value) == "KATA_SUMMARISER_URL cannot be used: it is no address of HTTP."


async def test_a_plugin_is_found_by_its_name_and_summarises(install: Install) -> None:
    install(PLUGIN, "FirstLines")
    summariser = named("mine")
    made = await summariser.summarise(request(talk(30)))
    assert summariser.name == made.summariser == "first-lines"
    assert made.text.startswith("Said up to message 30:\n")
    assert "\n## Artifacts\n" in made.text
    assert State.from_json(made.state).last == 30
    await summariser.close()


def test_a_name_that_nobody_has_is_said_with_those_that_are_there(install: Install) -> None:
    install(PLUGIN, "FirstLines")
    sentence = unavailable("absent")
    assert sentence == "KATA_SUMMARISER is absent, which is no summariser that is installed: builtin, openai, mine."


def test_a_name_that_two_have_is_said_with_both(install: Install) -> None:
    install(PLUGIN, "FirstLines")
    install(PLUGIN, "FirstLines", distribution="kata-other")
    assert "kata-mine 1.2 and kata-other 1.2" in unavailable("mine")


GOOD = PLUGIN.split("class FirstLines", maxsplit=1)[0]
METHODS = """
    async def summarise(self, request):
        {body}

    async def close(self):
        {closing}
"""


def plugin(body: str = "return None", closing: str = "pass", name: str = '"mine"') -> str:
    return f"{GOOD}\nimport asyncio\n\nclass Mine:\n    name = {name}\n" + METHODS.format(body=body, closing=closing)


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("import nowhere_to_be_found", "Mine", "cannot be loaded: ModuleNotFoundError: No module named"),
        ("def broken(:", "Mine", "cannot be loaded: SyntaxError"),
        ("x = 1", "Mine", "cannot be loaded: AttributeError"),
        ("Mine = 7", "Mine", "cannot be loaded: TypeError"),
        ("def Mine(): raise ValueError('no\\nkey')", "Mine", "cannot be loaded: ValueError: no key"),
        ("class Mine:\n    def __init__(self, more): ...", "Mine", "cannot be loaded: TypeError"),
        ("class Mine:\n    name = 'x'", "Mine", "has no coroutine function summarise"),
        (plugin().replace("async def summarise", "def summarise"), "Mine", "has no coroutine function summarise"),
        (plugin().replace("async def close", "def close"), "Mine", "has no coroutine function close"),
        (plugin(name="7"), "Mine", "has no name"),
        (plugin(name="''"), "Mine", "has no name"),
        (plugin(name="'a\\nb'"), "Mine", "has no name"),
        (plugin(name="'x' * 65"), "Mine", "has no name"),
        (plugin(name="'caller'"), "Mine", "calls itself caller"),
        (plugin(name="'builtin'"), "Mine", "calls itself builtin"),
    ],
)
def test_a_broken_plugin_is_one_sentence_at_the_start(install: Install, source: str, target: str, said: str) -> None:
    install(source, target)
    sentence = unavailable("mine")
    assert sentence.startswith("The summariser mine of kata-mine 1.2 ")
    assert said in sentence


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('secret')", "the summariser mine failed (ValueError)"),
        ("raise TimeoutError('secret')", "the summariser mine failed (TimeoutError)"),
        ("await asyncio.sleep(60)", "there was no summary within 0.3 seconds"),
        ("return None", "the summariser mine gave no summary with a state"),
        ("return 'secret'", "the summariser mine gave no summary with a state"),
        ("return Summary(text='x', state='', summariser='mine')", "the summariser mine gave no summary with a state"),
        ("return Summary(text='x', state='{}', summariser='mine')", "the summariser mine gave no summary with a state"),
        ("return Summary(text='x', state='7', summariser='mine')", "the summariser mine gave no summary with a state"),
        (
            "return Summary(text=None, state='{}', summariser='mine')",
            "the summariser mine gave no summary with a state",
        ),
    ],
)
async def test_what_goes_wrong_in_a_plugin_is_a_summary_less(
    install: Install, monkeypatch: pytest.MonkeyPatch, body: str, said: str
) -> None:
    install(plugin(body), "Mine")
    summariser = named("mine", KATA_SUMMARISER_TIMEOUT="0.3", KATA_SUMMARISER_CONNECT_TIMEOUT="0.1")
    with pytest.raises(SummariserFailed) as caught:
        await summariser.summarise(request(talk(9)))
    assert str(caught.value) == said


async def test_what_a_plugin_says_of_its_failure_is_passed_on(install: Install) -> None:
    install(plugin("return await complete(request, 'I cannot help with that.', Aside(), summariser='mine')"), "Mine")
    with pytest.raises(SummariserFailed) as caught:
        await named("mine").summarise(request(talk(9)))
    assert caught.value.rejection is Rejection.REFUSED


async def test_a_plugin_is_cancelled_with_its_call(install: Install) -> None:
    install(plugin("await asyncio.sleep(60)"), "Mine")
    work = asyncio.create_task(named("mine").summarise(request(talk(9))))
    await asyncio.sleep(0.05)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


async def test_a_plugin_that_cannot_be_closed_is_in_the_log(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    install(plugin(closing="raise OSError('broken pipe')"), "Mine")
    await named("mine").close()
    assert "the summariser mine could not be closed" in caplog.text


def test_who_uses_no_model_does_not_wait_for_a_client_of_http() -> None:
    code = """
import sys
import kata_grpc.app
from kata_grpc.config import Settings
from kata_grpc.summarisers import load
load(Settings())
assert "kata_grpc.summarisers.builtin" in sys.modules
print([name for name in ("httpx2", "kata_grpc.summarisers.openai") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
