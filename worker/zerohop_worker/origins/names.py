"""Names in a listing: keys, and common prefixes of keys."""

from __future__ import annotations

__all__ = ["group_of"]


def group_of(name: str, prefix: str, delimiter: str) -> str:
    """The common prefix that a key falls under, "" for none."""
    if not delimiter or not name.startswith(prefix):
        return ""
    at = name.find(delimiter, len(prefix))
    return name[: at + len(delimiter)] if at >= 0 else ""
