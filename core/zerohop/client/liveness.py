"""Whether a worker that keeps someone waiting lives at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from zerohop.errors import OutcomeUnknown, TransportError
from zerohop.rpc.client import RpcClient
from zerohop.rpc.worker_api import GetCachedBytes

__all__ = ["while_it_answers"]

_ASK_AFTER_S = 2.0
_ANSWER_WITHIN_S = 4.0
"""A worker that is only busy, or waits for a slow under-store, answers a question about nothing in milliseconds."""


@asynccontextmanager
async def while_it_answers(worker: RpcClient) -> AsyncGenerator[None, None]:
    """What runs within may wait for the worker for as long as that answers other questions.

    Raises OutcomeUnknown once it does not: it hangs, and what was asked of it may yet happen.
    """
    loop = asyncio.get_running_loop()
    asking: asyncio.Task[None] | None = None

    def ask() -> None:
        nonlocal asking
        asking = loop.create_task(_until_it_is_silent(worker, limit), name=f"is {worker.address} alive")

    timer: asyncio.TimerHandle | None = None
    try:
        async with asyncio.timeout(None) as limit:
            timer = loop.call_later(_ASK_AFTER_S, ask)
            try:
                yield
            finally:
                timer.cancel()
                if asking is not None:
                    asking.cancel()
    except TimeoutError:
        raise OutcomeUnknown(f"worker at {worker.address} does not answer any more") from None


async def _until_it_is_silent(worker: RpcClient, limit: asyncio.Timeout) -> None:
    while True:
        try:
            await worker.call(GetCachedBytes(contents=()), timeout_s=_ANSWER_WITHIN_S)
        except TransportError:
            limit.reschedule(asyncio.get_running_loop().time())
            return
        await asyncio.sleep(_ASK_AFTER_S)
