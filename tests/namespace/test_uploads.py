from __future__ import annotations

import asyncio
import hashlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.namespace.harness import Harness, md5
from tests.namespace.invariants import check_invariants

from zerohop.errors import (
    Conflict,
    ContentNotFound,
    InvalidPart,
    InvalidPartOrder,
    InvalidRequest,
    NeedsBytes,
    OperationConflict,
    PartTooSmall,
    UploadNotFound,
)
from zerohop.model import ANONYMOUS, PartRecord, Segment, UploadRecord
from zerohop.rpc import master_api as m
from zerohop_master import completion, copies, manifests, objects, upload_listing, uploads
from zerohop_master.kv.memory import MemoryStore


async def test_parts_become_one_object(harness: Harness) -> None:
    upload = await harness.create_upload("k")
    parts = [await harness.put_part(upload, number, 10 + number) for number in (1, 3, 7)]
    result = await harness.complete(upload, parts)
    digest = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts), usedforsecurity=False)
    assert result.record.etag == f"{digest.hexdigest()}-3"
    assert (result.record.size_bytes, result.record.part_count) == (41, 3)
    assert result.record.metadata == {"a": "b"}
    found = await harness.lookup("k")
    assert found.record == result.record
    assert found.row_version == result.row_version
    assert found.record.segments == tuple(part.segment for part in parts)
    await harness.collect_to_the_end()
    state = await check_invariants(harness.store)
    assert not state.parts
    assert state.live() == {found.record.manifest, *(part.segment.content for part in parts)}
    await harness.delete("k")
    await harness.collect_to_the_end()
    assert not (await check_invariants(harness.store)).contents
    assert not harness.contents.held


async def test_unlisted_and_replaced_parts_are_cleaned_up(harness: Harness) -> None:
    upload = await harness.create_upload("k")
    await harness.put_part(upload, 1, 5)
    first = await harness.put_part(upload, 1, 6)
    await harness.put_part(upload, 2, 7)
    third = await harness.put_part(upload, 3, 0)
    await harness.complete(upload, [first, third])
    await harness.collect_to_the_end()
    assert set(harness.contents.held) == {first.segment.content}
    assert (await harness.lookup("k")).record.part_count == 2
    await check_invariants(harness.store)


async def test_all_parts_are_taken_where_none_are_listed(harness: Harness) -> None:
    upload = await harness.create_upload("k")
    parts = [await harness.put_part(upload, number, 5) for number in (2, 4)]
    assert (await harness.complete(upload)).record.segments == tuple(part.segment for part in parts)


async def test_a_list_that_is_wrong_leaves_the_upload_open(harness: Harness) -> None:
    upload = await harness.create_upload("k")
    with pytest.raises(InvalidRequest):
        await harness.complete(upload)
    parts = [await harness.put_part(upload, number, 5) for number in (1, 2)]
    with pytest.raises(InvalidPartOrder):
        await harness.complete(upload, parts[::-1])
    with pytest.raises(InvalidPart):
        await harness.complete(upload, [msgspec.structs.replace(parts[0], etag=md5(b"other"))])
    with pytest.raises(InvalidPart):
        await harness.complete(upload, [*parts, msgspec.structs.replace(parts[0], number=3)])
    with pytest.raises(PartTooSmall):
        await completion.complete_upload(
            harness.namespace, harness.complete_request(upload, parts, min_part_bytes=6)
        )
    with pytest.raises(Conflict):
        await completion.complete_upload(
            harness.namespace, harness.complete_request(upload, parts, expected_version=99)
        )
    await harness.put_part(upload, 2, 9)
    assert (await harness.complete(upload)).record.size_bytes == 14


async def test_a_completion_sent_again_answers_the_same_object(harness: Harness) -> None:
    upload = await harness.create_upload("k")
    parts = [await harness.put_part(upload, 1, 5)]
    first = await harness.complete(upload, parts)
    await harness.put("k", data=b"newer")
    harness.clock.advance(3600)
    await harness.collect_to_the_end()
    assert await harness.another().complete(upload, parts) == first
    with pytest.raises(UploadNotFound):
        await harness.complete(upload, None)
    assert (await harness.lookup("k")).data == b"newer"
    harness.clock.advance(24 * 3600)
    await harness.collect_to_the_end()
    with pytest.raises(UploadNotFound):
        await harness.complete(upload, parts)


