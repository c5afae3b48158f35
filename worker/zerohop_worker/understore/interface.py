"""What the worker asks of an under-store, in a shape that folders and object stores can both fill.

A content is one opaque, immutable file or object named by its id. It comes into being whole, by `commit`, or not at
all; an object store maps a staged content to a multipart upload, a folder to a staging file.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple, Protocol

from zerohop_worker.files import Buffer

__all__ = ["StagedContent", "StoredContent", "UnderStore"]


class StoredContent(NamedTuple):
    """A content in the store. `modified_s`: seconds since the epoch, on the store's clock."""

    content: bytes
    length: int
    modified_s: float


class StagedContent(Protocol):
    """A content that is being written, invisible to everybody. Calls follow one another, from one task."""

    async def write(self, buffers: Sequence[Buffer]) -> None:
        """Appends; the buffers are not used any more when it returns. Raises OutOfSpace, UnderStoreFailed."""

    async def commit(self, tail: Sequence[Buffer] = (), *, cached: bool = False) -> None:
        """Appends `tail`, then makes it visible, complete and durable. `cached`: the tiers have it, so that nobody
        is going to read it here soon.

        A content that is nothing but a tail costs one call: one thread hop, or one PUT of an object store.
        Raises OutOfSpace, UnderStoreFailed: then it is not visible.
        """

    async def abort(self) -> None:
        """Removes what was written. Never raises; does nothing after `commit`."""


class UnderStore(Protocol):
    """Raises UnderStoreFailed for whatever the store refuses or fails, besides what is named at each call."""

    async def start(self) -> str:
        """Opens the store, creating what it needs; returns its id, which is the same for all who share it."""

    def stage(self, content: bytes) -> StagedContent:
        """Begins to write a content."""

    def read(self, content: bytes, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """Exactly the bytes [offset, offset + length), in pieces of at most 1 MiB. Raises ContentNotFound."""

    async def stat(self, content: bytes) -> StoredContent:
        """What it tells of is durable: whoever wrote it may have died before he made it so. Raises ContentNotFound."""

    async def delete(self, content: bytes) -> None:
        """Durable enough: a content that comes back after a crash is swept again. No error if there is none."""

    async def list_contents(self, after: bytes, limit: int) -> list[StoredContent]:
        """At most `limit` contents whose id is greater than `after`, in the order of their ids."""

    async def close(self) -> None:
        """Releases what it holds."""
