"""A progress bar for copies that take long, when somebody watches."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["CopyProgress"]

_QUIET_S = 1.0
"""Copies that are over before it show nothing."""


class CopyProgress:
    """Counts bytes; from the second second on shows them on standard error, if that is a terminal."""

    def __init__(self) -> None:
        self._watched = sys.stderr.isatty()
        self._started = time.monotonic()
        self._expected_bytes = 0
        self._copied_bytes = 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def expect(self, size_bytes: int) -> None:
        """So many more bytes are going to be copied."""
        self._expected_bytes += size_bytes

    def advance(self, size_bytes: int) -> None:
        """So many bytes have been copied."""
        self._copied_bytes += size_bytes
        if self._watched and time.monotonic() - self._started > _QUIET_S:
            self._show()

    def done(self, name: str) -> None:
        """An object is copied."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=name[-40:])

    def _show(self) -> None:
        if self._bar is None:
            self._bar = _bar()
            self._bar.start()
            self._task = self._bar.add_task("copying", total=None)
        assert self._task is not None
        self._bar.update(
            self._task, completed=self._copied_bytes, total=max(self._expected_bytes, self._copied_bytes)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
