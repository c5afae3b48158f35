"""What lookups have answered, kept for as long as the master's change board says that it stands.

Only a process on the master's host can see the board (`zerohop.rpc.change_board`, which also tells why this is as
consistent as asking); for all others nothing is kept, and each read asks.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Final

from zerohop.model import Caller
from zerohop.rpc.change_board import BoardReader
from zerohop.rpc.master_api import ObjectResult

__all__ = ["KnownObject", "KnownObjects"]

_OVERHEAD_BYTES: Final = 2048
"""Of a record, its key, its headers and what its user has made of it, about; inline data comes on top."""

_Key = tuple[Caller, str, str]


class KnownObject:
    """One answer. `has_data`: all that a lookup with data would have told. `head` is for who serves the object."""

    __slots__ = ("has_data", "head", "result", "size_bytes", "used")

    def __init__(self, result: ObjectResult, *, has_data: bool) -> None:
        self.result = result
        self.has_data = has_data
        self.head = b""
        self.used = False  # since it was last considered for eviction
        self.size_bytes = _OVERHEAD_BYTES + len(result.data) + 64 * len(result.record.segments)


class KnownObjects:
    """The oldest answers go first, but one that was used gets another round (a hit then writes one flag, where a list
    in the order of use would touch three neighbours). Plain functions of the loop's thread.

    Invariant: `size_bytes` is the sum over all entries, at most `max_bytes`.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._board: BoardReader | None = None
        self._entries: OrderedDict[_Key, KnownObject] = OrderedDict()
        self.size_bytes = 0
        # Counted by who serves the answer: one that is found may not do for him.
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_open(self) -> bool:
        """Whether answers can be kept: lookups should ask for stamps then."""
        return self._board is not None

    def follow(self, path: str, token: bytes) -> None:
        """The master's board is this one; "" for none."""
        board = self._board
        if board is not None and board.token != token:
            self._entries.clear()
            self.size_bytes = 0
            self._board = None
            board.close()
        if self._board is None and path and self._max_bytes:
            self._board = BoardReader.open(path, token)

    def find(self, caller: Caller, bucket: str, key: str, *, with_data: bool) -> KnownObject | None:
        """What a lookup of the current version would answer now; None when the master has to be asked."""
        name = (caller, bucket, key)
        known = self._entries.get(name)
        if known is not None:
            result = known.result
            if self._stands(result):
                if known.has_data or not with_data:
                    known.used = True
                    return known
            else:
                self._drop(name)
        return None

    def _stands(self, result: ObjectResult) -> bool:
        board = self._board
        if board is None or not board.stands(result.stamps):
            return False
        return not result.valid_until_ms or time.time() * 1000 < result.valid_until_ms

    def keep(self, caller: Caller, bucket: str, key: str, result: ObjectResult, *, with_data: bool) -> None:
        """Keeps the answer of a lookup of the current version, if it may be kept."""
        if self._board is None or not result.stamps:
            return
        name = (caller, bucket, key)
        self._drop(name)
        known = KnownObject(result, has_data=with_data or not result.record.inline)
        if known.size_bytes > self._max_bytes // 8:
            return
        self._entries[name] = known
        self.size_bytes += known.size_bytes
        while self.size_bytes > self._max_bytes:
            oldest, known = next(iter(self._entries.items()))
            if known.used:
                known.used = False
                self._entries.move_to_end(oldest)
            else:
                self._drop(oldest)

    def _drop(self, name: _Key) -> None:
        known = self._entries.pop(name, None)
        if known is not None:
            self.size_bytes -= known.size_bytes

    def close(self) -> None:
        """Forgets everything. Idempotent."""
        self.follow("", b"")

    def check_invariants(self) -> None:
        """For tests."""
        assert self.size_bytes == sum(known.size_bytes for known in self._entries.values()) <= self._max_bytes
