"""Waiting for a client, but not for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

__all__ = ["ClientStalled", "within"]

T = TypeVar("T")


class ClientStalled(ConnectionError):
    """The client took or gave not one byte of a body within the minimum-progress time-out."""


async def within(timeout_s: float, waiting: Awaitable[T]) -> T:
    """The result of `waiting`; raises ClientStalled when it takes longer than `timeout_s`."""
    try:
        async with asyncio.timeout(timeout_s):
            return await waiting
    except TimeoutError:
        raise ClientStalled(f"no progress for {timeout_s:g} s") from None
