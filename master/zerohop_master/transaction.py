"""A mutation of the namespace: read, decide, commit on condition that nothing that was read has changed.

Every row that is read becomes a condition of the commit, so a decision is never carried out on a state that was
not there. A mutation that carries an id writes its result in the same commit, on condition that no result is there
yet: sent again, to whichever master, it answers that result instead of happening twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from zerohop.errors import (
    Conflict,
    InvalidRequest,
    LeaseLost,
    OperationConflict,
    OutcomeUnknown,
    StoreFailed,
    ZerohopError,
)
from zerohop.key_locks import KeyLocks
from zerohop.rpc.message import Request, encode, operation, response_type
from zerohop.rpc.mutation import MUTATION_ID_BYTES
from zerohop_master import keys
from zerohop_master.kv.interface import Commit, Condition, KeyValueStore, Lease, RangeEmpty, Row, RowIs
from zerohop_master.rows import MUTATION, MutationResult

__all__ = ["StaleRead", "Transaction", "commit_internally", "mutate"]

R = TypeVar("R")

MAX_ATTEMPTS: Final = 16
"""Within one master, mutations of one name take turns, so attempts are lost to other masters and names only."""
_FIRST_PAUSE_S: Final = 0.001
_LONGEST_PAUSE_S: Final = 0.05


class StaleRead(Exception):
    """What was read cannot be committed any more: the attempt is over, and the next one reads anew."""


class Transaction:
    """The read set and the writes of one attempt. Conditions are met again, all at once, by the commit."""

    __slots__ = ("_conditions", "_deletes", "_puts", "_store", "_versions")

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store
        self._versions: dict[bytes, int] = {}
        self._conditions: list[Condition] = []
        self._puts: dict[bytes, bytes] = {}
        self._deletes: set[bytes] = set()

    async def get(self, *row_keys: bytes) -> list[Row | None]:
        """Reads rows that the commit then depends on. Raises StaleRead if one has changed since an earlier read."""
        rows = await self._store.get(row_keys)
        for key, row in zip(row_keys, rows, strict=True):
            self.require(key, 0 if row is None else row.version)
        return rows

    async def get_one(self, row_key: bytes) -> Row | None:
        """Like `get`."""
        return (await self.get(row_key))[0]

    async def scan(self, start: bytes, end: bytes, *, limit: int) -> list[Row]:
        """Reads rows without depending on them: follow with `require` or `require_empty`."""
        return await self._store.scan(start, end, limit=limit)

    def require(self, row_key: bytes, version: int) -> None:
        """The commit depends on the row having this version (0: absent)."""
        if self._versions.setdefault(row_key, version) != version:
            raise StaleRead

    def require_empty(self, start: bytes, end: bytes) -> None:
        """The commit depends on no row being in [start, end), own deletes aside."""
        self._conditions.append(RangeEmpty(start, end))

    def put(self, row_key: bytes, value: bytes) -> None:
        self._deletes.discard(row_key)
        self._puts[row_key] = value

    def delete(self, row_key: bytes) -> None:
        self._puts.pop(row_key, None)
        self._deletes.add(row_key)

    def writes(self, row_key: bytes) -> bool:
        """Whether the commit will leave a row of that key that it has written itself."""
        return row_key in self._puts

    async def hold(self, lease: Lease) -> None:
        """The commit depends on the lease being held still. Raises LeaseLost when another one has taken it."""
        (row,) = await self.get(lease.key)
        if row is None or row.version != lease.version:
            raise LeaseLost(f"lease {lease.name!r} was taken over")

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self._puts and not self._deletes

    async def commit(self) -> int:
        """See `KeyValueStore.commit`."""
        conditions: list[Condition] = [RowIs(key, version) for key, version in self._versions.items()]
        conditions += self._conditions
        return await self._store.commit(Commit(conditions, list(self._puts.items()), list(self._deletes)))


Body = Callable[[Transaction], Awaitable[R]]


async def mutate(
    store: KeyValueStore,
    request: Request[R],
    mutation: bytes,
    body: Body[R],
    *,
    locks: KeyLocks,
    turns: Sequence[Hashable] = (),
) -> R:
    """Carries out `body` exactly once for `mutation`, and answers its result, with its row version if it has one.

    `body` may run several times: it writes through its transaction only. Mutations that share an element of `turns`
    wait for each other. Raises what `body` raises, OperationConflict when the attempts are used up, OutcomeUnknown
    when the store lost the answer and no result can be seen yet (send it again with the same id).
    """
    if len(mutation) != MUTATION_ID_BYTES:
        raise InvalidRequest(f"a mutation id has {MUTATION_ID_BYTES} bytes, not {len(mutation)}")
    held: list[Hashable] = []
    try:
        # One order for all, so that nobody waits in a circle.
        for turn in turns if len(turns) == 1 else sorted(set(turns), key=repr):
            await locks.acquire(turn)
            held.append(turn)
        return await _attempt(store, request, mutation, body)
    finally:
        for turn in held:
            locks.release(turn)


async def _attempt(store: KeyValueStore, request: Request[R], mutation: bytes, body: Body[R]) -> R:
    for attempt in range(MAX_ATTEMPTS):
        transaction = Transaction(store)
        try:
            result = await body(transaction)
        except StaleRead:
            await _pause(attempt)
            continue
        except StoreFailed:
            raise
        except ZerohopError:
            # An earlier sending of this mutation may be what stands in its own way.
            if (earlier := await _recorded(store, request, mutation)) is not None:
                return earlier
            raise
        row_key = keys.mutation(mutation)
        transaction.require(row_key, 0)
        transaction.put(row_key, MUTATION.encode(MutationResult(operation(type(request)), encode(result))))
        try:
            return _with_version(result, await transaction.commit())
        except (Conflict, OutcomeUnknown) as error:
            if (earlier := await _recorded(store, request, mutation)) is not None:
                return earlier
            if isinstance(error, OutcomeUnknown):
                raise
        await _pause(attempt)
    raise OperationConflict(f"{operation(type(request))} met changes by others {MAX_ATTEMPTS} times")


async def _recorded(store: KeyValueStore, request: Request[R], mutation: bytes) -> R | None:
    """The result of an earlier sending, if it was carried out. Raises OutcomeUnknown when that cannot be read."""
    try:
        (row,) = await store.get([keys.mutation(mutation)])
    except StoreFailed as error:
        raise OutcomeUnknown(f"whether it was carried out cannot be read: {error.message}") from error
    if row is None:
        return None
    recorded = MUTATION.decode(row.value)
    if recorded.operation != operation(type(request)):
        raise InvalidRequest(f"the mutation id was used by {recorded.operation!r}")
    result: R = msgspec.msgpack.decode(recorded.result, type=response_type(type(request)))
    return _with_version(result, row.version)


def _with_version(result: R, version: int) -> R:
    """A result cannot know the number of its own commit: it is put in afterwards."""
    if isinstance(result, msgspec.Struct) and "row_version" in result.__struct_fields__:
        changed: Any = msgspec.structs.replace(result, row_version=version)
        return changed  # type: ignore[no-any-return]
    return result


async def commit_internally(store: KeyValueStore, body: Body[R]) -> R:
    """The master's own mutations: they carry no id, because they are written so that repeating them is harmless.

    Raises OperationConflict when the attempts are used up.
    """
    for attempt in range(MAX_ATTEMPTS):
        transaction = Transaction(store)
        with contextlib.suppress(StaleRead):
            result = await body(transaction)
            if await _committed(transaction):
                return result
        await _pause(attempt)
    raise OperationConflict(f"met changes by others {MAX_ATTEMPTS} times")


async def _committed(transaction: Transaction) -> bool:
    """Whether the commit has met no change. A body's own Conflict is another matter, and meant for the caller."""
    if not transaction.is_empty:
        try:
            await transaction.commit()
        except Conflict:
            return False
    return True


async def _pause(attempt: int) -> None:
    """Racers on several masters part by chance; the first two tries cost no time."""
    longest_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt) if attempt > 1 else 0.0
    await asyncio.sleep(random.uniform(0, longest_s))
