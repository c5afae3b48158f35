"""Bytes to standard output: unbuffered, and in a thread, since whoever reads them may be slow."""

from __future__ import annotations

import asyncio
import os
import sys

__all__ = ["write_out"]


async def write_out(data: bytes | memoryview) -> None:
    """Writes all of it. Raises BrokenPipeError when the reader is gone.

    In a thread, so that a reader who stops for a while does not stop the heartbeats that keep our contents alive.
    """
    await asyncio.to_thread(_write_all, memoryview(data))


def _write_all(data: memoryview) -> None:
    while data:
        data = data[os.write(sys.stdout.fileno(), data) :]
