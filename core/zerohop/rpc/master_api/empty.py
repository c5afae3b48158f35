"""The result that says nothing but "done"."""

from __future__ import annotations

from zerohop.model import Record

__all__ = [
    "Empty",
]


class Empty(Record, frozen=True):
    """A result that says nothing but "done"."""
