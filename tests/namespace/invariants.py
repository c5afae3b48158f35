"""What holds in every state that a commit of the namespace can leave behind."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from zerohop.model import ObjectRecord, PartRecord
from zerohop_master import keys
from zerohop_master.contents import contents_of
from zerohop_master.due_work import CLEAN_PARTS
from zerohop_master.kv.interface import KeyValueStore, Row
from zerohop_master.rows import CLEAN_UP, CONTENT, MANIFEST, OBJECT, PART, CleanUp, ContentState, ManifestRow


@dataclass
class State:
    """All rows, decoded and indexed."""

    objects: dict[bytes, ObjectRecord] = field(default_factory=dict)  # by key of the row
    parts: dict[tuple[bytes, int], PartRecord] = field(default_factory=dict)
    manifests: dict[bytes, list[ManifestRow]] = field(default_factory=lambda: defaultdict(list))
    contents: dict[bytes, ContentState] = field(default_factory=dict)
    owners: dict[bytes, set[bytes]] = field(default_factory=lambda: defaultdict(set))  # by content
    deletions: Counter[bytes] = field(default_factory=Counter)  # number, by content
    inline: set[bytes] = field(default_factory=set)
    uploads: set[bytes] = field(default_factory=set)
    cleaning: dict[bytes, CleanUp] = field(default_factory=dict)
    unpersisted: set[bytes] = field(default_factory=set)  # keys of the rows

    def live(self) -> set[bytes]:
        return {content for content, state in self.contents.items() if state.live}

    def reachable(self) -> set[bytes]:
        """Contents and manifests in use by objects and by uploads that are not ended."""
        found = {content for record in self.objects.values() for content in contents_of(record)}
        found |= {part.segment.content for part in self.parts.values() if part.segment.length}
        for manifest in list(found):
            found |= {s.content for row in self.manifests.get(manifest, ()) for s in row.segments if s.length}
        return found


async def all_rows(store: KeyValueStore) -> list[Row]:
    rows: list[Row] = []
    start = b""
    while more := await store.scan(start, b"\xff", limit=1000):
        rows += more
        start = more[-1].key + b"\0"
    return rows


async def read_state(store: KeyValueStore) -> State:
    state = State()
    for row in await all_rows(store):
        family, rest = row.key[:1], row.key[1:]
        if family == b"o":
            state.objects[row.key] = OBJECT.decode(row.value)
        elif family == b"p":
            state.parts[rest[:16], int.from_bytes(rest[16:], "big")] = PART.decode(row.value)
        elif family == b"s":
            state.manifests[rest[:16]].append(MANIFEST.decode(row.value))
        elif family == b"d":
            state.contents[rest] = CONTENT.decode(row.value)
        elif family == b"k":
            state.owners[rest[:16]].add(rest[16:])
        elif family == b"g":
            state.deletions[keys.content_of_deletion(row.key)] += 1
        elif family == b"y":
            state.inline.add(rest)
        elif family == b"u":
            state.uploads.add(keys.upload_id_of(row.key))
        elif family == b"q":
            state.unpersisted.add(row.key)
        elif family == b"t" and row.key[9:10] == CLEAN_PARTS:
            state.cleaning[row.key[10:]] = CLEAN_UP.decode(row.value)
    return state


async def check_invariants(store: KeyValueStore) -> State:
    """Raises AssertionError; answers the state that it has checked."""
    state = await read_state(store)
    expected_owners: dict[bytes, set[bytes]] = defaultdict(set)
    for row_key, record in state.objects.items():
        assert row_key[9:] == record.key.encode()
        owner = keys.object_owner(row_key[1:9], record.key, record.sequence)
        for content in contents_of(record):
            expected_owners[content].add(owner)
        if record.segments:
            assert sum(segment.length for segment in record.segments) == record.size_bytes
    _check_manifests(state, expected_owners)
    for (upload, number), part in state.parts.items():
        assert upload in state.uploads or upload in state.cleaning, "a part that nobody cleans up"
        if part.segment.length:
            expected_owners[part.segment.content].add(keys.part_owner(upload, number))
    for content, owners in state.owners.items():
        # Cleaning lets go of parts one by one, and a dying manifest of its contents: both are covered above.
        assert owners == expected_owners[content], (content, owners, expected_owners[content])
    assert all(content in state.owners for content, owners in expected_owners.items() if owners)
    _check_contents(state)
    inline = [record.inline for record in state.objects.values() if record.inline]
    assert len(inline) == len(set(inline))
    assert set(inline) == state.inline
    return state


def _check_manifests(state: State, expected_owners: dict[bytes, set[bytes]]) -> None:
    for manifest, rows in state.manifests.items():
        assert manifest in state.contents
        assert state.contents[manifest].manifest
        for row in rows:
            for segment, number in zip(row.segments, row.numbers, strict=True):
                if segment.length:
                    expected_owners[segment.content].add(keys.part_owner(manifest, number))
        if state.contents[manifest].live:
            indexes = [row.first_index for row in rows]
            assert indexes == sorted(indexes)
            assert sum(s.length for row in rows for s in row.segments) == state.contents[manifest].length


def _check_contents(state: State) -> None:
    unpersisted: set[bytes] = set()
    for content, content_state in state.contents.items():
        owners = state.owners.get(content, set())
        if content_state.live:
            assert bool(owners) != bool(state.deletions[content]), "in use, or else due for deletion"
        else:
            assert not owners
            assert state.deletions[content], "a dead content that nobody forgets"
        assert state.deletions[content] <= 1
        if not content_state.persisted or not content_state.live:
            unpersisted |= {keys.unpersisted(holder, content) for holder in content_state.holders}
    for content in state.owners:
        assert state.contents[content].live, "a reference to a content that is not live"
    assert state.unpersisted == unpersisted
