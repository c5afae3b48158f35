from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.namespace.harness import Harness
from tests.namespace.invariants import check_invariants

from zerohop.errors import (
    AccessDenied,
    BucketAlreadyExists,
    BucketAlreadyOwned,
    BucketNotEmpty,
    BucketNotFound,
    Conflict,
    InvalidRequest,
    KeyNotFound,
    NeedsBytes,
    PreconditionFailed,
    SessionFenced,
    VersionNotFound,
)
from zerohop.model import ADMIN, ANONYMOUS, Caller, ObjectRecord
from zerohop.rpc import master_api as m
from zerohop_master import buckets, copies, holders, objects


async def test_a_small_object_is_read_back_from_the_metadata(harness: Harness) -> None:
    written = await harness.put("k", data=b"hello")
    found = await harness.lookup("k")
    assert (found.data, found.row_version, found.record) == (b"hello", written.row_version, written.record)
    assert found.bucket_owner == ANONYMOUS.user
    head = m.LookupObject(caller=ANONYMOUS, bucket="b", key="k", with_data=False)
    assert (await objects.lookup_object(harness.namespace, head)).data == b""


async def test_a_small_put_is_one_commit_of_three_rows(harness: Harness) -> None:
    before = harness.store.counters.commits
    await harness.put("k", data=b"x" * 4096)
    assert harness.store.counters.commits == before + 1
    assert len((await check_invariants(harness.store)).inline) == 1


async def test_an_overwrite_counts_the_sequence_on_and_schedules_the_old_content(harness: Harness) -> None:
    old, new = harness.new_content(10), harness.new_content(20)
    assert (await harness.put("k", old)).record.sequence == 1
    assert (await harness.put("k", new)).record.sequence == 2
    state = await check_invariants(harness.store)
    assert state.deletions == {old.content: 1}
    await harness.collect_to_the_end()
    assert (await check_invariants(harness.store)).live() == {new.content}
    assert set(harness.contents.held) == {new.content}


async def test_an_object_may_be_empty(harness: Harness) -> None:
    await harness.put("k")
    assert (await harness.lookup("k")).record.size_bytes == 0


@pytest.mark.parametrize("key", ["", "x" * 1025, "ä" * 513])
async def test_a_key_has_1_to_1024_bytes(harness: Harness, key: str) -> None:
    with pytest.raises(InvalidRequest):
        await harness.put(key, data=b"x")


async def test_what_does_not_exist_is_told_apart(harness: Harness) -> None:
    with pytest.raises(BucketNotFound):
        await harness.lookup("k", bucket="none")
    with pytest.raises(KeyNotFound):
        await harness.lookup("k")
    await harness.put("k", data=b"x")
    with pytest.raises(VersionNotFound):
        await objects.lookup_object(
            harness.namespace, m.LookupObject(caller=ANONYMOUS, bucket="b", key="k", version_id="v1")
        )


async def test_only_the_owner_and_administrators_use_a_bucket(harness: Harness) -> None:
    await harness.put("k", data=b"x")
    lookup = m.LookupObject(caller=Caller("other"), bucket="b", key="k")
    with pytest.raises(AccessDenied):
        await objects.lookup_object(harness.namespace, lookup)
    await objects.lookup_object(harness.namespace, msgspec.structs.replace(lookup, caller=ADMIN))


async def test_a_bucket_created_anew_has_nothing_of_the_old_one(harness: Harness) -> None:
    await harness.put("k", data=b"x")
    delete = m.DeleteBucket(caller=ANONYMOUS, bucket="b", mutation=harness.mutation())
    with pytest.raises(BucketNotEmpty):
        await buckets.delete_bucket(harness.namespace, delete)
    await harness.delete("k")
    upload = await harness.create_upload("k")
    await harness.put_part(upload, 1, 5)
    await buckets.delete_bucket(harness.namespace, delete)
    with pytest.raises(BucketNotFound):
        await harness.put("k", data=b"x")
    await harness.create_bucket()
    with pytest.raises(KeyNotFound):
        await harness.lookup("k")
    await harness.collect_to_the_end()
    assert not (await check_invariants(harness.store)).contents
    assert not harness.contents.held


