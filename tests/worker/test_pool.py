"""A call in a thread is never left alone: what it uses belongs to it until it has ended."""

from __future__ import annotations

import asyncio
import threading

import pytest

from zerohop_worker.pool import ThreadPool


async def test_it_gives_what_the_call_gives() -> None:
    pool = ThreadPool(1, "test")
    assert await pool.run(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await pool.run(divmod, 7, 0)
    pool.close()


async def test_however_often_it_is_cancelled_it_waits_for_the_call() -> None:
    pool = ThreadPool(1, "test")
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        go_on.wait()
        ended.set()

    task = asyncio.create_task(pool.run(call))
    assert await asyncio.to_thread(begun.wait, 10)
    for _ in range(3):
        task.cancel()
        await asyncio.wait((task,), timeout=0.01)
        assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    pool.close()


async def test_a_closed_pool_ends_those_who_wait_for_a_thread() -> None:
    pool = ThreadPool(1, "test")
    begun, go_on = threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        go_on.wait()

    running = asyncio.create_task(pool.run(call))
    assert await asyncio.to_thread(begun.wait, 10)
    waiting = asyncio.create_task(pool.run(call))
    await asyncio.sleep(0)
    closing = asyncio.create_task(asyncio.to_thread(pool.close))
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    await running
    await closing