async def test_racing_completions_make_one_object(harness: Harness) -> None:
    upload = await harness.create_upload("k")
    parts = [await harness.put_part(upload, number, 5) for number in (1, 2)]
    racers = [harness.another().complete(upload, parts) for _ in range(8)]
    results = await asyncio.gather(*racers)
    assert all(result == results[0] for result in results)
    assert (await harness.lookup("k")).record.sequence == 1


async def test_an_upload_is_completed_or_aborted_never_both(harness: Harness) -> None:
    for round_number in range(10):
        upload = await harness.create_upload(f"k{round_number}")
        parts = [await harness.put_part(upload, 1, 5)]
        done, aborted = await asyncio.gather(
            harness.another().complete(upload, parts), harness.another().abort(upload), return_exceptions=True
        )
        assert isinstance(done, m.ObjectResult) != (aborted is None), (done, aborted)
        assert isinstance(aborted, OperationConflict | UploadNotFound) or aborted is None
    await harness.collect_to_the_end()
    await check_invariants(harness.store)


async def test_parts_that_race_with_the_completion_are_in_it_or_refused(harness: Harness) -> None:
    upload = await harness.create_upload("k")
    await harness.put_part(upload, 1, 5)
    racers = [harness.another().put_part(upload, number, 5) for number in range(2, 12)]
    masters = [await harness.another().put_part(upload, 1, 5)]
    done, *outcomes = await asyncio.gather(harness.complete(upload), *racers, return_exceptions=True)
    assert isinstance(done, m.ObjectResult)
    taken = {s.content for s in done.record.segments}
    for outcome in outcomes:
        if isinstance(outcome, PartRecord):
            assert outcome.segment.content in taken
        else:
            assert isinstance(outcome, OperationConflict | UploadNotFound)
    assert masters[0].segment.content in taken
    harness.clock.advance(901)
    await harness.sweep()
    await harness.collect_to_the_end()
    assert set(harness.contents.held) == taken
    await check_invariants(harness.store)


async def test_an_aborted_upload_leaves_nothing(harness: Harness) -> None:
    upload = await harness.create_upload("k")
    for number in range(1, 6):
        await harness.put_part(upload, number, 5)
    await harness.abort(upload)
    for call in (harness.put_part(upload, 9, 5), harness.abort(upload), harness.complete(upload)):
        with pytest.raises(UploadNotFound):
            await call
    harness.clock.advance(901)
    await harness.sweep()
    await harness.collect_to_the_end()
    assert not harness.contents.held
    assert not (await check_invariants(harness.store)).parts


async def test_an_upload_that_a_crash_left_completing_is_reopened(harness: Harness) -> None:
    upload = await harness.create_upload("k")
    parts = [await harness.put_part(upload, 1, 5)]
    await completion._freeze(harness.namespace, harness.complete_request(upload, parts), b"digest")
    with pytest.raises(OperationConflict):
        await harness.put_part(upload, 2, 5)
    with pytest.raises(OperationConflict):
        await harness.complete(upload, parts)
    harness.clock.advance(601)
    await harness.collect()
    await harness.put_part(upload, 2, 5)
    assert (await harness.complete(upload)).record.part_count == 2


