"""A cluster with buckets of up to a million keys, filled within seconds while its master is down.

One object is put into each bucket over S3. Its row is then repeated under all the other keys, straight into the
metadata store: rows as the master writes them, which share one inline body. Reading and listing are as with real
ones; deleting them would not be.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec

from zerohop_bench.http_load import request_once
from zerohop_bench.zerohop_servers import Zerohop
from zerohop_master import keys, rows
from zerohop_master.kv.interface import Commit
from zerohop_master.kv.sqlite import SqliteStore

__all__ = ["bucket_of", "fill", "key_of", "page_starts"]

_SEED_KEY = "0"  # sorts before all others
_BODY = bytes(64)
_ROWS_PER_COMMIT = 5_000


def bucket_of(count: int) -> str:
    """The bucket that has `count` keys."""
    return f"keys-{count}"


def key_of(number: int) -> str:
    """The n-th key, in the order of the listing, counted from 1."""
    return f"folder-{number // 1000:04}/{number:07}"


def page_starts(count: int, pages: int, page_keys: int = 1_000) -> list[str]:
    """Keys behind which a whole page is left, spread over the bucket at random; "" for the beginning."""
    choose = random.Random(3)
    return [key_of(number) if (number := choose.randint(0, count - page_keys)) else "" for _ in range(pages)]


def fill(server: Zerohop, counts: tuple[int, ...]) -> None:
    """Stops the cluster, fills a bucket for each of `counts`, starts it again. Raises LoadFailed."""
    for count in counts:
        server.make_bucket(bucket_of(count))
        request_once(server.address, server.put_head(bucket_of(count), _SEED_KEY, _BODY), _BODY)
    server.stop()
    asyncio.run(_repeat(server.data / "master" / "metadata.sqlite", counts))
    server.start()


async def _repeat(database: Path, counts: tuple[int, ...]) -> None:
    store = await SqliteStore.open(database)
    try:
        for count in counts:
            for some in _batches(await _seed(store, bucket_of(count)), count):
                await store.commit(Commit([], some))
    finally:
        await store.close()


async def _seed(store: SqliteStore, bucket: str) -> tuple[bytes, bytes]:
    """Id of the bucket and the row of its one object."""
    (found,) = await store.get([keys.bucket(bucket)])
    assert found is not None
    bucket_id = rows.BUCKET.decode(found.value).bucket_id
    (seed,) = await store.get([keys.object_row(bucket_id, _SEED_KEY)])
    assert seed is not None
    return bucket_id, seed.value


def _batches(seed: tuple[bytes, bytes], count: int) -> Iterator[list[tuple[bytes, bytes]]]:
    bucket_id, value = seed
    record = rows.OBJECT.decode(value)
    numbers = iter(range(1, count))
    while some := list(itertools.islice(numbers, _ROWS_PER_COMMIT)):
        names = [key_of(number) for number in some]
        yield [
            (
                keys.object_row(bucket_id, name),
                rows.OBJECT.encode(msgspec.structs.replace(record, key=name)),
            )
            for name in names
        ]
