"""Random operations on both engines at once agree with a plain dictionary."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from zerohop.errors import Conflict
from zerohop_master.kv.interface import Commit, Condition, Group, KeyValueStore, RangeEmpty, Row, RowIs
from zerohop_master.kv.limits import prefix_end
from zerohop_master.kv.memory import MemoryStore
from zerohop_master.kv.sqlite import SqliteStore

# Few letters, so that keys collide, nest and reach the edges of the byte order; each delimiter with its successor.
KEYS = st.text(alphabet="\x00\x01/0ab\xff", max_size=4).map(lambda text: text.encode("latin-1"))
VALUES = st.binary(max_size=20)
LIMITS = st.integers(0, 6)
BYTE_LIMITS = st.sampled_from([1, 10, 30, 1 << 20])


class EnginesAgree(RuleBasedStateMachine):
    """`rows` is what both stores should hold: key -> (value, name of the commit that wrote it)."""

    @initialize()
    def open(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.memory = MemoryStore()
        self.sqlite = self.runner.run(self.open_sqlite())
        self.rows: dict[bytes, tuple[bytes, int]] = {}
        self.commits = 0
        # How each engine numbered the commits, and the rows that once were (for stale conditions).
        self.numbers: dict[KeyValueStore, dict[int, int]] = {self.memory: {}, self.sqlite: {}}
        self.stale: list[tuple[bytes, int]] = []

    async def open_sqlite(self) -> SqliteStore:
        return await SqliteStore.open(Path(self.folder.name) / "kv", wal_limit_bytes=1 << 16)

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.run(self.sqlite.close())
            self.runner.close()
            self.folder.cleanup()

    @rule(
        puts=st.dictionaries(KEYS, VALUES, max_size=4),
        deletes=st.sets(KEYS, max_size=3),
        expected=st.lists(st.tuples(KEYS, st.booleans()), max_size=2),
        empty=st.lists(st.tuples(KEYS, KEYS), max_size=1),
        use_stale=st.integers(0, 20),
    )
    def commit(
        self,
        puts: dict[bytes, bytes],
        deletes: set[bytes],
        expected: list[tuple[bytes, bool]],
        empty: list[tuple[bytes, bytes]],
        use_stale: int,
    ) -> None:
        """A condition is (key, commit that wrote it, or 0 for absent): true ones, inverted ones and stale ones."""
        deletes = deletes - puts.keys()
        wanted = [(key, 0 if invert else self.written_by(key)) for key, invert in expected]
        if use_stale < len(self.stale):
            wanted.append(self.stale[use_stale])
        holds = all(self.written_by(key) == commit for key, commit in wanted) and not any(
            start <= key < end and key not in deletes for start, end in empty for key in self.rows
        )
        self.commits += 1
        for store, numbers in self.numbers.items():
            conditions: list[Condition] = [RowIs(key, numbers.get(commit, 0)) for key, commit in wanted]
            conditions += [RangeEmpty(start, end) for start, end in empty]
            commit = Commit(conditions, list(puts.items()), list(deletes))
            try:
                number = self.runner.run(store.commit(commit))
            except Conflict:
                assert not holds
            else:
                assert holds
                assert number > max(numbers.values(), default=0)
                numbers[self.commits] = number
        if holds:
            touched = puts.keys() | deletes
            self.stale += [(key, self.rows[key][1]) for key in touched if key in self.rows]
            for key in deletes:
                self.rows.pop(key, None)
            self.rows.update({key: (value, self.commits) for key, value in puts.items()})

    def written_by(self, key: bytes) -> int:
        return self.rows[key][1] if key in self.rows else 0

    @rule(keys=st.lists(KEYS, max_size=4))
    def get(self, keys: list[bytes]) -> None:
        for store in self.numbers:
            assert self.runner.run(store.get(keys)) == [self.row(store, key) for key in keys]

    def row(self, store: KeyValueStore, key: bytes) -> Row | None:
        if key not in self.rows:
            return None
        value, commit = self.rows[key]
        return Row(key, value, self.numbers[store][commit])

    @rule(start=KEYS, end=KEYS, limit=LIMITS, reverse=st.booleans(), max_bytes=BYTE_LIMITS)
    def scan(self, start: bytes, end: bytes, limit: int, reverse: bool, max_bytes: int) -> None:
        keys = sorted((key for key in self.rows if start <= key < end), reverse=reverse)
        keys = fitting(keys, [len(key) + len(self.rows[key][0]) for key in keys], limit, max_bytes)
        for store in self.numbers:
            rows = self.runner.run(store.scan(start, end, limit=limit, reverse=reverse, max_bytes=max_bytes))
            assert rows == [self.row(store, key) for key in keys]

    @rule(
        prefix=KEYS,
        after=KEYS,
        delimiter=st.sampled_from([b"", b"/", b"a", b"\xff", b"\x00", b"//", b"a/a"]),
        limit=LIMITS,
        max_bytes=BYTE_LIMITS,
    )
    def skip_scan(self, prefix: bytes, after: bytes, delimiter: bytes, limit: int, max_bytes: int) -> None:
        sizes: dict[bytes, int] = {}
        for key in sorted(key for key in self.rows if key.startswith(prefix) and key >= after):
            found = key.find(delimiter, len(prefix)) if delimiter else -1
            if found < 0:
                sizes[key] = len(key) + len(self.rows[key][0])
            else:
                name = key[: found + len(delimiter)]
                sizes[b"group " + name] = len(name)
        names = fitting(list(sizes), list(sizes.values()), limit, max_bytes)
        for store in self.numbers:
            expected = [
                Group(name[6:], None) if name.startswith(b"group ") else Group(name, self.row(store, name))
                for name in names
            ]
            read_before = store.counters.rows_read
            scan = store.skip_scan(
                prefix, after, strip=0, delimiter=delimiter, limit=limit, max_bytes=max_bytes
            )
            assert self.runner.run(scan) == expected
            assert store.counters.rows_read - read_before == len(expected)

    @precondition(lambda self: self.commits % 3 == 0)
    @rule()
    def reopen(self) -> None:
        numbers = self.numbers.pop(self.sqlite)
        self.runner.run(self.sqlite.close())
        self.sqlite = self.runner.run(self.open_sqlite())
        self.numbers[self.sqlite] = numbers

    @invariant()
    def same_rows(self) -> None:
        for store in getattr(self, "numbers", {}):
            rows = self.runner.run(store.scan(b"", prefix_end(b""), limit=1000))
            assert rows == [self.row(store, key) for key in sorted(self.rows)]
        if hasattr(self, "memory"):
            self.memory.check_invariants()


def fitting(names: list[bytes], sizes: list[int], limit: int, max_bytes: int) -> list[bytes]:
    """The first `limit` names, up to the one with which their sizes reach `max_bytes`."""
    total, count = 0, 0
    for size in sizes[:limit]:
        if total >= max_bytes:
            break
        total += size
        count += 1
    return names[:count]


TestEnginesAgree = EnginesAgree.TestCase
TestEnginesAgree.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