async def test_ten_thousand_parts_are_a_dozen_rows(harness: Harness) -> None:
    upload = await harness.create_upload("k")
    count = 10_000 if isinstance(harness.store, MemoryStore) else 2_500
    parts = [await harness.put_part(upload, number, number % 3) for number in range(1, count + 1)]
    commits = harness.store.counters.commits
    result = await harness.complete(upload, parts)
    assert harness.store.counters.commits - commits == 2
    assert result.record.segments == ()
    state = await check_invariants(harness.store)
    assert len(state.manifests[result.record.manifest]) == -(-count // 1000)
    await _check_ranges(harness, result.record.manifest, parts)
    await harness.collect_to_the_end()
    await harness.delete("k")
    await harness.collect_to_the_end()
    assert not harness.contents.held
    assert not (await check_invariants(harness.store)).contents


async def _check_ranges(harness: Harness, manifest: bytes, parts: list[PartRecord]) -> None:
    starts = [0]
    for part in parts:
        starts.append(starts[-1] + part.size_bytes)
    for offset in (0, 1, 999, 1000, 1001, 2400, starts[-1] - 1):
        before = harness.store.counters.rows_read
        page = await manifests.read_manifest(
            harness.namespace, m.ReadManifest(manifest=manifest, offset=offset, limit=3)
        )
        assert harness.store.counters.rows_read - before <= 3
        assert page.first_offset <= offset < page.first_offset + page.segments[0].length
        assert starts[page.first_index] == page.first_offset
        assert page.segments == tuple(p.segment for p in parts[page.first_index : page.first_index + 3])
    for number in (1, 1000, 1001, len(parts)):
        page = await manifests.read_manifest(
            harness.namespace, m.ReadManifest(manifest=manifest, part_number=number, limit=2)
        )
        assert (page.first_index, page.first_offset) == (number - 1, starts[number - 1])
        assert page.segments == tuple(p.segment for p in parts[number - 1 : number + 1])
    beyond = await manifests.read_manifest(
        harness.namespace, m.ReadManifest(manifest=manifest, offset=starts[-1])
    )
    assert beyond.segments == ()
    with pytest.raises(ContentNotFound):
        await manifests.read_manifest(harness.namespace, m.ReadManifest(manifest=bytes(16)))


async def copy_part(
    harness: Harness, source: m.ObjectResult, upload: UploadRecord, number: int
) -> PartRecord:
    part = PartRecord(number=number, size_bytes=0, etag="", modified_ms=0, segment=Segment(bytes(16), 0))
    request = m.CopyPart(
        caller=ANONYMOUS,
        source_bucket="b",
        source_key=source.record.key,
        source_version=source.row_version,
        bucket="b",
        key=upload.key,
        upload_id=upload.upload_id,
        part=part,
        mutation=harness.mutation(),
    )
    return (await copies.copy_part(harness.namespace, request)).part


async def test_copied_parts_share_the_content_of_their_source(harness: Harness) -> None:
    source = await harness.put("source", harness.new_content(7))
    upload = await harness.create_upload("k")
    for number in (1, 2, 2):
        await copy_part(harness, source, upload, number)
    own = await harness.put_part(upload, 3, 4)
    await copy_part(harness, source, upload, 3)
    await harness.delete("source")
    await harness.collect_to_the_end()
    assert set(harness.contents.held) == {source.record.segments[0].content}
    result = await harness.complete(upload)
    assert result.record.segments == source.record.segments * 3
    assert own.segment.content not in harness.contents.held
    await harness.collect_to_the_end()
    await check_invariants(harness.store)
    await harness.delete("k")
    await harness.collect_to_the_end()
    assert not harness.contents.held


async def test_a_source_without_a_content_of_its_own_needs_bytes(harness: Harness) -> None:
    inline = await harness.put("source", data=b"x")
    upload = await harness.create_upload("k")
    with pytest.raises(NeedsBytes):
        await copy_part(harness, inline, upload, 1)
    await harness.put_part(upload, 1, 5)
    whole = await harness.complete(upload)
    other = await harness.create_upload("other")
    with pytest.raises(NeedsBytes):
        await copy_part(harness, whole, other, 1)


async def test_a_copy_of_a_multipart_object_shares_its_manifest(harness: Harness) -> None:
    upload = await harness.create_upload("k")
    for number in range(1, 41):
        await harness.put_part(upload, number, 1)
    source = await harness.complete(upload)
    request = m.CopyObject(
        caller=ANONYMOUS,
        source_bucket="b",
        source_key="k",
        source_version=source.row_version,
        bucket="b",
        record=msgspec.structs.replace(source.record, key="copy"),
        mutation=harness.mutation(),
    )
    await copies.copy_object(harness.namespace, request)
    await harness.delete("k")
    await harness.collect_to_the_end()
    assert len(harness.contents.held) == 40
    assert (await harness.lookup("copy")).record.manifest == source.record.manifest
    await harness.put("copy", data=b"")
    await harness.collect_to_the_end()
    assert not harness.contents.held
    await check_invariants(harness.store)


async def test_unpersisted_parts_have_holders(harness: Harness) -> None:
    upload = await harness.create_upload("k")
    for number in range(1, 41):
        await harness.put_part(upload, number, 1, persisted=number != 40)
    result = await harness.complete(upload)
    assert result.record.unpersisted
    page = await manifests.read_manifest(harness.namespace, m.ReadManifest(manifest=result.record.manifest))
    assert list(page.holders) == [page.segments[-1].content]


async def test_parts_are_listed_page_by_page(harness: Harness) -> None:
    upload = await harness.create_upload("k")
    for number in (1, 5, 10_000):
        await harness.put_part(upload, number, 1)
    request = m.ListParts(caller=ANONYMOUS, bucket="b", key="k", upload_id=upload.upload_id, limit=2)
    first = await upload_listing.list_parts(harness.namespace, request)
    assert ([part.number for part in first.parts], first.next_after) == ([1, 5], 5)
    rest = await upload_listing.list_parts(harness.namespace, msgspec.structs.replace(request, after=5))
    assert ([part.number for part in rest.parts], rest.next_after, rest.upload) == ([10_000], 0, upload)
    for wrong in ("", "x", "AB" * 16, upload.upload_id + "00"):
        with pytest.raises(UploadNotFound):
            await uploads.get_upload(
                harness.namespace, m.GetUpload(caller=ANONYMOUS, bucket="b", key="k", upload_id=wrong)
            )


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.text("a/é\0\1", min_size=1, max_size=3), max_size=12),
    st.sampled_from(["", "/", "a", "\1", "\0"]),
    st.text("a/", max_size=2),
    st.integers(1, 3),
)
async def test_pages_of_uploads_put_together_are_the_listing(
    names: list[str], delimiter: str, prefix: str, limit: int
) -> None:
    harness = await Harness.start(MemoryStore())
    await harness.create_bucket()
    made = []
    for name in names:
        made.append(await harness.create_upload(name))
        harness.clock.advance(0.001)
    expected: list[tuple[str, str]] = []
    for upload in sorted(made, key=lambda upload: (upload.key.encode(), upload.upload_id)):
        if not upload.key.startswith(prefix):
            continue
        end = upload.key.find(delimiter, len(prefix)) if delimiter else -1
        one = (upload.key, upload.upload_id) if end < 0 else (upload.key[: end + len(delimiter)], "")
        if one not in expected:
            expected.append(one)
    found: list[tuple[str, str]] = []
    markers = ("", "")
    while True:
        page = await upload_listing.list_uploads(
            harness.namespace,
            m.ListUploads(
                caller=ANONYMOUS,
                bucket="b",
                prefix=prefix,
                delimiter=delimiter,
                key_marker=markers[0],
                upload_id_marker=markers[1],
                limit=limit,
            ),
        )
        some = [(u.key, u.upload_id) for u in page.uploads] + [(name, "") for name in page.prefixes]
        found += sorted(some, key=lambda one: (one[0].encode(), one[1]))
        if not page.next_key:
            break
        markers = page.next_key, page.next_upload_id
    assert found == expected


async def test_a_key_marker_alone_passes_over_all_uploads_of_that_key(harness: Harness) -> None:
    for name in ("a", "a", "b"):
        await harness.create_upload(name)
    page = await upload_listing.list_uploads(
        harness.namespace, m.ListUploads(caller=ANONYMOUS, bucket="b", key_marker="a")
    )
    assert [upload.key for upload in page.uploads] == ["b"]


async def test_a_part_needs_an_md5_and_a_number(harness: Harness) -> None:
    upload = await harness.create_upload("k")
    part = PartRecord(number=1, size_bytes=0, etag=md5(b""), modified_ms=0, segment=Segment(bytes(16), 0))
    request = m.PutPart(
        caller=ANONYMOUS,
        bucket="b",
        key="k",
        upload_id=upload.upload_id,
        part=part,
        mutation=harness.mutation(),
    )
    for wrong in ({"number": 0}, {"number": 10_001}, {"etag": "x"}, {"size_bytes": 1}):
        bad = msgspec.structs.replace(request, part=msgspec.structs.replace(part, **wrong))
        with pytest.raises(InvalidRequest):
            await uploads.put_part(harness.namespace, bad)
    await objects.put_object(harness.namespace, harness.put_request("k"))
