"""Compares protos/ with their last published state through `buf breaking`; changes nothing.

Published is, in this order: the ref given, the latest release tag, the upstream branch, the last other state of
protos/ in the history. Where none of these exists, as in the first commit, there is nothing to break.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _git(*arguments: str) -> str:
    """Return what git prints, or nothing where git fails: no repository, no commit, no such ref."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _commit_with_protos(ref: str) -> str:
    commit = _git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    return commit if commit and _git("ls-tree", commit, "protos/buf.yaml") else ""


def _differs(commit: str) -> bool:
    command = ["git", "diff", "--quiet", commit, "--", "protos"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode != 0


def published() -> str:
    """Return the commit to compare with, or nothing."""
    tag = _git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*")
    if tag and (commit := _commit_with_protos(tag)):
        return commit
    states = ["@{upstream}", *_git("log", "-20", "--format=%H", "--", "protos").split()]
    return next((commit for ref in states if (commit := _commit_with_protos(ref)) and _differs(commit)), "")


def main(arguments: list[str]) -> int:
    """Run buf and return its exit code."""
    if arguments:
        commit = _commit_with_protos(arguments[0])
        if not commit:
            print(f"{arguments[0]} is not a commit that has protos.", file=sys.stderr)
            return 2
    else:
        commit = published()
    if not commit:
        print("No earlier state of protos/ to break.")
        return 0
    buf = Path(sys.executable).parent / "buf"
    against = f"{_git('rev-parse', '--path-format=absolute', '--git-common-dir')}#ref={commit},subdir=protos"
    done = subprocess.run([str(buf), "breaking", "protos", "--against", against], cwd=ROOT, check=False)
    if done.returncode == 0:
        print(f"protos/ is compatible with {commit[:12]}.")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
