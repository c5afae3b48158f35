"""Random operations on several masters against a dictionary, with the references of contents followed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from tests.namespace.harness import Harness
from tests.namespace.invariants import check_invariants

from zerohop.clock import ManualClock
from zerohop.errors import KeyNotFound, NeedsBytes, PreconditionFailed
from zerohop.model import ANONYMOUS, ObjectRecord, PartRecord, Segment, UploadRecord
from zerohop.rpc import master_api as m
from zerohop_master import completion, copies, listing
from zerohop_master.kv.memory import MemoryStore

R = TypeVar("R")

KEYS = st.sampled_from(["a", "a/", "a/b", "é", "\0"])
Bytes = bytes | tuple[Segment, ...]
"""What stands for the bytes of an object in the model: inline data, or the contents."""


class NamespaceMachine(RuleBasedStateMachine):
    uploads = Bundle("uploads")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        clock = ManualClock()
        self.store = MemoryStore(now=clock.now_s)
        self.harness = self.run(Harness.start(self.store, clock))
        self.masters = [self.harness, self.harness.another()]
        self.turn = 0
        self.objects: dict[str, Bytes] = {}
        self.parts: dict[str, dict[int, PartRecord]] = {}  # of open uploads, by id

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        return self.loop.run_until_complete(work)

    @property
    def master(self) -> Harness:
        """The masters take turns, so that each finds what the other has left."""
        self.turn += 1
        return self.masters[self.turn % 2]

    @initialize()
    def create(self) -> None:
        self.run(self.harness.create_bucket())

    @rule(key=KEYS, data=st.binary(max_size=3))
    def put_inline(self, key: str, data: bytes) -> None:
        self.run(self.master.put(key, data=data))
        self.objects[key] = data

    @rule(key=KEYS, length=st.integers(1, 9))
    def put_content(self, key: str, length: int) -> None:
        master = self.master
        result = self.run(master.put(key, master.new_content(length)))
        self.objects[key] = result.record.segments

    @rule(doomed=st.sets(KEYS, min_size=1))
    def delete(self, doomed: set[str]) -> None:
        self.run(self.master.delete(*doomed))
        for key in doomed:
            self.objects.pop(key, None)

    @rule(source=KEYS, destination=KEYS)
    def copy(self, source: str, destination: str) -> None:
        master = self.master
        found = self._lookup(master, source)
        if found is None:
            return
        request = m.CopyObject(
            caller=ANONYMOUS,
            source_bucket="b",
            source_key=source,
            source_version=found.row_version,
            bucket="b",
            record=ObjectRecord(key=destination, size_bytes=0, etag="", modified_ms=0),
            mutation=master.mutation(),
        )
        self.run(copies.copy_object(master.namespace, request))
        self.objects[destination] = self.objects[source]

    @rule(source=KEYS, destination=KEYS, overwrite=st.booleans())
    def rename(self, source: str, destination: str, overwrite: bool) -> None:
        master = self.master
        request = m.RenameObject(
            caller=ANONYMOUS,
            source_bucket="b",
            source_key=source,
            bucket="b",
            key=destination,
            overwrite=overwrite,
            mutation=master.mutation(),
        )
        try:
            self.run(copies.rename_object(master.namespace, request))
        except KeyNotFound:
            assert source not in self.objects
        except PreconditionFailed:
            assert destination in self.objects
            assert not overwrite
        else:
            self.objects[destination] = self.objects.pop(source)

    @rule(target=uploads, key=KEYS)
    def create_upload(self, key: str) -> UploadRecord:
        upload = self.run(self.master.create_upload(key))
        self.parts[upload.upload_id] = {}
        return upload

    @rule(upload=uploads, number=st.integers(1, 4), length=st.integers(0, 5))
    def put_part(self, upload: UploadRecord, number: int, length: int) -> None:
        self.parts[upload.upload_id][number] = self.run(self.master.put_part(upload, number, length))

    @rule(upload=uploads, number=st.integers(1, 4), source=KEYS)
    def copy_part(self, upload: UploadRecord, number: int, source: str) -> None:
        master = self.master
        found = self._lookup(master, source)
        if found is None:
            return
        part = PartRecord(number=number, size_bytes=0, etag="", modified_ms=0, segment=Segment(bytes(16), 0))
        request = m.CopyPart(
            caller=ANONYMOUS,
            source_bucket="b",
            source_key=source,
            source_version=found.row_version,
            bucket="b",
            key=upload.key,
            upload_id=upload.upload_id,
            part=part,
            mutation=master.mutation(),
        )
        try:
            result = self.run(copies.copy_part(master.namespace, request))
        except NeedsBytes:
            assert found.record.inline or found.record.manifest
        else:
            self.parts[upload.upload_id][number] = result.part

    @rule(upload=consumes(uploads), left_out=st.integers(1, 4), cut_at=st.integers(0, 4))
    def complete(self, upload: UploadRecord, left_out: int, cut_at: int) -> None:
        """A master may die on the way; another one then gets the same request."""
        stored = self.parts.pop(upload.upload_id)
        parts = [part for number, part in sorted(stored.items()) if number != left_out]
        if not parts:
            self.run(self.master.abort(upload))
            return
        request = self.master.complete_request(upload, parts)
        self._cut(cut_at)
        try:
            result = self.run(self._complete(self.masters[0], request))
        except _Cut:
            self.store.before_commit = None
            result = self.run(self._complete(self.masters[1], request))
        self.store.before_commit = None
        assert result == self.run(self._complete(self.masters[1], request))
        self.objects[upload.key] = tuple(part.segment for part in parts)

    async def _complete(self, master: Harness, request: m.CompleteUpload) -> m.ObjectResult:
        return await completion.complete_upload(master.namespace, request)

    def _cut(self, left: int) -> None:
        async def point(_commit: object) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise _Cut

        self.store.before_commit = point

    @rule(upload=consumes(uploads))
    def abort(self, upload: UploadRecord) -> None:
        self.run(self.master.abort(upload))
        del self.parts[upload.upload_id]

    @rule(seconds=st.sampled_from([1, 31, 1000]))
    def collect(self, seconds: int) -> None:
        self.harness.clock.advance(seconds)
        self.run(self.master.collect())

    @rule()
    def leave_an_orphan_and_sweep(self) -> None:
        orphan = self.harness.new_content(1)
        self.harness.clock.advance(901)
        assert self.run(self.master.sweep()) >= 1
        assert orphan.content not in self.harness.contents.held

    @invariant()
    def rows_are_sound_and_objects_as_expected(self) -> None:
        if not self.objects and not self.parts:
            return
        self.run(check_invariants(self.store))
        for key, expected in self.objects.items():
            found = self.run(self.masters[0].lookup(key))
            if isinstance(expected, bytes):
                assert found.data == expected
            else:
                assert found.record.segments == expected
                assert all(s.content in self.harness.contents.held for s in expected if s.length)

    def _lookup(self, master: Harness, key: str) -> m.ObjectResult | None:
        try:
            return self.run(master.lookup(key))
        except KeyNotFound:
            assert key not in self.objects
            return None

    def teardown(self) -> None:
        try:
            self.run(self._check_end())
        finally:
            self.loop.close()

    async def _check_end(self) -> None:
        page = await listing.list_objects(self.harness.namespace, m.ListObjects(caller=ANONYMOUS, bucket="b"))
        assert [entry.key for entry in page.entries] == sorted(self.objects, key=str.encode)
        await self.harness.collect_to_the_end()
        state = await check_invariants(self.store)
        used = {s.content for v in self.objects.values() if not isinstance(v, bytes) for s in v if s.length}
        used |= {
            p.segment.content for parts in self.parts.values() for p in parts.values() if p.segment.length
        }
        plain = {content for content in state.live() if not state.contents[content].manifest}
        assert plain == used
        assert state.live() == state.reachable()
        assert used <= set(self.harness.contents.held)


class _Cut(Exception):
    """The master is gone."""


NamespaceMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestNamespace = NamespaceMachine.TestCase
