"""Accepting TLS connections: a place is taken before the handshake, which costs the server more than the client.

asyncio's own server counts nothing before the handshake is over, so that whoever starts handshakes and leaves them
held descriptors and memory beside every limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

from zerohop.errors import Overloaded
from zerohop.tasks import TaskGroup
from zerohop_proxy.connection import Connection, ConnectionServer

__all__ = ["SecureServer", "TlsListener"]

_log = logging.getLogger(__name__)

_PAUSE_S: Final = 1.0
"""After an accept that failed for want of descriptors or memory: asyncio's server waits as long."""


class _SecureConnection(Connection):
    """A connection after its handshake."""

    __slots__ = ("begin",)

    begin: Callable[[], None]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Gives the place of the handshake back in the very turn in which the connection takes its own.
        self.begin()
        super().connection_made(transport)


class SecureServer(ConnectionServer):
    """Makes connections, with and without TLS."""

    def secure(self, begin: Callable[[], None]) -> Connection:
        """One that calls `begin` when its handshake is over."""
        connection = _SecureConnection(self, loop=self._loop, **self._kwargs)
        connection.begin = begin
        return connection


class TlsListener:
    """Accepts on one socket, which it owns, until it is closed."""

    def __init__(
        self,
        server: SecureServer,
        listening: socket.socket,
        context: ssl.SSLContext,
        *,
        backlog: int,
        handshake_timeout_s: float,
        shutdown_timeout_s: float,
    ) -> None:
        self._server = server
        self._listening = listening
        self._context = context
        self._handshake_timeout_s = handshake_timeout_s
        self._shutdown_timeout_s = shutdown_timeout_s
        self._tasks = TaskGroup("TLS")
        listening.setblocking(False)
        listening.listen(backlog)
        self._accepting = self._tasks.start("accept", self._accept())

    def is_serving(self) -> bool:
        """Whether clients can connect."""
        return not self._accepting.done()

    def close(self) -> None:
        """Accept no more."""
        self._accepting.cancel()

    async def wait_closed(self) -> None:
        """Until nothing is left: handshakes that are still going on are cut."""
        self.close()
        await self._tasks.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        with self._listening:
            while True:
                try:
                    client, address = await loop.sock_accept(self._listening)
                except ConnectionError:
                    continue  # gone before it was accepted
                except OSError as error:
                    _log.error("cannot accept connections: %s", error.strerror or error)
                    await asyncio.sleep(_PAUSE_S)
                    continue
                self._begin(client, address[0] if isinstance(address, tuple) else "local")

    def _begin(self, client: socket.socket, address: str) -> None:
        """Start a handshake, if there is a place. If not, nobody can be told why before one is over."""
        if self._server.places.take(address):
            try:
                self._tasks.start("handshake", self._shake_hands(client, address))
            except Overloaded:
                self._server.places.give(address)
            else:
                return
        self._server.accepted_count += 1
        self._server.refused_count += 1
        client.close()

    async def _shake_hands(self, client: socket.socket, address: str) -> None:
        over = False

        def begin() -> None:
            nonlocal over
            over = True
            self._server.places.give(address)

        connection = self._server.secure(begin)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                client,
                ssl=self._context,
                ssl_handshake_timeout=self._handshake_timeout_s,
                ssl_shutdown_timeout=self._shutdown_timeout_s,
            )
        except OSError as error:  # among them ssl.SSLError and TimeoutError
            _log.debug("no handshake", extra={"remote": address, "reason": str(error)})
        finally:
            if not over:
                self._server.accepted_count += 1
                self._server.places.give(address)
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)  # cancelled, it would go on until its time is up
