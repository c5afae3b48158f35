"""The way to the master: the one of its addresses that answers, and repetition while none does."""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import Iterator, Sequence
from typing import TypeVar

from zerohop.client.repeats import REPEATABLE, delays_s
from zerohop.errors import (
    ConfigError,
    DeadlineExceeded,
    OutcomeUnknown,
    PeerUnavailable,
    StoreFailed,
    ZerohopError,
)
from zerohop.rpc.client import RpcClient
from zerohop.rpc.message import Request

__all__ = ["MasterLink"]

R = TypeVar("R")


class MasterLink:
    """Calls go to the address that answered last; when it stops answering the next one is tried, in turn."""

    def __init__(
        self,
        masters: Sequence[str],
        *,
        name: str,
        cluster_secret: str | None,
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        if not masters:
            raise ConfigError("no address of a master is configured")
        self._clients = [
            RpcClient(address, name=name, cluster_secret=cluster_secret, ssl_context=ssl_context)
            for address in masters
        ]
        self._current = 0

    @property
    def address(self) -> str:
        """The address that calls go to now."""
        return str(self._clients[self._current].address)

    async def call(self, request: Request[R], *, timeout_s: float) -> R:
        """The response; see `ClusterClient.call`."""
        started = asyncio.get_running_loop().time()
        asked = self._current
        try:
            return await self._clients[asked].call(request, timeout_s=timeout_s)
        except REPEATABLE as error:
            self._go_on_from(asked, error)
            return await self._call_again(request, error, started + timeout_s)

    async def _call_again(self, request: Request[R], error: ZerohopError, deadline: float) -> R:
        loop = asyncio.get_running_loop()
        # Every address is tried once without a pause; only then does waiting make sense.
        untried = len(self._clients) - 1
        pauses = delays_s(_jitter())
        while True:
            pause_s = 0.0 if untried > 0 else next(pauses)
            untried -= 1
            left_s = deadline - loop.time() - pause_s
            if left_s <= 0:
                raise error
            if pause_s:
                await asyncio.sleep(pause_s)
            asked = self._current
            try:
                return await self._clients[asked].call(request, timeout_s=left_s)
            except REPEATABLE as again:
                self._go_on_from(asked, again)
                if not isinstance(error, OutcomeUnknown):
                    error = again  # once a sending may have happened, "was not carried out" would be wrong
            except DeadlineExceeded:
                raise error from None  # says why, where this one only says that time is up
            except StoreFailed:
                # This sending wrote nothing. One before may yet come back, when the store is opened anew.
                if isinstance(error, OutcomeUnknown):
                    raise error from None
                raise

    def _go_on_from(self, asked: int, error: ZerohopError) -> None:
        """Later calls go to the next address, unless another task has moved on already."""
        if asked == self._current and isinstance(error, PeerUnavailable):
            self._current = (asked + 1) % len(self._clients)

    async def close(self) -> None:
        """Closes the connections."""
        await asyncio.gather(*(client.close() for client in self._clients))


def _jitter() -> Iterator[float]:
    while True:
        yield random.random()
