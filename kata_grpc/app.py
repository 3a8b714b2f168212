"""The composition root: settings → pool → repositories → services → servicers → server, closed in reverse.

The only module that sees all layers.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from kata.context.v1 import context_service_pb2, message_service_pb2, policy_service_pb2

from kata_grpc import limits
from kata_grpc.db.pool import Database, PoolOptions
from kata_grpc.dialects import surcharge
from kata_grpc.repositories.contexts import ContextRepository
from kata_grpc.services.artifacts import Artifacts
from kata_grpc.services.changes import Changes
from kata_grpc.services.compacting import Compactions
from kata_grpc.services.compactor import Compactor
from kata_grpc.services.contexts import Contexts
from kata_grpc.services.flattening import Flattening
from kata_grpc.services.forking import ForkLimits, Forks
from kata_grpc.services.hints import Hints
from kata_grpc.services.importing import Imports
from kata_grpc.services.lineages import Lineages
from kata_grpc.services.messages import Messages
from kata_grpc.services.policies import Policies
from kata_grpc.services.purging import Purging
from kata_grpc.services.redacting import Redactions
from kata_grpc.services.removing import Removals
from kata_grpc.services.retention import Retention
from kata_grpc.services.tagging import Tags
from kata_grpc.services.watching import Watching
from kata_grpc.services.windows import Windows
from kata_grpc.summarisers import load
from kata_grpc.tokenizers import Tokenizers
from kata_grpc.transport.artifacts import ArtifactServicer
from kata_grpc.transport.auth import Authenticator, FixedTenant
from kata_grpc.transport.calls import Calls
from kata_grpc.transport.compacting import CompactionServicer
from kata_grpc.transport.contexts import ContextServicer
from kata_grpc.transport.draining import Draining
from kata_grpc.transport.lineages import LineageServicer
from kata_grpc.transport.messages import MessageServicer
from kata_grpc.transport.policies import PolicyServicer
from kata_grpc.transport.purging import PurgeServicer
from kata_grpc.transport.redacting import RedactionServicer
from kata_grpc.transport.removing import RemovalServicer
from kata_grpc.transport.tags import TagServicer
from kata_grpc.transport.tls import Certificates
from kata_grpc.transport.tokens import TokenMaker
from kata_grpc.transport.verifying import VerifyServicer
from kata_grpc.transport.watching import WatchServicer

if TYPE_CHECKING:
    from kata_grpc.config import Settings

_log = logging.getLogger(__name__)

_STREAM_SECONDS = 600.0
"""How long a stream may last that has an end of its own."""
STALL_SECONDS = 60.0
"""How long the reader of a stream may take nothing."""
_NOTICE_SECONDS = 0.25
"""From NOT_SERVING to the end of the listener; calls that come meanwhile are told where the server stands."""
_ANSWER_SECONDS = 1.0
"""For the last answers to leave."""

_SERVICES = (
    context_service_pb2.DESCRIPTOR.services_by_name["ContextService"],
    message_service_pb2.DESCRIPTOR.services_by_name["MessageService"],
    policy_service_pb2.DESCRIPTOR.services_by_name["PolicyService"],
)
_OPTIONS = (
    ("grpc.max_receive_message_length", limits.MAX_RECEIVE_BYTES),
    ("grpc.max_send_message_length", -1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
)


class Server:
    """One process of the service: a pool of connections behind a gRPC listener."""

    def __init__(
        self,
        settings: Settings,
        *,
        reuse_port: bool = False,
        authenticator: Authenticator | None = None,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        """`settings.database_url` is set; `reuse_port` lets other processes listen on the same port."""
        self._settings = settings
        self._stall_seconds = stall_seconds
        self._reuse_port = reuse_port
        self._authenticator = authenticator or FixedTenant()
        self._draining = Draining()
        self._health = health.aio.HealthServicer()
        self._database: Database | None = None
        self._tokenizers: Tokenizers | None = None
        self._changes = Changes(limits.MAX_WATCHERS)
        self._hints: Hints | None = None
        self._purging: Purging | None = None
        self._retention: asyncio.Task[None] | None = None
        self._compactions: Compactions | None = None
        self._compactor: Compactor | None = None
        self._server: grpc.aio.Server | None = None
        self._port = 0

    async def start(self) -> None:
        """Open the pool, bind the listener, and say SERVING once calls can be answered."""
        settings = self._settings
        assert settings.database_url is not None, "whoever starts the embedded database sets its URL"
        options = PoolOptions(
            size=settings.pool_max,
            acquire_timeout=settings.pool_acquire_timeout,
            statement_timeout=settings.statement_timeout,
            idle_seconds=settings.pool_idle,
            pooler=settings.pooler,
        )
        self._database = database = await Database.open(
            settings.database_url, options, direct_url=settings.database_url_direct
        )
        self._tokenizers = tokenizers = Tokenizers(surcharge)
        await asyncio.to_thread(tokenizers.warm)
        tokens = TokenMaker(await ContextRepository(database).token_key())
        direct_url = settings.database_url_direct or settings.database_url
        self._hints = hints = Hints(database, self._changes, direct_url, options, settings.watch_poll)
        watching = Watching(database, self._changes, hints, settings.watch_checkpoint)
        self._compactions = compactions = Compactions(database, tokenizers, load(settings), hints.changed)
        if settings.compaction:
            self._compactor = Compactor(database, compactions, settings.compaction_poll)
        nudge = self._compactor.nudge if self._compactor else None
        messages = Messages(database, tokenizers, hints.changed, nudge)
        fork_limits = ForkLimits(depth=settings.max_fork_depth, children=settings.max_forks)
        forks = Forks(database, messages, fork_limits, hints.changed, nudge)
        flattening = Flattening(database, hints.changed)
        self._purging = purging = Purging(database, flattening)
        servicers = (
            (
                ContextServicer(Contexts(database, hints.changed), forks, tokens),
                TagServicer(Tags(database, hints.changed), tokens),
                LineageServicer(Lineages(database), flattening, tokens),
                PurgeServicer(purging),
                VerifyServicer(database),
            ),
            (
                MessageServicer(messages, Imports(database), Windows(database, tokenizers), tokens, self._draining),
                WatchServicer(watching, tokens, self._draining),
                RemovalServicer(Removals(database, hints.changed)),
                RedactionServicer(Redactions(database, hints.changed)),
            ),
            (
                PolicyServicer(Policies(database, hints.changed, nudge)),
                CompactionServicer(compactions, tokens),
                ArtifactServicer(Artifacts(database), tokens),
            ),
        )
        calls = Calls(
            self._authenticator,
            self._draining,
            settings.deadline,
            _STREAM_SECONDS,
            self._stall_seconds,
            limits.WATCH_HOURS * 3_600,
            limits.MAX_APPEND_STREAM_SECONDS,
        )
        self._server = server = grpc.aio.server(options=[*_OPTIONS, ("grpc.so_reuseport", int(self._reuse_port))])
        server.add_generic_rpc_handlers(
            tuple(calls.handler(service, *those) for service, those in zip(_SERVICES, servicers, strict=True))
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = [service.full_name for service in _SERVICES]
        reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
        self._port = self._listen(server)
        await server.start()
        for name in ("", *names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        retention = Retention(database, purging, settings.retention, hints.changed)
        self._retention = asyncio.create_task(retention.keep_running(settings.retention_interval))
        if self._compactor is not None:
            self._compactor.start()
        _log.info("serving on %s%s", self.address, " with TLS" if settings.tls_cert else "")

    def _listen(self, server: grpc.aio.Server) -> int:
        settings = self._settings
        if settings.tls_cert is None or settings.tls_key is None:
            return server.add_insecure_port(settings.listen)
        certificates = Certificates(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
        return server.add_secure_port(settings.listen, certificates.server_credentials())

    @property
    def address(self) -> str:
        """Where the server listens, with the port that it was given."""
        listen = self._settings.listen
        if listen.startswith("unix:"):
            return listen
        return f"{listen.rpartition(':')[0]}:{self._port}"

    @property
    def database(self) -> Database:
        """The pool of a started server."""
        assert self._database is not None, "the server was started"
        return self._database

    async def _say_not_serving(self, notice: float) -> None:
        """Tell everyone who watches, and give calls on their way time to arrive: gRPC would cancel them untyped."""
        telling = [
            asyncio.create_task(self._health.set(name, health_pb2.HealthCheckResponse.NOT_SERVING))
            for name in ("", *(service.full_name for service in _SERVICES))
        ]
        await asyncio.sleep(notice)
        # A watcher that takes nothing holds up the telling for as long as it likes.
        for task in telling:
            task.cancel()
        await asyncio.gather(*telling, return_exceptions=True)

    async def stop(self, grace: float) -> None:
        """Drain: say NOT_SERVING, finish unary calls, end streams where they can be resumed, close the pool."""
        begun = asyncio.get_running_loop().time()
        self._draining.start()
        self._changes.close()
        if self._compactor is not None:
            await self._compactor.stop()
        if self._server is not None:
            await self._say_not_serving(min(grace, _NOTICE_SECONDS))
            left = grace - (asyncio.get_running_loop().time() - begun)
            # What is left then only listens, as watchers of the health do: they would stay for the whole grace.
            finished = await self._draining.finished(within=max(left, 0))
            await self._server.stop(min(grace, _ANSWER_SECONDS) if finished else 0)
        if self._retention is not None:
            self._retention.cancel()
            await asyncio.gather(self._retention, return_exceptions=True)
        if self._purging is not None:
            await self._purging.close()
        if self._compactions is not None:
            await self._compactions.close()
        if self._tokenizers is not None:
            self._tokenizers.close()
        if self._hints is not None:
            await self._hints.close()
        if self._database is not None:
            await self._database.close()
