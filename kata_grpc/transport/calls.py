"""What every call goes through: decoding, the caller's tenant, a deadline, and the error door."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast
from uuid import uuid4

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as Proto
from google.protobuf.message_factory import GetMessageClass

from kata_grpc.db.pool import call_deadline
from kata_grpc.domain.contexts import TenantId
from kata_grpc.domain.errors import DeadlineExceeded, KataError, MalformedRequest
from kata_grpc.transport.status import StatusError, internal, status_of

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor

    from kata_grpc.transport.auth import Authenticator
    from kata_grpc.transport.draining import Draining

_log = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Answer = Proto | bytes
"""Bytes are an answer that is already serialized."""

_Result = TypeVar("_Result")

STATUS_KEY = "grpc-status-details-bin"
_DEADLINE_SLACK = 0.05
"""Seconds by which the server gives up before the client does, so that its answer still arrives."""
_DEADLINE_SHARE = 0.1
"""What of a short deadline that may take at most."""
_WATCH = "Watch"
"""What the names of methods begin with whose streams have no end of their own."""
_SLOW = frozenset({"CompactContext", "PreviewCompaction"})
"""Methods that wait for a summary."""
_REFUSAL_SECONDS = 1.0
"""For a refusal to leave; then it waits for its reader without a call that waits for it."""


class Writer:
    """The sending side of a server stream; a reader that takes nothing for `stall_seconds` ends it."""

    def __init__(self, context: Context, stall_seconds: float) -> None:
        self._context = context
        self._stall_seconds = stall_seconds

    async def write(self, frame: bytes) -> None:
        """Send one frame, waiting while the reader is behind."""
        try:
            async with asyncio.timeout(self._stall_seconds):
                await self._context.write(frame)
        except TimeoutError:
            raise DeadlineExceeded(self._stall_seconds) from None


class Dialog(Writer):
    """The sending side of a stream of requests, each of which is bounded and may be refused by itself."""

    def __init__(self, context: Context, stall_seconds: float, request_seconds: float) -> None:
        super().__init__(context, stall_seconds)
        self._request_seconds = request_seconds

    async def attempt(self, call: Callable[[], Awaitable[_Result]]) -> _Result | StatusError:
        """Answer one request, in a task of its own: its result, or what goes out for its failure."""
        call_deadline.set(asyncio.get_running_loop().time() + self._request_seconds)
        try:
            async with asyncio.timeout(self._request_seconds):
                return await call()
        except Exception as error:  # noqa: BLE001 - the door
            return _refusal(error, self._request_seconds)


Unary = Callable[[TenantId, Any], Awaitable[Answer]]
ServerStream = Callable[[TenantId, Any, Writer], Awaitable[None]]
ClientStream = Callable[[TenantId, AsyncIterator[Any]], Awaitable[Answer]]
BothStreams = Callable[[TenantId, AsyncIterator[Any], Dialog], Awaitable[None]]


class Calls:
    """Turns a servicer's methods into gRPC handlers."""

    def __init__(
        self,
        authenticator: Authenticator,
        draining: Draining,
        call_seconds: float,
        stream_seconds: float,
        stall_seconds: float,
        watch_seconds: float,
        dialog_seconds: float,
    ) -> None:
        self._authenticator = authenticator
        self._draining = draining
        self._call_seconds = call_seconds
        self._stream_seconds = stream_seconds
        self._stall_seconds = stall_seconds
        self._watch_seconds = watch_seconds
        self._dialog_seconds = dialog_seconds

    def handler(self, service: ServiceDescriptor, *servicers: object) -> grpc.GenericRpcHandler:
        """Return the handlers of a service, whose methods stand in `servicers` under their names on the wire."""
        handlers = {
            method.name: self._method(method, getattr(_having(servicers, method.name), method.name))
            for method in service.methods
        }
        return grpc.method_handlers_generic_handler(service.full_name, handlers)

    def _method(self, method: MethodDescriptor, call: Any) -> grpc.RpcMethodHandler[Any, Any]:
        decode = _decoder(method)
        if method.client_streaming and method.server_streaming:
            return grpc.stream_stream_rpc_method_handler(self._both_streams(call), decode, _encode)
        if method.client_streaming:
            return grpc.stream_unary_rpc_method_handler(self._client_stream(call), decode, _encode)
        if method.server_streaming:
            seconds = self._watch_seconds if method.name.startswith(_WATCH) else self._stream_seconds
            return grpc.unary_stream_rpc_method_handler(self._server_stream(call, seconds), decode, _encode)
        seconds = self._stream_seconds if method.name in _SLOW else self._call_seconds
        return grpc.unary_unary_rpc_method_handler(self._unary(call, seconds), decode, _encode)

    def _unary(self, call: Unary, seconds: float) -> Callable[[Proto | None, Context], Awaitable[Answer]]:
        async def handle(request: Proto | None, context: Context) -> Answer:
            return await self._guarded(context, seconds, lambda tenant: call(tenant, _well_formed(request)))

        return handle

    def _server_stream(self, call: ServerStream, seconds: float) -> Callable[[Proto | None, Context], Awaitable[None]]:
        async def handle(request: Proto | None, context: Context) -> None:
            writer = Writer(context, self._stall_seconds)
            await self._guarded(context, seconds, lambda tenant: call(tenant, _well_formed(request), writer))

        return handle

    def _client_stream(self, call: ClientStream) -> Callable[[AsyncIterator[Proto | None], Context], Awaitable[Answer]]:
        async def handle(requests: AsyncIterator[Proto | None], context: Context) -> Answer:
            return await self._guarded(context, self._stream_seconds, lambda tenant: call(tenant, _decoded(requests)))

        return handle

    def _both_streams(self, call: BothStreams) -> Callable[[AsyncIterator[Proto | None], Context], Awaitable[None]]:
        async def handle(requests: AsyncIterator[Proto | None], context: Context) -> None:
            dialog = Dialog(context, self._stall_seconds, self._call_seconds)
            await self._guarded(context, self._dialog_seconds, lambda tenant: call(tenant, _decoded(requests), dialog))

        return handle

    async def _guarded(
        self, context: Context, most_seconds: float, call: Callable[[TenantId], Awaitable[_Result]]
    ) -> _Result:
        # None without a deadline, which the type does not say.
        remaining = cast("float | None", context.time_remaining())
        seconds = most_seconds if remaining is None else min(most_seconds, _before(remaining))
        call_deadline.set(asyncio.get_running_loop().time() + seconds)
        try:
            with self._draining.call():
                tenant = self._authenticator.tenant(tuple(context.invocation_metadata() or ()))
                async with asyncio.timeout(seconds):
                    return await call(tenant)
        except Exception as error:  # noqa: BLE001 - the door
            refusal = _refusal(error, seconds)
        return await _refuse(context, *refusal)


