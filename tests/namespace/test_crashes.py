"""A master that dies at any commit: before it, or after it and before its answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest
from tests.namespace.harness import Harness
from tests.namespace.invariants import check_invariants, read_state

from zerohop.clock import ManualClock
from zerohop.errors import (
    Conflict,
    KeyNotFound,
    LeaseLost,
    OperationConflict,
    OutcomeUnknown,
    StoreFailed,
)
from zerohop.model import ANONYMOUS, ObjectRecord
from zerohop.rpc import master_api as m
from zerohop_master import completion, copies, objects
from zerohop_master.collector import Collector
from zerohop_master.kv.interface import Commit, Row
from zerohop_master.kv.memory import MemoryStore


class Crash(Exception):
    """The master is gone."""


class CrashingStore(MemoryStore):
    """Dies at the `crash_at`-th commit from now (0: the next one), before or after it is applied."""

    def arm(self, crash_at: int, *, applied: bool) -> None:
        self.left = crash_at

        async def point(commit: Commit) -> None:
            self.left -= 1
            if self.left < 0:
                raise Crash

        self.before_commit, self.after_commit = (None, point) if applied else (point, None)

    def disarm(self) -> None:
        self.before_commit = self.after_commit = None


Scenario = Callable[[Harness], Awaitable[Callable[[Harness], Awaitable[object]]]]


async def _put_over(harness: Harness) -> Callable[[Harness], Awaitable[object]]:
    await harness.put("k", harness.new_content(3))
    request = harness.put_request("k", harness.new_content(4))
    return lambda master: objects.put_object(master.namespace, request)


async def _complete(harness: Harness) -> Callable[[Harness], Awaitable[object]]:
    await harness.put("k", harness.new_content(3))
    upload = await harness.create_upload("k")
    parts = [await harness.put_part(upload, number, number) for number in (1, 2, 3)]
    await harness.put_part(upload, 4, 9)
    request = harness.complete_request(upload, parts)
    return lambda master: completion.complete_upload(master.namespace, request)


async def _collect(harness: Harness) -> Callable[[Harness], Awaitable[object]]:
    upload = await harness.create_upload("k")
    for number in range(1, 6):
        await harness.put_part(upload, number, number)
    await harness.complete(upload)
    await harness.put("k", data=b"x")
    aborted = await harness.create_upload("k")
    await harness.put_part(aborted, 1, 5)
    await harness.abort(aborted)
    return lambda master: master.collect_to_the_end()


async def _sweep(harness: Harness) -> Callable[[Harness], Awaitable[object]]:
    for _ in range(5):
        harness.new_content(1)
    harness.clock.advance(901)
    return lambda master: master.sweep()


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("scenario", [_put_over, _complete, _collect, _sweep])
async def test_work_cut_at_any_commit_is_resumed_by_another_master(scenario: Scenario, applied: bool) -> None:
    crash_at = 0
    while True:
        clock = ManualClock()
        store = CrashingStore(now=clock.now_s)
        harness = await Harness.start(store, clock)
        await harness.create_bucket()
        work = await scenario(harness)
        store.arm(crash_at, applied=applied)
        try:
            await work(harness)
            crashed = False
        except Crash:
            crashed = True
        store.disarm()
        await check_invariants(store)
        assert await _sizes(harness) in [[], [3], [4], [6], [1]], "the old object or the new one, never a mix"
        successor = harness.another()
        await work(successor)
        await successor.sweep()
        await successor.collect_to_the_end()
        state = await check_invariants(store)
        assert state.live() == state.reachable()
        assert {content for content in state.live() if not state.contents[content].manifest} == set(
            harness.contents.held
        )
        if not crashed:
            break
        crash_at += 1
    assert crash_at > 0


async def _sizes(harness: Harness) -> list[int]:
    return [record.size_bytes for record in (await read_state(harness.store)).objects.values()]


async def test_an_answer_that_was_lost_is_found_again() -> None:
    store = MemoryStore()
    harness = await Harness.start(store)
    await harness.create_bucket()

    async def lose(commit: Commit) -> None:
        raise OutcomeUnknown

    store.after_commit = lose
    request = harness.put_request("k", data=b"x", expected_version=0)
    result = await objects.put_object(harness.namespace, request)
    store.after_commit = None
    assert (await harness.lookup("k")).row_version == result.row_version
    assert await objects.put_object(harness.another().namespace, request) == result


async def test_an_outcome_that_cannot_be_seen_is_unknown() -> None:
    store = MemoryStore()
    harness = await Harness.start(store)
    await harness.create_bucket()

    async def lose(commit: Commit) -> None:
        raise OutcomeUnknown

    store.before_commit = lose
    request = harness.put_request("k", data=b"x")
    with pytest.raises(OutcomeUnknown):
        await objects.put_object(harness.namespace, request)
    store.before_commit = None
    assert (await objects.put_object(harness.namespace, request)).record.sequence == 1


async def test_a_result_that_cannot_be_read_leaves_the_outcome_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryStore()
    harness = await Harness.start(store)
    await harness.create_bucket()
    read = store.get

    async def unreadable(keys: Sequence[bytes]) -> list[Row | None]:
        raise StoreFailed("I/O error")

    async def lose(commit: Commit) -> None:
        monkeypatch.setattr(store, "get", unreadable)
        raise OutcomeUnknown

    store.after_commit = lose
    request = harness.put_request("k", data=b"x", expected_version=0)
    with pytest.raises(OutcomeUnknown):
        await objects.put_object(harness.namespace, request)
    store.after_commit = None
    monkeypatch.setattr(store, "get", read)
    assert (await objects.put_object(harness.namespace, request)).record.sequence == 1


async def test_a_storm_of_conflicts_is_ridden_out_and_bounded() -> None:
    store = MemoryStore()
    harness = await Harness.start(store)
    await harness.create_bucket()
    conflicts = 5

    async def conflict(commit: Commit) -> None:
        nonlocal conflicts
        conflicts -= 1
        if conflicts >= 0:
            raise Conflict

    store.before_commit = conflict
    await harness.put("k", data=b"x")
    conflicts = 1_000_000
    with pytest.raises(OperationConflict):
        await harness.put("k", data=b"y")
    store.before_commit = None
    assert (await harness.lookup("k")).data == b"x"


async def test_a_collector_that_lost_its_lease_kills_nothing() -> None:
    clock = ManualClock()
    store = MemoryStore(now=clock.now_s)
    harness = await Harness.start(store, clock)
    await harness.create_bucket()
    content = harness.new_content(5)
    await harness.put("k", content)
    await harness.delete("k")
    lease = await harness.lease()
    clock.advance(100)
    await store.lease("housekeeping", "another", 60.0)
    now_ms = harness.namespace.now_ms()
    with pytest.raises(LeaseLost):
        await Collector(harness.namespace, harness.contents, 1.0).run_once(lease, now_ms, now_ms, [])
    assert content.content in harness.contents.held
    state = await check_invariants(store)
    assert state.contents[content.content].live


async def test_a_copy_and_the_collector_never_disagree() -> None:
    """Whichever commits first: either the copy holds the content, or it fails and the content goes."""
    clock = ManualClock()
    store = MemoryStore(now=clock.now_s)
    harness = await Harness.start(store, clock)
    await harness.create_bucket()
    source = await harness.put("a", harness.new_content(5))
    interrupted = False

    async def overwrite_first(commit: Commit) -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            await harness.another().delete("a")
            await harness.another().collect_to_the_end()

    store.before_commit = overwrite_first
    request = m.CopyObject(
        caller=ANONYMOUS,
        source_bucket="b",
        source_key="a",
        source_version=source.row_version,
        bucket="b",
        record=ObjectRecord(key="c", size_bytes=0, etag="", modified_ms=0),
        mutation=harness.mutation(),
    )
    with pytest.raises(KeyNotFound):
        await copies.copy_object(harness.namespace, request)
    store.before_commit = None
    assert not harness.contents.held
    assert not (await check_invariants(store)).contents
