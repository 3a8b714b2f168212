"""Settings: what the environment may say, the defaults, and the rules that bind them.

Reads a mapping that it is given, opens nothing and asks nobody. Whether files and servers behind the settings are
there is found out by those who use them.
"""

from __future__ import annotations

import difflib
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import parse_qsl, urlsplit

from kata_grpc.domain import retention
from kata_grpc.limits import COMPACTION_LEASE_SECONDS, MAX_FORK_DEPTH, MAX_FORKS, WATCH_CHECKPOINT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Pooler = Literal["auto", "transaction", "none"]
Migrate = Literal["auto", "on", "off"]
LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]

_OTHER_VARIABLES = frozenset({"KATA_TEST_DATA"})
"""Read by the tests, not by the server."""
_SCHEMES = ("postgresql", "postgres")
_ENCRYPTED = frozenset({"require", "verify-ca", "verify-full"})


class ConfigurationError(Exception):
    """The settings do not make a server; `problems` has one sentence for each reason."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__(" ".join(problems))


def _switch(text: str) -> bool:
    values = {"on": True, "true": True, "yes": True, "1": True, "off": False, "false": False, "no": False, "0": False}
    if text.lower() not in values:
        raise ValueError("must be on or off")
    return values[text.lower()]


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("must be a whole number")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("must be a number of seconds") from None
    if not 0 < value < float("inf"):
        raise ValueError("must be a number of seconds above 0")
    return value


def _one_of(choices: Any) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in get_args(choices):
            raise ValueError(f"must be one of {', '.join(get_args(choices))}")
        return text

    return parse


VARIABLES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "KATA_LISTEN": ("listen", str),
    "KATA_DATA_DIR": ("data_dir", Path),
    "DATABASE_URL": ("database_url", str),
    "DATABASE_URL_DIRECT": ("database_url_direct", str),
    "KATA_DB_POOLER": ("pooler", _one_of(Pooler)),
    "KATA_MIGRATE": ("migrate", _one_of(Migrate)),
    "KATA_WORKERS": ("workers", _whole),
    "KATA_POOL_MAX": ("pool_max", _whole),
    "KATA_POOL_ACQUIRE_TIMEOUT": ("pool_acquire_timeout", _seconds),
    "KATA_POOL_IDLE": ("pool_idle", _seconds),
    "KATA_STATEMENT_TIMEOUT": ("statement_timeout", _seconds),
    "KATA_DEADLINE": ("deadline", _seconds),
    "KATA_SHUTDOWN_GRACE": ("shutdown_grace", _seconds),
    "KATA_WATCH_POLL": ("watch_poll", _seconds),
    "KATA_WATCH_CHECKPOINT": ("watch_checkpoint", _seconds),
    "KATA_COMPACTION": ("compaction", _switch),
    "KATA_COMPACTION_POLL": ("compaction_poll", _seconds),
    "KATA_SUMMARISER": ("summariser", str),
    "KATA_SUMMARISER_URL": ("summariser_url", str),
    "KATA_SUMMARISER_MODEL": ("summariser_model", str),
    "KATA_SUMMARISER_API_KEY": ("summariser_api_key", str),
    "KATA_SUMMARISER_CONNECT_TIMEOUT": ("summariser_connect_timeout", _seconds),
    "KATA_SUMMARISER_TIMEOUT": ("summariser_timeout", _seconds),
    "KATA_SUMMARISER_MAX_TOKENS": ("summariser_max_tokens", _whole),
    "KATA_SUMMARISER_CONTEXT_TOKENS": ("summariser_context_tokens", _whole),
    "KATA_MAX_FORK_DEPTH": ("max_fork_depth", _whole),
    "KATA_MAX_FORKS": ("max_forks", _whole),
    "KATA_RETENTION": ("retention", retention.parse),
    "KATA_RETENTION_INTERVAL": ("retention_interval", _seconds),
    "KATA_TLS_CERT": ("tls_cert", Path),
    "KATA_TLS_KEY": ("tls_key", Path),
    "KATA_TLS_CLIENT_CA": ("tls_client_ca", Path),
    "KATA_ALLOW_PLAINTEXT_REMOTE": ("allow_plaintext_remote", _switch),
    "KATA_LOG_LEVEL": ("log_level", _one_of(LogLevel)),
    "KATA_LOG_FORMAT": ("log_format", _one_of(LogFormat)),
}
"""What the environment may hold: the variable, the field of `Settings` that it sets, and how it is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of a server. Times are in seconds."""

    listen: str = "127.0.0.1:50051"
    data_dir: Path = Path(".kata")
    database_url: str | None = field(default=None, repr=False)
    """None: the embedded PostgreSQL in `data_dir`."""
    database_url_direct: str | None = field(default=None, repr=False)
    """None: the same as `database_url`."""
    pooler: Pooler = "auto"
    migrate: Migrate = "auto"
    workers: int = 1
    pool_max: int = 3
    pool_acquire_timeout: float = 5.0
    pool_idle: float = 8.0
    statement_timeout: float = 15.0
    deadline: float = 30.0
    """For a call whose client names none."""
    shutdown_grace: float = 35.0
    watch_poll: float = 1.0
    """How late a watch sees a change that no hint told it of."""
    watch_checkpoint: float = WATCH_CHECKPOINT_SECONDS
    compaction: bool = True
    """Whether this server compacts what policies find due."""
    compaction_poll: float = 60.0
    """How late it sees what another server left or marked."""
    summariser: str = "builtin"
    """Or `openai`, or the name of an entry point in `kata_grpc.summarisers`."""
    summariser_url: str | None = field(default=None, repr=False)
    summariser_model: str | None = None
    summariser_api_key: str | None = field(default=None, repr=False)
    summariser_connect_timeout: float = 5.0
    summariser_timeout: float = 240.0
    """For a whole summary, all calls and attempts."""
    summariser_max_tokens: int = 4_096
    """Of one answer."""
    summariser_context_tokens: int = 32_768
    """Of one call, its answer included."""
    max_fork_depth: int = MAX_FORK_DEPTH
    max_forks: int = MAX_FORKS
    """Of one context."""
    retention: retention.TenantRules | None = None
    """None: nothing is deleted or purged but by a call."""
    retention_interval: float = 3_600.0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    """Set: a client must show a certificate that one of these signed."""
    allow_plaintext_remote: bool = False
    log_level: LogLevel = "info"
    log_format: LogFormat = "text"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings; ConfigurationError lists everything that is wrong with them. Empty means not set."""
        values: dict[str, Any] = {}
        problems: list[str] = []
        for variable, (name, parse) in VARIABLES.items():
            text = environ.get(variable, "").strip()
            if not text:
                continue
            try:
                values[name] = parse(text)
            except ValueError as error:
                problems.append(f"{variable} {error}, not {text!r}.")
        settings = cls(**values)
        problems.extend(settings.validate())
        if problems:
            raise ConfigurationError(tuple(problems))
        return settings

    def as_env(self) -> dict[str, str]:
        """Write the settings as the environment of another process of the same server."""
        values = {variable: getattr(self, name) for variable, (name, _) in VARIABLES.items()}
        words = {None: "", True: "on", False: "off"}
        return {
            key: words[value] if value is None or isinstance(value, bool) else str(value)
            for key, value in values.items()
        }

    @property
    def embedded(self) -> bool:
        """Whether the server brings its own PostgreSQL."""
        return self.database_url is None

    def validate(self) -> tuple[str, ...]:
        """Find every rule that the settings break, a sentence each."""
        return (
            *self._limit_problems(),
            *self._listen_problems(),
            *self._database_problems(),
            *self._summariser_problems(),
        )

    def _limit_problems(self) -> list[str]:
        rules = (
            (1 <= self.workers <= 64, "KATA_WORKERS must be between 1 and 64."),
            (2 <= self.pool_max <= 100, "KATA_POOL_MAX must be between 2 and 100."),
            (1 <= self.max_fork_depth <= 256, "KATA_MAX_FORK_DEPTH must be between 1 and 256."),
            (self.max_forks >= 1, "KATA_MAX_FORKS must be at least 1."),
            (
                self.statement_timeout < self.deadline < self.shutdown_grace,
                "KATA_STATEMENT_TIMEOUT must be less than KATA_DEADLINE, and that less than KATA_SHUTDOWN_GRACE.",
            ),
            (
                self.pool_acquire_timeout < self.deadline,
                "KATA_POOL_ACQUIRE_TIMEOUT must be less than KATA_DEADLINE.",
            ),
        )
        return [sentence for holds, sentence in rules if not holds]

    def _listen_problems(self) -> list[str]:
        problems = []
        try:
            remote = not is_loopback(self.listen)
        except ValueError as error:
            problems.append(f"KATA_LISTEN {error}, not {self.listen!r}.")
            remote = False
        if (self.tls_cert is None) != (self.tls_key is None):
            problems.append("KATA_TLS_CERT and KATA_TLS_KEY must be set together.")
        if self.tls_client_ca is not None and self.tls_cert is None:
            problems.append("KATA_TLS_CLIENT_CA needs KATA_TLS_CERT and KATA_TLS_KEY.")
        if remote and self.tls_cert is None and not self.allow_plaintext_remote:
            problems.append(
                f"KATA_LISTEN is {self.listen}, beyond this machine, without TLS: set KATA_TLS_CERT and KATA_TLS_KEY, "
                "or KATA_ALLOW_PLAINTEXT_REMOTE=on where the network itself is trusted."
            )
        return problems

    def _database_problems(self) -> list[str]:
        problems = [f"{variable} {problem}." for variable, url in self._urls() if (problem := _url_problem(url))]
        if self.database_url is None and self.database_url_direct is not None:
            problems.append("DATABASE_URL_DIRECT is set and DATABASE_URL is not: set both, or neither.")
        return problems

    def _summariser_problems(self) -> list[str]:
        url, key, lease = self.summariser_url, self.summariser_api_key, COMPACTION_LEASE_SECONDS
        rules = (
            (
                self.summariser != "openai" or (url is not None and self.summariser_model is not None),
                "KATA_SUMMARISER=openai needs KATA_SUMMARISER_URL and KATA_SUMMARISER_MODEL.",
            ),
            (url is None or _is_http(url), "KATA_SUMMARISER_URL must be a URL of the form https://host:port/path."),
            (
                key is None or (key.isascii() and key.isprintable() and " " not in key),
                "KATA_SUMMARISER_API_KEY must be visible ASCII characters.",
            ),
            (
                self.summariser_connect_timeout < self.summariser_timeout < lease,
                f"KATA_SUMMARISER_TIMEOUT must be above KATA_SUMMARISER_CONNECT_TIMEOUT and below {lease}, the lease.",
            ),
            (self.summariser_max_tokens >= 256, "KATA_SUMMARISER_MAX_TOKENS must be at least 256."),
            (
                self.summariser_context_tokens >= max(2 * self.summariser_max_tokens, 4_096),
                "KATA_SUMMARISER_CONTEXT_TOKENS must be at least 4096 and twice KATA_SUMMARISER_MAX_TOKENS.",
            ),
        )
        return [sentence for holds, sentence in rules if not holds]

    def _summariser_warnings(self) -> list[str]:
        warnings = []
        if self.summariser == "builtin" and (self.summariser_url or self.summariser_model or self.summariser_api_key):
            warnings.append("KATA_SUMMARISER is builtin: what is set of an endpoint is not used; openai would use it.")
        if self.summariser == "openai" and self.summariser_url and _is_remote_http(self.summariser_url):
            warnings.append("KATA_SUMMARISER_URL leads to another machine without TLS: messages cross it unencrypted.")
        return warnings

    def _urls(self) -> list[tuple[str, str]]:
        urls = (("DATABASE_URL", self.database_url), ("DATABASE_URL_DIRECT", self.database_url_direct))
        return [(variable, url) for variable, url in urls if url is not None]

    def warnings(self, environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """List what works but is probably not meant; `environ` is searched for misspelt variables."""
        warnings = [
            f"{variable} leads to another machine without TLS: add sslmode=verify-full, or sslmode=require, to it."
            for variable, url in self._urls()
            if _is_remote_plaintext(url)
        ]
        if not is_loopback(self.listen) and self.tls_cert is None:
            warnings.append(f"KATA_LISTEN is {self.listen}: calls and their content cross the network unencrypted.")
        warnings += self._summariser_warnings()
        known = VARIABLES.keys() | _OTHER_VARIABLES
        for name in sorted(environ or ()):
            if name.startswith("KATA_") and name not in known:
                close = difflib.get_close_matches(name, known, 1)
                warnings.append(f"{name} is no setting{f'; is {close[0]} meant?' if close else '.'}")
        return tuple(warnings)


def is_loopback(address: str) -> bool:
    """Tell whether only this machine can reach `host:port` or `unix:path`; ValueError says what is wrong with it."""
    if address.startswith("unix:"):
        return True
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError("must be host:port or unix:path")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _url_problem(url: str) -> str:
    try:
        parts = urlsplit(url)
        if "," not in parts.netloc:
            _ = parts.port
    except ValueError:
        return "is not a URL of the form postgresql://user:password@host:port/database"
    if parts.scheme not in _SCHEMES:
        return "must start with postgresql://"
    if not parts.path.strip("/"):
        return "must name a database after the host"
    return ""


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_remote_http(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(f"{parts.hostname}:0")


def _is_remote_plaintext(url: str) -> bool:
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    host = parts.hostname or options.get("host", "/")
    if host.startswith("/") or host == "localhost" or options.get("sslmode") in _ENCRYPTED:
        return False
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True
