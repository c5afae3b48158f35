"""Sizes, durations and percentages as people write them.

Sizes know both families: `KiB`, `MiB`, ... are powers of 1024, `kB`, `MB`, ... powers of 1000. A bare `K` or `M` is
refused, because half of its readers mean the one and half the other.
"""

from __future__ import annotations

import math
import re
from typing import Final

__all__ = [
    "format_duration",
    "format_percentage",
    "format_size",
    "parse_duration",
    "parse_percentage",
    "parse_size",
]

_BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_DECIMAL: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_SIZE_UNITS: Final = {
    **{unit.lower(): 1000**power for power, unit in enumerate(_DECIMAL)},
    **{unit.lower(): 1024**power for power, unit in enumerate(_BINARY)},
}
# Longest first, so that formatting picks the largest unit that divides the value.
_DURATION_UNITS: Final = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_NUMBER_AND_UNIT: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z%]*)\s*")

_SIZE_EXPECTED: Final = "expected a size such as 64MiB, 10GB, 4KiB or a number of bytes"
_DURATION_EXPECTED: Final = "expected a duration such as 500ms, 10s, 5m, 2h or a number of seconds"
_PERCENTAGE_EXPECTED: Final = "expected a percentage such as 80%, or a fraction between 0 and 1"


def parse_size(text: str) -> int:
    """Bytes of a size such as `64MiB`; a number without unit is bytes. Raises ValueError that says what to write."""
    number, unit = _split(text, _SIZE_EXPECTED)
    factor = _SIZE_UNITS.get(unit.lower()) if unit else 1
    if factor is None:
        hint = f"; write {unit.upper()}iB or {unit.upper()}B" if unit.upper() in "KMGTPE" else ""
        raise ValueError(f"{text!r}: unknown unit {unit!r}{hint}; {_SIZE_EXPECTED}")
    size = float(number) * factor if "." in number else int(number) * factor
    if size != int(size):
        raise ValueError(f"{text!r} is not a whole number of bytes; {_SIZE_EXPECTED}")
    return int(size)


def format_size(size_bytes: int) -> str:
    """The shortest exact form in powers of 1024 where there is one (`64MiB`), else one decimal (`1.5GiB`)."""
    if size_bytes < 0:
        return "-" + format_size(-size_bytes)
    power = min(int(math.log2(size_bytes)) // 10 if size_bytes else 0, len(_BINARY) - 1)
    value = size_bytes / 1024**power
    return f"{value:.0f}{_BINARY[power]}" if value == int(value) else f"{value:.1f}{_BINARY[power]}"


def parse_duration(text: str) -> float:
    """Seconds of a duration such as `500ms`; a number alone is seconds. Raises ValueError that says what to write."""
    number, unit = _split(text, _DURATION_EXPECTED)
    factor = _DURATION_UNITS.get(unit.lower()) if unit else 1.0
    if factor is None:
        raise ValueError(f"{text!r}: unknown unit {unit!r}; {_DURATION_EXPECTED}")
    # Milliseconds by division: 0.001 is not exact in binary, 500 / 1000 is.
    return float(number) / 1000 if unit.lower() == "ms" else float(number) * factor


def format_duration(duration_s: float) -> str:
    """The largest unit that divides the duration: `5m`, `90s`, `500ms`."""
    for unit, factor in _DURATION_UNITS.items():
        count = duration_s / factor if unit != "ms" else duration_s * 1000
        if duration_s and count == int(count):
            return f"{int(count)}{unit}"
    return f"{duration_s:.12g}s"


def parse_percentage(text: str) -> float:
    """A fraction in 0..1 from `80%` or `0.8`. Raises ValueError that says what to write."""
    number, unit = _split(text, _PERCENTAGE_EXPECTED)
    if unit not in ("", "%"):
        raise ValueError(f"{text!r}: unknown unit {unit!r}; {_PERCENTAGE_EXPECTED}")
    fraction = float(number) / 100 if unit else float(number)
    if fraction > 1:
        raise ValueError(f"{text!r} is more than the whole; {_PERCENTAGE_EXPECTED}")
    return fraction


def format_percentage(fraction: float) -> str:
    """`80%` of 0.8, with as many decimals as it needs."""
    return f"{fraction * 100:.6g}%"


def _split(text: str, expected: str) -> tuple[str, str]:
    match = _NUMBER_AND_UNIT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r}: {expected}")
    return match[1], match[2]
