"""What all operations of the namespace share: the store, the settings, the clock, and how a caller meets a bucket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Final, Protocol, TypeVar

from zerohop.clock import Clock
from zerohop.errors import AccessDenied, BucketNotFound, StaleUsers
from zerohop.key_locks import KeyLocks
from zerohop.model import BucketRecord, Caller, ClusterSettings
from zerohop.rpc.master_api import ObjectResult
from zerohop.rpc.message import Request
from zerohop.rpc.mutation import new_mutation_id
from zerohop_master import keys
from zerohop_master.kv.interface import KeyValueStore, Row
from zerohop_master.rows import BUCKET
from zerohop_master.transaction import Transaction, mutate

__all__ = ["Namespace", "PlainReads", "Reads"]

R = TypeVar("R")

_MAX_KNOWN_BUCKETS: Final = 4096


class Reads(Protocol):
    """Point reads: of a transaction, which depend on each other, or plain ones."""

    async def get(self, *row_keys: bytes) -> list[Row | None]: ...


class PlainReads:
    """Reads that no commit depends on."""

    __slots__ = ("_store",)

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store

    async def get(self, *row_keys: bytes) -> list[Row | None]:
        """The rows of these keys, from one snapshot."""
        return await self._store.get(row_keys)


class Namespace:
    """One master's access to the namespace. It holds no truth: any number of masters may share a store."""

    def __init__(self, store: KeyValueStore, settings: ClusterSettings, clock: Clock) -> None:
        self.store = store
        self.settings = settings
        self.reads = PlainReads(store)
        self.locks = KeyLocks()
        self._clock = clock
        # Decoded bucket rows by name. A guess at the bucket's id, which saves a round of reading; it is only used
        # when the row, read again along with what is looked up in it, still has the same version.
        self._known: dict[str, tuple[int, BucketRecord]] = {}
        self.on_object: Callable[[Request[Any], ObjectResult], None] | None = None
        """Called with each request that was carried out, if its result is an object."""

    def now_ms(self) -> int:
        """Wall clock, in milliseconds since the epoch."""
        return int(self._clock.now_s() * 1000)

    def new_id(self) -> bytes:
        """16 bytes, unique, ordered by time."""
        return new_mutation_id(self.now_ms())

    async def mutate(
        self,
        request: Request[R],
        mutation: bytes,
        body: Callable[[Transaction], Awaitable[R]],
        *turns: Hashable,
    ) -> R:
        """See `zerohop_master.transaction.mutate`."""
        result = await mutate(self.store, request, mutation, body, locks=self.locks, turns=turns)
        if self.on_object is not None and isinstance(result, ObjectResult):
            self.on_object(request, result)
        return result

    async def bucket(self, reads: Reads, caller: Caller, name: str) -> BucketRecord:
        """The bucket, for a caller who may use it. Raises BucketNotFound, AccessDenied, StaleUsers."""
        rows = await reads.get(keys.bucket(name), *_generation_key(caller))
        _check_generation(caller, rows[1:])
        return self._checked(caller, name, rows[0])

    async def bucket_and_row(
        self, reads: Reads, caller: Caller, name: str, key: str
    ) -> tuple[BucketRecord, Row | None]:
        """The bucket and the row of one object in it, read together. Raises as `bucket`."""
        bucket, rows = await self.bucket_and_rows(reads, caller, name, (key,))
        return bucket, rows[0]

    async def bucket_and_rows(
        self, reads: Reads, caller: Caller, name: str, object_keys: Sequence[str]
    ) -> tuple[BucketRecord, list[Row | None]]:
        """The bucket and the rows of objects in it. Raises as `bucket`."""
        known = self._known.get(name)
        if known is None:
            bucket = await self.bucket(reads, caller, name)
            return bucket, await reads.get(*(keys.object_row(bucket.bucket_id, key) for key in object_keys))
        bucket_id = known[1].bucket_id
        generation = _generation_key(caller)
        rows = await reads.get(
            keys.bucket(name), *generation, *(keys.object_row(bucket_id, key) for key in object_keys)
        )
        first = 1 + len(generation)
        _check_generation(caller, rows[1:first])
        bucket = self._checked(caller, name, rows[0])
        if bucket.bucket_id != bucket_id:
            return bucket, await reads.get(*(keys.object_row(bucket.bucket_id, key) for key in object_keys))
        return bucket, rows[first:]

    def _checked(self, caller: Caller, name: str, row: Row | None) -> BucketRecord:
        if row is None:
            self._known.pop(name, None)
            raise BucketNotFound(f"there is no bucket {name!r}", bucket=name)
        known = self._known.get(name)
        if known is not None and known[0] == row.version:
            bucket = known[1]
        else:
            bucket = BUCKET.decode(row.value)
            if len(self._known) >= _MAX_KNOWN_BUCKETS:
                self._known.clear()
            self._known[name] = (row.version, bucket)
        if bucket.owner != caller.user and not caller.admin:
            raise AccessDenied(f"bucket {name!r} belongs to another user", bucket=name)
        return bucket

    async def check_caller(self, reads: Reads, caller: Caller) -> None:
        """Raises StaleUsers when users have changed since the caller was verified."""
        if caller.generation:
            _check_generation(caller, await reads.get(keys.USERS_GENERATION))


def _generation_key(caller: Caller) -> tuple[bytes, ...]:
    return (keys.USERS_GENERATION,) if caller.generation else ()


def _check_generation(caller: Caller, rows: list[Row | None]) -> None:
    """The generation of the users is the version of the row that every change of a user writes."""
    if caller.generation and (not rows or rows[0] is None or rows[0].version != caller.generation):
        raise StaleUsers()
