"""Kinds of background work, as they stand in the keys of `t` rows."""

from __future__ import annotations

from typing import Final

__all__ = ["CLEAN_PARTS", "DROP_ENDED", "DROP_OBJECTS", "PURGE_BUCKET", "REOPEN_UPLOAD"]

PURGE_BUCKET: Final = b"b"
"""Abort the uploads of a deleted bucket. Identity: bucket id."""
CLEAN_PARTS: Final = b"c"
"""Remove the part rows of an ended upload. Identity: upload id; value: `CleanUp`."""
DROP_ENDED: Final = b"e"
"""Forget the result of a completed upload. Identity: upload id."""
REOPEN_UPLOAD: Final = b"r"
"""Put an upload that a crash has left in "completing" back to "open". Identity: upload id; value: `Stalled`."""
DROP_OBJECTS: Final = b"o"
"""Remove the rows of the objects of a bucket that was a mount. Identity: bucket id."""
