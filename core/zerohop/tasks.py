"""Background work of a process, supervised: nothing is started and forgotten."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from zerohop.errors import DeadlineExceeded, OutcomeUnknown, Overloaded, ZerohopError

__all__ = ["TaskGroup", "each"]

_log = logging.getLogger(__name__)
T = TypeVar("T")

MAX_TASKS = 10_000
"""Of one group. Whoever starts work for each event has to bound it himself; this catches the one who does not."""

_MAX_BACKOFF_S = 30.0


class TaskGroup:
    """Owns the background tasks of a process, or of one part of it. Unlike `asyncio.TaskGroup` one failure ends only
    the task that failed, with a line in the log; `close` cancels all of them and waits.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def every(
        self,
        interval_s: float,
        name: str,
        job: Callable[[], Awaitable[object]],
        *,
        first_after_s: float | None = None,
    ) -> asyncio.Task[None]:
        """Runs `job` again and again, `interval_s` after it has ended (the first time after `first_after_s`).

        A job that fails is logged and tried again, at longer and longer intervals, up to 30 s or `interval_s`. What
        may pass by itself (a process that is restarted, a store that is away) is a warning of one line; anything else
        is an error, with its traceback.
        """
        return self.start(
            name, self._loop(interval_s, name, job, interval_s if first_after_s is None else first_after_s)
        )

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs `work` once in the background. Raises `Overloaded` when the group is full or closed."""
        if self._closed or len(self._tasks) >= MAX_TASKS:
            work.close()
            raise Overloaded(f"{self._name} takes no more background work")
        task = asyncio.get_running_loop().create_task(work, name=f"{self._name}: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def __len__(self) -> int:
        return len(self._tasks)

    async def close(self) -> None:
        """Cancels everything and returns when it has ended."""
        self._closed = True
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _loop(
        self, interval_s: float, name: str, job: Callable[[], Awaitable[object]], first_after_s: float
    ) -> None:
        await asyncio.sleep(first_after_s)
        failures = 0
        while True:
            try:
                await job()
                failures = 0
            except Exception as error:  # noqa: BLE001 - the supervisor: whatever failed is logged and tried again
                failures += 1
                level, trace = (logging.WARNING, None) if _may_pass(error) else (logging.ERROR, error)
                _log.log(
                    level,
                    "%s: %s failed (%d times in a row): %s",
                    *(self._name, name, failures, error),
                    exc_info=trace,
                )
            await asyncio.sleep(_wait_s(interval_s, failures))

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s failed", task.get_name(), exc_info=error)


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]], *, at_a_time: int) -> None:
    """Does `work` for all items, so many of them at a time. Raises what the first that failed raised, and then no other
    is under way any more.
    """
    slots = asyncio.Semaphore(at_a_time)

    async def one(item: T) -> None:
        async with slots:
            await work(item)

    tasks = [asyncio.create_task(one(item)) for item in items]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _may_pass(error: Exception) -> bool:
    """Whether it tells of another process or of the world, and not of a defect here."""
    return isinstance(error, ZerohopError) and (
        error.retryable or isinstance(error, DeadlineExceeded | OutcomeUnknown)
    )


def _wait_s(interval_s: float, failures: int) -> float:
    """The pause before the next run: doubled by each failure, with jitter so that processes do not come in step."""
    if not failures:
        return interval_s
    longest_s = max(interval_s, _MAX_BACKOFF_S)
    return min(max(interval_s, 0.1) * 2.0 ** min(failures - 1, 20), longest_s) * random.uniform(0.75, 1.0)
