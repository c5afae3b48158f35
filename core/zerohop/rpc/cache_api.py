"""What jobs of the master ask of a worker about its cache: to load blocks, to let go of them, to say which it has."""

from __future__ import annotations

from zerohop.model import OriginRef, Record
from zerohop.rpc.master_api.empty import Empty
from zerohop.rpc.message import Request

__all__ = [
    "BlocksLoaded",
    "BytesFreed",
    "CachedBlocks",
    "FreeBlocks",
    "FreeContents",
    "GetCachedBlocks",
    "LoadBlocks",
    "PersistContents",
]


class BlocksLoaded(Record, frozen=True):
    """How many bytes were fetched, and how many were in the cache already."""

    fetched_bytes: int
    cached_bytes: int


class LoadBlocks(Request[BlocksLoaded], tag="load_blocks", kw_only=True):
    """Has blocks [first, first + count) of a content in the cache, at most 64 of them; `origin` as in `ReadContent`.

    Missing ones come from where a reader's would, or with `source` from that worker. Raises ContentNotFound,
    ContentLost, OutOfSpace, UnderStoreFailed, OriginChanged, OriginRefused.
    """

    content: bytes
    content_length: int
    first: int
    count: int
    origin: OriginRef | None = None
    source: str = ""


class BytesFreed(Record, frozen=True):
    """`kept_bytes` are pinned, not persisted yet, or too young."""

    freed_bytes: int
    kept_bytes: int


class FreeContents(Request[BytesFreed], tag="free_contents", kw_only=True):
    """Drops the cached blocks of contents, at most 10,000 of them: those that came in `older_than_s` ago at least.

    What is pinned, or nowhere else, stays.
    """

    contents: tuple[bytes, ...]
    older_than_s: float = 0.0


class FreeBlocks(Request[BytesFreed], tag="free_blocks", kw_only=True):
    """As `FreeContents`, of single blocks: (content, index), at most 10,000."""

    blocks: tuple[tuple[bytes, int], ...]


class CachedBlocks(Record, frozen=True):
    """Indices of the cached blocks of each content, in ascending order."""

    indices: tuple[tuple[int, ...], ...]


class GetCachedBlocks(Request[CachedBlocks], tag="get_cached_blocks", kw_only=True):
    """Which blocks of each content this worker has in its tiers. At most 10,000 contents a call."""

    contents: tuple[bytes, ...]


class PersistContents(Request[Empty], tag="persist_contents", kw_only=True):
    """Those of the contents that this worker holds and the under-store does not have are brought there soon, also
    `must_cache` ones. At most 10,000 a call; unknown ones are skipped.
    """

    contents: tuple[bytes, ...]
