"""Our own generator: any requests, over any number of connections, from several processes pinned to the load's core.

`wrk` counts answers to HEAD wrongly and cannot make a new PUT for each request; and no peer but us speaks for what
clients really send, which is a signature in the header.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import queue
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Final, cast

import uvloop

from zerohop_bench.http_load import Address, LoadFailed, Work

__all__ = ["exchanges"]

_PROCESSES: Final = 2
_TIMEOUT_S: Final = 30.0
_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_CHUNKED: Final = re.compile(rb"(?i)\r\ntransfer-encoding: *chunked")
_LAST: Final = re.compile(rb"(?i)\r\nconnection: *close")


def exchanges(
    address: Address,
    requests: Sequence[bytes],
    *,
    seconds: float,
    cpu: int | None,
    connections: int = 32,
    again: bool = False,
) -> Work:
    """Requests answered with 200 over `connections` connections within `seconds`.

    Each of `requests` is sent once, and the run ends early when they are used up; with `again`, they go round.
    Raises LoadFailed for any other answer.
    """
    context = multiprocessing.get_context("fork")  # the requests are large: inherited, not sent
    shares = _shares(connections)
    start = context.Barrier(len(shares))
    results = context.Queue()
    workers = [
        context.Process(
            target=_sender,
            args=(
                address,
                _dealt(requests, index, len(shares), again),
                share,
                again,
                seconds,
                cpu,
                start,
                results,
            ),
        )
        for index, share in enumerate(shares)
    ]
    for worker in workers:
        worker.start()
    try:
        outcomes = [results.get(timeout=seconds + _TIMEOUT_S) for _ in workers]
    except queue.Empty:
        raise LoadFailed(f"no end of the requests to {address[0]}:{address[1]}") from None
    else:
        for worker in workers:
            worker.join(_TIMEOUT_S)
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()
    for outcome in outcomes:
        if isinstance(outcome, str):
            raise LoadFailed(outcome)
    return Work(sum(count for count, _ in outcomes), sum(count / elapsed_s for count, elapsed_s in outcomes))


def _dealt(requests: Sequence[bytes], index: int, processes: int, again: bool) -> Sequence[bytes]:
    """What one process sends: its share; or, going round, all of them from another place on."""
    first = index * len(requests) // processes
    return [*requests[first:], *requests[:first]] if again else requests[index::processes]


def _shares(connections: int) -> list[int]:
    """How many of the connections each process holds."""
    processes = min(_PROCESSES, connections)
    return [len(range(index, connections, processes)) for index in range(processes)]


def _sender(
    address: Address,
    requests: Sequence[bytes],
    connections: int,
    again: bool,
    seconds: float,
    cpu: int | None,
    start: object,
    results: object,
) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # whatever the parent does at its end is not for us
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    waiting = itertools.cycle(requests) if again else iter(requests)
    try:
        outcome: object = uvloop.run(_exchange_all(address, waiting, connections, seconds, start))
    except (LoadFailed, OSError, threading.BrokenBarrierError) as error:
        outcome = str(error) or repr(error)
    results.put(outcome)  # type: ignore[attr-defined]


async def _exchange_all(
    address: Address, waiting: Iterator[bytes], connections: int, seconds: float, start: object
) -> tuple[int, float]:
    loop = asyncio.get_running_loop()
    senders = [_Exchanger(loop, address, waiting) for _ in range(connections)]
    try:
        for sender in senders:
            await sender.connect()
        start.wait(_TIMEOUT_S)  # type: ignore[attr-defined]
        started = loop.time()
        for sender in senders:
            sender.begin(started + seconds)
        counts = await asyncio.gather(*(sender.done for sender in senders))
        return sum(counts), max(loop.time() - started, 1e-6)  # with nothing to send
    finally:
        for sender in senders:
            sender.close()
        await asyncio.sleep(0)  # the connections are closed by the loop


class _Exchanger(asyncio.Protocol):
    """One connection: the next request goes out as soon as the answer to the last one is whole.

    A server that ends the connection with its answer, as moto does, is connected to anew.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Address, waiting: Iterator[bytes]) -> None:
        self._loop = loop
        self._address = address
        self._waiting = waiting
        self._without_body = False
        self._count = 0
        self._until = 0.0
        self._head = b""
        self._in_body = False
        self._left_bytes = 0  # of a body whose length is known
        self._tail: bytes | None = None  # the last bytes of a chunked one
        self._is_last = False
        self._is_closed = False
        self._transport: asyncio.Transport | None = None
        self._reconnecting: asyncio.Task[None] | None = None
        self.done: asyncio.Future[int] = loop.create_future()

    async def connect(self) -> None:
        """Opens the connection. Raises OSError."""
        await self._loop.create_connection(lambda: self, *self._address)

    def begin(self, until: float) -> None:
        """Sends until `until`, by the clock of the loop."""
        self._until = until
        self._next()

    def close(self) -> None:
        """Closes the connection for good."""
        self._is_closed = True
        if not self.done.done():
            self.done.cancel()
        elif not self.done.cancelled():
            self.done.exception()  # one failure is told, the others are the same
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if not self._in_body:
            self._head += data
            head, blank, data = self._head.partition(b"\r\n\r\n")
            if not blank:
                return
            if b" 200 " not in head.split(b"\r\n", 1)[0]:
                self._fail(f"the server answered {self._head[:800].decode('latin-1')!r}")
                return
            self._begin_body(head)
        self._left_bytes -= len(data)
        if self._tail is not None:
            self._tail = (self._tail + data)[-7:]
        if self._tail.endswith(b"\r\n0\r\n\r\n") if self._tail is not None else self._left_bytes <= 0:
            self._count += 1
            if self._is_last:
                assert self._transport is not None
                self._transport.abort()
            else:
                self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        if self._is_last and not self._is_closed:
            self._reconnecting = self._loop.create_task(self._reconnect())
        else:
            self._fail(f"the server closed the connection: {exc}")

    async def _reconnect(self) -> None:
        try:
            await self.connect()
        except OSError as error:
            self._fail(str(error))
        else:
            self._next()

    def _begin_body(self, head: bytes) -> None:
        length = None if self._without_body else _LENGTH.search(head)
        self._in_body = True
        self._is_last = _LAST.search(head) is not None
        self._left_bytes = int(length[1]) if length else 0
        # The first chunk is led by the blank line of the head; so an empty body ends like any other.
        self._tail = b"\r\n" if not self._without_body and _CHUNKED.search(head) else None

    def _next(self) -> None:
        assert self._transport is not None
        self._head, self._in_body, self._is_last = b"", False, False
        request = next(self._waiting, None) if self._loop.time() < self._until else None
        if request is None:
            if not self.done.done():
                self.done.set_result(self._count)
        else:
            self._without_body = request.startswith(b"HEAD")
            self._transport.write(request)

    def _fail(self, message: str) -> None:
        if not self.done.done():
            self.done.set_exception(LoadFailed(message))
