from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zerohop_master import keys

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.text("\0\x01\x7fa\x80ÿ", max_size=6)
IDENTITY = st.binary(min_size=16, max_size=16)


@given(TEXT, TEXT, st.binary(max_size=4), st.binary(max_size=4))
def test_escaped_texts_keep_their_order_whatever_follows(
    first: str, second: str, after_first: bytes, after_second: bytes
) -> None:
    if first != second:
        expected = first.encode() < second.encode()
        assert (keys.escape(first) + after_first < keys.escape(second) + after_second) == expected


@given(TEXT, st.binary(max_size=4))
def test_escaping_is_undone(text: str, rest: bytes) -> None:
    assert keys.unescape(keys.escape(text) + rest) == (text, rest)


@given(TEXT, TEXT)
def test_escaping_keeps_prefixes(prefix: str, rest: str) -> None:
    assert keys.escape(prefix + rest).startswith(keys.escaped_text(prefix))


@given(TEXT, TEXT.filter(bool), IDENTITY)
def test_a_delimiter_is_found_in_the_key_of_an_upload_where_it_is_in_the_name(
    name: str, delimiter: str, upload: bytes
) -> None:
    row_key = keys.upload(bytes(8), name, upload)[9:]
    position = row_key.find(keys.escaped_text(delimiter))
    expected = name.encode().find(delimiter.encode())
    assert position == (-1 if expected < 0 else len(keys.escaped_text(name.encode()[:expected].decode())))


@given(IDENTITY, IDENTITY, TEXT)
def test_uploads_of_one_key_stand_in_the_order_of_their_ids(first: bytes, second: bytes, name: str) -> None:
    row_keys = keys.upload(bytes(8), name, first), keys.upload(bytes(8), name, second)
    assert (row_keys[0] < row_keys[1]) == (first < second)
    assert keys.upload_id_of(row_keys[0]) == first


@given(st.integers(0, 1 << 50), st.integers(0, 1 << 50), IDENTITY, IDENTITY)
def test_deletions_stand_in_the_order_of_time(first: int, second: int, a: bytes, b: bytes) -> None:
    if first != second:
        assert (keys.deletion(first, a) < keys.deletion(second, b)) == (first < second)
    assert keys.content_of_deletion(keys.deletion(first, a)) == a


@given(TEXT, IDENTITY, st.integers(0, 1 << 40))
def test_references_stand_below_their_content(name: str, content: bytes, sequence: int) -> None:
    row_key = keys.reference(content, keys.object_owner(bytes(8), name, sequence))
    start, end = keys.span(keys.references(content))
    assert start <= row_key < end


@given(st.lists(TEXT, min_size=2, max_size=2, unique=True), st.integers(0, 9), st.integers(0, 9))
def test_owners_of_different_versions_differ(names: list[str], first: int, second: int) -> None:
    assert keys.object_owner(bytes(8), names[0], first) != keys.object_owner(bytes(8), names[1], second)
