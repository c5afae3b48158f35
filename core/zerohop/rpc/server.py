"""The RPC server: which handler answers which request, on which addresses, within which bounds."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from zerohop.errors import Overloaded, PeerUnavailable
from zerohop.metrics import Calls
from zerohop.rpc.address import Address
from zerohop.rpc.call import Call, StreamInCall, StreamOutCall
from zerohop.rpc.handshake import secret_bytes
from zerohop.rpc.listener import UnixSocketFile, check_exposure, start_listening
from zerohop.rpc.message import MessageSet, Request, response_type
from zerohop.rpc.session import Session

__all__ = ["RpcServer"]

R = TypeVar("R")
Q = TypeVar("Q", bound=Request[Any])

SyncHandler = Callable[[Any, Call], object]
UnaryHandler = Callable[[Any, Call], Awaitable[object]]
StreamInHandler = Callable[[Any, StreamInCall], Awaitable[object]]
StreamOutHandler = Callable[[Any, StreamOutCall], Awaitable[None]]

_log = logging.getLogger(__name__)

MAX_CONNECTIONS = 1024
MAX_CALLS_PER_CONNECTION = 1024
MAX_CALLS = 4096
"""Handlers running as tasks. More are answered `Overloaded` at once: dying early is better than dying late."""


class RpcServer:
    """Answers requests on any number of addresses. Register all handlers before listening.

    `name` is what peers see in logs. With `cluster_secret` every caller must prove that he knows it.
    """

    def __init__(
        self,
        name: str,
        cluster_secret: str | bytes | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
        plaintext_allowed: bool = False,
        max_connections: int = MAX_CONNECTIONS,
        max_calls_per_connection: int = MAX_CALLS_PER_CONNECTION,
        max_calls: int = MAX_CALLS,
    ) -> None:
        self.name = name
        self.secret = secret_bytes(cluster_secret)
        self.messages = MessageSet()
        self.calls = Calls()
        self.sync_handlers: dict[type, SyncHandler] = {}
        self.handlers: dict[type, UnaryHandler] = {}
        self.stream_in_handlers: dict[type, StreamInHandler] = {}
        self.stream_out_handlers: dict[type, StreamOutHandler] = {}
        self.task_names: dict[type, str] = {}  # of the handlers that run as tasks
        self._ssl = ssl_context
        self._plaintext_allowed = plaintext_allowed
        self._max_connections = max_connections
        self._max_calls_per_connection = max_calls_per_connection
        self._max_calls = max_calls
        self._listening: list[tuple[asyncio.AbstractServer, Address, UnixSocketFile | None]] = []
        self._sessions: set[Session] = set()
        self._calls = 0  # handlers running as tasks, over all sessions
        self._closing = False
        self._idle = asyncio.Event()
        self._idle.set()

    # Handlers

    def register_sync(self, request_class: type[Q], handler: Callable[[Q, Call], object]) -> None:
        """Answers in the turn of the loop that received the request: for what needs no await and no time."""
        self._add(request_class)
        self.sync_handlers[request_class] = handler

    def register(self, request_class: type[Q], handler: Callable[[Q, Call], Awaitable[object]]) -> None:
        """Answers in a task of its own, which the caller's cancellation, time-out or end cancels."""
        self._add(request_class)
        self.handlers[request_class] = handler

    def register_stream_in(
        self, request_class: type[Q], handler: Callable[[Q, StreamInCall], Awaitable[object]]
    ) -> None:
        """The handler reads a body from the call, to its end, and returns the response."""
        self._add(request_class)
        self.stream_in_handlers[request_class] = handler

    def register_stream_out(
        self, request_class: type[Q], handler: Callable[[Q, StreamOutCall], Awaitable[None]]
    ) -> None:
        """The handler responds through the call, then writes the body to it."""
        self._add(request_class)
        self.stream_out_handlers[request_class] = handler

    def _add(self, request_class: type[Request[Any]]) -> None:
        response_type(request_class)
        self.task_names[request_class] = f"{self.name} {request_class.__name__}"
        self.messages.add(request_class)

    # Listening

    async def listen(self, address: str | Address) -> Address:
        """Listens there too; returns the address with its real port. Raises `ConfigError`."""
        parsed = Address.parse(address)
        check_exposure(
            parsed,
            has_secret=self.secret is not None,
            has_tls=self._ssl is not None,
            plaintext_allowed=self._plaintext_allowed,
        )
        loop = asyncio.get_running_loop()
        entry = await start_listening(parsed, lambda: Session(loop, self), self._ssl)
        self._listening.append(entry)
        return entry[1]

    @property
    def addresses(self) -> list[Address]:
        """Where it listens, with real ports."""
        return [address for _, address, _ in self._listening]

    async def close(self, drain_s: float = 0.0) -> None:
        """Stops listening, lets running calls go on for `drain_s`, cancels the rest, closes the connections."""
        self._closing = True
        for server, _, file in self._listening:
            server.close()
            if file is not None:
                file.remove()
        if self._calls and drain_s > 0:
            try:
                async with asyncio.timeout(drain_s):
                    await self._idle.wait()
            except TimeoutError:
                _log.warning("%s: %d calls are cut after draining for %g s", self.name, self._calls, drain_s)
        sessions = list(self._sessions)
        tasks = [task for session in sessions for task in session.cancel_calls()]
        if tasks:
            await asyncio.wait(tasks)
        for session in sessions:
            session.close()
        await self._wait_closed(sessions)
        self._listening.clear()

    async def _wait_closed(self, sessions: list[Session]) -> None:
        """Gives peers a moment to take their last answers; then drops them."""
        await asyncio.gather(*(session.gone(timeout_s=1.0) for session in sessions))
        for server, _, _ in self._listening:
            await server.wait_closed()

    # Bounds, asked by the sessions

    def admit(self, session: Session) -> bool:
        """Takes a new connection, unless there are too many."""
        if self._closing or len(self._sessions) >= self._max_connections:
            return False
        self._sessions.add(session)
        return True

    def forget(self, session: Session) -> None:
        """The connection is gone."""
        self._sessions.discard(session)

    def begin_call(self, running_on_connection: int) -> None:
        """Counts a call that runs as a task. Raises `Overloaded`, or `PeerUnavailable` while shutting down."""
        if self._closing:
            raise PeerUnavailable(f"{self.name} is shutting down")
        if running_on_connection >= self._max_calls_per_connection or self._calls >= self._max_calls:
            raise Overloaded(f"{self.name} is at its limit of concurrent calls")
        if not self._calls:
            self._idle.clear()
        self._calls += 1

    def end_call(self) -> None:
        """A counted call is over."""
        self._calls -= 1
        if not self._calls:
            self._idle.set()
