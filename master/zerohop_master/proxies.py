"""Proxies and clients that read: who is there, and since when their oldest reads have been running."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from zerohop.errors import Overloaded
from zerohop.rpc.master_api import ProxyHeartbeat, ProxyInfo

__all__ = ["Readers"]

_MAX_READERS: Final = 10_000


@dataclass(slots=True)
class _Reader:
    info: ProxyInfo
    heard_s: float
    reading_since_ms: int  # no read of this reader is older


class Readers:
    """A state machine without I/O. Times in seconds are of a monotonic clock, in milliseconds of the wall clock."""

    def __init__(self, lost_after_s: float, now_s: float) -> None:
        self._lost_after_s = lost_after_s
        self._known_from_s = now_s + lost_after_s  # from then on, every reader that lives has been heard
        self._readers: dict[str, _Reader] = {}

    def heard(self, beat: ProxyHeartbeat, now_s: float, now_ms: int) -> None:
        """Raises Overloaded when there are too many readers: one that is not known here must not read."""
        if beat.proxy_id not in self._readers and len(self._readers) >= _MAX_READERS:
            raise Overloaded(f"the cluster has {_MAX_READERS} readers already")
        info = ProxyInfo(
            proxy_id=beat.proxy_id,
            host_id=beat.host_id,
            address=beat.address,
            version=beat.version,
            last_heard_ms=now_ms,
            admin_address=beat.admin_address,
        )
        self._readers[beat.proxy_id] = _Reader(info, now_s, now_ms - max(0, beat.oldest_read_ms))

    def left(self, proxy_id: str) -> None:
        """It has ended, in an orderly way, and its reads with it."""
        self._readers.pop(proxy_id, None)

    def expire(self, now_s: float) -> None:
        """Forgets those that were silent for too long: they abort their reads by themselves."""
        for proxy_id, reader in list(self._readers.items()):
            if now_s - reader.heard_s > self._lost_after_s:
                del self._readers[proxy_id]

    def oldest_read_ms(self, now_s: float, now_ms: int) -> int:
        """Contents that were replaced before this moment are read by nobody any more.

        A reader may have begun a read right after its last heartbeat, so no more than that is known of it. For the
        first detection interval of a master's life nothing is known at all: the answer is 0.
        """
        if now_s < self._known_from_s:
            return 0
        return min((reader.reading_since_ms for reader in self._readers.values()), default=now_ms)

    def proxies(self) -> tuple[ProxyInfo, ...]:
        """All that are heard of, by id."""
        return tuple(self._readers[proxy_id].info for proxy_id in sorted(self._readers))