def _refusal(error: Exception, seconds: float) -> StatusError:
    """Say what goes out for a failure; what nobody foresaw is logged and answered as INTERNAL."""
    match error:
        case KataError():
            return status_of(error)
        case TimeoutError():
            return status_of(DeadlineExceeded(seconds))
        case _:
            request_id = str(uuid4())
            _log.error("a call failed, request id %s", request_id, exc_info=error)
            return internal(request_id)


async def _refuse(context: Context, code: grpc.StatusCode, message: str, status: bytes) -> NoReturn:
    """Send a refusal. A reader that takes nothing finds it should it read again; nobody waits for that."""
    try:
        async with asyncio.timeout(_REFUSAL_SECONDS):
            await context.abort(code, message, ((STATUS_KEY, status),))
    except (TimeoutError, grpc.aio.InternalError):  # the latter where its very first frame was not taken
        raise asyncio.CancelledError from None


def _having(servicers: Iterable[object], name: str) -> object:
    (servicer,) = (servicer for servicer in servicers if hasattr(servicer, name))
    return servicer


def _before(remaining: float) -> float:
    return remaining - min(_DEADLINE_SLACK, remaining * _DEADLINE_SHARE)


def _decoder(method: MethodDescriptor) -> Callable[[bytes], Proto | None]:
    message = GetMessageClass(method.input_type)

    def decode(data: bytes) -> Proto | None:
        # What is raised here would go out as INTERNAL; None becomes a typed refusal in the call.
        try:
            return message.FromString(data)
        except DecodeError:
            return None

    return decode


def _encode(answer: Answer) -> bytes:
    return answer if isinstance(answer, bytes) else answer.SerializeToString()


async def _decoded(requests: AsyncIterator[Proto | None]) -> AsyncIterator[Proto]:
    async for request in requests:
        yield _well_formed(request)


def _well_formed(request: Proto | None) -> Proto:
    if request is None:
        raise MalformedRequest
    return request
