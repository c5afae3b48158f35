"""The contents that this worker answers for: being written, or held by it alone and not in the under-store.

An `async_through` content has a marker file `<data_dir>/unpersisted/<content id hex>` with its length in decimal,
synced before its writer is answered and removed after the content is in the under-store: so a restart knows what it
still owes. The blocks themselves are in the tiers on disk.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from zerohop.errors import NoWorker
from zerohop.model import content_id
from zerohop_worker.files import Files

__all__ = ["Contents", "Held", "Markers"]


@dataclass(frozen=True, slots=True)
class Held:
    """A content that the under-store does not have. `owed`: it is to be persisted (not so for `must_cache`).

    `others` hold copies of it, which are released when it is persisted. `first`: this is such a copy, and that worker
    persists it; "" where this worker does.
    """

    length: int
    created_s: float
    owed: bool
    others: tuple[str, ...] = ()
    first: str = ""


class Markers:
    """The marker files. Blocking; raises OSError."""

    def __init__(self, folder: Path, files: Files | None = None) -> None:
        self._folder = folder
        self.files = files or Files()

    def load(self) -> dict[bytes, Held]:
        """What is owed from before. A marker that was never finished belongs to a write that was never answered."""
        self.files.make_folder(self._folder)
        found: dict[bytes, Held] = {}
        for path in self._folder.iterdir():
            text = path.read_text() if len(path.name) == 32 else ""
            if text.endswith("\n"):
                found[bytes.fromhex(path.name)] = Held(int(text), path.stat().st_mtime, owed=True)
            else:
                self.files.unlink(path)
        return found

    def add(self, content: bytes, length: int) -> None:
        """Durable when it returns."""
        fd = self.files.create(self._folder / content.hex())
        try:
            self.files.write(fd, [f"{length}\n".encode()])
            self.files.sync(fd)
        finally:
            os.close(fd)
        self.files.sync_folder(self._folder)

    def remove(self, content: bytes) -> None:
        """Not synced: a marker that comes back after a crash is found to be fulfilled."""
        self.files.unlink(self._folder / content.hex())


class Contents:
    """Registry of this process; the session is the master's, given at registration. No awaits."""

    def __init__(self) -> None:
        self.session = b""  # 8 bytes once registered
        self.block_size_bytes = 0
        self._numbers = itertools.count(1)
        self.writing: set[bytes] = set()
        self.held: dict[bytes, Held] = {}

    def begin_session(self, session: bytes, block_size_bytes: int) -> None:
        """The worker is registered, anew perhaps: writes of the session before cannot be completed any more."""
        if session != self.session:
            self._numbers = itertools.count(1)
        self.session, self.block_size_bytes = session, block_size_bytes

    def begin(self) -> bytes:
        """The id of a new content, which counts as being written. Raises NoWorker before registration."""
        if not self.session:
            raise NoWorker("the worker is not registered with a master yet")
        content = content_id(self.session, next(self._numbers), self.block_size_bytes)
        self.writing.add(content)
        return content
