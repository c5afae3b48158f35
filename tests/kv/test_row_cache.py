"""The row cache: what it answers is always the row of the database."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zerohop_master.kv.interface import Commit, Row
from zerohop_master.kv.row_cache import RowCache

KEYS = [b"a", b"b", b"c", b"d"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["read", "begin", "apply", "end"]), st.sets(st.sampled_from(KEYS), min_size=1)
        )
    )
)
def test_it_agrees_with_the_database_through_any_course_of_commits(
    steps: list[tuple[str, set[bytes]]],
) -> None:
    cache = RowCache(max_bytes=1000)  # three rows
    database: dict[bytes, Row] = {}
    begun: list[Commit] = []  # in flight, the first `applied` of them in the database
    applied = 0
    for number, (step, keys) in enumerate(steps, 1):
        if step == "begin":
            puts = [(key, b"%d" % number) for key in sorted(keys)[1:]]
            begun.append(Commit(puts=puts, deletes=sorted(keys)[:1]))
            cache.begin(begun[-1].written_keys())
        elif step == "apply" and applied < len(begun):
            database |= {key: Row(key, value, number) for key, value in begun[applied].puts}
            for key in begun[applied].deletes:
                database.pop(key, None)
            applied += 1
        elif step == "end" and applied:
            cache.end(begun.pop(0).written_keys())
            applied -= 1
        else:
            for key in keys:
                cached = cache.get(key)
                assert cached is None or cached == database.get(key)
                if cached is None and key in database:
                    cache.put(database[key])
        cache.check_invariants()


def test_the_least_recently_used_rows_go_first() -> None:
    cache = RowCache(max_bytes=1000)
    for key in KEYS[:3]:
        cache.put(Row(key, b"", 1))
    assert cache.get(b"a") is not None
    cache.put(Row(b"d", b"", 1))
    assert [cache.get(key) is not None for key in KEYS] == [True, False, True, True]
