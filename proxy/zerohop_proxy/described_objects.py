"""The part of a head that an object's record alone decides, written once for each version of an object.

Putting the headers of a small object together takes 6 us, a seventh of what its GET takes; finding them takes 0.5.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from zerohop.rpc.master_api import ObjectResult
from zerohop_proxy.answer import header_lines
from zerohop_proxy.object_answer import object_headers

__all__ = ["DescribedObjects"]

_MAX_OBJECTS: Final = 4096
_MAX_BYTES: Final = 2048
"""Longer ones are not kept, so that all of them take some 10 MiB at most."""

_Key = tuple[str, str, int, int, str, int]


class DescribedObjects:
    """The objects that were described last.

    A version of a row is never written again: whatever changes a record gives its row another version. The other
    parts of the key tell apart what several changes in one commit, or a restored store, could make look alike.
    """

    def __init__(self) -> None:
        self._lines: OrderedDict[_Key, bytes] = OrderedDict()

    def lines(self, bucket: str, found: ObjectResult) -> bytes:
        """The headers of an answer that has the whole object, its length among them, without what overrides them."""
        record = found.record
        key = (bucket, record.key, found.row_version, record.sequence, record.etag, record.modified_ms)
        kept = self._lines.get(key)
        if kept is not None:
            self._lines.move_to_end(key)
            return kept
        lines = header_lines([*object_headers(record, {}), ("Content-Length", str(record.size_bytes))])
        if len(lines) <= _MAX_BYTES and found.row_version:
            self._lines[key] = lines
            if len(self._lines) > _MAX_OBJECTS:
                self._lines.popitem(last=False)
        return lines