async def test_a_bucket_name_is_taken_once(harness: Harness) -> None:
    with pytest.raises(BucketAlreadyOwned):
        await harness.create_bucket()
    other = m.CreateBucket(caller=Caller("other"), bucket="b", mutation=harness.mutation())
    with pytest.raises(BucketAlreadyExists):
        await buckets.create_bucket(harness.namespace, other)


async def test_buckets_are_listed_page_by_page_to_their_owner(harness: Harness) -> None:
    for name in ("a", "c", "d"):
        await harness.create_bucket(name)
    other = m.CreateBucket(caller=Caller("other"), bucket="bb", mutation=harness.mutation())
    await buckets.create_bucket(harness.namespace, other)
    names, after = [], ""
    while True:
        page = await buckets.list_buckets(
            harness.namespace, m.ListBuckets(caller=ANONYMOUS, after=after, limit=2)
        )
        names += [bucket.name for bucket in page.buckets]
        after = page.next_after
        if not after:
            break
    assert names == ["a", "b", "c", "d"]
    everything = await buckets.list_buckets(harness.namespace, m.ListBuckets(caller=ADMIN))
    assert [bucket.name for bucket in everything.buckets] == ["a", "b", "bb", "c", "d"]


async def test_a_mutation_sent_again_answers_its_first_result(harness: Harness) -> None:
    request = harness.put_request("k", data=b"one", expected_version=0)
    first = await objects.put_object(harness.namespace, request)
    await harness.put("k", data=b"two")
    assert await objects.put_object(harness.another().namespace, request) == first
    assert (await harness.lookup("k")).data == b"two"


