"""Range headers against a plain model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerohop_proxy.ranges import ByteRange, parse_copy_range, resolve_range
from zerohop_proxy.s3_errors import S3Error


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", (0, 1)),
        ("bytes=0-", (0, 10)),
        ("bytes=9-", (9, 1)),
        ("bytes=3-5", (3, 3)),
        ("bytes=3-99", (3, 7)),
        ("bytes=-3", (7, 3)),
        ("bytes=-99", (0, 10)),
        ("bytes=0-" + "9" * 5000, (0, 10)),
        ("bytes=-" + "9" * 5000, (0, 10)),
        ("bytes=0000000000000000000000003-5", (3, 3)),
        ("Bytes=3-5", (3, 3)),
        ("bytes=5-3", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=1-2,4-5", None),
        ("bytes=+1-2", None),
        ("bytes=²-", None),
        ("items=1-2", None),
        ("1-2", None),
        ("", None),
    ],
)
def test_of_ten_bytes(header: str | None, expected: tuple[int, int] | None) -> None:
    resolved = resolve_range(header, 10)
    assert (None if resolved is None else (resolved.start, resolved.length_bytes)) == expected


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ("bytes=10-", 10),
        ("bytes=10-20", 10),
        ("bytes=-0", 10),
        ("bytes=0-", 0),
        ("bytes=-1", 0),
        ("bytes=" + "9" * 99 + "-", 10),
    ],
)
def test_unsatisfiable(header: str, size: int) -> None:
    with pytest.raises(S3Error) as caught:
        resolve_range(header, size)
    error = caught.value
    assert (error.code, error.status) == ("InvalidRange", 416)
    assert error.headers == {"Content-Range": f"bytes */{size}"}
    assert error.elements == {"RangeRequested": header, "ActualObjectSize": str(size)}


@given(st.binary(min_size=1, max_size=30), st.integers(0, 40), st.integers(0, 40))
def test_against_slicing(data: bytes, first: int, last: int) -> None:
    for header, expected in (
        (f"bytes={first}-{last}", data[first : last + 1] if first <= last else data),
        (f"bytes={first}-", data[first:]),
        (f"bytes=-{last}", data[-last:] if last else b""),
    ):
        try:
            found = resolve_range(header, len(data)) or ByteRange(0, len(data))
        except S3Error:
            assert not expected
        else:
            assert data[found.start : found.start + found.length_bytes] == expected
            assert found.content_range(len(data)).startswith(f"bytes {found.start}-")


def test_copy_ranges_are_strict() -> None:
    assert parse_copy_range("bytes=0-9", 10) == ByteRange(0, 10)
    for bad in ("bytes=0-10", "bytes=5-", "bytes=-5", "bytes=5-3", "0-5", "bytes=0-1,2-3", "bytes= 0-5", ""):
        with pytest.raises(S3Error) as caught:
            parse_copy_range(bad, 10)
        assert caught.value.code == "InvalidArgument"
