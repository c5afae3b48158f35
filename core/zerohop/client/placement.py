"""Which workers to ask, best first. Pure: a decision over the cluster view, by rendezvous hashing."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import xxhash

from zerohop.model import WorkerInfo

__all__ = ["block_key", "extent_key", "origin_key", "rank", "read_order", "write_order"]


def block_key(content: bytes, index: int) -> bytes:
    """The name of a block for rendezvous hashing."""
    return content + index.to_bytes(8, "big")


def rank(key: bytes, worker_ids: Iterable[str]) -> list[str]:
    """Worker ids by descending rendezvous weight of `key`: the same on every host, and the loss of one worker moves
    only the keys that it had.
    """
    weight = xxhash.xxh3_64_intdigest
    return sorted(
        worker_ids, key=lambda worker_id: (weight(key + worker_id.encode()), worker_id), reverse=True
    )


def read_order(
    workers: Sequence[WorkerInfo],
    key: bytes,
    *,
    local: Collection[str] = (),
    holders: Collection[str] = (),
    avoid: Collection[str] = (),
) -> list[WorkerInfo]:
    """The live workers to ask for a block, best first: those of this host (`local`), then by rendezvous.

    `holders` names the only workers that have an unpersisted content: they come before all others, and the others
    still follow, because the content may have been persisted since. Workers in `avoid` come last, not never: what
    we believe of them may be out of date.
    """
    by_id = {worker.worker_id: worker for worker in workers if worker.live}
    order = rank(key, by_id) if len(by_id) > 1 else list(by_id)
    order.sort(
        key=lambda worker_id: (
            worker_id in avoid,
            bool(holders) and worker_id not in holders,
            worker_id not in local,
        )
    )
    return [by_id[worker_id] for worker_id in order]


def write_order(
    workers: Sequence[WorkerInfo], token: bytes, *, local: Collection[str] = (), avoid: Collection[str] = ()
) -> list[WorkerInfo]:
    """The workers to offer a new content, best first: those of this host, then by rendezvous of a random `token`.

    Those that are on their way out come last: they are asked when nobody else is left.
    """
    order = read_order(workers, token, local=local, avoid=avoid)
    return sorted(order, key=lambda worker: worker.draining)


def origin_key(mount_id: bytes, key: str) -> bytes:
    """The name of a mounted object for rendezvous hashing: who is first for it owns it, towards the origin."""
    return mount_id + key.encode()


_EXTENT_BLOCKS = 16
"""Adjacent blocks of a mounted object that one worker fetches: one ranged request to the origin for many of them."""


def extent_key(mount_id: bytes, key: str, index: int) -> bytes:
    """The name of the run of blocks that block `index` of a mounted object is in. The first run is at the owner."""
    extent = index // _EXTENT_BLOCKS
    return origin_key(mount_id, key) + (extent.to_bytes(8, "big") if extent else b"")
