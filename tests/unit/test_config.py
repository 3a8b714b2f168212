"""Settings: defaults, rules, and `.env.example`, which must say the same."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from kata_grpc.config import VARIABLES, ConfigurationError, Settings, is_loopback

ROOT = Path(__file__).parents[2]


def problems_of(**environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env(environ)
    return caught.value.problems


def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.mark.holds("P7", "P9")
def test_the_example_lists_every_variable_with_its_default() -> None:
    assert set(VARIABLES) == set(example())
    assert {one.name for one in fields(Settings)} == {name for name, _ in VARIABLES.values()}
    assert Settings() == Settings.from_env(example()) == Settings.from_env({})


def test_each_variable_is_read() -> None:
    environ = {
        "KATA_LISTEN": "[::1]:1",
        "KATA_DATA_DIR": "/data",
        "DATABASE_URL": "postgresql://localhost/one",
        "DATABASE_URL_DIRECT": "postgresql://localhost/two",
        "KATA_DB_POOLER": "none",
        "KATA_MIGRATE": "on",
        "KATA_WORKERS": "2",
        "KATA_POOL_MAX": "4",
        "KATA_POOL_ACQUIRE_TIMEOUT": "1.5",
        "KATA_POOL_IDLE": "6",
        "KATA_STATEMENT_TIMEOUT": "2",
        "KATA_DEADLINE": "3",
        "KATA_SHUTDOWN_GRACE": "4",
        "KATA_WATCH_POLL": "0.5",
        "KATA_WATCH_CHECKPOINT": "5",
        "KATA_COMPACTION": "off",
        "KATA_COMPACTION_POLL": "9",
        "KATA_SUMMARISER": "openai",
        "KATA_SUMMARISER_URL": "https://models.example/v1",
        "KATA_SUMMARISER_MODEL": "some-model",
        "KATA_SUMMARISER_API_KEY": "sk-1",
        "KATA_SUMMARISER_CONNECT_TIMEOUT": "3",
        "KATA_SUMMARISER_TIMEOUT": "60",
        "KATA_SUMMARISER_MAX_TOKENS": "2048",
        "KATA_SUMMARISER_CONTEXT_TOKENS": "8192",
        "KATA_MAX_FORK_DEPTH": "6",
        "KATA_MAX_FORKS": "7",
        "KATA_RETENTION": "*: idle=90d purge=30d; archive: keep",
        "KATA_RETENTION_INTERVAL": "60",
        "KATA_TLS_CERT": "cert",
        "KATA_TLS_KEY": "key",
        "KATA_TLS_CLIENT_CA": "ca",
        "KATA_ALLOW_PLAINTEXT_REMOTE": "yes",
        "KATA_LOG_LEVEL": "debug",
        "KATA_LOG_FORMAT": "json",
    }
    assert set(environ) == set(example())
    settings = Settings.from_env(environ)
    assert Settings.from_env(settings.as_env()) == settings
    assert Settings.from_env(Settings().as_env()) == Settings()
    unchanged = [one.name for one in fields(Settings) if getattr(settings, one.name) == one.default]
    assert unchanged == []


@pytest.mark.holds("P9")
def test_all_problems_are_reported_at_once() -> None:
    problems = problems_of(
        KATA_WORKERS="many",
        KATA_POOL_MAX="1",
        KATA_STATEMENT_TIMEOUT="60",
        KATA_LISTEN="nowhere",
        KATA_TLS_CERT="cert.pem",
        DATABASE_URL="mysql://localhost/kata",
        DATABASE_URL_DIRECT="postgresql://localhost:port/kata",
        KATA_LOG_LEVEL="loud",
        KATA_DEADLINE="-1",
    )
    assert len(problems) == 9
    assert all(sentence.endswith(".") for sentence in problems)


@pytest.mark.holds("P10")
@pytest.mark.parametrize("listen", ["0.0.0.0:50051", "[::]:50051", "192.0.2.1:50051", "kata.example:443"])
def test_listening_beyond_loopback_needs_tls_or_a_word(listen: str) -> None:
    (problem,) = problems_of(KATA_LISTEN=listen)
    assert "KATA_ALLOW_PLAINTEXT_REMOTE=on" in problem
    assert Settings.from_env({"KATA_LISTEN": listen, "KATA_TLS_CERT": "c", "KATA_TLS_KEY": "k"}).warnings() == ()
    (warning,) = Settings.from_env({"KATA_LISTEN": listen, "KATA_ALLOW_PLAINTEXT_REMOTE": "on"}).warnings()
    assert "unencrypted" in warning


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "127.9.9.9:1", "[::1]:50051", "localhost:1", "unix:/run/kata.sock"])
def test_loopback_needs_neither(listen: str) -> None:
    assert is_loopback(listen)
    assert Settings.from_env({"KATA_LISTEN": listen}).warnings() == ()


@pytest.mark.holds("P10")
@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("postgresql://db.example/kata", True),
        ("postgresql://192.0.2.7:5432/kata?sslmode=prefer", True),
        ("postgresql://db.example/kata?sslmode=verify-full&sslrootcert=/ca.pem", False),
        ("postgresql://127.0.0.1/kata", False),
        ("postgresql://kata@/kata?host=/run/postgresql", False),
        ("postgresql:///kata", False),
    ],
)
def test_a_remote_database_without_tls_is_warned_about(url: str, *, warned: bool) -> None:
    assert warned == bool(Settings.from_env({"DATABASE_URL": url}).warnings())


@pytest.mark.holds("P7")
def test_secrets_are_in_no_representation_problem_or_warning() -> None:
    url = "postgresql://kata:hunter2@db.example/kata"
    secrets = {"KATA_SUMMARISER_URL": "https://api.example/?key=hunter2", "KATA_SUMMARISER_API_KEY": "hunter2"}
    settings = Settings.from_env({"DATABASE_URL": url, "DATABASE_URL_DIRECT": url, **secrets})
    said = [repr(settings), *settings.warnings(), *problems_of(DATABASE_URL=url.replace("postgresql", "mysql"))]
    assert "hunter2" not in " ".join(said)


def test_a_summariser_that_cannot_work_is_a_problem() -> None:
    (problem,) = problems_of(KATA_SUMMARISER="openai", KATA_SUMMARISER_MODEL="m")
    assert "needs KATA_SUMMARISER_URL" in problem
    for url in (
        "hunter2.example/v1",
        "ftp://hunter2.example",
        "https://:1/hunter2",
        "http://hunter2:x",
        "http://[hunter2",
    ):
        (problem,) = problems_of(KATA_SUMMARISER_URL=url)
        assert "KATA_SUMMARISER_URL must be" in problem
        assert "hunter2" not in problem
    problems = problems_of(
        KATA_SUMMARISER_API_KEY="hunter2\r\nHost: x",
        KATA_SUMMARISER_CONNECT_TIMEOUT="60",
        KATA_SUMMARISER_TIMEOUT="50",
        KATA_SUMMARISER_MAX_TOKENS="9000",
        KATA_SUMMARISER_CONTEXT_TOKENS="16000",
    )
    assert len(problems) == 3
    assert "hunter2" not in " ".join(problems)
    (problem,) = problems_of(KATA_SUMMARISER_TIMEOUT="300")
    assert "lease" in problem


@pytest.mark.holds("P10")
@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"KATA_SUMMARISER": "openai", "KATA_SUMMARISER_URL": "https://api.example/v1"}, None),
        ({"KATA_SUMMARISER": "openai", "KATA_SUMMARISER_URL": "http://127.0.0.1:11434/v1"}, None),
        ({"KATA_SUMMARISER": "openai", "KATA_SUMMARISER_URL": "http://[::1]:11434/v1"}, None),
        ({"KATA_SUMMARISER": "openai", "KATA_SUMMARISER_URL": "http://models.example/v1"}, "unencrypted"),
        ({"KATA_SUMMARISER_URL": "https://api.example/v1"}, "is not used"),
        ({"KATA_SUMMARISER": "mine", "KATA_SUMMARISER_URL": "https://api.example/v1"}, None),
    ],
)
def test_a_summariser_that_is_probably_not_meant_is_warned_about(environ: dict[str, str], said: str | None) -> None:
    warnings = Settings.from_env({"KATA_SUMMARISER_MODEL": "m", **environ}).warnings()
    assert [said in warning for warning in warnings if said] == ([True] if said else [])
    assert bool(warnings) == bool(said)


@pytest.mark.holds("P9")
def test_mixed_up_variables_are_named() -> None:
    (problem,) = problems_of(DATABASE_URL_DIRECT="postgresql://localhost/kata")
    assert "DATABASE_URL is not" in problem
    (warning,) = Settings().warnings({"KATA_WORKER": "2", "PATH": "/bin", "KATA_TEST_DATA": "/data"})
    assert "KATA_WORKERS" in warning
