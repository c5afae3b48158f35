"""The rest of a body straight from its connection, past the HTTP library that has read the head.

aiohttp makes an object of each read of the socket, copies it once more, and stops the socket whenever 128 KiB wait.
Here the bytes are received into memory that is used again (`ReceiveBuffers`), and stay in the processor's cache until
they are in the tier's file. Together with sending them from that file (`IncomingBlock`) this took the worker from 2.5
to 1.9 ms a MiB of a cold read of 64 MiB, and the proxy, whose pipe gets pages instead of copies, from 1.4 to 0.9.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

from zerohop.errors import DeadlineExceeded, ZerohopError
from zerohop.rpc.body import BodyReader
from zerohop.rpc.receive_buffers import ReceiveBuffers

__all__ = ["WORTH_BYTES", "BodyIntake"]

WORTH_BYTES: Final = 512 << 10
"""Less is read by the library: it has much of that at hand together with the head."""


class BodyIntake(asyncio.BufferedProtocol):
    """Takes the place of aiohttp's protocol at a connection until a body has come, and then gives it back to its pool.

    Only public parts of aiohttp are used: the response's `content` and `connection`, and asyncio's own
    `set_protocol`. Between two requests aiohttp makes a new parser, so that the one of this response does not miss
    what it never sees. Invariant: the connection's protocol is this one until `_left_bytes` is 0 or it is lost.
    """

    def __init__(
        self,
        response: Any,
        transport: asyncio.Transport,
        left_bytes: int,
        timeout_s: float,
        cut: ZerohopError,
    ) -> None:
        self._response = response  # keeps the connection
        self._library = cast("asyncio.Protocol", transport.get_protocol())
        self._transport = transport
        self._left_bytes = left_bytes
        self._cut = cut
        self._received = ReceiveBuffers()
        self._total_bytes = left_bytes
        self.body = BodyReader(timeout_s, transport.pause_reading, self._resume)

    @classmethod
    def begin(
        cls, response: Any, left_bytes: int, timeout_s: float, cut: ZerohopError
    ) -> tuple[bytes, BodyIntake | None]:
        """What the library has of the body, and who receives the `left_bytes` less those that follow; None where the
        library has to. `cut` is what a reader gets to know when the connection is lost.
        """
        content, connection = response.content, response.connection
        had: list[bytes] = []
        while piece := content.read_nowait():  # once more after each: what it held back follows
            had.append(piece)
        data = b"".join(had)
        left_bytes -= len(data)
        transport = None if connection is None else connection.transport
        if left_bytes <= 0 or transport is None or transport.is_closing() or content.is_eof():
            return data, None
        if "transfer-encoding" in response.headers:  # what the connection carries is not the body as it is
            return data, None
        intake = cls(response, transport, left_bytes, timeout_s, cut)
        connection.protocol.pause_reading()  # stops its own time-out, too
        transport.set_protocol(intake)
        transport.resume_reading()
        return data, intake

    async def read(self, max_bytes: int) -> memoryview:
        """The next bytes, which stay as they are. Raises TimeoutError, and the error for a cut connection."""
        try:
            return await self.body.read(max_bytes)
        except DeadlineExceeded:
            raise TimeoutError from None

    # asyncio.BufferedProtocol

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop's signature
        """Called by the loop."""
        return self._received.next()[: self._left_bytes]

    def buffer_updated(self, nbytes: int) -> None:
        """Called by the loop."""
        self._left_bytes -= nbytes
        self.body.feed(memoryview(self._received.received(nbytes)))
        if not self._left_bytes:
            self.body.end(self._total_bytes)
            self._transport.set_protocol(self._library)
            self._response.content.feed_eof()  # the connection goes back to its pool

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        self.body.fail(self._cut)
        self._library.connection_lost(exc)

    def _resume(self) -> None:
        if self._left_bytes and not self._transport.is_closing():
            self._transport.resume_reading()
