"""The HTTP connections to an S3 store, with what aiohttp does otherwise than a store needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession

__all__ = ["S3Session", "let_lost_writes_go"]

_Context = dict[str, Any]


class S3Session(AIOHTTPSession):  # type: ignore[misc] # the library is untyped
    """aiohttp sends a PUT again when its connection is lost, for it takes all of them for idempotent: but a
    conditional one is not.
    """

    async def _get_session(self, proxy_url: str | None) -> Any:
        session = await super()._get_session(proxy_url)
        session._retry_connection = False
        return session


class _LostWrites:
    """Handler of exceptions that nobody waited for. A connection that is lost while aiohttp waits for `100 Continue`
    fails twice: as the request, which tells its caller, and as a task of aiohttp's own, which is no defect.
    """

    def __init__(self, before: Callable[[asyncio.AbstractEventLoop, _Context], object] | None) -> None:
        self._before = before

    def __call__(self, loop: asyncio.AbstractEventLoop, context: _Context) -> None:
        if isinstance(context.get("exception"), aiohttp.ClientConnectionResetError) and "future" in context:
            return
        if self._before is not None:
            self._before(loop, context)
        else:
            loop.default_exception_handler(context)


def let_lost_writes_go(loop: asyncio.AbstractEventLoop) -> None:
    """Installs it, once."""
    before = loop.get_exception_handler()
    if not isinstance(before, _LostWrites):
        loop.set_exception_handler(_LostWrites(before))
