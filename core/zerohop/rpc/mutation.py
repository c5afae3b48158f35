"""Ids of mutations: the same id sent again answers the recorded result instead of happening twice."""

from __future__ import annotations

import os
import time

__all__ = ["MUTATION_ID_BYTES", "mutation_time_ms", "new_mutation_id"]

MUTATION_ID_BYTES = 16
_VERSION_7 = 0x7000
_VARIANT = 0x8000000000000000
_RANDOM_BITS = (1 << 62) - 1


def new_mutation_id(now_ms: int | None = None) -> bytes:
    """A fresh id of 16 bytes, laid out as a UUID of version 7 (RFC 9562 section 5.7): 48 bits of milliseconds, then
    random bits. So ids sort by time, and old ones are swept by a scan over a range.
    """
    moment = (time.time_ns() // 1_000_000 if now_ms is None else now_ms) & 0xFFFF_FFFF_FFFF
    random = int.from_bytes(os.urandom(10), "big")
    high = moment << 16 | _VERSION_7 | random >> 68
    return (high << 64 | _VARIANT | random & _RANDOM_BITS).to_bytes(MUTATION_ID_BYTES, "big")


def mutation_time_ms(mutation: bytes) -> int:
    """When the id was made, by the clock of its maker, in milliseconds since the epoch."""
    return int.from_bytes(mutation[:6], "big")
