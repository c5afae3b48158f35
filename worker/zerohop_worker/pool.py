"""A bounded pool of threads for blocking calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

__all__ = ["ThreadPool"]

P = ParamSpec("P")
T = TypeVar("T")


class ThreadPool:
    """`run` carries a blocking call out in one of `size` threads. Callers bound how many wait: each stream has one."""

    def __init__(self, size: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(size, thread_name_prefix=name)

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The call's result. When cancelled it first waits for the call to end.

        A thread cannot be stopped, and who closed a file under it would have it write to the descriptor's next owner.
        """
        loop = asyncio.get_running_loop()
        job = self._executor.submit(call, *args, **kwargs)
        cancelled: asyncio.CancelledError | None = None
        while True:
            # One future of our own: the loop's for a call in a thread, and `asyncio.wait` around it, took 74 us in
            # place of 46.
            ended = loop.create_future()
            job.add_done_callback(partial(_tell, loop, ended))
            try:
                await ended
                break
            except asyncio.CancelledError as error:
                cancelled = error
        if job.cancelled():  # the pool was closed before a thread was free
            raise cancelled or asyncio.CancelledError
        if cancelled is not None:
            job.exception()
            raise cancelled
        return job.result()

    def close(self) -> None:
        """Waits for the threads to end."""
        self._executor.shutdown(cancel_futures=True)


def _tell(loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None], _job: Future[Any]) -> None:
    """In the thread."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(_wake, ended)


def _wake(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)