async def test_of_racing_creators_one_wins(harness: Harness) -> None:
    masters = [harness.another() for _ in range(4)]
    racers = [masters[i % 4].put("k", data=b"%d" % i, expected=0) for i in range(20)]
    outcomes = await asyncio.gather(*racers, return_exceptions=True)
    assert sum(isinstance(outcome, m.ObjectResult) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 19


async def test_racing_writers_of_several_masters_all_succeed(harness: Harness) -> None:
    masters = [harness.another() for _ in range(3)]
    contents = [harness.new_content(5) for _ in range(30)]
    await asyncio.gather(*(masters[i % 3].put("k", new) for i, new in enumerate(contents)))
    found = await harness.lookup("k")
    assert found.record.sequence == 30
    await harness.collect_to_the_end()
    state = await check_invariants(harness.store)
    assert state.live() == {found.record.segments[0].content} == set(harness.contents.held)


async def test_a_content_of_a_fenced_session_is_refused(harness: Harness) -> None:
    new = harness.new_content(5)
    await harness.register()
    with pytest.raises(SessionFenced):
        await harness.put("k", new)
    assert not (await check_invariants(harness.store)).contents


async def test_contents_and_record_must_agree(harness: Harness) -> None:
    new = harness.new_content(5)
    request = harness.put_request("k", new)
    for wrong in (
        msgspec.structs.replace(request, contents=()),
        msgspec.structs.replace(request, data=b"x"),
        msgspec.structs.replace(request, record=msgspec.structs.replace(request.record, size_bytes=6)),
        harness.put_request("k", data=b"x" * 8193),
    ):
        with pytest.raises(InvalidRequest):
            await objects.put_object(harness.namespace, wrong)


async def test_each_target_of_a_deletion_succeeds_or_fails_for_itself(harness: Harness) -> None:
    await harness.put("a", data=b"x")
    await harness.put("b", harness.new_content(5))
    request = m.DeleteObjects(
        caller=ANONYMOUS,
        bucket="b",
        targets=(
            m.DeleteTarget(key="a", expected_version=999),
            m.DeleteTarget(key="b", version_id="null"),
            m.DeleteTarget(key="missing"),
            m.DeleteTarget(key="a", version_id="unknown"),
        ),
        mutation=harness.mutation(),
    )
    result = await objects.delete_objects(harness.namespace, request)
    assert [outcome.error for outcome in result.outcomes] == ["Conflict", "", "", ""]
    assert await objects.delete_objects(harness.namespace, request) == result
    await harness.lookup("a")
    with pytest.raises(KeyNotFound):
        await harness.lookup("b")
    await check_invariants(harness.store)


async def test_a_thousand_keys_are_deleted_in_one_commit(harness: Harness) -> None:
    names = [f"k{i:04}" for i in range(1000)]
    shared = await harness.put(names[0], harness.new_content(5))
    for name in names[1:50]:
        await copy(harness, names[0], name, shared.row_version)
    before = harness.store.counters.commits
    await harness.delete(*names)
    assert harness.store.counters.commits == before + 1
    await harness.collect_to_the_end()
    assert not harness.contents.held
    assert not (await check_invariants(harness.store)).contents


async def test_a_thousand_of_the_longest_keys_are_deleted(harness: Harness) -> None:
    names = [f"{i:04}" + "é" * 510 for i in range(1000)]
    await harness.put(names[0], harness.new_content(5))
    await harness.put(names[999], data=b"x")
    assert [outcome.key for outcome in (await harness.delete(*names)).outcomes] == names
    state = await check_invariants(harness.store)
    assert not state.objects


async def copy(harness: Harness, source: str, target: str, source_version: int) -> m.ObjectResult:
    request = m.CopyObject(
        caller=ANONYMOUS,
        source_bucket="b",
        source_key=source,
        source_version=source_version,
        bucket="b",
        record=ObjectRecord(key=target, size_bytes=0, etag="", modified_ms=0, metadata={"new": "1"}),
        mutation=harness.mutation(),
    )
    return await copies.copy_object(harness.namespace, request)


async def test_a_copy_shares_the_content_and_keeps_it_alive(harness: Harness) -> None:
    source = await harness.put("a", harness.new_content(7))
    copied = await copy(harness, "a", "c", source.row_version)
    assert copied.record.segments == source.record.segments
    assert (copied.record.etag, copied.record.metadata) == (source.record.etag, {"new": "1"})
    await harness.delete("a")
    await harness.collect_to_the_end()
    assert set(harness.contents.held) == {source.record.segments[0].content}
    await harness.delete("c")
    await harness.collect_to_the_end()
    assert not harness.contents.held
    assert not (await check_invariants(harness.store)).contents


async def test_an_object_is_copied_onto_itself(harness: Harness) -> None:
    for source in (await harness.put("a", harness.new_content(7)), await harness.put("i", data=b"inline")):
        await copy(harness, source.record.key, source.record.key, source.row_version)
        found = await harness.lookup(source.record.key)
        assert (found.record.metadata, found.record.sequence) == ({"new": "1"}, 2)
    assert (await harness.lookup("i")).data == b"inline"
    await harness.collect_to_the_end()
    await check_invariants(harness.store)
    assert len(harness.contents.held) == 1


async def test_a_copy_of_a_source_that_has_changed_is_refused(harness: Harness) -> None:
    source = await harness.put("a", data=b"1")
    await harness.put("a", data=b"2")
    with pytest.raises(Conflict):
        await copy(harness, "a", "c", source.row_version)


async def test_an_unpersisted_source_is_copied_once_it_is_persisted(harness: Harness) -> None:
    new = harness.new_content(7, persisted=False)
    source = await harness.put("a", new)
    found = await harness.lookup("a")
    assert found.holders == {new.content: ("w1",)}
    with pytest.raises(NeedsBytes):
        await copy(harness, "a", "c", source.row_version)
    pending = m.ListUnpersisted(worker_id="w1")
    assert [s.content for s in (await holders.list_unpersisted(harness.namespace, pending)).contents] == [
        new.content
    ]
    await check_invariants(harness.store)
    further = m.AddHolders(worker_id="w1", session=harness.session, content=new.content, holders=("w2", "w1"))
    for _ in range(2):
        await holders.add_holders(harness.namespace, further)
    await holders.add_holders(harness.namespace, msgspec.structs.replace(further, content=bytes(16)))
    found = await harness.lookup("a")
    assert found.holders == {new.content: ("w1", "w2")}
    page = await holders.list_unpersisted(harness.namespace, m.ListUnpersisted(worker_id="w2"))
    assert [segment.content for segment in page.contents] == [new.content]
    persisted = m.MarkPersisted(worker_id="w1", session=harness.session, contents=(new.content, bytes(16)))
    await holders.mark_persisted(harness.namespace, persisted)
    await holders.mark_persisted(harness.namespace, persisted)
    assert not (await holders.list_unpersisted(harness.namespace, pending)).contents
    assert (await harness.lookup("a")).holders == {}
    await copy(harness, "a", "c", source.row_version)
    await check_invariants(harness.store)
    with pytest.raises(SessionFenced):
        await holders.mark_persisted(harness.namespace, msgspec.structs.replace(persisted, session=bytes(8)))


async def rename(harness: Harness, source: str, target: str, *, overwrite: bool = False) -> m.ObjectResult:
    request = m.RenameObject(
        caller=ANONYMOUS,
        source_bucket="b",
        source_key=source,
        bucket="b",
        key=target,
        overwrite=overwrite,
        mutation=harness.mutation(),
    )
    return await copies.rename_object(harness.namespace, request)


async def test_a_rename_moves_the_object_and_nothing_else(harness: Harness) -> None:
    content = harness.new_content(7)
    await harness.put("a", content)
    await harness.put("i", data=b"inline")
    await rename(harness, "a", "c")
    await rename(harness, "i", "j")
    with pytest.raises(KeyNotFound):
        await harness.lookup("a")
    assert (await harness.lookup("j")).data == b"inline"
    with pytest.raises(PreconditionFailed):
        await rename(harness, "c", "j")
    await rename(harness, "c", "j", overwrite=True)
    assert (await harness.lookup("j")).record.segments[0].content == content.content
    same = await rename(harness, "j", "j")
    assert same.row_version == (await harness.lookup("j")).row_version
    await harness.collect_to_the_end()
    assert (await check_invariants(harness.store)).live() == {content.content}


async def test_content_that_a_reader_may_still_read_is_kept(harness: Harness) -> None:
    await harness.put("a", harness.new_content(7))
    harness.clock.advance(1)
    reading_since_ms = harness.namespace.now_ms()
    harness.clock.advance(1)
    await harness.delete("a")
    harness.clock.advance(100)
    await harness.collect(oldest_read_ms=reading_since_ms)
    assert len(harness.contents.held) == 1
    await harness.collect()
    assert not harness.contents.held


async def test_orphans_are_deleted_and_a_late_commit_fails(harness: Harness) -> None:
    kept = harness.new_content(1)
    await harness.put("kept", kept)
    orphans = [harness.new_content(5) for _ in range(7)]
    harness.clock.advance(901)
    young = harness.new_content(5)
    assert await harness.sweep() == 7
    assert set(harness.contents.held) == {kept.content, young.content}
    with pytest.raises(SessionFenced):
        await harness.put("late", orphans[0])
    await check_invariants(harness.store)
    harness.clock.advance(24 * 3600 + 31)
    await harness.collect()
    assert (await check_invariants(harness.store)).contents.keys() == {kept.content}


async def test_states_of_contents(harness: Harness) -> None:
    live, dead = harness.new_content(1), harness.new_content(1)
    await harness.put("a", live)
    harness.clock.advance(901)
    await harness.sweep()
    states = await holders.content_states(
        harness.namespace, m.GetContentStates(contents=(live.content, dead.content, bytes(16)))
    )
    assert states.states == ("live", "dead", "unknown")
