"""Supervised background work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from zerohop.errors import DeadlineExceeded, Overloaded, PeerUnavailable, ProtocolViolation, UnderStoreFailed
from zerohop.tasks import TaskGroup

Eventually = Callable[[Callable[[], bool]], Awaitable[None]]


async def test_a_job_runs_again_and_again_until_the_group_is_closed(eventually: Eventually) -> None:
    runs = 0

    async def job() -> None:
        nonlocal runs
        runs += 1

    group = TaskGroup("test")
    group.every(0.001, "count", job, first_after_s=0)
    await eventually(lambda: runs >= 3)
    await group.close()
    assert len(group) == 0
    with pytest.raises(Overloaded):
        group.every(1, "late", job)


async def test_a_failing_job_is_logged_and_tried_again(
    eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    runs = 0

    async def job() -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise ZeroDivisionError

    group = TaskGroup("test")
    group.every(0.001, "fragile", job, first_after_s=0)
    await eventually(lambda: runs >= 4)
    await group.close()
    assert "test: fragile failed (2 times in a row)" in caplog.text
    caplog.clear()


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (PeerUnavailable("restarting"), "WARNING"),
        (DeadlineExceeded("hangs"), "WARNING"),
        (UnderStoreFailed("away"), "WARNING"),
        (ProtocolViolation("nonsense"), "ERROR"),
        (ZeroDivisionError(), "ERROR"),
    ],
)
async def test_what_may_pass_by_itself_is_no_defect(
    eventually: Eventually, caplog: pytest.LogCaptureFixture, error: Exception, level: str
) -> None:
    async def job() -> None:
        raise error

    group = TaskGroup("test")
    group.every(60, "fragile", job, first_after_s=0)
    await eventually(lambda: bool(caplog.records))
    await group.close()
    record = caplog.records[0]
    assert (record.levelname, record.exc_info is not None) == (level, level == "ERROR")
    caplog.clear()


async def test_one_failure_does_not_end_the_others(
    eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    async def steady() -> None:
        await asyncio.Event().wait()

    group = TaskGroup("test")
    group.start("broken", broken())
    other = group.start("steady", steady())
    await eventually(lambda: len(group) == 1)
    assert not other.done()
    assert "test: broken failed" in caplog.text
    await group.close()
    assert other.cancelled()
    caplog.clear()
