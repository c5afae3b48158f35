"""Sizes, durations and percentages as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerohop.units import (
    format_duration,
    format_percentage,
    format_size,
    parse_duration,
    parse_percentage,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("0", 0),
        ("512", 512),
        ("512B", 512),
        ("4KiB", 4096),
        ("4kib", 4096),
        ("4kB", 4000),
        ("64 MiB", 64 << 20),
        ("10GB", 10**10),
        ("1.5GiB", 3 << 29),
        ("0.5kB", 500),
        ("2TiB", 2 << 40),
    ],
)
def test_sizes(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "-1", "MiB", "5 apples", "1e3", "0.3B", "1,5GiB", "5%"])
def test_what_is_no_size_says_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size such as 64MiB"):
        parse_size(text)


def test_a_bare_letter_is_refused_with_both_readings() -> None:
    with pytest.raises(ValueError, match="write MiB or MB"):
        parse_size("5M")


@given(st.integers(0, 1023), st.integers(0, 5))
def test_whole_sizes_come_back(count: int, power: int) -> None:
    size_bytes = count * 1024**power
    assert parse_size(format_size(size_bytes)) == size_bytes


@given(st.integers(0, 1 << 62))
def test_any_size_comes_back_nearly(size_bytes: int) -> None:
    text = format_size(size_bytes).removeprefix("-")
    number = float(text.rstrip("BKMGTPEi"))
    assert 0 <= number <= 1024
    factor = parse_size("1" + text.lstrip("0123456789."))
    assert abs(number * factor - size_bytes) <= 0.051 * factor


@pytest.mark.parametrize(
    ("text", "duration_s"),
    [
        ("500ms", 0.5),
        ("10s", 10),
        ("10", 10),
        ("0.25", 0.25),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86400),
        ("1.5m", 90),
    ],
)
def test_durations(text: str, duration_s: float) -> None:
    assert parse_duration(text) == duration_s


@pytest.mark.parametrize("text", ["", "-1s", "5 minutes", "s", "5MiB"])
def test_what_is_no_duration_says_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as 500ms"):
        parse_duration(text)


@given(st.integers(0, 10**9))
def test_durations_come_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)


@pytest.mark.parametrize(
    ("text", "fraction"), [("80%", 0.8), ("0.8", 0.8), ("100%", 1), ("0", 0), ("12.5%", 0.125)]
)
def test_percentages(text: str, fraction: float) -> None:
    assert parse_percentage(text) == fraction
    assert parse_percentage(format_percentage(fraction)) == pytest.approx(fraction)


@pytest.mark.parametrize("text", ["101%", "1.1", "-5%", "high", "5s"])
def test_what_is_no_percentage_says_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match="expected a percentage such as 80%"):
        parse_percentage(text)
