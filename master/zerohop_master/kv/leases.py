"""Leases as two rows over any engine.

`l NAME` says who holds the lease and with which epoch; it changes only when the holder does, so that it can be
a condition of the holder's commits over many renewals. `l NAME 0x00 t` is the time at which the lease ends, and
changes with each renewal. Both are read and written in one conditional commit, so two takers cannot both win.
"""

from __future__ import annotations

import msgspec

from zerohop.errors import Conflict, LeaseLost
from zerohop_master.kv.interface import Commit, KeyValueStore, Lease, Row, RowIs

__all__ = ["end_leases", "take_lease"]

_MAX_LEASES = 1000


class _Holding(msgspec.Struct, array_like=True, frozen=True):
    holder: str
    epoch: int


_decode_holding = msgspec.msgpack.Decoder(_Holding).decode
_decode_end = msgspec.msgpack.Decoder(float).decode
_encode = msgspec.msgpack.Encoder().encode


async def take_lease(store: KeyValueStore, name: str, holder: str, ttl_s: float, now: float) -> Lease:
    """Takes or renews the lease until `now + ttl_s` (seconds of wall time, so that it outlives a restart).

    A holder that comes late keeps its epoch as long as nobody took over; so `holder` must name one incarnation
    of a process. Raises `LeaseLost` while another one holds it, or when another took it in the same moment.
    """
    if "\0" in name:
        raise ValueError("a lease's name has no NUL")
    fence_key, end_key = _keys(name)
    fence, end = await store.get([fence_key, end_key])
    holding = None if fence is None else _decode_holding(fence.value)
    same = holding is not None and holding.holder == holder
    if holding is not None and not same and end is not None and _decode_end(end.value) > now:
        raise LeaseLost(f"lease {name!r} is held by {holding.holder!r}", holder=holding.holder)
    epoch = 1 if holding is None else holding.epoch + (not same)
    puts = [(end_key, _encode(now + ttl_s))]
    if not same:
        puts.append((fence_key, _encode(_Holding(holder, epoch))))
    conditions = [RowIs(fence_key, _version(fence)), RowIs(end_key, _version(end))]
    try:
        number = await store.commit(Commit(conditions=conditions, puts=puts))
    except Conflict as error:
        raise LeaseLost(f"lease {name!r} was taken or renewed in the same moment") from error
    return Lease(name, holder, epoch, fence_key, _version(fence) if same else number)


async def end_leases(store: KeyValueStore) -> None:
    """Ends all leases now, for an engine that one process at a time can open: whoever held one has ended, and nobody
    needs to wait until its time is over. Epochs stay, so that they only grow.
    """
    rows = await store.scan(b"l", b"m", limit=_MAX_LEASES)
    ends = [row.key for row in rows if row.key.endswith(b"\0t")]
    if ends:
        await store.commit(Commit(deletes=ends))


def _keys(name: str) -> tuple[bytes, bytes]:
    fence = b"l" + name.encode()
    return fence, fence + b"\0t"


def _version(row: Row | None) -> int:
    return 0 if row is None else row.version
